//! The names of a segment: codes to texts.
//!
//! A code stands for one text, though several interned numbers of a server may have the same text.
//! With each text stands its print, so that the names of two segments are joined by comparing
//! numbers, and the interned number that the segment met first: segments of one start of the server
//! use the same numbers.

use super::{Damaged, SectionId, Sidecar, Writer};
use crate::log::record::{NameId, NameKind};
use rkyv::rend::{u32_le, u64_le};
use rkyv::vec::ArchivedVec;

/// Which names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum NameSet {
    /// Users.
    Users = 0x41,
    /// Rooms.
    Rooms = 0x42,
    /// Commands.
    Commands = 0x43,
}

impl NameSet {
    /// Every set.
    pub const ALL: [Self; 3] = [Self::Users, Self::Rooms, Self::Commands];

    /// The set of a kind of name.
    pub const fn of(kind: NameKind) -> Self {
        match kind {
            NameKind::User => Self::Users,
            NameKind::Room => Self::Rooms,
            NameKind::Command => Self::Commands,
        }
    }

    /// Index into arrays with one place per set.
    pub const fn index(self) -> usize {
        self as usize - Self::Users as usize
    }

    fn section(self, part: u32) -> SectionId {
        SectionId((self as u32) << 8 | part)
    }
}

const IDS: u32 = 0;
const PRINTS: u32 = 1;
const ENDS: u32 = 2;
const TEXTS: u32 = 3;

/// The names of one set in a segment. Code 0 is the absence of a name: an empty text.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    ids: &'a [u32_le],
    prints: &'a [u64_le],
    /// Where each text ends in `texts`, and the next one begins.
    ends: &'a [u32_le],
    texts: &'a [u8],
}

impl<'a> Names<'a> {
    pub(super) fn open(sidecar: &'a Sidecar, set: NameSet) -> Result<Self, Damaged> {
        let u32s = |part| sidecar.section::<ArchivedVec<u32_le>>(set.section(part));
        let ids = u32s(IDS)?.ok_or(Damaged)?.as_slice();
        let ends = u32s(ENDS)?.ok_or(Damaged)?.as_slice();
        let prints = sidecar.section::<ArchivedVec<u64_le>>(set.section(PRINTS))?;
        let prints = prints.ok_or(Damaged)?.as_slice();
        let texts = sidecar.section::<ArchivedVec<u8>>(set.section(TEXTS))?;
        let texts = texts.ok_or(Damaged)?.as_slice();
        let fits = !ids.is_empty() && ids.len() == ends.len() && ids.len() == prints.len();
        if fits { Ok(Self { ids, prints, ends, texts }) } else { Err(Damaged) }
    }

    /// Number of codes, 0 included.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Never: code 0 is always there.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The text of a code.
    pub fn text(&self, code: usize) -> &'a str {
        let begin = match code.checked_sub(1) {
            Some(before) => self.ends[before].to_native() as usize,
            None => 0,
        };
        let bytes = self.texts.get(begin..self.ends[code].to_native() as usize);
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.unwrap_or(crate::log::reader::UNKNOWN_NAME)
    }

    /// The interned number that the segment met first for a code.
    pub fn id(&self, code: usize) -> NameId {
        NameId(self.ids[code].to_native())
    }

    /// See [`print`].
    pub fn print(&self, code: usize) -> u64 {
        self.prints[code].to_native()
    }

    /// The code of a text; `None`: the segment does not have it.
    pub fn find(&self, text: &str) -> Option<usize> {
        let wanted = print(text);
        let mut codes = self.prints.iter().enumerate().skip(1);
        codes.find(|(code, one)| one.to_native() == wanted && self.text(*code) == text).map(|f| f.0)
    }
}

/// FNV-1a of a name. On disk, so it never changes; equal prints still compare their texts.
pub fn print(text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

/// A list of names as it is made.
#[derive(Debug)]
pub(super) struct NamesMade {
    ids: Vec<u32>,
    prints: Vec<u64>,
    ends: Vec<u32>,
    texts: Vec<u8>,
}

impl Default for NamesMade {
    fn default() -> Self {
        Self { ids: vec![0], prints: vec![print("")], ends: vec![0], texts: Vec::new() }
    }
}

impl NamesMade {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Gives the next code to a name.
    pub(super) fn push(&mut self, id: NameId, text: &str) -> u32 {
        self.ids.push(id.0);
        self.prints.push(print(text));
        self.texts.extend_from_slice(text.as_bytes());
        self.ends.push(self.texts.len() as u32);
        self.ids.len() as u32 - 1
    }

    pub(super) fn write(&self, set: NameSet, writer: &mut Writer) {
        writer.add(set.section(IDS), &self.ids);
        writer.add(set.section(PRINTS), &self.prints);
        writer.add(set.section(ENDS), &self.ends);
        writer.add(set.section(TEXTS), &self.texts);
    }
}
