//! Erasures that are cut short: the server is killed at any moment of one, or has no room for it.

use super::disk::{Answer, DISK_MIB, await_change};
use super::rounds_of;
use super::volume::Memory;
use crate::server::client::Client;
use crate::server::erasure::{SECRETS, ZOE, assert_gone, erase, finished, history, talk, verify};
use crate::server::process::{Plan, Server};
use crate::sim::prng::Rng;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

/// The longest wait for a demand to be met by.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a demand that names Zoe is in the directory; `planned`: and is being met.
fn await_demand(server: &Server, planned: bool) {
    let begin = Instant::now();
    let is_there = || {
        let listing = std::fs::read_dir(server.data().join("erase")).into_iter().flatten();
        let texts =
            listing.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
        let mut open = texts.filter(|text| text.contains(ZOE));
        open.any(|text| !planned || !text.contains(r#""stage": "requested""#))
    };
    while !is_there() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Zoe comes back under her name in each round, and is erased again.
#[test]
fn a_server_killed_at_any_moment_of_an_erasure_finishes_it_at_its_next_start() {
    let Some(rounds) = rounds_of("erasures", 6) else { return };
    let mut rng = Rng::new(23);
    let mut server = Plan::new().unlimited().start();
    for round in 0..rounds {
        drop(talk(&server, round as u64));
        if rng.chance(30) {
            assert_eq!(server.terminate(), 0);
            server.restart();
        }
        let before = history(&server);
        let mut tool = erase(&server, &["--user", ZOE]);
        let planned = rng.chance(50);
        await_demand(&server, planned);
        let wait_us = rng.range(0, if planned { 60_000 } else { 1_300_000 }) as u64;
        std::thread::sleep(Duration::from_micros(wait_us));
        server.kill9();
        server.restart();
        // The tool still watches: the next server does what the first one was asked for.
        let status = tool.wait().expect("our child");
        assert_eq!(status.code(), Some(0), "round {round}: killed after {wait_us} us");
        assert_gone(&server, &SECRETS);
        verify(&server);
        let after = history(&server);
        assert!(after.len() >= before.len(), "round {round}");
        for ((o, from, text), (was_o, was_from, was_text)) in after.iter().zip(&before) {
            assert_eq!(o, was_o, "round {round}");
            let is_erased = was_from == ZOE && from.starts_with("erased-") && text.is_empty();
            assert!(is_erased || (from, text) == (was_from, was_text), "{o}: {from}: {text}");
        }
    }
    // One tombstone for each, whatever the moment.
    let (_, rows) =
        server.scan(&["tail", "--kind", "erasure", "-n", "100000", "--format", "jsonl"]);
    assert_eq!(rows.lines().count(), rounds, "{rows}");
    println!("crash: erasures, kill -9 of the server: rounds {rounds}, all finished, none twice");
}

#[test]
fn an_erasure_waits_for_room_and_is_done_then() {
    if rounds_of("full", 1).is_none() {
        return;
    }
    let Some(disk) = Memory::mount(DISK_MIB) else { return };
    let plan = Plan::new().unlimited().set("log.ack", "os").data(&disk.path().join("data"));
    let server = plan.start();
    drop(talk(&server, 1));
    // Room for the demand, and none for a segment.
    disk.fill_but(256 << 10);
    let mut n = 0;
    assert_eq!(await_change(&server, &mut n, Answer::Taken), Answer::Refused);
    let mut tool = erase(&server, &["--user", ZOE]);
    let mut words = BufReader::new(tool.stderr.take().expect("piped")).lines();
    let mut line = words.next().expect("a line").expect("UTF-8");
    if line.starts_with("the server") {
        line = words.next().expect("a line").expect("UTF-8");
    }
    assert!(line.starts_with("warning: ") && line.ends_with("the server tries again"), "{line}");
    disk.free();
    finished(tool);
    assert_gone(&server, &SECRETS);
    verify(&server);
    let mut ann = Client::member(&server, "ann", "hall");
    ann.send("hall", "again", "the log takes records again");
}
