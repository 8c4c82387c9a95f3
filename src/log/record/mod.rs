//! Records: a fixed header and an rkyv archive, one struct per (type, version).
//!
//! ```text
//!   0       4      6       8       12      16                     16+len   multiple of 8
//!   | len   | type | flags | user  | room  | rkyv payload, root last | zeros |
//! ```
//!
//! The root of an archive stands at its end. So a fixed field is found from the length alone, and
//! [`RawRecord::ts_us`] reads it without validating anything else.

mod codes;
mod fields;
mod types;
mod view;

#[cfg(test)]
mod tests;

pub use codes::{
    ConversationAction, Delivery, Direction, EraseScope, MemberAction, NameKind, Outcome,
    RoomAction, SessionAction, Source,
};
pub use types::{
    CallV1, CommandV1, ConversationV1, DefinitionV1, DeleteV1, EditV1, EpochV1, EraseV1, MarkV1,
    MemberV1, MessageV1, MetricV1, NameV1, RawV1, RoomV1, RunV1, SeenV1, SessionV1, StateV1,
    StatusV1, StopV1, UserStatusV1,
};
pub use view::{Kind, Record, RecordView, serialize_into};

use crate::base::limits::RECORD_BYTES_MAX;
use std::mem::offset_of;

/// Size of a record's header.
pub const RECORD_HEADER_BYTES: usize = 16;
/// Everything in a batch begins at a multiple of this, so that archives can be read in place.
pub const ALIGN: usize = 8;
/// Bytes of one [`RawV1`] part.
pub const RAW_PART_BYTES_MAX: usize = 40 * 1_024;

/// The record was rewritten by an erasure: its texts and names are gone.
pub const FLAG_ERASED: u16 = 1;

const _: () = assert!(RAW_PART_BYTES_MAX + 1_024 <= RECORD_BYTES_MAX);
const _: () = assert!(RECORD_HEADER_BYTES.is_multiple_of(ALIGN));
const _: () = assert!(RECORD_BYTES_MAX.is_multiple_of(ALIGN));

/// An interned name of one process: small numbers in headers instead of texts.
///
/// 0 means "none". The log thread repeats the text in every segment that uses the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NameId(pub u32);

impl NameId {
    /// The absence of a name.
    pub const NONE: Self = Self(0);
}

/// The header in front of every payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordHeader {
    /// Bytes of the payload, without the zeros behind it.
    pub payload_len: u32,
    /// A [`Kind`] as it is on disk; readers skip what they do not know.
    pub tag: u16,
    /// [`FLAG_ERASED`], or 0.
    pub flags: u16,
    /// Who it is about or who did it.
    pub user: NameId,
    /// The room it belongs to.
    pub room: NameId,
}

impl RecordHeader {
    /// As it is on disk.
    pub fn encode(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut out = [0; RECORD_HEADER_BYTES];
        out[0..4].copy_from_slice(&self.payload_len.to_le_bytes());
        out[4..6].copy_from_slice(&self.tag.to_le_bytes());
        out[6..8].copy_from_slice(&self.flags.to_le_bytes());
        out[8..12].copy_from_slice(&self.user.0.to_le_bytes());
        out[12..16].copy_from_slice(&self.room.0.to_le_bytes());
        out
    }

    /// The inverse of [`RecordHeader::encode`]; any bytes are a header.
    pub fn decode(bytes: &[u8; RECORD_HEADER_BYTES]) -> Self {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        Self {
            payload_len: word(0),
            tag: u16::from_le_bytes([bytes[4], bytes[5]]),
            flags: u16::from_le_bytes([bytes[6], bytes[7]]),
            user: NameId(word(8)),
            room: NameId(word(12)),
        }
    }

    /// Bytes from this header to the next one.
    pub const fn stride(&self) -> usize {
        RECORD_HEADER_BYTES + (self.payload_len as usize).next_multiple_of(ALIGN)
    }
}

/// A record in a buffer: its header and its payload, not yet looked into.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RawRecord<'a> {
    /// The header.
    pub header: RecordHeader,
    /// The archive.
    pub payload: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// Takes the first record of `bytes`; `None` when they do not hold a whole one.
    pub fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let header = RecordHeader::decode(bytes.first_chunk()?);
        let payload_len = header.payload_len as usize;
        if payload_len > RECORD_BYTES_MAX - RECORD_HEADER_BYTES {
            return None;
        }
        let stride = header.stride();
        if bytes.len() < stride {
            return None;
        }
        let payload = &bytes[RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + payload_len];
        Some((Self { header, payload }, &bytes[stride..]))
    }

    /// What it is; `None` for a type of a later version.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_tag(self.header.tag)
    }

    /// When it was made, if its type says so. Reads one fixed field: the archive may be anything.
    pub fn ts_us(&self) -> Option<i64> {
        let (root_bytes, _, ts_at) = self.kind()?.layout();
        self.root_field(root_bytes, ts_at?).map(i64::from_le_bytes)
    }

    /// The interned command of a [`CallV1`] or [`CommandV1`].
    pub fn command(&self) -> Option<NameId> {
        let kind = self.kind()?;
        let at = match kind {
            Kind::Call => offset_of!(rkyv::Archived<CallV1<'static>>, command),
            Kind::Command => offset_of!(rkyv::Archived<CommandV1<'static>>, command),
            _ => return None,
        };
        let (root_bytes, _, _) = kind.layout();
        self.root_field(root_bytes, at).map(|bytes| NameId(u32::from_le_bytes(bytes)))
    }

    /// The direction of a [`MessageV1`].
    pub fn direction(&self) -> Option<Direction> {
        if self.kind()? != Kind::Message {
            return None;
        }
        let (root_bytes, _, _) = Kind::Message.layout();
        let at = offset_of!(rkyv::Archived<MessageV1<'static>>, direction);
        self.root_field::<1>(root_bytes, at).and_then(|[byte]| Direction::from_byte(byte))
    }

    #[inline]
    fn root_field<const N: usize>(&self, root_bytes: usize, at: usize) -> Option<[u8; N]> {
        let root = self.payload.len().checked_sub(root_bytes)?;
        self.payload[root + at..].first_chunk().copied()
    }
}

/// Walks records that stand behind one another until the bytes end or make no sense.
#[derive(Clone, Debug)]
pub struct RawRecords<'a> {
    bytes: &'a [u8],
}

impl<'a> RawRecords<'a> {
    /// The records of `bytes`, which begin with a header.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What is not walked yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = RawRecord<'a>;

    fn next(&mut self) -> Option<RawRecord<'a>> {
        let (record, rest) = RawRecord::split(self.bytes)?;
        self.bytes = rest;
        Some(record)
    }
}
