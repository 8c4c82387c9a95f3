//! Instructions of each case, by valgrind's callgrind, beside those in the document.

use super::cases::{CASES, Case};
use super::ready;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs before anything is measured: what grows has grown.
pub const WARM_UP: u32 = 5_000;
/// Runs that are counted.
const COUNTED: u64 = 1_000;
/// More than this share beyond the document is a regression, less is news.
const TOLERANCE: f64 = 0.10;
/// The argument of the process that valgrind watches.
pub const ONE: &str = "--count-one";

const DOCUMENT: &str = "docs/BENCHMARKS.md";
const BEGIN: &str = "<!-- counts: written by cargo bench --bench micro -- --counts --write -->\n";
const END: &str = "<!-- counts: end -->";

/// Only what happens in here is counted: valgrind knows it by its name.
// SAFETY: nothing else in this program has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn ringpost_bench_counted(work: &mut dyn FnMut() -> u64) {
    for _ in 0..COUNTED {
        black_box(work());
    }
}

/// Warms one case up and runs it to be counted.
pub fn run_one(name: &str) {
    let case = CASES.iter().find(|case| case.name == name).expect("a case of this name");
    ringpost_bench_counted(&mut *ready(case));
}

/// Counts all cases and compares them with the document, or writes them there.
pub fn compare(write: bool) -> ExitCode {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|out| out.status.success()) {
        println!("skipped: valgrind is not installed, so no instruction was counted");
        return ExitCode::SUCCESS;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let document = std::fs::read_to_string(&path).expect("the document");
    let (head, rest) = document.split_once(BEGIN).expect("the mark where the table begins");
    let (table, tail) = rest.split_once(END).expect("the mark where it ends");
    let mut rows = String::from("\n| step | instructions |\n| --- | --- |\n");
    let mut kept = true;
    for case in &CASES {
        let count = count(case);
        rows += &format!("| {} | {count} |\n", case.name);
        let before = known(table, case.name);
        let verdict = match before {
            None => "not in the document",
            Some(before) if count as f64 > before as f64 * (1.0 + TOLERANCE) => {
                kept = false;
                "MORE: find out why, or write it down"
            }
            Some(before) if (count as f64) < before as f64 * (1.0 - TOLERANCE) => {
                "less: write it down"
            }
            Some(_) => "as before",
        };
        let before = before.map_or("?".to_owned(), |before| before.to_string());
        println!("{:30} {count:8} instructions, was {before:>8}: {verdict}", case.name);
    }
    if write {
        rows.push('\n');
        std::fs::write(&path, [head, BEGIN, &rows, END, tail].concat()).expect("the document");
        return ExitCode::SUCCESS;
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn known(table: &str, name: &str) -> Option<u64> {
    let row = table.lines().find(|line| line.starts_with(&format!("| {name} |")))?;
    row.trim_matches('|').rsplit('|').next()?.trim().parse().ok()
}

fn count(case: &Case) -> u64 {
    let program = std::env::current_exe().expect("a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=ringpost_bench_counted")
        .arg(program)
        .args([ONE, case.name])
        .output()
        .expect("valgrind starts");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let line = words.lines().find_map(|line| line.split_once("Collected :")).expect("a count");
    let all: u64 = line.1.trim().parse().expect("a number");
    all / COUNTED
}
