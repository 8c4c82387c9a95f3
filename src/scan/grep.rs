//! `grep`: messages whose text has something in it.

use super::engine::View;
use super::render::{Cell, Column, Rows};
use super::search::{Pattern, find};
use super::{Found, Job, Report, ScanError};
use crate::log::record::RecordView;
use crate::log::sidecar::{NameSet, TableKind};
use clap::{Arg, ArgAction, Command, value_parser};
use std::collections::BTreeSet;
use std::io;

pub(super) const REPORT: Report =
    Report { name: "grep", about: "Finds messages by their text", filtered: true, options, run };

const COLUMNS: &[Column] = &[
    Column { name: "seq", width: 6 },
    Column { name: "time", width: 27 },
    Column { name: "room", width: 16 },
    Column { name: "user", width: 12 },
    Column { name: "o", width: 5 },
    Column { name: "hit", width: 3 },
    Column { name: "text", width: 0 },
];

fn options(command: Command) -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    command
        .arg(Arg::new("pattern").value_name("PATTERN").required(true).help("What to look for"))
        .arg(flag("regex").short('e').help("PATTERN is a regular expression"))
        .arg(flag("ignore-case").short('i').help("Upper and lower case are the same"))
        .arg(flag("count").short('c').help("Only how many messages there are"))
        .arg(
            Arg::new("context")
                .short('C')
                .long("context")
                .value_name("N")
                .value_parser(value_parser!(u32).range(..=1_000))
                .default_value("0")
                .help("Also N messages of the same room before and after"),
        )
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let matches = job.matches;
    let text = matches.get_one::<String>("pattern").expect("is required");
    let (regex, caseless) = (matches.get_flag("regex"), matches.get_flag("ignore-case"));
    let pattern = Pattern::new(text, regex, caseless).map_err(ScanError::Argument)?;
    let context = *matches.get_one::<u32>("context").expect("has a default") as usize;
    if matches.get_flag("count") {
        return count(job, &pattern);
    }
    let Job { scan, filter, out, format, look, .. } = job;
    let mut rows = Rows::begin(*out, *format, *look, COLUMNS)?;
    let mut hit_count = 0u64;
    let mut failed = None;
    // Parts are places only. The messages are read one segment after the other, so that a pattern
    // that everything has does not need the memory of everything.
    scan.run(
        filter,
        |view| (view.index(), find(view, &pattern)),
        |(index, hits): (usize, Vec<usize>)| {
            hit_count += hits.len() as u64;
            if !hits.is_empty() && failed.is_none() {
                failed = show(&scan.view(filter, index), &hits, context, &mut rows).err();
            }
        },
    );
    if let Some(error) = failed {
        return Err(error.into());
    }
    rows.end()?;
    Ok(if hit_count > 0 { Found::Something } else { Found::Nothing })
}

fn count(job: &mut Job<'_>, pattern: &Pattern) -> Result<Found, ScanError> {
    let mut hit_count = 0;
    job.scan.run(&job.filter, |view| find(view, pattern).len() as u64, |part| hit_count += part);
    let mut rows = job.rows(&[Column { name: "messages", width: 8 }])?;
    rows.row(&[Cell::Count(hit_count)])?;
    rows.end()?;
    Ok(if hit_count > 0 { Found::Something } else { Found::Nothing })
}

/// Shows the hits of a segment, with what was said around them in the same room. The context ends
/// with the segment.
fn show(view: &View<'_>, hits: &[usize], context: usize, rows: &mut Rows<'_>) -> io::Result<()> {
    let table = view.table(TableKind::Messages);
    let (offs, positions) = (table.offs(), table.positions());
    let mut shown: BTreeSet<usize> = hits.iter().copied().collect();
    if context > 0 {
        let rooms = table.codes(NameSet::Rooms);
        let wanted: Vec<usize> = table.rows().collect();
        for hit in hits {
            let at = wanted.partition_point(|row| row < hit);
            let same = |row: &&usize| rooms.at(**row) == rooms.at(*hit);
            shown.extend(wanted[..at].iter().rev().filter(same).take(context));
            shown.extend(wanted[at + 1..].iter().filter(same).take(context));
        }
    }
    let names = |set| view.segment().ask(move |sidecar| sidecar.names(set));
    let (user_names, room_names) = (names(NameSet::Users), names(NameSet::Rooms));
    let (users, rooms) = (table.codes(NameSet::Users), table.codes(NameSet::Rooms));
    for row in shown {
        let off = offs[row].to_native();
        // What is damaged is not shown; `verify` tells of it.
        let Some((_, RecordView::Message(message))) = view.record(off) else { continue };
        let is_hit = hits.binary_search(&row).is_ok();
        rows.row(&[
            view.segment().seq(off).map_or(Cell::None, Cell::Id),
            Cell::Time(message.ts_us.to_native()),
            room_names.text(rooms.at(row)).into(),
            user_names.text(users.at(row)).into(),
            Cell::Id(positions.at(row)),
            if is_hit { Cell::Text("*".into()) } else { Cell::None },
            Cell::Text(message.text.to_string()),
        ])?;
    }
    Ok(())
}
