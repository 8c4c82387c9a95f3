//! Crashes with teeth: power cuts, SIGKILL, rotten bits, full and failing disks, each under load,
//! with an audit of every ack, and each with a control that must lose data: a harness that finds
//! nothing in a server that syncs nothing would find nothing anywhere.
//!
//! `cargo test` runs a few rounds of each, `tests/crash.sh` as many as it is told. Where this
//! process may not mount, what needs a file system of its own is skipped, aloud.

mod volume;

mod person;

mod hooks;

mod ledger;

mod rounds;

mod disk;

mod flips;

mod derived;

mod erasures;

#[cfg(all(feature = "script", feature = "wasm"))]
mod registrar;

#[cfg(all(feature = "script", feature = "wasm"))]
mod patron;

#[cfg(all(feature = "script", feature = "wasm"))]
mod calls;

use ledger::Figures;

/// How many rounds of `what`: from `RINGPOST_CRASH`, a list like `power=20,kill=100`. `None` where
/// it says 0: then this part was not asked for.
fn rounds_of(what: &str, usual: usize) -> Option<usize> {
    let list = std::env::var("RINGPOST_CRASH").unwrap_or_default();
    let mut pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    let told = pairs.find(|(name, _)| *name == what).map(|(_, count)| count);
    let number = |count: &str| count.parse().expect("RINGPOST_CRASH: a number of rounds");
    Some(told.map_or(usual, number)).filter(|count| *count > 0)
}

/// Rounds of a control: enough to lose something, few beside the rounds that must not.
fn control_rounds(rounds: usize) -> usize {
    (rounds / 20).clamp(3, 25)
}

/// Prints the line that `tests/crash.sh` collects.
fn print(what: &str, figures: &Figures) {
    println!("crash: {what}: {figures}");
}

/// Fails unless nothing was lost.
#[track_caller]
fn judge(what: &str, figures: &Figures) {
    print(what, figures);
    assert!(figures.acked > 0, "{what}: nothing was acknowledged, so nothing was tested");
    assert!(figures.faults.is_empty(), "{what}: {}", figures.faults.join("\n"));
}

/// Fails unless something was lost: else the harness could not tell.
#[track_caller]
fn judge_control(what: &str, figures: &Figures) {
    print(what, figures);
    assert!(figures.lost > 0, "{what}: the control lost nothing: this test proves nothing");
}
