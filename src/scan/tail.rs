//! `tail`: the last records, and those that come.
//!
//! Read from the end: the newest segment by its rows, and only as many older ones, by their
//! columns, as it takes to find enough.

use super::describe::Shown;
use super::filter::Filter;
use super::pick::{COLUMNS, Line, cells, line, picks};
use super::render::Rows;
use super::{Found, Job, Report, ScanError};
use crate::log::{Log, Trust, ctl};
use clap::{Arg, ArgAction, Command, value_parser};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

pub(super) const REPORT: Report = Report {
    name: "tail",
    about: "Shows the last records, and with -f those that come",
    filtered: true,
    options,
    run,
};

fn options(command: Command) -> Command {
    command
        .arg(
            Arg::new("follow")
                .short('f')
                .long("follow")
                .action(ArgAction::SetTrue)
                .help("Keeps showing records as they are written"),
        )
        .arg(
            Arg::new("number")
                .short('n')
                .long("number")
                .value_name("N")
                .value_parser(value_parser!(u32))
                .default_value("20")
                .help("How many of the last records"),
        )
        .arg(
            Arg::new("durable")
                .long("durable")
                .action(ArgAction::SetTrue)
                .help("Only records that are on the disk for good, as the server says"),
        )
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let number = *job.matches.get_one::<u32>("number").expect("has a default") as usize;
    let catalog = job.scan.catalog();
    let newest_seq = catalog.segments().last().map_or(0, |info| info.header.base_seq);
    // Asked before the records are read: what was durable then is durable still.
    let durable = job.matches.get_flag("durable");
    let root = durable.then(|| data_dir(job));
    let mut durable_seq = durable_until(root.as_deref())?;
    let mut log = Log::open_from(catalog.log_dir(), Trust::Validate, newest_seq)?;
    let newest = last_of(&log, &job.filter, number);
    let older = older(job, number - newest.len());
    let mut rows = Rows::begin(job.out, job.format, job.look, COLUMNS)?;
    let mut waiting: VecDeque<_> = older.into_iter().chain(newest).collect();
    let mut cursor = log.end();
    loop {
        while waiting.front().is_some_and(|(seq, _)| *seq < durable_seq) {
            let (_, line) = waiting.pop_front().expect("looked at");
            rows.row(&line)?;
        }
        if !job.matches.get_flag("follow") {
            break;
        }
        // Whoever waits sees the rows at once; without -f the buffer goes out at the end.
        rows.flush()?;
        if !(job.wait)() {
            break;
        }
        durable_seq = durable_until(root.as_deref())?;
        log.refresh()?;
        for entry in log.entries_from(cursor).filter(|entry| job.filter.wants(entry)) {
            waiting.push_back((entry.seq, cells(&Shown::of(&entry))));
        }
        cursor = log.end();
    }
    Ok(if rows.end()? > 0 { Found::Something } else { Found::Nothing })
}

fn data_dir(job: &Job<'_>) -> PathBuf {
    job.scan.catalog().log_dir().parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// Records below this number are shown: all of them, unless a data directory says more.
fn durable_until(root: Option<&Path>) -> Result<u64, ScanError> {
    let Some(root) = root else { return Ok(u64::MAX) };
    let progress = ctl::read(root).ok_or_else(|| {
        let why = "--durable asks the server's ctl file, which this directory does not have";
        ScanError::Argument(why.to_owned())
    })?;
    Ok(progress.durable_seq)
}

/// The last wanted records of the newest segment.
fn last_of(log: &Log, filter: &Filter, number: usize) -> Vec<(u64, Line)> {
    let mut last = VecDeque::new();
    for entry in filter.entries(log) {
        // Only places are kept: the records themselves stay in the map.
        last.push_back(entry.position);
        if last.len() > number {
            last.pop_front();
        }
    }
    let entries = last.into_iter().filter_map(|position| log.at(position));
    entries.map(|entry| (entry.seq, cells(&Shown::of(&entry)))).collect()
}

/// The last wanted records of the segments before the newest.
fn older(job: &Job<'_>, number: usize) -> Vec<(u64, Line)> {
    let mut found = VecDeque::new();
    let segment_count = job.scan.catalog().segments().len();
    for index in (0..segment_count.saturating_sub(1)).rev() {
        if found.len() >= number {
            break;
        }
        let view = job.scan.view(&job.filter, index);
        for pick in picks(&view, |_, _| true).into_iter().rev().take(number - found.len()) {
            let seq = view.segment().seq(pick.off);
            if let (Some(seq), Some(line)) = (seq, line(&view, pick)) {
                found.push_front((seq, line));
            }
        }
    }
    found.into()
}
