//! The tables of a sidecar and their columns.
//!
//! One table per kind of question: a row is a record, in the order of the log. Every table has the
//! time, user, room and place of its rows; some have more:
//!
//! | table | kinds | more columns |
//! | --- | --- | --- |
//! | messages | message | position, size of the text, source, direction |
//! | statuses | status | status, error |
//! | commands | command | command, duration, outcome |
//! | sessions | session | action, close code |
//! | metrics | metric | |
//! | others | all other kinds but name | tag |
//!
//! Users, rooms and commands are codes: numbers of the segment's own lists of names, dense from 1;
//! 0 is none.

use super::names::{NameSet, Names};
use super::rollup::ArchivedRollup;
use super::times::Times;
use super::{Damaged, SectionId, Sidecar};
use crate::log::record::Kind;
use rkyv::Portable;
use rkyv::api::low::LowValidator;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::rend::{u16_le, u32_le, u64_le};
use rkyv::vec::ArchivedVec;

/// A table of a sidecar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum TableKind {
    /// Messages.
    Messages = 1,
    /// Delivery statuses.
    Statuses = 2,
    /// Commands that ran.
    Commands = 3,
    /// Begins and ends of sessions.
    Sessions = 4,
    /// What the server measured of itself.
    Metrics = 5,
    /// Everything else but names.
    Others = 6,
}

impl TableKind {
    /// Every table, in the order of its number.
    pub const ALL: [Self; 6] = [
        Self::Messages,
        Self::Statuses,
        Self::Commands,
        Self::Sessions,
        Self::Metrics,
        Self::Others,
    ];

    /// The table of a kind of record; names have none.
    pub const fn of(kind: Option<Kind>) -> Option<Self> {
        match kind {
            Some(Kind::Name) => None,
            Some(Kind::Message) => Some(Self::Messages),
            Some(Kind::Status) => Some(Self::Statuses),
            Some(Kind::Command | Kind::Call) => Some(Self::Commands),
            Some(Kind::Session) => Some(Self::Sessions),
            Some(Kind::Metric) => Some(Self::Metrics),
            _ => Some(Self::Others),
        }
    }

    /// Index into arrays with one place per table.
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}

/// A column of a table. The number is on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Column {
    /// See [`Times`](super::Times).
    TimeFloor = 0,
    /// See [`Times`](super::Times).
    TimeTop = 1,
    /// See [`Times`](super::Times).
    TimeDelta = 2,
    /// See [`Times`](super::Times).
    TimeWide = 3,
    /// Code of the user, u16 while that fits.
    User = 4,
    /// Code of the user, u32.
    UserWide = 5,
    /// Code of the room, u16 while that fits.
    Room = 6,
    /// Code of the room, u32.
    RoomWide = 7,
    /// Where the record's header begins in the segment.
    Off = 8,
    /// Position in the room, u32 while that fits.
    Position = 9,
    /// Position in the room, u64.
    PositionWide = 10,
    /// Bytes of the text, u16.
    Size = 11,
    /// Source, u8.
    Source = 12,
    /// Direction, u8.
    Direction = 13,
    /// Delivery, u8.
    Status = 14,
    /// The platform's error, u32.
    Error = 15,
    /// Code of the command, u16 while that fits.
    Command = 16,
    /// Code of the command, u32.
    CommandWide = 17,
    /// Microseconds, u32.
    Duration = 18,
    /// Outcome, u8.
    Outcome = 19,
    /// Session action, u8.
    Action = 20,
    /// Close code, u16.
    CloseCode = 21,
    /// Type of the record on disk, u16.
    Tag = 22,
}

impl SectionId {
    /// The section of a column.
    pub const fn column(table: TableKind, column: Column) -> Self {
        Self((table as u32) << 8 | column as u32)
    }
}

/// Codes of names, two or four bytes each.
#[derive(Clone, Copy, Debug)]
pub enum Codes<'a> {
    /// The segment has fewer than 65,536 names of this sort.
    Narrow(&'a [u16_le]),
    /// It has more.
    Wide(&'a [u32_le]),
}

impl Codes<'_> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Narrow(codes) => codes.len(),
            Self::Wide(codes) => codes.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Code of a row, an index into the segment's names; 0: none.
    pub fn at(&self, row: usize) -> usize {
        match self {
            Self::Narrow(codes) => codes[row].to_native().into(),
            Self::Wide(codes) => codes[row].to_native() as usize,
        }
    }
}

/// Numbers of four or eight bytes each.
#[derive(Clone, Copy, Debug)]
pub enum Wide<'a> {
    /// All fit in 32 bits.
    Narrow(&'a [u32_le]),
    /// Not all do.
    Wide(&'a [u64_le]),
}

impl Wide<'_> {
    /// The number of a row.
    pub fn at(&self, row: usize) -> u64 {
        match self {
            Self::Narrow(numbers) => numbers[row].to_native().into(),
            Self::Wide(numbers) => numbers[row].to_native(),
        }
    }
}

/// Typed access: lengths are checked against the rollup and codes against the lists of names, so
/// that a reader of columns needs no checks of its own.
impl Sidecar {
    /// Counts of the whole segment.
    pub fn rollup(&self) -> Result<&ArchivedRollup, Damaged> {
        self.section(SectionId::ROLLUP)?.ok_or(Damaged)
    }

    /// Number of rows of a table.
    pub fn row_count(&self, table: TableKind) -> Result<usize, Damaged> {
        Ok(self.rollup()?.table_rows[table.index()].to_native() as usize)
    }

    /// A list of names.
    pub fn names(&self, set: NameSet) -> Result<Names<'_>, Damaged> {
        Names::open(self, set)
    }

    /// When the rows of a table happened.
    pub fn times(&self, table: TableKind) -> Result<Times<'_>, Damaged> {
        Times::open(self, table)
    }

    /// Codes of the users, rooms or commands of a table.
    pub fn codes(&self, table: TableKind, set: NameSet) -> Result<Codes<'_>, Damaged> {
        let (narrow, wide) = match set {
            NameSet::Users => (Column::User, Column::UserWide),
            NameSet::Rooms => (Column::Room, Column::RoomWide),
            NameSet::Commands => (Column::Command, Column::CommandWide),
        };
        let name_count = self.names(set)?.len();
        let codes = match self.column::<u16_le>(table, narrow)? {
            Some(codes) => Codes::Narrow(codes),
            None => Codes::Wide(self.column(table, wide)?.ok_or(Damaged)?),
        };
        // In the width of the column, so that the loop is a few instructions for many rows.
        let greatest = match codes {
            Codes::Narrow(codes) => {
                codes.iter().map(|code| code.to_native()).max().map(usize::from)
            }
            Codes::Wide(codes) => {
                codes.iter().map(|code| code.to_native()).max().map(|code| code as usize)
            }
        };
        if greatest.is_none_or(|code| code < name_count) { Ok(codes) } else { Err(Damaged) }
    }

    /// Positions of a table's rows in their rooms.
    pub fn positions(&self, table: TableKind) -> Result<Wide<'_>, Damaged> {
        if let Some(numbers) = self.column(table, Column::Position)? {
            return Ok(Wide::Narrow(numbers));
        }
        Ok(Wide::Wide(self.column(table, Column::PositionWide)?.ok_or(Damaged)?))
    }

    /// A column of bytes.
    pub fn bytes(&self, table: TableKind, column: Column) -> Result<&[u8], Damaged> {
        self.column(table, column)?.ok_or(Damaged)
    }

    /// A column of 16-bit numbers.
    pub fn u16s(&self, table: TableKind, column: Column) -> Result<&[u16_le], Damaged> {
        self.column(table, column)?.ok_or(Damaged)
    }

    /// A column of 32-bit numbers.
    pub fn u32s(&self, table: TableKind, column: Column) -> Result<&[u32_le], Damaged> {
        self.column(table, column)?.ok_or(Damaged)
    }

    /// A column with as many rows as the table; `None` when it is kept in another width.
    fn column<T>(&self, table: TableKind, column: Column) -> Result<Option<&[T]>, Damaged>
    where
        T: Portable,
        ArchivedVec<T>: for<'a> CheckBytes<LowValidator<'a, Failure>>,
    {
        let found = self.section::<ArchivedVec<T>>(SectionId::column(table, column))?;
        match found.map(ArchivedVec::as_slice) {
            Some(rows) if rows.len() != self.row_count(table)? => Err(Damaged),
            other => Ok(other),
        }
    }
}
