//! A segment that is being written: from reserved space to a name in the log.

use super::directory::LogError;
use super::disk::{Disk, DiskFile};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use std::io;
use std::path::{Path, PathBuf};

/// Name of a segment that is none yet. Readers do not look at it; what an earlier process left of
/// it is removed at start.
const SPARE_NAME: &str = "spare.tmp";

/// Space for a segment: reserved and durable, without header and name. So a full disk is known
/// while the segment before it still has room.
#[derive(Debug)]
pub(super) struct Spare {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    segment_bytes: u32,
}

/// The file under the log thread's hands.
#[derive(Debug)]
pub(super) struct SegmentFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    segment_bytes: u32,
}

impl Spare {
    /// Reserves the space. Leaves nothing behind on failure.
    pub(super) fn make(
        disk: &dyn Disk,
        log_dir: &Path,
        segment_bytes: u32,
    ) -> Result<Self, LogError> {
        let path = log_dir.join(SPARE_NAME);
        let file = disk.create(&path).map_err(LogError::io("make", &path))?;
        let spare = Self { file, path, segment_bytes };
        let reserved = spare.file.reserve(u64::from(segment_bytes));
        let reserved = reserved.map_err(LogError::io("reserve space for", &spare.path));
        // A reservation that was not synced can be lost, and with it the promise of room.
        let made = reserved
            .and_then(|()| spare.file.sync_all().map_err(LogError::io("sync", &spare.path)));
        match made {
            Ok(()) => Ok(spare),
            Err(error) => {
                spare.discard(disk);
                Err(error)
            }
        }
    }

    /// Makes it a segment: header first, then the name. Neither is durable when this returns.
    pub(super) fn take_over(
        self,
        disk: &dyn Disk,
        log_dir: &Path,
        header: &SegmentHeader,
    ) -> Result<SegmentFile, LogError> {
        assert!(header.segment_bytes == self.segment_bytes);
        let path = log_dir.join(SegmentHeader::file_name(header.base_seq));
        let page = header.encode();
        let written = write_all(self.file.as_ref(), &page[..], 0);
        let written = written.map_err(LogError::io("write", &self.path));
        let named = written.and_then(|()| {
            if path.exists() {
                let exists = io::Error::from(io::ErrorKind::AlreadyExists);
                return Err(LogError::io("make", &path)(exists));
            }
            disk.rename(&self.path, &path).map_err(LogError::io("name", &path))
        });
        match named {
            Ok(()) => {
                let Self { file, segment_bytes, .. } = self;
                Ok(SegmentFile { file, path, segment_bytes })
            }
            Err(error) => {
                self.discard(disk);
                Err(error)
            }
        }
    }

    /// Gives the space back.
    pub(super) fn discard(self, disk: &dyn Disk) {
        let _ = disk.remove(&self.path);
    }

    /// Removes what an earlier process left.
    pub(super) fn remove_stale(disk: &dyn Disk, log_dir: &Path) {
        let _ = disk.remove(&log_dir.join(SPARE_NAME));
    }
}

impl SegmentFile {
    /// Writes `bytes` at `offset`, to the kernel.
    pub(super) fn write(&self, offset: u32, bytes: &[u8]) -> Result<(), LogError> {
        assert!(offset as usize >= SEGMENT_HEADER_BYTES);
        assert!(offset as usize + bytes.len() <= self.segment_bytes as usize);
        let written = write_all(self.file.as_ref(), bytes, u64::from(offset));
        written.map_err(LogError::io("write", &self.path))
    }

    /// Makes everything written durable; never called again after an error.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        self.file.sync().map_err(LogError::io("sync", &self.path))
    }

    /// Gives the reserved space behind `end` back to the disk. The file keeps its size: readers
    /// have mapped it. Not every filesystem can; then the space stays reserved.
    pub(super) fn give_back(&self, end: u32) {
        let begin = u64::from(end).next_multiple_of(4_096);
        let segment_bytes = u64::from(self.segment_bytes);
        if begin < segment_bytes {
            self.file.punch(begin, segment_bytes - begin);
        }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

pub(super) fn write_all(file: &dyn DiskFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
