//! A disk that is full, and a disk that fails to write, both under load and both healed again.

use super::ledger::Figures;
use super::rounds::{Crowd, plan};
use super::volume::{Kind, Memory, Volume};
use super::{control_rounds, judge, judge_control, rounds_of};
use crate::server::client::Client;
use crate::server::process::{Folder, Server};
use crate::sim::prng::Rng;
use serde_json::json;
use std::time::{Duration, Instant};

/// In memory, so that a full one is soon full; room for the segments of a few seconds.
pub(super) const DISK_MIB: u32 = 96;
/// The longest wait for trouble to show, and for it to pass.
const PATIENCE: Duration = Duration::from_secs(15);

/// What one message to the server came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Taken,
    Refused,
    Gone,
}

/// Says one thing on a connection of its own. A server that died gives none.
fn probe(server: &Server, n: u32) -> Answer {
    let Ok(stream) = std::net::TcpStream::connect(server.address()) else { return Answer::Gone };
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let Ok(mut client) = Client::over(stream, &format!("ws://{}/ws", server.address())) else {
        return Answer::Gone;
    };
    let room = json!({"witness": {}});
    let hello = client.try_post("hello", "", json!({"user": "witness", "rooms": room}));
    let text = "x".repeat(20_000);
    let d = json!({"cid": format!("{n}"), "text": text});
    let send = client.try_post("send", "witness", d);
    loop {
        let Ok(value) = client.read() else { return Answer::Gone };
        if value["id"] == send {
            return if value["t"] == "ok" { Answer::Taken } else { Answer::Refused };
        }
        if value["id"] == hello && value["t"] != "ok" {
            return Answer::Gone;
        }
    }
}

/// Probes until the answer is not `now`; the last answer.
pub(super) fn await_change(server: &Server, n: &mut u32, now: Answer) -> Answer {
    let begin = Instant::now();
    loop {
        *n += 1;
        let answer = probe(server, *n);
        if answer != now {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "the server stays {now:?}\n{}", server.words());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_disk_loses_nothing_acknowledged_and_heals() {
    let Some(rounds) = rounds_of("full", 1) else { return };
    let mut figures = Figures::default();
    let mut rng = Rng::new(5);
    for _ in 0..rounds {
        let Some(disk) = Memory::mount(DISK_MIB) else { return };
        let mut crowd = Crowd::refused_at_times();
        let mut server = plan(&disk.path().join("data"), "fsync").start();
        crowd.talk(&server, false);
        std::thread::sleep(Duration::from_millis(rng.range(0, 200) as u64));
        disk.fill();
        let mut n = 0;
        assert_eq!(await_change(&server, &mut n, Answer::Taken), Answer::Refused);
        std::thread::sleep(Duration::from_millis(rng.range(0, 500) as u64));
        disk.free();
        assert_eq!(await_change(&server, &mut n, Answer::Refused), Answer::Taken);
        std::thread::sleep(Duration::from_millis(rng.range(0, 100) as u64));
        server.kill9();
        crowd.hush();
        let begin = Instant::now();
        server.restart();
        figures.recoveries.push(begin.elapsed());
        figures.rounds += 1;
        crowd.audit(&server, &mut figures);
        server.kill9();
    }
    if rounds > 0 {
        judge("full disk, log.ack fsync", &figures);
        assert!(figures.refused > 0, "somebody was refused");
        judge_control("full disk, control: log.ack memory", &killed_while_full(rounds));
    }
}

/// Under `memory` what waits in the ring for room was acknowledged, and dies with the process.
fn killed_while_full(rounds: usize) -> Figures {
    let mut figures = Figures::default();
    for _ in 0..control_rounds(rounds) {
        let Some(disk) = Memory::mount(DISK_MIB) else { return figures };
        let mut crowd = Crowd::refused_at_times();
        let mut server = plan(&disk.path().join("data"), "memory").start();
        crowd.talk(&server, false);
        disk.fill();
        await_change(&server, &mut 0, Answer::Taken);
        server.kill9();
        crowd.hush();
        disk.free();
        server.restart();
        figures.rounds += 1;
        crowd.audit(&server, &mut figures);
        server.kill9();
    }
    figures
}

/// What became of a server whose disk failed and healed.
#[derive(Debug, Default)]
struct Outcomes {
    healed: usize,
    ended: usize,
}

fn failing(ack: &str, rounds: usize, outcomes: &mut Outcomes) -> Option<Figures> {
    let mut figures = Figures::default();
    let mut rng = Rng::new(6);
    for _ in 0..rounds {
        // A disk that promises more than the memory below it holds.
        let below = Memory::mount(DISK_MIB)?;
        let image = below.path().join("image");
        let volume = Volume::make_in(Kind::Ext4, &image, u64::from(DISK_MIB) * 3, Folder::new())?;
        let mut crowd = Crowd::refused_at_times();
        let mut server = plan(&volume.path().join("data"), ack).start();
        crowd.talk(&server, false);
        std::thread::sleep(Duration::from_millis(rng.range(50, 400) as u64));
        below.fill();
        let mut n = 0;
        if ack == "fsync" {
            let trouble = await_change(&server, &mut n, Answer::Taken);
            std::thread::sleep(Duration::from_millis(rng.range(0, 300) as u64));
            below.free();
            let healed = trouble == Answer::Refused
                && await_change(&server, &mut n, Answer::Refused) == Answer::Taken;
            if healed {
                outcomes.healed += 1;
            } else {
                assert_eq!(server.await_stop(), 74, "{}", server.words());
                outcomes.ended += 1;
            }
        } else {
            std::thread::sleep(Duration::from_millis(1_500));
        }
        server.end();
        crowd.hush();
        volume.unmount();
        if ack != "fsync" {
            below.free();
        }
        volume.mount();
        let begin = Instant::now();
        server.restart();
        figures.recoveries.push(begin.elapsed());
        figures.rounds += 1;
        crowd.audit(&server, &mut figures);
        server.kill9();
    }
    Some(figures)
}

#[test]
fn a_failing_disk_loses_nothing_acknowledged() {
    let Some(rounds) = rounds_of("errors", 1) else { return };
    let mut outcomes = Outcomes::default();
    let Some(figures) = failing("fsync", rounds, &mut outcomes) else { return };
    if rounds > 0 {
        judge("write errors, log.ack fsync", &figures);
        println!("crash: write errors: healed {}, ended {}", outcomes.healed, outcomes.ended);
        let figures = failing("os", control_rounds(rounds), &mut outcomes).expect("it mounts");
        judge_control("write errors, control: log.ack os", &figures);
    }
}
