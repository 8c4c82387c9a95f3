//! Where events come from: the log, from any place in it on.

use super::event::{self, Wanted};
use crate::log::format::SegmentHeader;
use crate::log::reader::{ProblemKind, Segment};
use crate::log::{Entry, Log, LogError, Trust};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// An event, or a hole in the log, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its number in the log.
    pub seq: u64,
    /// Behind it.
    pub next: u64,
    /// When it happened, ms since 1970; `None` for a hole.
    pub ts_ms: Option<i64>,
    /// The event.
    pub json: String,
}

/// A log of which some records are wanted.
pub trait Source {
    /// Number of the first record that does not count yet: it is not there, or not durable.
    fn end(&self) -> u64;

    /// Gives what is wanted of `from..until`, in order, until `each` says `false` or this has read
    /// enough for one turn. Returns the number up to which nothing is left to give; `from` itself
    /// when there is nothing, or when it cannot be read just now.
    fn read(
        &mut self,
        from: u64,
        until: u64,
        wanted: &Wanted,
        each: &mut dyn FnMut(Found) -> bool,
    ) -> u64;

    /// The first record of that time or later, µs since 1970.
    fn since(&mut self, ts_us: i64) -> u64;

    /// The oldest record there is.
    fn begin(&mut self) -> u64;
}

/// Records looked at in one call, so that a long way behind does not stop the others.
const RECORDS_PER_READ: usize = 20_000;
/// Segments held at the end; when there are more, the oldest are let go.
const TAIL_SEGMENTS_MAX: usize = 3;

/// The log of a running server, read through maps.
///
/// Subscriptions that keep up share the newest segments; for those that lag one older segment is
/// held at a time. Segments that retention or an erasure took away are let go by
/// [`LogSource::refresh`].
#[derive(Debug)]
pub struct LogSource {
    log_dir: PathBuf,
    tail: Log,
    old: Option<Old>,
    end: u64,
}

#[derive(Debug)]
struct Old {
    segment: Segment,
    /// Where the segment behind it begins: what stands beyond that does not count here.
    until: u64,
}

impl LogSource {
    /// Opens the newest end of a log.
    pub fn open(log_dir: &Path) -> Result<Self, LogError> {
        let tail = open_tail(log_dir)?;
        Ok(Self { log_dir: log_dir.to_path_buf(), tail, old: None, end: 0 })
    }

    /// Looks for what came. Records below `durable` count; `None`: all that are written.
    pub fn refresh(&mut self, durable: Option<u64>) -> Result<(), LogError> {
        self.tail.refresh()?;
        if self.tail.segments().len() > TAIL_SEGMENTS_MAX {
            self.tail = open_tail(&self.log_dir)?;
        }
        let written = self.tail.next_seq();
        self.end = durable.map_or(written, |durable| durable.min(written));
        Ok(())
    }

    /// Lets go of an older segment: its file may have been replaced or removed.
    pub fn forget_old(&mut self) {
        self.old = None;
    }

    /// Lets go of all segments: an erasure has replaced some of them.
    pub fn reopen(&mut self) -> Result<(), LogError> {
        self.old = None;
        self.tail = open_tail(&self.log_dir)?;
        Ok(())
    }

    fn tail_begin(&self) -> u64 {
        self.tail.segments().first().map_or(u64::MAX, |first| first.scan().header.base_seq)
    }

    /// Makes `old` the segment that holds `seq`. Else gives where the first one behind begins, or
    /// `seq` itself when the system refuses to give the file now.
    fn find_old(&mut self, seq: u64) -> Result<&Old, u64> {
        let holds = |old: &Old| (old.segment.scan().header.base_seq..old.until).contains(&seq);
        if !self.old.as_ref().is_some_and(holds) {
            self.old = None;
            let bases = segment_bases(&self.log_dir);
            let behind = bases.partition_point(|base| *base <= seq);
            let until = bases.get(behind).copied().unwrap_or_else(|| self.tail_begin());
            let base = behind.checked_sub(1).map(|index| bases[index]).ok_or(until)?;
            let path = self.log_dir.join(SegmentHeader::file_name(base));
            let segment = Segment::open_alone(&path, Trust::Checksum);
            let segment = segment.map_err(|problem| match problem {
                ProblemKind::Unreadable(error) if error.kind() != ErrorKind::NotFound => seq,
                _ => until,
            })?;
            self.old = Some(Old { segment, until });
        }
        Ok(self.old.as_ref().expect("found or opened"))
    }
}

impl Source for LogSource {
    fn end(&self) -> u64 {
        self.end
    }

    fn read(
        &mut self,
        from: u64,
        until: u64,
        wanted: &Wanted,
        each: &mut dyn FnMut(Found) -> bool,
    ) -> u64 {
        let until = until.min(self.end);
        if from >= until {
            return from;
        }
        let mut walk = Walk { at: from, until, left: RECORDS_PER_READ, wanted, each };
        if from >= self.tail_begin() {
            let entries = self.tail.entries_from(self.tail.cursor_at(from));
            walk.go(entries);
            // What is written is read to its end; what then is missing is a hole.
            return walk.at;
        }
        match self.find_old(from) {
            Ok(old) => {
                walk.until = until.min(old.until);
                walk.go(old.segment.entries_at(from));
            }
            // Retention took it, or it is damaged beyond reading.
            Err(next) => {
                walk.until = until.min(next);
                walk.close();
            }
        }
        walk.at
    }

    fn since(&mut self, ts_us: i64) -> u64 {
        let mut bases = segment_bases(&self.log_dir);
        let end = self.end;
        // From the newest segment back to the one that begins before that time.
        while let Some(base) = bases.pop() {
            let path = self.log_dir.join(SegmentHeader::file_name(base));
            let Ok(segment) = Segment::open_alone(&path, Trust::Checksum) else { continue };
            let begun_us = segment.entries().find_map(|entry| entry.ts_us());
            if begun_us.is_none_or(|begun_us| begun_us >= ts_us) && !bases.is_empty() {
                continue;
            }
            let late = |entry: &Entry<'_>| entry.ts_us().is_some_and(|ts| ts >= ts_us);
            let found = segment.entries().find(late).map(|entry| entry.seq);
            return found.unwrap_or(segment.scan().next_seq).min(end);
        }
        end
    }

    fn begin(&mut self) -> u64 {
        segment_bases(&self.log_dir).first().copied().unwrap_or(0)
    }
}

/// One read under way.
struct Walk<'a> {
    at: u64,
    until: u64,
    /// Records that it may still look at.
    left: usize,
    wanted: &'a Wanted,
    each: &'a mut dyn FnMut(Found) -> bool,
}

impl Walk<'_> {
    fn go<'e>(&mut self, entries: impl Iterator<Item = Entry<'e>>) {
        for entry in entries {
            if entry.seq < self.at {
                continue;
            }
            if entry.seq >= self.until {
                break;
            }
            if entry.seq > self.at && !self.tell_gap(entry.seq) {
                return;
            }
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            self.at = entry.seq + 1;
            if self.wanted.fits(&entry)
                && let Some(json) = event::event(&entry)
            {
                let ts_ms = entry.ts_us().map(|ts_us| ts_us.div_euclid(1_000));
                if !(self.each)(Found { seq: entry.seq, next: self.at, ts_ms, json }) {
                    return;
                }
            }
        }
        self.close();
    }

    /// What is missing up to the end of the walk is gone.
    fn close(&mut self) {
        if self.at < self.until {
            self.tell_gap(self.until);
        }
    }

    fn tell_gap(&mut self, to: u64) -> bool {
        let from = std::mem::replace(&mut self.at, to);
        (self.each)(Found { seq: from, next: to, ts_ms: None, json: event::gap(from, to) })
    }
}

/// The newest segment, and what comes behind it.
fn open_tail(log_dir: &Path) -> Result<Log, LogError> {
    let newest = segment_bases(log_dir).pop().unwrap_or(0);
    Log::open_from(log_dir, Trust::Checksum, newest)
}

/// First sequence numbers of the segments that are there, ascending. A directory that cannot be
/// listed now is listed later.
fn segment_bases(log_dir: &Path) -> Vec<u64> {
    let Ok(files) = std::fs::read_dir(log_dir) else { return Vec::new() };
    let base = |file: std::io::Result<std::fs::DirEntry>| {
        SegmentHeader::parse_file_name(file.ok()?.file_name().to_str()?)
    };
    let mut bases: Vec<u64> = files.filter_map(base).collect();
    bases.sort_unstable();
    bases
}
