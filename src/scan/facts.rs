//! Messages as reports about people see them: who, where, when; names as numbers.

use super::engine::{Scan, View};
use super::filter::Filter;
use crate::log::record::Source;
use crate::log::sidecar::{Column, NameSet, TableKind};

/// A message without its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Said {
    pub(super) ts_us: i64,
    /// A number of [`Scan::names`]; 0: nobody.
    pub(super) user: u32,
    /// A number of [`Scan::names`]; 0: none.
    pub(super) room: u32,
    /// `None`: one of a later version.
    pub(super) source: Option<Source>,
}

/// Calls `each` for every wanted message, in the order of the log.
pub(super) fn messages(scan: &Scan<'_>, filter: &Filter, each: impl FnMut(Said)) {
    let mut each = each;
    scan.run_rows(filter, said, |part| part.into_iter().for_each(&mut each));
}

/// The wanted messages of a segment, by numbers of the scan.
fn said(view: &View<'_>) -> Vec<Said> {
    let table = view.table(TableKind::Messages);
    if table.len() == 0 {
        return Vec::new();
    }
    let (users, rooms) = (table.codes(NameSet::Users), table.codes(NameSet::Rooms));
    let user_numbers = view.numbers(NameSet::Users);
    let room_numbers = view.numbers(NameSet::Rooms);
    let (times, sources) = (table.times(), table.bytes(Column::Source));
    let said = |row: usize| Said {
        ts_us: times.at(row),
        user: user_numbers[users.at(row)],
        room: room_numbers[rooms.at(row)],
        source: Source::from_byte(sources[row]),
    };
    let mut part = Vec::with_capacity(table.len());
    part.extend(table.rows().map(said));
    part
}
