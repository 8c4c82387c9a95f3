//! Names of the whole log: one number for each text, whatever segments call it.

use crate::base::hash::Seeded;
use crate::log::sidecar::Names;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

/// The names of users, rooms or commands that a scan met, numbered from 1 in no promised order; 0
/// is the absence of a name. A report counts by these numbers and asks for texts at the end.
#[derive(Debug)]
pub(super) struct AllNames {
    /// All texts, one behind the other, and where each ends.
    texts: String,
    ends: Vec<u32>,
    prints: Vec<u64>,
    /// By hash of the text: the number, 0 for a free place; the next place when it is taken. Never
    /// more than three quarters full.
    places: Vec<u32>,
    /// By start of the server and interned number: the number, 0 for none. Segments of one start
    /// use the same interned numbers, so nearly every name is found here.
    starts: BTreeMap<u32, Vec<u32>>,
}

/// Starts of the server whose interned numbers are kept: segments come in their order.
const STARTS_MAX: usize = 4;

/// Interned numbers from here on are joined by text: only a damaged file has them.
const INTERNED_MAX: usize = 1 << 22;

impl Default for AllNames {
    fn default() -> Self {
        Self {
            texts: String::new(),
            ends: vec![0],
            prints: vec![0],
            places: vec![0; 1_024],
            starts: BTreeMap::new(),
        }
    }
}

impl AllNames {
    /// Numbers for the codes of a segment that the server's `start`th start wrote.
    pub(super) fn join(&mut self, start: u32, names: &Names<'_>) -> Vec<u32> {
        let mut interned = self.starts.remove(&start).unwrap_or_default();
        let mut numbers = Vec::with_capacity(names.len());
        numbers.push(0);
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
        if self.starts.len() > STARTS_MAX {
            self.starts.pop_first();
        }
        numbers
    }

    /// The text of a number.
    pub(super) fn text(&self, number: u32) -> &str {
        let number = number as usize;
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.texts[begin as usize..self.ends[number] as usize]
    }

    fn number(&mut self, print: u64, text: &str) -> u32 {
        if self.ends.len() * 4 > self.places.len() * 3 {
            self.grow();
        }
        let mut place = self.first_place(text);
        loop {
            match self.places[place] {
                0 => break,
                number if self.prints[number as usize] == print && self.text(number) == text => {
                    return number;
                }
                _ => place = (place + 1) % self.places.len(),
            }
        }
        let number = self.ends.len() as u32;
        self.texts.push_str(text);
        self.ends.push(u32::try_from(self.texts.len()).expect("names of less than 4 GiB"));
        self.prints.push(print);
        self.places[place] = number;
        number
    }

    fn first_place(&self, text: &str) -> usize {
        Seeded::default().hash_one(text) as usize % self.places.len()
    }

    fn grow(&mut self) {
        self.places = vec![0; 2 * self.places.len()];
        for number in 1..self.ends.len() as u32 {
            let mut place = self.first_place(self.text(number));
            while self.places[place] != 0 {
                place = (place + 1) % self.places.len();
            }
            self.places[place] = number;
        }
    }
}
