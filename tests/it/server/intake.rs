//! Every recorded webhook into a running server: what the rooms and the log have of it is compared
//! with what a small reader of plain JSON values, which shares nothing with ours, makes of the
//! bodies. The same bodies twice, in any order, cut to one item, joined to one, and with a kill in
//! between make the same.

use super::client::Client;
use super::platform::{Expected, Item, People, Step, expected, items, join, msgs, post_body};
use super::process::Server;
use super::webhook::{fixture, fixture_names, plan};
use ringpost::log::record::{Delivery, RecordView};
use ringpost::log::{Log, Trust};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// All bodies in the order of their names.
fn bodies() -> Vec<Vec<u8>> {
    fixture_names().iter().map(|name| fixture(name).0).collect()
}

fn values() -> Vec<Value> {
    bodies().iter().map(|body| serde_json::from_slice(body).expect("JSON")).collect()
}

/// A small generator of numbers; the same seed, the same order.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for last in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(last, (state % (last as u64 + 1)) as usize);
    }
}

/// What the rooms show: of each room and platform id, the message without what depends on order.
fn shown(server: &Server, want: &Expected) -> BTreeMap<(String, String), Value> {
    let mut client = Client::hello(server, "auditor");
    let rooms: BTreeSet<_> =
        want.messages.keys().flat_map(|(room, _)| want.people.rooms(room)).collect();
    let mut shown = BTreeMap::new();
    for room in rooms {
        // Another room may go on for this one.
        if client.request("join", &room, json!({}))["t"] == "err" {
            continue;
        }
        for msg in msgs(&mut client, &room) {
            let mut d = msg["d"].clone();
            let fields = d.as_object_mut().expect("an object");
            // Which came first, the quoted or the quoting, is not in the bodies.
            fields.remove("reply");
            let ext = fields.remove("ext").and_then(|ext| ext.as_str().map(str::to_owned));
            let key = (want.people.room(&room), ext.expect("a platform's id"));
            d["from"] = want.people.user(d["from"].as_str().expect("somebody")).into();
            assert!(shown.insert(key, d).is_none(), "twice: {msg}");
        }
    }
    shown
}

/// The statuses in the log, and the bytes of bodies.
fn logged(server: &Server, people: &People) -> (BTreeMap<Step, u64>, usize) {
    let log = Log::open(&server.data().join("log"), Trust::Checksum).expect("a log");
    let (mut statuses, mut raw_bytes) = (BTreeMap::new(), 0);
    for entry in log.entries() {
        match entry.view() {
            Some(RecordView::Status(status)) => {
                let name = Delivery::from_byte(status.status).map_or("other", Delivery::name);
                let step = Step {
                    room: people.room(entry.room()),
                    id: status.external.to_string(),
                    status: name.to_owned(),
                    who: people.user(entry.user()),
                };
                let earlier = statuses.insert(step, status.error.to_native().into());
                assert!(earlier.is_none(), "a status is written once");
            }
            Some(RecordView::Raw(raw)) => raw_bytes += raw.bytes.len(),
            _ => {}
        }
    }
    (statuses, raw_bytes)
}

/// Posts the bodies to a server and compares it with `want`; a stop in order in between, so that
/// the log is whole.
fn check(mut server: Server, bodies: &[Vec<u8>], want: &Expected, what: &str) {
    for body in bodies {
        assert_eq!(post_body(&server, body).status, 200, "{what}");
    }
    compare(&mut server, want, what);
    let sum: usize = bodies.iter().map(Vec::len).sum();
    assert!(
        logged(&server, &want.people).1 >= sum,
        "{what}: every byte of every body is in the log"
    );
}

fn compare(server: &mut Server, want: &Expected, what: &str) {
    let got = shown(server, want);
    for (key, want) in &want.messages {
        assert_eq!(got.get(key), Some(want), "{what}: {key:?}");
    }
    assert_eq!(got.len(), want.messages.len(), "{what}");
    assert_eq!(server.terminate(), 0);
    let steps = logged(server, &want.people).0;
    assert!(steps.keys().eq(want.statuses.keys()), "{what}: {steps:?}");
    for (step, error) in steps {
        assert!(want.statuses[&step].contains(&error), "{what}: {step:?} {error}");
    }
    server.restart();
    assert_eq!(shown(server, want), want.messages, "{what}, after a start");
    assert_eq!(server.terminate(), 0);
}

#[test]
fn every_fixture_makes_what_it_says() {
    let want = expected(&values());
    assert!(want.messages.len() > 55 && want.statuses.len() > 12, "{}", want.messages.len());
    check(plan().start(), &bodies(), &want, "in order");
}

#[test]
fn every_fixture_twice_and_in_any_order_makes_the_same() {
    for seed in [3, 77] {
        let mut twice = [bodies(), bodies()].concat();
        shuffle(&mut twice, seed);
        check(plan().shards(2).start(), &twice, &expected(&values()), &format!("seed {seed}"));
    }
}

#[test]
fn fixtures_cut_to_one_item_or_joined_to_one_body_make_the_same() {
    let want = expected(&values());
    let mut single: Vec<Value> = values().iter().flat_map(items).map(Item::body).collect();
    shuffle(&mut single, 9);
    let single: Vec<Vec<u8>> = single.iter().map(|body| body.to_string().into_bytes()).collect();
    check(plan().start(), &single, &want, "one item a body");
    let joined = join(&values()).to_string().into_bytes();
    check(plan().start(), &[joined.clone(), joined], &want, "one body");
}

#[test]
fn fixtures_across_a_kill_make_the_same() {
    let (bodies, want) = (bodies(), expected(&values()));
    let mut server = plan().start();
    for body in &bodies[..bodies.len() / 2] {
        assert_eq!(post_body(&server, body).status, 200);
    }
    server.kill9();
    server.restart();
    // The platform did not hear of the last ones and sends more than the rest again.
    for body in &bodies[bodies.len() / 4..] {
        assert_eq!(post_body(&server, body).status, 200);
    }
    server.kill9();
    server.restart();
    for body in &bodies {
        assert_eq!(post_body(&server, body).status, 200);
    }
    compare(&mut server, &want, "across kills");
}
