//! Raw rooms: every member gets every message as it was sent, on every shard in the same order.

use super::client::Client;
use super::process::{Plan, Server};
use super::raw::get;
use std::collections::BTreeSet;
use std::io::Write;
use std::thread;
use tungstenite::Message;

fn enter(server: &Server, path: &str) -> Client {
    Client::open_at(server, path)
}

#[test]
fn a_message_reaches_all_members_as_it_was_sent() {
    let server = Server::start_default();
    let mut members = [enter(&server, "/room/7"), enter(&server, "/room/7")];
    let mut other = enter(&server, "/room/8");
    let messages = [
        Message::text("plain"),
        Message::text(""),
        Message::text("😀 \u{0} \u{202e}"),
        Message::binary(vec![0_u8, 255, 10, 13]),
        Message::binary(vec![7_u8; 60_000]),
    ];
    for message in &messages {
        members[0].write(message.clone());
        for member in &mut members {
            assert_eq!(&member.message().expect("a message"), message);
        }
    }
    other.write(Message::text("apart"));
    assert_eq!(other.message().expect("its own first"), Message::text("apart"));
}

#[test]
fn the_root_is_room_0() {
    let server = Server::start_default();
    let (mut root, mut room) = (enter(&server, "/"), enter(&server, "/room/0"));
    root.write(Message::binary(vec![1]));
    assert_eq!(room.message().expect("a message"), Message::binary(vec![1]));
    assert_eq!(get(&server, "/").status, 200, "the console is there all the same");
}

#[test]
fn what_is_no_message_ends_the_connection_and_no_other() {
    let server = Server::start_default();
    let mut good = enter(&server, "/room/1");
    let zeros = [0_u8; 4];
    let cases: [(&str, u8, &[u8], u16); 3] = [
        ("text that is not UTF-8", 0x81, &[0xff], 1007),
        ("a reserved bit", 0xc1, b"x", 1002),
        ("an unknown opcode", 0x83, b"x", 1002),
    ];
    for (what, first, payload, code) in cases {
        let mut bad = enter(&server, "/room/1");
        let head = [first, 0x80 | payload.len() as u8];
        let mut stream = bad.stream();
        stream.write_all(&[&head, &zeros[..], payload].concat()).expect("it takes it");
        assert_eq!(bad.close_code(), code, "{what}");
    }
    let mut long = enter(&server, "/room/1");
    long.write(Message::binary(vec![0_u8; 65_537]));
    assert_eq!(long.close_code(), 1009);
    good.write(Message::text("still here"));
    assert_eq!(good.message().expect("a message"), Message::text("still here"));
}

/// Members of all shards, all sending at once, for a room that each of the shards owns.
#[test]
fn shards_agree_on_the_order() {
    const MEMBERS: usize = 12;
    const MESSAGES: usize = 200;
    let server = Plan::new().shards(2).start();
    for room in 0..2 {
        let path = format!("/room/{room}");
        let members: Vec<_> = (0..MEMBERS).map(|_| enter(&server, &path)).collect();
        let views: Vec<_> = thread::scope(|scope| {
            let talk = |(n, mut member): (usize, Client)| {
                for message in 0..MESSAGES {
                    member.write(Message::text(format!("{n} {message}")));
                }
                let all = 0..MEMBERS * MESSAGES;
                all.map(|_| member.message().expect("a message")).collect::<Vec<_>>()
            };
            let members = members.into_iter().enumerate();
            let runs: Vec<_> = members.map(|pair| scope.spawn(move || talk(pair))).collect();
            runs.into_iter().map(|run| run.join().expect("it listened")).collect()
        });
        for view in &views[1..] {
            assert!(view == &views[0], "room {room}: two members saw different orders");
        }
        let distinct: BTreeSet<_> = views[0].iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), MEMBERS * MESSAGES, "room {room}");
    }
}

#[test]
fn members_come_and_go() {
    let server = Plan::new().shards(2).start();
    let mut stays: Vec<_> = (0..4).map(|_| enter(&server, "/room/5")).collect();
    for round in 0..10 {
        let mut guests: Vec<_> = (0..4).map(|_| enter(&server, "/room/5")).collect();
        let text = Message::text(format!("round {round}"));
        guests[0].write(text.clone());
        for member in stays.iter_mut().chain(&mut guests) {
            assert_eq!(member.message().expect("a message"), text);
        }
        for guest in guests {
            assert_eq!(guest.close(), 1000);
        }
    }
}

/// Somebody in room 3 says so many messages of 60 KB, and hears them.
fn talk(server: &Server, count: usize) {
    let mut talker = enter(server, "/room/3");
    let blob = Message::binary(vec![7_u8; 60_000]);
    for _ in 0..count {
        talker.write(blob.clone());
        assert_eq!(talker.message().expect("its own"), blob);
    }
}

#[test]
fn a_member_that_reads_too_late_is_told_why_it_must_go() {
    let server = Plan::new().shards(1).start();
    let mut late = enter(&server, "/room/3");
    // What the kernels keep for it, and a megabyte more than it may have waiting.
    talk(&server, 150);
    assert_eq!(late.close_code(), 4101);
}

#[test]
fn a_member_that_reads_nothing_is_cut_and_the_others_go_on() {
    let server = Plan::new().shards(1).start();
    let before_kib = server.memory_kib();
    let deaf = enter(&server, "/room/3");
    talk(&server, 400);
    let grown_kib = server.memory_kib().saturating_sub(before_kib);
    assert!(grown_kib < 12 * 1_024, "24 MB that one does not read took {grown_kib} KiB");
    drop(deaf);
}

#[test]
fn raw_rooms_are_for_development() {
    let server = Server::start_default();
    assert_eq!(get(&server, "/room/1").status, 426, "for a WebSocket only");
    for path in ["/room/", "/room/x", "/room/-1", "/room/4294967296", "/room/1/2"] {
        assert_eq!(get(&server, path).status, 404, "{path}");
    }
    let server = Plan::new().with_tokens("0123456789abcdef0123456789abcdef").start();
    assert_eq!(get(&server, "/room/1").status, 404);
}
