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
            let room = inbound.room_name().unwrap_or("?".to_owned());
            let name = inbound.profile_name.as_deref().unwrap_or("?");
            match &inbound.kind {
                Kind::Text { body } => format!("message {room} {name}: {body}"),
                Kind::Other { type_name } => format!("message {room} {name}: <{type_name}>"),
            }
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
         message wa:1:2 ?: <text>; message wa:1:GB.3 ?: <video>; Sent a (None, None) []; \
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
    check(r#""from":"2","#, "message wa:1:GB.2 Ada: <image>");
    check(r#""from_user_id":"GB.2","#, "message wa:1:GB.2 Ada: <image>");
    check(r#""from":"3","#, "message wa:1:3 Bob: <image>");
    check(r#""from":"3","group_id":"g=","#, "message wa:1:g= Bob: <image>");
    check(r#""from":4,"#, "message wa:1:4 ?: <image>");
    check(r#""from":"","#, "unknown messages image");
    check(r#""system":{"previous_user_id":"GB.9"},"#, "message wa:1:GB.9 ?: <image>");
    check("", "unknown messages image");
    check_value(
        r#""contacts":[{"wa_id":"2"}],"messages":[{"id":"w","type":"x"}]"#,
        "message wa:1:2 ?: <x>",
    );
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
    }
}

const TEMPLATE: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[
{"field":"messages","value":{"metadata":{"display_phone_number":"15","phone_number_id":"1"},
"contacts":[{"profile":{"name":"\u00e9"},"wa_id":"2","user_id":"GB.2"}],"messages":[{"from":"2",
"id":"w","timestamp":"17","type":"text","text":{"body":"hi"},"context":{"id":"v"}}],
"statuses":[{"id":"u","status":"sent","timestamp":1,"errors":[{"code":1}]}]}}]}]}"#;
