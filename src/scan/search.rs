//! Looks for texts in the raw bytes of a segment.
//!
//! ```text
//!  grams of the sidecar ─▶ blocks that may hold it ─▶ memmem over their bytes ─▶ which row?
//!                                                                 is it in its text? ◀──┘
//! ```
//!
//! What is found is a row; its bytes are checked when they are shown.

use super::engine::View;
use crate::base::limits::RECORD_BYTES_MAX;
use crate::log::record::RawRecord;
use crate::log::sidecar::{GRAM_BLOCK_BYTES, Needle, TableKind};
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use rkyv::rend::u32_le;
use std::ops::Range;

/// What is looked for.
#[derive(Debug)]
pub(super) struct Pattern {
    how: How,
    /// What every text with a match has.
    needle: Needle,
}

#[derive(Debug)]
enum How {
    /// These bytes.
    Bytes(Box<Finder<'static>>),
    /// A match of this.
    Regex(Regex),
}

/// Segment bytes that are searched at a time, so that they are still in the cache.
const STRETCH_BLOCKS: usize = (256 << 10) / GRAM_BLOCK_BYTES;

impl Pattern {
    /// `regex`: `text` is a regular expression; `caseless`: case does not matter.
    pub(super) fn new(text: &str, regex: bool, caseless: bool) -> Result<Self, String> {
        if !regex && !caseless {
            let how = How::Bytes(Box::new(Finder::new(text).into_owned()));
            return Ok(Self { how, needle: Needle::exact(text.as_bytes()) });
        }
        let escaped = if regex { text.to_owned() } else { regex::escape(text) };
        let built = RegexBuilder::new(&escaped).case_insensitive(caseless).build();
        let built = built.map_err(|error| format!("PATTERN is no regular expression: {error}"))?;
        let needle = if regex { Needle::default() } else { Needle::caseless(text.as_bytes()) };
        Ok(Self { how: How::Regex(built), needle })
    }
}

/// The wanted messages that match, ascending.
pub(super) fn find(view: &View<'_>, pattern: &Pattern) -> Vec<usize> {
    let table = view.table(TableKind::Messages);
    let mut found = Vec::new();
    if table.len() == 0 {
        return found;
    }
    let offs = table.offs();
    let candidates = candidates(view, pattern);
    let mut buffer = Vec::new();
    for rows in table.ranges() {
        for stretch in stretches(rows.clone(), offs, candidates.as_deref()) {
            let begin = offs[stretch.start].to_native();
            // A record of another kind may be behind the last one.
            let last_end = offs[stretch.end - 1].to_native() + RECORD_BYTES_MAX as u32;
            let end = offs.get(stretch.end).map_or(last_end, |next| next.to_native().min(last_end));
            if let Some(raw) = view.segment().read(begin, end, &mut buffer) {
                search(raw, pattern, offs, stretch, &mut found);
            }
        }
    }
    found
}

/// A bit for each block that may hold a match; `None`: the sidecar cannot tell.
fn candidates(view: &View<'_>, pattern: &Pattern) -> Option<Vec<u64>> {
    if pattern.needle.is_empty() || !view.segment().has_sidecar() {
        return None;
    }
    view.segment().ask(|sidecar| Ok(sidecar.grams()?.map(|grams| grams.blocks(&pattern.needle))))
}

/// Cuts `rows` into runs that lie in neighbouring candidate blocks.
fn stretches(
    rows: Range<usize>,
    offs: &[u32_le],
    candidates: Option<&[u64]>,
) -> impl Iterator<Item = Range<usize>> {
    let block_of = move |row: usize| offs[row].to_native() as usize / GRAM_BLOCK_BYTES;
    let wanted = move |block: usize| {
        candidates.is_none_or(|words| {
            words.get(block / 64).is_some_and(|word| word >> (block % 64) & 1 == 1)
        })
    };
    // First of `rows` behind a block: it is near.
    let behind = move |block: usize, rows: Range<usize>| {
        let end = ((block + 1) * GRAM_BLOCK_BYTES) as u64;
        let is_before = |off: &u32_le| u64::from(off.to_native()) < end;
        let mut reach = 64;
        while reach < rows.len() && is_before(&offs[rows.start + reach]) {
            reach *= 2;
        }
        let near = &offs[rows.start..rows.end.min(rows.start + reach)];
        rows.start + near.partition_point(is_before)
    };
    let mut left = rows;
    std::iter::from_fn(move || {
        while !left.is_empty() && !wanted(block_of(left.start)) {
            left.start = behind(block_of(left.start), left.clone());
        }
        if left.is_empty() {
            return None;
        }
        let begin = left.start;
        let first = block_of(begin);
        let mut last = first;
        left.start = behind(first, left.clone());
        while !left.is_empty() && last + 1 < first + STRETCH_BLOCKS {
            if block_of(left.start) != last + 1 || !wanted(last + 1) {
                break;
            }
            last += 1;
            left.start = behind(last, left.clone());
        }
        Some(begin..left.start)
    })
}

/// `raw` begins with the first of `rows`.
fn search(
    raw: &[u8],
    pattern: &Pattern,
    offs: &[u32_le],
    rows: Range<usize>,
    found: &mut Vec<usize>,
) {
    let begin = offs[rows.start].to_native();
    let at = |row: usize| (offs[row].to_native() - begin) as usize;
    let text = |row: usize| RawRecord::split(raw.get(at(row)..)?)?.0.message_text();
    match &pattern.how {
        How::Regex(regex) => {
            found.extend(rows.filter(|row| text(*row).is_some_and(|text| regex.is_match(text))));
        }
        How::Bytes(finder) if finder.needle().is_empty() => found.extend(rows),
        How::Bytes(finder) => {
            let mut from = 0;
            let mut next_row = rows.start;
            while let Some(hit) = finder.find(raw.get(from..).unwrap_or_default()) {
                let hit = from + hit;
                // The row is near: look twice as far until it is passed.
                let mut reach = 1;
                while next_row + reach < rows.end && at(next_row + reach) <= hit {
                    reach *= 2;
                }
                let ahead = &offs[next_row..(next_row + reach).min(rows.end)];
                let behind = ahead.partition_point(|off| (off.to_native() - begin) as usize <= hit);
                let row = next_row + behind.saturating_sub(1);
                // The bytes may also stand in another record, or beside the text.
                // An empty text, as an erasure leaves it, stands nowhere.
                let is_inside = text(row).filter(|text| !text.is_empty()).is_some_and(|text| {
                    let start = text.as_ptr().addr() - raw.as_ptr().addr();
                    hit >= start && hit + finder.needle().len() <= start + text.len()
                });
                if !is_inside {
                    from = hit + 1;
                    continue;
                }
                found.push(row);
                next_row = row + 1;
                if next_row >= rows.end {
                    return;
                }
                from = at(next_row);
            }
        }
    }
}
