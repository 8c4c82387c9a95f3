//! How connections end, and what their peers are told.

use super::client::Client;
use super::process::{Plan, Server};
use super::raw::Raw;
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, Instant};
use tungstenite::Message;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

const ROOM: &str = "room";

/// A text frame or a part of one.
fn text(payload: impl Into<Vec<u8>>, last: bool) -> Message {
    Message::Frame(Frame::message(payload.into(), OpCode::Data(Data::Text), last))
}

fn more(payload: &str, last: bool) -> Message {
    let opcode = OpCode::Data(Data::Continue);
    Message::Frame(Frame::message(payload.as_bytes().to_vec(), opcode, last))
}

#[test]
fn each_broken_rule_has_its_close_code_and_a_goodbye() {
    let server = Server::start_default();
    let fragments: Vec<Message> =
        std::iter::once(text("{", false)).chain((0..1_100).map(|_| more(" ", false))).collect();
    let cases: [(&str, Vec<Message>, u16, &str); 8] = [
        ("binary", vec![Message::binary(vec![1, 2])], 1003, "binary_on_text"),
        ("bad UTF-8", vec![text(vec![b'"', 0xff], true)], 1007, "bad_payload"),
        ("a surrogate", vec![text(vec![0xed, 0xa0, 0x80], true)], 1007, "bad_payload"),
        ("oversize", vec![text("x".repeat(65_537), true)], 1009, "too_big"),
        (
            "oversize in parts",
            vec![text("x".repeat(40_000), false), more(&"x".repeat(40_000), true)],
            1009,
            "too_big",
        ),
        ("fragments", fragments, 1008, "too_many_fragments"),
        ("a part of nothing", vec![more("x", true)], 1002, "protocol_error"),
        ("two messages at once", vec![text("x", false), text("y", true)], 1002, "protocol_error"),
    ];
    for (name, messages, code, reason) in cases {
        let mut client = Client::member(&server, name, ROOM);
        for message in messages {
            client.write(message);
        }
        let (bye, got) = client.ending();
        assert_eq!(got, code, "{name}: {bye}");
        assert_eq!((&bye["t"], &bye["d"]["code"]), (&json!("bye"), &json!(code)), "{name}: {bye}");
        assert_eq!(bye["d"]["reason"], reason, "{name}");
        assert_eq!(bye["d"]["reconnect"], false, "{name}");
    }
}

#[test]
fn a_frame_that_is_none_ends_the_connection() {
    let server = Server::start_default();
    for (name, bytes) in [
        ("not masked", &b"\x81\x02hi"[..]),
        ("reserved bit", b"\xc1\x80\0\0\0\0"),
        ("reserved opcode", b"\x83\x80\0\0\0\0"),
        ("long ping", b"\x89\xfe\x00\x7e\0\0\0\0"),
        ("ping in parts", b"\x09\x80\0\0\0\0"),
        ("length not minimal", b"\x81\xfe\x00\x01\0\0\0\0x"),
        ("length beyond 2^63", b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0"),
        ("close of one byte", b"\x88\x81\0\0\0\0\x03"),
    ] {
        let mut client = Client::member(&server, name, ROOM);
        client.stream().write_all(bytes).expect("open until now");
        let code = client.close_code();
        assert!(matches!(code, 1002 | 1009), "{name}: {code}");
    }
}

#[test]
fn messages_in_parts_and_pings_between_them_arrive_whole() {
    let server = Server::start_default();
    let mut client = Client::member(&server, "alice", ROOM);
    let request = r#"{"t":"send","id":77,"room":"room","d":{"cid":"1","text":"é in two"}}"#;
    let split = request.find('é').expect("there") + 1;
    client.write(text(&request.as_bytes()[..split], false));
    client.write(Message::Ping("between".into()));
    let opcode = OpCode::Data(Data::Continue);
    let rest = request.as_bytes()[split..].to_vec();
    client.write(Message::Frame(Frame::message(rest, opcode, true)));
    assert_eq!(client.reply(77)["d"]["o"], 1);
    assert_eq!(client.expect("msg")["d"]["text"], "é in two");
    assert_eq!(client.pongs, 1);
    assert_eq!(client.close(), 1000);
}

#[test]
fn a_resume_secret_takes_its_session_over_and_nobody_sees_a_leave() {
    let server = Plan::new().shards(2).start();
    let mut watcher = Client::member(&server, "watcher", ROOM);
    let mut old = Client::member(&server, "alice", ROOM);
    let secret = old.welcome["resume"].clone();
    let d = json!({"user": "alice", "resume": secret, "rooms": {ROOM: {}}});
    let mut new = Client::greet(&server, d.clone());
    let (bye, code) = old.ending();
    assert_eq!((code, &bye["d"]["reconnect"]), (4409, &json!(false)), "{bye}");
    new.send(ROOM, "1", "still here");
    // A secret works once, and only for its own user.
    let third = Client::greet(&server, d);
    assert_ne!(third.welcome["resume"], secret);
    let stolen = json!({"user": "mallory", "resume": new.welcome["resume"]});
    drop(Client::greet(&server, stolen));
    new.send(ROOM, "2", "and here");
    assert_eq!(watcher.granted("who", ROOM, json!({}))["n"], 2);
    let end = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < end {
        for event in watcher.take_events(Duration::from_millis(300)) {
            let left = event["d"]["leave"].as_array().is_some_and(|users| !users.is_empty());
            assert!(!left, "{event}");
        }
    }
}

#[test]
fn one_user_has_a_bounded_number_of_sessions() {
    let server = Plan::new().set("limits.connections_per_user", "2").shards(2).start();
    let first = Client::hello(&server, "alice");
    let second = Client::hello(&server, "alice");
    let mut third = Client::open(&server);
    third.post("hello", "", json!({"user": "alice"}));
    let (bye, code) = third.ending();
    assert_eq!((code, &bye["d"]["reason"]), (4505, &json!("connection_limit")));
    drop(Client::hello(&server, "bob"));
    // Taking over needs no further place.
    let d = json!({"user": "alice", "resume": first.welcome["resume"]});
    let first = Client::greet(&server, d);
    assert_eq!(second.close(), 1000);
    let begin = Instant::now();
    let is_let_in = || {
        let mut again = Client::open(&server);
        again.post("hello", "", json!({"user": "alice"}));
        // Else a goodbye, and nothing behind it.
        again.next()["t"] == "ok"
    };
    while !is_let_in() {
        assert!(begin.elapsed() < Duration::from_secs(5), "the place of the one that left is free");
    }
    drop(first);
}

#[test]
fn a_flood_of_frames_ends_the_connection() {
    let plan = Plan::new().set("limits.frames_per_s", "10").set("limits.frames_burst", "20");
    let server = plan.start();
    let mut client = Client::hello(&server, "alice");
    for _ in 0..100 {
        client.write(Message::text(r#"{"t":"pong"}"#));
    }
    let (bye, code) = client.ending();
    assert_eq!((code, &bye["d"]["reconnect"]), (4129, &json!(true)), "{bye}");
    assert_eq!(Client::hello(&server, "alice").close(), 1000);
}

#[test]
fn a_server_full_of_connections_refuses_more_and_recovers() {
    let server = Plan::new().set("limits.connections_max", "8").start();
    let mut member = Client::member(&server, "alice", ROOM);
    let mut crowd: Vec<Raw> = (0..40).map(|_| Raw::connect(&server)).collect();
    for (n, raw) in crowd.iter_mut().enumerate() {
        raw.write(format!("GET /healthz?{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    assert_eq!(member.send(ROOM, "1", "who is in stays in"), 1);
    let served = crowd.into_iter().filter_map(Raw::try_response).count();
    assert!((1..=9).contains(&served), "{served} of 40 were served");
    let begin = Instant::now();
    while Raw::connect(&server).ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_none() {
        assert!(begin.elapsed() < Duration::from_secs(5), "places are free again");
    }
}

/// What the clocks of the server do, all at once because each takes its time: 10 s for a head, a
/// hello and a handshake; 25 s to the ping and 8 s more to the end.
#[test]
fn the_silent_and_the_slow_are_cut_and_the_patient_are_not() {
    let server = Server::start_default();
    let begin = Instant::now();
    let mut slow_head = Raw::connect(&server);
    slow_head.write("GET / HTTP/1.1\r\n");
    let half_open: Vec<Raw> = (0..300).map(|_| Raw::connect(&server)).collect();
    let mut no_hello = Client::open(&server);
    let mut pinged = Client::member(&server, "pinged", ROOM);
    let mut frame_pinged = Client::open_at(&server, "/ws?frame_ping=1");
    frame_pinged.granted("hello", "", json!({"user": "frames"}));
    let mut deaf = Client::open_at(&server, "/ws?frame_ping=1");
    deaf.granted("hello", "", json!({"user": "deaf"}));
    // One byte now and then must not keep a head alive.
    let (slow_for, answer) = {
        let mut raw = slow_head;
        while begin.elapsed() < Duration::from_millis(9_000) {
            raw.write("X");
            std::thread::sleep(Duration::from_millis(500));
        }
        let rest = raw.rest();
        (begin.elapsed(), rest)
    };
    assert!((9_500..14_000).contains(&slow_for.as_millis()), "the slow head ended at {slow_for:?}");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");
    for raw in half_open {
        assert!(raw.rest().is_empty());
    }
    let (bye, code) = no_hello.ending();
    assert_eq!((code, &bye["d"]["reason"]), (4502, &json!("no_hello")));
    let cut_at = begin.elapsed();
    assert!((9_500..15_000).contains(&cut_at.as_millis()), "all were cut by {cut_at:?}");

    pinged.stream().set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    frame_pinged.stream().set_read_timeout(Some(Duration::from_secs(2))).expect("a socket");
    assert_eq!(pinged.expect("ping"), json!({"t": "ping"}));
    assert!((24_000..30_000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    pinged.say(r#"{"t":"pong"}"#);
    // Reading answers the ping: tungstenite sends the pong.
    while frame_pinged.pings == 0 && begin.elapsed() < Duration::from_secs(30) {
        let _ = frame_pinged.read();
    }
    assert_eq!(frame_pinged.pings, 1);
    let _ = frame_pinged.request("cmds", "", Value::Null);
    std::thread::sleep(Duration::from_secs(35).saturating_sub(begin.elapsed()));
    let online = |client: &mut Client, user: &str| {
        let status = client.granted("status", "", json!({"users": [user]}));
        status["users"][user]["online"].clone()
    };
    assert_eq!(online(&mut pinged, "deaf"), false, "who answers no ping is cut");
    assert_eq!(online(&mut pinged, "frames"), true);
    assert_eq!(frame_pinged.close(), 1000);
}
