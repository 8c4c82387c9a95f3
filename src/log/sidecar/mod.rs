//! Sidecars: what a sealed segment says, by columns, so that a question reads only what it needs.
//!
//! ```text
//! <base_seq:020>.idx
//! | header: key of the segment | table of sections | crc | section | section | ...
//!                                                        ^ 64-aligned, one archive each
//! ```
//!
//! A sidecar is derived: it can be thrown away at any time and made again from its segment. It says
//! which bytes it was made from ([`SegmentKey`]); any other segment makes it stale. The checksum of
//! a section is checked at its first use, so that a question that reads two columns pays for two.
//!
//! **Never:** a sidecar that is the only place of anything; a panic over its bytes; an answer from
//! a section whose checksum is wrong (the rows are read instead).

mod build;
mod coder;
mod columns;
mod grams;
mod job;
mod names;
mod rollup;
mod times;

#[cfg(test)]
mod tests;

pub use build::{ArchivedBatches, Batches, build, build_answer, build_empty, write};
pub use columns::{Codes, Column, TableKind, Wide};
pub use grams::{GRAM_BLOCK_BYTES, Grams, Needle};
pub use job::{SidecarJob, refresh};
pub use names::{NameSet, Names};
pub use rollup::{ArchivedRollup, Rollup, SIZE_BUCKETS, size_bucket, size_bucket_floor};
pub use times::{TIME_BLOCK_ROWS, Times};

use super::format::{RKYV_DESCRIPTOR, SegmentHeader, read_u32, read_u64};
use super::recovery::SegmentScan;
use memmap2::Mmap;
use rkyv::api::low::LowValidator;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::util::AlignedVec;
use rkyv::{Portable, Serialize};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

/// First bytes of a sidecar.
pub const SIDECAR_MAGIC: [u8; 8] = *b"ringpidx";
/// Version of the container and of every section in it. A sidecar of another version is stale.
pub const SIDECAR_VERSION: u32 = 2;
/// Sections begin at a multiple of this: a cache line, and enough for any archive.
pub const SECTION_ALIGN: usize = 64;

const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 24;
/// A sidecar has some hundred sections at most; a damaged count must not cost memory.
const SECTIONS_MAX: usize = 4_096;

/// Which bytes of a segment a sidecar was made from. Equal keys: the sidecar is not stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentKey {
    /// Salt of the segment; an erasure gives it a new one.
    pub salt: u64,
    /// First sequence number of the segment.
    pub base_seq: u64,
    /// Records below this number are in; a later segment holds the others.
    pub until_seq: u64,
    /// First byte behind the last batch.
    pub end: u32,
    /// Where the last batch begins.
    pub last_offset: u32,
    /// Checksum of the last batch, which chains all before it.
    pub last_crc: u32,
}

/// Number of a section. Columns have the number of their table in the upper byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SectionId(pub u32);

impl SectionId {
    /// Counts of the whole segment: [`Rollup`].
    pub const ROLLUP: Self = Self(2);
    /// Which three-byte sequences each block of the segment may hold: [`Grams`].
    pub const GRAMS: Self = Self(3);
    /// Places and times of the batches.
    pub const BATCHES: Self = Self(4);
    /// Where each room's events stand.
    pub const HISTORY: Self = Self(5);
}

/// The checksum of a section is wrong, or it is no archive of the type that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damaged;

/// Collects sections and makes the bytes of a sidecar.
#[derive(Debug, Default)]
pub struct Writer {
    sections: Vec<(SectionId, AlignedVec)>,
}

impl Writer {
    /// Adds an archive. Each number comes once.
    pub fn add<T>(&mut self, id: SectionId, value: &T)
    where
        T: for<'a> Serialize<
            rkyv::api::high::HighSerializer<
                AlignedVec,
                rkyv::ser::allocator::ArenaHandle<'a>,
                Failure,
            >,
        >,
    {
        assert!(self.sections.iter().all(|(other, _)| *other != id));
        let bytes = rkyv::api::high::to_bytes_in(value, AlignedVec::new());
        self.sections.push((id, bytes.expect("memory takes any archive")));
    }

    /// [`Writer::add`] for a long column, whose memory is asked for once.
    pub fn add_rows<T>(&mut self, id: SectionId, rows: &Vec<T>)
    where
        Vec<T>: for<'a> Serialize<
            rkyv::api::high::HighSerializer<
                AlignedVec,
                rkyv::ser::allocator::ArenaHandle<'a>,
                Failure,
            >,
        >,
    {
        assert!(self.sections.iter().all(|(other, _)| *other != id));
        let memory = AlignedVec::with_capacity(size_of_val(rows.as_slice()) + SECTION_ALIGN);
        let bytes = rkyv::api::high::to_bytes_in(rows, memory);
        self.sections.push((id, bytes.expect("memory takes any archive")));
    }

    /// The whole sidecar of the segment with this key.
    pub fn finish(mut self, key: &SegmentKey) -> AlignedVec<SECTION_ALIGN> {
        self.sections.sort_by_key(|(id, _)| *id);
        let table_end = HEADER_BYTES + self.sections.len() * ENTRY_BYTES;
        let padded = |bytes: &AlignedVec| bytes.len().next_multiple_of(SECTION_ALIGN);
        let sections_bytes: usize = self.sections.iter().map(|(_, bytes)| padded(bytes)).sum();
        let whole_bytes = table_end + 2 * SECTION_ALIGN + sections_bytes;
        let mut out = AlignedVec::<SECTION_ALIGN>::with_capacity(whole_bytes);
        out.extend_from_slice(&SIDECAR_MAGIC);
        out.extend_from_slice(&SIDECAR_VERSION.to_le_bytes());
        out.extend_from_slice(&RKYV_DESCRIPTOR.to_le_bytes());
        out.extend_from_slice(&key.salt.to_le_bytes());
        out.extend_from_slice(&key.base_seq.to_le_bytes());
        out.extend_from_slice(&key.until_seq.to_le_bytes());
        out.extend_from_slice(&key.end.to_le_bytes());
        out.extend_from_slice(&key.last_offset.to_le_bytes());
        out.extend_from_slice(&key.last_crc.to_le_bytes());
        out.extend_from_slice(&(self.sections.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        assert!(out.len() == HEADER_BYTES);
        let mut at = (table_end + 4).next_multiple_of(SECTION_ALIGN);
        for (id, bytes) in &self.sections {
            out.extend_from_slice(&id.0.to_le_bytes());
            out.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
            out.extend_from_slice(&(at as u64).to_le_bytes());
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            at = (at + bytes.len()).next_multiple_of(SECTION_ALIGN);
        }
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        for (_, bytes) in self.sections {
            out.resize(out.len().next_multiple_of(SECTION_ALIGN), 0);
            out.extend_from_slice(&bytes);
        }
        out
    }
}

/// The sections of one segment, from a file or made in memory a moment ago.
#[derive(Debug)]
pub struct Sidecar {
    bytes: Bytes,
    key: SegmentKey,
    sections: Vec<Section>,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Made(AlignedVec<SECTION_ALIGN>),
}

#[derive(Debug)]
struct Section {
    id: SectionId,
    crc: u32,
    begin: usize,
    end: usize,
    /// [`UNSEEN`], [`INTACT`] or [`BAD`].
    state: AtomicU8,
}

const UNSEEN: u8 = 0;
const INTACT: u8 = 1;
const BAD: u8 = 2;

impl Sidecar {
    /// Where the sidecar of a segment stands.
    pub fn file_name(base_seq: u64) -> String {
        format!("{base_seq:020}.idx")
    }

    /// The inverse of [`Sidecar::file_name`].
    pub fn parse_file_name(name: &str) -> Option<u64> {
        SegmentHeader::parse_file_name(&format!("{}.seg", name.strip_suffix(".idx")?))
    }

    /// Maps the sidecar of a segment file. `None`: there is none, or nothing can be made of it.
    /// Whether it is stale is another question: [`Sidecar::key`].
    pub fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        // SAFETY: sidecars are written under another name and renamed, never changed in place; all
        // their bytes are checked before use, and an archive of plain numbers and bytes stays one.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        Self::parse(Bytes::Mapped(map), UNSEEN)
    }

    /// What [`Writer::finish`] made, for use without a file.
    pub fn from_made(bytes: AlignedVec<SECTION_ALIGN>) -> Self {
        Self::parse(Bytes::Made(bytes), INTACT).expect("made a moment ago")
    }

    fn parse(bytes: Bytes, state: u8) -> Option<Self> {
        let all = bytes.as_slice();
        if all.len() < HEADER_BYTES + 4 || all[..8] != SIDECAR_MAGIC {
            return None;
        }
        if read_u32(all, 8) != SIDECAR_VERSION || read_u32(all, 12) != RKYV_DESCRIPTOR {
            return None;
        }
        let count = read_u32(all, 52) as usize;
        let table_end = HEADER_BYTES + count.min(SECTIONS_MAX) * ENTRY_BYTES;
        let intact = count <= SECTIONS_MAX
            && all.len() >= table_end + 4
            && crc32c::crc32c(&all[..table_end]) == read_u32(all, table_end);
        if !intact {
            return None;
        }
        let key = SegmentKey {
            salt: read_u64(all, 16),
            base_seq: read_u64(all, 24),
            until_seq: read_u64(all, 32),
            end: read_u32(all, 40),
            last_offset: read_u32(all, 44),
            last_crc: read_u32(all, 48),
        };
        let mut sections = Vec::with_capacity(count);
        for entry in all[HEADER_BYTES..table_end].chunks_exact(ENTRY_BYTES) {
            let begin = usize::try_from(read_u64(entry, 8)).ok()?;
            let end = begin.checked_add(usize::try_from(read_u64(entry, 16)).ok()?)?;
            if end > all.len() || !begin.is_multiple_of(SECTION_ALIGN) {
                return None;
            }
            let (id, crc) = (SectionId(read_u32(entry, 0)), read_u32(entry, 4));
            sections.push(Section { id, crc, begin, end, state: AtomicU8::new(state) });
        }
        Some(Self { bytes, key, sections })
    }

    /// The segment it was made from.
    pub fn key(&self) -> &SegmentKey {
        &self.key
    }

    /// Its size.
    pub fn size_bytes(&self) -> usize {
        self.bytes.as_slice().len()
    }

    /// A section, read in place; `None` when the segment has nothing of that sort.
    pub fn section<T>(&self, id: SectionId) -> Result<Option<&T>, Damaged>
    where
        T: Portable + for<'a> CheckBytes<LowValidator<'a, Failure>>,
    {
        let Some(section) = self.sections.iter().find(|section| section.id == id) else {
            return Ok(None);
        };
        let bytes = &self.bytes.as_slice()[section.begin..section.end];
        if section.state.load(Ordering::Relaxed) == UNSEEN {
            let intact = crc32c::crc32c(bytes) == section.crc;
            section.state.store(if intact { INTACT } else { BAD }, Ordering::Relaxed);
        }
        if section.state.load(Ordering::Relaxed) == BAD {
            return Err(Damaged);
        }
        rkyv::api::low::access::<T, Failure>(bytes).map(Some).map_err(|Failure| Damaged)
    }

    /// Checks every section now. `Err`: at least one is damaged.
    pub fn check(&self) -> Result<(), Damaged> {
        let all = self.bytes.as_slice();
        let intact = |one: &Section| crc32c::crc32c(&all[one.begin..one.end]) == one.crc;
        if self.sections.iter().all(intact) { Ok(()) } else { Err(Damaged) }
    }
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Made(bytes) => bytes,
        }
    }
}

impl SegmentKey {
    /// The key of a segment that was read, for its records below `until_seq`.
    pub fn of(scan: &SegmentScan, until_seq: u64) -> Self {
        let (last_offset, last_crc) = scan.last_batch();
        Self {
            salt: scan.header.salt,
            base_seq: scan.header.base_seq,
            until_seq: until_seq.min(scan.next_seq),
            end: scan.end,
            last_offset,
            last_crc,
        }
    }

    /// Whether `header` is of the segment that the key names.
    pub fn fits(&self, header: &SegmentHeader) -> bool {
        self.salt == header.salt && self.base_seq == header.base_seq
    }
}
