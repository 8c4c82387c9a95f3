//! `deliveries`: how far messages to WhatsApp got, and why some did not.

use super::engine::View;
use super::fates::{Fates, Print, Reach, StatusSeen, Step, priced};
use super::filter::Filter;
use super::meta_errors::meaning;
use super::period::Period;
use super::render::{Cell, Column, Rows};
use super::{Found, Job, Report, ScanError};
use crate::log::record::{Delivery, Direction, RecordView};
use crate::log::sidecar::{Column as C, TableKind};
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};
use std::io;

pub(super) const REPORT: Report = Report {
    name: "deliveries",
    about: "Shows how far messages to WhatsApp got, and why some failed",
    filtered: true,
    options,
    run,
};

const fn column(name: &'static str) -> Column {
    Column { name, width: 0 }
}

const STEP_COLUMNS: &[Column] = &[
    column("step"),
    column("messages"),
    column("share"),
    column("median_s"),
    column("p95_s"),
    column(""),
];

const ERROR_COLUMNS: &[Column] =
    &[column("error"), column("messages"), column("share"), column("meaning")];

const fn reach_columns(key: &'static str) -> [Column; 10] {
    [
        column(key),
        column("messages"),
        column("sent"),
        column("delivered"),
        column("read"),
        column("failed"),
        column("billable"),
        column("delivered_share"),
        column("read_share"),
        column("failed_share"),
    ]
}

fn options(command: Command) -> Command {
    command.arg(
        Arg::new("by")
            .long("by")
            .value_parser(PossibleValuesParser::new(["step", "error", "category", "day"]))
            .default_value("step")
            .help("What a row is about; categories are those that Meta charges by"),
    )
}

/// What a segment says of a message to the platform.
enum News {
    Message { ts_us: i64, print: Print },
    Status(StatusSeen),
}

/// The fates of all messages that the filters let through.
pub(super) fn fates(job: &Job<'_>, filter: &Filter) -> Fates {
    let mut fates = Fates::new(job.zone.clone());
    job.scan.run_rows(filter, news, |part| {
        for (_, news) in part {
            match news {
                News::Message { ts_us, print } => fates.message(ts_us, print),
                News::Status(seen) => fates.status(seen),
            }
        }
    });
    fates.finish();
    fates
}

/// What a segment says, by place.
fn news(view: &View<'_>) -> Vec<(u32, News)> {
    let mut all = Vec::new();
    let messages = view.table(TableKind::Messages);
    if messages.len() > 0 {
        let (offs, directions) = (messages.offs(), messages.bytes(C::Direction));
        let out = messages.rows().filter(|row| directions[*row] == Direction::Out as u8);
        for off in out.map(|row| offs[row].to_native()) {
            let Some((_, RecordView::Message(message))) = view.record(off) else { continue };
            let Some(print) = Print::of(&message.external) else { continue };
            all.push((off, News::Message { ts_us: message.ts_us.to_native(), print }));
        }
    }
    let statuses = view.table(TableKind::Statuses);
    if statuses.len() > 0 {
        let offs = statuses.offs();
        for off in statuses.rows().map(|row| offs[row].to_native()) {
            let Some((_, RecordView::Status(status))) = view.record(off) else { continue };
            let Some(print) = Print::of(&status.external) else { continue };
            let seen = StatusSeen {
                ts_us: status.ts_us.to_native(),
                print,
                delivery: Delivery::from_byte(status.status),
                error: status.error.to_native(),
                priced: priced(&status.extra),
            };
            all.push((off, News::Status(seen)));
        }
    }
    all.sort_unstable_by_key(|(off, _)| *off);
    all
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let mut fates = fates(job, &job.filter);
    let by = job.matches.get_one::<String>("by").expect("has a default").as_str();
    let columns = match by {
        "step" => STEP_COLUMNS,
        "error" => ERROR_COLUMNS,
        "category" => const { &reach_columns("category") },
        _ => const { &reach_columns("day") },
    };
    let mut rows = Rows::begin(job.out, job.format, job.look, columns)?;
    match by {
        "step" => steps(&mut fates, &mut rows)?,
        "error" => errors(&fates, &mut rows)?,
        "category" => {
            for (name, reach) in &fates.categories {
                let name = if name.is_empty() { "unknown" } else { name };
                rows.row(&reach_row(name.to_owned(), reach))?;
            }
        }
        _ => {
            for (day, reach) in &fates.days {
                rows.row(&reach_row(Period::Day.label(*day), reach))?;
            }
        }
    }
    Ok(if rows.end()? > 0 { Found::Something } else { Found::Nothing })
}

fn steps(fates: &mut Fates, rows: &mut Rows<'_>) -> io::Result<()> {
    let all = fates.all;
    if all.messages == 0 {
        return Ok(());
    }
    let share = |count: u64| count as f64 / all.messages as f64;
    let plain = |name: &str, count: u64| {
        let (part, bar) = (Cell::Share(share(count)), Cell::Bar(share(count)));
        [name.into(), Cell::Count(count), part, Cell::None, Cell::None, bar]
    };
    rows.row(&plain("messages", all.messages))?;
    for step in Step::ALL {
        let spans = &mut fates.spans[step as usize];
        let mut cells = plain(step.name(), all.of(step));
        if spans.count() > 0 {
            (cells[3], cells[4]) = (Cell::Span(spans.at_us(0.5)), Cell::Span(spans.at_us(0.95)));
        }
        rows.row(&cells)?;
    }
    rows.row(&plain("pending", all.pending()))
}

/// The most frequent first.
fn errors(fates: &Fates, rows: &mut Rows<'_>) -> io::Result<()> {
    let mut errors: Vec<_> = fates.errors.iter().map(|(error, count)| (*error, *count)).collect();
    errors.sort_by_key(|(error, count)| (std::cmp::Reverse(*count), *error));
    for (error, count) in errors {
        rows.row(&[
            Cell::Id(u64::from(error)),
            Cell::Count(count),
            Cell::share(count, fates.all.of(Step::Failed)),
            meaning(error).unwrap_or("not in ringpost's list").into(),
        ])?;
    }
    Ok(())
}

fn reach_row(key: String, reach: &Reach) -> [Cell; 10] {
    let share = |step| Cell::share(reach.of(step), reach.messages);
    [
        Cell::Text(key),
        Cell::Count(reach.messages),
        Cell::Count(reach.of(Step::Sent)),
        Cell::Count(reach.of(Step::Delivered)),
        Cell::Count(reach.of(Step::Read)),
        Cell::Count(reach.of(Step::Failed)),
        Cell::Count(reach.billable),
        share(Step::Delivered),
        share(Step::Read),
        share(Step::Failed),
    ]
}
