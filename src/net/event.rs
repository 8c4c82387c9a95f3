//! What the sockets tell their shard, and the words it answers with.

use super::buffers::Buffer;
use crate::base::ids::ConnId;
use std::net::SocketAddr;

/// Something happened on a socket, a bell or the timer.
///
/// Per connection: `Accepted` first, `Closed` last and exactly once; after the caller's `close`
/// nothing but `Closed`.
#[derive(Debug)]
pub enum Event {
    /// A peer connected; its reads are armed.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// The other end of the socket.
        peer: SocketAddr,
    },
    /// Bytes came in. The buffer goes back to the shard's common ring when it is dropped, so drop
    /// it in the same turn.
    Received {
        /// The connection that sent them.
        conn: ConnId,
        /// The bytes, to be changed in place at will.
        buffer: Buffer,
    },
    /// Nothing more will be read. After [`EndReason::Eof`] the peer may still take our bytes, and
    /// one later `Ended` with another reason may follow; the caller decides when to `close`.
    Ended {
        /// The connection that ended.
        conn: ConnId,
        /// Why.
        reason: EndReason,
    },
    /// The send queue has fallen to what `notify_below` asked for.
    Drained {
        /// The connection whose queue it is.
        conn: ConnId,
    },
    /// The socket is closed and the id is dead.
    Closed {
        /// The connection that is gone.
        conn: ConnId,
    },
    /// Another thread rang: look into the mailboxes.
    Bell,
    /// The timer fired.
    Tick,
}

/// Why a connection stopped giving bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndReason {
    /// The peer shut down its sending side in order.
    Eof,
    /// The peer is gone: reset, broken pipe, timed out.
    Reset,
    /// Another error number of the kernel; the connection is of no further use.
    Error(i32),
}

impl EndReason {
    /// The reason that an error number of a receive or send stands for.
    pub(super) const fn from_errno(errno: i32) -> Self {
        match errno {
            libc::ECONNRESET
            | libc::EPIPE
            | libc::ETIMEDOUT
            | libc::ECONNABORTED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH => Self::Reset,
            other => Self::Error(other),
        }
    }
}

/// How to end a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// Sends what is queued, then our FIN, then waits for the peer's. What the peer sends meanwhile
    /// is dropped. A peer may take for ever: the caller holds the deadline and then says `Now`.
    AfterFlush,
    /// Drops what is queued.
    Now,
}

/// Whether a turn has taken everything that was there.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Collected {
    /// Nothing is left, or the turn has had its share ([`TURN_COMPLETIONS_MAX`]): apply, then
    /// flush.
    ///
    /// [`TURN_COMPLETIONS_MAX`]: crate::base::limits::TURN_COMPLETIONS_MAX
    All,
    /// Receive buffers run low: apply (which frees them), then collect again.
    More,
}

/// The send side of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pressure {
    /// Bytes queued and not yet taken by the kernel, those in flight included.
    pub queued_bytes: usize,
    /// Bytes the kernel has taken since the connection began. Stands still while a peer stalls.
    pub sent_bytes: u64,
}

/// Counts since the driver was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Sockets accepted.
    pub accepts: u64,
    /// Sockets closed at accept because the shard was full.
    pub accepts_refused: u64,
    /// Times the process or the system had no file descriptor (or memory) for an accept.
    pub accepts_out_of_files: u64,
    /// Receives that found every buffer taken; each was armed again later.
    pub receives_out_of_buffers: u64,
    /// Completed receives with bytes.
    pub receives: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Sends submitted.
    pub sends: u64,
    /// Sends that gathered several slices.
    pub sends_gathered: u64,
    /// Sends that took less than was asked.
    pub sends_short: u64,
    /// Bytes that the kernel took.
    pub sent_bytes: u64,
    /// Times the submission queue was full within a turn.
    pub submissions_full: u64,
    /// Calls of `io_uring_enter`.
    pub enters: u64,
    /// Bells heard.
    pub bells: u64,
    /// Waits that ended within the nap.
    pub naps: u64,
    /// Waits that went on into the executor.
    pub parks: u64,
    /// Completions for a connection that was gone. Stays 0: slots outlive their operations.
    pub completions_late: u64,
}
