//! The whole domain under a seed: N shards, fake disk, fake network and fake clock on one thread.
//!
//! ```text
//!  clients ─▶ fake net ─▶ Shard (real Hub) ─▶ fake log (real framing and recovery)
//!     ▲                      │      ▲
//!     └────── frames ◀───────┘      └─▶ mail between shards, reordered among pairs
//! ```
//!
//! Faults: slow and dead peers, reconnects, lost frames, crashes and power cuts with torn writes, a
//! log that is full or fails, clocks that jump, webhooks delivered twice. Held at every frame a
//! client reads and at every record a hub writes: one order and dense offsets for a room, no gap
//! and no loss without a word, no second event for a `cid`, whole pages of history; after a crash
//! everything acknowledged; in the end everyone up to date, and nothing left behind.
//!
//! A failing seed prints itself and its last steps: `SIM_SEED=N cargo test --test it sim`.
//! `SIM_SEEDS=200000 cargo test --release --test it sim` looks further than every run does.

mod client;

mod disk;

mod net;

mod oracle;

mod plan;

pub mod prng;

mod records;

mod settle;

mod shard;

mod snapshots;

mod trace;

mod workload;

mod world;

use plan::Plant;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use world::World;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 2_000;

/// Runs one seed. `Err`: the step it failed at, what was wrong, and the steps before.
fn run(seed: u64, plant: Plant) -> Result<(), String> {
    let ended = catch_unwind(AssertUnwindSafe(|| World::new(seed, plant).run()));
    ended.map(|_| ()).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap_or_else(|| "a panic without words".to_owned());
        let (step, lines) = trace::report();
        format!(
            "{lines}\nseed {seed} failed at step {step}: {text}\n\
             replay: SIM_SEED={seed} cargo test --test it sim"
        )
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs `0..count` on two threads and gives the first failure found.
fn run_all(count: u64, plant: Plant) -> Option<String> {
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                break;
            }
            if let Err(report) = run(seed, plant) {
                stop.store(true, Ordering::Relaxed);
                return Some(report);
            }
        }
        None
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mine = work();
        mine.or(other.join().expect("a run catches its panics"))
    })
}

#[test]
fn seeds_hold() {
    let failure = match number("SIM_SEED") {
        Some(seed) => run(seed, Plant::Nothing).err(),
        None => run_all(number("SIM_SEEDS").unwrap_or(SEEDS), Plant::Nothing),
    };
    if let Some(report) = failure {
        panic!("{report}");
    }
}

#[test]
fn planted_bugs_are_found() {
    for plant in [Plant::Barrier, Plant::Generation] {
        let report = run_all(SEEDS, plant);
        let report = report.unwrap_or_else(|| panic!("{plant:?} is not found in {SEEDS} seeds"));
        let last = report.lines().rev().nth(1).unwrap_or_default();
        println!("{plant:?}: {last}");
    }
}

#[test]
fn a_seed_is_the_whole_run() {
    let trace_of = |seed| {
        run(seed, Plant::Nothing).expect("another test reports it");
        trace::report()
    };
    for seed in 0..20 {
        assert_eq!(trace_of(seed), trace_of(seed), "seed {seed}");
    }
}
