//! A member that does not read is its own problem: not the room's, and not the server's memory.

use super::client::Client;
use super::history::fill;
use super::process::{Plan, Server};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ROOM: &str = "room";

/// A member whose kernel takes next to nothing on its behalf.
fn narrow(server: &Server, user: &str) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("settable before the connect");
    socket.connect(&server.address().into()).expect("it listens");
    let stream: std::net::TcpStream = socket.into();
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let url = format!("ws://{}/ws", server.address());
    let mut client = Client::over(stream, &url).expect("a WebSocket");
    client.granted("hello", "", json!({"user": user}));
    client.join(ROOM, json!({}));
    client
}

/// A sender that does not get its own messages back.
fn sender(server: &Server) -> Client {
    Client::greet(server, json!({"user": "sender", "echo": false, "rooms": {ROOM: {}}}))
}

#[test]
fn a_slow_reader_delays_nobody_and_misses_nothing() {
    const COUNT: usize = 9_000;
    let server = Plan::new().unlimited().shards(2).start();
    let mut sender = sender(&server);
    // What this much traffic takes anyway is taken before the measurement begins.
    sender.join("warm-up", json!({}));
    fill(&mut sender, "warm-up", 1, COUNT as u64, 4_000);
    let mut slow = narrow(&server, "slow");
    let mut fast = Client::member(&server, "fast", ROOM);
    let before_kib = server.memory_kib();
    let begin = Instant::now();
    let reader = thread::spawn(move || {
        let seen = fast.take(COUNT);
        (seen, begin.elapsed())
    });
    fill(&mut sender, ROOM, 1, COUNT as u64, 4_000);
    let sent_in = begin.elapsed();
    let (seen, fast_in) = reader.join().expect("it read");
    assert!(seen.iter().map(|(o, _)| *o).eq(1..=COUNT as u64));
    assert!(fast_in < sent_in + Duration::from_secs(2), "{fast_in:?} after {sent_in:?}");
    let grown_kib = server.memory_kib().saturating_sub(before_kib);
    assert!(grown_kib < 32 * 1_024, "36 MB of messages took {grown_kib} KiB");
    let caught_up = slow.take(COUNT);
    for ((o, text), want) in caught_up.iter().zip(1..) {
        assert_eq!((*o, text.trim()), (want, &*want.to_string()), "in order, without a gap");
    }
    // It is live again.
    let last = sender.send(ROOM, "last", "live");
    assert_eq!(slow.take(1), [(last, "live".to_owned())]);
}

#[test]
fn a_reader_too_far_behind_is_told_what_it_missed() {
    const COUNT: u64 = 14_000;
    let server = Plan::new().unlimited().start();
    let mut slow = narrow(&server, "slow");
    let mut sender = sender(&server);
    // It reads a little, so that it is slow and not dead.
    let sending = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&sending);
    let trickle = thread::spawn(move || {
        let mut seen = Vec::new();
        while still.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(20));
            seen.push(slow.durable());
        }
        (slow, seen)
    });
    fill(&mut sender, ROOM, 1, COUNT, 1_000);
    sending.store(false, Ordering::Relaxed);
    let (mut slow, mut seen) = trickle.join().expect("it read");
    let last = sender.send(ROOM, "last", "last");
    let mut next = 1;
    let mut missed = 0;
    while next <= last {
        let event = if seen.is_empty() { slow.durable() } else { seen.remove(0) };
        if event["t"] == "gap" {
            let ends = (event["d"]["from"].as_u64(), event["d"]["to"].as_u64());
            assert_eq!(ends.0, Some(next), "a gap begins where delivery ended: {event}");
            let to = ends.1.expect("an offset");
            missed += to + 1 - next;
            next = to + 1;
        } else {
            assert_eq!(event["o"], next, "no event is skipped in silence");
            next += 1;
        }
    }
    assert!(missed > 10_000, "{missed} events were missed");
    let page = slow.granted("history", ROOM, json!({"before": last, "limit": 5}));
    assert_eq!(page["msgs"].as_array().map(Vec::len), Some(5), "what was missed can be paged");
}

#[test]
fn a_reader_that_takes_nothing_is_cut_and_can_resume() {
    let server = Plan::new().unlimited().start();
    let mut deaf = narrow(&server, "deaf");
    let mut sender = sender(&server);
    let begin = Instant::now();
    fill(&mut sender, ROOM, 1, 4_000, 4_000);
    let present = |client: &mut Client| {
        let status = client.granted("status", "", json!({"users": ["deaf"]}));
        status["users"]["deaf"]["online"] == true
    };
    while present(&mut sender) {
        assert!(begin.elapsed() < Duration::from_secs(15), "it takes nothing and is still here");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(begin.elapsed() > Duration::from_secs(4), "cut already after {:?}", begin.elapsed());
    let code = deaf.close_code();
    assert!(matches!(code, 1006 | 4101), "{code}");
    let mut back = Client::member(&server, "deaf", ROOM);
    let page = back.granted("history", ROOM, json!({"before": 4_001, "limit": 300}));
    assert_eq!(page["top"], 4_000);
}

#[test]
fn an_echo_client_that_does_not_read_is_not_read_either() {
    let server = Plan::new().start();
    let before_kib = server.memory_kib();
    let echo = Client::open_at(&server, "/echo");
    let mut stream = echo.stream();
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket");
    // A binary frame of 1 MiB, masked with zeros.
    let mut frame = b"\x82\xff\0\0\0\0\0\x10\0\0\0\0\0\0".to_vec();
    frame.resize(14 + (1 << 20), 7);
    let sent_mib = (0..64).take_while(|_| stream.write_all(&frame).is_ok()).count();
    assert!(sent_mib < 32, "the server took {sent_mib} MiB from a peer that takes nothing");
    let grown_kib = server.memory_kib().saturating_sub(before_kib);
    assert!(grown_kib < 12 * 1_024, "{sent_mib} MiB that nobody reads took {grown_kib} KiB");
    assert_eq!(super::raw::get(&server, "/healthz").status, 200);
}
