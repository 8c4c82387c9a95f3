//! `audit`: everything that happened to a user, a room or a message, in order.

use super::engine::View;
use super::filter::Filter;
use super::pick::{COLUMNS, Line, Pick, line, picks};
use super::render::Rows;
use super::{Found, Job, Report, ScanError, escape};
use crate::base::hash::Map;
use crate::log::record::{EraseScope, Kind, RecordView};
use crate::log::sidecar::{Column, NameSet, TableKind};
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};

pub(super) const REPORT: Report = Report {
    name: "audit",
    about: "Shows everything that happened to a user, a room or a message",
    filtered: true,
    options,
    run,
};

fn options(command: Command) -> Command {
    command
        .arg(
            Arg::new("subject")
                .value_name("SUBJECT")
                .required(true)
                .help("Name of a user or room; ROOM/POSITION or a wamid for a message"),
        )
        .arg(
            Arg::new("as")
                .long("as")
                .value_parser(PossibleValuesParser::new(["user", "room", "message"]))
                .help("What SUBJECT is, when it could be more than one"),
        )
}

/// What is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Subject {
    /// Someone, or a room, or both by the same name.
    Named {
        user: bool,
        room: bool,
        name: String,
    },
    Message(Message),
}

/// A message, wherever it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Message {
    room: String,
    o: u64,
    /// The platform's id; may be empty.
    external: String,
}

/// A line about a subject. A mark says whose it is and whether it reads: only the first counts.
type Found1 = (Line, Option<(String, bool)>);

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let text = job.matches.get_one::<String>("subject").expect("is required").clone();
    let kind = job.matches.get_one::<String>("as").map(String::as_str);
    let Some(subject) = find(job, &text, kind) else {
        let mut shown = String::new();
        escape::terminal(&text, &mut shown);
        writeln!(job.words, "no user, room or message is called {shown}")?;
        job.rows(COLUMNS)?.end()?;
        return Ok(Found::Nothing);
    };
    let mut rows = Rows::begin(job.out, job.format, job.look, COLUMNS)?;
    let mut wrong = Ok(());
    // By user: whether they received it and whether they read it.
    let mut marks: Map<String, (bool, bool)> = Map::default();
    job.scan.run_rows(
        &job.filter,
        |view| part(view, &subject),
        |lines| {
            for (line, mark) in lines {
                if let Some((user, reads)) = mark {
                    let had = marks.entry(user).or_default();
                    let news = !had.0 || (reads && !had.1);
                    *had = (true, had.1 || reads);
                    if !news {
                        continue;
                    }
                }
                if wrong.is_ok() {
                    wrong = rows.row(&line);
                }
            }
        },
    );
    wrong?;
    Ok(if rows.end()? > 0 { Found::Something } else { Found::Nothing })
}

/// The lines of one segment.
fn part(view: &View<'_>, subject: &Subject) -> Vec<Found1> {
    let code = |set, name: &str| view.segment().ask(|sidecar| Ok(sidecar.names(set)?.find(name)));
    match subject {
        Subject::Named { user, room, name } => {
            let user = if *user { code(NameSet::Users, name) } else { None };
            let room = if *room { code(NameSet::Rooms, name) } else { None };
            let has = |kind, set, row, wanted: Option<usize>| {
                wanted.is_some_and(|code| view.table(kind).codes(set).at(row) == code)
            };
            let picked = picks(view, |kind, row| {
                has(kind, NameSet::Users, row, user)
                    || has(kind, NameSet::Rooms, row, room)
                    || (kind == TableKind::Others && is_about(view, row, name))
            });
            let lines = picked.into_iter().filter_map(|pick| line(view, pick));
            lines.map(|line| (line, None)).collect()
        }
        Subject::Message(message) => {
            let room = code(NameSet::Rooms, &message.room);
            let picked = picks(view, |kind, row| {
                room.is_some_and(|room| view.table(kind).codes(NameSet::Rooms).at(row) == room)
                    || (kind == TableKind::Others && is_erasure_of(view, row, message))
            });
            picked.into_iter().filter_map(|pick| happened(view, pick, message)).collect()
        }
    }
}

/// Whether a record names a user elsewhere than in its header.
fn is_about(view: &View<'_>, row: usize, user: &str) -> bool {
    let others = view.table(TableKind::Others);
    let tag = others.u16s(Column::Tag)[row].to_native();
    if ![Kind::Member, Kind::Erasure].iter().any(|kind| kind.tag() == tag) {
        return false;
    }
    match view.record(others.offs()[row].to_native()) {
        Some((_, RecordView::Member(member))) => *member.subject == *user,
        Some((_, RecordView::Erasure(erasure))) => {
            erasure.scope != EraseScope::Message as u8 && *erasure.subject == *user
        }
        _ => false,
    }
}

/// Whether a record says that the message was erased.
fn is_erasure_of(view: &View<'_>, row: usize, message: &Message) -> bool {
    let others = view.table(TableKind::Others);
    if others.u16s(Column::Tag)[row].to_native() != Kind::Erasure.tag() {
        return false;
    }
    match view.record(others.offs()[row].to_native()) {
        Some((_, RecordView::Erasure(erasure))) => {
            let place = erasure.subject.rsplit_once('/');
            let o = message.o.to_string();
            erasure.scope == EraseScope::Message as u8 && place == Some((&message.room, &o))
        }
        _ => false,
    }
}

/// The line of a record of the message's room, when it is about the message.
fn happened(view: &View<'_>, pick: Pick, message: &Message) -> Option<Found1> {
    let (record, found) = view.record(pick.off)?;
    let o = message.o;
    let mut mark = None;
    let about = match found {
        RecordView::Message(found) => found.o.to_native() == o || found.reply.to_native() == o,
        RecordView::Edit(edit) => edit.target.to_native() == o,
        RecordView::Delete(delete) => delete.target.to_native() == o,
        RecordView::Status(status) => {
            !message.external.is_empty() && *status.external == *message.external
        }
        // Picked because it is about this one.
        RecordView::Erasure(_) => true,
        RecordView::Mark(found) => {
            let reads = found.read.to_native() >= o;
            let codes = view.table(pick.table).codes(NameSet::Users);
            let code = codes.at(pick.row as usize);
            let names = view.segment().ask(|sidecar| sidecar.names(NameSet::Users));
            mark = Some((names.text(code).to_owned(), reads));
            reads || found.recv.to_native() >= o
        }
        _ => false,
    };
    assert!(record.kind() == Some(found.kind()));
    if about { Some((line(view, pick)?, mark)) } else { None }
}

/// What the log knows by that name. A user or a room comes before a message: a room may be called
/// as a message is.
fn find(job: &Job<'_>, text: &str, kind: Option<&str>) -> Option<Subject> {
    let wanted = |name| kind.is_none_or(|kind| kind == name);
    let (mut user, mut room) = (false, false);
    let whole = Filter::EMPTY;
    job.scan.run(
        &whole,
        |view| {
            let knows =
                |set| view.segment().ask(|sidecar| Ok(sidecar.names(set)?.find(text).is_some()));
            let others = view.table(TableKind::Others);
            let named = || others.rows().any(|row| is_about(view, row, text));
            let user = wanted("user") && (knows(NameSet::Users) || named());
            (user, wanted("room") && knows(NameSet::Rooms))
        },
        |(has_user, has_room)| {
            user |= has_user;
            room |= has_room;
        },
    );
    if user || room {
        return Some(Subject::Named { user, room, name: text.to_owned() });
    }
    if !wanted("message") || text.is_empty() {
        return None;
    }
    let place = text.rsplit_once('/').and_then(|(room, o)| Some((room, o.parse::<u64>().ok()?)));
    let mut message = None;
    job.scan.run(
        &whole,
        |view| message_of(view, text, place),
        |found| {
            message = found.or(message.take());
        },
    );
    message.map(Subject::Message)
}

/// The message at a place, or with an id of a platform.
fn message_of(view: &View<'_>, id: &str, place: Option<(&str, u64)>) -> Option<Message> {
    let table = view.table(TableKind::Messages);
    let rooms = view.segment().ask(|sidecar| sidecar.names(NameSet::Rooms));
    let (codes, positions, offs) = if table.len() > 0 {
        (table.codes(NameSet::Rooms), table.positions(), table.offs())
    } else {
        return None;
    };
    let place = place.and_then(|(room, o)| Some((rooms.find(room)?, o)));
    let mut last = None;
    for row in table.rows() {
        let here = place.is_some_and(|(room, o)| codes.at(row) == room && positions.at(row) == o);
        // An id of a platform does not hold a slash with a number behind it.
        if place.is_some() && !here {
            continue;
        }
        let Some((_, RecordView::Message(found))) = view.record(offs[row].to_native()) else {
            continue;
        };
        if here || *found.external == *id {
            last = Some(Message {
                room: rooms.text(codes.at(row)).to_owned(),
                o: found.o.to_native(),
                external: found.external.to_string(),
            });
        }
    }
    last
}
