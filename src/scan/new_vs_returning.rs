//! `new-vs-returning`: how many of a period's users were there before.

use super::period::Period;
use super::render::{Cell, Column, Rows};
use super::{Found, Job, Report, ScanError, retention};

pub(super) const REPORT: Report = Report {
    name: "new-vs-returning",
    about: "Splits each period's users into new and known ones",
    filtered: true,
    options: |command| command.arg(Period::argument("day")),
    run,
};

const COLUMNS: &[Column] = &[
    Column { name: "period", width: 10 },
    Column { name: "users", width: 0 },
    Column { name: "new", width: 0 },
    Column { name: "returning", width: 0 },
    Column { name: "new_share", width: 0 },
    Column { name: "", width: 0 },
];

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let period = Period::parse(job.matches);
    let mut newness = retention::activity(job, period).newness();
    let since = period.of(job.filter.since_us, &job.zone.clock());
    newness.retain(|one| one.period >= since);
    let most = newness.iter().map(|one| one.new_count + one.returning_count).max().unwrap_or(0);
    let mut rows = Rows::begin(job.out, job.format, job.look, COLUMNS)?;
    for one in newness {
        let user_count = one.new_count + one.returning_count;
        rows.row(&[
            Cell::Text(period.label(one.period)),
            Cell::Count(user_count),
            Cell::Count(one.new_count),
            Cell::Count(one.returning_count),
            Cell::share(one.new_count, user_count),
            Cell::Bar(user_count as f64 / most.max(1) as f64),
        ])?;
    }
    Ok(if rows.end()? > 0 { Found::Something } else { Found::Nothing })
}
