//! Batches: records framed under one checksum, chained to the batch before. Pure: bytes in, bytes
//! out.
//!
//! ```text
//!  0      4     8     12      16        24      32      40         44
//!  | magic | len | crc | count | base_seq | min_ts | max_ts | prev_crc | durable_off |
//!  48          52      56      60
//!  | type_mask | flags | offset | 0 | records ... | zeros up to len |
//! ```
//!
//! `crc` is CRC-32C over the segment's salt, `magic len`, and everything from `count` to the end.
//! `len` covers the padding too, so the next batch begins at `offset + len`. `durable_off` says how
//! far the segment was synced when the batch was framed: that is what tells damage from a torn
//! tail in [`recovery`](super::recovery).

use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader, read_u32, read_u64};
use super::record::{ALIGN, RawRecord, RawRecords};
use crate::base::limits::{BATCH_BYTES_MAX, RECORD_BYTES_MAX};

/// Size of a batch's header.
pub const BATCH_HEADER_BYTES: usize = 64;
/// First bytes of every batch.
pub const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"rpB1");
/// Synced batches end at a multiple of this, so that a later write never touches a device sector
/// or a page that holds an acknowledged record.
pub const SYNC_ALIGN: usize = 4_096;
/// Largest `len`: a full batch and its padding.
pub const BATCH_LEN_MAX: usize = BATCH_BYTES_MAX + SYNC_ALIGN;

/// The batch closes its segment in order; nothing follows.
pub const FLAG_SEAL: u32 = 1;
/// `min_ts` and `max_ts` mean something.
pub const FLAG_TIMED: u32 = 2;

const _: () = assert!(BATCH_HEADER_BYTES.is_multiple_of(ALIGN));
const _: () = assert!(SEGMENT_HEADER_BYTES.is_multiple_of(SYNC_ALIGN));
const _: () = assert!(RECORD_BYTES_MAX + BATCH_HEADER_BYTES <= BATCH_BYTES_MAX);

/// What a batch says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Bytes from this batch to the next.
    pub len: u32,
    /// Its checksum.
    pub crc: u32,
    /// Number of records.
    pub count: u32,
    /// Sequence number of its first record.
    pub base_seq: u64,
    /// Earliest and latest time of its records, if any has one.
    pub times: Option<(i64, i64)>,
    /// `crc` of the batch before, or the chain start of the segment header.
    pub prev_crc: u32,
    /// Everything before this offset of the segment was synced when the batch was framed.
    pub durable_off: u32,
    /// Bit `tag` is set when a record of that type is inside; bit 31 for unknown types.
    pub type_mask: u32,
    /// `FLAG_*`.
    pub flags: u32,
    /// Its own place in the file: a batch written to the wrong place is damage.
    pub offset: u32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`, without the checksum. `None`: there is none.
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < BATCH_HEADER_BYTES || read_u32(bytes, 0) != BATCH_MAGIC {
            return None;
        }
        let flags = read_u32(bytes, 52);
        let times = (read_u64(bytes, 24) as i64, read_u64(bytes, 32) as i64);
        let header = Self {
            len: read_u32(bytes, 4),
            crc: read_u32(bytes, 8),
            count: read_u32(bytes, 12),
            base_seq: read_u64(bytes, 16),
            times: (flags & FLAG_TIMED != 0).then_some(times),
            prev_crc: read_u32(bytes, 40),
            durable_off: read_u32(bytes, 44),
            type_mask: read_u32(bytes, 48),
            flags,
            offset: read_u32(bytes, 56),
        };
        let len = header.len as usize;
        let sane = len.is_multiple_of(ALIGN) && (BATCH_HEADER_BYTES..=BATCH_LEN_MAX).contains(&len);
        sane.then_some(header)
    }

    /// Reads and checks the batch at `offset` of `segment`: checksum, place and record lengths.
    pub fn check(segment: &[u8], offset: u32, salt: u64) -> Option<Self> {
        let bytes = segment.get(offset as usize..)?;
        let header = Self::peek(bytes)?;
        let bytes = bytes.get(..header.len as usize)?;
        if header.offset != offset || header.durable_off > offset {
            return None;
        }
        if checksum(bytes, salt) != header.crc {
            return None;
        }
        Some(header)
    }

    /// Whether the batch closes its segment.
    pub const fn is_seal(&self) -> bool {
        self.flags & FLAG_SEAL != 0
    }

    fn encode_into(&self, out: &mut [u8]) {
        let (min_ts, max_ts) = self.times.unwrap_or((0, 0));
        out[0..4].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
        out[4..8].copy_from_slice(&self.len.to_le_bytes());
        out[8..12].copy_from_slice(&self.crc.to_le_bytes());
        out[12..16].copy_from_slice(&self.count.to_le_bytes());
        out[16..24].copy_from_slice(&self.base_seq.to_le_bytes());
        out[24..32].copy_from_slice(&min_ts.to_le_bytes());
        out[32..40].copy_from_slice(&max_ts.to_le_bytes());
        out[40..44].copy_from_slice(&self.prev_crc.to_le_bytes());
        out[44..48].copy_from_slice(&self.durable_off.to_le_bytes());
        out[48..52].copy_from_slice(&self.type_mask.to_le_bytes());
        out[52..56].copy_from_slice(&self.flags.to_le_bytes());
        out[56..60].copy_from_slice(&self.offset.to_le_bytes());
        out[60..64].fill(0);
    }
}

/// The records of a checked batch, whose bytes begin with its header.
pub fn records(batch: &[u8], count: u32) -> impl Iterator<Item = RawRecord<'_>> {
    RawRecords::new(&batch[BATCH_HEADER_BYTES..]).take(count as usize)
}

fn checksum(batch: &[u8], salt: u64) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &batch[0..8]);
    crc32c::crc32c_append(crc, &batch[12..])
}

/// Frames records into batches, ready to be written at consecutive places of one segment.
///
/// ```text
///   file:  | header page | written ...            |
///   out:                              offset ─▶   | finished batches | open batch |
///                                                                    ^open_at
/// ```
///
/// Invariant: `offset + out.len()` is where the next byte will stand in the file; the open batch is
/// never longer than [`BATCH_BYTES_MAX`]; every finished one is checksummed and chained.
#[derive(Debug)]
pub struct Framer {
    salt: u64,
    /// Checksum of the last finished batch.
    prev_crc: u32,
    /// Sequence number of the next record.
    next_seq: u64,
    /// Where `out` begins in the file.
    offset: u32,
    /// How far the file is known to be synced.
    durable_off: u32,
    out: Vec<u8>,
    open: Option<OpenBatch>,
}

#[derive(Clone, Copy, Debug)]
struct OpenBatch {
    begin: usize,
    count: u32,
    times: Option<(i64, i64)>,
    type_mask: u32,
}

impl Framer {
    /// For a fresh segment, whose page 0 is written and synced.
    pub fn new(header: &SegmentHeader) -> Self {
        Self {
            salt: header.salt,
            prev_crc: header.chain_start(),
            next_seq: header.base_seq,
            offset: SEGMENT_HEADER_BYTES as u32,
            durable_off: SEGMENT_HEADER_BYTES as u32,
            out: Vec::new(),
            open: None,
        }
    }

    /// For a segment that holds whole, synced batches up to `offset` already.
    pub(super) fn resume(salt: u64, prev_crc: u32, next_seq: u64, offset: u32) -> Self {
        let out = Vec::new();
        Self { salt, prev_crc, next_seq, offset, durable_off: offset, out, open: None }
    }

    /// Appends a record; closes the open batch first when the record does not fit.
    pub fn push(&mut self, record: &RawRecord<'_>) {
        let stride = record.header.stride();
        assert!(record.payload.len() == record.header.payload_len as usize);
        assert!(stride <= RECORD_BYTES_MAX); // Pairs with `RawRecord::split`.
        if let Some(open) = self.open
            && self.out.len() - open.begin + stride > BATCH_BYTES_MAX
        {
            self.close(0, 1);
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let begin = self.out.len();
                self.out.resize(begin + BATCH_HEADER_BYTES, 0);
                self.open.insert(OpenBatch { begin, count: 0, times: None, type_mask: 0 })
            }
        };
        open.count += 1;
        open.type_mask |= 1 << record.header.tag.min(31);
        if let Some(ts_us) = record.ts_us() {
            let (min_ts, max_ts) = open.times.unwrap_or((ts_us, ts_us));
            open.times = Some((min_ts.min(ts_us), max_ts.max(ts_us)));
        }
        self.out.extend_from_slice(&record.header.encode());
        self.out.extend_from_slice(record.payload);
        let padded = self.out.len().next_multiple_of(ALIGN);
        self.out.resize(padded, 0);
        self.next_seq += 1;
    }

    /// Closes the open batch, if there is one, and makes it end at a multiple of `align` in the
    /// file: [`SYNC_ALIGN`] before a sync, 1 otherwise.
    pub fn finish(&mut self, align: usize) {
        if self.open.is_some() {
            self.close(0, align);
        }
    }

    /// Frames an empty batch: with [`FLAG_SEAL`] the end of the segment, with 0 only a watermark
    /// that vouches for what was synced.
    pub fn mark(&mut self, flags: u32) {
        assert!(self.open.is_none());
        let begin = self.out.len();
        self.out.resize(begin + BATCH_HEADER_BYTES, 0);
        self.open = Some(OpenBatch { begin, count: 0, times: None, type_mask: 0 });
        self.close(flags, 1);
    }

    /// What is finished and where it goes. Nothing may be open.
    pub fn pending(&self) -> (u32, &[u8]) {
        assert!(self.open.is_none());
        (self.offset, &self.out)
    }

    /// Says that [`Framer::pending`] is written.
    pub fn written(&mut self) {
        assert!(self.open.is_none());
        self.offset += self.out.len() as u32;
        self.out.clear();
    }

    /// Says that all that was written is synced.
    pub fn synced(&mut self) {
        self.durable_off = self.offset;
    }

    /// Where the next byte will stand in the file.
    pub fn end(&self) -> usize {
        self.offset as usize + self.out.len()
    }

    /// Bytes framed and not yet written.
    pub fn pending_bytes(&self) -> usize {
        self.out.len()
    }

    /// Where the file is known to be synced up to.
    pub fn durable_off(&self) -> u32 {
        self.durable_off
    }

    /// Sequence number of the next record.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    fn close(&mut self, flags: u32, align: usize) {
        let open = self.open.take().expect("a batch is open");
        let base = self.offset as usize;
        let padded = (base + self.out.len()).next_multiple_of(align.max(ALIGN)) - base;
        self.out.resize(padded, 0);
        let len = self.out.len() - open.begin;
        assert!(len <= BATCH_LEN_MAX); // Pairs with `BatchHeader::peek`.
        let timed = if open.times.is_some() { FLAG_TIMED } else { 0 };
        let mut header = BatchHeader {
            len: len as u32,
            crc: 0,
            count: open.count,
            base_seq: self.next_seq - u64::from(open.count),
            times: open.times,
            prev_crc: self.prev_crc,
            durable_off: self.durable_off,
            type_mask: open.type_mask,
            flags: flags | timed,
            offset: (base + open.begin) as u32,
        };
        let batch = &mut self.out[open.begin..];
        header.encode_into(batch);
        header.crc = checksum(batch, self.salt);
        batch[8..12].copy_from_slice(&header.crc.to_le_bytes());
        self.prev_crc = header.crc;
    }
}
