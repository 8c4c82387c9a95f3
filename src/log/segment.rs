//! A segment that is being written.

use super::directory::{LogError, sync_dir};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file under the log thread's hands. Its space is reserved at birth, so that a full disk is
/// an answer to [`SegmentFile::create`] and not a surprise in the middle of a batch.
#[derive(Debug)]
pub(super) struct SegmentFile {
    file: File,
    path: PathBuf,
    segment_bytes: u32,
}

impl SegmentFile {
    /// Makes the file with its header, durable with its name. Leaves nothing behind on failure.
    pub(super) fn create(log_dir: &Path, header: &SegmentHeader) -> Result<Self, LogError> {
        let path = log_dir.join(SegmentHeader::file_name(header.base_seq));
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = opened.map_err(LogError::io("make", &path))?;
        let segment = Self { file, path, segment_bytes: header.segment_bytes };
        let made = segment.fill(header).and_then(|()| sync_dir(log_dir));
        if let Err(error) = made {
            let _ = std::fs::remove_file(&segment.path);
            return Err(error);
        }
        Ok(segment)
    }

    /// Writes `bytes` at `offset`, to the kernel.
    pub(super) fn write(&self, offset: u32, bytes: &[u8]) -> Result<(), LogError> {
        assert!(offset as usize >= SEGMENT_HEADER_BYTES);
        assert!(offset as usize + bytes.len() <= self.segment_bytes as usize);
        let written = self.file.write_all_at(bytes, u64::from(offset));
        written.map_err(LogError::io("write", &self.path))
    }

    /// Makes everything written durable. After an error the file must not be synced again: the
    /// kernel may have dropped the pages, and would say that all is well.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(LogError::io("sync", &self.path))
    }

    /// Gives the reserved space behind `end` back to the disk. The file keeps its size: readers
    /// have mapped it. Not every filesystem can; then the space stays reserved.
    pub(super) fn give_back(&self, end: u32) {
        let begin = (end as usize).next_multiple_of(4_096) as libc::off_t;
        let len = libc::off_t::from(self.segment_bytes) - begin;
        if len > 0 {
            let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            // SAFETY: a plain system call on a descriptor that is ours.
            let _ = unsafe { libc::fallocate(self.file.as_raw_fd(), mode, begin, len) };
        }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn fill(&self, header: &SegmentHeader) -> Result<(), LogError> {
        self.reserve().map_err(LogError::io("reserve space for", &self.path))?;
        let page = header.encode();
        self.file.write_all_at(&page[..], 0).map_err(LogError::io("write", &self.path))?;
        self.file.sync_all().map_err(LogError::io("sync", &self.path))
    }

    fn reserve(&self) -> io::Result<()> {
        let len = libc::off_t::from(self.segment_bytes);
        // SAFETY: a plain system call on a descriptor that is ours.
        if unsafe { libc::fallocate(self.file.as_raw_fd(), 0, 0, len) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EOPNOTSUPP) {
            return Err(error);
        }
        // A filesystem without reservations: zeros are the next best.
        let zeros = vec![0; 64 * 1_024];
        for begin in (0..self.segment_bytes as usize).step_by(zeros.len()) {
            let len = zeros.len().min(self.segment_bytes as usize - begin);
            self.file.write_all_at(&zeros[..len], begin as u64)?;
        }
        Ok(())
    }
}
