//! `active`: how many people wrote on a day, in a week, in a month.

use super::bucket::Bucket;
use super::period::Period;
use super::render::{Cell, Column};
use super::{Found, Job, Report, ScanError, retention};

pub(super) const REPORT: Report = Report {
    name: "active",
    about: "Counts the users who wrote, by day, week and month",
    filtered: true,
    options: |command| command,
    run,
};

const COLUMNS: &[Column] = &[
    Column { name: "day", width: 10 },
    Column { name: "daily", width: 6 },
    Column { name: "weekly", width: 6 },
    Column { name: "monthly", width: 7 },
    Column { name: "stickiness", width: 10 },
    Column { name: "", width: 24 },
];

/// More days than this in a row without anybody are a clock that jumped; they are left out.
const QUIET_DAYS_MAX: i32 = 400;

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    // The weeks and months that end with the first day shown need the days before it.
    let activity = retention::activity(job, Period::Day);
    let first = Period::Day.of(job.filter.since_us, &job.zone.clock());
    let days = activity.active_days();
    let mut shown = Vec::new();
    for stretch in days.chunk_by(|left, right| right - left <= QUIET_DAYS_MAX) {
        let (from, to) = (stretch[0].max(first), stretch[stretch.len() - 1]);
        if from <= to {
            shown.extend(activity.engaged(from..=to));
        }
    }
    let most = shown.iter().map(|engaged| engaged.daily).max().unwrap_or(0).max(1);
    let mut rows = job.rows(COLUMNS)?;
    for engaged in &shown {
        rows.row(&[
            Cell::Text(Bucket::Day.label(engaged.day.into())),
            Cell::Count(engaged.daily),
            Cell::Count(engaged.weekly),
            Cell::Count(engaged.monthly),
            Cell::share(engaged.daily, engaged.monthly),
            Cell::Bar(engaged.daily as f64 / most as f64),
        ])?;
    }
    rows.end()?;
    Ok(if shown.is_empty() { Found::Nothing } else { Found::Something })
}
