//! What is written, what is rendered, and what is refused in which words.

use super::*;
use crate::whatsapp::limits;
use serde_json::json;

/// The object named by `type`, with `context` if there is one.
fn rendered(written: Value, about: Option<&str>) -> Value {
    let content = Content::from_value(&written).unwrap_or_else(|error| panic!("{error}"));
    let to = Recipient::Phone("447700900123".to_owned());
    let message = Message { to, content, about: about.map(str::to_owned), callback: None };
    let body = message.render().unwrap_or_else(|error| panic!("{error}"));
    let mut body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["messaging_product"], "whatsapp");
    assert_eq!(body["to"], "+447700900123");
    let name = body["type"].as_str().expect("a type").to_owned();
    let mut object = json!({ name.clone(): body[&name].take() });
    if let Some(context) = body.get("context") {
        object["context"] = context.clone();
    }
    object
}

#[track_caller]
fn check(written: Value, want: Value) {
    assert_eq!(rendered(written.clone(), None), want, "{written}");
}

#[test]
fn texts_and_media() {
    check(
        json!({"type": "text", "text": "hi é"}),
        json!({"text": {"body": "hi é", "preview_url": false}}),
    );
    check(
        json!({"type": "text", "text": "hi", "preview": true}),
        json!({"text": {"body": "hi", "preview_url": true}}),
    );
    check(
        json!({"type": "image", "link": "https://example.org/a.png", "caption": "look"}),
        json!({"image": {"link": "https://example.org/a.png", "caption": "look"}}),
    );
    check(
        json!({"type": "document", "id": "77", "filename": "a.pdf"}),
        json!({"document": {"id": "77", "filename": "a.pdf"}}),
    );
    check(
        json!({"type": "audio", "id": "77", "voice": true}),
        json!({"audio": {"id": "77", "voice": true}}),
    );
    check(json!({"type": "sticker", "id": "77"}), json!({"sticker": {"id": "77"}}));
    check(json!({"type": "video", "id": "77"}), json!({"video": {"id": "77"}}));
}

#[test]
fn interactive_messages() {
    check(
        json!({"type": "buttons", "text": "Sure?", "footer": "small",
            "buttons": [{"id": "y", "title": "Yes"}, {"title": "No"}]}),
        json!({"interactive": {"type": "button", "body": {"text": "Sure?"},
        "footer": {"text": "small"},
        "action": {"buttons": [
            {"type": "reply", "reply": {"id": "y", "title": "Yes"}},
            {"type": "reply", "reply": {"id": "No", "title": "No"}},
        ]}}}),
    );
    check(
        json!({"type": "buttons", "text": "Look", "buttons": [{"title": "Ok"}],
            "header": {"image": {"id": "9"}}}),
        json!({"interactive": {"type": "button", "body": {"text": "Look"},
            "header": {"type": "image", "image": {"id": "9"}},
            "action": {"buttons": [{"type": "reply", "reply": {"id": "Ok", "title": "Ok"}}]}}}),
    );
    check(
        json!({"type": "list", "text": "Pick", "header": "Menu", "button": "Open",
            "sections": [{"title": "A", "rows": [{"id": "1", "title": "One"}]},
                {"title": "B", "rows": [{"title": "Two", "description": "the second"}]}]}),
        json!({"interactive": {"type": "list", "body": {"text": "Pick"},
            "header": {"type": "text", "text": "Menu"},
            "action": {"button": "Open", "sections": [
                {"title": "A", "rows": [{"id": "1", "title": "One"}]},
                {"title": "B", "rows": [
                    {"id": "Two", "title": "Two", "description": "the second"}]}]}}}),
    );
    check(
        json!({"type": "link", "text": "Read", "title": "Open", "url": "https://example.org"}),
        json!({"interactive": {"type": "cta_url", "body": {"text": "Read"},
            "action": {"name": "cta_url", "parameters":
                {"display_text": "Open", "url": "https://example.org"}}}}),
    );
    check(
        json!({"type": "ask_location", "text": "Where?"}),
        json!({"interactive": {"type": "location_request_message", "body": {"text": "Where?"},
            "action": {"name": "send_location"}}}),
    );
}

#[test]
fn places_cards_and_templates() {
    check(
        json!({"type": "location", "latitude": 51.5, "longitude": "-0.12", "name": "Eye"}),
        json!({"location": {"latitude": "51.5", "longitude": "-0.12", "name": "Eye"}}),
    );
    check(
        json!({"type": "contacts", "contacts": [{"name": "Ada", "phones": ["+44 7700 900123"],
            "emails": [{"email": "a@example.org", "type": "WORK"}], "org": {"company": "B"},
            "birthday": "1815-12-10"}]}),
        json!({"contacts": [{"name": {"formatted_name": "Ada", "first_name": "Ada"},
            "phones": [{"phone": "+44 7700 900123"}], "org": {"company": "B"},
            "emails": [{"email": "a@example.org", "type": "WORK"}],
            "birthday": "1815-12-10"}]}),
    );
    check(
        json!({"type": "template", "name": "hello_world", "language": "en_US"}),
        json!({"template": {"name": "hello_world", "language": {"code": "en_US"}}}),
    );
    check(
        json!({"type": "template", "name": "order", "language": "fil", "values": ["Ada", "12"]}),
        json!({"template": {"name": "order", "language": {"code": "fil"}, "components": [
            {"type": "body", "parameters": [
                {"type": "text", "text": "Ada"}, {"type": "text", "text": "12"}]}]}}),
    );
    let button = json!({"type": "button", "sub_type": "url", "index": "0",
        "parameters": [{"type": "text", "text": "x"}]});
    check(
        json!({"type": "template", "name": "order", "language": "en", "components": [button]}),
        json!({"template": {"name": "order", "language": {"code": "en"},
            "components": [button]}}),
    );
}

#[test]
fn what_a_message_is_about() {
    let text = json!({"type": "text", "text": "yes"});
    let reply = rendered(text, Some("wamid.1"));
    assert_eq!(reply["context"], json!({"message_id": "wamid.1"}));
    let reaction = |emoji: &str| rendered(json!({"type": "reaction", "emoji": emoji}), Some("w"));
    let want = |emoji: &str| json!({"reaction": {"message_id": "w", "emoji": emoji}});
    assert_eq!(reaction("👍"), want("👍"));
    assert_eq!(reaction(""), want(""), "taken back");
    let content = Content::Reaction { emoji: "👍".to_owned() };
    let to = Recipient::UserId("GB.7".to_owned());
    let mut message = Message { to, content, about: None, callback: None };
    let refused = message.render().expect_err("about nothing");
    assert_eq!(refused.to_string(), "`reply` is missing");
    message.about = Some("a b".to_owned());
    assert!(message.render().is_err());
}

#[test]
fn recipients_and_callbacks() {
    let render = |to: Recipient| {
        let content = Content::text("x").expect("a text");
        let callback = Some("rp:7".to_owned());
        let body = Message { to, content, about: None, callback }.render().expect("rendered");
        let mut body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["biz_opaque_callback_data"], "rp:7");
        let map = body.as_object_mut().expect("an object");
        let who = ["recipient_type", "to", "recipient"];
        map.retain(|key, _| who.contains(&key.as_str()));
        body
    };
    let phone = Recipient::Phone("447700900123".to_owned());
    assert_eq!(render(phone), json!({"recipient_type": "individual", "to": "+447700900123"}));
    let user = Recipient::UserId("GB.7".to_owned());
    assert_eq!(render(user), json!({"recipient_type": "individual", "recipient": "GB.7"}));
    let group = Recipient::Group("Y2F=".to_owned());
    assert_eq!(render(group), json!({"recipient_type": "group", "to": "Y2F="}));
}

#[test]
fn signals() {
    let signal = |typing| Signal { read: "wamid.1".to_owned(), typing };
    let read: Value = serde_json::from_str(&signal(false).render().expect("read")).expect("JSON");
    let mut want =
        json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.1"});
    assert_eq!(read, want);
    want["typing_indicator"] = json!({"type": "text"});
    let typing: Value =
        serde_json::from_str(&signal(true).render().expect("typing")).expect("JSON");
    assert_eq!(typing, want);
}

#[test]
fn refusals() {
    let check = |written: Value, want: &str| {
        let refused = Content::from_value(&written).expect_err(&written.to_string());
        assert_eq!(refused.to_string(), want, "{written}");
    };
    let long = |chars: usize| "é".repeat(chars);
    check(json!(7), "`d` must be an object");
    check(json!({}), "`type` is missing");
    check(json!({"type": "poll"}), "`type` wants a type that can be sent, not \"poll\"");
    check(json!({"type": "text"}), "`text` is missing");
    check(json!({"type": "text", "text": ""}), "`text` must not be empty");
    check(json!({"type": "text", "text": 7}), "`text` must be a text");
    check(
        json!({"type": "text", "text": long(limits::TEXT_CHARS_MAX + 1)}),
        "`text` takes at most 4096 characters, 4097 were given",
    );
    check(
        json!({"type": "text", "text": "a", "buttons": []}),
        "`buttons` is not known here, only type, text, preview",
    );
    check(json!({"type": "image"}), "`id` wants exactly one of id, link");
    check(
        json!({"type": "image", "id": "1", "link": "http://a"}),
        "`id` wants exactly one of id, link",
    );
    check(
        json!({"type": "image", "link": "javascript:a"}),
        "`link` wants a link like https://example.org/, not \"javascript:a\"",
    );
    check(
        json!({"type": "audio", "id": "1", "caption": "x"}),
        "`caption` is not known here, only type, id, link, voice",
    );
    let buttons = |buttons: Value| json!({"type": "buttons", "text": "a", "buttons": buttons});
    check(buttons(json!([])), "`buttons` must not be empty");
    let many = json!([{"title": "a"}, {"title": "b"}, {"title": "c"}, {"title": "d"}]);
    check(buttons(many), "`buttons` takes at most 3 items, 4 were given");
    check(
        buttons(json!([{"title": "a"}, {"title": long(21)}])),
        "`buttons[1].title` takes at most 20 characters, 21 were given",
    );
    check(
        buttons(json!([{"title": "a"}, {"title": "a", "id": "b"}])),
        "`buttons[1].title` is \"a\" a second time",
    );
    check(
        buttons(json!([{"title": "a"}, {"title": "b", "id": "a"}])),
        "`buttons[1].id` is \"a\" a second time",
    );
    let list =
        |sections: Value| json!({"type": "list", "text": "a", "button": "b", "sections": sections});
    check(
        list(json!([{"rows": [{"title": "a"}]}, {"title": "s", "rows": [{"title": "b"}]}])),
        "`sections[0].title` is missing",
    );
    let rows = |from: usize| (from..from + 6).map(|n| json!({"title": n.to_string()}));
    let sections = |second: usize| {
        json!([{"title": "s", "rows": rows(0).collect::<Vec<_>>()},
            {"title": "t", "rows": rows(second).collect::<Vec<_>>()}])
    };
    check(list(sections(6)), "`sections[].rows` takes at most 10 items, 12 were given");
    check(
        list(json!([{"rows": [{"title": "a"}, {"title": "b", "id": "a"}]}])),
        "`sections[0].rows[1].id` is \"a\" a second time",
    );
    let mut headed = list(json!([{"rows": [{"title": "a"}]}]));
    headed["header"] = json!({"image": {"id": "1"}});
    check(headed, "`header` must be a text: lists have no other header");
    check(
        json!({"type": "location", "latitude": 91, "longitude": 0}),
        "`latitude` wants degrees, -90 to 90, not \"91\"",
    );
    check(
        json!({"type": "template", "name": "Hello", "language": "en"}),
        "`name` wants small letters, digits and _, not \"Hello\"",
    );
    check(
        json!({"type": "template", "name": "a", "language": "en-US"}),
        "`language` wants a code like en or en_US, not \"en-US\"",
    );
    check(
        json!({"type": "template", "name": "a", "language": "en", "values": ["a", ""]}),
        "`values[1]` must not be empty",
    );
    check(
        json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "a"}}]}),
        "`contacts[0].name.first_name` is missing",
    );
}

#[test]
fn uploads() {
    let check = |kind, mime: &str, bytes, ok| {
        assert_eq!(check_upload(kind, mime, bytes).is_ok(), ok, "{kind:?} {mime} {bytes}");
    };
    check(MediaKind::Image, "image/png", 5_000_000, true);
    check(MediaKind::Image, "image/png", 5_000_001, false);
    check(MediaKind::Image, "image/gif", 1, false);
    check(MediaKind::Audio, "audio/ogg; codecs=opus", 1, true);
    check(MediaKind::Document, "application/vnd.ms-excel", limits::MEDIA_BYTES_MAX, true);
    check(MediaKind::Document, "text/plain\r\nx: y/z", 1, false);
    check(MediaKind::Document, "text", 1, false);
    check(MediaKind::Sticker, "image/webp", 0, false);
    for (index, row) in MEDIA_KINDS.iter().enumerate() {
        assert_eq!(row.0 as usize, index);
    }
}

#[test]
fn every_type_has_a_reader_and_a_summary() {
    for name in Content::TYPES {
        let refused = Content::from_value(&json!({"type": name})).expect_err(name);
        assert_ne!(refused.field, "type", "{name}");
    }
    let summary =
        |written: Value| Content::from_value(&written).expect("fits").summary().into_owned();
    assert_eq!(
        summary(json!({"type": "buttons", "text": "Sure?", "buttons": [{"title": "Yes"}]})),
        "Sure?\n[Yes]"
    );
    assert_eq!(summary(json!({"type": "image", "id": "1"})), "[image]");
    assert_eq!(summary(json!({"type": "document", "id": "1", "filename": "a"})), "[document] a");
    assert_eq!(
        summary(json!({"type": "template", "name": "hi", "language": "en"})),
        "[template] hi"
    );
}
