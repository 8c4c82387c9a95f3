//! What handlers do, over several messages.

use super::{Desk, NOW_MS, ROOM, contact};
use crate::handlers::{EventKind, Occasion, Source};

#[test]
fn actions_with_placeholders() {
    for (actions, text, want) in [
        (r#"{"reply": "Hi {{name}}, {{text}}!"}"#, "x", r#"h: "Hi Ada, x!""#),
        (r#"{"reply": "{{assignee|nobody}} {{ contact }}"}"#, "x", r#"h: "nobody 447700900123""#),
        (r#"{"reply": "a \\{{name}}", "quote": true}"#, "x", r#"h: quoting "a {{name}}""#),
        (
            r#"{"reply": {"type": "buttons", "text": "{{text}}", "buttons": [{"title": "a"}]}}"#,
            "\"},\n\\",
            concat!(
                r#"h: "{\"buttons\":[{\"title\":\"a\"}],"#,
                r#"\"text\":\"\\\"},\\n\\\\\",\"type\":\"buttons\"}""#
            ),
        ),
        (r#"[{"read": true}, {"typing": true}]"#, "x", "h: read + typing"),
        (r#"{"post": "{{name}} is here", "to": "ops"}"#, "x", r#"h: in ops "Ada is here""#),
        (r#"{"tag": ["a", "b{{number}}"], "untag": "c"}"#, "x", "h: tag +a,b1102 -c"),
        (r#"{"untag": "c"}"#, "x", "h: tag + -c"),
        (r#"[{"assign": "alice"}, {"assign": null}]"#, "x", "h: assign alice + assign nobody"),
        (r#"{"state": "resolved"}"#, "x", "h: state resolved"),
        (r#"{"command": "topic", "args": "for {{name}}"}"#, "x", "h: /topic for Ada"),
        (r#"{"note": "{{tags}}{{state}}"}"#, "x", r#"h: note "open""#),
        (r#"[{"note": "{{tags}}"}, {"reply": "y"}]"#, "x", r#"h: "y""#),
        (
            r#"{"call": "https://x.example/a", "timeout_s": 9,
                "body": {"q": ["{{text}}", 1, null]}}"#,
            "\"",
            r#"h: call https://x.example/a {"q":["\"",1,null]} for 9000"#,
        ),
    ] {
        let mut desk = Desk::with(&[("h", &format!(r#"{{"when": {{}}, "do": {actions}}}"#))]);
        assert_eq!(desk.hear(text), want, "{actions}");
    }
}

#[test]
fn what_conditions_found_can_be_said() {
    for (when, say, text, want) in [
        (r#"{"command": "o"}"#, "{{args}}|{{arg.2}}", "/o  1 2 3", "1 2 3|2"),
        (r#"{"command": "o"}"#, "{{arg.1|none}}", "/o", "none"),
        (
            r#"{"text": {"regex": "(\\d+) (?<unit>kg|g)"}}"#,
            "{{match.unit}}{{match.1}}{{match.0}}",
            "buy 12 KG",
            "KG1212 KG",
        ),
        (
            r#"{"any": [{"text": {"regex": "a(b)?"}}, {"text": {"regex": "c(.)"}}]}"#,
            "<{{match.1}}>",
            "cx",
            "<x>",
        ),
        (r#"{"text": {"regex": ["z", "a(b)?"]}}"#, "<{{match.1}}>", "a", "<>"),
    ] {
        let json = format!(r#"{{"when": {when}, "do": {{"reply": "{say}"}}}}"#);
        let mut desk = Desk::with(&[("h", &json)]);
        assert_eq!(desk.hear(text), format!("h: {want:?}"), "{json}");
    }
}

const ORDER: &str = r#"{
    "when": {"text": {"keyword": "order"}},
    "do": [{"ask": "Which number, {{name}}?", "as": "no", "timeout_min": 30,
            "expect": {"regex": "^\\d{4}$"}, "again": "Four digits, please.", "tries": 2,
            "then": [{"ask": "And your post code?", "as": "code", "then":
                {"reply": "{{answers.no}}/{{answers.code}} {{text}}"}}],
            "else": [{"note": "{{name}} gave no number"}, {"assign": "alice"}]}]}"#;

#[test]
fn questions_wait_for_their_answers() {
    let asked = r#"order: "Which number, Ada?" + wait 30 min"#;
    let again = r#"order: "Four digits, please." + wait 30 min"#;
    let second = r#"order: end + "And your post code?" + wait 60 min"#;
    let given_up = r#"order: end + note "Ada gave no number" + assign alice"#;
    for (texts, want) in [
        (
            &["my order", "1234", "N1 9GU"][..],
            &[asked, second, r#"order: end + "1234/N1 9GU N1 9GU""#][..],
        ),
        (&["my order", "what?", "1234"], &[asked, again, second]),
        (&["my order", "order", "order", "order"], &[asked, again, given_up, asked]),
    ] {
        let mut desk = Desk::with(&[("order", ORDER)]);
        for (text, want) in texts.iter().zip(want) {
            assert_eq!(desk.hear(text), *want, "{texts:?}");
        }
    }
    let mut desk = Desk::with(&[("order", ORDER)]);
    desk.hear("order");
    assert_eq!(desk.time_out(), given_up);
    assert_eq!(desk.step, None);
    let (_, counts) = desk.handlers.iter().next().expect("one");
    assert_eq!((counts.fired, counts.answered, counts.unanswered), (2, 0, 1));
}

#[test]
fn an_answer_is_an_answer_and_nothing_else() {
    let cancel = r#"{"when": {"text": {"equals": "stop"}}, "priority": 9, "stop": true,
        "do": [{"end": true}, {"reply": "Never mind."}]}"#;
    let any = r#"{"when": {}, "do": {"note": "heard"}}"#;
    let mut desk = Desk::with(&[("order", ORDER), ("cancel", cancel), ("zz-any", any)]);
    let asked = r#"order: "Which number, Ada?" + wait 30 min; zz-any: note "heard""#;
    assert_eq!(desk.hear("order"), asked);
    // Somebody else speaks, and machines do.
    let agent = Occasion { source: Source::Person, sender: "alice", ..contact(NOW_MS) };
    assert_eq!(desk.meet(&Occasion { text: "1234", ..agent }), "");
    let handler = Occasion { source: Source::Handler, ..contact(NOW_MS) };
    assert_eq!(desk.meet(&Occasion { text: "1234", ..handler }), "");
    let status = Occasion { status: "read", ..Occasion::new(EventKind::Status, NOW_MS, ROOM) };
    assert_eq!(desk.meet(&status), "");
    // Who is asked before it may end it.
    assert_eq!(desk.hear("stop"), r#"cancel: end + "Never mind.""#);
    assert_eq!(desk.hear("1234"), r#"zz-any: note "heard""#);
}

#[test]
fn a_tapped_button_answers_with_its_id() {
    let json = r#"{"when": {}, "do": {"ask": {"type": "buttons", "text": "Sure?", "buttons":
        [{"title": "Yes", "id": "y"}]}, "as": "sure", "expect": {"equals": ["y", "n"]},
        "then": {"reply": "{{answers.sure}}"}}}"#;
    let mut desk = Desk::with(&[("h", json)]);
    desk.hear("x");
    let tapped = Occasion { text: "Yes", choice: Some("y"), ..contact(NOW_MS) };
    assert_eq!(desk.meet(&tapped), r#"h: end + "y""#);
}

#[test]
fn calls_are_answered_and_questions_follow() {
    let json = r#"{"when": {"command": "status"}, "do": {"call": "https://shop.example/status",
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "then": [{"reply": "{{name}}: {{reply.state}} {{reply.items.0.n}} {{reply.none|-}}"},
                 {"ask": "More?", "as": "more",
                  "then": {"reply": "{{reply.state}} {{answers.more}} {{arg.1}} {{text}}"}}],
        "else": {"note": "{{call.status}} {{call.error}} {{reply}} for {{text}}"}}}"#;
    let called = concat!(
        r#"h: signed call https://shop.example/status {"event":"message","first_contact":false,"#,
        r#""from":"contact","name":"Ada","number":"1102","room":"wa:1102:447700900123","#,
        r#""sender":"wa:447700900123","state":"open","text":"/status 7","ts":1795428000000,"#,
        r#""type":"text"} for 5000"#
    );
    let mut desk = Desk::with(&[("h", json)]);
    assert_eq!(desk.hear("/status 7"), called);
    let body = r#"{"state": "sent", "items": [{"n": 3}]}"#;
    assert_eq!(desk.reply(200, body), r#"h: "Ada: sent 3 -" + "More?" + wait 60 min"#);
    assert_eq!(desk.hear("yes"), r#"h: end + "sent yes 7 yes""#);
    desk.hear("/status 8");
    assert_eq!(desk.reply(500, "oh"), r#"h: note "500  oh for /status 8""#);
    desk.hear("/status 9");
    assert_eq!(desk.reply(0, ""), r#"h: note "0 nobody is there  for /status 9""#);
    let (_, counts) = desk.handlers.iter().next().expect("one");
    assert_eq!((counts.calls, counts.calls_ms, counts.failed), (3, 60, 2));
    assert_eq!(&*counts.last_error, "https://shop.example/status: nobody is there");
}

/// A definition may change while its question or call waits.
#[test]
fn what_waited_for_another_definition_ends() {
    let other = ORDER.replace("Which", "What");
    for change in ["", &other] {
        let mut desk = Desk::with(&[("order", ORDER)]);
        desk.hear("order");
        match change {
            "" => desk.handlers.remove("order"),
            json => {
                desk.handlers.put(crate::handlers::Handler::parse("order", json).expect("good"))
            }
        }
        assert_eq!(desk.hear("1234"), "order: end", "{change}");
        assert_eq!(desk.hear("1234"), "");
    }
    let mut desk = Desk::with(&[("order", ORDER)]);
    desk.hear("order");
    desk.handlers.remove("order");
    assert_eq!(desk.time_out(), "order: end");
    desk.step = Some(("no JSON".to_owned(), NOW_MS));
    assert_eq!(desk.hear("x"), "");
    assert_eq!(desk.time_out(), "");
}

#[test]
fn counters_survive_a_change() {
    let mut desk = Desk::with(&[("h", r#"{"when": {}, "do": {"reply": "1"}}"#)]);
    desk.hear("x");
    desk.handlers.failed("h", 7, "the window is closed");
    let changed = crate::handlers::Handler::parse("h", r#"{"when": {}, "do": {"reply": "2"}}"#);
    desk.handlers.put(changed.expect("good"));
    assert_eq!(desk.hear("x"), r#"h: "2""#);
    let (_, counts) = desk.handlers.iter().next().expect("one");
    assert_eq!((counts.fired, counts.failed, counts.failed_at_ms), (2, 1, 7));
    let mut sum = counts.clone();
    sum.add(counts);
    assert_eq!((sum.fired, &*sum.last_error), (4, "the window is closed"));
}
