//! Every way in which a connection ends, and who gets the slot afterwards.

use super::{Event, Rig, in_executor, is_closed};
use crate::net::{Close, DriverOptions, EndReason};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

#[test]
fn a_half_closed_peer_still_gets_its_bytes() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let (mut client, conn) = rig.connect().await;
        client.write_all(b"question").expect("writes");
        client.shutdown(Shutdown::Write).expect("half closed");
        rig.until(|driver, event| {
            if let Event::Ended { conn: id, reason } = event {
                assert_eq!((id, reason), (conn, EndReason::Eof));
                assert_eq!(driver.queue_copy(conn, b"answer"), 6);
                driver.close(conn, Close::AfterFlush);
                assert_eq!(driver.queue_copy(conn, b"more"), 0, "closed means closed");
                return false;
            }
            is_closed(&event, conn)
        })
        .await;
        let mut got = String::new();
        client.read_to_string(&mut got).expect("reads to the end");
        assert_eq!(got, "answer");
    });
}

#[test]
fn closing_after_the_flush_waits_for_the_peer() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let (mut client, conn) = rig.connect().await;
        rig.driver.queue_copy(conn, b"goodbye");
        rig.driver.pause_reads(conn);
        rig.driver.close(conn, Close::AfterFlush);
        let mut got = [0; 7];
        rig.idle(Duration::from_millis(20), |_, event| panic!("too early: {event:?}")).await;
        client.read_exact(&mut got).expect("reads");
        assert_eq!((&got, client.read(&mut [0; 1]).expect("our FIN")), (b"goodbye", 0));
        client.write_all(b"dropped").expect("we still read");
        rig.idle(Duration::from_millis(20), |_, event| panic!("too early: {event:?}")).await;
        drop(client);
        rig.until(|_, event| {
            assert!(is_closed(&event, conn), "nothing but Closed: {event:?}");
            true
        })
        .await;
    });
}

#[test]
fn closing_an_idle_or_unknown_connection() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let (mut client, conn) = rig.connect().await;
        rig.driver.close(conn, Close::Now);
        rig.driver.close(conn, Close::Now);
        rig.driver.close(conn, Close::AfterFlush);
        let mut closed = 0;
        rig.until(|_, event| {
            closed += u32::from(is_closed(&event, conn));
            closed == 1
        })
        .await;
        assert_eq!(client.read(&mut [0; 1]).expect("our FIN"), 0);
        rig.driver.close(conn, Close::Now);
        rig.driver.pause_reads(conn);
        rig.driver.resume_reads(conn);
        rig.driver.notify_below(conn, 0);
        rig.idle(Duration::from_millis(20), |_, event| panic!("the id is dead: {event:?}")).await;
    });
}

#[test]
fn a_reset_is_told_apart_from_an_orderly_end() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let (client, conn) = rig.connect().await;
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("linger");
        drop(client);
        rig.until(|_, event| {
            let Event::Ended { conn: id, reason } = event else { return false };
            assert_eq!((id, reason), (conn, EndReason::Reset));
            true
        })
        .await;
        rig.driver.close(conn, Close::AfterFlush);
        rig.until(|_, event| is_closed(&event, conn)).await;
    });
}

/// Slots are reused at once, while operations of their last tenants complete. Each connection says
/// its own number; hearing another one would mean that a completion reached the wrong tenant.
#[test]
fn reused_slots_never_hear_their_last_tenant() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let mut indices = std::collections::BTreeSet::new();
        for round in 0..150_u32 {
            let (mut first, first_conn) = rig.connect().await;
            let (mut second, second_conn) = rig.connect().await;
            indices.extend([first_conn.index, second_conn.index]);
            first.write_all(&round.to_le_bytes()).expect("writes");
            rig.driver.queue_copy(first_conn, &[1; 3_000]);
            rig.driver.flush();
            // Its receive, its send and its cancellation are all in flight now.
            rig.driver.close(first_conn, Close::Now);
            second.write_all(&(!round).to_le_bytes()).expect("writes");
            let (mut closed, mut heard) = (false, false);
            rig.until(|_, event| {
                closed |= is_closed(&event, first_conn);
                if let Event::Received { conn, buffer } = event {
                    assert_eq!(conn, second_conn);
                    assert_eq!(*buffer, (!round).to_le_bytes());
                    heard = true;
                }
                closed && heard
            })
            .await;
            rig.driver.close(second_conn, Close::Now);
        }
        assert!(indices.len() < 10, "slots are reused: {indices:?}");
        assert_eq!(rig.driver.counters().completions_late, 0);
    });
}

#[test]
fn shutting_down_with_everything_in_flight_drains() {
    in_executor(async {
        let mut rig = Rig::new(DriverOptions::default());
        let mut clients = Vec::new();
        for _ in 0..10 {
            let (client, conn) = rig.connect().await;
            let chunk = rig.driver.pool().chunk(vec![1; 8 << 20]);
            rig.driver.queue(conn, chunk.all());
            clients.push(client);
        }
        rig.driver.flush();
        rig.driver.shutdown();
        assert_eq!(rig.driver.connection_count(), 0);
    });
}
