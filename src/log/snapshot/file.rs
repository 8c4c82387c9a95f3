//! Snapshot files: finding, opening, writing.

use super::rules::Kept;
use crate::base::hash::Map;
use crate::base::limits::RECORD_BYTES_MAX;
use crate::log::batch::{FLAG_SEAL, Framer};
use crate::log::directory::{LogError, sync_dir};
use crate::log::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::log::reader::{Entries, Problem, ProblemKind, Segment, Trust};
use crate::log::record::{
    EpochV1, Kind, NameId, NameKind, NameV1, RawRecord, Record, RecordHeader, RunV1, SeenV1,
    serialize_into,
};
use crate::log::recovery::Ending;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Framed bytes that are written at a time.
const STAGE_BYTES: usize = 1 << 20;
/// Users, and rooms of items, whose number is remembered; then they get new ones. Names may have
/// several numbers.
const NAMES_MAX: usize = 1 << 18;
/// Places in the file are 32 bits; the last batches and the seal need some of them.
const FILE_BYTES_MAX: usize = u32::MAX as usize - (16 << 20);
const SUFFIX: &str = ".snap";

/// A whole, readable snapshot.
#[derive(Debug)]
pub struct Snapshot {
    segment: Segment,
}

impl Snapshot {
    /// Opens and checks a file. Anything but a whole one is refused.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let refused = |what| Problem { path: path.to_path_buf(), what };
        let segment = Segment::open_alone(path, Trust::Checksum).map_err(refused)?;
        let scan = segment.scan();
        if Some(scan.header.base_seq) != parse_file_name(path) {
            return Err(refused(ProblemKind::Misnamed(scan.header.base_seq)));
        }
        if scan.ending != Ending::Sealed || !scan.corrupt.is_empty() {
            let text = "the snapshot is not whole";
            return Err(refused(ProblemKind::Unreadable(io::Error::other(text))));
        }
        Ok(Self { segment })
    }

    /// It stands for all records of the log below this sequence number.
    pub fn seq(&self) -> u64 {
        self.segment.scan().header.base_seq
    }

    /// Number of the server's start that wrote the last record it stands for.
    pub fn start(&self) -> u32 {
        self.segment.scan().header.start
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        u64::from(self.segment.scan().end)
    }

    /// Records in it, names and all.
    pub(super) fn record_count(&self) -> usize {
        self.segment.scan().batches.iter().map(|batch| batch.count as usize).sum()
    }

    /// Its records, in the order in which they can be restored. Their sequence numbers mean
    /// nothing.
    pub fn entries(&self) -> Entries<'_> {
        self.segment.entries()
    }
}

/// The snapshots of `log_dir`, newest first, by the sequence number that they reach up to.
pub fn list(log_dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let listing = std::fs::read_dir(log_dir).map_err(LogError::io("list", log_dir))?;
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.map_err(LogError::io("list", log_dir))?.path();
        if let Some(seq) = parse_file_name(&path) {
            found.push((seq, path));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Records below this sequence number are in every snapshot that a start may fall back to: their
/// segments may go. `None` without a snapshot.
pub fn covered_seq(log_dir: &Path) -> Result<Option<u64>, LogError> {
    let whole = list(log_dir)?.into_iter().filter(|(_, path)| Snapshot::open(path).is_ok());
    Ok(whole.take(2).map(|(seq, _)| seq).min())
}

fn file_name(seq: u64) -> String {
    format!("{seq:020}{SUFFIX}")
}

fn parse_file_name(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// A snapshot in the making: a file that nobody reads until it is whole and has its name.
pub(super) struct Writer {
    file: File,
    path: PathBuf,
    log_dir: PathBuf,
    header: SegmentHeader,
    framer: Framer,
    rooms: (Box<str>, NameId),
    item_rooms: Map<Box<str>, NameId>,
    users: Map<Box<str>, NameId>,
    name_count: u32,
    record_count: u64,
    scratch: Box<Scratch>,
}

/// Room for an archive, aligned as archives are.
#[repr(align(8))]
struct Scratch([u8; RECORD_BYTES_MAX]);

impl Writer {
    pub fn create(log_dir: &Path, header: SegmentHeader) -> Result<Self, LogError> {
        let path = log_dir.join("snapshot.tmp");
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = opened.map_err(LogError::io("make", &path))?;
        let page = header.encode();
        file.write_all_at(&page[..], 0).map_err(LogError::io("write", &path))?;
        Ok(Self {
            file,
            path,
            log_dir: log_dir.to_path_buf(),
            header,
            framer: Framer::new(&header),
            rooms: ("".into(), NameId::NONE),
            item_rooms: Map::default(),
            users: Map::default(),
            name_count: 0,
            record_count: 0,
            scratch: Box::new(Scratch([0; RECORD_BYTES_MAX])),
        })
    }

    pub fn epoch(&mut self, ts_us: i64, epoch: u64) -> Result<(), LogError> {
        self.push_new((NameId::NONE, NameId::NONE), &EpochV1 { ts_us, epoch });
        self.flush(STAGE_BYTES)
    }

    pub fn push(&mut self, kept: &Kept<'_>) -> Result<(), LogError> {
        match *kept {
            Kept::Record { record, room, user } => {
                let names = (self.user(user), self.room(room));
                self.push_raw(names, record);
            }
            Kept::Outgoing { record, room, user, .. }
            | Kept::Setting { record, room, user, .. } => {
                let names = (self.user(user), self.room(room));
                self.push_raw(names, record);
            }
            Kept::Member { record, room, .. } => {
                let names = (NameId::NONE, self.room(room));
                self.push_raw(names, record);
            }
            Kept::Run { ts_us, room, epoch, first, last } => {
                let names = (NameId::NONE, self.room(room));
                self.push_new(names, &RunV1 { ts_us, epoch, first, last });
            }
            Kept::Seen { ts_us, room, user, o, print, cid } => {
                let room = if cid.is_empty() { self.item_room(room) } else { self.room(room) };
                let names = (self.user(user), room);
                let (print_high, print_low) = ((print >> 64) as u64, print as u64);
                self.push_new(names, &SeenV1 { ts_us, o, print_high, print_low, cid });
            }
        }
        self.flush(STAGE_BYTES)
    }

    /// Seals the file, makes it durable and gives it its name.
    pub fn finish(mut self) -> Result<(u64, u64), LogError> {
        self.flush(0)?;
        self.framer.mark(FLAG_SEAL);
        self.write()?;
        self.file.sync_all().map_err(LogError::io("sync", &self.path))?;
        let path = self.log_dir.join(file_name(self.header.base_seq));
        std::fs::rename(&self.path, &path).map_err(LogError::io("name", &path))?;
        sync_dir(&self.log_dir)?;
        Ok((self.record_count, self.framer.end() as u64))
    }

    fn room(&mut self, name: &str) -> NameId {
        if name.is_empty() {
            return NameId::NONE;
        }
        // They come sorted.
        if *self.rooms.0 != *name {
            self.rooms = (name.into(), self.name(NameKind::Room, name));
        }
        self.rooms.1
    }

    /// Items of platforms come in order of time.
    fn item_room(&mut self, name: &str) -> NameId {
        if name.is_empty() {
            return NameId::NONE;
        }
        if let Some(id) = self.item_rooms.get(name) {
            return *id;
        }
        let id = self.name(NameKind::Room, name);
        remember(&mut self.item_rooms, name, id);
        id
    }

    fn user(&mut self, name: &str) -> NameId {
        if name.is_empty() {
            return NameId::NONE;
        }
        if let Some(id) = self.users.get(name) {
            return *id;
        }
        let id = self.name(NameKind::User, name);
        remember(&mut self.users, name, id);
        id
    }

    fn name(&mut self, kind: NameKind, text: &str) -> NameId {
        self.name_count += 1;
        let id = NameId(self.name_count);
        self.push_new((NameId::NONE, NameId::NONE), &NameV1 { id: id.0, text, kind: kind as u8 });
        id
    }

    fn push_raw(&mut self, (user, room): (NameId, NameId), record: RawRecord<'_>) {
        let header = RecordHeader { user, room, ..record.header };
        self.framer.push(&RawRecord { header, payload: record.payload });
        self.record_count += 1;
    }

    fn push_new<R: Record>(&mut self, (user, room): (NameId, NameId), record: &R) {
        let payload_len = serialize_into(record, &mut self.scratch.0)
            .expect("what it is made of was in a record");
        let (tag, flags) = (R::KIND.tag(), 0);
        let header = RecordHeader { payload_len: payload_len as u32, tag, flags, user, room };
        self.framer.push(&RawRecord { header, payload: &self.scratch.0[..payload_len] });
        self.record_count += u64::from(R::KIND != Kind::Name);
    }

    /// Writes when more than `bytes` wait.
    fn flush(&mut self, bytes: usize) -> Result<(), LogError> {
        if self.framer.pending_bytes() <= bytes {
            return Ok(());
        }
        self.framer.finish(1);
        if self.framer.end() > FILE_BYTES_MAX {
            let source = io::Error::from(io::ErrorKind::FileTooLarge);
            return Err(LogError::io("write", &self.path)(source));
        }
        self.write()
    }

    fn write(&mut self) -> Result<(), LogError> {
        let (offset, bytes) = self.framer.pending();
        assert!(offset as usize >= SEGMENT_HEADER_BYTES);
        let written = self.file.write_all_at(bytes, u64::from(offset));
        written.map_err(LogError::io("write", &self.path))?;
        self.framer.written();
        Ok(())
    }
}

fn remember(names: &mut Map<Box<str>, NameId>, name: &str, id: NameId) {
    if names.len() >= NAMES_MAX {
        names.clear();
    }
    names.insert(name.into(), id);
}

impl Drop for Writer {
    /// Gone already when it was finished.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
