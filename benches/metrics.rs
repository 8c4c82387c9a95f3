//! What measuring costs the loop that measures itself, nanoseconds of CPU.
//!
//! `cargo bench --bench metrics` measures; `cargo test --benches` runs the same code small.

use ringpost::metrics::{Buckets, Histograms, Metric, Recorder};
use std::hint::black_box;
use std::time::Instant;

/// The best of so many counts: neighbours only ever add.
const ROUNDS: u64 = 5;

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let count: u64 = if full { 20_000_000 } else { 20_000 };
    // Latencies as they are: a few hundred microseconds, some far off.
    let values: Vec<u64> = (0..4_096_u64).map(|n| 100 + n * n % 977 + (n % 64) / 63 * n).collect();
    let mut recorder = Recorder::new(0);
    let record = cost(count, |n| {
        let metric = Metric::ALL[n as usize % 4];
        recorder.record(metric, values[n as usize % values.len()]);
    });
    let mut totals = Histograms::default();
    recorder.settle(&mut totals);
    let recorded: u64 = Metric::ALL.iter().map(|metric| totals.of(*metric).count()).sum();
    assert_eq!(recorded, ROUNDS * count, "every value is counted");
    let origin = Instant::now();
    let clock = cost(count / 10, |_| {
        black_box(origin.elapsed().as_micros());
    });
    // One of each was measured since, as on a server that does little.
    let settle = cost(count / 20_000, |n| {
        Metric::ALL.iter().for_each(|metric| recorder.record(*metric, values[n as usize % 64]));
        recorder.settle(&mut totals);
    });
    let mut bytes = Vec::new();
    let buckets: &Buckets = totals.of(Metric::ALL[0]);
    let encode = cost(count / 20_000, |_| {
        bytes.clear();
        buckets.encode(&mut bytes);
    });
    println!("record one value            {record:8.1} ns");
    println!("look at the clock           {clock:8.1} ns, once for each busy turn");
    println!("settle six histograms       {settle:8.0} ns, once a second");
    println!("encode one, {:4} bytes      {encode:8.0} ns, once a minute", bytes.len());
    assert!(!full || record <= 10.0, "a value costs more than 10 ns");
}

fn cost(count: u64, mut one: impl FnMut(u64)) -> f64 {
    let best = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        for n in 0..count {
            one(black_box(n));
        }
        begin.elapsed().as_nanos() as f64 / count as f64
    });
    best.fold(f64::INFINITY, f64::min)
}
