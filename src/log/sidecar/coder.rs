//! Interned numbers of a segment to dense codes, by text.

use super::Writer;
use super::names::{NameSet, NamesMade};
use crate::base::hash::Map;
use crate::log::reader::{Segment, UNKNOWN_NAME};
use crate::log::record::NameId;

/// Numbers below this are looked up in an array. A server counts from 1, so only a damaged file has
/// larger ones.
const DENSE_MAX: usize = 1 << 22;

/// Codes of one set of names, given out at first use.
#[derive(Debug)]
pub(super) struct Coder {
    set: NameSet,
    /// Code + 1 by number; 0: not met yet.
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

    /// The code of a number of `segment`.
    pub(super) fn code(&mut self, id: NameId, segment: &Segment) -> u32 {
        if id == NameId::NONE {
            return 0;
        }
        let index = id.0 as usize;
        match self.dense.get(index) {
            Some(0) => {}
            Some(code) => return code - 1,
            None if index < DENSE_MAX => self.dense.resize((index + 1).next_power_of_two(), 0),
            None => {
                if let Some(code) = self.far.get(&id.0) {
                    return *code;
                }
            }
        }
        let code = self.learn(id, segment.name_of(id).unwrap_or(UNKNOWN_NAME));
        match self.dense.get_mut(index) {
            Some(place) => *place = code + 1,
            None => {
                self.far.insert(id.0, code);
            }
        }
        code
    }

    /// Number of codes, 0 included.
    pub(super) fn len(&self) -> usize {
        self.made.len()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        self.made.write(self.set, writer);
    }

    fn learn(&mut self, id: NameId, text: &str) -> u32 {
        if let Some(code) = self.by_text.get(text) {
            return *code;
        }
        let code = self.made.push(id, text);
        self.by_text.insert(text.into(), code);
        code
    }
}
