//! The system calls that std has no words for: epoll, affinity, limits and clocks of this process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
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

/// Begins a connection and does not wait for it: the stream is ready for output when it stands.
///
/// `source` is the local address to come from; the kernel finds the port when the target is known,
/// so that each source has all ports for itself.
///
/// # Errors
/// What the kernel knows at once: no descriptor or port left, or nobody listens on this machine.
pub fn connect(address: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the descriptor is new and nobody else has it.
    let stream = TcpStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    if let Some(source) = source {
        set_option(&stream, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
        let (own, size) = v4(source, 0);
        // SAFETY: the kernel reads `size` bytes of the structure.
        check(unsafe { libc::bind(fd, (&raw const own).cast(), size) })?;
    }
    let begun = match address {
        SocketAddr::V4(to) => {
            let (to, size) = v4(*to.ip(), to.port());
            // SAFETY: the kernel reads `size` bytes of the structure.
            check(unsafe { libc::connect(fd, (&raw const to).cast(), size) })
        }
        SocketAddr::V6(to) => {
            let to = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: to.port().to_be(),
                sin6_flowinfo: to.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: to.ip().octets() },
                sin6_scope_id: to.scope_id(),
            };
            let size = size_of_val(&to) as libc::socklen_t;
            // SAFETY: the kernel reads `size` bytes of the structure.
            check(unsafe { libc::connect(fd, (&raw const to).cast(), size) })
        }
    };
    match begun {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => stream.set_nodelay(true).map(|()| stream),
    }
}

fn v4(address: Ipv4Addr, port: u16) -> (libc::sockaddr_in, libc::socklen_t) {
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    };
    (address, size_of::<libc::sockaddr_in>() as libc::socklen_t)
}

/// How much the kernel takes in for a reader that does not read. A hint: it doubles the number and
/// keeps what has come already.
pub fn receive_buffer(stream: &TcpStream, bytes: usize) {
    let _ = set_option(stream, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes as libc::c_int);
}

/// How much the kernel keeps for a peer that does not read, instead of what it thinks best.
#[cfg(test)]
pub fn send_buffer(stream: &TcpStream, bytes: usize) {
    set_option(stream, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes as libc::c_int).expect("a socket");
}

fn set_option(stream: &TcpStream, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let size = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads `size` bytes of the value.
    check(unsafe {
        libc::setsockopt(stream.as_raw_fd(), level, name, (&raw const value).cast(), size)
    })
    .map(drop)
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
