//! Bytes go in and come back.

use super::{Event, Rig, in_executor, is_closed};
use crate::net::{Close, DriverOptions, Event as E};
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn many_connections_echo_many_sizes() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let address = rig.address;
        let clients = std::thread::spawn(move || {
            let mut streams: Vec<_> =
                (0..50).map(|_| TcpStream::connect(address).expect("connects")).collect();
            for size in [1, 64, 4_095, 4_096, 4_097, 30_000] {
                for stream in &mut streams {
                    stream.write_all(&pattern(size)).expect("writes");
                }
                for stream in &mut streams {
                    let mut back = vec![0; size];
                    stream.read_exact(&mut back).expect("reads");
                    assert_eq!(back, pattern(size));
                }
            }
        });
        let mut closed = 0;
        rig.until(|driver, event| {
            match event {
                Event::Received { conn, buffer } => {
                    driver.queue_copy(conn, &buffer);
                }
                Event::Ended { conn, .. } => driver.close(conn, Close::AfterFlush),
                Event::Closed { .. } => closed += 1,
                _ => {}
            }
            closed == 50
        })
        .await;
        clients.join().expect("clients are content");
        let counters = rig.driver.counters();
        assert_eq!((counters.accepts, counters.completions_late), (50, 0));
        assert_eq!(counters.received_bytes, counters.sent_bytes);
        assert_eq!(rig.driver.connection_count(), 0);
    });
}

#[test]
fn one_chunk_reaches_every_member() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let mut members = Vec::new();
        for _ in 0..20 {
            members.push(rig.connect().await);
        }
        let pool = rig.driver.pool().clone();
        for turn in 0..3 {
            let mut bytes = pool.vec();
            bytes.extend_from_slice(&pattern(1_000));
            let chunk = pool.chunk(bytes);
            for (_, conn) in &members {
                assert_eq!(rig.driver.queue(*conn, chunk.slice(0, 600)), 600);
                assert_eq!(rig.driver.queue(*conn, chunk.slice(600, 1_000)), 1_000);
            }
            drop(chunk);
            rig.turn(|_, _| {}).await;
            for (client, _) in &mut members {
                let mut got = vec![0; 1_000];
                client.read_exact(&mut got).expect("reads");
                assert_eq!(got, pattern(1_000));
            }
            while members.iter().any(|(_, conn)| rig.driver.queued_bytes(*conn) > 0) {
                rig.turn(|_, _| {}).await;
            }
            let counters = rig.driver.counters();
            assert_eq!(counters.sends, 20 * (turn + 1), "one send per member and turn");
            assert_eq!(counters.sends_gathered, 0, "adjacent slices merge");
        }
        while pool.spare_bytes() == 0 {
            rig.turn(|_, _| {}).await;
        }
    });
}

#[test]
fn a_full_submission_queue_is_submitted_early() {
    let options = DriverOptions { submissions: 4, completions: 64, ..DriverOptions::default() };
    in_executor(async {
        let mut rig = Rig::new(options);
        let mut members = Vec::new();
        for _ in 0..30 {
            members.push(rig.connect().await);
        }
        // Gathered sends, whose headers have to outlive the early submissions.
        for (number, (_, conn)) in members.iter().enumerate() {
            for part in 0..5_u8 {
                let chunk = rig.driver.pool().chunk(vec![number as u8, part]);
                rig.driver.queue(*conn, chunk.all());
            }
        }
        rig.turn(|_, _| {}).await;
        assert!(rig.driver.counters().submissions_full >= 5);
        assert_eq!(rig.driver.counters().sends_gathered, 30);
        for (number, (client, _)) in members.iter_mut().enumerate() {
            let mut got = [0; 10];
            client.read_exact(&mut got).expect("reads");
            let n = number as u8;
            assert_eq!(got, [n, 0, n, 1, n, 2, n, 3, n, 4]);
        }
    });
}

#[test]
fn more_slices_than_one_send_takes_keep_their_order() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let (mut client, conn) = rig.connect().await;
        for number in 0..1_000_u16 {
            let chunk = rig.driver.pool().chunk(number.to_le_bytes().to_vec());
            rig.driver.queue(conn, chunk.all());
        }
        while rig.driver.queued_bytes(conn) > 0 {
            rig.turn(|_, _| {}).await;
        }
        let mut got = vec![0; 2_000];
        client.read_exact(&mut got).expect("reads");
        let want: Vec<u8> = (0..1_000_u16).flat_map(u16::to_le_bytes).collect();
        assert_eq!(got, want);
        rig.driver.close(conn, Close::Now);
        rig.until(|_, event| is_closed(&event, conn)).await;
    });
}

#[test]
fn adopted_sockets_work_and_a_full_shard_refuses() {
    let options = DriverOptions { connections_max: 1, ..DriverOptions::default() };
    in_executor(async {
        let mut rig = Rig::new(options);
        let (here, mut there) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let conn = rig.driver.adopt(here.into()).expect("room for one");
        there.write_all(b"hello").expect("writes");
        rig.until(|_, event| matches!(&event, E::Received { buffer, .. } if **buffer == *b"hello"))
            .await;
        let mut refused = TcpStream::connect(rig.address).expect("the backlog accepts");
        rig.turn(|_, _| {}).await;
        while rig.driver.counters().accepts_refused == 0 {
            rig.turn(|_, _| {}).await;
        }
        assert_eq!(refused.read(&mut [0; 1]).expect("closed in order"), 0);
        assert_eq!(rig.driver.pressure(conn).queued_bytes, 0);
    });
}

/// Bytes that show when one is lost or moved.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 251) as u8).collect()
}
