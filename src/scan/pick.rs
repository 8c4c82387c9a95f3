//! Records of a segment that were picked by their columns, in the order of the log.

use super::describe::{Shown, describe};
use super::engine::View;
use super::render::{Cell, Column};
use crate::log::record::{RawRecord, RecordView};
use crate::log::sidecar::{NameSet, TableKind};

/// What a row says of a record.
pub(super) const COLUMNS: &[Column] = &[
    Column { name: "seq", width: 6 },
    Column { name: "time", width: 27 },
    Column { name: "kind", width: 8 },
    Column { name: "room", width: 16 },
    Column { name: "user", width: 12 },
    Column { name: "o", width: 5 },
    Column { name: "text", width: 24 },
    Column { name: "detail", width: 0 },
];

/// A row of [`COLUMNS`].
pub(super) type Line = [Cell; COLUMNS.len()];

/// Where a row of a table stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Pick {
    /// Place in the segment: first, so that picks sort by the order of the log.
    pub(super) off: u32,
    pub(super) table: TableKind,
    pub(super) row: u32,
}

/// Every wanted row of the tables for which `keep` holds.
pub(super) fn picks(view: &View<'_>, mut keep: impl FnMut(TableKind, usize) -> bool) -> Vec<Pick> {
    let mut picks = Vec::new();
    for kind in TableKind::ALL {
        let table = view.table(kind);
        if table.len() == 0 {
            continue;
        }
        let offs = table.offs();
        for row in table.rows().filter(|row| keep(kind, *row)) {
            picks.push(Pick { off: offs[row].to_native(), table: kind, row: row as u32 });
        }
    }
    picks.sort_unstable();
    picks
}

/// The record of a pick, when its bytes are whole.
pub(super) fn line(view: &View<'_>, pick: Pick) -> Option<Line> {
    let record = view.segment().record(pick.off)?;
    let name = |set| {
        let code = view.table(pick.table).codes(set).at(pick.row as usize);
        view.segment().ask(|sidecar| Ok(sidecar.names(set)?.text(code)))
    };
    let is_command = pick.table == TableKind::Commands;
    let command = if is_command { name(NameSet::Commands) } else { "" };
    Some(cells(&Shown {
        seq: view.segment().seq(pick.off)?,
        ts_us: record.ts_us(),
        user: name(NameSet::Users),
        room: name(NameSet::Rooms),
        command,
        tag: record.header.tag,
        kind: record.kind(),
        view: checked(&record),
        payload_bytes: record.payload.len(),
    }))
}

fn checked<'a>(record: &RawRecord<'a>) -> Option<RecordView<'a>> {
    RecordView::check(record.kind()?, record.payload)
}

/// A record as a row of [`COLUMNS`].
pub(super) fn cells(shown: &Shown<'_>) -> Line {
    let described = describe(shown);
    [
        Cell::Id(shown.seq),
        shown.ts_us.map_or(Cell::None, Cell::Time),
        Cell::Text(described.kind),
        shown.room.into(),
        shown.user.into(),
        described.o.map_or(Cell::None, Cell::Id),
        described.text.as_str().into(),
        described.detail.as_str().into(),
    ]
}
