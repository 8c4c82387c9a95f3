//! ringpost's net, with the loop that its module describes.

use super::sys::{self, MESSAGE_BYTES, Seat};
use glommio::{LocalExecutorBuilder, Placement};
use ringpost::net::{Close, Collected, Driver, DriverOptions, Event};

/// As a shard does it.
const NAP_US: u32 = 200;

/// Sends back what it receives.
pub fn echo(seat: Seat) {
    serve(seat, |driver, events, _| {
        for event in events.drain(..) {
            if let Event::Received { conn, buffer } = event {
                driver.queue_copy(conn, &buffer);
            }
        }
    });
}

/// Sends each message that anyone sends to everyone: one chunk per turn.
pub fn fan_out(seat: Seat) {
    let mut members = Vec::new();
    let mut turn = Vec::new();
    serve(seat, move |driver, events, end_of_turn| {
        for event in events.drain(..) {
            match event {
                Event::Accepted { conn, .. } => members.push(conn),
                Event::Received { buffer, .. } => turn.extend_from_slice(&buffer),
                _ => {}
            }
        }
        if !end_of_turn || turn.is_empty() {
            return;
        }
        assert_eq!(turn.len() % MESSAGE_BYTES, 0);
        let next = driver.pool().vec();
        let chunk = driver.pool().chunk(std::mem::replace(&mut turn, next));
        let slice = chunk.all();
        for &member in &members {
            driver.queue(member, slice.clone());
        }
    });
}

fn serve(seat: Seat, mut apply: impl FnMut(&mut Driver, &mut Vec<Event>, bool)) {
    let builder = LocalExecutorBuilder::new(Placement::Fixed(sys::cpus().0)).io_memory(64 << 10);
    let nap_us = std::env::var("NAP_US").ok().and_then(|text| text.parse().ok()).unwrap_or(NAP_US);
    builder.make().expect("an executor").run(async move {
        let mut driver = Driver::new(DriverOptions::default()).expect("a ring");
        let (mut arrived, mut left) = (0, 0);
        let mut events = Vec::new();
        driver.accept_on(seat.listener);
        driver.flush();
        while left < seat.connections {
            loop {
                let collected = driver.collect(&mut events);
                for event in &events {
                    match event {
                        Event::Accepted { .. } => arrived += 1,
                        Event::Ended { conn, .. } => driver.close(*conn, Close::Now),
                        Event::Closed { .. } => left += 1,
                        _ => {}
                    }
                }
                let all = collected == Collected::All;
                apply(&mut driver, &mut events, all);
                if all {
                    break;
                }
            }
            driver.flush();
            if arrived == seat.connections {
                seat.clock.publish();
                arrived = usize::MAX / 2;
            }
            if left < seat.connections
                && let Some(sleep) = driver.prepare_sleep()
            {
                sleep.wait(nap_us).await;
            }
            glommio::yield_if_needed().await;
        }
        if std::env::var_os("COUNTERS").is_some() {
            println!("    {:?}", driver.counters());
        }
    });
}
