//! `heatmap`: messages by weekday and hour.

use super::bucket::{HOUR_US, week_hour};
use super::render::{Cell, Column, Format};
use super::{Found, Job, Report, ScanError, kernels};
use crate::log::sidecar::TableKind;

pub(super) const REPORT: Report = Report {
    name: "heatmap",
    about: "Shows at which hours of the week people write",
    filtered: true,
    options: |command| command,
    run,
};

/// Messages by hour of the week; 0: Monday from 0 to 1 o'clock.
pub(super) type Week = [u64; 168];

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A picture: one letter for each hour, darker with more messages.
const SHADES: [char; 6] = ['·', '░', '▒', '▓', '█', '█'];

const PICTURE: &[Column] = &[
    Column { name: "day", width: 3 },
    Column { name: "0     3     6     9     12    15    18    21    ", width: 48 },
    Column { name: "messages", width: 8 },
];

const NUMBERS: &[Column] = &[
    Column { name: "weekday", width: 7 },
    Column { name: "hour", width: 4 },
    Column { name: "messages", width: 8 },
];

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let week = count(job);
    let most = week.iter().copied().max().unwrap_or(0);
    if most == 0 {
        // No rows is an answer too: programs expect brackets around it.
        let columns = if job.format == Format::Table { PICTURE } else { NUMBERS };
        job.rows(columns)?.end()?;
        return Ok(Found::Nothing);
    }
    if job.format == Format::Table {
        let mut rows = job.rows(PICTURE)?;
        for (day, hours) in DAYS.iter().zip(week.chunks(24)) {
            let picture: String = hours.iter().flat_map(|count| shade(*count, most)).collect();
            let sum = hours.iter().sum();
            rows.row(&[Cell::Text((*day).into()), Cell::Text(picture), Cell::Count(sum)])?;
        }
        rows.end()?;
    } else {
        let mut rows = job.rows(NUMBERS)?;
        for (day, hours) in DAYS.iter().zip(week.chunks(24)) {
            for (hour, count) in (0..).zip(hours) {
                rows.row(&[Cell::Text((*day).into()), Cell::Id(hour), Cell::Count(*count)])?;
            }
        }
        rows.end()?;
    }
    Ok(Found::Something)
}

/// Two equal letters: a letter is half as wide as it is high.
fn shade(count: u64, most: u64) -> [char; 2] {
    let steps = SHADES.len() as u64 - 1;
    let step = if count == 0 { 0 } else { 1 + (count - 1) * (steps - 1) / most };
    [SHADES[step as usize]; 2]
}

/// Counts the wanted messages by hour of the week.
pub(super) fn count(job: &Job<'_>) -> Week {
    let clock = job.filter.zone.clock();
    let mut week = [0; 168];
    job.scan.run(
        &job.filter,
        |view| kernels::per_minute(&view.table(TableKind::Messages)),
        |minutes| {
            for (minute, count) in minutes {
                let wall_us = clock.wall_us(minute.saturating_mul(HOUR_US / 60));
                week[week_hour(wall_us)] += u64::from(count);
            }
        },
    );
    week
}
