//! The segment in waiting: made by the seal thread ahead of time, taken by the log thread.

use super::directory::LogError;
use super::disk::Disk;
use super::format::SegmentHeader;
use super::handle::{LogHandle, Shared};
use super::sealer::Mending;
use super::segment::{SegmentFile, Spare};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// At most one spare, and at most one thread that makes it.
///
/// ```text
///   Empty ─want─▶ Wanted ─prepare─▶ Making ─▶ Ready ─take─▶ Empty
///                    ▲                └──▶ Failed ── later ──┘
/// ```
#[derive(Debug)]
pub(super) struct SparePool {
    disk: &'static dyn Disk,
    log_dir: PathBuf,
    segment_bytes: u32,
    retry: Duration,
    handle: LogHandle,
    slot: Mutex<Slot>,
    made: Condvar,
}

#[derive(Debug)]
enum Slot {
    Empty,
    Wanted,
    Making,
    Ready(Spare),
    /// No room, or a disk that refuses; tried again after a while.
    Failed,
}

impl SparePool {
    pub(super) fn new(
        disk: &'static dyn Disk,
        log_dir: PathBuf,
        segment_bytes: u32,
        retry: Duration,
        shared: Arc<Shared>,
    ) -> Self {
        Spare::remove_stale(disk, &log_dir);
        Mending::remove_stale(disk, &log_dir);
        let (slot, made) = (Mutex::new(Slot::Empty), Condvar::new());
        Self { disk, log_dir, segment_bytes, retry, handle: LogHandle { shared }, slot, made }
    }

    /// Asks for a spare; who gets to it makes it.
    pub(super) fn want(&self) {
        let mut slot = self.slot();
        if matches!(*slot, Slot::Empty) {
            *slot = Slot::Wanted;
        }
    }

    /// Makes the spare if one is wanted and was not tried yet.
    pub(super) fn prepare(&self) {
        let slot = self.slot();
        if matches!(*slot, Slot::Wanted) {
            self.fill(slot);
        }
    }

    /// As [`SparePool::prepare`], and tries again what failed. Says how long to wait before the
    /// next call when it failed once more.
    pub(super) fn prepare_again(&self) -> Option<Duration> {
        let slot = self.slot();
        if matches!(*slot, Slot::Wanted | Slot::Failed) { self.fill(slot) } else { None }
    }

    fn fill(&self, mut slot: MutexGuard<'_, Slot>) -> Option<Duration> {
        *slot = Slot::Making;
        drop(slot);
        let made = self.make();
        self.handle.shared.set_low(made.is_err());
        let retry = made.is_err().then_some(self.retry);
        *self.slot() = made.map_or(Slot::Failed, Slot::Ready);
        self.made.notify_all();
        retry
    }

    /// The next segment, under its name. Makes the space itself when none waits.
    pub(super) fn take_over(&self, header: &SegmentHeader) -> Result<SegmentFile, LogError> {
        let mut slot = self.slot();
        let spare = loop {
            match std::mem::replace(&mut *slot, Slot::Making) {
                Slot::Ready(spare) => {
                    *slot = Slot::Empty;
                    break Ok(spare);
                }
                Slot::Making => {
                    slot = self.made.wait(slot).unwrap_or_else(PoisonError::into_inner);
                }
                Slot::Empty | Slot::Wanted | Slot::Failed => {
                    drop(slot);
                    let made = self.make();
                    slot = self.slot();
                    *slot = Slot::Empty;
                    break made;
                }
            }
        };
        drop(slot);
        self.handle.shared.set_low(spare.is_err());
        spare?.take_over(self.disk, &self.log_dir, header)
    }

    /// Gives the spare's space back: nobody will take it over.
    pub(super) fn discard(&self) {
        if let Slot::Ready(spare) = std::mem::replace(&mut *self.slot(), Slot::Empty) {
            spare.discard(self.disk);
        }
    }

    fn make(&self) -> Result<Spare, LogError> {
        Spare::make(self.disk, &self.log_dir, self.segment_bytes)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
