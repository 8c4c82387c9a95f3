//! A segment that was given up becomes a sealed one: what it kept, copied to a file that never
//! failed, takes its name.
//!
//! Nothing depends on it. Until it is done, and if it cannot be done, readers leave out what the
//! next segment has again. But only a sealed segment gets a sidecar and a place in a snapshot.

use crate::log::batch::FLAG_SEAL;
use crate::log::directory::LogError;
use crate::log::disk::Disk;
use crate::log::recovery::SegmentScan;
use crate::log::segment::write_all;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Name of the copy until it is whole. Readers do not look at it; a start removes it.
const COPY_NAME: &str = "mend.tmp";

/// A segment that was given up, and how much of it counts.
pub(in crate::log) struct Mending {
    pub(in crate::log) segment: PathBuf,
    pub(in crate::log) base_seq: u64,
    /// End of what it kept: the end of a batch.
    pub(in crate::log) end: u32,
    /// Whether what it kept is durable where it is.
    pub(in crate::log) is_durable: bool,
    /// Records that it kept.
    pub(in crate::log) record_count: u64,
}

impl Mending {
    /// Puts the copy in its place, sealed and durable. Every byte is checked on the way, so an
    /// `Ok` also says that all that was kept is safe now.
    pub(in crate::log) fn mend(&self, disk: &dyn Disk, log_dir: &Path) -> Result<(), LogError> {
        let bytes = self.read().map_err(LogError::io("read", &self.segment))?;
        let copy = log_dir.join(COPY_NAME);
        let _ = disk.remove(&copy);
        let written = self.write(disk, &copy, &bytes).map_err(LogError::io("write", &copy));
        let named = written.and_then(|()| {
            disk.rename(&copy, &self.segment).map_err(LogError::io("name", &self.segment))
        });
        if named.is_err() {
            let _ = disk.remove(&copy);
        }
        named?;
        disk.sync_dir(log_dir).map_err(LogError::io("sync", log_dir))
    }

    /// Removes what an earlier process left.
    pub(in crate::log) fn remove_stale(disk: &dyn Disk, log_dir: &Path) {
        let _ = disk.remove(&log_dir.join(COPY_NAME));
    }

    /// What it kept, with a seal behind.
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.end as usize);
        File::open(&self.segment)?.take(u64::from(self.end)).read_to_end(&mut bytes)?;
        let damaged = || io::Error::other("it does not hold what was written");
        let mut scan = SegmentScan::begin(&bytes).map_err(|_| damaged())?;
        scan.extend(&bytes);
        if scan.end != self.end || scan.header.base_seq != self.base_seq {
            return Err(damaged());
        }
        let mut framer = scan.framer();
        framer.mark(FLAG_SEAL);
        bytes.extend_from_slice(framer.pending().1);
        Ok(bytes)
    }

    fn write(&self, disk: &dyn Disk, copy: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = disk.create(copy)?;
        file.reserve(bytes.len().next_multiple_of(4_096) as u64)?;
        write_all(file.as_ref(), bytes, 0)?;
        file.sync_all()
    }
}
