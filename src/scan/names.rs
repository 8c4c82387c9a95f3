//! Names of the whole log: one number for each text, whatever segments call it.

use crate::log::sidecar::Names;
use std::collections::BTreeMap;

/// The names of users, rooms or commands that a scan met, numbered from 1 in no promised order; 0
/// is the absence of a name. A report counts by these numbers and asks for texts at the end.
#[derive(Debug)]
pub(super) struct AllNames {
    /// All texts, one behind the other, and where each ends.
    texts: String,
    ends: Vec<u32>,
    prints: Vec<u64>,
    /// By print: the number, 0 for a free place; the next place when it is taken. A power of two of
    /// them, never more than three quarters full.
    places: Vec<u32>,
    /// By start of the server and interned number. Segments of one start use the same interned
    /// numbers, so nearly every name is found here.
    starts: BTreeMap<u32, Vec<Known>>,
}

/// A name that was met under an interned number.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// 0: none.
    number: u32,
    /// The upper half of its print: enough where only a damaged file has another name.
    print: u32,
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
        if interned.is_empty() {
            self.make_places(names.len());
        }
        let mut numbers = Vec::with_capacity(names.len());
        numbers.push(0);
        for code in 1..names.len() {
            let (id, print) = (names.id(code).0 as usize, names.print(code));
            let upper = (print >> 32) as u32;
            let known = interned.get(id).copied().unwrap_or_default();
            if known.number != 0 && known.print == upper {
                numbers.push(known.number);
                continue;
            }
            let number = self.number(print, names.text(code));
            if id < INTERNED_MAX {
                if interned.len() <= id {
                    interned.resize((id + 1).next_power_of_two(), Known::default());
                }
                interned[id] = Known { number, print: upper };
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
        self.make_places(1);
        let mut place = self.first_place(print);
        loop {
            match self.places[place] {
                0 => break,
                number if self.prints[number as usize] == print && self.text(number) == text => {
                    return number;
                }
                _ => place = (place + 1) & (self.places.len() - 1),
            }
        }
        let number = self.ends.len() as u32;
        self.texts.push_str(text);
        self.ends.push(u32::try_from(self.texts.len()).expect("names of less than 4 GiB"));
        self.prints.push(print);
        self.places[place] = number;
        number
    }

    fn first_place(&self, print: u64) -> usize {
        // The lower bits of a print know little of the first letters.
        (print.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.places.len() - 1)
    }

    /// Makes places for so many more names. Needs prints only, and no look at a text.
    fn make_places(&mut self, more: usize) {
        let names_max = self.ends.len() + more;
        if names_max * 4 <= self.places.len() * 3 {
            return;
        }
        self.places = vec![0; (names_max * 4 / 3 + 1).next_power_of_two()];
        for number in 1..self.ends.len() {
            let mut place = self.first_place(self.prints[number]);
            while self.places[place] != 0 {
                place = (place + 1) & (self.places.len() - 1);
            }
            self.places[place] = number as u32;
        }
    }
}
