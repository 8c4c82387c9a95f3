//! `response-times`: how long customers wait for an answer.

use super::bucket::Bucket;
use super::facts::{self, Said};
use super::filter::Filter;
use super::period::Period;
use super::quantiles::Quantiles;
use super::render::{Cell, Column, Rows};
use super::zone::Zone;
use super::{Found, Job, Report, ScanError};
use crate::base::hash::Map;
use crate::log::record::Source;
use crate::log::sidecar::NameSet;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};

pub(super) const REPORT: Report = Report {
    name: "response-times",
    about: "Shows how long questions wait for their answer",
    filtered: true,
    options,
    run,
};

const fn columns(key: &'static str) -> [Column; 7] {
    [
        Column { name: key, width: 12 },
        Column { name: "answers", width: 0 },
        Column { name: "median_s", width: 0 },
        Column { name: "p95_s", width: 0 },
        Column { name: "max_s", width: 0 },
        Column { name: "unanswered", width: 0 },
        Column { name: "", width: 0 },
    ]
}

/// What a row is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Per {
    Room,
    Agent,
    /// Hour of the day of the question.
    Hour,
    /// Day of the question.
    Day,
    /// One row for everything.
    All,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Between {
    /// Whoever writes by WhatsApp asks, and everybody else answers.
    Customers,
    /// Whoever writes asks everybody else in the room.
    Anyone,
}

/// A question that waits.
#[derive(Clone, Copy, Debug)]
struct Question {
    ts_us: i64,
    user: u32,
}

/// Spans by room, agent or hour.
#[derive(Debug)]
pub(super) struct Waits {
    per: Per,
    between: Between,
    /// Only answers of this user.
    agent: Option<String>,
    zone: Zone,
    /// By room.
    open: Map<u32, Question>,
    pub(super) by_key: Map<u32, Quantiles>,
    /// Spans that are kept one by one, and how many one key may keep.
    kept_count: usize,
    kept_max: usize,
}

/// Spans of all keys together that are kept one by one: 16 MiB.
const KEPT_MAX: usize = 1 << 22;
/// Beyond those: spans that each key keeps, as many bytes as the buckets that follow take.
const KEPT_EACH_MAX: usize = 4_096;

impl Waits {
    pub(super) fn new(per: Per, between: Between, agent: Option<String>, zone: Zone) -> Self {
        let (open, by_key) = (Map::default(), Map::default());
        Self { per, between, agent, zone, open, by_key, kept_count: 0, kept_max: usize::MAX }
    }

    /// Takes the next message of the log.
    /// `is_agent` says whether a number is that of the user whose answers count.
    pub(super) fn message(&mut self, said: Said, is_agent: impl Fn(u32, &str) -> bool) {
        if said.source == Some(Source::System) {
            return;
        }
        match self.between {
            Between::Customers if said.source == Some(Source::Whatsapp) => {
                let question = Question { ts_us: said.ts_us, user: said.user };
                self.open.entry(said.room).or_insert(question);
            }
            Between::Customers => {
                if let Some(question) = self.open.remove(&said.room) {
                    self.answer(question, said, is_agent);
                }
            }
            Between::Anyone => {
                let question = Question { ts_us: said.ts_us, user: said.user };
                match self.open.get(&said.room) {
                    Some(asked) if asked.user == said.user => {}
                    Some(asked) => {
                        self.answer(*asked, said, is_agent);
                        self.open.insert(said.room, question);
                    }
                    None => {
                        self.open.insert(said.room, question);
                    }
                }
            }
        }
    }

    fn answer(&mut self, question: Question, said: Said, is_agent: impl Fn(u32, &str) -> bool) {
        if self.agent.as_ref().is_some_and(|agent| !is_agent(said.user, agent)) {
            return;
        }
        let key = self.key(said.room, said.user, question.ts_us);
        let wait_us = said.ts_us.saturating_sub(question.ts_us);
        let spans = self.by_key.entry(key).or_default();
        spans.add_us(wait_us);
        if spans.kept_count() > self.kept_max {
            spans.keep_buckets();
        }
        self.kept_count += 1;
        if self.kept_count > KEPT_MAX && self.kept_max > KEPT_EACH_MAX {
            self.kept_max = KEPT_EACH_MAX;
            let large = self.by_key.values_mut().filter(|one| one.kept_count() > KEPT_EACH_MAX);
            large.for_each(Quantiles::keep_buckets);
        }
    }

    fn key(&self, room: u32, agent: u32, ts_us: i64) -> u32 {
        match self.per {
            Per::Room => room,
            Per::Agent => agent,
            Per::All => 0,
            Per::Day => Period::Day.of(ts_us, &self.zone.clock()) as u32,
            Per::Hour => Bucket::Hour.of(self.zone.wall_us(ts_us)).rem_euclid(24) as u32,
        }
    }

    /// Questions that nobody answered, by the same key. Whose they are nobody knows.
    pub(super) fn unanswered(&self) -> Map<u32, u64> {
        let mut counts = Map::default();
        // Among any users the last word of every room waits for ever: that says nothing.
        if self.per != Per::Agent && self.between == Between::Customers && self.agent.is_none() {
            for (room, question) in &self.open {
                *counts.entry(self.key(*room, 0, question.ts_us)).or_default() += 1;
            }
        }
        counts
    }
}

fn options(command: Command) -> Command {
    let per = PossibleValuesParser::new(["room", "agent", "hour"]);
    let between = PossibleValuesParser::new(["customers", "anyone"]);
    command
        .arg(
            Arg::new("per")
                .long("per")
                .value_parser(per)
                .default_value("room")
                .help("A row per room, per user who answers, or per hour of the question"),
        )
        .arg(
            Arg::new("between")
                .long("between")
                .value_parser(between)
                .default_value("customers")
                .help("Who asks: people on WhatsApp, or anyone in a room"),
        )
        .arg(number_argument())
}

/// `-n`: rows of a report that has one per name.
pub(super) fn number_argument() -> Arg {
    Arg::new("number")
        .short('n')
        .long("number")
        .value_name("N")
        .value_parser(value_parser!(u32))
        .default_value("50")
        .help("Rows at most; 0 for all")
}

/// What `-n` allows.
pub(super) fn row_count_max(matches: &ArgMatches) -> usize {
    match *matches.get_one::<u32>("number").expect("has a default") {
        0 => usize::MAX,
        number => number as usize,
    }
}

fn run(job: &mut Job<'_>) -> Result<Found, ScanError> {
    let per = match job.matches.get_one::<String>("per").expect("has a default").as_str() {
        "room" => Per::Room,
        "agent" => Per::Agent,
        _ => Per::Hour,
    };
    let between = match job.matches.get_one::<String>("between").expect("has a default").as_str() {
        "anyone" => Between::Anyone,
        _ => Between::Customers,
    };
    // A question is somebody else's: `--user` says whose answers count.
    let filter = Filter { user: None, ..job.filter.clone() };
    let mut waits = Waits::new(per, between, job.filter.user.clone(), job.zone.clone());
    let is_agent = |user: u32, name: &str| job.scan.names(NameSet::Users).text(user) == name;
    facts::messages(&job.scan, &filter, |said| waits.message(said, is_agent));
    let count_max = row_count_max(job.matches);
    let unanswered = waits.unanswered();
    let name = |key: u32| match per {
        Per::Room => job.scan.names(NameSet::Rooms).text(key).to_owned(),
        Per::Agent => job.scan.names(NameSet::Users).text(key).to_owned(),
        _ => format!("{key:02}"),
    };
    for key in unanswered.keys() {
        waits.by_key.entry(*key).or_default();
    }
    let mut all: Vec<_> =
        waits.by_key.into_iter().map(|(key, spans)| (name(key), key, spans)).collect();
    match per {
        Per::Hour => all.sort_by_key(|(_, key, _)| *key),
        // Most answers first; names decide, so that two runs agree.
        _ => all.sort_by(|left, right| {
            right.2.count().cmp(&left.2.count()).then_with(|| left.0.cmp(&right.0))
        }),
    }
    all.truncate(count_max);
    let columns = match per {
        Per::Room => const { &columns("room") },
        Per::Agent => const { &columns("agent") },
        _ => const { &columns("hour") },
    };
    let longest = all.iter_mut().map(|(_, _, spans)| spans.at_us(0.5)).max().unwrap_or(0);
    let mut rows = Rows::begin(job.out, job.format, job.look, columns)?;
    for (name, key, mut spans) in all {
        // Nobody's question has no agent.
        let open = (per != Per::Agent).then(|| unanswered.get(&key).copied().unwrap_or(0));
        let median_us = spans.at_us(0.5);
        rows.row(&row(name, &mut spans, open, median_us as f64 / longest.max(1) as f64))?;
    }
    Ok(if rows.end()? > 0 { Found::Something } else { Found::Nothing })
}

fn row(name: String, spans: &mut Quantiles, open: Option<u64>, bar: f64) -> [Cell; 7] {
    let count = spans.count();
    let mut span = |q| if count > 0 { Cell::Span(spans.at_us(q)) } else { Cell::None };
    [
        Cell::Text(name),
        Cell::Count(count),
        span(0.5),
        span(0.95),
        span(1.0),
        open.map_or(Cell::None, Cell::Count),
        Cell::Bar(bar),
    ]
}
