//! Receiving: one multishot receive per connection, into buffers that all share.

use super::conn::Phase;
use super::driver::Driver;
use super::event::{EndReason, Event};
use super::op::Op;
use crate::base::ids::ConnId;
use io_uring::types::Fd;
use io_uring::{cqueue, opcode};

impl Driver {
    /// Stops reading, so that the kernel's window closes and the peer has to wait. What the kernel
    /// had completed before still arrives. No effect on a dead id.
    pub fn pause_reads(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.phase == Phase::Open {
            conn.paused = true;
            self.cancel_receive(id);
        }
    }

    /// Reads again. No effect on a dead id or one that is not paused.
    pub fn resume_reads(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.paused = false;
        if conn.wants_receive() {
            self.arm_receive(id);
        }
    }

    pub(super) fn arm_receive(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(id).expect("armed for a live connection");
        assert!(!conn.receiving);
        conn.receiving = true;
        conn.operation_count += 1;
        let entry =
            opcode::RecvMulti::new(Fd(conn.fd()), 0).build().user_data(Op::Receive(id).to_bits());
        // SAFETY: the memory is the provided buffers, which outlive all operations.
        unsafe { self.submit_later(&entry) };
    }

    pub(super) fn cancel_receive(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if !conn.receiving || conn.cancelling {
            return;
        }
        conn.cancelling = true;
        conn.operation_count += 1;
        let entry = opcode::AsyncCancel::new(Op::Receive(id).to_bits())
            .build()
            .user_data(Op::CancelReceive(id).to_bits());
        // SAFETY: the entry points to no memory.
        unsafe { self.submit_later(&entry) };
    }

    pub(super) fn on_receive_cancelled(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else {
            self.counters.completions_late += 1;
            return;
        };
        assert!(conn.cancelling);
        conn.cancelling = false;
        conn.operation_count -= 1;
        // Paused again after a resume, while this cancellation was on its way: cancel the new one.
        if conn.paused {
            self.cancel_receive(id);
        }
        self.settle(id);
    }

    pub(super) fn on_receive(&mut self, id: ConnId, entry: &cqueue::Entry) {
        let (result, flags) = (entry.result(), entry.flags());
        let last = !cqueue::more(flags);
        // Taken before anything else: it goes back to the ring even when nobody wants it.
        let buffer = cqueue::buffer_select(flags)
            .map(|buffer_id| self.buffers.take(buffer_id, result.max(0) as usize));
        let Some(conn) = self.conns.get_mut(id) else {
            self.counters.completions_late += 1;
            return;
        };
        if last {
            assert!(conn.receiving);
            conn.receiving = false;
            conn.operation_count -= 1;
        }
        match -result {
            ..0 => {
                self.counters.receives += 1;
                self.counters.received_bytes += result as u64;
                if conn.phase == Phase::Open && !conn.failed {
                    let buffer = buffer.expect("bytes come in a buffer");
                    self.events.push(Event::Received { conn: id, buffer });
                }
            }
            0 => self.on_eof(id),
            libc::ENOBUFS => {
                self.counters.receives_out_of_buffers += 1;
                if last && conn.phase != Phase::Closing {
                    conn.starved = true;
                    self.starved.push(id);
                }
            }
            libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
            errno => self.fail(id, EndReason::from_errno(errno)),
        }
        if last {
            self.settle(id);
        }
    }

    /// Arms receives again that found no buffer, as far as there are buffers now.
    pub(super) fn rearm_starved(&mut self) {
        let mut free = usize::from(self.buffers.free_count());
        while free > 0 {
            let Some(id) = self.starved.pop() else { return };
            let Some(conn) = self.conns.get_mut(id) else { continue };
            conn.starved = false;
            if conn.wants_receive() {
                self.arm_receive(id);
                free -= 1;
            }
        }
    }

    fn on_eof(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if std::mem::replace(&mut conn.read_ended, true) {
            return;
        }
        match conn.phase {
            Phase::Open => self.events.push(Event::Ended { conn: id, reason: EndReason::Eof }),
            Phase::Lingering => conn.phase = Phase::Closing,
            Phase::Flushing | Phase::Closing => {}
        }
    }
}
