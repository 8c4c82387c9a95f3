//! What of a segment is the log: the rule that every reader applies. Pure: bytes in, verdict out.
//!
//! Walk the batches from page 1 while each is whole, stands where it says, continues the chain of
//! checksums and the sequence. At the first place `p` where that fails:
//!
//! | at `p` | a later intact batch | verdict | what is read next |
//! | --- | --- | --- | --- |
//! | any | was framed with the file synced beyond `p` | **corrupt** | the next intact batch |
//! | zeros | none says so | end of what was written | nothing |
//! | anything else | none says so | **torn tail**: written, never synced | nothing |
//!
//! A torn tail was never acknowledged under the `fsync` policy, so leaving it out loses nothing. A
//! corrupt region was, so it is reported; what follows it is still read. Nothing is cut off or
//! overwritten in either case: a fresh start writes a fresh segment, and the bytes stay for study.
//!
//! A segment may also be given up by its writer, after a write or a sync that failed. What of it
//! was not acknowledged is then once more in the next one, whose first sequence number says where:
//! a record counts in the newest segment that begins at or before it.
//!
//! The limit of the rule: damage behind the last watermark looks like a torn tail. That is why the
//! writer puts an empty batch behind the last sync of a burst, and a seal behind the last of all.

use super::batch::{BATCH_HEADER_BYTES, BATCH_MAGIC, BatchHeader, Framer};
use super::format::{HeaderError, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::record::ALIGN;

/// A batch that is part of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchPlace {
    /// Where it begins in the file.
    pub offset: u32,
    /// Its length with padding.
    pub len: u32,
    /// Number of its records.
    pub count: u32,
    /// Types inside, see [`BatchHeader::type_mask`].
    pub type_mask: u32,
    /// Sequence number of its first record.
    pub base_seq: u64,
    /// Earliest and latest time inside; `(i64::MAX, i64::MIN)` when no record has one.
    pub times: (i64, i64),
}

/// Bytes of a segment that are not part of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// First byte.
    pub begin: u32,
    /// First byte behind it.
    pub end: u32,
}

/// How the readable part of a segment ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// A seal: everything was synced and closed.
    Sealed,
    /// Zeros or the end of the file: the writer is alive, or stopped between two writes.
    Open,
    /// Bytes that were never synced as a whole.
    Torn(Region),
}

/// What a segment holds. Grows with [`SegmentScan::extend`] while its writer lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentScan {
    /// Its header.
    pub header: SegmentHeader,
    /// The batches of the log, in order.
    pub batches: Vec<BatchPlace>,
    /// Damaged regions: synced once, unreadable now.
    pub corrupt: Vec<Region>,
    /// First byte behind the last batch.
    pub end: u32,
    /// How it ends.
    pub ending: Ending,
    /// Number of records.
    pub record_count: u64,
    /// Sequence number behind the last record.
    pub next_seq: u64,
    /// Records at the end that a later segment has again, see [`SegmentScan::supersede`].
    pub superseded_count: u64,
    prev_crc: u32,
    /// Where the last batch begins, empty or not; 0: there is none.
    last_offset: u32,
}

/// Applies the rule to a whole segment.
pub fn scan(segment: &[u8]) -> Result<SegmentScan, HeaderError> {
    let mut scan = SegmentScan::begin(segment)?;
    scan.finish(segment);
    Ok(scan)
}

impl SegmentScan {
    /// Reads the segment's header and stands behind it.
    pub fn begin(segment: &[u8]) -> Result<Self, HeaderError> {
        let (header, chain_start) = SegmentHeader::decode_chained(segment)?;
        Ok(Self {
            header,
            batches: Vec::new(),
            corrupt: Vec::new(),
            end: SEGMENT_HEADER_BYTES as u32,
            ending: Ending::Open,
            record_count: 0,
            next_seq: header.base_seq,
            superseded_count: 0,
            prev_crc: chain_start,
            last_offset: 0,
        })
    }

    /// Accepts what continues the chain, and stops at the first byte that does not: for the open
    /// segment of a live writer, where a batch may be half written. Returns the new batches.
    pub fn extend(&mut self, segment: &[u8]) -> usize {
        let before = self.batches.len();
        while self.ending != Ending::Sealed {
            let Some(batch) = BatchHeader::check(segment, self.end, self.header.salt) else {
                break;
            };
            let follows = batch.prev_crc == self.prev_crc && batch.base_seq == self.next_seq;
            if !follows {
                break;
            }
            self.accept(&batch);
        }
        self.batches.len() - before
    }

    /// Applies the whole rule from where the scan stands: for a segment whose writer is gone.
    pub fn finish(&mut self, segment: &[u8]) {
        loop {
            self.extend(segment);
            if self.ending == Ending::Sealed {
                return;
            }
            let Some(resumed) = self.skip_damage(segment) else {
                break;
            };
            // A live writer may have finished the batch here between the two looks. It did so
            // before it wrote the one that vouches, so now the first look must see it.
            let before = self.end;
            self.extend(segment);
            if self.end != before {
                continue;
            }
            self.corrupt.push(Region { begin: self.end, end: resumed.offset });
            self.end = resumed.offset;
            self.next_seq = resumed.base_seq;
            self.accept(&resumed);
        }
        self.ending = self.tail(segment);
    }

    /// Continues what was read, as its writer would.
    pub(super) fn framer(&self) -> Framer {
        Framer::resume(self.header.salt, self.prev_crc, self.next_seq, self.end)
    }

    /// Leaves out the records from `seq` on: the segment was given up after a failed write or
    /// sync, and the one that begins at `seq` has them again. None of them was acknowledged from
    /// here, so nothing about them is damage either.
    pub fn supersede(&mut self, seq: u64) {
        if self.next_seq <= seq {
            return;
        }
        let behind = |batch: &BatchPlace| batch.base_seq + u64::from(batch.count);
        let kept = self.batches.partition_point(|batch| behind(batch) <= seq);
        if let Some(cut) = self.batches.get_mut(kept) {
            let offset = cut.offset;
            // The writer gives up at the end of a batch; another program may not.
            cut.count = seq.saturating_sub(cut.base_seq) as u32;
            let whole = kept + usize::from(cut.count > 0);
            self.batches.truncate(whole);
            self.corrupt.retain(|region| region.begin < offset);
        }
        let count = self.batches.iter().map(|batch| u64::from(batch.count)).sum();
        self.superseded_count += self.record_count - count;
        self.record_count = count;
        self.next_seq = seq.max(self.header.base_seq);
    }

    /// The first intact batch behind the failure at `self.end`, if a later one vouches for more
    /// than what was read.
    fn skip_damage(&self, segment: &[u8]) -> Option<BatchHeader> {
        let mut first = None;
        let mut at = self.end as usize + ALIGN;
        while let Some(found) = find_magic(segment, at) {
            let intact = BatchHeader::check(segment, found as u32, self.header.salt)
                .filter(|batch| batch.base_seq >= self.next_seq);
            let Some(batch) = intact else {
                at = found + ALIGN;
                continue;
            };
            let first = *first.get_or_insert(batch);
            if batch.durable_off > self.end {
                return Some(first);
            }
            at = found + batch.len as usize;
        }
        None
    }

    fn tail(&self, segment: &[u8]) -> Ending {
        let rest = segment.get(self.end as usize..).unwrap_or(&[]);
        match rest.iter().rposition(|byte| *byte != 0) {
            None => Ending::Open,
            Some(last) => {
                let end = (self.end as usize + last + 1).next_multiple_of(ALIGN) as u32;
                Ending::Torn(Region { begin: self.end, end })
            }
        }
    }

    /// Where the last batch begins, and its checksum, which chains all before it. 0 and the
    /// checksum of the header when there is none.
    pub fn last_batch(&self) -> (u32, u32) {
        (self.last_offset, self.prev_crc)
    }

    fn accept(&mut self, batch: &BatchHeader) {
        assert!(batch.offset == self.end);
        assert!(batch.base_seq == self.next_seq);
        if batch.count > 0 {
            self.batches.push(BatchPlace {
                offset: batch.offset,
                len: batch.len,
                count: batch.count,
                type_mask: batch.type_mask,
                base_seq: batch.base_seq,
                times: batch.times.unwrap_or((i64::MAX, i64::MIN)),
            });
        }
        self.end += batch.len;
        self.next_seq += u64::from(batch.count);
        self.record_count += u64::from(batch.count);
        self.prev_crc = batch.crc;
        self.last_offset = batch.offset;
        self.ending = if batch.is_seal() { Ending::Sealed } else { Ending::Open };
    }
}

/// The next aligned place at or behind `from` where a batch could begin.
fn find_magic(segment: &[u8], from: usize) -> Option<usize> {
    let magic = BATCH_MAGIC.to_le_bytes();
    let last = segment.len().checked_sub(BATCH_HEADER_BYTES)?;
    (from.next_multiple_of(ALIGN)..=last).step_by(ALIGN).find(|&at| segment[at..at + 4] == magic)
}

#[cfg(test)]
mod tests;
