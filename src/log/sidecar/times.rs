//! Times of rows: microseconds, exact, four bytes each where the traffic is dense.
//!
//! Rows stand in blocks of [`TIME_BLOCK_ROWS`]. A block has its earliest time, and each row its
//! distance from that. When a distance needs more than 32 bits (71 minutes in 1,024 rows: a quiet
//! server, or a clock that jumped) the whole column keeps plain 64-bit times instead.

use super::columns::{Column, TableKind};
use super::{Damaged, SectionId, Sidecar, Writer};
use rkyv::rend::{i64_le, u32_le};
use rkyv::vec::ArchivedVec;
use std::ops::Range;

/// Rows of a block.
pub const TIME_BLOCK_ROWS: usize = 1_024;

/// The times of a table.
#[derive(Clone, Copy, Debug)]
pub struct Times<'a> {
    /// Earliest time of each block.
    floors: &'a [i64_le],
    /// Latest time of each block.
    tops: &'a [i64_le],
    /// Distance of each row from its block's floor; empty when `wide` is not.
    deltas: &'a [u32_le],
    /// Plain times; empty when `deltas` is not.
    wide: &'a [i64_le],
}

impl<'a> Times<'a> {
    pub(super) fn open(sidecar: &'a Sidecar, table: TableKind) -> Result<Self, Damaged> {
        let i64s = |column| {
            let section = sidecar.section::<ArchivedVec<i64_le>>(SectionId::column(table, column));
            Ok(section?.map_or(&[][..], ArchivedVec::as_slice))
        };
        let deltas = SectionId::column(table, Column::TimeDelta);
        let deltas = sidecar.section::<ArchivedVec<u32_le>>(deltas)?;
        let times = Self {
            floors: i64s(Column::TimeFloor)?,
            tops: i64s(Column::TimeTop)?,
            deltas: deltas.map_or(&[][..], ArchivedVec::as_slice),
            wide: i64s(Column::TimeWide)?,
        };
        let row_count = sidecar.row_count(table)?;
        let block_count = row_count.div_ceil(TIME_BLOCK_ROWS);
        let fits = times.deltas.len() + times.wide.len() == row_count
            && (times.deltas.is_empty() || times.wide.is_empty())
            && times.floors.len() == block_count
            && times.tops.len() == block_count;
        if fits { Ok(times) } else { Err(Damaged) }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.deltas.len().max(self.wide.len())
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When row `row` happened, microseconds since 1970.
    pub fn at(&self, row: usize) -> i64 {
        match self.deltas.get(row) {
            Some(delta) => {
                let floor = self.floors[row / TIME_BLOCK_ROWS].to_native();
                floor.wrapping_add(i64::from(delta.to_native()))
            }
            None => self.wide[row].to_native(),
        }
    }

    /// Earliest and latest time of a block of rows, for every block.
    pub fn blocks(&self) -> impl Iterator<Item = (Range<usize>, i64, i64)> + 'a {
        let len = self.len();
        self.floors.iter().zip(self.tops).enumerate().map(move |(block, (floor, top))| {
            let begin = block * TIME_BLOCK_ROWS;
            (begin..(begin + TIME_BLOCK_ROWS).min(len), floor.to_native(), top.to_native())
        })
    }

    /// Calls `each` for every row of `rows`, in order; faster than [`Times::at`] in a loop.
    pub fn each(&self, rows: Range<usize>, mut each: impl FnMut(usize, i64)) {
        if self.deltas.is_empty() {
            for row in rows {
                each(row, self.wide[row].to_native());
            }
            return;
        }
        let mut begin = rows.start;
        while begin < rows.end {
            let block = begin / TIME_BLOCK_ROWS;
            let end = ((block + 1) * TIME_BLOCK_ROWS).min(rows.end);
            let floor = self.floors[block].to_native();
            for (row, delta) in (begin..).zip(&self.deltas[begin..end]) {
                each(row, floor.wrapping_add(i64::from(delta.to_native())));
            }
            begin = end;
        }
    }

    /// The floor of a block and the distances of its rows, when they are kept so.
    pub fn block(&self, block: usize) -> Option<(i64, &'a [u32_le])> {
        let begin = block * TIME_BLOCK_ROWS;
        let deltas = self.deltas.get(begin..(begin + TIME_BLOCK_ROWS).min(self.deltas.len()))?;
        Some((self.floors[block].to_native(), deltas))
    }
}

/// Makes the sections of a table's times.
pub(super) fn write(times: &[i64], table: TableKind, writer: &mut Writer) {
    let mut floors = Vec::new();
    let mut tops = Vec::new();
    let mut deltas = Vec::with_capacity(times.len());
    let mut fits = true;
    for block in times.chunks(TIME_BLOCK_ROWS) {
        let floor = *block.iter().min().expect("a chunk is not empty");
        let top = *block.iter().max().expect("a chunk is not empty");
        fits &= top.checked_sub(floor).is_some_and(|span| span <= i64::from(u32::MAX));
        floors.push(floor);
        tops.push(top);
        deltas.extend(block.iter().map(|time| time.wrapping_sub(floor) as u32));
    }
    let id = |column| SectionId::column(table, column);
    writer.add(id(Column::TimeFloor), &floors);
    writer.add(id(Column::TimeTop), &tops);
    if fits {
        writer.add_rows(id(Column::TimeDelta), &deltas);
    } else {
        writer.add(id(Column::TimeWide), &times.to_vec());
    }
}
