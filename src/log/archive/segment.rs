//! One segment as the archive holds it: an index, and the rows when they are read.

use super::index::{ArchivedHistory, History, HistoryMade, RoomRef};
use crate::log::batch::{BATCH_HEADER_BYTES, BatchHeader};
use crate::log::format::SegmentHeader;
use crate::log::reader::{ProblemKind, RecordPosition, Segment, Trust, UNKNOWN_NAME, populate};
use crate::log::record::{RawRecord, RecordView};
use memmap2::Mmap;
use rkyv::rancor::Failure;
use rkyv::util::AlignedVec;
use std::cell::Cell;
use std::fs::File;
use std::path::Path;

/// An event as it stands in the log.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// Header and payload.
    pub record: RawRecord<'a>,
    /// Who did it; empty for nobody.
    pub user: &'a str,
}

impl<'a> Told<'a> {
    /// The archive, validated; `None` for bytes that are none.
    pub fn view(&self) -> Option<RecordView<'a>> {
        RecordView::check(self.record.kind()?, self.record.payload)
    }
}

/// A segment that may still grow, or that ended without a seal and has no sidecar.
#[derive(Debug)]
pub(super) struct Growing {
    segment: Segment,
    index: HistoryMade,
    indexed_batches: usize,
}

impl Growing {
    pub fn open(path: &Path) -> Result<Self, ProblemKind> {
        let segment = Segment::open(path, Trust::Validate)?;
        Ok(Self { segment, index: HistoryMade::default(), indexed_batches: 0 })
    }

    /// Looks for what was written since.
    pub fn refresh(&mut self) {
        self.segment.extend();
        self.absorb();
    }

    /// The last look: the segment has a successor, which may have some of it again.
    pub fn finish(&mut self, next: Option<&SegmentHeader>) {
        self.segment.finish();
        if let Some(next) = next {
            self.segment.yield_to(next);
        }
        self.absorb();
    }

    fn absorb(&mut self) {
        let Self { segment, index, indexed_batches } = self;
        segment.entries_behind(*indexed_batches).for_each(|entry| index.absorb(&entry));
        *indexed_batches = segment.scan().batches.len();
    }

    pub fn header(&self) -> &SegmentHeader {
        &self.segment.scan().header
    }

    pub fn room(&self, name: &str) -> Option<RoomRef<'_>> {
        self.index.room(name)
    }

    pub fn at(&self, place: u32) -> Option<Told<'_>> {
        let entry = self.segment.at(RecordPosition { segment: 0, offset: place })?;
        Some(Told { record: entry.record, user: entry.user() })
    }

    /// The index of the segment as it is now, packed.
    pub fn pack(&self) -> Box<AlignedVec> {
        let packed = pack(&self.index, &self.segment);
        let bytes = rkyv::api::high::to_bytes_in::<_, Failure>(&packed, AlignedVec::new());
        Box::new(bytes.expect("memory takes any archive"))
    }
}

/// The section of the sidecar of a segment that is whole, as far as records below `until_seq` go.
pub fn history_of(segment: &Segment, until_seq: u64) -> History {
    let mut index = HistoryMade::default();
    for entry in segment.entries().take_while(|entry| entry.seq < until_seq) {
        index.absorb(&entry);
    }
    pack(&index, segment)
}

fn pack(index: &HistoryMade, segment: &Segment) -> History {
    index.pack(segment.scan().batches.iter().map(|batch| batch.offset))
}

/// The rows of a segment that nobody writes to any more. A batch is checked when one of its records
/// is read.
#[derive(Debug)]
pub(super) struct Rows {
    map: Mmap,
    header: SegmentHeader,
    /// Begin and end of the batch that was checked last: neighbours are asked for in turn.
    checked: Cell<(u32, usize)>,
}

impl Rows {
    pub fn open(path: &Path) -> Result<Self, ProblemKind> {
        let file = File::open(path).map_err(ProblemKind::Unreadable)?;
        // SAFETY: whole batches of a segment never change, and no byte is used as more than a
        // number before the checksum of its batch was found right.
        let map = unsafe { Mmap::map(&file) }.map_err(ProblemKind::Unreadable)?;
        let header = SegmentHeader::decode(&map).map_err(ProblemKind::Header)?;
        Ok(Self { map, header, checked: Cell::new((0, 0)) })
    }

    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Checks the batch at `begin` and gives its end.
    fn check(&self, begin: u32) -> Option<usize> {
        let (checked, end) = self.checked.get();
        if checked == begin {
            return Some(end);
        }
        let len = BatchHeader::peek(self.map.get(begin as usize..)?)?.len;
        let end = begin as usize + len as usize;
        populate(&self.map, begin as usize, end).ok()?;
        BatchHeader::check(&self.map, begin, self.header.salt)?;
        self.checked.set((begin, end));
        Some(end)
    }

    /// The record at `place`, with the name of its user.
    pub fn at(&self, index: &ArchivedHistory, place: u32) -> Option<Told<'_>> {
        let behind = index.batches.partition_point(|begin| begin.to_native() <= place);
        let begin = index.batches[behind.checked_sub(1)?].to_native();
        let end = self.check(begin)?;
        if (place as usize) < begin as usize + BATCH_HEADER_BYTES {
            return None;
        }
        let (record, _) = RawRecord::split(self.map.get(place as usize..end)?)?;
        let user = match index.user(record.header.user) {
            Some((offset, len)) => {
                let bytes = self.map.get(offset as usize..(offset as usize + len as usize));
                bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or(UNKNOWN_NAME)
            }
            None if record.header.user.0 == 0 => "",
            None => UNKNOWN_NAME,
        };
        Some(Told { record, user })
    }
}
