//! The examples of the documents, by what they do.

use super::{Desk, NOW_MS, ROOM, contact};
use crate::handlers::{EventKind, Occasion, Source};

/// Monday, 2026-11-23T20:00:00Z: behind closing time.
const EVENING_MS: i64 = NOW_MS + 10 * 3_600_000;
const HOUR_MS: i64 = 3_600_000;

/// All files of `docs/examples/handlers`: (name, definition).
fn examples() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/handlers");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8").to_owned();
        found.push((name, std::fs::read_to_string(&path).expect("a text")));
    }
    assert!(found.len() >= 10);
    found
}

/// All of them together, as an operator would have them.
fn desk() -> Desk {
    let examples = examples();
    let all: Vec<_> = examples.iter().map(|(name, json)| (&**name, &**json)).collect();
    Desk::with(&all)
}

#[test]
fn one_occasion() {
    let base = contact(NOW_MS);
    let chose = |choice, text| Occasion {
        choice: Some(choice),
        content_type: "button_reply",
        text,
        ..base
    };
    let of = |kind| Occasion { state: "open", ..Occasion::new(kind, NOW_MS, ROOM) };
    let failed = |error| Occasion { status: "failed", error, ..of(EventKind::Status) };
    let waited = |from: i64, minutes: i64| Occasion {
        unanswered_from_ms: from * 60_000,
        unanswered_ms: minutes * 60_000,
        ..of(EventKind::Unanswered)
    };
    let resolved =
        |source| Occasion { state: "resolved", source, sender: "alice", ..of(EventKind::State) };
    let away = "away: \"Thank you for your message, Ada. We are here Monday to Friday from 9 to 18 \
        and on Saturday from 10 to 14.\"";
    let greeting = "greeting: \"Welcome, Ada! Write \\\"menu\\\" at any time to see what we can do \
        for you.\" + tag +new -";
    for (occasion, want) in [
        (Occasion { text: "Hello", ..base }, String::new()),
        (Occasion { text: "Hello", now_ms: EVENING_MS, ..base }, away.to_owned()),
        (Occasion { text: "Hello", now_ms: EVENING_MS, room: "general", number: None, ..base }, {
            String::new()
        }),
        (Occasion { text: "Hello", is_first_contact: true, ..base }, greeting.to_owned()),
        (
            chose("menu/hours", "Opening hours"),
            "menu-hours: \"Monday to Friday from 9 to 18, Saturday from 10 to 14.\"".to_owned(),
        ),
        (
            chose("menu/agent", "Talk to a person"),
            "menu-agent: \"Somebody will be with you soon.\" + state open + assign nobody + \
             tag +wants-person - + note \"Ada wants to talk to a person.\""
                .to_owned(),
        ),
        (
            failed(131_047),
            "undelivered: note \"Our message was not delivered (error 131047). Perhaps call \
             them?\" + tag +undelivered -"
                .to_owned(),
        ),
        (failed(130_429), String::new()),
        (Occasion { status: "read", ..of(EventKind::Status) }, String::new()),
        (waited(0, 14), String::new()),
        (
            waited(0, 15),
            "overdue: tag +overdue - + note \"No answer for 15 minutes.\" + in team \
             \"wa:1102:447700900123 waits for anybody.\""
                .to_owned(),
        ),
        (waited(15, 30), String::new()),
        (resolved(Source::Handler), String::new()),
        (Occasion { source: Source::Person, sender: "alice", text: "menu", ..base }, String::new()),
    ] {
        assert_eq!(desk().meet(&occasion), want, "{occasion:?}");
    }
}

#[test]
fn somebody_is_told_once_in_four_hours_that_nobody_is_there() {
    let mut desk = desk();
    let told = |answer: String| answer.starts_with("away: ");
    assert!(told(desk.hear_at(EVENING_MS, "Hello?")));
    assert!(!told(desk.hear_at(EVENING_MS + HOUR_MS, "Hello??")));
    assert!(told(desk.hear_at(EVENING_MS + 4 * HOUR_MS, "Good night")));
}

#[test]
fn the_menu_stops_what_comes_behind_it() {
    let mut desk = desk();
    // "help with my order" would ask for a number as well.
    let menu = desk.hear("Help with my order");
    assert!(menu.starts_with("menu: ") && menu.contains("menu/hours"), "{menu}");
    assert!(!menu.contains("order-number"), "{menu}");
}

#[test]
fn an_order_number_is_asked_for_and_handed_on() {
    let number = "order-number: \"What is your order number, Ada? It has six digits.\" + \
        wait 30 min";
    let again = "order-number: \"That is no order number. It has six digits and stands on the \
        receipt.\" + wait 30 min";
    let given_up = "order-number: end + note \"Ada asked about an order and gave no number.\" + \
        tag +order -";
    let mut desk = desk();
    let tapped = Occasion { choice: Some("menu/order"), text: "My order", ..contact(NOW_MS) };
    assert_eq!(desk.meet(&tapped), number);
    assert_eq!(desk.hear("it is 12"), again);
    let reason = desk.hear(" #123456 ");
    assert!(reason.contains("Order #123456: what is wrong?"), "{reason}");
    let tapped = Occasion { choice: Some("late"), text: "It is late", ..contact(NOW_MS) };
    assert_eq!(
        desk.meet(&tapped),
        "order-number: end + tag +order,order-late - + note \"Order #123456: late\" + \
         \"Thank you. We are looking into it.\""
    );
    assert_eq!(desk.hear("where is my parcel"), number);
    assert_eq!(desk.time_out(), given_up);
}

#[test]
fn the_shop_is_asked_and_its_answer_said() {
    let called = "order-status: typing + signed call https://shop.example/api/order-status \
        {\"contact\":\"447700900123\",\"order\":\"123456\"} for 8000";
    for (status, body, want) in [
        (
            200,
            r#"{"state": "on its way", "text": "It comes tomorrow."}"#,
            "order-status: \"Order 123456 is on its way. It comes tomorrow.\"",
        ),
        (200, "{}", "order-status: \"Order 123456 is unknown to us. \""),
        (
            502,
            "",
            "order-status: \"I cannot look that up right now. Somebody will answer you.\" + \
             note \"The shop did not answer: 502 \"",
        ),
    ] {
        let mut desk = desk();
        assert_eq!(desk.hear("Status #123456"), called);
        assert_eq!(desk.reply(status, body), want);
    }
}

/// The contact is asked, although somebody of the team gave the reason.
#[test]
fn a_resolved_conversation_is_asked_about() {
    let mut desk = desk();
    let resolved = Occasion {
        state: "resolved",
        source: Source::Person,
        sender: "alice",
        ..Occasion::new(EventKind::State, NOW_MS, ROOM)
    };
    let asked = desk.meet(&resolved);
    assert!(asked.contains("Did we solve it?") && asked.contains("wait 1440 min"), "{asked}");
    let agent = Occasion { source: Source::Person, sender: "alice", ..contact(NOW_MS) };
    assert_eq!(desk.meet(&Occasion { text: "yes", ..agent }), "");
    let tapped = Occasion { choice: Some("no"), text: "No", ..contact(NOW_MS) };
    assert_eq!(desk.meet(&tapped), "survey: end + tag +solved-no - + \"Thank you!\"");
    assert_eq!(desk.meet(&resolved), "", "once a week");
}
