//! The segments of a log, one at a time: for questions over logs of any size.
//!
//! A [`Log`](super::Log) maps and checks every segment when it is opened. A catalog reads a page of
//! each, and looks further only where a question needs it: into the sidecar when that is there and
//! fits, else into the rows. What was opened for one segment is closed before the next, so that
//! memory does not grow with the log.
//!
//! ```text
//!   Catalog ── SegmentInfo ──▶ SegmentView ──▶ sidecar (a file, or made from the rows)
//!                                          └──▶ rows (mapped, each batch checked at its first use)
//! ```

use super::batch::{BATCH_HEADER_BYTES, BatchHeader};
use super::ctl;
use super::directory::{LogError, is_locked, list_segments};
use super::format::{HeaderError, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::reader::{Problem, ProblemKind, SegmentFault, give_back, populate};
use super::record::RawRecord;
use super::sidecar::{self, Damaged, Sidecar};
use crate::base::limits::RECORD_BYTES_MAX;
use memmap2::Mmap;
use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Bytes of rows that a view keeps in memory: the pages of a map count as memory of the process
/// while they are in use.
const HELD_BYTES_MAX: usize = 4 << 20;
/// Segments whose columns may be made at a time: that takes some tens of megabytes for each, and
/// memory must not grow with the number of threads.
const MAKERS_MAX: usize = 2;
/// The longest wait for others who make columns: only somebody who holds views on one thread and
/// waits for another would ever need it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The segments of a log directory at one moment.
#[derive(Debug)]
pub struct Catalog {
    log_dir: PathBuf,
    segments: Vec<SegmentInfo>,
    problems: Vec<Problem>,
    makers: Arc<Makers>,
}

/// What the first page of a segment says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentInfo {
    /// The file.
    pub path: PathBuf,
    /// Its header.
    pub header: SegmentHeader,
    /// Records from this number on are read from the next segment; `u64::MAX` for the last one.
    pub until_seq: u64,
    /// The next segment says that it goes on where this one ends. One that follows a file which
    /// was never finished does not: the number of that file was never given to a record.
    pub has_successor: bool,
    /// Size of the file.
    pub size_bytes: u64,
}

/// How a segment stands with its sidecar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SidecarState {
    /// It is there and of this segment.
    Fits,
    /// There is none.
    Missing,
    /// It is of other bytes, of another version, or its header is damaged.
    Stale,
    /// It fits, and one of its sections is damaged. Only [`SegmentInfo::check_sidecar`] says so.
    Damaged,
}

impl Catalog {
    /// Lists the segments of `log_dir` and reads the first page of each.
    pub fn open(log_dir: &Path) -> Result<Self, LogError> {
        let mut catalog = Self {
            log_dir: log_dir.to_path_buf(),
            segments: Vec::new(),
            problems: Vec::new(),
            makers: Arc::default(),
        };
        let listed = list_segments(log_dir)?;
        let newest = listed.last().map(|(base_seq, _)| *base_seq);
        for (base_seq, path) in listed {
            let what = match read_header(&path) {
                Ok((header, _)) if header.base_seq != base_seq => {
                    ProblemKind::Misnamed(header.base_seq)
                }
                Ok((header, size_bytes)) => {
                    let (until_seq, has_successor) = (u64::MAX, false);
                    catalog.add(SegmentInfo { path, header, until_seq, has_successor, size_bytes });
                    continue;
                }
                // A live server makes the file before its header.
                Err(ProblemKind::Header(HeaderError::Unborn)) if newest == Some(base_seq) => {
                    continue;
                }
                // Retention took it since the listing.
                Err(ProblemKind::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {
                    continue;
                }
                Err(what) => what,
            };
            catalog.problems.push(Problem { path, what });
        }
        Ok(catalog)
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> &[SegmentInfo] {
        &self.segments
    }

    /// Files that cannot be read as a segment.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Where the segments are.
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// Looks into a segment of this catalog.
    pub fn view(&self, info: &SegmentInfo) -> SegmentView<'_> {
        let (info, file) = info.hold();
        SegmentView {
            sidecar: info.sidecar(),
            info,
            file,
            makers: &self.makers,
            made: OnceCell::new(),
            rows: OnceCell::new(),
        }
    }

    fn add(&mut self, info: SegmentInfo) {
        if let Some(prev) = info.header.prev_base_seq
            && let Some(older) = self.segments.last_mut()
            && older.header.base_seq < prev
            && !self.problems.iter().any(|problem| self.log_dir.join(name(prev)) == problem.path)
        {
            let path = self.log_dir.join(name(prev));
            self.problems.push(Problem { path, what: ProblemKind::Gone });
        }
        if let Some(older) = self.segments.last_mut() {
            // As `Segment::yield_to` has it: a successor that follows an older segment says that
            // nothing of this one counts.
            let base_seq = older.header.base_seq;
            let is_followed = info.header.prev_base_seq.is_some_and(|prev| prev >= base_seq);
            older.has_successor = info.header.prev_base_seq == Some(base_seq);
            older.until_seq = if is_followed { info.header.base_seq } else { base_seq };
        }
        self.segments.push(info);
    }
}

fn name(base_seq: u64) -> String {
    SegmentHeader::file_name(base_seq)
}

/// What the first page of a segment says, and the size of the file.
pub(super) fn read_header(path: &Path) -> Result<(SegmentHeader, u64), ProblemKind> {
    header_of(&File::open(path).map_err(ProblemKind::Unreadable)?)
}

fn header_of(file: &File) -> Result<(SegmentHeader, u64), ProblemKind> {
    let size_bytes = file.metadata().map_err(ProblemKind::Unreadable)?.len();
    let mut page = [0; SEGMENT_HEADER_BYTES];
    match file.read_exact_at(&mut page, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let what = if size_bytes == 0 { HeaderError::Unborn } else { HeaderError::Cut };
            return Err(ProblemKind::Header(what));
        }
        other => other.map_err(ProblemKind::Unreadable)?,
    }
    let header = SegmentHeader::decode(&page).map_err(ProblemKind::Header)?;
    Ok((header, size_bytes))
}

impl SegmentInfo {
    /// Where its sidecar stands.
    pub fn sidecar_path(&self) -> PathBuf {
        self.path.with_file_name(Sidecar::file_name(self.header.base_seq))
    }

    /// Whether the segment has a successor: then nobody writes to it any more.
    pub fn is_final(&self) -> bool {
        self.until_seq != u64::MAX
    }

    /// Bytes that its writer has written, when it has one that lives.
    fn written(&self) -> Option<u32> {
        let root = self.path.parent()?.parent()?;
        let progress = if self.is_final() { None } else { ctl::read(root) };
        let is_here = |one: &ctl::Progress| one.segment == self.header.base_seq;
        // Between a kill and the first words of the next server the lock is that server's, and what
        // is damaged in the last 2 ms of the other one is left out without a word. Not by `verify`.
        let progress = progress.filter(|one| is_here(one) && is_locked(root));
        progress.map(|one| one.committed_off)
    }

    /// How it stands with its sidecar.
    pub fn sidecar_state(&self) -> SidecarState {
        match self.sidecar() {
            Some(_) => SidecarState::Fits,
            None if self.sidecar_path().exists() => SidecarState::Stale,
            None => SidecarState::Missing,
        }
    }

    /// The same, with every checksum of the sidecar.
    pub fn check_sidecar(&self) -> SidecarState {
        match self.sidecar() {
            Some(sidecar) if sidecar.check().is_err() => SidecarState::Damaged,
            _ => self.sidecar_state(),
        }
    }

    /// What is wrong with the file beside its records, see [`SegmentFault`].
    pub fn faults(&self) -> Vec<SegmentFault> {
        let mut faults = Vec::new();
        let mut page = [0; SEGMENT_HEADER_BYTES];
        let read = File::open(&self.path).and_then(|file| file.read_exact_at(&mut page, 0));
        if read.is_ok() && SegmentHeader::has_damaged_copy(&page) {
            faults.push(SegmentFault::HeaderCopy);
        }
        let made_bytes = u64::from(self.header.segment_bytes);
        if self.size_bytes < made_bytes {
            faults.push(SegmentFault::Short { file_bytes: self.size_bytes, made_bytes });
        }
        faults
    }

    /// The file that has the name now, and what its first page says: an erasure may have put it
    /// there since the catalog was opened.
    fn hold(&self) -> (Self, Option<File>) {
        let Ok(file) = File::open(&self.path) else { return (self.clone(), None) };
        let mut info = self.clone();
        if let Ok((header, size_bytes)) = header_of(&file)
            && header.base_seq == self.header.base_seq
        {
            (info.header, info.size_bytes) = (header, size_bytes);
        }
        (info, Some(file))
    }

    /// The sidecar, when there is one of exactly this segment.
    pub(super) fn sidecar(&self) -> Option<Sidecar> {
        let sidecar = Sidecar::open(&self.sidecar_path())?;
        let key = sidecar.key();
        if !key.fits(&self.header) || key.until_seq > self.until_seq {
            return None;
        }
        let mut bytes = [0; BATCH_HEADER_BYTES];
        let file = File::open(&self.path).ok()?;
        if key.last_offset == 0 {
            // Of a segment without a batch, and still of one.
            file.read_exact_at(&mut bytes, SEGMENT_HEADER_BYTES as u64).ok()?;
            let is_empty = self.is_final() && BatchHeader::peek(&bytes).is_none();
            return is_empty.then_some(sidecar);
        }
        file.read_exact_at(&mut bytes, u64::from(key.last_offset)).ok()?;
        let last = BatchHeader::peek(&bytes)?;
        let ends = last.crc == key.last_crc && key.last_offset + last.len == key.end;
        // The sidecar of a segment without a seal is only believed when nobody writes there.
        (ends && (last.is_seal() || self.is_final())).then_some(sidecar)
    }
}

/// One segment while it is asked. All answers are of one file, even when an erasure puts another
/// in its place meanwhile.
#[derive(Debug)]
pub struct SegmentView<'a> {
    info: SegmentInfo,
    /// `None`: it is gone, or cannot be opened.
    file: Option<File>,
    sidecar: Option<Sidecar>,
    /// Made from the rows when the sidecar is not there, stale or damaged.
    made: OnceCell<(Sidecar, Maker)>,
    makers: &'a Arc<Makers>,
    rows: OnceCell<Option<Rows>>,
}

impl SegmentView<'_> {
    /// What the first page says.
    pub fn info(&self) -> &SegmentInfo {
        &self.info
    }

    /// Whether there is a sidecar to ask.
    pub fn has_sidecar(&self) -> bool {
        self.sidecar.is_some()
    }

    /// Asks the sidecar; and if that is damaged or not there, one made from the rows.
    pub fn ask<'s, T>(&'s self, question: impl Fn(&'s Sidecar) -> Result<T, Damaged>) -> T {
        if let Some(sidecar) = &self.sidecar
            && let Ok(answer) = question(sidecar)
        {
            return answer;
        }
        question(self.made()).unwrap_or_else(|Damaged| unreachable!("made a moment ago"))
    }

    /// The record whose header begins at `offset`; `None` when its batch is damaged or gone.
    pub fn record(&self, offset: u32) -> Option<RawRecord<'_>> {
        self.rows()?.record(offset)
    }

    /// Reads the bytes of the segment between two places into `buffer`, for searches. They are not
    /// checked: a hit counts when [`SegmentView::record`] gives it. `None`: the file cannot be read
    /// there.
    ///
    /// Read and not mapped: for some hundred KiB here and there a copy into memory that is in the
    /// cache anyway costs two thirds of what making and unmaking the mapping of its pages does.
    pub fn read<'b>(&self, begin: u32, end: u32, buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        let (begin, end) = (u64::from(begin), u64::from(end).min(self.info.size_bytes));
        let len = usize::try_from(end.checked_sub(begin)?).ok()?;
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        self.file.as_ref()?.read_exact_at(&mut buffer[..len], begin).ok()?;
        Some(&buffer[..len])
    }

    /// Sequence number of the record whose header begins at `offset`.
    pub fn seq(&self, offset: u32) -> Option<u64> {
        let rows = self.rows()?;
        let batch = rows.batch_of(offset)?;
        let mut at = batch.offset + BATCH_HEADER_BYTES as u32;
        let bytes = &rows.map[batch.offset as usize..][..batch.len as usize];
        for (seq, record) in (batch.base_seq..).zip(super::batch::records(bytes, batch.count)) {
            if at == offset {
                return Some(seq);
            }
            at += record.header.stride() as u32;
        }
        None
    }

    fn made(&self) -> &Sidecar {
        let (made, _) = self.made.get_or_init(|| {
            let maker = self.makers.enter();
            let file = self.file.as_ref();
            let until_seq = self.info.until_seq;
            let written = self.info.written();
            let bytes = file.and_then(|file| sidecar::build_answer(file, until_seq, written));
            let bytes = bytes.unwrap_or_else(|| sidecar::build_empty(&self.info.header));
            (Sidecar::from_made(bytes), maker)
        });
        made
    }

    fn rows(&self) -> Option<&Rows> {
        self.rows
            .get_or_init(|| {
                let offsets = self.ask(|sidecar| sidecar.batch_offsets());
                Rows::open(self.file.as_ref()?, &self.info, offsets)
            })
            .as_ref()
    }
}

/// The bytes of a segment, with the places of its batches.
#[derive(Debug)]
struct Rows {
    map: Mmap,
    salt: u64,
    offsets: Vec<u32>,
    /// The batch that was checked last: rows are mostly asked for in order.
    checked: Cell<Option<BatchHeader>>,
    /// Bytes that were asked for since pages were given back.
    held_bytes: Cell<usize>,
}

impl Rows {
    fn open(file: &File, info: &SegmentInfo, offsets: Vec<u32>) -> Option<Self> {
        // SAFETY: whole batches of a segment never change, and no byte is used as more than a
        // number before the checksum of its batch was found right.
        let map = unsafe { Mmap::map(file) }.ok()?;
        // Its header was damaged, and is of another file in the catalog.
        if SegmentHeader::decode(&map).ok()?.salt != info.header.salt {
            return None;
        }
        let checked = Cell::new(None);
        let held_bytes = Cell::new(0);
        Some(Self { map, salt: info.header.salt, offsets, checked, held_bytes })
    }

    fn record(&self, offset: u32) -> Option<RawRecord<'_>> {
        let batch = self.batch_of(offset)?;
        let end = (batch.offset + batch.len) as usize;
        let bytes = self.map.get(offset as usize..end.min(offset as usize + RECORD_BYTES_MAX))?;
        RawRecord::split(bytes).map(|(record, _)| record)
    }

    /// Asks for pages, and gives all others back when they have become many. A reference into those
    /// stays true: the kernel brings them again.
    fn hold(&self, begin: usize, end: usize) -> Option<()> {
        let bytes = end.saturating_sub(begin);
        if self.held_bytes.get() + bytes > HELD_BYTES_MAX {
            give_back(&self.map, 0, self.map.len());
            self.held_bytes.set(0);
        }
        self.held_bytes.set(self.held_bytes.get() + bytes);
        populate(&self.map, begin, end).ok()
    }

    /// The checked batch that holds `offset`.
    fn batch_of(&self, offset: u32) -> Option<BatchHeader> {
        if let Some(batch) = self.checked.get()
            && (batch.offset..batch.offset + batch.len).contains(&offset)
        {
            return Some(batch);
        }
        let behind = self.offsets.partition_point(|begin| *begin <= offset);
        let begin = self.offsets[behind.checked_sub(1)?];
        let header = BatchHeader::peek(self.map.get(begin as usize..)?)?;
        self.hold(begin as usize, begin as usize + header.len as usize)?;
        let batch = BatchHeader::check(&self.map, begin, self.salt)?;
        let holds = offset >= begin + BATCH_HEADER_BYTES as u32 && offset < begin + batch.len;
        self.checked.set(Some(batch));
        holds.then_some(batch)
    }
}

/// Counts those who hold columns that they made; whoever comes too many waits.
#[derive(Debug, Default)]
struct Makers {
    count: Mutex<usize>,
    left: Condvar,
}

thread_local! {
    /// Columns that this thread has made and holds.
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// The right to make columns and to hold them.
#[derive(Debug)]
struct Maker(Arc<Makers>);

impl Makers {
    fn enter(self: &Arc<Self>) -> Maker {
        let mut count = self.count.lock().expect("nothing panics under this lock");
        // Who looks into many segments at once must not wait for itself.
        if HELD.get() == 0 {
            let waited = self.left.wait_timeout_while(count, PATIENCE, |n| *n >= MAKERS_MAX);
            count = waited.expect("nothing panics under this lock").0;
        }
        *count += 1;
        HELD.set(HELD.get() + 1);
        Maker(Arc::clone(self))
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        HELD.set(HELD.get().saturating_sub(1));
        *self.0.count.lock().expect("nothing panics under this lock") -= 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::scratch::Scratch;

    #[test]
    fn a_segment_yields_to_the_one_that_follows_and_counts_for_nothing_otherwise() {
        check(&[(0, None), (58, Some(0))], &[58, u64::MAX]);
        check(&[(0, None), (58, Some(0)), (60, Some(0))], &[58, 58, u64::MAX]);
        check(&[(0, None), (58, None)], &[0, u64::MAX]);
        // Retention took what was between.
        check(&[(10, Some(5)), (58, Some(40)), (90, Some(58))], &[58, 90, u64::MAX]);
    }

    #[track_caller]
    fn check(headers: &[(u64, Option<u64>)], want: &[u64]) {
        let scratch = Scratch::new("catalog-yield");
        for (base_seq, prev_base_seq) in headers.iter().copied() {
            let header = SegmentHeader {
                base_seq,
                prev_base_seq,
                created_us: 1,
                salt: 7,
                segment_bytes: 192 * 1_024,
                start: 1,
            };
            std::fs::write(scratch.path().join(name(base_seq)), &header.encode()[..]).unwrap();
        }
        let catalog = Catalog::open(scratch.path()).unwrap();
        let got: Vec<_> = catalog.segments().iter().map(|segment| segment.until_seq).collect();
        assert_eq!(got, want);
    }
}
