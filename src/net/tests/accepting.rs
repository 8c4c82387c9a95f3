//! Too few descriptors, and no more guests.

use super::{PATIENCE, Rig, in_executor};
use crate::net::{DriverOptions, Event};
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Runs `out_of_files_child` in a process of its own, whose limit it may lower.
#[test]
fn out_of_files_turns_peers_away_and_recovers() {
    let output = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "net::tests::accepting::out_of_files_child"])
        .env(CHILD, "1")
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Set for the process that lowers its own limits.
const CHILD: &str = "RINGPOST_TEST_CHILD";

/// Lowers the limits of its process, so it has one of its own: the test above runs it.
#[test]
fn out_of_files_child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    in_executor(async {
        // Before the accept is armed: it remembers the limit of that moment.
        let limit = libc::rlimit { rlim_cur: 60, rlim_max: 1_000 };
        // SAFETY: a valid limit, in a process that exists for this test.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        let mut rig = Rig::new(DriverOptions::default());
        let mut clients: Vec<TcpStream> = Vec::new();
        while let Ok(client) = TcpStream::connect(rig.address) {
            clients.push(client);
        }
        let client = clients.pop().expect("at least one connected");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let before = Instant::now();
        while rig.driver.counters().accepts_out_of_files < 3 {
            rig.turn(|_, _| {}).await;
        }
        let waited = before.elapsed();
        assert!(waited >= Duration::from_millis(90), "two pauses of 50 ms, not a spin: {waited:?}");
        assert!((&client).read(&mut [0; 1]).is_ok_and(|count| count == 0), "turned away");
        drop((client, clients));
        rig.connect().await;
    });
}

#[test]
fn stopping_closes_the_listener_and_keeps_connections() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let (client, conn) = rig.connect().await;
        rig.driver.stop_accepting();
        rig.driver.stop_accepting();
        rig.idle(Duration::from_millis(30), |_, _| {}).await;
        assert!(TcpStream::connect(rig.address).is_err(), "nobody listens");
        std::io::Write::write_all(&mut &client, b"still here").expect("writes");
        rig.until(|_, event| matches!(event, Event::Received { conn: id, .. } if id == conn)).await;
    });
}
