//! Accepting: a multishot accept, and what to do when there are no descriptors left.

use super::driver::Driver;
use super::error::{StartError, Step};
use super::event::Event;
use super::listen::Listener;
use super::op::Op;
use crate::base::limits::ACCEPT_RETRY_MS;
use io_uring::opcode;
use io_uring::types::{Fd, Timespec};
use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Peers that one retry turns away while descriptors are short.
const SHED_MAX: usize = 64;

/// The listener of a shard.
///
/// Invariant: at most one of "armed" and "a retry is armed", none after `stopping` has settled.
pub(super) struct Acceptor {
    pub(super) listener: Option<Listener>,
    /// No more accepts; the listener closes with the last completion.
    pub(super) stopping: bool,
    armed: bool,
    retry_armed: bool,
    /// Given up for a moment to accept and close a peer when no descriptor is left: the peer learns
    /// at once that it has to come back, instead of waiting in the backlog.
    spare: Option<File>,
    retry_delay: Box<Timespec>,
}

impl Acceptor {
    pub(super) fn new() -> Result<Self, StartError> {
        let spare = open_spare()
            .map_err(|error| StartError::from_io(Step::Descriptor, "open /dev/null", &error))?;
        Ok(Self {
            listener: None,
            stopping: false,
            armed: false,
            retry_armed: false,
            spare: Some(spare),
            retry_delay: Box::new(Timespec::new().nsec(ACCEPT_RETRY_MS as u32 * 1_000_000)),
        })
    }

    /// Turns waiting peers away with the spare descriptor.
    fn shed(&mut self) {
        let Some(listener) = &self.listener else { return };
        for _ in 0..SHED_MAX {
            self.spare = None;
            let turned_away = accept_waiting(listener.raw_fd());
            // The peer's descriptor is closed before the spare is opened again.
            let more = turned_away.is_some();
            drop(turned_away);
            self.spare = open_spare().ok();
            if !more {
                return;
            }
        }
    }
}

impl Driver {
    /// Closes the listener. Peers that the kernel has not handed over yet are reset.
    pub fn stop_accepting(&mut self) {
        if self.acceptor.stopping {
            return;
        }
        self.acceptor.stopping = true;
        if self.acceptor.armed {
            self.cancel(Op::Accept);
        } else {
            self.acceptor.listener = None;
        }
    }

    pub(super) fn arm_accept(&mut self) {
        let Some(listener) = &self.acceptor.listener else { return };
        assert!(!self.acceptor.armed && !self.acceptor.stopping);
        let entry = opcode::AcceptMulti::new(Fd(listener.raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(Op::Accept.to_bits());
        self.acceptor.armed = true;
        // SAFETY: the entry points to no memory.
        unsafe { self.submit_later(&entry) };
    }

    pub(super) fn on_accept(&mut self, result: i32, last: bool) {
        if last {
            self.acceptor.armed = false;
        }
        if result >= 0 {
            // SAFETY: the completion hands over a fresh descriptor, once.
            self.accepted(unsafe { OwnedFd::from_raw_fd(result) });
        }
        if !last {
            return;
        }
        if self.acceptor.stopping {
            self.acceptor.listener = None;
            return;
        }
        match -result {
            libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS => {
                self.counters.accepts_out_of_files += 1;
                self.acceptor.shed();
                self.arm_accept_retry();
            }
            // The peer gave up, or the multishot ran its course: the next accept may well succeed.
            ..=0 | libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO => {
                self.arm_accept();
            }
            _ => self.arm_accept_retry(),
        }
    }

    pub(super) fn on_accept_retry(&mut self) {
        self.acceptor.retry_armed = false;
        if self.acceptor.stopping {
            self.acceptor.listener = None;
        } else {
            self.arm_accept();
        }
    }

    fn accepted(&mut self, socket: OwnedFd) {
        let peer = socket2::SockRef::from(&socket).peer_addr();
        let peer = peer.ok().and_then(|address| address.as_socket());
        // Without an address the peer is gone already.
        let (Some(peer), false) = (peer, self.acceptor.stopping) else { return };
        if let Some(conn) = self.adopt(socket) {
            self.counters.accepts += 1;
            self.events.push(Event::Accepted { conn, peer });
        }
    }

    /// Not at once: accepting would fail at once again, and spin.
    fn arm_accept_retry(&mut self) {
        assert!(!self.acceptor.retry_armed);
        self.acceptor.retry_armed = true;
        let entry = opcode::Timeout::new(&raw const *self.acceptor.retry_delay)
            .build()
            .user_data(Op::AcceptRetry.to_bits());
        // SAFETY: the delay is boxed, constant, and lives as long as the driver.
        unsafe { self.submit_later(&entry) };
    }
}

fn open_spare() -> std::io::Result<File> {
    File::open("/dev/null")
}

/// Accepts a peer that waits already; never blocks, for nobody else accepts from this listener.
fn accept_waiting(listener: RawFd) -> Option<OwnedFd> {
    let mut poll = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid entry, no waiting.
    let ready = unsafe { libc::poll(&mut poll, 1, 0) };
    if ready != 1 || poll.revents & libc::POLLIN == 0 {
        return None;
    }
    // SAFETY: null addresses are allowed.
    let fd = unsafe {
        libc::accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_CLOEXEC)
    };
    // SAFETY: the descriptor is fresh and ours.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}
