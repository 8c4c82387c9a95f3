//! `ringpost-scan`: asks the log. See [`ringpost::scan`].

use ringpost::scan::{Surroundings, run};
use std::io::{BufWriter, IsTerminal, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// How often a following report looks for new records.
const FOLLOW_EVERY: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut wait = || {
        std::thread::sleep(FOLLOW_EVERY);
        true
    };
    let surroundings = Surroundings {
        now_us: now.as_micros() as i64,
        terminal: stdout().is_terminal(),
        colour: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        wait: &mut wait,
        progress: &mut |_| (),
    };
    let mut out = BufWriter::with_capacity(64 * 1_024, stdout().lock());
    ExitCode::from(run(&arguments, &mut out, &mut stderr().lock(), surroundings))
}
