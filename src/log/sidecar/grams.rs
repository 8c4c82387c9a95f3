//! Which blocks of a segment may hold a text: a Bloom filter of three-byte sequences per block.
//!
//! The filters stand side by side, bit by bit: row `b` has bit `b` of every block's filter. So a
//! search reads two short rows for each sequence of the needle and nothing else, and the blocks
//! that are left are the bits that all rows have in common.
//!
//! Sequences are taken of the texts with ASCII letters in lower case, so that one filter serves
//! searches with and without regard to case.

use super::{Damaged, SectionId, Sidecar, Writer};
use rkyv::{Archive, Serialize};

/// Bytes of a block: a page, and some two dozen messages. A text belongs to the block where its
/// record begins.
pub const GRAM_BLOCK_BYTES: usize = 4 * 1_024;

/// Bits of a filter while it is made; it is folded to what its fill needs. The texts of a block
/// have no more than half as many sequences, but for a text that reaches into the next blocks.
const BITS_MADE: usize = 1 << 13;
const BITS_MIN: usize = 1 << 8;
/// A filter is folded in half while the mean share of its bits that are set stays below this.
const FILL_MAX: f64 = 0.5;
const WORDS_MADE: usize = BITS_MADE / 64;

/// The archive.
#[derive(Archive, Serialize, Debug, Default)]
pub struct GramRows {
    /// Words of a row: a bit per block.
    row_words: u32,
    /// Rows one after another; their number is the number of bits of a filter, a power of two.
    rows: Vec<u64>,
}

/// The filters of a segment.
#[derive(Clone, Copy)]
pub struct Grams<'a> {
    rows: &'a ArchivedGramRows,
    bit_count: usize,
}

/// What a search knows of every text that can match: its three-byte sequences.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Needle {
    grams: Vec<u32>,
}

impl Needle {
    /// For texts that contain `part` as it is.
    pub fn exact(part: &[u8]) -> Self {
        let lower = part.to_ascii_lowercase();
        let mut grams: Vec<_> = lower.windows(3).map(gram).collect();
        grams.sort_unstable();
        grams.dedup();
        Self { grams }
    }

    /// For texts that contain `part` without regard to case, as Unicode sees it. Letters with a
    /// partner outside ASCII (k and the Kelvin sign, s and the long s) promise nothing.
    pub fn caseless(part: &[u8]) -> Self {
        let firm = |byte: &u8| byte.is_ascii() && !matches!(byte | 0x20, b'k' | b's');
        let mut needle = Self::default();
        for run in part.split(|byte| !firm(byte)) {
            needle.grams.extend(Self::exact(run).grams);
        }
        needle
    }

    /// Whether it can leave any block out.
    pub fn is_empty(&self) -> bool {
        self.grams.is_empty()
    }
}

impl Sidecar {
    /// The filters; `None` when the sidecar was made without them.
    pub fn grams(&self) -> Result<Option<Grams<'_>>, Damaged> {
        let Some(rows) = self.section::<ArchivedGramRows>(SectionId::GRAMS)? else {
            return Ok(None);
        };
        let row_words = rows.row_words.to_native() as usize;
        if row_words == 0 {
            return Ok(None);
        }
        let bit_count = rows.rows.len() / row_words;
        let fits = bit_count.is_power_of_two() && bit_count * row_words == rows.rows.len();
        if fits { Ok(Some(Grams { rows, bit_count })) } else { Err(Damaged) }
    }
}

impl Grams<'_> {
    /// A bit for each block that may hold a text with all that `needle` knows.
    pub fn blocks(&self, needle: &Needle) -> Vec<u64> {
        let row_words = self.rows.row_words.to_native() as usize;
        let mut found = vec![u64::MAX; row_words];
        for bit in needle.grams.iter().flat_map(|gram| bits(*gram)) {
            let begin = (bit as usize & (self.bit_count - 1)) * row_words;
            let row = &self.rows.rows[begin..begin + row_words];
            for (found, word) in found.iter_mut().zip(row) {
                *found &= word.to_native();
            }
        }
        found
    }
}

fn gram(bytes: &[u8]) -> u32 {
    u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16
}

/// The two bits of a sequence.
fn bits(gram: u32) -> [u32; 2] {
    let mixed = u64::from(gram).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [(mixed >> 51) as u32, (mixed >> 32) as u32 & (BITS_MADE as u32 - 1)]
}

/// The filters as they are made.
#[derive(Debug, Default)]
pub(super) struct GramsMade {
    /// [`WORDS_MADE`] words for each block up to the last one with a text.
    blocks: Vec<u64>,
}

impl GramsMade {
    /// Adds a text whose record begins at `offset` of the segment.
    pub(super) fn text(&mut self, offset: u32, text: &[u8]) {
        let begin = offset as usize / GRAM_BLOCK_BYTES * WORDS_MADE;
        if self.blocks.len() < begin + WORDS_MADE {
            self.blocks.resize(begin + WORDS_MADE, 0);
        }
        let filter = &mut self.blocks[begin..begin + WORDS_MADE];
        let [Some(first), Some(second)] = [text.first(), text.get(1)] else { return };
        let mut last = u32::from(first.to_ascii_lowercase()) << 8
            | u32::from(second.to_ascii_lowercase()) << 16;
        for byte in &text[2..] {
            last = last >> 8 | u32::from(byte.to_ascii_lowercase()) << 16;
            for bit in bits(last) {
                filter[bit as usize / 64] |= 1 << (bit % 64);
            }
        }
    }

    pub(super) fn write(mut self, writer: &mut Writer) {
        let block_count = self.blocks.len() / WORDS_MADE;
        if block_count == 0 {
            return;
        }
        let words = self.fold(block_count);
        let row_words = block_count.div_ceil(64);
        let mut rows = vec![0u64; words * 64 * row_words];
        for block in 0..block_count {
            for (index, word) in self.blocks[block * WORDS_MADE..][..words].iter().enumerate() {
                let mut left = *word;
                while left != 0 {
                    let bit = index * 64 + left.trailing_zeros() as usize;
                    rows[bit * row_words + block / 64] |= 1 << (block % 64);
                    left &= left - 1;
                }
            }
        }
        writer.add(SectionId::GRAMS, &GramRows { row_words: row_words as u32, rows });
    }

    /// Halves every filter while that leaves enough zeros; gives the words of one.
    fn fold(&mut self, block_count: usize) -> usize {
        let mut words = WORDS_MADE;
        while words * 64 > BITS_MIN {
            let half = words / 2;
            let filters = self.blocks.chunks_exact(WORDS_MADE);
            let set_count: u64 = filters
                .flat_map(|filter| filter[..half].iter().zip(&filter[half..words]))
                .map(|(low, high)| u64::from((low | high).count_ones()))
                .sum();
            if set_count as f64 > FILL_MAX * (block_count * half * 64) as f64 {
                break;
            }
            for filter in self.blocks.chunks_exact_mut(WORDS_MADE) {
                let (low, high) = filter.split_at_mut(half);
                low.iter_mut().zip(&high[..half]).for_each(|(low, high)| *low |= high);
            }
            words = half;
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::sidecar::{SIDECAR_VERSION, SegmentKey};

    #[test]
    fn every_block_that_holds_the_needle_is_found_and_few_others() {
        let mut made = GramsMade::default();
        let block_of = |number: u32| number * 48;
        for number in 0..40_000u32 {
            let text = format!("note {} of Änne, said in room {}", number * 7_919, number % 97);
            made.text(block_of(number), text.as_bytes());
        }
        let mut writer = Writer::default();
        made.write(&mut writer);
        assert_eq!(SIDECAR_VERSION, 2);
        let key =
            SegmentKey { salt: 1, base_seq: 0, until_seq: 9, end: 9, last_offset: 0, last_crc: 0 };
        let sidecar = Sidecar::from_made(writer.finish(&key));
        let grams = sidecar.grams().unwrap().expect("texts were added");
        let block_count = block_of(40_000) as usize / GRAM_BLOCK_BYTES + 1;
        let has = |found: &[u64], block: usize| found[block / 64] >> (block % 64) & 1 == 1;
        let mut found_count = 0;
        for number in (0..40_000u32).step_by(371) {
            let needle = Needle::exact(format!("note {} ", number * 7_919).as_bytes());
            let found = grams.blocks(&needle);
            assert!(has(&found, block_of(number) as usize / GRAM_BLOCK_BYTES), "{number}");
            found_count += (0..block_count).filter(|block| has(&found, *block)).count();
        }
        assert!(found_count < 108 * block_count / 2, "{found_count} of {}", 108 * block_count);
        assert!(has(&grams.blocks(&Needle::caseless("ÄNNE, Said".as_bytes())), 3));
        let none = grams.blocks(&Needle::exact(b"zebra"));
        assert!((0..block_count).all(|block| !has(&none, block)));
        assert!(Needle::caseless(b"ks").is_empty() && Needle::exact(b"ab").is_empty());
    }
}
