//! Reads a log through read-only maps: the whole of it, from a cursor on, or one record by place.
//!
//! Works the same on the directory of a running server and on a copy. What may be read is decided
//! by checksums alone ([`recovery`]), never by the size of a file: behind the last whole batch of a
//! live segment stand zeros or half a batch, and [`Log::refresh`] looks again.
//!
//! A batch that was once whole never changes, so a reference into a map stays true. That holds by
//! protocol, not by the type system: nothing but a running server may write in the directory.

use super::batch::{BATCH_HEADER_BYTES, BATCH_LEN_MAX};
use super::directory::{Listed, LogError, list_files};
use super::format::{HeaderError, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::names::{NamePlace, NameTable};
use super::record::{Kind, NameId, NameKind, RawRecord, RecordView};
use super::recovery::{BatchPlace, Ending, SegmentScan};
use memmap2::{Advice, Mmap};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod entries;
mod walk;

pub(super) use walk::{give_back, walk_file};

pub use walk::walk;

pub use entries::{Cursor, Entries, Entry, RecordPosition, UNKNOWN_NAME};

/// Pages are asked for this many bytes ahead, so that a file that was cut short or cannot be read
/// is an error here and not a signal later.
const POPULATE_BYTES: usize = 2 << 20;
/// A segment that its writer gives up is away for a moment: so often it is looked for again,
const CHANGING_RETRIES: u32 = 10;
/// after so long. One that stays without a header was never finished.
const CHANGING_PAUSE: Duration = Duration::from_millis(1);

/// How much of a record is proved before it is read in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The checksum of its batch: for a directory that only this server wrote.
    Checksum,
    /// The archive is validated too: for files from anywhere.
    Validate,
}

/// A log, as far as it was whole at the last look.
#[derive(Debug)]
pub struct Log {
    log_dir: PathBuf,
    trust: Trust,
    segments: Vec<Segment>,
    problems: Vec<Problem>,
    /// The newest file looked at, readable or not.
    newest_seq: Option<u64>,
}

/// A file of the log that cannot be read as one.
#[derive(Debug)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: ProblemKind,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum ProblemKind {
    /// Its header cannot be read.
    Header(HeaderError),
    /// Its name and its header disagree.
    Misnamed(u64),
    /// It is named by its successor and not there.
    Gone,
    /// Its successor begins behind so many records that it should hold and does not.
    Short(u64),
    /// The system refused to give its bytes.
    Unreadable(io::Error),
}

impl ProblemKind {
    /// Whether records that were once durable may be lost by it.
    pub fn is_loss(&self) -> bool {
        !matches!(self, Self::Header(HeaderError::Unborn))
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: ", self.path.display())?;
        match &self.what {
            ProblemKind::Header(error) => write!(out, "{error}"),
            ProblemKind::Misnamed(seq) => write!(out, "its header says it begins at {seq}"),
            ProblemKind::Gone => write!(out, "the file is missing"),
            ProblemKind::Short(count) => {
                write!(out, "{count} records at its end are missing; the next file follows them")
            }
            ProblemKind::Unreadable(error) => write!(out, "{error}"),
        }
    }
}

/// One mapped segment.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    map: Mmap,
    scan: SegmentScan,
    names: NameTable,
    /// Number of batches whose names are in `names`.
    named_count: usize,
    trust: Trust,
    /// The file that is mapped.
    inode: u64,
    /// How often another file was put in its place, and whether the last one was no rewrite of it.
    generation: u32,
    is_other: bool,
}

impl Log {
    /// Maps every segment of `log_dir` and finds what of it is the log. Files that cannot be read
    /// are in [`Log::problems`]; only a directory that cannot be listed is an error.
    pub fn open(log_dir: &Path, trust: Trust) -> Result<Self, LogError> {
        Self::open_from(log_dir, trust, 0)
    }

    /// As [`Log::open`], leaving out the segments that begin before `seq`.
    pub fn open_from(log_dir: &Path, trust: Trust, seq: u64) -> Result<Self, LogError> {
        let mut log = Self {
            log_dir: log_dir.to_path_buf(),
            trust,
            segments: Vec::new(),
            problems: Vec::new(),
            newest_seq: seq.checked_sub(1),
        };
        log.refresh()?;
        if let Some(last) = log.segments.last_mut() {
            last.finish();
        }
        Ok(log)
    }

    /// Looks for batches and segments that came since the last look. `true` if there are any.
    pub fn refresh(&mut self) -> Result<bool, LogError> {
        let before = self.end();
        for attempt in 0..=CHANGING_RETRIES {
            if self.look(attempt == CHANGING_RETRIES)? {
                break;
            }
            std::thread::sleep(CHANGING_PAUSE);
        }
        Ok(self.end() != before)
    }

    /// One look. `false`: a segment with a successor is gone or has no header yet, because its
    /// writer gave it up and puts another in its place, and it is not the `last` look.
    fn look(&mut self, last_look: bool) -> Result<bool, LogError> {
        // The listing comes first: a segment that has a successor in it has no writer any more.
        let mut listed = list_files(&self.log_dir)?;
        self.replace(&listed);
        let newest_seq = self.newest_seq;
        listed.retain(|file| newest_seq.is_none_or(|newest| file.base_seq > newest));
        if let Some(last) = self.segments.last_mut() {
            if listed.is_empty() {
                last.extend();
            } else {
                last.finish();
            }
        }
        let fresh_count = listed.len();
        for (index, file) in listed.into_iter().enumerate() {
            let newest = index + 1 == fresh_count;
            if !self.add(file, newest, last_look)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How often a file was met in the place of another one. Every [`RecordPosition`] in such a
    /// segment from before is void; a [`Cursor`] finds its place again.
    pub fn replaced_count(&self) -> u32 {
        self.segments.iter().map(|segment| segment.generation).sum()
    }

    /// Maps what was put in the place of a mapped file: by erasure, which keeps every sequence
    /// number, or by a writer that gave up a segment before anything of it was durable.
    fn replace(&mut self, listed: &[Listed]) {
        let count = self.segments.len();
        for index in 0..count {
            let segment = &self.segments[index];
            let base_seq = segment.scan.header.base_seq;
            let found = listed.binary_search_by_key(&base_seq, |file| file.base_seq);
            let Some(file) = found.ok().map(|at| &listed[at]) else { continue };
            if file.inode == segment.inode {
                continue;
            }
            // Unreadable now: the next look decides. The old map stays good.
            let Ok(mut fresh) = Segment::open(&file.path, self.trust) else { continue };
            if fresh.scan.header.base_seq != base_seq {
                continue;
            }
            fresh.generation = segment.generation + 1;
            fresh.is_other = fresh.scan.header.created_us != segment.scan.header.created_us;
            if let Some(next) = self.segments.get(index + 1) {
                fresh.finish();
                fresh.yield_to(&next.scan.header);
            }
            self.segments[index] = fresh;
        }
    }

    /// Where the segments are.
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// Files that could not be read as a segment.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Every record, in the order of the log.
    pub fn entries(&self) -> Entries<'_> {
        self.entries_from(Cursor::default())
    }

    /// Every record behind `cursor`.
    pub fn entries_from(&self, cursor: Cursor) -> Entries<'_> {
        Entries::new(&self.segments, cursor)
    }

    /// Every record of one segment.
    pub fn entries_of(&self, segment: usize) -> Entries<'_> {
        Entries::new(&self.segments[..=segment], Cursor::before(segment))
    }

    /// The place behind the last record.
    pub fn end(&self) -> Cursor {
        Cursor::behind(&self.segments)
    }

    /// The place before the batch that holds the record `seq`, or behind the last one.
    pub fn cursor_at(&self, seq: u64) -> Cursor {
        let begun = |segment: &Segment| segment.scan.header.base_seq <= seq;
        let behind = self.segments.partition_point(begun);
        match behind.checked_sub(1) {
            Some(index) if seq < self.next_seq() => Cursor::at(&self.segments[index], index, seq),
            Some(_) => self.end(),
            None => Cursor::default(),
        }
    }

    /// The record at a place that an [`Entry`] of this value gave; `None` for any other place that
    /// holds none.
    pub fn at(&self, position: RecordPosition) -> Option<Entry<'_>> {
        let segment = self.segments.get(position.segment as usize)?;
        segment.at(position)
    }

    /// Sequence number behind the last record that can be read; 0 for an empty log.
    pub fn next_seq(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.scan.next_seq)
    }

    /// `false`: look again.
    fn add(&mut self, file: Listed, newest: bool, last_look: bool) -> Result<bool, LogError> {
        let base_seq = file.base_seq;
        let what = match Segment::open(&file.path, self.trust) {
            Ok(segment) if segment.scan.header.base_seq != base_seq => {
                ProblemKind::Misnamed(segment.scan.header.base_seq)
            }
            Ok(mut segment) => {
                self.check_predecessor(&segment);
                if !newest {
                    segment.finish();
                }
                self.check_end(&segment);
                if let Some(last) = self.segments.last_mut() {
                    last.yield_to(&segment.scan.header);
                }
                self.segments.push(segment);
                self.newest_seq = Some(base_seq);
                return Ok(true);
            }
            // A live server makes the file before its header: look again next time.
            Err(ProblemKind::Header(HeaderError::Unborn)) if newest => return Ok(true),
            Err(ProblemKind::Header(HeaderError::Unborn)) if !last_look => return Ok(false),
            // Gone since it was listed: retention took it, or its writer gave it up and is about
            // to make another one of this name.
            Err(ProblemKind::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(newest || last_look);
            }
            Err(what) => what,
        };
        self.problems.push(Problem { path: file.path, what });
        self.newest_seq = Some(base_seq);
        Ok(true)
    }

    /// Zeros are the end of what was written, unless the successor says that more was.
    fn check_end(&mut self, next: &Segment) {
        let Some(last) = self.segments.last() else {
            return;
        };
        let (begin, end) = (last.scan.header.base_seq, last.scan.next_seq);
        let header = &next.scan.header;
        if header.prev_base_seq == Some(begin) && end < header.base_seq {
            let what = ProblemKind::Short(header.base_seq - end);
            self.problems.push(Problem { path: last.path.clone(), what });
        }
    }

    /// Retention takes the oldest files, so a hole is only a hole behind a file that is there.
    fn check_predecessor(&mut self, segment: &Segment) {
        let Some(prev) = segment.scan.header.prev_base_seq else {
            return;
        };
        let older = self.segments.last().map(|older| older.scan.header.base_seq);
        if self.newest_seq.is_some_and(|newest| newest < prev) && older != Some(prev) {
            let name = SegmentHeader::file_name(prev);
            let path = self.log_dir.join(name);
            self.problems.push(Problem { path, what: ProblemKind::Gone });
        }
    }
}

/// Damage that costs no record by itself: the next one might.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentFault {
    /// One of the two copies of the segment header.
    HeaderCopy,
    /// The file is shorter than it was made. What stood behind its end is gone, and may have been
    /// records: a cut between two batches leaves no other trace.
    Short {
        /// Bytes it has.
        file_bytes: u64,
        /// Bytes it was made with.
        made_bytes: u64,
    },
}

impl fmt::Display for SegmentFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeaderCopy => write!(out, "one of the two copies of the header is damaged"),
            Self::Short { file_bytes, made_bytes } => {
                write!(out, "the file was cut to {file_bytes} of its {made_bytes} bytes")
            }
        }
    }
}

impl Segment {
    /// Maps a file and finds what of it is the log now.
    pub(super) fn open(path: &Path, trust: Trust) -> Result<Self, ProblemKind> {
        let file = File::open(path).map_err(ProblemKind::Unreadable)?;
        let size = file.metadata().map_err(ProblemKind::Unreadable)?.len();
        if size < SEGMENT_HEADER_BYTES as u64 {
            let what = if size == 0 { HeaderError::Unborn } else { HeaderError::Cut };
            return Err(ProblemKind::Header(what));
        }
        // SAFETY: the file is only ever appended to inside its fixed size, by a server that keeps
        // whole batches unchanged; bytes outside whole batches are read as plain integers only.
        let map = unsafe { Mmap::map(&file) }.map_err(ProblemKind::Unreadable)?;
        populate(&map, 0, SEGMENT_HEADER_BYTES).map_err(ProblemKind::Unreadable)?;
        let scan = SegmentScan::begin(&map).map_err(ProblemKind::Header)?;
        let names = NameTable::default();
        let inode = file.metadata().map_err(ProblemKind::Unreadable)?.ino();
        let path = path.to_path_buf();
        let (generation, is_other) = (0, false);
        let mut segment =
            Self { path, map, scan, names, named_count: 0, trust, inode, generation, is_other };
        segment.extend();
        Ok(segment)
    }

    /// Its records.
    pub fn entries(&self) -> Entries<'_> {
        Entries::new(std::slice::from_ref(self), Cursor::default())
    }

    /// Its records from the batch on that holds the record `seq`.
    pub fn entries_at(&self, seq: u64) -> Entries<'_> {
        Entries::new(std::slice::from_ref(self), Cursor::at(self, 0, seq))
    }

    /// Leaves to the segment behind it what that one has again. A successor that follows not this
    /// segment but an older one says that nothing of this one counts.
    pub(super) fn yield_to(&mut self, next: &SegmentHeader) {
        let base_seq = self.scan.header.base_seq;
        let is_followed = next.prev_base_seq.is_some_and(|prev| prev >= base_seq);
        self.scan.supersede(if is_followed { next.base_seq } else { base_seq });
    }

    /// Its records behind so many batches.
    pub(super) fn entries_behind(&self, batch_count: usize) -> Entries<'_> {
        Entries::new(std::slice::from_ref(self), Cursor::behind_batches(batch_count))
    }

    /// Where the text of a name stands in the file: offset and bytes.
    fn name_place(&self, id: NameId) -> Option<(u32, u32)> {
        self.names.get(id).map(|place| (place.offset, place.len))
    }

    /// The bytes of the file; only what [`Segment::scan`] names are records.
    pub(in crate::log) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What of it is the log.
    pub fn scan(&self) -> &SegmentScan {
        &self.scan
    }

    /// What is wrong with the file beside what [`Segment::scan`] says.
    pub fn faults(&self) -> impl Iterator<Item = SegmentFault> {
        let (file_bytes, made_bytes) =
            (self.map.len() as u64, u64::from(self.scan.header.segment_bytes));
        let copy = SegmentHeader::has_damaged_copy(&self.map).then_some(SegmentFault::HeaderCopy);
        let short = SegmentFault::Short { file_bytes, made_bytes };
        copy.into_iter().chain((file_bytes < made_bytes).then_some(short))
    }

    /// Whether nothing was ever written to it, as far as anybody can know: all behind its header
    /// can be read, and is zeros.
    pub fn is_vacant(&self) -> bool {
        self.scan.last_batch().0 == 0
            && self.scan.ending == Ending::Open
            && populate(&self.map, 0, self.map.len()).is_ok()
            && self.faults().next().is_none()
    }

    /// Every name that the segment explains.
    pub fn names(&self) -> impl Iterator<Item = (NameId, NameKind, &str)> {
        self.names.iter().map(|(id, place)| (id, place.kind, self.text(place)))
    }

    /// Opens one segment whose writer is gone, or that is read as far as it is.
    pub fn open_alone(path: &Path, trust: Trust) -> Result<Self, ProblemKind> {
        let mut segment = Self::open(path, trust)?;
        segment.finish();
        Ok(segment)
    }

    /// Every record in order, with its number and the place of its header in the file.
    pub fn records(&self) -> impl Iterator<Item = (u64, u32, RawRecord<'_>)> {
        self.scan.batches.iter().flat_map(|place| {
            let mut offset = place.offset + BATCH_HEADER_BYTES as u32;
            let records = super::batch::records(self.batch(place), place.count);
            (place.base_seq..).zip(records).map(move |(seq, record)| {
                let begin = offset;
                offset += record.header.stride() as u32;
                (seq, begin, record)
            })
        })
    }

    /// What a number of this segment names; `None` when the segment does not say.
    pub fn name_of(&self, id: NameId) -> Option<&str> {
        self.names.get(id).map(|place| self.text(place))
    }

    /// The bytes of one of its whole batches, header first: for searches over many records at once.
    pub fn batch(&self, place: &BatchPlace) -> &[u8] {
        &self.map[place.offset as usize..(place.offset + place.len) as usize]
    }

    /// Looks for batches that came since.
    pub(super) fn extend(&mut self) {
        loop {
            let begin = self.scan.end as usize;
            let end = (begin + POPULATE_BYTES + BATCH_LEN_MAX).min(self.map.len());
            // The system will not give these pages: what is behind them is not read.
            if populate(&self.map, begin, end).is_err() {
                break;
            }
            self.scan.extend(&self.map[..end]);
            if self.scan.end as usize == begin {
                break;
            }
        }
        self.collect_names();
    }

    /// Applies the whole rule of the recovery: nobody writes here any more.
    pub(super) fn finish(&mut self) {
        self.extend();
        let end = self.scan.end as usize;
        // Behind a seal is nothing, and those zeros are most of the last segment of a server.
        if self.scan.ending != Ending::Sealed && populate(&self.map, end, self.map.len()).is_ok() {
            self.scan.finish(&self.map);
        }
        self.collect_names();
    }

    fn collect_names(&mut self) {
        let named = Kind::Name.tag();
        for index in self.named_count..self.scan.batches.len() {
            let place = self.scan.batches[index];
            if place.type_mask & (1 << named) == 0 {
                continue;
            }
            let batch = &self.map[place.offset as usize..(place.offset + place.len) as usize];
            for record in super::batch::records(batch, place.count) {
                if record.header.tag == named
                    && let Some((id, found)) = name_place(&self.map, &record)
                {
                    self.names.insert(id, found);
                }
            }
        }
        self.named_count = self.scan.batches.len();
    }

    fn text(&self, place: NamePlace) -> &str {
        let bytes = &self.map[place.offset as usize..(place.offset + place.len) as usize];
        std::str::from_utf8(bytes).unwrap_or(UNKNOWN_NAME)
    }

    fn name(&self, id: NameId) -> &str {
        if id == NameId::NONE {
            return "";
        }
        self.names.get(id).map_or(UNKNOWN_NAME, |place| self.text(place))
    }

    /// The record at a place of this segment. Walks the batch, so that only the begin of a record
    /// is taken for one.
    pub(super) fn at(&self, position: RecordPosition) -> Option<Entry<'_>> {
        let batches = &self.scan.batches;
        let behind = batches.partition_point(|batch| batch.offset <= position.offset);
        let batch = &batches[behind.checked_sub(1)?];
        let mut offset = batch.offset + BATCH_HEADER_BYTES as u32;
        let records = super::batch::records(self.batch(batch), batch.count);
        for (seq, record) in (batch.base_seq..).zip(records) {
            if offset >= position.offset {
                let found = offset == position.offset;
                return found.then(|| Entry::new(seq, position, record, self));
            }
            offset += record.header.stride() as u32;
        }
        None
    }
}

/// Where the text of a name record stands in its segment. Always validated: a name is read often
/// and by place.
fn name_place(map: &[u8], record: &RawRecord<'_>) -> Option<(NameId, NamePlace)> {
    let Some(RecordView::Name(name)) = RecordView::check(Kind::Name, record.payload) else {
        return None;
    };
    let kind = NameKind::from_byte(name.kind)?;
    let offset = name.text.as_ptr().addr() - map.as_ptr().addr();
    let place = NamePlace { offset: offset as u32, len: name.text.len() as u32, kind };
    Some((NameId(name.id.to_native()), place))
}

pub(super) fn populate(map: &Mmap, begin: usize, end: usize) -> io::Result<()> {
    let begin = begin.min(map.len());
    let end = end.min(map.len());
    if begin >= end {
        return Ok(());
    }
    match map.advise_range(Advice::PopulateRead, begin, end - begin) {
        // Kernels before 5.14 do not know the advice; then a bad page is a signal.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        answer => answer,
    }
}

#[cfg(test)]
mod tests;
