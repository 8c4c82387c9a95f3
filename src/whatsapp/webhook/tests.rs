//! Small bodies, one oddity each, as one line per update. Whole recorded shapes are checked by the
//! integration tests.

use super::*;
use crate::base::limits::WEBHOOK_UPDATES_MAX;
use proptest::prelude::*;

/// Lines like `message wa:1:2 "hi"`, joined with `; `.
fn describe(body: &[u8]) -> String {
    let updates = match parse(body) {
        Ok(updates) => updates,
        Err(error) => return format!("{error:?}"),
    };
    let line = |update: &Update<'_>| match update {
        Update::Message(inbound) => {
            let room = inbound.room_name().unwrap_or("?".into());
            let name = inbound.person.profile_name.as_deref().unwrap_or("?");
            format!("message {room} {name}: {}", inbound.text())
        }
        Update::Echo(echo) => {
            let room = echo.room_name().unwrap_or("?".into());
            format!("echo {room} {}: {}", echo.author.as_deref().unwrap_or("?"), echo.text())
        }
        Update::Status(status) => {
            let codes: Vec<_> = status.errors.iter().map(|error| error.code).collect();
            let to = (status.recipient.as_deref(), status.participant.as_deref());
            format!("{:?} {} {to:?} {codes:?}", status.status, status.wamid)
        }
        Update::Unknown(unknown) => {
            format!("unknown {} {}", unknown.field, unknown.kind.as_deref().unwrap_or("-"))
        }
    };
    updates.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn check(body: &str, want: &str) {
    assert_eq!(describe(body.as_bytes()), want, "{body}");
}

/// Checks the `value` of one change of the field `messages`.
#[track_caller]
fn check_value(value: &str, want: &str) {
    let value = format!(r#"{{"metadata":{{"phone_number_id":"1"}},{value}}}"#);
    let change = format!(r#"{{"field":"messages","value":{value}}}"#);
    check(
        &format!(r#"{{"object":"whatsapp_business_account","entry":[{{"changes":[{change}]}}]}}"#),
        want,
    );
}

#[test]
fn envelopes() {
    let ours = |entry: &str| format!(r#"{{"object":"whatsapp_business_account","entry":{entry}}}"#);
    check("", "NotJson");
    check("{", "NotJson");
    check("7", "NotJson");
    check("{} {}", "NotJson");
    assert_eq!(describe(b"{\"object\":\"\xff\"}"), "NotJson");
    check("{}", "unknown object -");
    check(r#"{"object":"page","entry":[{}]}"#, "unknown object page");
    check(&ours("[]"), "");
    check(&ours("null"), "");
    check(&ours("7"), "");
    check(&ours("[7, {}]"), "unknown  -; unknown  -");
    check(&ours(r#"[{"changes":[7, {}]}]"#), "unknown  -; unknown  -");
    check(&ours(r#"[{"changes":[{"field":"calls","value":{"calls":[]}}]}]"#), "unknown calls -");
    // Without a number nothing can be routed.
    check(
        &ours(r#"[{"changes":[{"field":"messages","value":{"messages":[{"id":"w"}]}}]}]"#),
        "unknown messages -",
    );
}

#[test]
fn one_strange_item_spares_its_neighbours() {
    check_value(
        r#""messages":[7,{"from":"2","id":"a","type":"text","text":{"body":"hi"}},{"from":"2"},
            {"id":"b","type":"x"},{"from":"2","id":"c","type":"text","text":"hi"},
            {"from":{},"from_user_id":"GB.3","id":"d","type":"video"}],
           "statuses":[{"id":"a","status":"sent"},{"status":"read"},{"id":"b"}],
           "errors":[{"code":130429}]"#,
        "unknown messages -; message wa:1:2 ?: hi; unknown messages -; unknown messages x; \
         message wa:1:2 ?: [text]; message wa:1:GB.3 ?: [video]; Sent a (None, None) []; \
         unknown messages status; unknown messages status; unknown messages errors",
    );
    check_value(r#""messages":[],"user_actions":[{}]"#, "unknown messages -");
}

#[test]
fn the_sender_is_the_strongest_id_that_is_known() {
    let contacts = r#""contacts":[{"wa_id":"2","user_id":"GB.2","profile":{"name":"Ada"}},
        {"wa_id":"3","profile":{"name":"Bob"}}]"#;
    let check = |sender: &str, want: &str| {
        let message = format!(r#"{contacts},"messages":[{{{sender}"id":"w","type":"image"}}]"#);
        check_value(&message, want);
    };
    check(r#""from":"2","#, "message wa:1:GB.2 Ada: [image]");
    check(r#""from_user_id":"GB.2","#, "message wa:1:GB.2 Ada: [image]");
    check(r#""from":"3","#, "message wa:1:3 Bob: [image]");
    check(r#""from":"3","group_id":"g=","#, "message wa:1:g= Bob: [image]");
    check(r#""from":4,"#, "message wa:1:4 ?: [image]");
    check(r#""from":"","#, "unknown messages image");
    check(r#""system":{"previous_user_id":"GB.9"},"#, "unknown messages image");
    check("", "unknown messages image");
    check_value(
        r#""contacts":[{"wa_id":"2"}],"messages":[{"id":"w","type":"x"}]"#,
        "message wa:1:2 ?: [x]",
    );
}

#[test]
fn people_are_found_among_many() {
    let contact = |n: usize| format!(r#"{{"wa_id":"44{n}","user_id":"GB.{n}"}}"#);
    for count in [2, 8, 9, 300] {
        let contacts = (0..count).map(contact).collect::<Vec<_>>().join(",");
        let by_phone = format!(r#"{{"id":"a","type":"x","from":"44{}"}}"#, count - 1);
        let by_id = format!(r#"{{"id":"b","type":"x","from_user_id":"GB.{}"}}"#, count - 1);
        let nobody = r#"{"id":"c","type":"x"}"#;
        let value = format!(r#""contacts":[{contacts}],"messages":[{by_phone},{by_id},{nobody}]"#);
        let one = format!("message wa:1:GB.{} ?: [x]", count - 1);
        check_value(&value, &format!("{one}; {one}; unknown messages x"));
    }
}

#[test]
fn statuses() {
    check_value(
        r#""statuses":[{"id":"a","status":"failed","recipient_id":"2","errors":[{"code":131047}]},
            {"id":"a","status":"read","recipient_id":"2","recipient_user_id":"GB.2"},
            {"id":"g","status":"delivered","recipient_id":"G","participant_recipient_id":"2"},
            {"id":"g","status":"pondered","errors":7}]"#,
        "Failed a (Some(\"2\"), None) [131047]; Read a (Some(\"GB.2\"), None) []; \
         Delivered g (Some(\"G\"), Some(\"2\")) []; Other(\"pondered\") g (None, None) []",
    );
}

#[test]
fn a_status_is_of_the_contact_that_the_change_names() {
    check_value(
        r#""contacts":[{"wa_id":"2","user_id":"GB.2"}],"statuses":[
            {"id":"a","status":"read","recipient_id":"2"},
            {"id":"a","status":"sent","recipient_id":"3"},
            {"id":"g","status":"read","recipient_id":"2","recipient_type":"group"}]"#,
        "Read a (Some(\"GB.2\"), None) []; Sent a (Some(\"3\"), None) []; \
         Read g (Some(\"2\"), None) []",
    );
}

#[test]
fn echoes_are_of_whom_they_went_to() {
    let echo = |fields: &str| {
        format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"7","changes":[{{
            "field":"smb_message_echoes","value":{{"metadata":{{"phone_number_id":"1",
            "display_phone_number":"15"}},"contacts":[{{"wa_id":"2","user_id":"GB.2"}}],
            "message_echoes":[{{"id":"w","type":"text","text":{{"body":"hi"}}{fields}}}]}}}}]}}]}}"#
        )
    };
    check(&echo(r#","from":"15","to":"2""#), "echo wa:1:GB.2 15: hi");
    check(&echo(r#","to":"3""#), "echo wa:1:3 15: hi");
    check(&echo(""), "echo wa:1:GB.2 15: hi");
}

/// Text and content of a message of this type, whose other fields are `fields`.
#[track_caller]
fn check_message(fields: &str, text: &str, content: &str) {
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"changes":[{{"field":"messages",
        "value":{{"metadata":{{"phone_number_id":"1"}},"messages":[{{"from":"2","id":"w",
        {fields}}}]}}}}]}}]}}"#
    );
    let updates = parse(body.as_bytes()).expect("JSON");
    let [Update::Message(inbound)] = updates.as_slice() else { panic!("{updates:?}") };
    assert_eq!(inbound.text(), text, "{fields}");
    assert_eq!(inbound.content().is_some(), !content.is_empty(), "{fields}");
    let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
    assert_eq!(inbound.content().as_deref().and_then(value), value(content), "{fields}");
}

#[test]
fn files_and_places() {
    for (fields, text, content) in [
        (r#""type":"text","text":{"body":"hi"}"#, "hi", ""),
        (
            r#""type":"image","image":{"id":"9","mime_type":"image/png","sha256":"aa","url":"u",
                "caption":"a b"}"#,
            "[image] a b",
            r#"{"type":"image","id":"9","mime_type":"image/png","sha256":"aa","caption":"a b"}"#,
        ),
        (
            r#""type":"audio","audio":{"id":9,"voice":true}"#,
            "[audio]",
            r#"{"type":"audio","id":"9","voice":true}"#,
        ),
        (
            r#""type":"document","document":{"filename":"a.pdf","caption":"signed"}"#,
            "[document] a.pdf\nsigned",
            r#"{"type":"document","caption":"signed","filename":"a.pdf"}"#,
        ),
        (
            r#""type":"sticker","sticker":{"animated":true,"id":{}}"#,
            "[sticker]",
            r#"{"type":"sticker","animated":true}"#,
        ),
        (r#""type":"video","video":7"#, "[video]", r#"{"type":"video"}"#),
        (
            r#""type":"location","location":{"latitude":51.5,"longitude":-0.1}"#,
            "[location] 51.5, -0.1",
            r#"{"type":"location","latitude":51.5,"longitude":-0.1}"#,
        ),
        (
            r#""type":"location","location":{"latitude":"51","longitude":"north","name":"Quay",
                "address":"1 Quay"}"#,
            "[location] Quay, 1 Quay",
            r#"{"type":"location","latitude":51,"name":"Quay","address":"1 Quay"}"#,
        ),
        (
            r#""type":"contacts","contacts":[{"name":{"first_name":"Sam","last_name":"Reed"},
                "vcard":"…"},{"phones":[{"phone":"+44 7"}]},7]"#,
            "[contacts] Sam Reed, +44 7",
            r#"{"type":"contacts","contacts":[{"name":{"first_name":"Sam","last_name":"Reed"}},
                {"phones":[{"phone":"+44 7"}]}]}"#,
        ),
    ] {
        check_message(fields, text, content);
    }
}

#[test]
fn answers_and_orders() {
    let interactive = |name: &str, value: &str| {
        format!(r#""type":"interactive","interactive":{{"type":"{name}","{name}":{value}}}"#)
    };
    for (fields, text, content) in [
        (
            interactive("button_reply", r#"{"id":"y","title":"Yes"}"#),
            "Yes",
            r#"{"type":"button_reply","id":"y","title":"Yes"}"#,
        ),
        (
            r#""type":"button","button":{"payload":"y","text":"Yes"}"#.to_owned(),
            "Yes",
            r#"{"type":"button_reply","id":"y","title":"Yes"}"#,
        ),
        (interactive("button_reply", "[]"), "[button]", r#"{"type":"button_reply"}"#),
        (
            interactive("list_reply", r#"{"id":"b","title":"Brakes","description":"Pads"}"#),
            "Brakes",
            r#"{"type":"list_reply","id":"b","title":"Brakes","description":"Pads"}"#,
        ),
        (
            interactive(
                "nfm_reply",
                r#"{"name":"flow","body":"Sent",
                "response_json":"{\"a\":1}"}"#,
            ),
            "[flow] Sent",
            r#"{"type":"flow_reply","name":"flow","text":"Sent","data":{"a":1}}"#,
        ),
        (
            interactive("nfm_reply", r#"{"response_json":"{"}"#),
            "[flow]",
            r#"{"type":"flow_reply","data":"{"}"#,
        ),
        (
            interactive(
                "call_permission_reply",
                r#"{"response":"accept",
                "expiration_timestamp":"17"}"#,
            ),
            "[call permission] accept",
            r#"{"type":"call_permission","response":"accept","expires":17}"#,
        ),
        (interactive("product", "{}"), "[product]", r#"{"type":"unknown","name":"product"}"#),
        (
            r#""type":"reaction","reaction":{"message_id":"v","emoji":"👍"}"#.to_owned(),
            "[reaction] 👍",
            r#"{"type":"reaction","emoji":"👍"}"#,
        ),
        (
            r#""type":"reaction","reaction":{"message_id":"v","emoji":""}"#.to_owned(),
            "[reaction removed]",
            r#"{"type":"reaction","emoji":""}"#,
        ),
        (
            r#""type":"order","order":{"catalog_id":"8","text":"soon",
                "product_items":[{"product_retailer_id":"s","quantity":2,"item_price":19.99,
                "currency":"GBP"},{"quantity":"1"}]}"#
                .to_owned(),
            "[order] 2 × s at 19.99 GBP, 1 × ?\nsoon",
            r#"{"type":"order","catalog_id":"8","text":"soon","items":[{"product":"s",
                "quantity":2,"price":19.99,"currency":"GBP"},{"quantity":1}]}"#,
        ),
    ] {
        check_message(&fields, text, content);
    }
}

#[test]
fn notices_and_what_is_not_shown() {
    for (fields, text, content) in [
        (
            r#""type":"system","system":{"type":"customer_identity_changed","body":"new keys"}"#,
            "new keys",
            r#"{"type":"system","name":"customer_identity_changed"}"#,
        ),
        (
            r#""type":"system","system":{"type":"user_changed_number","wa_id":"3"}"#,
            "[system] user_changed_number",
            r#"{"type":"system","name":"user_changed_number","previous":{"wa_id":"2"},
                "current":{"wa_id":"3"}}"#,
        ),
        (
            r#""type":"system","system":{"type":"user_changed_user_id","user_id":"GB.3",
                "previous_user_id":"GB.2"}"#,
            "[system] user_changed_user_id",
            r#"{"type":"system","name":"user_changed_user_id","previous":{"user_id":"GB.2",
                "wa_id":"2"},"current":{"user_id":"GB.3","wa_id":"2"}}"#,
        ),
        (
            r#""type":"unsupported","unsupported":{"type":"gif"},"errors":[{"code":131051,
                "title":"no","error_data":{"details":"why"}}]"#,
            "[unsupported] gif",
            r#"{"type":"unsupported","name":"gif","errors":[{"code":131051,"title":"no",
                "details":"why"}]}"#,
        ),
        (
            r#""type":"edit","edit":{"original_message_id":"v","message":{"type":"image",
                "image":{"caption":"b"}}}"#,
            "[image] b",
            r#"{"type":"edit","content":{"type":"image","caption":"b"}}"#,
        ),
        (
            r#""type":"edit","edit":{"original_message_id":"v","message":{"type":"edit",
                "edit":{"original_message_id":"u","message":{}}}}"#,
            "[edit]",
            r#"{"type":"edit","content":{"type":"unknown","name":"edit"}}"#,
        ),
        (
            r#""type":"revoke","revoke":{"original_message_id":"v"}"#,
            "[deleted a message]",
            r#"{"type":"revoke"}"#,
        ),
        (r#""type":"revoke""#, "[revoke]", r#"{"type":"unknown","name":"revoke"}"#),
        (r#""type":"poll""#, "[poll]", r#"{"type":"unknown","name":"poll"}"#),
        (r#""type":7"#, "[7]", r#"{"type":"unknown","name":"7"}"#),
        (r#""type":null"#, "[unknown]", r#"{"type":"unknown","name":""}"#),
    ] {
        check_message(fields, text, content);
    }
}

#[test]
fn what_a_message_belongs_to() {
    let text = r#""type":"text","text":{"body":"hi"}"#;
    for (fields, content) in [
        (r#""context":{"from":"1","id":"v"}"#, ""),
        (r#""context":7,"referral":[],"errors":{}"#, ""),
        (r#""context":{"forwarded":true}"#, r#"{"type":"text","forwarded":true}"#),
        (
            r#""context":{"frequently_forwarded":true}"#,
            r#"{"type":"text","forwarded":true,"frequently_forwarded":true}"#,
        ),
        (
            r#""context":{"referred_product":{"catalog_id":"8","product_retailer_id":"s"}}"#,
            r#"{"type":"text","product":{"catalog_id":"8","product":"s"}}"#,
        ),
        (
            r#""referral":{"source_type":"ad","source_id":"9","welcome_message":{"text":"Hello"}}"#,
            r#"{"type":"text","referral":{"source_type":"ad","source_id":"9","welcome":"Hello"}}"#,
        ),
    ] {
        check_message(&format!("{text},{fields}"), "hi", content);
    }
}

#[test]
fn a_content_is_bounded_and_readable_whatever_came() {
    let long = "\\u0001".repeat(3_000);
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let card = format!(r#"{{"name":{{"formatted_name":"{long}"}},"org":{deep}}}"#);
    let cards = vec![card; 10].join(",");
    let half = r#"{"name":{"formatted_name":"cut \ud83d"},"emails":[{"email":"a@b"}]}"#;
    for fields in [
        format!(r#""type":"contacts","contacts":[{half},{cards}]"#),
        format!(r#""type":"image","image":{{"id":"{long}","caption":"{long}"}}"#),
        format!(
            r#""type":"interactive","interactive":{{"type":"nfm_reply",
                "nfm_reply":{{"response_json":"{}"}}}}"#,
            "[".repeat(100_000)
        ),
        format!(r#""type":"{long}","referral":{{"body":"{long}","headline":"{long}"}}"#),
        format!(r#""type":"text","text":{{"body":"x"}},"errors":[{}]"#, "{},".repeat(5_000) + "{}"),
    ] {
        let value = format!(
            r#"{{"metadata":{{"phone_number_id":"1"}},"messages":[{{"from":"2","id":"w",
                {fields}}}]}}"#
        );
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"changes":[{{"field":"messages",
                "value":{value}}}]}}]}}"#
        );
        let updates = parse(body.as_bytes()).expect("JSON");
        let [Update::Message(inbound)] = updates.as_slice() else { panic!("{updates:?}") };
        let content = inbound.content().expect("more than text");
        assert!(content.len() <= crate::base::limits::CONTENT_BYTES_MAX, "{}", content.len());
        let value: serde_json::Value = serde_json::from_str(&content).expect("a value");
        assert!(value["type"].is_string() && value["cut"] == true, "{content:.200}");
    }
}

#[test]
fn half_an_emoji_does_not_lose_a_message() {
    check_value(
        r#""messages":[{"from":"2","id":"a","type":"text","text":{"body":"cut \ud83d"}}]"#,
        "message wa:1:2 ?: cut \u{fffd}\u{fffd}\u{fffd}",
    );
}

#[test]
fn the_number_of_updates_is_bounded_before_they_are_built() {
    let body = |count: usize| {
        let items = vec!["7"; count].join(",");
        format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"changes":[{{"field":"messages",
            "value":{{"metadata":{{"phone_number_id":"1"}},"messages":[{items}]}}}}]}}]}}"#
        )
    };
    let most = body(WEBHOOK_UPDATES_MAX);
    assert_eq!(parse(most.as_bytes()).map(|updates| updates.len()), Ok(WEBHOOK_UPDATES_MAX));
    let more = body(WEBHOOK_UPDATES_MAX + 1);
    assert_eq!(parse(more.as_bytes()).err(), Some(ParseError::TooManyUpdates));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A stranger cannot sign, but a secret may leak: no bytes may panic.
    #[test]
    fn no_bytes_panic(at in 0..TEMPLATE.len(), with in prop::collection::vec(any::<u8>(), 0..8)) {
        let mut body = TEMPLATE.as_bytes().to_vec();
        let end = (at + with.len()).min(body.len());
        body.splice(at..end, with);
        let _ = describe(&body);
        let (mut step_by_step, at_once) = (super::Updates::default(), parse(&body));
        if let Ok(text) = std::str::from_utf8(&body)
            && super::parse::read_leniently(text, &mut step_by_step).is_ok()
        {
            let step_by_step: Vec<_> = step_by_step.collect();
            prop_assert_eq!(format!("{at_once:?}"), format!("Ok({step_by_step:?})"));
        }
        for update in parse(&body).unwrap_or_default() {
            if let Update::Message(message) | Update::Echo(message) = update {
                let content = message.content().unwrap_or("{}".to_owned());
                assert!(serde_json::from_str::<serde_json::Value>(&content).is_ok(), "{content}");
            }
        }
    }
}

const TEMPLATE: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[
{"field":"messages","value":{"metadata":{"display_phone_number":"15","phone_number_id":"1"},
"contacts":[{"profile":{"name":"\u00e9"},"wa_id":"2","user_id":"GB.2"}],"messages":[{"from":"2",
"id":"w","timestamp":"17","type":"text","text":{"body":"hi"},"context":{"id":"v"}}],
"statuses":[{"id":"u","status":"sent","timestamp":1,"errors":[{"code":1}]}]}},
{"field":"smb_message_echoes","value":{"metadata":{"phone_number_id":"1"},"message_echoes":[
{"to":"2","id":"e","type":"contacts","contacts":[{"name":{"formatted_name":"S"},"phones":[{}]}],
"referral":{"body":"b"}}]}}]}]}"#;
