//! `volume`: messages per minute, hour, day, week or month.

use super::bucket::Bucket;
use super::engine::View;
use super::render::{Cell, Column};
use super::{Found, Job, Report, ScanError, kernels};
use crate::log::sidecar::TableKind;
use std::collections::BTreeMap;

pub(super) const REPORT: Report = Report {
    name: "volume",
    about: "Counts messages by time",
    filtered: true,
    options: |command| command.arg(Bucket::argument(Bucket::Day)),
    run,
};

const COLUMNS: &[Column] = &[
    Column { name: "time", width: 16 },
    Column { name: "messages", width: 8 },
    Column { name: "", width: 24 },
];

/// Messages by piece of time. Pieces without any are not in it.
pub(super) type Counts = BTreeMap<i64, u64>;

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let bucket = Bucket::parse(job.matches);
    let counts = count(job, bucket);
    let most = counts.values().copied().max().unwrap_or(0);
    let mut rows = job.rows(COLUMNS)?;
    for (number, count) in &counts {
        let bar = Cell::Bar(*count as f64 / most as f64);
        rows.row(&[Cell::Text(bucket.label(*number)), Cell::Count(*count), bar])?;
    }
    rows.end()?;
    Ok(if counts.is_empty() { Found::Nothing } else { Found::Something })
}

/// Counts the wanted messages by time.
pub(super) fn count(job: &Job<'_>, bucket: Bucket) -> Counts {
    let mut counts = Counts::new();
    let (clock, whole) = (job.filter.zone.clock(), job.filter.is_whole(TableKind::Messages));
    job.scan.run(
        &job.filter,
        |view| if whole { by_rollup(view) } else { by_row(view) },
        |minutes| {
            for (minute, count) in minutes {
                let wall_us = clock.wall_us(minute.saturating_mul(60_000_000));
                *counts.entry(bucket.of(wall_us)).or_default() += u64::from(count);
            }
        },
    );
    counts
}

/// Without a filter the counts are there already. No zone of today divides a minute.
fn by_rollup(view: &View<'_>) -> Vec<(i64, u32)> {
    view.segment().ask(|sidecar| {
        let rollup = sidecar.rollup()?;
        let minutes = rollup.minutes.iter().map(|minute| minute.to_native());
        Ok(minutes.zip(rollup.minute_counts.iter().map(|count| count.to_native())).collect())
    })
}

fn by_row(view: &View<'_>) -> Vec<(i64, u32)> {
    kernels::per_minute(&view.table(TableKind::Messages))
}
