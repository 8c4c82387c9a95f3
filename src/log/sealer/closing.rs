//! The last steps of a full segment: sync, seal, sync. The log thread is at the next one already.

use super::mending::Mending;
use crate::base::ids::LogPosition;
use crate::log::batch::{FLAG_SEAL, Framer};
use crate::log::directory::LogError;
use crate::log::disk::Disk;
use crate::log::handle::Shared;
use crate::log::segment::SegmentFile;
use std::path::{Path, PathBuf};

/// A segment that takes no more records, handed over by the log thread. All that was framed is
/// written.
pub(in crate::log) struct Closing {
    pub(in crate::log) file: SegmentFile,
    pub(in crate::log) framer: Framer,
    pub(in crate::log) base_seq: u64,
    /// Whether its name is durable.
    pub(in crate::log) is_named: bool,
    /// Whether its records are durable.
    pub(in crate::log) is_synced: bool,
    /// How far the rings are covered once it is durable.
    pub(in crate::log) positions: Vec<LogPosition>,
}

/// What did not work.
pub(super) enum CloseError {
    /// Its records may not be durable, and nobody can find out: the policy did not promise it.
    InDoubt(LogError),
    /// It is durable, and says so nowhere.
    Unsealed(LogError),
}

impl Closing {
    /// Makes it durable and seals it: a seal says that all before it is.
    pub(super) fn close(
        mut self,
        disk: &dyn Disk,
        log_dir: &Path,
        shared: &Shared,
    ) -> Result<(PathBuf, u64), CloseError> {
        self.make_durable(disk, log_dir).map_err(CloseError::InDoubt)?;
        shared.set_durable_seq(self.framer.next_seq());
        for (ring, position) in self.positions.iter().enumerate() {
            shared.set_durable(ring, *position);
        }
        self.seal().map_err(CloseError::Unsealed)?;
        self.file.give_back(self.framer.end() as u32);
        Ok((self.file.path().to_path_buf(), self.base_seq))
    }

    /// How to save what it holds when [`CloseError::InDoubt`] comes.
    pub(super) fn mending(&self) -> Mending {
        Mending {
            segment: self.file.path().to_path_buf(),
            base_seq: self.base_seq,
            end: self.framer.end() as u32,
            is_durable: false,
            record_count: self.framer.next_seq() - self.base_seq,
        }
    }

    fn make_durable(&mut self, disk: &dyn Disk, log_dir: &Path) -> Result<(), LogError> {
        if !self.is_named {
            disk.sync_dir(log_dir).map_err(LogError::io("sync", log_dir))?;
        }
        if !self.is_synced {
            self.file.sync()?;
        }
        self.framer.synced();
        Ok(())
    }

    fn seal(&mut self) -> Result<(), LogError> {
        self.framer.mark(FLAG_SEAL);
        let (offset, bytes) = self.framer.pending();
        self.file.write(offset, bytes)?;
        self.framer.written();
        self.file.sync()
    }
}
