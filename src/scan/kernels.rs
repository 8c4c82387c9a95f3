//! The inner loops of the reports that people ask most: over columns, without a branch per row.

use super::engine::Table;
use crate::log::sidecar::{Codes, Column, NameSet};

/// Minutes that a table may span to be counted in an array: 2 years.
const MINUTES_DENSE_MAX: i64 = 1 << 20;
const MINUTE_US: i64 = 60_000_000;

/// Wanted rows by minute since 1970, ascending; minutes without rows are left out.
pub(super) fn per_minute(table: &Table<'_>) -> Vec<(i64, u32)> {
    if table.len() == 0 {
        return Vec::new();
    }
    let times = table.times();
    let floor = times.blocks().map(|(_, floor, _)| floor).min().unwrap_or(0);
    let top = times.blocks().map(|(_, _, top)| top).max().unwrap_or(0);
    let first = floor.div_euclid(MINUTE_US);
    let span = top.div_euclid(MINUTE_US).saturating_sub(first);
    if span >= MINUTES_DENSE_MAX {
        return per_minute_sparse(table);
    }
    let first_us = first * MINUTE_US;
    let mut counts = vec![0u32; span as usize + 1];
    for range in table.ranges() {
        times.each(range.clone(), |_, ts_us| {
            counts[((ts_us - first_us) as u64 / MINUTE_US as u64) as usize] += 1;
        });
    }
    let minutes = (first..).zip(counts);
    minutes.filter(|(_, count)| *count > 0).collect()
}

/// A clock jumped by years: few rows are far away, but they are.
fn per_minute_sparse(table: &Table<'_>) -> Vec<(i64, u32)> {
    let times = table.times();
    let mut counts = std::collections::BTreeMap::new();
    for range in table.ranges() {
        times.each(range.clone(), |_, ts_us| {
            *counts.entry(ts_us.div_euclid(MINUTE_US)).or_default() += 1;
        });
    }
    counts.into_iter().collect()
}

/// Wanted rows by code of a name; as long as `name_count`.
pub(super) fn per_code(table: &Table<'_>, set: NameSet, name_count: usize) -> Vec<u32> {
    let mut counts = vec![0u32; name_count];
    if table.len() == 0 {
        return counts;
    }
    let codes = table.codes(set);
    for range in table.ranges() {
        match codes {
            Codes::Narrow(codes) => {
                for code in &codes[range.clone()] {
                    counts[usize::from(code.to_native())] += 1;
                }
            }
            Codes::Wide(codes) => {
                for code in &codes[range.clone()] {
                    counts[code.to_native() as usize] += 1;
                }
            }
        }
    }
    counts
}

/// Wanted messages by size of their text in bytes, up to the greatest: exact, so that percentiles
/// are.
pub(super) fn per_size(table: &Table<'_>) -> Vec<u32> {
    if table.len() == 0 {
        return Vec::new();
    }
    let sizes = table.u16s(Column::Size);
    // One loop over all in the width of the column: short lists are cheap to make and to add up.
    let greatest = sizes.iter().map(|size| size.to_native()).max().unwrap_or(0);
    let mut counts = vec![0u32; usize::from(greatest) + 1];
    for range in table.ranges() {
        for size in &sizes[range.clone()] {
            counts[usize::from(size.to_native())] += 1;
        }
    }
    counts
}
