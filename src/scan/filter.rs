//! Which records a report looks at.

use super::condition::{Condition, Facts, NumberField, TextField};
use super::time;
use super::zone::Zone;
use crate::log::record::{RecordView, Source};
use crate::log::sidecar::TableKind;
use crate::log::{Entry, Kind, Log};
use clap::ArgMatches;

/// All conditions must hold; an absent one always does.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) since_us: i64,
    pub(super) until_us: i64,
    pub(super) room: Option<String>,
    pub(super) user: Option<String>,
    pub(super) kinds: Vec<Kind>,
    /// Of messages; with it nothing else is wanted.
    pub(super) sources: Vec<Source>,
    pub(super) condition: Option<Condition>,
    /// Of the hours and days of `condition` and of reports.
    pub(super) zone: Zone,
}

impl Filter {
    /// Every record but names.
    pub(super) const EMPTY: Self = Self {
        since_us: i64::MIN,
        until_us: i64::MAX,
        room: None,
        user: None,
        kinds: Vec::new(),
        sources: Vec::new(),
        condition: None,
        zone: Zone::UTC,
    };

    pub(super) fn parse(matches: &ArgMatches, now_us: i64) -> Result<Self, String> {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let zone = Zone::parse(&text("tz").expect("has a default"))?;
        let moment = |name: &str, absent: i64| {
            let Some(text) = text(name) else { return Ok(absent) };
            let why =
                || format!("--{name} {text:?} is no time (2026-01-31, 2026-01-31T12:00Z, 2h)");
            let ts_us = time::parse(&text, now_us).ok_or_else(why)?;
            // Days are those of --tz, and so is a time that does not say that it is UTC.
            let of_zone = !text.ends_with('Z') && time::parse_span(&text).is_none();
            Ok::<_, String>(if of_zone { zone.moment_us(ts_us) } else { ts_us })
        };
        let names = |name: &str| matches.get_many::<String>(name).into_iter().flatten();
        let source =
            |name: &String| Source::ALL.iter().copied().find(|source| source.name() == name);
        let kind = |name: &String| Kind::ALL.iter().copied().find(|kind| kind.name() == name);
        Ok(Self {
            since_us: moment("since", i64::MIN)?,
            until_us: moment("until", i64::MAX)?,
            room: text("room"),
            user: text("user"),
            kinds: names("kind").filter_map(kind).collect(),
            sources: names("source").filter_map(source).collect(),
            condition: text("where").map(|text| Condition::parse(&text)).transpose()?,
            zone,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.is_kindless()
    }

    /// Whether it says from when or until when.
    pub(super) fn is_timed(&self) -> bool {
        self.since_us != i64::MIN || self.until_us != i64::MAX
    }

    /// Whether it wants every row of `table`.
    pub(super) fn is_whole(&self, table: TableKind) -> bool {
        let kinds = self.kinds.iter().any(|kind| TableKind::of(Some(*kind)) == Some(table));
        (self.kinds.is_empty() || (kinds && table != TableKind::Others)) && self.is_kindless()
    }

    /// Whether nothing but the kind of a record decides.
    fn is_kindless(&self) -> bool {
        !self.is_timed()
            && self.room.is_none()
            && self.user.is_none()
            && self.sources.is_empty()
            && self.condition.is_none()
    }

    /// Whether the report wants this record. The names that explain numbers are the log's own
    /// affair, and only shown to those who ask for them.
    pub(super) fn wants(&self, entry: &Entry<'_>) -> bool {
        let kind = entry.kind().map(Kind::reported);
        let kind_wanted = match kind {
            Some(kind) if !self.kinds.is_empty() => self.kinds.contains(&kind),
            Some(kind) => kind != Kind::Name,
            None => self.kinds.is_empty(),
        };
        let time_wanted = !self.is_timed()
            || entry.ts_us().is_some_and(|ts| (self.since_us..self.until_us).contains(&ts));
        kind_wanted
            && time_wanted
            && self.wants_source(entry)
            && self.holds(entry)
            && self.room.as_ref().is_none_or(|room| entry.room() == room)
            && self.user.as_ref().is_none_or(|user| entry.user() == user)
    }

    fn holds(&self, entry: &Entry<'_>) -> bool {
        let Some(condition) = &self.condition else { return true };
        condition.holds(entry, &self.zone.clock())
    }

    fn wants_source(&self, entry: &Entry<'_>) -> bool {
        self.sources.is_empty()
            || matches!(entry.view(), Some(RecordView::Message(message))
                if Source::from_byte(message.source).is_some_and(|s| self.sources.contains(&s)))
    }

    /// The wanted records of `log`, in order.
    pub(super) fn entries<'a>(&'a self, log: &'a Log) -> impl Iterator<Item = Entry<'a>> {
        log.entries().near(self.since_us, self.until_us).filter(|entry| self.wants(entry))
    }
}

/// Reads the fixed fields; only a text is looked for in the archive.
impl Facts for Entry<'_> {
    fn kind(&self) -> Option<Kind> {
        Entry::kind(self).map(Kind::reported)
    }

    fn ts_us(&self) -> Option<i64> {
        Entry::ts_us(self)
    }

    fn text(&self, field: TextField) -> Option<&str> {
        let text = match field {
            TextField::User => self.user(),
            TextField::Room => self.room(),
            TextField::Command => self.command(),
            TextField::Text => return std::str::from_utf8(self.record.message_text()?).ok(),
        };
        (!text.is_empty()).then_some(text)
    }

    fn number(&self, field: NumberField) -> Option<u64> {
        let record = &self.record;
        match field {
            NumberField::Source => record.message_source_byte().map(u64::from),
            NumberField::Direction => record.message_direction_byte().map(u64::from),
            NumberField::Status => record.status().map(u64::from),
            NumberField::Outcome => record.outcome().map(u64::from),
            NumberField::Size => record.message_text_len().map(u64::from),
            NumberField::Error => record.status_error().map(u64::from),
            NumberField::Duration => record.duration_us().map(u64::from),
            NumberField::Hour | NumberField::Weekday => None,
        }
    }
}
