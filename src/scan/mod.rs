//! Reports over the log: `ringpost-scan [options] REPORT`.
//!
//! A report is one file with one [`Report`] value; [`REPORTS`] lists them, and the command line and
//! its help are made from that list. Rows go to stdout, words to stderr. Exit status: 0 something
//! was found, 1 nothing was, 2 an error or damage. A closed pipe is success: the reader has enough.
//!
//! **Never:** an import from the server's side (`chat`, `net`, `shard`); a control character of a
//! stranger on somebody's terminal.

mod active;
mod activity;
mod audit;
mod bucket;
mod command_line;
mod condition;
mod conversations;
mod deliveries;
mod describe;
mod engine;
mod erase;
mod export;
mod facts;
mod fates;
mod filter;
mod grep;
mod heatmap;
mod html;
mod kernels;
mod latency;
mod meta_errors;
mod names;
mod new_vs_returning;
mod period;
mod pick;
mod quantiles;
mod render;
mod response_times;
mod retention;
mod search;
mod select;
mod spark;
mod summary;
mod tail;
mod top;
mod user_set;
mod verify;
mod volume;
mod zone;

#[cfg(test)]
mod tests;

pub use engine::Progress;

use crate::base::{escape, moment as time};
use crate::log::catalog::Catalog;
use crate::log::{LogError, directory};
use clap::{ArgMatches, Command};
use engine::Scan;
use filter::Filter;
use render::{Format, Look, Rows};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use zone::Zone;

/// One report: its verb, its options and what it does.
struct Report {
    name: &'static str,
    about: &'static str,
    /// Whether `--room` and the other filters mean something for it.
    filtered: bool,
    /// Adds the options that only this report has.
    options: fn(Command) -> Command,
    run: fn(&mut Job<'_>) -> Result<Found, ScanError>,
}

/// Every report there is, in the order of the help.
const REPORTS: &[Report] = &[
    tail::REPORT,
    summary::REPORT,
    grep::REPORT,
    volume::REPORT,
    heatmap::REPORT,
    top::REPORT,
    active::REPORT,
    retention::REPORT,
    new_vs_returning::REPORT,
    response_times::REPORT,
    conversations::REPORT,
    deliveries::REPORT,
    latency::REPORT,
    audit::REPORT,
    html::REPORT,
    verify::REPORT,
    export::REPORT,
];

/// What the process around a scan knows.
pub struct Surroundings<'a> {
    /// Wall clock, microseconds since 1970.
    pub now_us: i64,
    /// Whether rows go to a terminal.
    pub terminal: bool,
    /// Whether that terminal wants colours.
    pub colour: bool,
    /// Waits for more records while following; `false` ends the scan.
    pub wait: &'a mut dyn FnMut() -> bool,
    /// Told now and then how far a scan is.
    pub progress: &'a mut dyn FnMut(Progress),
}

/// A report that is running.
struct Job<'a> {
    scan: Scan<'a>,
    /// Wall clock, microseconds since 1970.
    now_us: i64,
    filter: Filter,
    /// That of the filter.
    zone: Zone,
    matches: &'a ArgMatches,
    format: Format,
    look: Look,
    out: &'a mut dyn Write,
    words: &'a mut dyn Write,
    wait: &'a mut dyn FnMut() -> bool,
}

/// What a report found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    Something,
    Nothing,
    /// The rows say what is damaged.
    Damage,
}

/// Why a scan ended early.
#[derive(Debug)]
enum ScanError {
    Log(LogError),
    Output(io::Error),
    /// A bad argument, in words.
    Argument(String),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<LogError> for ScanError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl Job<'_> {
    /// Rows of this report on their way out.
    fn rows(&mut self, columns: &'static [render::Column]) -> io::Result<Rows<'_>> {
        Rows::begin(self.out, self.format, self.look, columns)
    }
}

/// Runs one command line (without the program's name) and gives the exit status.
pub fn run(
    arguments: &[OsString],
    out: &mut dyn Write,
    words: &mut dyn Write,
    surroundings: Surroundings<'_>,
) -> u8 {
    let matches = match command_line::parse(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let target: &mut dyn Write = if error.use_stderr() { words } else { out };
            let _ = write!(target, "{}", error.render());
            return error.exit_code() as u8;
        }
    };
    match report(&matches, out, words, surroundings).and_then(|found| {
        out.flush()?;
        Ok(found)
    }) {
        Ok(Found::Something) => 0,
        Ok(Found::Nothing) => 1,
        Ok(Found::Damage) => 2,
        Err(ScanError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            let _ = explain(&error, words);
            2
        }
    }
}

fn report(
    matches: &ArgMatches,
    out: &mut dyn Write,
    words: &mut dyn Write,
    mut surroundings: Surroundings<'_>,
) -> Result<Found, ScanError> {
    let (verb, matches) = matches.subcommand().expect("a report is required");
    if verb == erase::VERB {
        return erase::run(matches, out, words, &mut surroundings);
    }
    let report = REPORTS.iter().find(|report| report.name == verb).expect("reports make verbs");
    let filter = Filter::parse(matches, surroundings.now_us).map_err(ScanError::Argument)?;
    if !report.filtered && !filter.is_empty() {
        let why = format!("{verb} looks at everything; filters do not apply to it");
        return Err(ScanError::Argument(why));
    }
    let data = matches.get_one::<PathBuf>("data").expect("has a default");
    not_a_file(data)?;
    let log_dir = find_log(data);
    let catalog = Catalog::open(&log_dir)?;
    let thread_count = command_line::thread_count(matches);
    let found = (report.run)(&mut Job {
        scan: Scan::new(catalog, thread_count, surroundings.progress),
        now_us: surroundings.now_us,
        zone: filter.zone.clone(),
        filter,
        matches,
        format: command_line::format(matches),
        look: Look { colour: surroundings.colour, person: surroundings.terminal },
        out,
        words: &mut *words,
        wait: surroundings.wait,
    })?;
    if found == Found::Nothing {
        writeln!(words, "nothing found")?;
    }
    Ok(found)
}

/// Whoever names a segment wants the log that it is part of.
fn not_a_file(data: &Path) -> Result<(), ScanError> {
    if !data.is_file() {
        return Ok(());
    }
    let parent = data.parent().filter(|path| !path.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).display();
    let why = format!("--data {} is a file; name its directory: --data {parent}", data.display());
    Err(ScanError::Argument(why))
}

/// The `log` directory of a data directory, or the directory itself when it holds segments: a
/// person may have copied only those.
fn find_log(data: &Path) -> PathBuf {
    let inside = directory::log_dir(data);
    if !inside.is_dir() && directory::holds_segments(data) { data.to_path_buf() } else { inside }
}

fn explain(error: &ScanError, words: &mut dyn Write) -> io::Result<()> {
    match error {
        ScanError::Log(error) => {
            writeln!(words, "error: {error}")?;
            if matches!(error, LogError::Missing(_)) {
                writeln!(words, "hint: --data DIR names the data directory of the server")?;
            }
        }
        ScanError::Output(error) => writeln!(words, "error: cannot write: {error}")?,
        ScanError::Argument(why) => writeln!(words, "error: {why}")?,
    }
    Ok(())
}
