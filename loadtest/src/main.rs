//! `ringpost-load`: puts load on a WebSocket server and judges every reply.
//!
//! The modules stand in reading order, which is dependency order. Nothing of the server's runtime
//! is linked: what is measured and what measures share only the closed lists of `ringpost::base`;
//! `gen_log`, which measures nothing, writes with the server's own log.

/// The client's side of WebSocket, byte by byte.
mod frame;

/// Whether numbered things arrived each once and in order.
mod order;

/// Latency histograms and the bounds a run must keep.
mod latency;

/// CPU and memory of the server, from /proc.
mod process;

/// The clients that carry a scenario, and the common start of their threads.
mod driver;

/// How rooms are spoken of by different servers.
mod dialects;

/// What is sent and how replies are judged: one file per scenario.
mod scenarios;

/// What a run showed, as text and as JSON.
mod report;

/// The command line.
mod cli;

/// One run from start to report.
mod run;

/// A log without a server.
mod gen_log;

#[cfg(test)]
mod fakes;

#[cfg(test)]
mod standin;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "gen-log") {
        return gen_log::main(std::env::args().skip(1));
    }
    let options = match cli::parse(std::env::args(), &tag()) {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let report = match run::run(&options) {
        Ok(report) => report,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::from(2);
        }
    };
    if let (Some(path), Some(latency)) = (&options.hgrm, report.latency("")) {
        let written = File::create(path).and_then(|file| {
            let mut out = BufWriter::new(file);
            latency.write_hgrm(&mut out)?;
            out.flush()
        });
        if let Err(error) = written {
            eprintln!("error: cannot write {}: {error}", path.display());
            return ExitCode::from(2);
        }
    }
    let text = if options.json { format!("{}\n", report.json()) } else { report.text() };
    // A reader that has seen enough (`| head`) is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(report.exit_code())
}

/// Differs from run to run, so that a server that remembers message ids sees new ones.
fn tag() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}{:x}", now.as_micros(), std::process::id())
}
