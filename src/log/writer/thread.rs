//! One round after the other: drain, frame, write, sync, publish.

use super::names::Names;
use super::{LogOptions, Notifier};
use crate::base::ids::ShardId;
use crate::base::limits::{BATCH_BYTES_MAX, KIB, MIB};
use crate::log::batch::{BATCH_HEADER_BYTES, Framer, SYNC_ALIGN};
use crate::log::ctl::{Ctl, Progress};
use crate::log::directory::LogError;
use crate::log::format::{SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES};
use crate::log::handle::{AckPolicy, FailOnPanic, LogState, Shared};
use crate::log::record::{Kind, NameId, RawRecord, RecordHeader, StopV1, serialize_into};
use crate::log::recovered::Recovered;
use crate::log::ring::RingReader;
use crate::log::sealer::Order;
use crate::log::segment::SegmentFile;
use crate::log::spare::SparePool;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Bytes taken from one ring before the next has its turn.
const TURN_BYTES: usize = 256 * KIB;
/// Bytes framed before they are written.
const STAGE_BYTES: usize = MIB;
/// Bytes written before they are synced even if more is waiting: acks should not wait for a flood.
const SYNC_BYTES: usize = 4 * MIB;
/// What a segment must have left for one more record: the record and its three names may close a
/// batch each time, and a padded end and the seal come behind.
pub(super) const RESERVE_BYTES: usize = 2 * BATCH_BYTES_MAX + 2 * SYNC_ALIGN + BATCH_HEADER_BYTES;
/// How long work may gather when nobody waits for it. To sleep and wake costs as much as to frame
/// a hundred records; what is appended a moment before a crash was never promised.
const GATHER: Duration = Duration::from_millis(4);
/// Quiet for this long, the last sync is vouched for.
const VOUCH_AFTER: Duration = Duration::from_millis(20);
/// From one note in the `ctl` file to the next.
const TELL_AFTER: Duration = Duration::from_millis(2);
/// The longest sleep; only a lost wake would ever need it.
const SLEEP_MAX: Duration = Duration::from_secs(1);

const _: () = assert!(RESERVE_BYTES + SEGMENT_HEADER_BYTES <= SEGMENT_BYTES_MIN as usize);

pub(super) struct Worker {
    pub(super) log_dir: PathBuf,
    pub(super) options: LogOptions,
    pub(super) shared: Arc<Shared>,
    pub(super) rings: Vec<RingReader>,
    pub(super) notifier: Notifier,
    pub(super) names: Names,
    pub(super) spares: Arc<SparePool>,
    pub(super) orders: Sender<Order>,
    pub(super) open: Option<Open>,
    /// Sequence number of the first record that the rings still hold: where a segment begins that
    /// follows a failed one.
    pub(super) kept_seq: u64,
    /// End of what the open segment keeps whatever happens to it.
    pub(super) kept_end: u32,
    /// The segment before the open one.
    pub(super) prev_base_seq: Option<u64>,
    /// The newest file there ever was: its number is not given again.
    pub(super) newest_seq: Option<u64>,
    pub(super) start: u32,
    /// Bytes written since the last sync.
    pub(super) unsynced_bytes: usize,
    /// Bytes were synced and no batch says so yet.
    pub(super) vouch_due: bool,
    /// Segments given up since the last one that took what it was given.
    pub(super) failure_count: u32,
    ctl: Option<Ctl>,
    /// When `ctl` was written, by the wall clock, and whether there is news since.
    told_us: i64,
    tell_due: bool,
}

/// What the worker is connected to.
pub(super) struct Parts {
    pub(super) rings: Vec<RingReader>,
    pub(super) notifier: Notifier,
    pub(super) spares: Arc<SparePool>,
    pub(super) orders: Sender<Order>,
}

/// The segment that is being written.
pub(super) struct Open {
    pub(super) file: SegmentFile,
    pub(super) framer: Framer,
    pub(super) base_seq: u64,
    /// Whether its name is durable.
    pub(super) is_named: bool,
}

/// Where the worker stands after a round.
enum Round {
    Next,
    /// All is written that ever will be.
    Last,
}

impl Worker {
    pub(super) fn new(
        log_dir: PathBuf,
        recovered: &Recovered,
        options: LogOptions,
        shared: Arc<Shared>,
        parts: Parts,
    ) -> Self {
        let Parts { rings, notifier, spares, orders } = parts;
        let ctl = log_dir.parent().and_then(|root| Ctl::create(root).ok());
        shared.set_durable_seq(recovered.base_seq);
        Self {
            log_dir,
            options,
            shared,
            names: Names::new(rings.len()),
            rings,
            notifier,
            spares,
            orders,
            open: None,
            kept_seq: recovered.base_seq,
            kept_end: 0,
            prev_base_seq: recovered.followed_seq,
            newest_seq: recovered.newest_seq,
            start: recovered.start,
            unsynced_bytes: 0,
            vouch_due: false,
            failure_count: 0,
            ctl,
            told_us: 0,
            tell_due: true,
        }
    }

    /// The thread. Ends when asked to, or at the first error that time cannot heal.
    pub(super) fn run(mut self) -> Result<(), LogError> {
        self.shared.register_thread();
        let guard = FailOnPanic::new(Arc::clone(&self.shared));
        let ended = self.rounds();
        guard.disarm();
        let state = if ended.is_ok() { LogState::Stopped } else { LogState::Failed };
        self.enter(state);
        ended
    }

    fn rounds(&mut self) -> Result<(), LogError> {
        loop {
            if let Some(error) = self.shared.take_fatal() {
                return Err(error);
            }
            match self.round() {
                Ok(Round::Next) => {}
                Ok(Round::Last) => return Ok(()),
                Err(error) => self.give_up_segment(error)?,
            }
        }
    }

    /// An error says that the open segment cannot be trusted any more, or that none can be made.
    fn round(&mut self) -> Result<Round, LogError> {
        // Read before the rings, so that all that was appended before the call is written.
        let stopping = self.shared.is_asked_to_stop();
        let asked = self.shared.rotations_asked();
        if self.open.is_none() && !self.try_segment(stopping)? {
            return Ok(Round::Next);
        }
        let drained = self.drain()?;
        self.flush(drained)?;
        if drained {
            self.linger(stopping);
        } else if stopping {
            return self.close_log();
        } else if asked > self.shared.rotated() {
            self.rotate(asked)?;
        } else {
            self.rest()?;
        }
        Ok(Round::Next)
    }

    /// Under the policy `memory` nobody waits for this thread, so it lets work gather: fewer and
    /// larger batches for less of a core.
    fn linger(&self, stopping: bool) {
        if self.options.policy == AckPolicy::Memory && !stopping && self.open.is_some() {
            std::thread::park_timeout(GATHER);
        }
    }

    /// Frames what the rings hold, up to a stage. `true`: there may be more.
    fn drain(&mut self) -> Result<bool, LogError> {
        let mut any = false;
        for index in 0..self.rings.len() {
            let Some(open) = &mut self.open else {
                return Ok(true);
            };
            let ring = &mut self.rings[index];
            let readable = ring.readable();
            let (mut taken, mut count) = (0, 0u64);
            let mut full = false;
            while taken < readable.len() && taken < TURN_BYTES {
                if open.framer.end() + RESERVE_BYTES > self.options.segment_bytes {
                    full = true;
                    break;
                }
                let (record, _) =
                    RawRecord::split(&readable[taken..]).expect("the ring holds whole records");
                count += self.names.frame(&record, &mut open.framer);
                taken += record.header.stride();
            }
            any |= taken > 0;
            ring.take(taken);
            self.shared.counters.records.fetch_add(count, Ordering::Relaxed);
            if full {
                self.close_segment()?;
                return Ok(true);
            }
            if open.framer.pending_bytes() >= STAGE_BYTES {
                break;
            }
        }
        Ok(any)
    }

    /// Writes what is framed and publishes it. Syncs when the policy wants it and either nothing
    /// more waits or enough is written.
    fn flush(&mut self, more: bool) -> Result<(), LogError> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let pending_bytes = open.framer.pending_bytes();
        let unsynced_bytes = self.unsynced_bytes + pending_bytes;
        let waiting = more && self.rings.iter().any(|ring| !ring.readable().is_empty());
        let sync = self.options.policy == AckPolicy::Fsync
            && unsynced_bytes > 0
            && (!waiting || unsynced_bytes >= SYNC_BYTES);
        if pending_bytes > 0 {
            self.write(if sync { SYNC_ALIGN } else { 1 })?;
        }
        self.publish_committed();
        if sync {
            self.sync()?;
            self.publish_durable();
        }
        if self.tell_due {
            // Negative when the clock was set back: then it is time, too.
            let since_us = (self.options.clock)().wrapping_sub(self.told_us);
            if !(0..TELL_AFTER.as_micros() as i64).contains(&since_us) {
                self.tell();
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, align: usize) -> Result<(), LogError> {
        let open = self.open.as_mut().expect("a segment is open");
        open.framer.finish(align);
        let (offset, bytes) = open.framer.pending();
        open.file.write(offset, bytes)?;
        self.unsynced_bytes += bytes.len();
        self.shared.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        open.framer.written();
        self.tell_due = true;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), LogError> {
        let open = self.open.as_mut().expect("a segment is open");
        if !open.is_named {
            let named = self.options.disk.sync_dir(&self.log_dir);
            named.map_err(LogError::io("sync", &self.log_dir))?;
            open.is_named = true;
        }
        open.file.sync()?;
        open.framer.synced();
        self.shared.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.unsynced_bytes = 0;
        self.vouch_due = true;
        Ok(())
    }

    /// Call only when all that was taken from the rings is written.
    pub(super) fn publish_committed(&mut self) {
        for (index, ring) in self.rings.iter_mut().enumerate() {
            let position = ring.taken();
            if !self.shared.set_committed(index, position) {
                continue;
            }
            if self.options.policy != AckPolicy::Fsync {
                ring.release(position);
            }
            if self.options.policy == AckPolicy::Os {
                (self.notifier)(ShardId(index as u16));
            }
        }
        if self.options.policy != AckPolicy::Fsync {
            self.kept();
        }
    }

    /// Call only after a sync that covers all that was taken from the rings. Under a weaker policy
    /// than `fsync` only a closed segment is durable, and the seal thread says so.
    pub(super) fn publish_durable(&mut self) {
        assert!(self.options.policy == AckPolicy::Fsync);
        for (index, ring) in self.rings.iter_mut().enumerate() {
            let position = ring.taken();
            if self.shared.set_durable(index, position) {
                ring.release(position);
                (self.notifier)(ShardId(index as u16));
            }
        }
        self.kept();
        let open = self.open.as_ref().expect("a segment is open");
        self.shared.set_durable_seq(open.framer.next_seq());
    }

    /// The rings hold nothing any more of what the open segment has: it kept what it was given.
    fn kept(&mut self) {
        let open = self.open.as_ref().expect("a segment is open");
        self.kept_seq = open.framer.next_seq();
        self.kept_end = open.framer.end() as u32;
        if self.failure_count > 0 {
            self.failure_count = 0;
            self.shared.note("the log writes again; nothing acknowledged was lost".to_owned());
            self.heal();
        }
    }

    /// The last words: a stop record, a sync, a seal.
    fn close_log(&mut self) -> Result<Round, LogError> {
        // Refused from now on: nothing may be appended that nobody will write.
        self.enter(LogState::Stopped);
        while self.drain()? {
            self.flush(true)?;
            if self.open.is_none() {
                self.begin_segment()?;
            }
        }
        let mut payload = Payload([0; 64]);
        let record = StopV1 { ts_us: (self.options.clock)() };
        let payload_len = serialize_into(&record, &mut payload.0).expect("a stop record is small");
        let header = RecordHeader {
            payload_len: payload_len as u32,
            tag: Kind::Stop.tag(),
            flags: 0,
            user: NameId::NONE,
            room: NameId::NONE,
        };
        let open = self.open.as_mut().expect("a segment is open");
        open.framer.push(&RawRecord { header, payload: &payload.0[..payload_len] });
        self.shared.counters.records.fetch_add(1, Ordering::Relaxed);
        self.close_segment()?;
        Ok(Round::Last)
    }

    /// Nothing to do: vouch for the last sync, then sleep until a shard wakes this thread.
    fn rest(&mut self) -> Result<(), LogError> {
        if self.tell_due && !self.sleep(TELL_AFTER) {
            self.tell();
        } else if self.vouch_due && !self.sleep(VOUCH_AFTER) {
            self.vouch_due = false;
            let open = self.open.as_mut().expect("a segment is open");
            if open.framer.end() + RESERVE_BYTES <= self.options.segment_bytes {
                open.framer.mark(0);
                self.write(1)?;
                // It only repeats what is durable: it needs no sync of its own.
                self.unsynced_bytes = 0;
                self.tell_due = false;
            }
        } else if !self.vouch_due && !self.tell_due {
            self.sleep(SLEEP_MAX);
        }
        Ok(())
    }

    /// Whether there is something to do.
    fn sleep(&self, patience: Duration) -> bool {
        let has_work = || {
            self.shared.is_asked_to_stop()
                || self.shared.rotations_asked() > self.shared.rotated()
                || self.rings.iter().any(|ring| !ring.readable().is_empty())
        };
        self.shared.arm();
        if !has_work() {
            std::thread::park_timeout(patience);
        }
        self.shared.disarm();
        has_work()
    }

    /// Notes in `ctl` how far the log is.
    pub(super) fn tell(&mut self) {
        self.tell_due = false;
        self.told_us = (self.options.clock)();
        let (Some(ctl), Some(open)) = (&self.ctl, &self.open) else {
            return;
        };
        ctl.write(&Progress {
            pid: std::process::id(),
            start: self.start,
            state: self.shared.state(),
            policy: self.options.policy,
            committed_seq: open.framer.next_seq(),
            durable_seq: self.shared.durable_seq(),
            segment: open.base_seq,
            committed_off: open.framer.end() as u32,
            durable_off: open.framer.durable_off(),
            at_us: self.told_us,
        });
    }

    pub(super) fn enter(&mut self, state: LogState) {
        if self.shared.state() != state {
            self.shared.set_state(state);
            for index in 0..self.rings.len() {
                (self.notifier)(ShardId(index as u16));
            }
        }
    }
}

/// Room for an archive, aligned as archives are.
#[repr(align(8))]
struct Payload([u8; 64]);
