//! `conversations`: which customers are talked with, and who waits for an answer.

use super::facts::{self, Said};
use super::names::AllNames;
use super::render::{Cell, Column, Rows};
use super::response_times::{number_argument, row_count_max};
use super::{Found, Job, Report, ScanError, time};
use crate::base::hash::Map;
use crate::log::record::Source;
use crate::log::sidecar::NameSet;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

pub(super) const REPORT: Report = Report {
    name: "conversations",
    about: "Shows who waits for an answer, and since when",
    filtered: true,
    options,
    run,
};

const COLUMNS: &[Column] = &[
    Column { name: "room", width: 16 },
    Column { name: "state", width: 8 },
    Column { name: "waiting_since", width: 27 },
    Column { name: "waited_s", width: 0 },
    Column { name: "last_speaker", width: 12 },
    Column { name: "last", width: 27 },
    Column { name: "began", width: 27 },
    Column { name: "messages", width: 0 },
    Column { name: "conversations", width: 0 },
];

/// How the last conversation of a room stands. In the order of urgency.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum State {
    /// The customer has waited longer than they should.
    Overdue,
    /// The customer waits.
    Waiting,
    /// The last word is ours.
    Answered,
    /// It ended with a question that nobody answered.
    Missed,
    /// It ended with our word.
    Closed,
}

impl State {
    pub(super) const ALL: [Self; 5] =
        [Self::Overdue, Self::Waiting, Self::Answered, Self::Missed, Self::Closed];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Waiting => "waiting",
            Self::Answered => "answered",
            Self::Missed => "missed",
            Self::Closed => "closed",
        }
    }
}

/// What decides over states.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The moment that is looked at.
    pub(super) now_us: i64,
    /// A wait beyond this is overdue.
    pub(super) over_us: i64,
    /// Silence beyond this ends a conversation.
    pub(super) gap_us: i64,
}

impl Rules {
    pub(super) const OVER_US: i64 = 30 * 60 * 1_000_000;
    pub(super) const GAP_US: i64 = 24 * 3_600 * 1_000_000;
}

/// The last conversation of a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Talk {
    pub(super) room: u32,
    pub(super) began_us: i64,
    pub(super) last_us: i64,
    pub(super) last_user: u32,
    pub(super) message_count: u64,
    /// When the first message came that nobody has answered.
    pub(super) waiting_us: Option<i64>,
    /// Conversations of the room so far, this one included.
    pub(super) talk_count: u64,
    /// Whether a customer ever wrote here.
    customer: bool,
}

impl Talk {
    pub(super) fn state(&self, rules: Rules) -> State {
        let over = rules.now_us.saturating_sub(self.last_us) > rules.gap_us;
        match self.waiting_us {
            Some(_) if over => State::Missed,
            Some(since) if rules.now_us.saturating_sub(since) > rules.over_us => State::Overdue,
            Some(_) => State::Waiting,
            None if over => State::Closed,
            None => State::Answered,
        }
    }
}

/// Conversations by room.
#[derive(Debug)]
pub(super) struct Talks {
    gap_us: i64,
    by_room: Map<u32, Talk>,
}

impl Talks {
    pub(super) fn new(gap_us: i64) -> Self {
        Self { gap_us, by_room: Map::default() }
    }

    /// Takes the next message of the log.
    pub(super) fn message(&mut self, said: Said) {
        if said.source == Some(Source::System) || said.room == 0 {
            return;
        }
        let asks = said.source == Some(Source::Whatsapp);
        let fresh = |talk_count| Talk {
            room: said.room,
            began_us: said.ts_us,
            last_us: said.ts_us,
            last_user: 0,
            message_count: 0,
            waiting_us: None,
            talk_count,
            customer: false,
        };
        let talk = self.by_room.entry(said.room).or_insert_with(|| fresh(1));
        if said.ts_us.saturating_sub(talk.last_us) > self.gap_us {
            *talk = Talk { customer: talk.customer, ..fresh(talk.talk_count + 1) };
        }
        talk.message_count += 1;
        talk.last_us = said.ts_us;
        talk.last_user = said.user;
        talk.customer |= asks;
        match asks {
            true => talk.waiting_us = talk.waiting_us.or(Some(said.ts_us)),
            false => talk.waiting_us = None,
        }
    }

    /// The rooms that a customer wrote in, the most urgent first; names decide between equals.
    pub(super) fn finish(self, rules: Rules, rooms: &AllNames) -> Vec<(State, Talk)> {
        let talks = self.by_room.into_values().filter(|talk| talk.customer);
        let mut all: Vec<_> = talks.map(|talk| (talk.state(rules), talk)).collect();
        all.sort_by(|(left_state, left), (right_state, right)| {
            let order = left_state.cmp(right_state);
            let order = order.then(left.waiting_us.cmp(&right.waiting_us));
            let order = order.then(right.last_us.cmp(&left.last_us));
            order.then_with(|| rooms.text(left.room).cmp(rooms.text(right.room)))
        });
        all
    }
}

fn options(command: Command) -> Command {
    let span = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("SPAN").default_value(default).help(help)
    };
    command
        .arg(span("over", "30m", "A wait beyond this is overdue: 90s, 30m, 2h, 1d"))
        .arg(span("gap", "24h", "Silence beyond this ends a conversation"))
        .arg(
            Arg::new("state")
                .long("state")
                .value_parser(PossibleValuesParser::new(State::ALL.map(State::name)))
                .value_delimiter(',')
                .action(ArgAction::Append)
                .help("Only conversations in these states"),
        )
        .arg(number_argument())
}

fn span_us(matches: &ArgMatches, name: &str) -> Result<i64, ScanError> {
    let text = matches.get_one::<String>(name).expect("has a default");
    let why = || ScanError::Argument(format!("--{name} {text:?} is no span (90s, 30m, 2h, 1d)"));
    time::parse_span(text).ok_or_else(why)
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let rules = Rules {
        now_us: job.now_us.min(job.filter.until_us),
        over_us: span_us(job.matches, "over")?,
        gap_us: span_us(job.matches, "gap")?,
    };
    let mut talks = Talks::new(rules.gap_us);
    facts::messages(&job.scan, &job.filter, |said| talks.message(said));
    let mut all = talks.finish(rules, &job.scan.names(NameSet::Rooms));
    totals(job, &all)?;
    if let Some(names) = job.matches.get_many::<String>("state") {
        let names: Vec<_> = names.collect();
        all.retain(|(state, _)| names.iter().any(|name| *name == state.name()));
    }
    all.truncate(row_count_max(job.matches));
    let (users, rooms) = (job.scan.names(NameSet::Users), job.scan.names(NameSet::Rooms));
    let mut rows = Rows::begin(job.out, job.format, job.look, COLUMNS)?;
    for (state, talk) in all {
        let waited = talk.waiting_us.map(|since| rules.now_us.saturating_sub(since).max(0) as u64);
        rows.row(&[
            rooms.text(talk.room).into(),
            state.name().into(),
            talk.waiting_us.map_or(Cell::None, Cell::Time),
            waited.map_or(Cell::None, Cell::Span),
            users.text(talk.last_user).into(),
            Cell::Time(talk.last_us),
            Cell::Time(talk.began_us),
            Cell::Count(talk.message_count),
            Cell::Count(talk.talk_count),
        ])?;
    }
    Ok(if rows.end()? > 0 { Found::Something } else { Found::Nothing })
}

/// How many of each state, for the person at the terminal.
fn totals(job: &mut Job<'_>, all: &[(State, Talk)]) -> Result<(), ScanError> {
    if all.is_empty() {
        return Ok(());
    }
    let of = |state| all.iter().filter(|(other, _)| *other == state).count();
    let counts = State::ALL.map(|state| format!("{} {}", of(state), state.name()));
    let talk_count: u64 = all.iter().map(|(_, talk)| talk.talk_count).sum();
    writeln!(job.words, "{} rooms, {talk_count} conversations: {}", all.len(), counts.join(", "))?;
    Ok(())
}
