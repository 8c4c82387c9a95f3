//! Waiting for work without losing a wake-up.
//!
//! 1. [`Driver::prepare_sleep`] arms the bell; from here on whoever fills a mailbox rings.
//! 2. The caller looks into its mailboxes once more.
//! 3. [`Sleep::wait`] naps in the shard's own ring, then parks in the executor.
//!
//! The nap is a bounded wait inside `io_uring_enter`, which costs one system call where parking in
//! the executor costs several; a busy shard that waits for its clients a few times per millisecond
//! spends much less on waiting so. During a nap only this ring wakes the thread: not the executor,
//! so a caller that has other work there (a file read, a timer) naps for 0, and not a plain
//! thread's bell, which is heard when the nap is over. So naps are short.
//!
//! To park, the ring's eventfd is switched on, and then the ring is entered once more. The kernel
//! adds work to the ring's list before it looks whether the eventfd is on; we switch it on before
//! that entry looks at the list, with a full fence in between. So either we find the work, or the
//! kernel counts the eventfd up, which ends the read that the executor waits for. That last entry
//! must not trust the ring's announcement flag, which may be stale, nor stop after the kernel's 20
//! works per call: it asks for one completion with a time limit of 0, which runs all that is there.

use super::bell::Place;
use super::driver::Driver;
use super::error::{StartError, Step};
use glommio::io::BufferedFile;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};

/// The ring's eventfd as the executor reads it. Polling the ring's own descriptor instead does not
/// wake with deferred task work.
pub(super) struct Waker {
    file: BufferedFile,
}

impl Waker {
    pub(super) fn new(event: &OwnedFd) -> Result<Self, StartError> {
        let own = event.try_clone().map_err(|error| {
            StartError::from_io(Step::Descriptor, "duplicate the ring's eventfd", &error)
        })?;
        // SAFETY: the descriptor is ours alone; the file closes it.
        let file = unsafe { BufferedFile::from_raw_fd(own.into_raw_fd()) };
        Ok(Self { file })
    }
}

/// The bell is armed. Either wait, or drop this to stay awake.
#[must_use]
pub struct Sleep<'a> {
    driver: &'a mut Driver,
}

impl Driver {
    /// Begins to sleep: submits what is left and arms the bell. `None` when there is work already.
    /// Look into the mailboxes after this and before [`Sleep::wait`].
    pub fn prepare_sleep(&mut self) -> Option<Sleep<'_>> {
        if self.has_own_work() {
            return None;
        }
        self.bell.arm();
        Some(Sleep { driver: self })
    }

    fn has_own_work(&mut self) -> bool {
        !self.events.is_empty()
            || !self.dirty.is_empty()
            || (!self.starved.is_empty() && self.buffers.free_count() > 0)
            || self.ring.has_completions()
    }
}

impl Sleep<'_> {
    /// Returns when there may be something to collect: after at most `nap_us` microseconds of
    /// blocking this thread, or later without blocking it. Await it to the end, in one task only.
    pub async fn wait(self, nap_us: u32) {
        let driver = &mut *self.driver;
        if nap_us > 0 {
            driver.bell.stand(Place::Nap);
            driver.ring.submit_and_wait(nap_us);
            if driver.ring.has_completions() {
                driver.counters.naps += 1;
                return;
            }
        }
        driver.counters.parks += 1;
        driver.bell.stand(Place::Last);
        driver.ring.notify(true);
        fence(Ordering::SeqCst);
        driver.ring.submit_and_wait(0);
        if !driver.ring.has_completions() {
            driver.bell.stand(Place::Parked);
            // An error wakes as well: the loop looks at the ring and comes back.
            let _ = driver.waker.file.read_at(0, size_of::<u64>()).await;
        }
        driver.ring.notify(false);
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.driver.bell.stand(Place::Awake);
        if self.driver.bell.disarm() {
            self.driver.hear_bell();
        }
    }
}
