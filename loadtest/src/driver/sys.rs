//! The system calls that std has no words for: epoll, affinity, limits and clocks of this process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Which readiness a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    /// Input only.
    Read,
    /// Input, and room for output.
    ReadWrite,
    /// Room for output only: what comes stays in the kernel.
    Write,
    /// Nothing but the end of the connection.
    Nothing,
}

impl Interest {
    fn bits(self) -> u32 {
        let read = (libc::EPOLLIN | libc::EPOLLRDHUP) as u32;
        match self {
            Self::Read => read,
            Self::ReadWrite => read | libc::EPOLLOUT as u32,
            Self::Write => libc::EPOLLOUT as u32,
            Self::Nothing => 0,
        }
    }
}

/// A level-triggered epoll set; entries are named by a number of the caller's.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    /// An empty set that reports at most `batch_max` entries at a time.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new(batch_max: usize) -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor is new and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; batch_max] })
    }

    /// Adds a descriptor; closing it takes it out again.
    ///
    /// # Errors
    /// When the kernel is out of memory for the set.
    pub fn add(&self, fd: BorrowedFd<'_>, name: usize, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, name, interest)
    }

    /// Changes what a descriptor waits for.
    ///
    /// # Errors
    /// When it is not in the set.
    pub fn change(&self, fd: BorrowedFd<'_>, name: usize, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, name, interest)
    }

    /// Takes a descriptor out.
    ///
    /// # Errors
    /// When it is not in the set.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Interest::Read)
    }

    fn control(&self, op: i32, fd: BorrowedFd<'_>, name: usize, on: Interest) -> io::Result<()> {
        let mut event = libc::epoll_event { events: on.bits(), u64: name as u64 };
        // SAFETY: both descriptors are open and the event outlives the call.
        let done =
            unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd.as_raw_fd(), &raw mut event) };
        check(done).map(drop)
    }

    /// Waits for readiness and gives the count of entries that [`Epoll::name`] now has.
    ///
    /// The timeout has nanoseconds, unlike `epoll_wait`: an open loop at 20,000 messages a second
    /// has 50 µs between two of them.
    ///
    /// # Errors
    /// None in practice; an interruption counts as nothing ready.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
        };
        let no_mask = std::ptr::null::<libc::sigset_t>();
        // SAFETY: the kernel writes at most `events.len()` entries, and reads the timeout.
        let ready = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as libc::c_int,
                &raw const timeout,
                no_mask,
                0_usize,
            )
        };
        match check(ready as i32) {
            Ok(ready) => Ok(ready as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The name of a ready entry, and whether it is ready for output only.
    pub fn name(&self, index: usize) -> (usize, bool) {
        let event = self.events[index];
        let bits = event.events;
        (event.u64 as usize, bits == libc::EPOLLOUT as u32)
    }
}

/// Waits until one of `fds` has input, or the timeout is over.
///
/// # Errors
/// None in practice; an interruption counts as the end of the timeout.
pub fn poll_readable(fds: &mut [libc::pollfd], timeout: Duration) -> io::Result<()> {
    let timeout_ms = timeout.as_micros().div_ceil(1_000) as libc::c_int;
    // SAFETY: the kernel writes only `revents` of the given entries.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) };
    match check(ready) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// Pins the calling thread to one CPU.
///
/// # Errors
/// When the process may not use that CPU.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: an all-zero set is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the index was checked against the size of the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: 0 is the calling thread; the size is that of the set.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    check(done).map(drop)
}

/// Raises the limit of open descriptors as far as this user may, and gives it.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the structure.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 1_024;
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
    // SAFETY: the kernel only reads the structure.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } {
        0 => raised.rlim_cur,
        _ => limit.rlim_cur,
    }
}

/// CPU time of this process so far, user and system.
pub fn own_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the structure; the clock always exists.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
