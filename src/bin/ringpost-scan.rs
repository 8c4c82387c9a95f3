//! `ringpost-scan`: asks the log. See [`ringpost::scan`].

use ringpost::scan::{Progress, Surroundings, run};
use std::io::{BufWriter, IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

/// How often a following report looks for new records.
const FOLLOW_EVERY: Duration = Duration::from_millis(50);

/// A scan is silent for this long.
const PROGRESS_AFTER: Duration = Duration::from_millis(500);
/// And then tells its progress this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    ringpost::log::heap::give_back_large_blocks();
    ringpost::log::heap::share_heaps();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut wait = || {
        std::thread::sleep(FOLLOW_EVERY);
        true
    };
    let mut progress = progress_line();
    let surroundings = Surroundings {
        now_us: now.as_micros() as i64,
        terminal: stdout().is_terminal(),
        colour: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        wait: &mut wait,
        progress: &mut progress,
    };
    let mut out = BufWriter::with_capacity(64 * 1_024, stdout().lock());
    ExitCode::from(run(&arguments, &mut out, &mut stderr().lock(), surroundings))
}

/// Shows on a terminal how far a long scan is, and how fast; takes the line away at its end.
fn progress_line() -> impl FnMut(Progress) {
    let is_terminal = stderr().is_terminal();
    let begin = Instant::now();
    let mut shown_at = None;
    move |progress: Progress| {
        let elapsed = begin.elapsed();
        let due = shown_at.map_or(PROGRESS_AFTER, |at| at + PROGRESS_EVERY);
        let done = progress.done_bytes >= progress.all_bytes;
        if !is_terminal || (done && shown_at.is_none()) || (!done && elapsed < due) {
            return;
        }
        shown_at = Some(elapsed);
        let (mut words, mib) = (stderr().lock(), f64::from(1 << 20));
        let (done_mib, all_mib) =
            (progress.done_bytes as f64 / mib, progress.all_bytes as f64 / mib);
        let rate = done_mib / elapsed.as_secs_f64();
        let percent = 100.0 * done_mib / all_mib;
        // The cursor returns to the begin of the line, so that rows and words write over it.
        let _ = match done {
            true => write!(words, "\x1b[K\r"),
            false => write!(
                words,
                "{percent:3.0} %  {done_mib:.0} of {all_mib:.0} MiB  {rate:.0} MiB/s\x1b[K\r"
            ),
        };
    }
}
