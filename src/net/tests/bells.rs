//! Waking: once per burst, and never too seldom.

use super::{PATIENCE, in_executor};
use crate::net::{Bell, Collected, Driver, DriverOptions, Event, Peer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// One turn of a driver without sockets: gives the bells and ticks it brought.
fn collect(driver: &mut Driver) -> (u32, u32) {
    let mut events = Vec::new();
    while driver.collect(&mut events) == Collected::More {}
    driver.flush();
    events.iter().fold((0, 0), |(bells, ticks), event| match event {
        Event::Bell => (bells + 1, ticks),
        Event::Tick => (bells, ticks + 1),
        other => panic!("no sockets here: {other:?}"),
    })
}

#[test]
fn a_burst_rings_once_and_an_awake_shard_not_at_all() {
    in_executor(async {
        let mut driver = Driver::new(DriverOptions::default()).expect("a ring");
        let bell = driver.bell().clone();
        bell.ring();
        driver.set_timer(30);
        driver.flush();
        for round in 0..5 {
            let ringers = if let Some(sleep) = driver.prepare_sleep() {
                let ringers: Vec<_> = (0..4)
                    .map(|_| {
                        let bell = bell.clone();
                        std::thread::spawn(move || (0..100).for_each(|_| bell.ring()))
                    })
                    .collect();
                sleep.wait(if round % 2 == 0 { 0 } else { 20_000 }).await;
                ringers
            } else {
                Vec::new()
            };
            ringers.into_iter().for_each(|ringer| ringer.join().expect("rings"));
            collect(&mut driver);
        }
        let bells = driver.counters().bells;
        assert!((1..=5).contains(&bells), "{bells} bells in 5 sleeps and 2000 rings");
    });
}

#[test]
fn a_rescue_wakes_a_shard_that_nobody_rang() {
    in_executor(async {
        let mut driver = Driver::new(DriverOptions::default()).expect("a ring");
        let bell = driver.bell().clone();
        let start = Instant::now();
        let rescuer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            bell.rescue();
        });
        driver.prepare_sleep().expect("nothing to do").wait(0).await;
        assert!(start.elapsed() >= Duration::from_millis(50));
        rescuer.join().expect("it rescues");
    });
}

#[test]
fn the_timer_ticks_once_and_the_last_setting_holds() {
    in_executor(async {
        let mut driver = Driver::new(DriverOptions::default()).expect("a ring");
        let start = Instant::now();
        driver.set_timer(5_000);
        driver.set_timer(40);
        driver.flush();
        driver.set_timer(60);
        let mut ticks = 0;
        while ticks == 0 {
            ticks += collect(&mut driver).1;
            if ticks == 0
                && let Some(sleep) = driver.prepare_sleep()
            {
                sleep.wait(0).await;
            }
            assert!(start.elapsed() < PATIENCE);
        }
        assert!(start.elapsed() >= Duration::from_millis(60));
        driver.set_timer(10);
        driver.clear_timer();
        driver.flush();
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!((ticks, collect(&mut driver).1), (1, 0));
    });
}

/// Two shards pass a token over mailboxes, waking each other by ring messages, while a plain thread
/// rings one of them by its eventfd. They nap, park and keep busy in all mixtures. A lost wake-up
/// would leave both asleep until the watchdog timer, which must never be what wakes them.
#[test]
fn no_wake_up_is_lost_between_two_shards_and_a_thread() {
    let stop = Arc::new(AtomicBool::new(false));
    let (to_left, left_mail) = mpsc::channel::<u64>();
    let (to_right, right_mail) = mpsc::channel::<u64>();
    let (left_bells, right_bells) = (mpsc::channel::<Bell>(), mpsc::channel::<Bell>());
    let outside = Arc::new(AtomicU64::new(0));
    to_left.send(0).expect("open");
    let outside_mail = to_left.clone();
    let left = Shard {
        mail: left_mail,
        peer_mail: to_right.clone(),
        stop: stop.clone(),
        outside: outside.clone(),
    };
    let right = Shard {
        mail: right_mail,
        peer_mail: to_left,
        stop: stop.clone(),
        outside: outside.clone(),
    };
    let (left_out, left_in) = left_bells;
    let (right_out, right_in) = right_bells;
    let (knock_out, knock_in) = mpsc::channel::<Bell>();
    let left = std::thread::spawn(move || left.run(vec![left_out, knock_out], &right_in));
    let right = std::thread::spawn(move || right.run(vec![right_out], &left_in));
    let bell = knock_in.recv().expect("the left shard's bell");
    let end = Instant::now() + Duration::from_millis(2_500);
    let mut knocks = 0;
    while Instant::now() < end {
        outside_mail.send(u64::MAX).expect("open");
        bell.ring();
        knocks += 1;
        std::thread::sleep(Duration::from_micros(50 * (knocks % 7)));
    }
    let heard_by = Instant::now() + PATIENCE;
    while outside.load(Ordering::Acquire) < knocks {
        assert!(Instant::now() < heard_by, "a knock was lost");
        std::thread::sleep(Duration::from_millis(1));
    }
    stop.store(true, Ordering::Release);
    let (left, right) = (left.join().expect("left"), right.join().expect("right"));
    assert!(left.hops > 500 && right.hops > 500, "{left:?} {right:?}");
    assert_eq!(left.late_wakes + right.late_wakes, 0, "{left:?} {right:?}");
    assert!(left.parks > 0 && left.naps > 0, "both ways to wait were used: {left:?}");
}

struct Shard {
    mail: mpsc::Receiver<u64>,
    peer_mail: mpsc::Sender<u64>,
    stop: Arc<AtomicBool>,
    /// Knocks of the plain thread that were heard.
    outside: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Report {
    hops: u64,
    /// Mail that only the watchdog timer brought to light.
    late_wakes: u64,
    naps: u64,
    parks: u64,
}

impl Shard {
    fn run(self, own: Vec<mpsc::Sender<Bell>>, peer: &mpsc::Receiver<Bell>) -> Report {
        in_executor(async {
            let mut driver = Driver::new(DriverOptions::default()).expect("a ring");
            for out in &own {
                out.send(driver.bell().clone()).expect("open");
            }
            let peer = driver.add_peer(peer.recv().expect("open"));
            let mut report = Report::default();
            let mut ticks = 0;
            driver.set_timer(500);
            while !self.stop.load(Ordering::Acquire) {
                let mail = self.handle_mail(&mut driver, peer, &mut report);
                // A tick after half a second of silence with mail waiting: it should have rung.
                report.late_wakes += u64::from(ticks > 0 && mail > 0);
                if mail > 0 || ticks > 0 {
                    driver.set_timer(500);
                }
                (_, ticks) = collect(&mut driver);
                let mut found = None;
                if ticks == 0
                    && let Some(sleep) = driver.prepare_sleep()
                {
                    // Looked at after arming, as the rule says.
                    found = self.mail.try_recv().ok();
                    if found.is_none() {
                        sleep.wait(if report.hops % 3 == 0 { 0 } else { 30 }).await;
                    }
                }
                if let Some(item) = found {
                    self.handle(item, &mut driver, peer, &mut report);
                }
                glommio::yield_if_needed().await;
            }
            let counters = driver.counters();
            Report { naps: counters.naps, parks: counters.parks, ..report }
        })
    }

    fn handle_mail(&self, driver: &mut Driver, peer: Peer, report: &mut Report) -> u32 {
        let mut count = 0;
        while let Ok(item) = self.mail.try_recv() {
            self.handle(item, driver, peer, report);
            count += 1;
        }
        count
    }

    fn handle(&self, item: u64, driver: &mut Driver, peer: Peer, report: &mut Report) {
        if item == u64::MAX {
            self.outside.fetch_add(1, Ordering::AcqRel);
            return;
        }
        report.hops += 1;
        if item.is_multiple_of(50) {
            // A busy slice, so that the other side rings into a turn.
            let end = Instant::now() + Duration::from_micros(item % 1_000);
            while Instant::now() < end {}
        }
        let _ = self.peer_mail.send(item + 1);
        driver.ring_peer(peer);
    }
}
