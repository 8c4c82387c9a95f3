//! History that has left memory: after a restart, thousands of messages back.

use super::client::Client;
use super::process::{PATIENCE, Plan, Server};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const ROOM: &str = "room";
const COUNT: u64 = 2_000;

/// Requests of [`fill`] that wait for their replies at a time: fewer bytes than the log may be
/// behind, beyond which a sender is refused with 503.
const WINDOW: usize = 256;

/// Sends the numbers `first..=last`, padded to `size` bytes, to a room where they are the offsets.
pub fn fill(client: &mut Client, room: &str, first: u64, last: u64, size: usize) {
    let mut waiting = VecDeque::new();
    for n in first..=last + WINDOW as u64 {
        if n <= last {
            let d = json!({"cid": n.to_string(), "text": format!("{n:<size$}")});
            waiting.push_back((client.post("send", room, d), n));
        }
        if waiting.len() > WINDOW || n > last {
            let Some((id, n)) = waiting.pop_front() else { return };
            let reply = client.reply(id);
            assert_eq!(reply["d"]["o"], n, "{reply}");
        }
    }
}

fn offsets(page: &Value) -> Vec<u64> {
    let msgs = page["msgs"].as_array().expect("a list").iter();
    msgs.map(|msg| msg["o"].as_u64().expect("an offset")).collect()
}

fn filled() -> Server {
    let mut server = Plan::new().unlimited().start();
    let mut client =
        Client::greet(&server, json!({"user": "alice", "echo": false, "rooms": {ROOM: {}}}));
    fill(&mut client, ROOM, 1, COUNT, 100);
    assert_eq!(server.terminate(), 0);
    server.restart();
    server
}

#[test]
fn every_page_is_whole_from_the_top_back_to_the_first_message() {
    let server = filled();
    let mut client = Client::member(&server, "bob", ROOM);
    let mut page = client.granted("history", ROOM, json!({"limit": 300}));
    let mut back: Vec<u64> = Vec::new();
    loop {
        let offsets = offsets(&page);
        assert!(offsets.is_sorted());
        assert_eq!(page["top"], COUNT);
        back.extend(offsets.iter().rev());
        assert_eq!(page["more"], offsets[0] > 1, "at {}", offsets[0]);
        if offsets[0] == 1 {
            break;
        }
        page = client.granted("history", ROOM, json!({"before": offsets[0], "limit": 300}));
    }
    assert!(back.iter().rev().copied().eq(1..=COUNT));

    let mut forth: Vec<u64> = Vec::new();
    while forth.len() < COUNT as usize {
        let after = forth.last().copied().unwrap_or(0);
        let page = client.granted("history", ROOM, json!({"after": after, "limit": 299}));
        forth.extend(offsets(&page));
        assert_eq!(page["more"], forth.last() != Some(&COUNT));
    }
    assert!(forth.into_iter().eq(1..=COUNT));

    for (around, limit, want) in
        [(1_000, 5, 998..=1_002), (1, 4, 1..=4), (COUNT, 4, COUNT - 1..=COUNT), (3, 300, 1..=300)]
    {
        let page = client.granted("history", ROOM, json!({"around": around, "limit": limit}));
        assert_eq!(offsets(&page), want.collect::<Vec<_>>(), "around {around}");
    }
    for (d, count) in [
        (json!({"before": 1}), 0),
        (json!({"after": COUNT}), 0),
        (json!({"after": 9_999_999}), 0),
        (json!({"before": 9_999_999, "limit": 7}), 7),
        (json!({"limit": 0}), 1),
        (json!({"limit": 9_999}), 300),
        (json!({}), 50),
    ] {
        let page = client.granted("history", ROOM, d.clone());
        assert_eq!(offsets(&page).len(), count, "{d}");
    }
}

#[test]
fn old_messages_show_their_latest_version() {
    let mut server = Plan::new().unlimited().start();
    let mut client = Client::member(&server, "alice", ROOM);
    fill(&mut client, ROOM, 1, 10, 1);
    client.granted("edit", ROOM, json!({"o": 2, "text": "changed"}));
    client.granted("edit", ROOM, json!({"o": 2, "text": "changed again"}));
    client.granted("delete", ROOM, json!({"o": 3}));
    client.granted("edit", ROOM, json!({"o": 4, "text": "changed, then gone"}));
    client.granted("delete", ROOM, json!({"o": 4}));
    let before = client.granted("history", ROOM, json!({"after": 0, "limit": 4}));
    let top = before["top"].as_u64().expect("an offset");
    fill(&mut client, ROOM, top + 1, top + 1_500, 1);
    let cold = client.granted("history", ROOM, json!({"after": 0, "limit": 4}));
    assert_eq!(cold["msgs"], before["msgs"], "as it was in memory");
    server.kill9();
    server.restart();
    let mut client = Client::member(&server, "bob", ROOM);
    let page = client.granted("history", ROOM, json!({"after": 0, "limit": 4}));
    assert_eq!(page["msgs"], before["msgs"], "as it was before the restart");
    let msgs = &page["msgs"];
    assert_eq!((&msgs[1]["d"]["text"], &msgs[1]["d"]["v"]), (&json!("changed again"), &json!(3)));
    assert!(msgs[1]["d"]["edited"].as_u64().is_some());
    for gone in [2, 3] {
        assert_eq!(msgs[gone]["d"]["deleted"], true);
        assert_eq!(msgs[gone]["d"]["text"], Value::Null, "taken back is taken back");
    }
    let (code, rows) = server.scan(&["tail", "-n", "3", "--kind", "edit", "--format", "jsonl"]);
    assert_eq!((code, rows.lines().count()), (0, 3));
}

#[test]
fn a_resume_replays_from_the_log_what_memory_no_longer_holds() {
    let server = filled();
    let mut bob = Client::hello(&server, "bob");
    let epoch = bob.welcome["e"].clone();
    let joined = bob.join(ROOM, json!({"last": 300}));
    assert_eq!(
        (&joined["n"], &joined["from"], &joined["o"]),
        (&json!(300), &json!(1_701), &json!(COUNT))
    );
    let replayed = bob.take(300);
    assert!(replayed.iter().map(|(o, _)| *o).eq(1_701..=COUNT));
    assert!(replayed.iter().all(|(o, text)| text.trim() == o.to_string()));
    for (o, n) in [(COUNT - 300, 300), (COUNT - 1, 1), (COUNT, 0)] {
        let mut client = Client::hello(&server, "carol");
        let joined = client.join(ROOM, json!({"e": epoch, "o": o}));
        assert_eq!((&joined["recovered"], &joined["n"]), (&json!(true), &json!(n)), "{joined}");
        assert!(client.take(n).iter().map(|(o, _)| *o).eq(o + 1..=COUNT));
    }
    let mut late = Client::hello(&server, "late");
    let joined = late.join(ROOM, json!({"e": epoch, "o": 7}));
    assert_eq!((&joined["recovered"], &joined["n"]), (&json!(false), &json!(0)), "too long away");
    assert_eq!(joined["back_to"], Value::Null, "but nothing was taken back");
    let joined = Client::hello(&server, "many").join(ROOM, json!({"last": 9_999}));
    assert_eq!(joined["n"], 300);
}

/// Files of the log directory whose names end so.
fn files(server: &Server, end: &str) -> usize {
    let listing = std::fs::read_dir(server.data().join("log")).expect("a log directory");
    listing.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(end)).count()
}

fn wait_for_snapshot(server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    while files(server, ".snap") == 0 {
        assert!(Instant::now() < deadline, "no snapshot: {} segments", files(server, ".seg"));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Nine lives leave nine segments, which is when a snapshot is due: of all but the newest.
fn nine_lives() -> Server {
    let mut server = Plan::new().unlimited().start();
    for life in 0..9 {
        let mut client =
            Client::greet(&server, json!({"user": "alice", "echo": false, "rooms": {ROOM: {}}}));
        fill(&mut client, ROOM, life * 40 + 1, life * 40 + 40, 20);
        if life % 3 == 1 {
            server.kill9();
        } else {
            assert_eq!(server.terminate(), 0);
        }
        server.restart();
    }
    wait_for_snapshot(&server);
    server
}

#[test]
fn a_start_from_a_snapshot_serves_what_the_whole_log_did() {
    let mut server = nine_lives();
    let epoch = Client::hello(&server, "bob").welcome["e"].clone();
    let newest = {
        let mut client = Client::member(&server, "bob", ROOM);
        client.granted("history", ROOM, json!({"limit": 300}))
    };
    assert_eq!(server.terminate(), 0);
    server.restart();
    let mut bob = Client::hello(&server, "bob");
    assert_eq!(bob.welcome["e"], epoch, "a clean stop keeps the epoch");
    let joined = bob.join(ROOM, json!({"e": epoch, "o": 350}));
    assert_eq!((&joined["recovered"], &joined["n"]), (&json!(true), &json!(10)), "{joined}");
    assert!(bob.take(10).iter().map(|(o, _)| *o).eq(351..=360));
    let page = bob.granted("history", ROOM, json!({"limit": 300}));
    assert_eq!(page["msgs"], newest["msgs"]);
    let first = page["msgs"][0]["ts"].as_i64().expect("a time");
    let since = bob.granted("history", ROOM, json!({"since_ts": first, "limit": 2}));
    let begin = offsets(&since)[0];
    assert!(since["msgs"][0]["ts"].as_i64() >= Some(first) && begin <= 61, "{since}");
    let before = bob.granted("history", ROOM, json!({"before": begin, "limit": 1}));
    assert!(before["msgs"][0]["ts"].as_i64() < Some(first), "{before}");
    let none = bob.granted("history", ROOM, json!({"since_ts": 99_999_999_999_999i64}));
    assert_eq!((offsets(&none).len(), &none["more"]), (0, &json!(false)));

    // What left memory can still be changed, once at a time, and by those who may.
    let mut alice = Client::member(&server, "alice", ROOM);
    assert_eq!(bob.refused("edit", ROOM, json!({"o": 5, "text": "not mine"})), 403);
    for version in [2, 3] {
        let edited = alice.granted("edit", ROOM, json!({"o": 5, "text": "late"}));
        assert_eq!(edited["v"], version);
    }
    alice.granted("delete", ROOM, json!({"o": 6}));
    assert_eq!(alice.refused("delete", ROOM, json!({"o": 6})), 410);
    assert_eq!(alice.refused("edit", ROOM, json!({"o": 0, "text": "x"})), 400);
    let page = alice.granted("history", ROOM, json!({"after": 4, "limit": 2}));
    assert_eq!(page["msgs"][0]["d"]["v"], 3);
    assert_eq!(page["msgs"][1]["d"]["deleted"], true);
    assert_eq!(alice.send(ROOM, "after all", "next"), 364);
}

#[test]
fn what_retention_took_is_said_and_the_rest_goes_on() {
    let mut server = nine_lives();
    assert_eq!(server.terminate(), 0);
    let log = server.data().join("log");
    let mut segments: Vec<_> = std::fs::read_dir(&log)
        .expect("a log directory")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .collect();
    segments.sort();
    // The snapshot knows what these told.
    for path in &segments[..3] {
        std::fs::remove_file(path).expect("it was listed");
    }
    server.restart();
    let mut bob = Client::member(&server, "bob", ROOM);
    let page = bob.granted("history", ROOM, json!({"after": 0, "limit": 3}));
    let first = offsets(&page)[0];
    assert!(first > 40 && page["first"] == first, "{page}");
    let page = bob.granted("history", ROOM, json!({"before": first + 1, "limit": 9}));
    assert_eq!((offsets(&page), &page["more"]), (vec![first], &json!(false)));
    let page = bob.granted("history", ROOM, json!({"before": first}));
    assert_eq!((offsets(&page).len(), &page["more"]), (0, &json!(false)));
    assert_eq!(bob.refused("delete", ROOM, json!({"o": 1})), 410);
    assert_eq!(bob.send(ROOM, "1", "next"), 361);
}
