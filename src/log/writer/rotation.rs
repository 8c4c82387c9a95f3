//! From one segment to the next: because it is full, or because it failed.
//!
//! A failed write or sync says nothing about what the disk now holds, and a second sync would say
//! that all is well. So the segment is given up as it stands, and all that is not yet acknowledged
//! is written again, from the rings, to a fresh segment:
//!
//! ```text
//!   seq:      0 ........ 57 58 ... 80                   kept_seq = 58
//!   failed:   | acknowledged | in doubt |               never written nor synced again
//!   fresh:                   | 58 ... 80, once more     base_seq = 58, prev_base_seq = 0
//! ```
//!
//! Readers take a record from the newest segment that begins at or before it. When nothing of the
//! failed one was acknowledged, it is removed, and the fresh one has its predecessor.

use super::thread::{Open, Worker};
use crate::base::limits::SEGMENT_FAILURES_MAX;
use crate::log::batch::{Framer, SYNC_ALIGN};
use crate::log::directory::LogError;
use crate::log::format::SegmentHeader;
use crate::log::handle::{AckPolicy, LogState};
use crate::log::sealer::{Closing, Mending, Order};
use std::sync::atomic::Ordering;

impl Worker {
    /// Makes the next segment. Its name is not durable yet.
    pub(super) fn begin_segment(&mut self) -> Result<(), LogError> {
        assert!(self.open.is_none());
        // A segment that stayed empty has used its number up.
        let base_seq = match self.newest_seq {
            Some(newest) => self.kept_seq.max(newest + 1),
            None => self.kept_seq,
        };
        let header = SegmentHeader {
            base_seq,
            prev_base_seq: self.prev_base_seq,
            created_us: (self.options.clock)(),
            salt: mix(self.options.seed ^ mix(base_seq) ^ u64::from(self.start) << 40),
            segment_bytes: self.options.segment_bytes as u32,
            start: self.start,
        };
        let file = self.spares.take_over(&header)?;
        self.open = Some(Open { file, framer: Framer::new(&header), base_seq, is_named: false });
        self.newest_seq = Some(base_seq);
        self.names.begin_segment();
        self.unsynced_bytes = 0;
        self.vouch_due = false;
        self.shared.counters.segments.fetch_add(1, Ordering::Relaxed);
        // The seal thread outlives this one, unless it panicked.
        self.spares.want();
        let _ = self.orders.send(Order::Wake);
        Ok(())
    }

    /// Makes the first segment, durable with its name: what fails here fails the start.
    pub(super) fn begin_log(&mut self) -> Result<(), LogError> {
        self.begin_segment()?;
        self.sync()?;
        self.vouch_due = false;
        // Over what an earlier server wrote there.
        self.tell();
        Ok(())
    }

    /// `false`: the disk is full, and a while has passed.
    pub(super) fn try_segment(&mut self, stopping: bool) -> Result<bool, LogError> {
        match self.begin_segment() {
            Ok(()) => {
                // Behind a failure only a segment that keeps something proves the disk.
                let owed = self.rings.iter().any(|ring| !ring.readable().is_empty());
                if self.failure_count == 0 || !owed {
                    self.heal();
                }
                Ok(true)
            }
            Err(LogError::Full(_)) if !stopping => {
                self.enter(LogState::Full);
                std::thread::park_timeout(self.options.retry);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes records again, unless the log stops.
    pub(super) fn heal(&mut self) {
        if matches!(self.shared.state(), LogState::Full | LogState::Faulty) {
            self.enter(LogState::Ok);
        }
    }

    /// Writes what is framed and hands the segment to the seal thread. Under `fsync` it is synced
    /// first, since that is what senders wait for.
    pub(super) fn close_segment(&mut self) -> Result<(), LogError> {
        self.write(SYNC_ALIGN)?;
        self.publish_committed();
        let is_synced = self.options.policy == AckPolicy::Fsync;
        if is_synced {
            self.sync()?;
            self.publish_durable();
        }
        let Open { file, framer, base_seq, is_named } =
            self.open.take().expect("a segment is open");
        self.prev_base_seq = Some(base_seq);
        let positions = self.rings.iter().map(|ring| ring.taken()).collect();
        let closing = Closing { file, framer, base_seq, is_named, is_synced, positions };
        let _ = self.orders.send(Order::Close(Box::new(closing)));
        Ok(())
    }

    /// Closes the open segment because the seal thread asked for it, unless nothing is in it.
    pub(super) fn rotate(&mut self, asked: u64) -> Result<(), LogError> {
        let open = self.open.as_ref().expect("a segment is open");
        if open.framer.next_seq() != open.base_seq {
            self.close_segment()?;
        }
        self.shared.set_rotated(asked);
        Ok(())
    }

    /// Leaves the open segment as it stands and makes all that it did not keep readable again.
    /// An error ends the log: it is the last of too many.
    pub(super) fn give_up_segment(&mut self, error: LogError) -> Result<(), LogError> {
        self.failure_count += 1;
        self.shared.counters.segment_failures.fetch_add(1, Ordering::Relaxed);
        self.rings.iter_mut().for_each(|ring| ring.rewind());
        if let Some(open) = self.open.take() {
            self.shared.note(format!("{error}; the log goes on in a fresh segment"));
            if self.kept_seq > open.base_seq {
                self.prev_base_seq = Some(open.base_seq);
                let _ = self.orders.send(Order::Mend(Mending {
                    segment: open.file.path().to_path_buf(),
                    base_seq: open.base_seq,
                    end: self.kept_end,
                    is_durable: self.options.policy == AckPolicy::Fsync,
                    record_count: self.kept_seq - open.base_seq,
                }));
            } else {
                // Nothing of it is anybody's. If its name stays, the fresh one cannot be made.
                let _ = self.options.disk.remove(open.file.path());
                self.newest_seq = self.prev_base_seq;
            }
        } else {
            self.shared.note(format!("{error}; there is no segment to write to"));
        }
        if self.failure_count >= SEGMENT_FAILURES_MAX {
            return Err(LogError::GaveUp(error.to_string()));
        }
        if self.failure_count > 1 && self.shared.state() != LogState::Stopped {
            self.enter(LogState::Faulty);
            std::thread::park_timeout(self.options.retry);
        }
        Ok(())
    }
}

/// Spreads `value` over 64 bits (the finaliser of splitmix64).
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
