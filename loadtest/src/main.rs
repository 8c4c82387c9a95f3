//! `ringpost-load`: puts load on a WebSocket server and judges every reply.
//!
//! The modules stand in reading order, which is dependency order. Nothing of the server's runtime
//! is linked: what is measured and what measures share only the closed lists of `ringpost::base`
//! and the signature of webhooks; `gen_log`, which measures nothing, writes with the server's log.

/// The client's side of WebSocket, byte by byte.
mod frame;

/// The client's side of HTTP, for webhooks.
mod http;

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

/// Several targets in turn.
mod compare;

/// What a run or a comparison showed, as a page with plots.
mod page;

/// The command line.
mod cli;

/// One run from start to report.
mod run;

/// A log without a server.
mod gen_log;

/// The Graph API without Meta.
mod graph_standin;

#[cfg(test)]
mod fakes;

#[cfg(test)]
mod standin;

#[cfg(test)]
mod tests;

use crate::cli::{Asked, Options};
use crate::compare::Column;
use crate::driver::Failure;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "gen-log") {
        return gen_log::main(std::env::args().skip(1));
    }
    if std::env::args().nth(1).is_some_and(|word| word == "graph-standin") {
        return graph_standin::main(std::env::args().skip(1));
    }
    let asked = match cli::parse(std::env::args(), &tag()) {
        Ok(asked) => asked,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let result = match &asked {
        Asked::Run(options) => run::run(options).and_then(|report| {
            let text = if options.json { printed(&report.json()) } else { report.text() };
            let failed = report.exit_code() != 0;
            let target = options.target.clone();
            let column = Column { name: String::new(), target, reports: vec![report] };
            write_files(options, &[column]).map(|()| (text, failed))
        }),
        Asked::Compare(contestants, turns) => {
            let options = &contestants[0].options;
            run::compare(contestants, *turns).and_then(|columns| {
                let json = options.json.then(|| printed(&compare::json(&columns)));
                let text = json.unwrap_or_else(|| compare::text(&columns));
                let failed = columns.iter().any(Column::failed);
                write_files(options, &columns).map(|()| (text, failed))
            })
        }
    };
    let (text, failed) = match result {
        Ok(told) => told,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::from(2);
        }
    };
    // A reader that has seen enough (`| head`) is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(u8::from(failed))
}

fn printed(json: &serde_json::Value) -> String {
    format!("{json}\n")
}

/// The page, and the percentile tables of all latencies that were measured. The first table has the
/// name that was given; `x.hgrm` becomes `x.TARGET.LATENCY.hgrm` for the others.
fn write_files(options: &Options, columns: &[Column]) -> Result<(), Failure> {
    let cannot = |path: &Path, error: io::Error| {
        Failure::new(format!("cannot write {}: {error}", path.display()))
    };
    if let Some(path) = &options.html {
        fs::write(path, page::page(columns)).map_err(|error| cannot(path, error))?;
    }
    let Some(hgrm) = &options.hgrm else { return Ok(()) };
    for column in columns {
        for (index, latency) in column.latencies().iter().enumerate() {
            if latency.histogram.is_empty() && index > 0 {
                continue;
            }
            let name = if index > 0 { latency.name } else { "" };
            let path = hgrm_path(hgrm, &[&column.name, name]);
            let written = File::create(&path).and_then(|file| {
                let mut out = BufWriter::new(file);
                latency.write_hgrm(&mut out)?;
                out.flush()
            });
            written.map_err(|error| cannot(&path, error))?;
        }
    }
    Ok(())
}

fn hgrm_path(given: &Path, names: &[&str]) -> PathBuf {
    let mut path = given.to_owned();
    for name in names.iter().filter(|name| !name.is_empty()) {
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let extension = path.extension().unwrap_or_default().to_owned();
        let mut both = std::ffi::OsString::from(name);
        if !extension.is_empty() {
            both.push(".");
            both.push(extension);
        }
        path.set_extension(both);
    }
    path
}

/// Differs from run to run, so that a server that remembers message ids sees new ones.
fn tag() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}{:x}", now.as_micros(), std::process::id())
}
