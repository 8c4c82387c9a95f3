//! A segment once more: the same records under the same sequence numbers, some with less in them.
//! Pure: bytes in, bytes out.
//!
//! Erasure and retention by room take content out of sealed segments. Nothing may move while they
//! do: every record keeps its sequence number, its time and its place in its room, so that
//! positions, counts and chains of readers and clients stay true. So a record is never left out, it
//! only becomes smaller, and batches keep their boundaries wherever the bytes still fit.
//!
//! ```text
//! header (base_seq, prev, created, start)  ─▶ the same, under another salt
//! batch of n records                       ─▶ batch of n records, chained anew
//! watermarks, padding, torn tail           ─▶ gone
//!                                          ─▶ seal
//! ```
//!
//! The new salt makes every checksum a new one, and whatever was derived from the old bytes stale.

use super::batch::{FLAG_SEAL, Framer, records};
use super::format::SegmentHeader;
use super::record::{ALIGN, FLAG_ERASED, NameId, RawRecord, RecordHeader};
use super::recovery::{Region, SegmentScan};
use crate::base::limits::RECORD_BYTES_MAX;
use std::fmt;

/// Type of the empty records that stand for those which damage took, so that the ones behind it
/// keep their numbers. No kind has it; readers pass over it.
pub const LOST_TAG: u16 = 0;

/// What becomes of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It stays as it is.
    Keep,
    /// The first so many bytes of the [`Payload`] are its payload now; it is marked as erased.
    Replace {
        /// Their number, at most [`RECORD_BYTES_MAX`] with the header.
        payload_len: usize,
    },
}

/// What to do about bytes that were synced once and cannot be read now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// Do not rewrite: what is in them can be neither kept nor known to be gone.
    Refuse,
    /// Leave them out; empty records take the numbers of those that were in them.
    Drop,
}

/// Why a segment cannot be rewritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RewriteError {
    /// It holds a damaged region.
    Damaged(Region),
    /// A batch claims more records before it than the region could have held.
    Jump(u64),
}

impl fmt::Display for RewriteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(region) => {
                write!(out, "bytes {}..{} are damaged", region.begin, region.end)
            }
            Self::Jump(seq) => write!(out, "the numbers before record {seq} make no sense"),
        }
    }
}

/// Room for the payload of one record, aligned as archives are.
#[repr(align(8))]
pub struct Payload([u8; RECORD_BYTES_MAX]);

impl Payload {
    /// Zeros.
    pub fn new() -> Box<Self> {
        Box::new(Self([0; RECORD_BYTES_MAX]))
    }

    /// The bytes, for [`serialize_into`](super::record::serialize_into).
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// A segment that was rewritten.
#[derive(Debug)]
pub struct Rewritten {
    /// What the file begins with; zeros follow up to [`SegmentHeader::segment_bytes`].
    pub bytes: Vec<u8>,
    /// Its header.
    pub header: SegmentHeader,
    /// Records in it, those for [`LOST_TAG`] included.
    pub record_count: u64,
    /// Records that changed.
    pub changed_count: u64,
    /// Records that damage took.
    pub lost_count: u64,
}

/// Rewrites `segment`, of which `scan` says what is the log. `change` sees every record with its
/// sequence number and decides; it is called more than once for a record when the segment must
/// grow, and must decide the same each time.
pub fn rewrite(
    segment: &[u8],
    scan: &SegmentScan,
    salt: u64,
    damage: Damage,
    change: &mut dyn FnMut(u64, &RawRecord<'_>, &mut Payload) -> Change,
) -> Result<Rewritten, RewriteError> {
    assert!(salt != scan.header.salt);
    if damage == Damage::Refuse
        && let Some(region) = scan.corrupt.first()
    {
        return Err(RewriteError::Damaged(*region));
    }
    // The size is part of the header, from which the chain begins: known before the first batch.
    // Almost always it is the old one, since records shrink and padding goes.
    let mut segment_bytes = scan.header.segment_bytes;
    loop {
        let header = SegmentHeader { salt, segment_bytes, ..scan.header };
        let rewritten = frame(segment, scan, header, change)?;
        // A snapshot does not say how long it is.
        if segment_bytes == 0 || rewritten.bytes.len() <= segment_bytes as usize {
            return Ok(rewritten);
        }
        segment_bytes = rewritten.bytes.len().next_multiple_of(1 << 20) as u32;
    }
}

fn frame(
    segment: &[u8],
    scan: &SegmentScan,
    header: SegmentHeader,
    change: &mut dyn FnMut(u64, &RawRecord<'_>, &mut Payload) -> Change,
) -> Result<Rewritten, RewriteError> {
    let mut framer = Framer::new(&header);
    let mut out = Rewritten {
        bytes: header.encode().to_vec(),
        header,
        record_count: 0,
        changed_count: 0,
        lost_count: 0,
    };
    let mut space = Payload::new();
    for batch in &scan.batches {
        out.lost_count += fill(&mut framer, batch.base_seq, (batch.offset, scan))?;
        flush(&mut framer, &mut out);
        let bytes = &segment[batch.offset as usize..(batch.offset + batch.len) as usize];
        for (seq, record) in (batch.base_seq..).zip(records(bytes, batch.count)) {
            match change(seq, &record, &mut space) {
                Change::Keep => framer.push(&record),
                Change::Replace { payload_len } => {
                    out.changed_count += 1;
                    let payload = &space.0[..payload_len];
                    let header = RecordHeader {
                        payload_len: payload_len as u32,
                        flags: record.header.flags | FLAG_ERASED,
                        ..record.header
                    };
                    framer.push(&RawRecord { header, payload });
                }
            }
        }
        flush(&mut framer, &mut out);
    }
    // The seal may be all that is left behind the last damage.
    out.lost_count += fill(&mut framer, scan.next_seq, (scan.end, scan))?;
    flush(&mut framer, &mut out);
    framer.mark(FLAG_SEAL);
    flush(&mut framer, &mut out);
    out.record_count = framer.next_seq() - header.base_seq;
    assert!(out.record_count == scan.record_count + out.lost_count);
    Ok(out)
}

/// Empty records for the numbers up to `base_seq`, which damage somewhere before `end` took.
fn fill(
    framer: &mut Framer,
    base_seq: u64,
    (end, scan): (u32, &SegmentScan),
) -> Result<u64, RewriteError> {
    let jump = RewriteError::Jump(base_seq);
    let lost_count = base_seq.checked_sub(framer.next_seq()).ok_or(jump)?;
    if lost_count == 0 {
        return Ok(0);
    }
    let region = scan.corrupt.iter().rfind(|region| region.end <= end).ok_or(jump)?;
    let header =
        RecordHeader { payload_len: 0, tag: LOST_TAG, flags: 0, user: NameId(0), room: NameId(0) };
    if lost_count > u64::from(region.end - region.begin) / header.stride() as u64 {
        return Err(jump);
    }
    assert!(header.stride().is_multiple_of(ALIGN));
    for _ in 0..lost_count {
        framer.push(&RawRecord { header, payload: &[] });
    }
    Ok(lost_count)
}

/// Each batch says that all before it is synced. That is true for whoever reads it: the file gets
/// its name only when it is synced as a whole.
fn flush(framer: &mut Framer, out: &mut Rewritten) {
    framer.finish(1);
    let (offset, bytes) = framer.pending();
    assert!(offset as usize == out.bytes.len());
    out.bytes.extend_from_slice(bytes);
    framer.written();
    framer.synced();
}

#[cfg(test)]
mod tests;
