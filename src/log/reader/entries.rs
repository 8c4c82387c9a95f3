//! Records on their way out: with sequence number, place and names.

use super::{Segment, Trust};
use crate::log::batch::BATCH_HEADER_BYTES;
use crate::log::record::{Kind, RawRecord, RawRecords, RecordView};
use crate::log::recovery::BatchPlace;

/// Stands for a name that cannot be resolved: its record was in a damaged region.
pub const UNKNOWN_NAME: &str = "?";

/// Place of a record in a [`Log`](super::Log) value; it is not a place on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordPosition {
    /// Index of the segment.
    pub segment: u32,
    /// Where the record's header begins in the file.
    pub offset: u32,
}

/// A place between two batches of a [`Log`](super::Log) value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Cursor {
    segment: u32,
    batch: u32,
    /// What finds the place again when another file was put in the place of the segment's.
    generation: u32,
    next_seq: u64,
}

impl Cursor {
    pub(super) fn before(segment: usize) -> Self {
        Self { segment: segment as u32, ..Self::default() }
    }

    pub(super) fn at(segment: &Segment, index: usize, seq: u64) -> Self {
        let behind = |batch: &BatchPlace| batch.base_seq + u64::from(batch.count);
        let batch = segment.scan.batches.partition_point(|batch| behind(batch) <= seq);
        let generation = segment.generation;
        Self { segment: index as u32, batch: batch as u32, generation, next_seq: seq }
    }

    /// Its place in what the segment is now.
    fn settle(mut self, segments: &[Segment]) -> Self {
        let Some(segment) = segments.get(self.segment as usize) else {
            return self;
        };
        if segment.generation != self.generation {
            // A rewrite has the same records in other batches; another segment is read from its
            // begin, since what was read of the first does not count.
            let seen = |batch: &BatchPlace| batch.base_seq < self.next_seq;
            let batches = &segment.scan.batches;
            let batch = if segment.is_other { 0 } else { batches.partition_point(seen) };
            self.batch = batch as u32;
            self.generation = segment.generation;
        }
        self
    }

    pub(super) fn behind_batches(count: usize) -> Self {
        Self { batch: count as u32, ..Self::default() }
    }

    pub(super) fn behind(segments: &[Segment]) -> Self {
        match segments.split_last() {
            None => Self::default(),
            Some((last, older)) => Self {
                segment: older.len() as u32,
                batch: last.scan.batches.len() as u32,
                generation: last.generation,
                next_seq: last.scan.next_seq,
            },
        }
    }
}

/// A record with all that the log knows of it.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Its number in the log: ascending, and never given twice.
    pub seq: u64,
    /// Its place, for [`Log::at`](super::Log::at).
    pub position: RecordPosition,
    /// Header and payload.
    pub record: RawRecord<'a>,
    segment: &'a Segment,
}

impl<'a> Entry<'a> {
    pub(super) fn new(
        seq: u64,
        position: RecordPosition,
        record: RawRecord<'a>,
        segment: &'a Segment,
    ) -> Self {
        Self { seq, position, record, segment }
    }

    /// What it is; `None` for a type of a later version.
    pub fn kind(&self) -> Option<Kind> {
        self.record.kind()
    }

    /// When it was made, microseconds since 1970.
    pub fn ts_us(&self) -> Option<i64> {
        self.record.ts_us()
    }

    /// The user of its header; empty when there is none.
    pub fn user(&self) -> &'a str {
        self.segment.name(self.record.header.user)
    }

    /// Where the name of its user stands in the file of its segment: offset and bytes.
    pub(in crate::log) fn user_place(&self) -> Option<(u32, u32)> {
        self.segment.name_place(self.record.header.user)
    }

    /// The room of its header; empty when there is none.
    pub fn room(&self) -> &'a str {
        self.segment.name(self.record.header.room)
    }

    /// The command it is about; empty when there is none.
    pub fn command(&self) -> &'a str {
        self.record.command().map_or("", |id| self.segment.name(id))
    }

    /// The archive, read in place. `None` for a type of a later version, and for bytes that are
    /// no archive when the log was opened with [`Trust::Validate`].
    pub fn view(&self) -> Option<RecordView<'a>> {
        let kind = self.record.kind()?;
        match self.segment.trust {
            Trust::Validate => RecordView::check(kind, self.record.payload),
            Trust::Checksum => {
                let (root_bytes, _, _) = kind.layout();
                if self.record.payload.len() < root_bytes {
                    return None;
                }
                // SAFETY: whoever opened the log said that only a server writes there, the batch's
                // checksum was right, and the walk by record lengths keeps the payload 8-aligned.
                Some(unsafe { RecordView::trust(kind, self.record.payload) })
            }
        }
    }
}

/// A walk over the records behind a cursor.
pub struct Entries<'a> {
    segments: &'a [Segment],
    cursor: Cursor,
    /// Records left in the current batch.
    left_count: u32,
    records: RawRecords<'a>,
    seq: u64,
    offset: u32,
    /// Skips batches for which this is false.
    wanted: fn(&BatchPlace, (i64, i64)) -> bool,
    range_us: (i64, i64),
}

impl<'a> Entries<'a> {
    pub(super) fn new(segments: &'a [Segment], cursor: Cursor) -> Self {
        Self {
            segments,
            cursor: cursor.settle(segments),
            left_count: 0,
            records: RawRecords::new(&[]),
            seq: 0,
            offset: 0,
            wanted: |_, _| true,
            range_us: (i64::MIN, i64::MAX),
        }
    }

    /// Leaves out whole batches that lie outside `since_us..until_us`. Records of a batch that
    /// touches the range all come, and so do those without a time.
    pub fn near(mut self, since_us: i64, until_us: i64) -> Self {
        self.range_us = (since_us, until_us);
        self.wanted = |batch, (since_us, until_us)| {
            let (min_ts, max_ts) = batch.times;
            max_ts >= since_us && min_ts < until_us
        };
        self
    }

    /// Goes to the next batch; `false` when there is none now.
    fn advance(&mut self) -> bool {
        loop {
            let Some(segment) = self.segments.get(self.cursor.segment as usize) else {
                return false;
            };
            let Some(place) = segment.scan.batches.get(self.cursor.batch as usize) else {
                // The last segment may still grow: the cursor stays there.
                if self.cursor.segment as usize + 1 >= self.segments.len() {
                    return false;
                }
                self.cursor = Cursor::before(self.cursor.segment as usize + 1);
                self.cursor = self.cursor.settle(self.segments);
                continue;
            };
            self.cursor.batch += 1;
            if !(self.wanted)(place, self.range_us) {
                continue;
            }
            self.records = RawRecords::new(&segment.batch(place)[BATCH_HEADER_BYTES..]);
            self.left_count = place.count;
            self.seq = place.base_seq;
            self.offset = place.offset + BATCH_HEADER_BYTES as u32;
            return true;
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if self.left_count > 0
                && let Some(record) = self.records.next()
            {
                let segment = &self.segments[self.cursor.segment as usize];
                let position = RecordPosition { segment: self.cursor.segment, offset: self.offset };
                let entry = Entry { seq: self.seq, position, record, segment };
                self.left_count -= 1;
                self.seq += 1;
                self.offset += record.header.stride() as u32;
                return Some(entry);
            }
            if !self.advance() {
                return None;
            }
        }
    }
}
