//! The system calls by which the log reaches a disk, behind a trait so that a test can fail each.
//!
//! Only what decides over an acknowledgement goes through here: making, writing, syncing and
//! naming segments. Readers map files, and what is derived from segments can be made again.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

#[cfg(test)]
pub(crate) mod faulty;

/// Zeros that are written at once into a new segment. The kernel keeps what one call writes in
/// pages of up to that size, and ext4 looks at each block of such a page whenever a few bytes are
/// written into it later: with 4 MiB here the log thread spent half of its time on that.
const ZEROS_BYTES: usize = 64 << 10;
/// Zeros between two syncs.
const ZEROS_SYNC_BYTES: u64 = 4 << 20;

/// A disk, as far as the writer of the log needs one.
pub trait Disk: Send + Sync + Debug {
    /// Makes a file that is not there, for writing.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name in its directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file's name away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable: a synced file without its name is lost.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file of a [`Disk`]. After a failed sync it must not be synced again: the kernel may
/// have dropped the pages, and would say that all is well.
pub trait DiskFile: Send + Debug {
    /// Gives the file its size and the space for it.
    fn reserve(&self, bytes: u64) -> io::Result<()>;
    /// Writes some of `bytes` at `offset`, to the kernel, and says how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes everything written durable.
    fn sync(&self) -> io::Result<()>;
    /// Makes everything written and the file's size durable.
    fn sync_all(&self) -> io::Result<()>;
    /// Gives the space of a range back, where the filesystem can.
    fn punch(&self, begin: u64, len: u64);
}

/// The disk that the operating system has.
#[derive(Debug)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl DiskFile for File {
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        // First all of it, so that a full disk says so at once.
        // SAFETY: a plain system call on a descriptor that is ours.
        if unsafe { libc::fallocate(self.as_raw_fd(), 0, 0, bytes as libc::off_t) } != 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EOPNOTSUPP) {
                return Err(error);
            }
        }
        // Then zeros. Space that was only reserved becomes written by a change of metadata after
        // the data: when the journal is aborted meanwhile, ext4 and XFS drop that change and the
        // sync still says that all is well. Overwriting needs no such change, and its syncs take
        // half the time. Synced in pieces, so that the syncs of the open segment go between.
        let zeros = vec![0; ZEROS_BYTES];
        for begin in (0..bytes).step_by(zeros.len()) {
            let end = bytes.min(begin + zeros.len() as u64);
            self.write_all_at(&zeros[..(end - begin) as usize], begin)?;
            if end.is_multiple_of(ZEROS_SYNC_BYTES) || end == bytes {
                self.sync_data()?;
            }
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn punch(&self, begin: u64, len: u64) {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let (begin, len) = (begin as libc::off_t, len as libc::off_t);
        // SAFETY: a plain system call on a descriptor that is ours.
        let _ = unsafe { libc::fallocate(self.as_raw_fd(), mode, begin, len) };
    }
}
