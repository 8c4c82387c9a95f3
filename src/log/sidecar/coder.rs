//! Interned numbers of a segment to dense codes, by text.

use super::Writer;
use super::names::{NameSet, NamesMade};
use crate::base::hash::Map;
use crate::log::reader::UNKNOWN_NAME;
use crate::log::record::NameId;

/// Numbers below this are looked up in an array. A server counts from 1, so only a damaged file has
/// larger ones.
const DENSE_MAX: usize = 1 << 22;

/// Codes of one set of names, given out as the names come.
#[derive(Debug)]
pub(super) struct Coder {
    set: NameSet,
    /// Code by number; 0: no name came for it.
    dense: Vec<u32>,
    far: Map<u32, u32>,
    by_text: Map<Box<str>, u32>,
    made: NamesMade,
}

impl Coder {
    pub(super) fn new(set: NameSet) -> Self {
        Self {
            set,
            dense: Vec::new(),
            far: Map::default(),
            by_text: Map::default(),
            made: NamesMade::default(),
        }
    }

    /// A name record came: it stands before the first use of its number.
    pub(super) fn learn(&mut self, id: NameId, text: &str) {
        if id == NameId::NONE || self.known(id) != 0 {
            return;
        }
        let code = match self.by_text.get(text) {
            Some(code) => *code,
            None => {
                let code = self.made.push(id, text);
                self.by_text.insert(text.into(), code);
                code
            }
        };
        let index = id.0 as usize;
        if index >= DENSE_MAX {
            self.far.insert(id.0, code);
            return;
        }
        if self.dense.len() <= index {
            self.dense.resize((index + 1).next_power_of_two(), 0);
        }
        self.dense[index] = code;
    }

    /// The code of a number.
    #[inline]
    pub(super) fn code(&mut self, id: NameId) -> u32 {
        let code = self.known(id);
        if code != 0 || id == NameId::NONE {
            return code;
        }
        // Its name record was in a damaged region.
        self.learn(id, UNKNOWN_NAME);
        self.known(id)
    }

    /// Number of codes, 0 included.
    pub(super) fn len(&self) -> usize {
        self.made.len()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        self.made.write(self.set, writer);
    }

    #[inline]
    fn known(&self, id: NameId) -> u32 {
        match self.dense.get(id.0 as usize) {
            Some(code) => *code,
            None => self.far.get(&id.0).copied().unwrap_or(0),
        }
    }
}
