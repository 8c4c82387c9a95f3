//! Ending connections, in order or at once.
//!
//! ```text
//! Open ──AfterFlush──▶ Flushing ──all sent, FIN──▶ Lingering ──peer's FIN──▶ Closing ─▶ freed
//!   └───────Now─────────────┴──────── Now, error ──────┴─────────────────────────▲
//! ```
//!
//! A slot is freed with its last completion and never before: late completions find their own
//! connection, and a reused slot has a new generation.

use super::conn::Phase;
use super::driver::Driver;
use super::event::{Close, EndReason, Event};
use crate::base::ids::ConnId;

impl Driver {
    /// Ends a connection. Its only further event is `Closed`. `Now` may follow `AfterFlush`; other
    /// repetitions and dead ids are ignored.
    pub fn close(&mut self, id: ConnId, how: Close) {
        match how {
            Close::Now => self.close_now(id),
            Close::AfterFlush => self.close_after_flush(id),
        }
    }

    fn close_after_flush(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.phase != Phase::Open {
            return;
        }
        if conn.failed {
            return self.close_now(id);
        }
        conn.phase = Phase::Flushing;
        conn.drain_bytes = None;
        // Only a read sees the peer's FIN.
        conn.paused = false;
        if conn.wants_receive() {
            self.arm_receive(id);
        }
        let conn = self.conns.get_mut(id).expect("still there");
        if conn.queue.is_empty() {
            self.finish_flush(id);
        }
    }

    /// Everything is sent: our FIN goes out.
    pub(super) fn finish_flush(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(id).expect("flushing connections live");
        assert!(conn.phase == Phase::Flushing);
        assert!(conn.queue.is_empty() && !conn.sending);
        conn.shut_down(libc::SHUT_WR);
        conn.phase = if conn.read_ended { Phase::Closing } else { Phase::Lingering };
        self.settle(id);
    }

    pub(super) fn close_now(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.phase == Phase::Closing {
            return;
        }
        conn.phase = Phase::Closing;
        conn.drop_queue();
        if conn.operation_count > 0 {
            // Ends a send that waits for room. The receive is cancelled as well: a peer that keeps
            // sending could keep it busy for ever.
            conn.shut_down(libc::SHUT_RDWR);
            self.cancel_receive(id);
        }
        self.settle(id);
    }

    /// The socket is of no further use: tells the caller, or completes the close he asked for.
    pub(super) fn fail(&mut self, id: ConnId, reason: EndReason) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.read_ended = true;
        if std::mem::replace(&mut conn.failed, true) {
            return;
        }
        conn.drop_queue();
        match conn.phase {
            Phase::Open => self.events.push(Event::Ended { conn: id, reason }),
            Phase::Flushing | Phase::Lingering => self.close_now(id),
            Phase::Closing => {}
        }
    }
}
