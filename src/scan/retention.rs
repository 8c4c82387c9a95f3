//! `retention`: of those who came for the first time in a period, how many came again.

use super::activity::{Activity, Cohort};
use super::bucket::DAY_US;
use super::engine::View;
use super::facts;
use super::filter::Filter;
use super::period::Period;
use super::render::{Cell, Column, Format, Rows};
use super::zone::Zone;
use super::{Found, Job, Report, ScanError};
use crate::log::sidecar::{Damaged, NameSet, TableKind};
use std::io;

pub(super) const REPORT: Report = Report {
    name: "retention",
    about: "Shows how many of each period's new users came back later",
    filtered: true,
    options: |command| command.arg(Period::argument("week")),
    run,
};

/// Periods that a table has room for.
const TABLE_PERIODS: u32 = 12;

const fn column(name: &'static str) -> Column {
    Column { name, width: 0 }
}

/// A triangle for eyes: one line per cohort, one column per period.
const TABLE_COLUMNS: &[Column] = &[
    column("cohort"),
    column("users"),
    column("+1"),
    column("+2"),
    column("+3"),
    column("+4"),
    column("+5"),
    column("+6"),
    column("+7"),
    column("+8"),
    column("+9"),
    column("+10"),
    column("+11"),
    column("+12"),
];
const _: () = assert!(TABLE_COLUMNS.len() == 2 + TABLE_PERIODS as usize);

/// One row per cohort and period for programs.
const COLUMNS: &[Column] =
    &[column("cohort"), column("users"), column("after"), column("active"), column("share")];

/// Users by period over everything before `--until`: who is new is decided by the whole past,
/// `--since` only by what is shown.
pub(super) fn activity(job: &Job<'_>, period: Period) -> Activity {
    let filter = Filter { since_us: i64::MIN, ..job.filter.clone() };
    let clock = job.zone.clock();
    let mut activity = Activity::default();
    if filter.is_whole(TableKind::Messages) && filter.zone == Zone::UTC {
        // Every period is made of whole days of UTC, and who wrote on a day is known already.
        job.scan.run(&filter, days, |part| {
            for (day, user) in part {
                activity.note(period.of(i64::from(day) * DAY_US, &clock), user);
            }
        });
    } else {
        facts::messages(&job.scan, &filter, |said| {
            if said.user != 0 {
                activity.note(period.of(said.ts_us, &clock), said.user);
            }
        });
    }
    activity.finish();
    activity
}

/// The days of a segment with the users who wrote on them.
fn days(view: &View<'_>) -> Vec<(i32, u32)> {
    let numbers = view.numbers(NameSet::Users);
    view.segment().ask(|sidecar| {
        let rollup = sidecar.rollup()?;
        let mut pairs = Vec::with_capacity(rollup.day_users.len());
        let mut begin = 0;
        for (day, end) in rollup.days.iter().zip(rollup.day_ends.iter()) {
            let end = end.to_native() as usize;
            for code in rollup.day_users.get(begin..end).ok_or(Damaged)? {
                let number = numbers.get(code.to_native() as usize).ok_or(Damaged)?;
                pairs.push((day.to_native(), *number));
            }
            begin = end;
        }
        Ok(pairs)
    })
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let period = Period::parse(job.matches);
    let activity = activity(job, period);
    let since = period.of(job.filter.since_us, &job.zone.clock());
    let cohorts: Vec<_> =
        activity.cohorts().into_iter().filter(|cohort| cohort.period >= since).collect();
    let last = activity.last_period().unwrap_or(0);
    if job.format == Format::Table {
        let mut rows = Rows::begin(job.out, job.format, job.look, TABLE_COLUMNS)?;
        for cohort in &cohorts {
            rows.row(&triangle_row(cohort, period, last))?;
        }
        rows.end()?;
    } else {
        let mut rows = Rows::begin(job.out, job.format, job.look, COLUMNS)?;
        for cohort in &cohorts {
            long_rows(cohort, period, &mut rows)?;
        }
        rows.end()?;
    }
    Ok(if cohorts.is_empty() { Found::Nothing } else { Found::Something })
}

/// Blank are only the periods that have not been.
fn triangle_row(cohort: &Cohort, period: Period, last: i32) -> Vec<Cell> {
    let label = Cell::Text(period.label(cohort.period));
    let mut cells = vec![label, Cell::Count(cohort.user_count)];
    let passed = i64::from(last) - i64::from(cohort.period);
    for behind in 1..=TABLE_PERIODS {
        let found = cohort.active.iter().find(|(period, _)| *period == behind);
        cells.push(match found {
            Some((_, count)) => Cell::share(*count, cohort.user_count),
            None if i64::from(behind) <= passed => Cell::Share(0.0),
            None => Cell::None,
        });
    }
    cells
}

fn long_rows(cohort: &Cohort, period: Period, rows: &mut Rows<'_>) -> io::Result<()> {
    for (behind, count) in &cohort.active {
        rows.row(&[
            Cell::Text(period.label(cohort.period)),
            Cell::Count(cohort.user_count),
            Cell::Count(u64::from(*behind)),
            Cell::Count(*count),
            Cell::share(*count, cohort.user_count),
        ])?;
    }
    Ok(())
}
