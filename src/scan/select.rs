//! Which rows of a table a filter wants.

use super::condition::{Facts, NumberField, TextField};
use super::filter::Filter;
use crate::log::Kind;
use crate::log::catalog::SegmentView;
use crate::log::sidecar::{Codes, Column, NameSet, Names, TableKind, Times};
use rkyv::rend::{u16_le, u32_le};
use std::ops::Range;

/// Rows of one table, ascending: ranges that neither touch nor overlap.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Selection {
    ranges: Vec<Range<usize>>,
    row_count: usize,
}

impl Selection {
    /// No row.
    pub(super) const NONE: Self = Self { ranges: Vec::new(), row_count: 0 };

    /// The first `row_count` rows.
    pub(super) fn all(row_count: usize) -> Self {
        let mut all = Self::default();
        all.push(0..row_count);
        all
    }

    /// The rows as ranges.
    pub(super) fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// The rows one by one.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.ranges.iter().flat_map(Clone::clone)
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.row_count
    }

    /// Adds rows behind all others.
    fn push(&mut self, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        self.row_count += rows.len();
        match self.ranges.last_mut() {
            Some(last) if last.end == rows.start => last.end = rows.end,
            _ => self.ranges.push(rows),
        }
    }

    /// Leaves out the rows for which `keep` is false.
    fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut kept = Self::default();
        for row in self.rows().filter(|row| keep(*row)) {
            kept.push(row..row + 1);
        }
        *self = kept;
    }
}

/// The rows of `table` that `filter` wants. Conditions are applied from cheap to dear; a name that
/// the segment does not have ends the matter.
pub(super) fn select(segment: &SegmentView<'_>, filter: &Filter, table: TableKind) -> Selection {
    let tables_wanted = filter.kinds.iter().any(|kind| TableKind::of(Some(*kind)) == Some(table));
    if !filter.kinds.is_empty() && !tables_wanted {
        return Selection::NONE;
    }
    if !filter.sources.is_empty() && table != TableKind::Messages {
        return Selection::NONE;
    }
    let row_count = segment.ask(|sidecar| sidecar.row_count(table));
    if row_count == 0 || !touches(segment, filter) {
        return Selection::NONE;
    }
    let mut rows = Selection::all(row_count);
    if filter.is_timed() {
        rows = near(segment, filter, table);
    }
    for (set, name) in [(NameSet::Users, &filter.user), (NameSet::Rooms, &filter.room)] {
        let Some(name) = name else { continue };
        let Some(code) = segment.ask(|sidecar| Ok(sidecar.names(set)?.find(name))) else {
            return Selection::NONE;
        };
        match segment.ask(|sidecar| sidecar.codes(table, set)) {
            Codes::Narrow(codes) => {
                rows.retain(|row| usize::from(codes[row].to_native()) == code);
            }
            Codes::Wide(codes) => rows.retain(|row| codes[row].to_native() as usize == code),
        }
    }
    if !filter.sources.is_empty() {
        let sources = segment.ask(|sidecar| sidecar.bytes(table, Column::Source));
        rows.retain(|row| filter.sources.iter().any(|source| *source as u8 == sources[row]));
    }
    if table == TableKind::Others {
        let tags = segment.ask(|sidecar| sidecar.u16s(table, Column::Tag));
        rows.retain(|row| wants_tag(filter, tags[row].to_native()));
    }
    if let Some(condition) = &filter.condition {
        let columns = Columns::open(segment, table);
        let clock = filter.zone.clock();
        rows.retain(|row| condition.holds(&Row { columns: &columns, row }, &clock));
    }
    rows
}

/// The columns of a table that a condition may ask for.
struct Columns<'v> {
    segment: &'v SegmentView<'v>,
    table: TableKind,
    times: Times<'v>,
    offs: &'v [u32_le],
    users: (Codes<'v>, Names<'v>),
    rooms: (Codes<'v>, Names<'v>),
    commands: Option<(Codes<'v>, Names<'v>)>,
    sizes: Option<&'v [u16_le]>,
    tags: Option<&'v [u16_le]>,
    sources: Option<&'v [u8]>,
    directions: Option<&'v [u8]>,
    statuses: Option<&'v [u8]>,
    outcomes: Option<&'v [u8]>,
    errors: Option<&'v [u32_le]>,
    spans: Option<&'v [u32_le]>,
}

/// A row as conditions see it.
struct Row<'c, 'v> {
    columns: &'c Columns<'v>,
    row: usize,
}

impl<'v> Columns<'v> {
    fn open(segment: &'v SegmentView<'v>, table: TableKind) -> Self {
        let named =
            |set| segment.ask(move |sidecar| Ok((sidecar.codes(table, set)?, sidecar.names(set)?)));
        let of = |one| table == one;
        let bytes =
            |one, column| of(one).then(|| segment.ask(move |sidecar| sidecar.bytes(table, column)));
        let u16s =
            |one, column| of(one).then(|| segment.ask(move |sidecar| sidecar.u16s(table, column)));
        let u32s =
            |one, column| of(one).then(|| segment.ask(move |sidecar| sidecar.u32s(table, column)));
        Self {
            segment,
            table,
            times: segment.ask(|sidecar| sidecar.times(table)),
            offs: segment.ask(|sidecar| sidecar.u32s(table, Column::Off)),
            users: named(NameSet::Users),
            rooms: named(NameSet::Rooms),
            commands: of(TableKind::Commands).then(|| named(NameSet::Commands)),
            sizes: u16s(TableKind::Messages, Column::Size),
            tags: u16s(TableKind::Others, Column::Tag),
            sources: bytes(TableKind::Messages, Column::Source),
            directions: bytes(TableKind::Messages, Column::Direction),
            statuses: bytes(TableKind::Statuses, Column::Status),
            outcomes: bytes(TableKind::Commands, Column::Outcome),
            errors: u32s(TableKind::Statuses, Column::Error),
            spans: u32s(TableKind::Commands, Column::Duration),
        }
    }
}

impl Facts for Row<'_, '_> {
    fn kind(&self) -> Option<Kind> {
        match self.columns.table {
            TableKind::Messages => Some(Kind::Message),
            TableKind::Statuses => Some(Kind::Status),
            TableKind::Commands => Some(Kind::Command),
            TableKind::Sessions => Some(Kind::Session),
            TableKind::Metrics => Some(Kind::Metric),
            TableKind::Others => Kind::from_tag(self.columns.tags?[self.row].to_native()),
        }
    }

    fn ts_us(&self) -> Option<i64> {
        self.kind().map(|_| self.columns.times.at(self.row))
    }

    fn text(&self, field: TextField) -> Option<&str> {
        let (codes, names) = match field {
            TextField::User => self.columns.users,
            TextField::Room => self.columns.rooms,
            TextField::Command => self.columns.commands?,
            TextField::Text => {
                let off = self.columns.offs[self.row].to_native();
                let record = self.columns.segment.record(off)?;
                return std::str::from_utf8(record.message_text()?).ok();
            }
        };
        let code = codes.at(self.row);
        (code != 0).then(|| names.text(code))
    }

    fn number(&self, field: NumberField) -> Option<u64> {
        let (columns, row) = (self.columns, self.row);
        let byte = |column: Option<&[u8]>| column.map(|column| u64::from(column[row]));
        let u32 = |column: Option<&[u32_le]>| column.map(|one| u64::from(one[row].to_native()));
        match field {
            NumberField::Source => byte(columns.sources),
            NumberField::Direction => byte(columns.directions),
            NumberField::Status => byte(columns.statuses),
            NumberField::Outcome => byte(columns.outcomes),
            NumberField::Size => columns.sizes.map(|sizes| sizes[row].to_native().into()),
            NumberField::Error => u32(columns.errors),
            NumberField::Duration => u32(columns.spans),
            NumberField::Hour | NumberField::Weekday => None,
        }
    }
}

/// Types of a later version have no time that this version knows, and no name to ask for.
fn wants_tag(filter: &Filter, tag: u16) -> bool {
    match Kind::from_tag(tag) {
        Some(kind) => filter.kinds.is_empty() || filter.kinds.contains(&kind),
        None => filter.kinds.is_empty() && !filter.is_timed(),
    }
}

/// Whether the segment has any record in the filter's time.
pub(super) fn touches(segment: &SegmentView<'_>, filter: &Filter) -> bool {
    segment.ask(|sidecar| {
        let rollup = sidecar.rollup()?;
        let (first_us, last_us) = (rollup.first_us.to_native(), rollup.last_us.to_native());
        Ok(!filter.is_timed() || (last_us >= filter.since_us && first_us < filter.until_us))
    })
}

/// Blocks that lie inside the filter's time are taken whole, those at its edges row by row.
fn near(segment: &SegmentView<'_>, filter: &Filter, table: TableKind) -> Selection {
    let times = segment.ask(|sidecar| sidecar.times(table));
    let mut rows = Selection::default();
    for (block, floor_us, top_us) in times.blocks() {
        if floor_us >= filter.since_us && top_us < filter.until_us {
            rows.push(block);
        } else if top_us >= filter.since_us && floor_us < filter.until_us {
            times.each(block, |row, ts_us| {
                if (filter.since_us..filter.until_us).contains(&ts_us) {
                    rows.push(row..row + 1);
                }
            });
        }
    }
    rows
}
