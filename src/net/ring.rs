//! The io_uring of a shard: queues, entering the kernel, and the eventfd that tells a sleeper.

use super::error::{StartError, Step};
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, squeue};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const GETEVENTS: u32 = 1;
const EXT_ARG: u32 = 8;
/// Refused submissions in a row before we give up: the kernel is out of memory for good.
const REFUSALS_MAX: u32 = 10_000;

/// A ring that only its own thread submits to and whose completions are made only inside
/// [`Ring::submit`] (SINGLE_ISSUER and DEFER_TASKRUN).
pub(super) struct Ring {
    uring: IoUring,
    /// Counts up when completions wait, but only while [`Ring::notify`] is on.
    event: OwnedFd,
    /// Calls of the kernel so far.
    pub(super) enters: u64,
    /// Times that a full submission queue had to be submitted early.
    pub(super) submissions_full: u64,
}

impl Ring {
    /// A ring with queues of these sizes, its eventfd silent.
    pub(super) fn new(submissions: u32, completions: u32) -> Result<Self, StartError> {
        let mut uring: IoUring = builder(completions)
            .build(submissions)
            .map_err(|error| StartError::from_io(Step::RingSetup, "create io_uring", &error))?;
        let event = eventfd()?;
        uring.submitter().register_eventfd(event.as_raw_fd()).map_err(|error| {
            StartError::from_io(Step::RingRegister, "register an eventfd with io_uring", &error)
        })?;
        // Saves the look-up of the ring's own file in every call; only a gain, so never an error.
        let _ = uring.submitter().register_ring_fd();
        uring.completion().disable_eventfd();
        Ok(Self { uring, event, enters: 0, submissions_full: 0 })
    }

    /// The ring's own descriptor, for messages of other rings.
    pub(super) fn raw_fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    /// The descriptor that tells a sleeper.
    pub(super) fn event(&self) -> &OwnedFd {
        &self.event
    }

    /// Registers `count` provided buffers whose entries begin at `address`.
    ///
    /// # Safety
    ///
    /// The entries and the buffers they name live until [`Ring::unregister_buffers`] or, if that
    /// is never called, until the ring and its operations are gone.
    pub(super) unsafe fn register_buffers(&self, address: u64, count: u16) -> io::Result<()> {
        // SAFETY: passed on to the caller.
        unsafe { self.uring.submitter().register_buf_ring_with_flags(address, count, 0, 0) }
    }

    /// Takes the provided buffers from the kernel.
    pub(super) fn unregister_buffers(&self) -> io::Result<()> {
        self.uring.submitter().unregister_buf_ring(0)
    }

    /// Queues an entry. A full queue is submitted at once: nothing is ever refused.
    ///
    /// # Safety
    ///
    /// Memory that the entry points to lives until its last completion (message headers, gather
    /// lists and timespecs: until it is submitted).
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry) {
        let mut refusals = 0;
        // SAFETY: passed on to the caller.
        while unsafe { self.uring.submission().push(entry) }.is_err() {
            self.submissions_full += 1;
            refusals += 1;
            assert!(refusals < REFUSALS_MAX, "the kernel takes no submissions");
            self.submit();
        }
    }

    /// Entries queued and not submitted.
    pub(super) fn pending_count(&mut self) -> usize {
        self.uring.submission().len()
    }

    /// Whether the kernel has announced work for [`Ring::submit`]. May be stale: an announcement
    /// can come after its work was done, and then stands until the next work.
    pub(super) fn has_work(&mut self) -> bool {
        let submission = self.uring.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    /// Whether completions can be taken.
    pub(super) fn has_completions(&mut self) -> bool {
        !self.uring.completion().is_empty()
    }

    /// Submits what is queued and makes what is ready complete; never waits. Kernels since 6.13
    /// make at most 20 completions per call, so loop while [`Ring::has_work`].
    pub(super) fn submit(&mut self) {
        let pending = self.pending_count() as u32;
        self.enters += 1;
        // SAFETY: this flag takes no argument.
        let result =
            unsafe { self.uring.submitter().enter::<libc::sigset_t>(pending, 0, GETEVENTS, None) };
        check_enter(result);
    }

    /// As [`Ring::submit`], but waits up to `wait_us` microseconds for the first completion. When
    /// there is none afterwards, no work was left at that moment: unlike `submit`, this call goes
    /// on through works that complete nothing.
    pub(super) fn submit_and_wait(&mut self, wait_us: u32) {
        let pending = self.pending_count() as u32;
        let timeout =
            Timespec::new().sec(u64::from(wait_us / 1_000_000)).nsec(wait_us % 1_000_000 * 1_000);
        let arguments = SubmitArgs::new().timespec(&timeout);
        self.enters += 1;
        // SAFETY: EXT_ARG takes exactly this argument, which outlives the call.
        let result = unsafe {
            self.uring.submitter().enter(pending, 1, GETEVENTS | EXT_ARG, Some(&arguments))
        };
        check_enter(result);
    }

    /// Moves the completions that are there to `out`.
    pub(super) fn take_completions(&mut self, out: &mut Vec<cqueue::Entry>) {
        out.extend(self.uring.completion());
    }

    /// Whether new work counts the eventfd up. Off while the shard is awake, since each signal
    /// would cost the peer's thread time and us a false wake-up.
    pub(super) fn notify(&mut self, on: bool) {
        let completion = self.uring.completion();
        if on {
            completion.enable_eventfd();
        } else {
            completion.disable_eventfd();
        }
    }
}

/// The set-up that the driver and the probe share.
pub(super) fn builder(completions: u32) -> io_uring::Builder {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        // Tells in shared memory whether entering would bring anything: saves a call per turn.
        .setup_taskrun_flag()
        // One refused entry must not hold back those behind it.
        .setup_submit_all()
        .setup_cqsize(completions);
    builder
}

/// A blocking eventfd: rings wait on it by themselves, and answer EAGAIN on a non-blocking one.
pub(super) fn eventfd() -> Result<OwnedFd, StartError> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        let error = io::Error::last_os_error();
        return Err(StartError::from_io(Step::Descriptor, "open an eventfd", &error));
    }
    // SAFETY: the descriptor is fresh and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Interrupted, timed out, short of memory or of completion space: all mean "call again", and the
/// loop does. Anything else is our own mistake.
fn check_enter(result: io::Result<usize>) {
    let Err(error) = result else { return };
    match error.raw_os_error() {
        Some(libc::EINTR | libc::ETIME | libc::EAGAIN | libc::EBUSY) => {}
        _ => panic!("io_uring_enter: {error}"),
    }
}
