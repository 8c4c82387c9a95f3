//! CPUs, clocks and epoll: the system calls that the contestants and the clients share.

use ringpost::net::Listener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Bytes of every message.
pub const MESSAGE_BYTES: usize = 64;

/// What a server gets.
pub struct Seat {
    pub listener: Listener,
    /// How many clients will come. When they have gone, the server returns.
    pub connections: usize,
    /// Where the server's thread leaves its CPU clock.
    pub clock: Clock,
}

/// The CPU clock of a thread, readable from another one.
#[derive(Clone, Default)]
pub struct Clock(Arc<AtomicI32>);

impl Clock {
    /// Makes it the calling thread's.
    pub fn publish(&self) {
        let mut clock: libc::clockid_t = 0;
        // SAFETY: the calling thread exists; `clock` is a valid place.
        let result = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) };
        assert_eq!(result, 0);
        self.0.store(clock, Ordering::Release);
    }

    /// Time that thread has run, or `None` before it has published.
    pub fn read(&self) -> Option<Duration> {
        let clock = self.0.load(Ordering::Acquire);
        (clock != 0).then(|| read_clock(clock))
    }
}

/// CPU time of the calling thread.
pub fn thread_time() -> Duration {
    read_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read_clock(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU for servers and the one for clients: the first two we may use.
pub fn cpus() -> (usize, usize) {
    // SAFETY: a set of zeros is a valid, empty set; the call fills it.
    let allowed = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set), 0);
        (0..libc::CPU_SETSIZE as usize)
            .filter(|&cpu| libc::CPU_ISSET(cpu, &set))
            .take(2)
            .collect::<Vec<_>>()
    };
    (allowed[0], allowed[allowed.len() - 1])
}

/// Keeps the calling thread on one CPU.
pub fn pin(cpu: usize) {
    // SAFETY: a set of zeros is a valid, empty set; `cpu` came from such a set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set), 0);
    }
}

/// A level-triggered epoll.
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub fn new() -> Self {
        // SAFETY: takes no pointers; the descriptor is fresh.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: as above.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; 512] }
    }

    pub fn add(&self, fd: RawFd, token: usize) {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token as u64 };
        // SAFETY: `event` is valid for the call.
        let result =
            unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        assert_eq!(result, 0);
    }

    /// Tokens that are readable; waits up to `wait_ms`.
    pub fn wait(&mut self, wait_ms: i32) -> impl Iterator<Item = usize> {
        let (events, max) = (self.events.as_mut_ptr(), self.events.len() as i32);
        // SAFETY: the buffer holds `max` events.
        let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events, max, wait_ms) };
        self.events[..count.max(0) as usize].iter().map(|event| event.u64 as usize)
    }
}

/// `recv` without waiting. 0 at the end of the stream, -1 when there is nothing.
pub fn receive(fd: RawFd, buffer: &mut [u8]) -> isize {
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) }
}

/// `send` without waiting; these small messages always fit.
pub fn send(fd: RawFd, bytes: &[u8]) {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the bytes are valid for their length.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    assert_eq!(sent, bytes.len() as isize, "a socket buffer of this size cannot be full");
}
