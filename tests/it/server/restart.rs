//! What a crash or a stop leaves: everything acknowledged, in order, once; and clients that resume
//! without a gap or a duplicate.

use super::client::Client;
use super::process::{Plan, Server};
use super::webhook;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const ROOM: &str = webhook::ROOM;

fn in_flight(n: u32) -> Value {
    json!({"cid": format!("in flight {n}"), "text": "in flight", "note": true})
}

/// What one client holds of a room, as a real client would keep it.
#[derive(Default)]
struct Held {
    epoch: String,
    texts: BTreeMap<u64, String>,
}

impl Held {
    fn top(&self) -> u64 {
        self.texts.last_key_value().map_or(0, |(o, _)| *o)
    }

    /// Takes a durable event: the next one, and never one twice.
    #[track_caller]
    fn take(&mut self, event: &Value) {
        let o = event["o"].as_u64().expect("an offset");
        assert_eq!(o, self.top() + 1, "no gap, no duplicate: {event}");
        let text = event["d"]["text"].as_str().unwrap_or("").to_owned();
        self.texts.insert(o, text);
    }

    /// Comes back with its position and takes what it missed.
    fn resume(&mut self, server: &Server, user: &str) -> Client {
        let position = json!({"e": self.epoch, "o": self.top()});
        let mut client = Client::greet(server, json!({"user": user, "rooms": {ROOM: position}}));
        let room = client.welcome["rooms"][ROOM].clone();
        if let Some(back_to) = room["back_to"].as_u64() {
            assert_eq!(room["recovered"], false, "{room}");
            self.texts.retain(|o, _| *o <= back_to);
            let page = client.granted("history", ROOM, json!({"after": back_to, "limit": 300}));
            page["msgs"].as_array().expect("a list").iter().for_each(|msg| self.take(msg));
        } else {
            assert_eq!(room["recovered"], true, "{room}");
            for _ in 0..room["n"].as_u64().expect("a number") {
                self.take(&client.durable());
            }
        }
        self.epoch = room["e"].as_str().expect("an epoch").to_owned();
        assert_eq!(self.top(), room["o"].as_u64().expect("a number"), "{room}");
        client
    }

    fn texts(&self) -> Vec<&str> {
        self.texts.values().map(String::as_str).collect()
    }
}

/// The texts of the room by the scanner, which never talks to the server.
fn scanned(server: &Server) -> Vec<String> {
    let args = ["tail", "-n", "10000", "--room", ROOM, "--kind", "message", "--format", "jsonl"];
    let (code, rows) = server.scan(&args);
    assert_eq!(code, 0, "{rows}");
    let row = |row: &str| -> Value { serde_json::from_str(row).expect("a JSON line") };
    rows.lines().map(|line| row(line)["text"].as_str().expect("a text").to_owned()).collect()
}

fn verify(server: &Server) {
    let (code, rows) = server.scan(&["verify"]);
    assert_eq!(code, 0, "{rows}");
}

#[test]
fn after_a_crash_users_and_whatsapp_go_on_where_they_were() {
    let mut server = webhook::plan().unlimited().shards(2).start();
    let mut alice = Client::member(&server, "alice", ROOM);
    let mut bob = Client::member(&server, "bob", ROOM);
    let epoch = alice.welcome["e"].as_str().expect("an epoch").to_owned();
    let mut alice_holds = Held { epoch: epoch.clone(), ..Held::default() };
    let mut bob_holds = Held { epoch: epoch.clone(), ..Held::default() };
    assert_eq!(webhook::post(&server, "01_text.json").status, 200);
    let mut acked = vec!["Is bay 4 free at noon?".to_owned()];
    for n in 0..20 {
        let text = format!("acked {n}");
        if n % 2 == 0 { &mut alice } else { &mut bob }.send(ROOM, &text, &text);
        acked.push(text);
    }
    for _ in 0..21 {
        alice_holds.take(&alice.durable());
    }
    // Bob has read less; alice goes on sending into the crash.
    for _ in 0..7 {
        bob_holds.take(&bob.durable());
    }
    for n in 0..200 {
        alice.post("send", ROOM, in_flight(n));
    }
    std::thread::sleep(Duration::from_millis(3));
    server.kill9();
    while let Ok(event) = alice.read() {
        match event["o"].as_u64() {
            Some(_) => alice_holds.take(&event),
            None if event["t"] == "ok" => acked.push("in flight".to_owned()),
            None => {}
        }
    }
    verify(&server);
    server.restart();
    let mut alice = alice_holds.resume(&server, "alice");
    let mut bob = bob_holds.resume(&server, "bob");
    assert_ne!(alice_holds.epoch, epoch, "a crash begins a new epoch");
    assert_eq!(alice_holds.texts, bob_holds.texts);
    assert!(alice_holds.texts.len() >= acked.len(), "what was acknowledged is there");
    assert_eq!(alice_holds.texts()[..21], acked[..21]);
    // Sent again, as a client does for what it has no `ok` of: each is there once.
    for n in 0..200 {
        alice.granted("send", ROOM, in_flight(n));
    }
    assert_eq!(webhook::post(&server, "01_text.json").status, 200);
    let last = bob.send(ROOM, "last", "last");
    assert_eq!(last, 222, "21 acknowledged, 200 sent again, and this one");
    while bob_holds.top() < last {
        bob_holds.take(&bob.durable());
    }
    assert_eq!(scanned(&server), bob_holds.texts());
    assert_eq!(server.terminate(), 0);
    verify(&server);
    assert_eq!(scanned(&server), bob_holds.texts());
}

#[test]
fn crash_after_crash_loses_nothing_that_was_acknowledged() {
    let mut server = Plan::new().unlimited().start();
    let mut holds = Held::default();
    let mut client = holds.resume_first(&server);
    for life in 0..5 {
        for n in 0..10 {
            let text = format!("{life}.{n}");
            client.send(ROOM, &text, &text);
            holds.take(&client.durable());
        }
        if life % 2 == 0 {
            server.kill9();
        } else {
            assert_eq!(server.terminate(), 0);
        }
        server.restart();
        let epoch = holds.epoch.clone();
        client = holds.resume(&server, "alice");
        assert_eq!(holds.epoch == epoch, life % 2 == 1, "only a crash begins an epoch");
        assert_eq!(holds.texts.len(), (life + 1) * 10);
    }
    let want: Vec<String> =
        (0..5).flat_map(|life| (0..10).map(move |n| format!("{life}.{n}"))).collect();
    assert_eq!(scanned(&server), want);
    verify(&server);
}

impl Held {
    fn resume_first(&mut self, server: &Server) -> Client {
        let mut client = Client::hello(server, "alice");
        self.epoch = client.join(ROOM, json!({}))["e"].as_str().expect("an epoch").to_owned();
        client
    }
}

#[test]
fn a_position_that_the_server_never_gave_is_rolled_back() {
    let server = Server::start_default();
    let mut alice = Client::member(&server, "alice", ROOM);
    let epoch = alice.welcome["e"].clone();
    for n in 1..=3 {
        assert_eq!(alice.send(ROOM, &n.to_string(), "x"), n);
    }
    for (e, o, back_to) in [
        (epoch.clone(), 99, json!(3)),
        (json!("zz"), 2, json!(0)),
        (json!("not an epoch!"), 2, json!(0)),
        (epoch.clone(), 3, Value::Null),
        (epoch, 0, Value::Null),
    ] {
        let mut bob = Client::hello(&server, "bob");
        let joined = bob.join(ROOM, json!({"e": e, "o": o}));
        assert_eq!(joined["back_to"], back_to, "{e} {o}: {joined}");
        assert_eq!(joined["recovered"], back_to.is_null(), "{e} {o}: {joined}");
    }
}

#[test]
fn rooms_roles_topics_marks_and_status_survive() {
    let mut server = Server::start_default();
    let mut alice = Client::member(&server, "alice", "room");
    alice.granted("cmd", "room", json!({"name": "topic", "text": "tea"}));
    alice.granted("cmd", "room", json!({"name": "invite", "text": "bob"}));
    alice.granted("cmd", "room", json!({"name": "role", "text": "bob moderator"}));
    alice.granted("cmd", "room", json!({"name": "access", "text": "members"}));
    let o = alice.send("room", "1", "one");
    alice.granted("mark", "room", json!({"recv": o, "read": o}));
    alice.granted("status", "", json!({"state": "away", "text": "lunch"}));
    // Marks are written with the next tick of the room.
    alice.expect("mark");
    let last = alice.send("room", "2", "two");
    server.kill9();
    server.restart();
    let mut bob = Client::hello(&server, "bob");
    let joined = bob.join("room", json!({}));
    assert_eq!((&joined["role"], &joined["topic"]), (&json!("moderator"), &json!("tea")));
    assert_eq!(joined["o"], last);
    bob.granted("delete", "room", json!({"o": o}));
    let mut eve = Client::hello(&server, "eve");
    assert_eq!(eve.refused("join", "room", json!({})), 403);
    let status = bob.granted("status", "", json!({"users": ["alice"]}));
    assert_eq!(status["users"]["alice"]["state"], "away");
    assert_eq!(status["users"]["alice"]["online"], false);
    let mut alice = Client::hello(&server, "alice");
    assert_eq!(alice.join("room", json!({}))["role"], "owner");
    let who = alice.granted("who", "room", json!({}));
    assert_eq!((&who["users"][0]["user"], &who["users"][0]["read"]), (&json!("alice"), &json!(o)));
}
