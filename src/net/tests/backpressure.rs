//! Peers that read slowly or not at all, and floods.

use super::{Event, PATIENCE, Rig, in_executor, is_closed};
use crate::base::ids::ConnId;
use crate::base::limits::{RECEIVE_BUFFER_BYTES, TURN_COMPLETIONS_MAX};
use crate::net::{Close, DriverOptions, EndReason};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// More than the buffers of two sockets take.
const MUCH: usize = 24 << 20;
/// Written in pieces of this size.
const FLOOD_BLOCK: usize = 1 << 20;
/// More than two turns take.
const FLOOD: usize = 3 * TURN_COMPLETIONS_MAX * RECEIVE_BUFFER_BYTES;

#[test]
fn a_slow_reader_gets_everything_and_delays_nobody() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let (slow, slow_conn) = rig.connect().await;
        let (mut quick, quick_conn) = rig.connect().await;
        let sock = socket2::SockRef::from(&slow);
        sock.set_recv_buffer_size(256 << 10).expect("a small window");
        let body: Vec<u8> = (0..MUCH).map(|index| (index / 7 % 256) as u8).collect();
        let chunk = rig.driver.pool().chunk(body.clone());
        rig.driver.queue(slow_conn, chunk.all());
        drop(chunk);
        rig.driver.notify_below(slow_conn, 1_000);
        rig.turn(|_, _| {}).await;
        // The slow send is stuck in the kernel now.
        for number in 0..200_u8 {
            rig.driver.queue_copy(quick_conn, &[number]);
            rig.driver.queue_copy(slow_conn, &[number]);
            let before = Instant::now();
            rig.driver.flush();
            let mut got = [0; 1];
            quick.read_exact(&mut got).expect("reads");
            assert_eq!(got, [number]);
            assert!(before.elapsed() < Duration::from_secs(2));
            rig.turn(|_, _| {}).await;
        }
        let pressure = rig.driver.pressure(slow_conn);
        assert!(pressure.queued_bytes > MUCH / 2, "{pressure:?}");
        let reader = std::thread::spawn(move || read_all(slow, MUCH + 200));
        rig.until(|_, event| matches!(event, Event::Drained { conn } if conn == slow_conn)).await;
        assert!(rig.driver.queued_bytes(slow_conn) <= 1_000);
        while rig.driver.queued_bytes(slow_conn) > 0 {
            rig.turn(|_, _| {}).await;
        }
        assert_eq!(rig.driver.pressure(slow_conn).sent_bytes, MUCH as u64 + 200);
        let got = reader.join().expect("reads all");
        assert!(got[..MUCH] == body[..], "bytes are in order");
        assert!(got[MUCH..].iter().copied().eq(0..200));
    });
}

#[test]
fn a_peer_that_dies_in_the_middle_of_a_send_frees_everything() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let (client, conn) = rig.connect().await;
        let mut bytes = rig.driver.pool().vec();
        bytes.resize(MUCH, 1);
        let chunk = rig.driver.pool().chunk(bytes);
        rig.driver.queue(conn, chunk.all());
        rig.driver.queue(conn, chunk.slice(0, 100));
        rig.turn(|_, _| {}).await;
        // Unread bytes and a zero linger make the close a reset.
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("linger");
        drop(client);
        let mut reasons = Vec::new();
        rig.until(|driver, event| {
            if let Event::Ended { conn: id, reason } = event {
                assert_eq!(id, conn);
                reasons.push(reason);
                let queued = driver.queue_copy(conn, b"late");
                assert!(reason != EndReason::Reset || queued == 0, "a reset one takes nothing");
                driver.close(conn, Close::Now);
                return false;
            }
            is_closed(&event, conn)
        })
        .await;
        // The kernel reports a reset once: to the send, and the receive then sees the end.
        assert!(reasons == [EndReason::Reset] || reasons == [EndReason::Eof], "{reasons:?}");
        assert_eq!(rig.driver.connection_count(), 0);
    });
}

#[test]
fn closing_now_interrupts_a_stuck_send() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let (client, conn) = rig.connect().await;
        let chunk = rig.driver.pool().chunk(vec![3; MUCH]);
        rig.driver.queue(conn, chunk.all());
        rig.turn(|_, _| {}).await;
        assert!(rig.driver.queued_bytes(conn) > 0);
        rig.driver.close(conn, Close::AfterFlush);
        rig.idle(Duration::from_millis(30), |_, event| assert!(!is_closed(&event, conn))).await;
        rig.driver.close(conn, Close::Now);
        rig.until(|_, event| is_closed(&event, conn)).await;
        assert_eq!(rig.driver.pressure(conn), Default::default());
        drop(client);
    });
}

#[test]
fn pausing_reads_stops_a_flood_and_resuming_loses_nothing() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let (client, conn) = rig.connect().await;
        let writer = std::thread::spawn(move || {
            let block: Vec<u8> = (0..FLOOD_BLOCK).map(|index| (index % 251) as u8).collect();
            for _ in 0..FLOOD / FLOOD_BLOCK {
                (&client).write_all(&block).expect("writes");
            }
            client
        });
        let mut received = 0_usize;
        let mut check = |buffer: &[u8]| {
            for &byte in buffer {
                assert_eq!(byte, (received % FLOOD_BLOCK % 251) as u8);
                received += 1;
            }
            received
        };
        rig.until(|_, event| {
            matches!(event, Event::Received { ref buffer, .. } if check(buffer) > 100_000)
        })
        .await;
        let first_turn = check(&[]);
        assert!(first_turn < FLOOD / 2, "a flood does not own the turn: {first_turn}");
        rig.driver.pause_reads(conn);
        // Resumed and paused at once: the cancellation of the first pause is still on its way.
        rig.driver.resume_reads(conn);
        rig.driver.pause_reads(conn);
        rig.idle(Duration::from_millis(20), |_, event| take(event, &mut check)).await;
        let paused_at = check(&[]);
        rig.idle(Duration::from_millis(60), |_, event| take(event, &mut check)).await;
        assert_eq!(check(&[]), paused_at, "nothing arrives while paused");
        rig.driver.resume_reads(conn);
        rig.until(|_, event| {
            take(event, &mut check);
            check(&[]) == FLOOD
        })
        .await;
        drop(writer.join().expect("wrote all"));
    });
}

#[test]
fn few_receive_buffers_starve_nobody() {
    let options = DriverOptions { buffer_count: 2, buffer_bytes: 128, ..DriverOptions::default() };
    in_executor(async {
        let mut rig = Rig::new(options);
        let mut clients = Vec::new();
        for _ in 0..30 {
            clients.push(rig.connect().await.0);
        }
        let writers = std::thread::spawn(move || {
            for _ in 0..20 {
                for client in &mut clients {
                    client.write_all(&[5; 500]).expect("writes");
                }
            }
            clients
        });
        let mut counts = std::collections::BTreeMap::<ConnId, usize>::new();
        rig.until(|_, event| {
            if let Event::Received { conn, buffer } = event {
                *counts.entry(conn).or_default() += buffer.len();
            }
            counts.values().sum::<usize>() == 30 * 20 * 500
        })
        .await;
        assert!(counts.values().all(|&count| count == 20 * 500));
        assert!(rig.driver.counters().receives_out_of_buffers > 0);
        drop(writers.join().expect("wrote all"));
    });
}

fn take(event: Event, check: &mut impl FnMut(&[u8]) -> usize) {
    if let Event::Received { buffer, .. } = event {
        check(&buffer);
    }
}

fn read_all(mut stream: TcpStream, size: usize) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes).expect("reads");
    bytes
}
