//! `tail`: the last records, and those that come.

use super::describe::describe;
use super::render::{Cell, Column, Rows};
use super::{Found, Job, Report, ScanError};
use crate::log::{Entry, RecordPosition};
use clap::{Arg, ArgAction, Command, value_parser};
use std::collections::VecDeque;
use std::io;

pub(super) const REPORT: Report = Report {
    name: "tail",
    about: "Shows the last records, and with -f those that come",
    filtered: true,
    options,
    run,
};

const COLUMNS: &[Column] = &[
    Column { name: "seq", width: 6 },
    Column { name: "time", width: 27 },
    Column { name: "kind", width: 8 },
    Column { name: "room", width: 16 },
    Column { name: "user", width: 12 },
    Column { name: "o", width: 5 },
    Column { name: "text", width: 24 },
    Column { name: "detail", width: 0 },
];

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
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let number = *job.matches.get_one::<u32>("number").expect("has a default") as usize;
    let mut rows = Rows::begin(job.out, job.format, job.look, COLUMNS)?;
    // Only places are kept: the records themselves stay in the maps.
    let mut last: VecDeque<RecordPosition> = VecDeque::new();
    for entry in job.filter.entries(job.log.get()?) {
        if last.len() == number {
            last.pop_front();
        }
        if number > 0 {
            last.push_back(entry.position);
        }
    }
    for position in last {
        let entry = job.log.get()?.at(position).expect("a place that the log gave");
        show(&mut rows, &entry)?;
    }
    let mut cursor = job.log.get()?.end();
    // Whoever waits sees the rows at once; without -f the buffer goes out at the end.
    while job.matches.get_flag("follow") {
        rows.flush()?;
        if !(job.wait)() {
            break;
        }
        job.log.get_mut()?.refresh()?;
        for entry in job.log.get()?.entries_from(cursor).filter(|entry| job.filter.wants(entry)) {
            show(&mut rows, &entry)?;
        }
        cursor = job.log.get()?.end();
    }
    let row_count = rows.end()?;
    Ok(if row_count > 0 { Found::Something } else { Found::Nothing })
}

fn show(rows: &mut Rows<'_>, entry: &Entry<'_>) -> io::Result<()> {
    let described = describe(entry);
    rows.row(&[
        Cell::Id(entry.seq),
        entry.ts_us().map_or(Cell::None, Cell::Time),
        Cell::Text(described.kind),
        entry.room().into(),
        entry.user().into(),
        described.o.map_or(Cell::None, Cell::Id),
        described.text.as_str().into(),
        described.detail.as_str().into(),
    ])
}
