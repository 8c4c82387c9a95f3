//! What the pure steps of a message's path cost: masking, framing, heads, envelopes, routing.
//!
//! `cargo bench --bench micro` times them with criterion; `cargo bench --bench micro -- --counts`
//! counts their instructions under valgrind, which a busy machine does not change, and compares
//! them with the table in docs/BENCHMARKS.md (`--counts --write` writes that table). As a test each
//! runs a few times. Every case checks its own answer first, in each mode.
//!
//! The log's append, its scans and the kernels of reports have benches of their own: `log`, `scan`.

mod cases;
mod commands;
mod counts;

use cases::{CASES, Case};
use std::hint::black_box;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    if let Some(at) = arguments.iter().position(|argument| argument == counts::ONE) {
        counts::run_one(&arguments[at + 1]);
    } else if has("--counts") {
        return counts::compare(has("--write"));
    } else if has("--bench") {
        let mut criterion = criterion::Criterion::default().configure_from_args();
        for case in &CASES {
            let mut work = ready(case);
            criterion.bench_function(case.name, |bencher| bencher.iter(|| black_box(work())));
        }
        criterion.final_summary();
    } else {
        for case in &CASES {
            drop(ready(case));
            println!("{}: as it should be", case.name);
        }
    }
    ExitCode::SUCCESS
}

/// The work of a case, warm, after it has given the right answer some times.
fn ready(case: &Case) -> Box<dyn FnMut() -> u64> {
    let mut work = (case.prepare)();
    for _ in 0..counts::WARM_UP {
        assert_eq!(work(), case.answer, "{}", case.name);
    }
    work
}
