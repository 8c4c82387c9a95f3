//! What the driver knows of one connection.

use super::queue::SendQueue;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// One connection's slot. Freed only when `operation_count` is 0, so a completion always finds the
/// connection it belongs to.
///
/// Invariant: `operation_count` is the number of `receiving`, `cancelling` and `sending` that are
/// true. `starved` implies not `receiving`.
#[derive(Debug)]
pub(super) struct Conn {
    /// Closed by dropping the slot.
    pub(super) socket: OwnedFd,
    pub(super) phase: Phase,
    /// Operations of this connection that the kernel still owns.
    pub(super) operation_count: u8,
    /// A multishot receive is armed.
    pub(super) receiving: bool,
    /// A cancellation of the receive is on its way.
    pub(super) cancelling: bool,
    /// A send is in flight; the first slices of `queue` belong to the kernel.
    pub(super) sending: bool,
    /// In the driver's list of connections with something new to send.
    pub(super) dirty: bool,
    /// In the driver's list of connections that wait for a receive buffer.
    pub(super) starved: bool,
    /// The caller wants no bytes for now.
    pub(super) paused: bool,
    /// The peer's bytes have ended, in order or not.
    pub(super) read_ended: bool,
    /// The socket is of no further use in either direction.
    pub(super) failed: bool,
    /// Report `Drained` when the queue falls to this many bytes.
    pub(super) drain_bytes: Option<u32>,
    pub(super) queue: SendQueue,
    /// Bytes of the send in flight.
    pub(super) flight_bytes: usize,
    pub(super) sent_bytes: u64,
}

/// The life of a connection, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// In use.
    Open,
    /// The caller has closed it; its queue is still being sent.
    Flushing,
    /// Our FIN is out; the peer's is not here yet.
    Lingering,
    /// Shut down; the slot waits for its last completion.
    Closing,
}

impl Conn {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            phase: Phase::Open,
            operation_count: 0,
            receiving: false,
            cancelling: false,
            sending: false,
            dirty: false,
            starved: false,
            paused: false,
            read_ended: false,
            failed: false,
            drain_bytes: None,
            queue: SendQueue::default(),
            flight_bytes: 0,
            sent_bytes: 0,
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether a receive should be armed and is not.
    pub(super) fn wants_receive(&self) -> bool {
        !self.receiving
            && !self.paused
            && !self.read_ended
            && !self.starved
            && self.phase != Phase::Closing
    }

    /// Whether there is something to send and nothing in the way.
    pub(super) fn wants_send(&self) -> bool {
        !self.sending && !self.failed && !self.queue.is_empty() && self.phase != Phase::Closing
    }

    /// Shuts down one or both directions. Errors say that the peer was faster.
    pub(super) fn shut_down(&self, how: i32) {
        // SAFETY: takes no pointers; the descriptor is ours.
        unsafe { libc::shutdown(self.fd(), how) };
    }

    pub(super) fn check(&self) {
        let owned = [self.receiving, self.cancelling, self.sending];
        let count = owned.iter().filter(|&&owned| owned).count();
        assert!(self.operation_count as usize == count);
        assert!(!(self.starved && self.receiving));
    }
}

/// What one idle connection costs, its share of the slab's page included.
const _: () = assert!(size_of::<Conn>() <= 96);
