//! The books of a room against every kind of fault, and the limits.

use super::audit::Audit;
use super::ledger::{Ledger, Meters};
use super::limits;
use crate::scenarios::{Outcome, Settings};
use serde_json::{Value, json};

/// Two members, two messages; what happens is written as one word per event:
/// `a1` member a gets offset 1, `k0=1` message 0 is acked as 1, `r1` message 1 is refused,
/// `x1` offset 1 comes to member a with a changed text, `d2` message 0 comes again as offset 2.
fn play(script: &str) -> (Ledger, Outcome) {
    let mut ledger = Ledger::new("room".into(), "t-".into(), 2, 7, 16);
    let mut meters = Meters::new();
    meters.from = 0;
    ledger.joined(0, 0);
    ledger.joined(1, 0);
    let mut texts = Vec::new();
    for due in [0, 100] {
        let mut frame = Vec::new();
        ledger.send(due, 10, &mut frame);
        let frame: Value = serde_json::from_slice(&frame).expect("json");
        texts.push(frame["d"].clone());
    }
    for word in script.split_whitespace() {
        let (verb, rest) = word.split_at(1);
        let numbers: Vec<u64> = rest.split('=').map(|n| n.parse().expect("number")).collect();
        let member = usize::from(verb == "b");
        let o = numbers[0];
        let d = match verb {
            "k" => {
                ledger.acked(o, &json!({"o": numbers[1], "dup": false}), 500, &mut meters);
                continue;
            }
            "r" => {
                ledger.refused(o, "overloaded", "");
                continue;
            }
            "x" => json!({"cid": texts[o as usize - 1]["cid"], "text": "changed"}),
            "d" => texts[0].clone(),
            _ => texts.get(o as usize - 1).cloned().unwrap_or(json!({"from": "else"})),
        };
        let event = json!({"t": "msg", "room": "room", "o": o, "d": d});
        let payload = event.to_string().into_bytes();
        if ledger.known(member, &payload, 1_000, &mut meters).is_none() {
            ledger.event(member, (o, &event, &payload), 1_000, &mut meters);
        }
    }
    let outcome = ledger.outcome();
    (ledger, outcome)
}

/// (missing, duplicated, misordered, corrupt, broken, refused)
#[track_caller]
fn check(script: &str, want: (u64, u64, u64, u64, u64, u64)) {
    let (ledger, got) = play(script);
    let faults =
        (got.missing(), got.duplicated, got.misordered, got.corrupt, got.broken, got.refused);
    assert_eq!(faults, want, "{script}: {:?}", got.findings);
    let (missing, duplicated, misordered, corrupt, broken, _) = want;
    let clean = missing + duplicated + misordered + corrupt + broken == 0;
    assert_eq!(got.clean(), clean, "{script}");
    if clean {
        assert!(ledger.settled(), "{script}");
    }
}

#[test]
fn faults_of_a_server() {
    check("a1 b1 k0=1 a2 b2 k1=2", (0, 0, 0, 0, 0, 0));
    check("k0=1 k1=2 a1 a2 b1 b2", (0, 0, 0, 0, 0, 0));
    check("a1 b1 k0=1 r1", (0, 0, 0, 0, 0, 1));
    check("a1 b1 k0=1 a2 k1=2", (1, 0, 0, 0, 0, 0));
    check("a1 b2 k0=1 a2 b1 k1=2", (0, 0, 1, 0, 0, 0));
    check("a1 a1 b1 k0=1 a2 b2 k1=2", (0, 1, 0, 0, 0, 0));
    check("a1 b1 k0=1 a2 b2", (0, 0, 0, 0, 1, 0));
    check("a1 b1 k0=2 a2 b2 k1=2", (0, 0, 0, 0, 1, 0));
    check("x1 b1 k0=1 a2 b2 k1=2", (0, 0, 0, 1, 0, 0));
    check("a1 b1 k0=1 a2 b2 k1=2 a3 d4 b3 b4", (0, 1, 0, 0, 0, 0));
    check("a1 b1 k0=1 a2 b2 k1=2 a3 b4", (0, 0, 0, 0, 1, 0));
    check("a1 b1 k0=1 r1 a2 b2", (0, 0, 0, 0, 1, 1));
    check("", (4, 0, 0, 0, 2, 0));
}

#[test]
fn history_must_hold_what_was_acked() {
    let page = |ledger: &mut Ledger, pages: &[Value]| {
        let mut audit = Audit::new(ledger);
        let mut walked = 0;
        while audit.next().is_some() {
            audit.page(ledger, &pages[walked]);
            walked += 1;
        }
        assert_eq!(walked, pages.len());
        ledger.outcome().broken
    };
    let mut texts = Vec::new();
    for number in 0..2 {
        let mut text = Vec::new();
        crate::scenarios::fill(&mut text, 7, number, 16);
        texts.push(String::from_utf8(text).expect("letters"));
    }
    let msg = |o: u64, n: usize| json!({"o": o, "d": {"cid": format!("t-{n}"), "text": texts[n]}});
    let script = "a1 b1 k0=1 a2 b2 k1=2";
    let both = json!({"msgs": [msg(1, 0), msg(2, 1)], "more": false});
    assert_eq!(page(&mut play(script).0, &[both]), 0);
    let first = json!({"msgs": [msg(1, 0)], "more": true});
    let second = json!({"msgs": [msg(2, 1)], "more": true});
    assert_eq!(page(&mut play(script).0, &[first.clone(), second]), 0);
    let nothing = json!({"msgs": [], "more": true});
    assert_eq!(page(&mut play(script).0, &[first, nothing]), 1);
    let wrong = json!({"msgs": [msg(1, 1), msg(2, 1)], "more": false});
    assert_eq!(page(&mut play(script).0, &[wrong]), 1);
    // Nothing was acked, so nothing is looked for; that there was no ok is a fault of its own.
    assert_eq!(page(&mut play("a1 b1 a2 b2").0, &[]), 2);
}

#[test]
fn wanted_rates_and_limits() {
    let check = |told: Value, members: usize, rate: f64, want: &str| {
        let settings = crate::tests::options("chat").settings;
        let settings = Settings { members, rate, ..settings };
        let got = match limits::allow(&told, &settings) {
            Ok(()) => "allowed".to_string(),
            Err(failure) => failure.what,
        };
        assert!(got.contains(want), "{told} {members} {rate}: {got}");
    };
    check(json!({"send_per_s": 10}), 10, 50.0, "allowed");
    check(json!({"send_per_s": 10}), 10, 60.0, "one user in one room send 5");
    check(json!({"send_per_s": 10, "room_send_per_s": 0}), 10, 60.0, "allowed");
    check(json!({"send_per_s": 10, "room_send_per_s": 0}), 10, 160.0, "one session send 10");
    check(json!({"send_per_s": 0}), 1, 0.0, "allowed");
    check(json!({"send_per_s": 10}), 1, 0.0, "as fast as it can");
    check(json!({}), 1, 1e6, "allowed");
}
