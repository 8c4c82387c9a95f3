//! One pass over one segment, for who wants every record and keeps none.

use super::{POPULATE_BYTES, ProblemKind, populate};
use crate::log::batch::{BATCH_HEADER_BYTES, BATCH_LEN_MAX, records};
use crate::log::format::SEGMENT_HEADER_BYTES;
use crate::log::record::RawRecord;
use crate::log::recovery::{Ending, SegmentScan};
use memmap2::{Mmap, UncheckedAdvice};
use std::fs::File;
use std::path::Path;

/// Calls `each` for every record of a segment, names included, in order: with its sequence number
/// and the place of its header. A batch is checked just before, so that its records are in the
/// cache; what was walked is given back, so that a pass never holds more than some megabytes.
///
/// The segment is read as far as it is whole, as [`SegmentScan::finish`] has it.
pub fn walk(
    path: &Path,
    each: impl FnMut(u64, u32, &RawRecord<'_>),
) -> Result<SegmentScan, ProblemKind> {
    walk_file(&File::open(path).map_err(ProblemKind::Unreadable)?, None, each)
}

/// As [`walk`], of a file that is open: it may have lost its name to another one. What is whole as
/// far as `written` is not followed by anything, its living writer says, so nothing is looked for:
/// most of a young segment is zeros, and to see that they are costs more than its records.
pub(in crate::log) fn walk_file(
    file: &File,
    written: Option<u32>,
    mut each: impl FnMut(u64, u32, &RawRecord<'_>),
) -> Result<SegmentScan, ProblemKind> {
    // SAFETY: the file is only ever appended to inside its fixed size, by a server that keeps
    // whole batches unchanged; bytes outside whole batches are read as plain integers only.
    let map = unsafe { Mmap::map(file) }.map_err(ProblemKind::Unreadable)?;
    populate(&map, 0, SEGMENT_HEADER_BYTES).map_err(ProblemKind::Unreadable)?;
    let mut scan = SegmentScan::begin(&map).map_err(ProblemKind::Header)?;
    let mut walked_count = 0;
    loop {
        let begin = scan.end as usize;
        let end = (begin + POPULATE_BYTES + BATCH_LEN_MAX).min(map.len());
        // The system will not give these pages: what is behind them is not read.
        if populate(&map, begin, end).is_err() {
            break;
        }
        scan.extend(&map[..end]);
        if scan.end as usize == begin {
            break;
        }
        walk_batches(&map, &scan, &mut walked_count, &mut each);
        give_back(&map, begin, scan.end as usize);
    }
    let end = scan.end;
    let is_whole = scan.ending == Ending::Sealed || written.is_some_and(|written| end >= written);
    if !is_whole && populate(&map, end as usize, map.len()).is_ok() {
        scan.finish(&map);
    }
    walk_batches(&map, &scan, &mut walked_count, &mut each);
    Ok(scan)
}

fn walk_batches(
    map: &Mmap,
    scan: &SegmentScan,
    walked_count: &mut usize,
    each: &mut impl FnMut(u64, u32, &RawRecord<'_>),
) {
    for place in &scan.batches[*walked_count..] {
        let mut offset = place.offset + BATCH_HEADER_BYTES as u32;
        let bytes = &map[place.offset as usize..(place.offset + place.len) as usize];
        for (seq, record) in (place.base_seq..).zip(records(bytes, place.count)) {
            each(seq, offset, &record);
            offset += record.header.stride() as u32;
        }
    }
    *walked_count = scan.batches.len();
}

/// Takes pages out of the process; the kernel keeps them as long as it likes.
pub(in crate::log) fn give_back(map: &Mmap, begin: usize, end: usize) {
    let begin = begin.next_multiple_of(4_096);
    if begin < end {
        // SAFETY: the map is read-only and of a file, so its pages come back as they are.
        let _ =
            unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, begin, end - begin) };
    }
}
