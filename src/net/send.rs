//! Sending: at most one send in flight per connection, all sends of a turn in one system call.

use super::chunk::Slice;
use super::conn::{Conn, Phase};
use super::driver::Driver;
use super::event::{EndReason, Event, Pressure};
use super::op::Op;
use super::ring::Ring;
use crate::base::ids::ConnId;
use crate::base::limits::SEND_SLICES_MAX;
use io_uring::types::Fd;
use io_uring::{opcode, squeue};

/// The kernel finishes a short send by itself; a vanished peer is an error number, not a signal.
const SEND_FLAGS: i32 = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
/// Gathered sends between two submissions.
const HEADERS_MAX: usize = 256;
/// Their slices together.
const PARTS_MAX: usize = 16 * SEND_SLICES_MAX;

/// Headers and slice lists of the gathered sends that are queued and not yet submitted; the kernel
/// copies them at submission.
///
/// Invariant: neither vector ever grows beyond its first capacity, so nothing in them moves.
pub(super) struct Gather {
    headers: Vec<libc::msghdr>,
    parts: Vec<libc::iovec>,
}

impl Gather {
    pub(super) fn new() -> Self {
        Self { headers: Vec::with_capacity(HEADERS_MAX), parts: Vec::with_capacity(PARTS_MAX) }
    }

    /// Makes room for `count` more slices, submitting what is queued if need be.
    fn reserve(&mut self, ring: &mut Ring, count: usize) {
        assert!(count <= PARTS_MAX);
        while self.headers.len() == HEADERS_MAX || self.parts.len() + count > PARTS_MAX {
            ring.submit();
            self.reset(ring);
        }
    }

    /// Forgets what is submitted.
    fn reset(&mut self, ring: &mut Ring) {
        if ring.pending_count() == 0 {
            self.headers.clear();
            self.parts.clear();
        }
    }

    fn entry<'a>(
        &mut self,
        fd: Fd,
        slices: impl Iterator<Item = &'a Slice>,
        flags: i32,
    ) -> squeue::Entry {
        let begin = self.parts.len();
        self.parts.extend(slices.map(|slice| libc::iovec {
            iov_base: slice.as_ptr().cast_mut().cast(),
            iov_len: slice.len(),
        }));
        // SAFETY: a header of zeros is a valid one that names nothing.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = self.parts[begin..].as_mut_ptr();
        header.msg_iovlen = self.parts.len() - begin;
        assert!(self.headers.len() < self.headers.capacity());
        self.headers.push(header);
        let header = self.headers.last().expect("just pushed");
        opcode::SendMsg::new(fd, header).flags(flags as u32).build()
    }
}

impl Driver {
    /// Queues `slice` to one connection and gives the bytes now queued there. Queueing the same
    /// slice to a thousand connections copies a thousand references. Dead, failed and closed
    /// connections take nothing and give 0. The caller bounds the queue.
    pub fn queue(&mut self, id: ConnId, slice: Slice) -> usize {
        let Some(conn) = self.conns.get_mut(id) else { return 0 };
        if conn.phase != Phase::Open || conn.failed {
            return 0;
        }
        conn.queue.push(slice);
        if !conn.dirty {
            conn.dirty = true;
            self.dirty.push(id);
        }
        conn.queue.bytes()
    }

    /// Copies `bytes` into the shard's current chunk and queues them. See [`Driver::queue`].
    pub fn queue_copy(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let slice = self.pool.append(bytes);
        self.queue(id, slice)
    }

    /// The send side of a connection; zeros for a dead id.
    pub fn pressure(&self, id: ConnId) -> Pressure {
        self.conns.get(id).map_or(Pressure::default(), |conn| Pressure {
            queued_bytes: conn.queue.bytes(),
            sent_bytes: conn.sent_bytes,
        })
    }

    /// Bytes queued to a connection and not yet taken by the kernel; 0 for a dead id.
    pub fn queued_bytes(&self, id: ConnId) -> usize {
        self.pressure(id).queued_bytes
    }

    /// Reports one `Drained` when the next completed send leaves at most `bytes` queued.
    pub fn notify_below(&mut self, id: ConnId, bytes: usize) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.drain_bytes = Some(bytes.min(u32::MAX as usize) as u32);
        }
    }

    /// Builds one send for each connection that has something to send and none in flight.
    pub(super) fn begin_sends(&mut self) {
        self.gather.reset(&mut self.ring);
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            self.begin_send(id);
        }
        self.dirty = dirty;
    }

    fn begin_send(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.dirty = false;
        if !conn.wants_send() {
            return;
        }
        conn.sending = true;
        conn.operation_count += 1;
        self.counters.sends += 1;
        let fd = Fd(conn.fd());
        let entry = if let Some(slice) = conn.queue.only() {
            conn.flight_bytes = slice.len().min(i32::MAX as usize);
            let (len, flags) = (conn.flight_bytes as u32, conn.send_flags());
            opcode::Send::new(fd, slice.as_ptr(), len).flags(flags).build()
        } else {
            self.counters.sends_gathered += 1;
            let count = conn.queue.slice_count().min(SEND_SLICES_MAX);
            self.gather.reserve(&mut self.ring, count);
            conn.flight_bytes = conn.queue.slices().take(count).map(Slice::len).sum();
            self.gather.entry(fd, conn.queue.slices().take(count), conn.send_flags())
        };
        // SAFETY: the slices stay in the queue, and so in memory, until the completion; header and
        // slice list stay until they are submitted.
        unsafe { self.submit_later(&entry.user_data(Op::Send(id).to_bits())) };
    }

    pub(super) fn on_send(&mut self, id: ConnId, result: i32) {
        let Some(conn) = self.conns.get_mut(id) else {
            self.counters.completions_late += 1;
            return;
        };
        assert!(conn.sending);
        conn.sending = false;
        conn.operation_count -= 1;
        match result {
            1.. => {
                let taken = result as usize;
                assert!(taken <= conn.flight_bytes);
                self.counters.sends_short += u64::from(taken < conn.flight_bytes);
                self.counters.sent_bytes += taken as u64;
                conn.sent_bytes += taken as u64;
                conn.queue.advance(taken);
            }
            // A send of some bytes that takes none would repeat for ever.
            0 => self.fail(id, EndReason::Error(libc::EIO)),
            _ => match -result {
                libc::EINTR | libc::EAGAIN | libc::ECANCELED => {}
                errno => self.fail(id, EndReason::from_errno(errno)),
            },
        }
        self.after_send(id);
    }

    /// What a completed send lets happen: the next one, a notice, or the end.
    fn after_send(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(id).expect("looked up by the caller");
        if conn.phase == Phase::Closing || conn.failed {
            conn.queue.clear();
            self.settle(id);
            return;
        }
        if conn.drain_bytes.is_some_and(|bytes| conn.queue.bytes() <= bytes as usize) {
            conn.drain_bytes = None;
            self.events.push(Event::Drained { conn: id });
        }
        if !conn.queue.is_empty() {
            if !conn.dirty {
                conn.dirty = true;
                self.dirty.push(id);
            }
        } else if conn.phase == Phase::Flushing {
            self.finish_flush(id);
        }
    }
}

impl Conn {
    /// Flags of the send of `flight_bytes`. Our FIN follows the last one at once and takes its
    /// bytes along: one segment less for both sides to handle.
    fn send_flags(&self) -> i32 {
        let is_last = self.phase == Phase::Flushing && self.flight_bytes == self.queue.bytes();
        if is_last { SEND_FLAGS | libc::MSG_MORE } else { SEND_FLAGS }
    }

    /// Drops what is queued, unless the kernel is reading it.
    pub(super) fn drop_queue(&mut self) {
        if !self.sending {
            self.queue.clear();
        }
    }
}
