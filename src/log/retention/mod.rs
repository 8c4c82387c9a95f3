//! What is kept for how long: whole segments by age and by size, texts of single rooms by age.
//!
//! ```text
//! | seg 0 | seg 1 | seg 2 | seg 3 | seg 4 | seg 5 (open) |       2 snapshots: at seg 3, at seg 4
//!  ╰─ too old or too many ─╯
//!  ╰── in both snapshots ──╯  => unlinked, oldest first; nothing is ever cut short
//! ```
//!
//! A segment goes only when every snapshot that a start may fall back to knows what it said: rooms
//! keep their positions, members and topics. So without a snapshot nothing goes. Readers take a
//! missing oldest file for what it is.

mod rooms;

#[cfg(test)]
mod tests;

pub use rooms::{RoomKeep, RoomSweep, RoomSwept};

use super::directory::{LogError, list_extension, list_segments, remove_if_there, sync_dir};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::snapshot;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Segments unlinked in one sweep: giving back space can take milliseconds each.
const SEGMENTS_PER_SWEEP: usize = 64;

/// What is kept; `None` is everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// Segments whose last record is older than so many microseconds may go.
    pub age_us: Option<i64>,
    /// Beyond so many bytes on disk, of all files of the log, the oldest segments may go.
    pub bytes: Option<u64>,
}

/// What a sweep did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Segments that are gone.
    pub segment_count: usize,
    /// Bytes on disk that they took.
    pub bytes: u64,
    /// Segments that would have gone but are in no pair of snapshots yet.
    pub held_count: usize,
}

/// A segment before it is judged.
struct Candidate {
    path: PathBuf,
    /// Begin of the segment behind it.
    end_seq: u64,
    /// When that one was made: no record here is younger.
    end_us: i64,
    bytes: u64,
}

/// Unlinks what is too old or too much. `now_us` is the wall clock; after a clock that jumped
/// forwards nothing comes back, so an operator who keeps by age should keep the clock in order.
pub fn sweep(log_dir: &Path, keep: Keep, now_us: i64) -> Result<Swept, LogError> {
    if keep == Keep::default() {
        return Ok(Swept::default());
    }
    let candidates = candidates(log_dir)?;
    let mut excess = match keep.bytes {
        Some(bytes) => bytes_on_disk(log_dir)?.saturating_sub(bytes),
        None => 0,
    };
    let oldest_us = keep.age_us.map_or(i64::MIN, |age_us| now_us.saturating_sub(age_us));
    // From the oldest on: a hole in the middle would be damage.
    let mut going = Vec::new();
    for candidate in candidates {
        if candidate.end_us >= oldest_us && excess == 0 {
            break;
        }
        excess = excess.saturating_sub(candidate.bytes);
        going.push(candidate);
    }
    if going.is_empty() {
        return Ok(Swept::default());
    }
    let covered_seq = snapshot::covered_seq(log_dir)?.unwrap_or(0);
    let all = going.len();
    going.retain(|candidate| candidate.end_seq <= covered_seq);
    let mut swept = Swept { held_count: all - going.len(), ..Swept::default() };
    for candidate in going.iter().take(SEGMENTS_PER_SWEEP) {
        remove_if_there(&candidate.path)?;
        remove_if_there(&candidate.path.with_extension("idx"))?;
        swept.segment_count += 1;
        swept.bytes += candidate.bytes;
    }
    sync_dir(log_dir)?;
    Ok(swept)
}

/// Every segment but the newest, oldest first. A damaged header must not keep all that is older:
/// the first segment behind that can be read says when it ended at the latest.
fn candidates(log_dir: &Path) -> Result<Vec<Candidate>, LogError> {
    let segments = list_segments(log_dir)?;
    let mut found = Vec::new();
    for (index, pair) in segments.windows(2).enumerate() {
        let ((_, path), (end_seq, _)) = (&pair[0], &pair[1]);
        let Some(end_us) = segments[index + 1..].iter().find_map(|(_, next)| created_us(next))
        else {
            break;
        };
        let bytes = blocks(path) + blocks(&path.with_extension("idx"));
        found.push(Candidate { path: path.clone(), end_seq: *end_seq, end_us, bytes });
    }
    Ok(found)
}

fn created_us(segment: &Path) -> Option<i64> {
    let mut page = [0; SEGMENT_HEADER_BYTES];
    File::open(segment).ok()?.read_exact_at(&mut page, 0).ok()?;
    SegmentHeader::decode(&page).ok().map(|header| header.created_us)
}

/// Bytes that all files of the log take on the disk.
pub fn bytes_on_disk(log_dir: &Path) -> Result<u64, LogError> {
    let mut bytes = 0;
    for extension in ["seg", "idx", "snap"] {
        bytes += list_extension(log_dir, extension)?.iter().map(|path| blocks(path)).sum::<u64>();
    }
    Ok(bytes)
}

/// A file has its full size from birth, but a sealed one gave back what it did not need.
fn blocks(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |data| data.blocks() * 512)
}
