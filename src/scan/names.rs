//! Names of the whole log: one number for each text, whatever segments call it.

use crate::base::hash::Map;
use crate::log::sidecar::Names;

/// The names of users, rooms or commands that a scan met, numbered from 1 in no promised order; 0
/// is the absence of a name. A report counts by these numbers and asks for texts at the end.
#[derive(Debug)]
pub(super) struct AllNames {
    /// All texts, one behind the other, and where each ends.
    texts: String,
    ends: Vec<usize>,
    prints: Vec<u64>,
    /// By print: the number that came last with it.
    newest: Map<u64, u32>,
    /// The number before with the same print; 0: none.
    older: Vec<u32>,
    /// By start of the server and interned number: the number, 0 for none. Segments of one start
    /// use the same interned numbers, so nearly every name is found here.
    starts: Map<u32, Vec<u32>>,
}

/// Interned numbers from here on are joined by text: only a damaged file has them.
const INTERNED_MAX: usize = 1 << 22;

impl Default for AllNames {
    fn default() -> Self {
        Self {
            texts: String::new(),
            ends: vec![0],
            prints: vec![0],
            newest: Map::default(),
            older: vec![0],
            starts: Map::default(),
        }
    }
}

impl AllNames {
    /// Numbers for the codes of a segment that the server's `start`th start wrote.
    pub(super) fn join(&mut self, start: u32, names: &Names<'_>) -> Vec<u32> {
        let mut interned = self.starts.remove(&start).unwrap_or_default();
        let mut numbers = Vec::with_capacity(names.len());
        numbers.push(0);
        if self.newest.is_empty() {
            self.newest.reserve(names.len());
        }
        for code in 1..names.len() {
            let (id, print) = (names.id(code).0 as usize, names.print(code));
            let known = interned.get(id).copied().unwrap_or(0);
            if known != 0 && self.prints[known as usize] == print {
                numbers.push(known);
                continue;
            }
            let number = self.number(print, names.text(code));
            if id < INTERNED_MAX {
                if interned.len() <= id {
                    interned.resize((id + 1).next_power_of_two(), 0);
                }
                interned[id] = number;
            }
            numbers.push(number);
        }
        self.starts.insert(start, interned);
        numbers
    }

    /// The text of a number.
    pub(super) fn text(&self, number: u32) -> &str {
        let number = number as usize;
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.texts[begin..self.ends[number]]
    }

    fn number(&mut self, print: u64, text: &str) -> u32 {
        let newest = self.newest.get(&print).copied().unwrap_or(0);
        let mut at = newest;
        while at != 0 {
            if self.text(at) == text {
                return at;
            }
            at = self.older[at as usize];
        }
        let number = self.ends.len() as u32;
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
        self.prints.push(print);
        self.older.push(newest);
        self.newest.insert(print, number);
        number
    }
}
