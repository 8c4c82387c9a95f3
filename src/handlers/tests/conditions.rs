//! When handlers fire.

use super::{Desk, NOW_MS, ROOM, contact};
use crate::handlers::{EventKind, Occasion, Source};
use std::sync::Arc;

#[test]
fn texts() {
    for (when, text, want) in [
        (r#"{"text": {"equals": "Menu"}}"#, "  menu ", true),
        (r#"{"text": {"equals": "menu"}}"#, "menus", false),
        (r#"{"text": {"equals": "Menu", "ignore_case": false}}"#, "menu", false),
        (r#"{"text": {"prefix": ["hi", "hello"]}}"#, "Hello you", true),
        (r#"{"text": {"prefix": "hi"}}"#, "oh hi", false),
        (r#"{"text": {"contains": "price"}}"#, "PRICES?", true),
        (r#"{"text": {"keyword": "price"}}"#, "prices?", false),
        (r#"{"text": {"keyword": "price"}}"#, "the price?", true),
        (r#"{"text": {"keyword": "price"}}"#, "prices, price!", true),
        (r#"{"text": {"keyword": "öl"}}"#, "Brauche ÖL.", true),
        (r#"{"text": {"keyword": "öl"}}"#, "KÖLN", false),
        (r#"{"text": {"keyword": "order status"}}"#, "my Order Status please", true),
        (r#"{"text": {"regex": "^#\\d{4}$"}}"#, "#1234", true),
        (r#"{"text": {"regex": "^#\\d{4}$"}}"#, "#12345", false),
        (r#"{"text": {"regex": "abc"}}"#, "xABCx", true),
        (r#"{"text": {"regex": "abc", "ignore_case": false}}"#, "xABCx", false),
        (r#"{"text": {"contains": "a", "prefix": "b"}}"#, "ba", true),
        (r#"{"text": {"contains": "a", "prefix": "b"}}"#, "ab", false),
        (r#"{"command": "order"}"#, "/order 12", true),
        (r#"{"command": "order"}"#, "/orders 12", false),
        (r#"{"command": "order"}"#, "order 12", false),
        (r#"{"not": {"text": {"contains": "a"}}}"#, "b", true),
        (r#"{"any": [{"text": {"equals": "a"}}, {"text": {"equals": "b"}}]}"#, "b", true),
        (r#"{"all": [{"text": {"contains": "a"}}, {"text": {"contains": "b"}}]}"#, "b", false),
        (r#"{"text": {"contains": "a"}, "not": {"text": {"contains": "b"}}}"#, "ab", false),
    ] {
        check(when, &Occasion { text, ..contact(NOW_MS) }, want);
    }
}

#[test]
fn what_is_known_of_the_message_and_the_room() {
    let tags: [Arc<str>; 2] = ["vip".into(), "de".into()];
    let base = Occasion { tags: &tags, assignee: "alice", ..contact(NOW_MS) };
    let image = Occasion { content_type: "image", ..base };
    let tapped = Occasion { content_type: "button", choice: Some("menu/price"), ..base };
    let first = Occasion { is_first_contact: true, ..base };
    for (when, occasion, want) in [
        ("{}", base, true),
        (r#"{"number": "1102"}"#, base, true),
        (r#"{"number": ["1103", "1104"]}"#, base, false),
        (r#"{"room": "wa:*"}"#, base, true),
        (r#"{"room": "support/*"}"#, base, false),
        (r#"{"sender": "wa:4477*"}"#, base, true),
        (r#"{"sender": "wa:49*"}"#, base, false),
        (r#"{"type": ["image", "video"]}"#, image, true),
        (r#"{"type": "image"}"#, base, false),
        (r#"{"choice": "menu/*"}"#, tapped, true),
        (r#"{"choice": "yes"}"#, tapped, false),
        (r#"{"choice": "*"}"#, base, false),
        (r#"{"first_contact": true}"#, first, true),
        (r#"{"first_contact": true}"#, base, false),
        (r#"{"first_contact": false}"#, base, true),
        (r#"{"tag": ["x", "vip"]}"#, base, true),
        (r#"{"tag": "vi"}"#, base, false),
        (r#"{"state": ["open", "pending"]}"#, base, true),
        (r#"{"state": "resolved"}"#, base, false),
        (r#"{"assigned": true}"#, base, true),
        (r#"{"assigned": false}"#, base, false),
        (r#"{"assignee": "al*"}"#, base, true),
        (r#"{"assignee": "*"}"#, Occasion { assignee: "", ..base }, false),
        (r#"{"hours": {"zone": "UTC", "mon": "10:00-11:00"}}"#, base, true),
        (r#"{"hours": {"zone": "UTC", "mon": "10:01-11:00"}}"#, base, false),
    ] {
        check(when, &occasion, want);
    }
}

#[test]
fn people_are_heard_and_machines_only_when_asked_for() {
    let said = |room, source| Occasion { source, ..Occasion { room, ..contact(NOW_MS) } };
    let elsewhere = |source| Occasion {
        source,
        sender: "bob",
        ..Occasion::new(EventKind::Message, NOW_MS, "general")
    };
    use Source::{Api, Command, Contact, Handler, Person, System};
    for (when, occasion, want) in [
        ("{}", said(ROOM, Contact), true),
        ("{}", said(ROOM, Person), false),
        ("{}", said(ROOM, Handler), false),
        (r#"{"from": "person"}"#, said(ROOM, Person), true),
        (r#"{"from": "person"}"#, said(ROOM, Contact), false),
        ("{}", elsewhere(Person), true),
        ("{}", elsewhere(Api), true),
        ("{}", elsewhere(Handler), false),
        ("{}", elsewhere(Command), false),
        ("{}", elsewhere(System), false),
        (r#"{"from": ["handler", "command"]}"#, elsewhere(Command), true),
        (r#"{"from": "handler"}"#, Occasion { depth: 4, ..elsewhere(Handler) }, true),
        (r#"{"from": "handler"}"#, Occasion { depth: 5, ..elsewhere(Handler) }, false),
    ] {
        check(when, &occasion, want);
    }
}

/// Complaint of others' users: a bot that ran four times a message, once for each status.
#[test]
fn statuses_fire_only_what_waits_for_them() {
    let status = |status, error| Occasion {
        status,
        error,
        sender: "wa:447700900123",
        ..Occasion::new(EventKind::Status, NOW_MS, ROOM)
    };
    for (when, occasion, want) in [
        ("{}", status("sent", 0), false),
        (r#"{"event": "message"}"#, status("delivered", 0), false),
        (r#"{"event": "status"}"#, status("read", 0), true),
        (r#"{"status": ["failed"]}"#, status("failed", 131_026), true),
        (r#"{"status": "failed"}"#, status("read", 0), false),
        (r#"{"error": [131047, 131026]}"#, status("failed", 131_026), true),
        (r#"{"error": 131047}"#, status("failed", 131_026), false),
        (r#"{"event": ["status", "message"]}"#, status("sent", 0), true),
        (r#"{"status": "read"}"#, contact(NOW_MS), false),
    ] {
        check(when, &occasion, want);
    }
}

#[test]
fn other_events() {
    let event = |kind| Occasion { source: Source::Person, ..Occasion::new(kind, NOW_MS, ROOM) };
    for (when, occasion, want) in [
        (r#"{"event": "state", "state": "resolved"}"#, EventKind::State, true),
        (r#"{"event": "assigned"}"#, EventKind::Assigned, true),
        (r#"{"event": "assigned"}"#, EventKind::State, false),
        (r#"{"event": ["joined", "left"]}"#, EventKind::Left, true),
        (r#"{"event": "tagged", "tag": "x"}"#, EventKind::Tagged, false),
        (r#"{"event": "platform"}"#, EventKind::Platform, true),
    ] {
        check(when, &Occasion { state: "resolved", ..event(occasion) }, want);
    }
    let by_handler = Occasion { source: Source::Handler, ..event(EventKind::State) };
    check(r#"{"event": "state"}"#, &by_handler, false);
    check(r#"{"event": "state", "from": "handler"}"#, &by_handler, true);
}

#[test]
fn waits_fire_once_when_they_pass() {
    let mut desk = Desk::with(&[
        ("five", r#"{"when": {"unanswered_min": 5}, "do": {"note": "{{unanswered_min}}"}}"#),
        ("ten", r#"{"when": {"unanswered_min": 10, "tag": "x"}, "do": {"tag": "late"}}"#),
    ]);
    let min = 60_000;
    let next = |after_min: i64| desk.handlers.next_unanswered(after_min * min).map(|ms| ms / min);
    assert_eq!([next(0), next(4), next(5), next(10)], [Some(5), Some(5), Some(10), None]);
    for (from, until, want) in [
        (0, 4, ""),
        (0, 5, "five: note \"5\""),
        (5, 9, ""),
        (4, 60, "five: note \"60\""),
        (60, 61, ""),
    ] {
        let occasion = Occasion {
            unanswered_from_ms: from * min,
            unanswered_ms: until * min,
            ..Occasion::new(EventKind::Unanswered, NOW_MS, ROOM)
        };
        assert_eq!(desk.meet(&occasion), want, "{from} {until}");
    }
}

#[test]
fn order_priority_and_stop() {
    let make = |rest: &str| format!(r#"{{"when": {{}}, "do": {{"note": "x"}}{rest}}}"#);
    for (b, c, want) in [
        ("", "", "a b c"),
        (r#", "priority": 5"#, "", "b a c"),
        (r#", "priority": -1"#, "", "a c b"),
        (r#", "stop": true"#, "", "a b"),
        (r#", "stop": true"#, r#", "priority": 1"#, "c a b"),
        (r#", "enabled": false"#, "", "a c"),
    ] {
        let mut desk = Desk::with(&[("c", &make(c)), ("a", &make("")), ("b", &make(b))]);
        let done = desk.hear("hi").replace(": note \"x\"", "").replace(';', "");
        assert_eq!(done, want, "{b} {c}");
    }
}

#[test]
fn limits() {
    let definition =
        |limits: &str| format!(r#"{{"when": {{}}, "do": {{"reply": "r"}}, "limits": {limits}}}"#);
    let min = 60_000;
    for (limits, times, want) in [
        (r#"{"cooldown_min": 240}"#, vec![0, 1, 239, 240, 241], "y..y."),
        (r#"{"times": 2, "per_s": 60}"#, vec![0, 0, 0, 1, 1], "yy.yy"),
        ("{}", vec![0; 21], "yyyyyyyyyyyyyyyyyyyy."),
    ] {
        let mut desk = Desk::with(&[("h", &definition(limits))]);
        let fired = times.iter().map(|at| desk.hear_at(NOW_MS + at * min, "x").is_empty());
        let fired: String = fired.map(|nothing| if nothing { '.' } else { 'y' }).collect();
        assert_eq!(fired, want, "{limits}");
        let (_, counts) = desk.handlers.iter().next().expect("one");
        let quiet = want.matches('.').count() as u64;
        assert_eq!((counts.matched, counts.limited), (want.len() as u64, quiet));
        assert_eq!(counts.fired, want.len() as u64 - quiet);
    }
    let mut desk = Desk::with(&[("h", &definition(r#"{"cooldown_min": 240}"#))]);
    desk.handlers.fired_before("h", ROOM, "wa:447700900123", NOW_MS - 60 * min);
    assert_eq!(desk.hear("x"), "", "the cooldown goes on over a start");
}

#[test]
fn regular_expressions_together_look_at_so_much_text() {
    let handlers: Vec<(String, String)> = (0..40)
        .map(|n| {
            let json = format!(
                r#"{{"when": {{"text": {{"regex": "never{n}"}}}}, "do": {{"end": true}}}}"#
            );
            (format!("h{n:02}"), json)
        })
        .collect();
    let borrowed: Vec<_> = handlers.iter().map(|(name, json)| (&**name, &**json)).collect();
    let mut desk = Desk::with(&borrowed);
    desk.hear(&"x".repeat(100));
    assert!(desk.handlers.iter().all(|(_, counts)| counts.limited == 0));
    desk.hear(&"x".repeat(20_000));
    let limited = desk.handlers.iter().filter(|(_, counts)| counts.limited == 1).count();
    assert_eq!(limited, 40 - 16, "16 times 8 KiB");
}

#[track_caller]
fn check(when: &str, occasion: &Occasion<'_>, want: bool) {
    let mut desk =
        Desk::with(&[("h", &format!(r#"{{"when": {when}, "do": {{"note": "fired"}}}}"#))]);
    let fired = desk.meet(occasion) == "h: note \"fired\"";
    assert_eq!(fired, want, "{when} for {occasion:?}");
}
