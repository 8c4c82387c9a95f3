//! One round after the other: drain, frame, write, sync, publish.

use super::{LogOptions, Notifier};
use crate::base::ids::ShardId;
use crate::base::limits::{BATCH_BYTES_MAX, KIB, MIB};
use crate::log::batch::{BATCH_HEADER_BYTES, FLAG_SEAL, Framer, SYNC_ALIGN};
use crate::log::directory::LogError;
use crate::log::format::{SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::log::handle::{AckPolicy, LogState, Shared};
use crate::log::record::{
    Kind, NameId, RawRecord, RecordHeader, RecordView, StopV1, serialize_into,
};
use crate::log::recovered::Recovered;
use crate::log::ring::RingReader;
use crate::log::sealer::Order;
use crate::log::segment::SegmentFile;
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
const RESERVE_BYTES: usize = 2 * BATCH_BYTES_MAX + 2 * SYNC_ALIGN + BATCH_HEADER_BYTES;
/// How long work may gather when nobody waits for it.
const GATHER: Duration = Duration::from_millis(1);
/// Quiet for this long, the last sync is vouched for.
const VOUCH_AFTER: Duration = Duration::from_millis(20);
/// How long a full disk is left alone.
const FULL_RETRY: Duration = Duration::from_secs(1);
/// The longest sleep; only a lost wake would ever need it.
const SLEEP_MAX: Duration = Duration::from_secs(1);

const _: () = assert!(RESERVE_BYTES + SEGMENT_HEADER_BYTES <= SEGMENT_BYTES_MIN as usize);

pub(super) struct Worker {
    log_dir: PathBuf,
    options: LogOptions,
    shared: Arc<Shared>,
    rings: Vec<RingReader>,
    notifier: Notifier,
    names: Names,
    open: Option<Open>,
    next_seq: u64,
    prev_base_seq: Option<u64>,
    start: u32,
    /// Bytes written since the last sync.
    unsynced_bytes: usize,
    /// Bytes were synced and no batch says so yet.
    vouch_due: bool,
    orders: Sender<Order>,
}

/// The segment that is being written.
struct Open {
    file: SegmentFile,
    framer: Framer,
}

/// Names that the producers gave numbers, and whether the open segment has them.
struct Names {
    /// By producer: payload of the name record, and the number of the last segment that holds it.
    known: Vec<Vec<(Box<[u8]>, u64)>>,
    /// Counts segments, from 1.
    segment: u64,
}

impl Worker {
    pub(super) fn new(
        log_dir: PathBuf,
        recovered: &Recovered,
        options: LogOptions,
        shared: Arc<Shared>,
        rings: Vec<RingReader>,
        notifier: Notifier,
        orders: Sender<Order>,
    ) -> Self {
        Self {
            log_dir,
            options,
            shared,
            names: Names::new(rings.len()),
            rings,
            notifier,
            open: None,
            next_seq: recovered.base_seq,
            prev_base_seq: recovered.newest_seq,
            start: recovered.start,
            unsynced_bytes: 0,
            vouch_due: false,
            orders,
        }
    }

    /// Makes the next segment.
    pub(super) fn begin_segment(&mut self) -> Result<(), LogError> {
        assert!(self.open.is_none());
        // A segment that stayed empty has used its number up.
        let base_seq = match self.prev_base_seq {
            Some(prev) => self.next_seq.max(prev + 1),
            None => self.next_seq,
        };
        let header = SegmentHeader {
            base_seq,
            prev_base_seq: self.prev_base_seq,
            created_us: (self.options.clock)(),
            salt: mix(self.options.seed ^ mix(base_seq) ^ u64::from(self.start) << 40),
            segment_bytes: self.options.segment_bytes as u32,
            start: self.start,
        };
        let file = SegmentFile::create(&self.log_dir, &header)?;
        self.open = Some(Open { file, framer: Framer::new(&header) });
        self.next_seq = base_seq;
        self.prev_base_seq = Some(base_seq);
        self.names.segment += 1;
        self.unsynced_bytes = 0;
        self.vouch_due = false;
        self.shared.counters.segments.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The thread. Ends when asked to, or at the first error that time cannot heal.
    pub(super) fn run(mut self) -> Result<(), LogError> {
        self.shared.register_thread();
        let guard = FailOnPanic(Arc::clone(&self.shared));
        let ended = self.rounds();
        std::mem::forget(guard);
        let state = if ended.is_ok() { LogState::Stopped } else { LogState::Failed };
        self.enter(state);
        ended
    }

    fn rounds(&mut self) -> Result<(), LogError> {
        loop {
            // Read before the rings, so that all that was appended before the call is written.
            let stopping = self.shared.is_asked_to_stop();
            let asked = self.shared.rotations_asked();
            if self.open.is_none() && !self.try_segment(stopping)? {
                continue;
            }
            let drained = self.drain()?;
            self.flush(drained)?;
            if drained {
                self.linger(stopping);
                continue;
            }
            if stopping {
                return self.close_log();
            }
            if asked > self.shared.rotated() {
                self.rotate(asked)?;
                continue;
            }
            self.rest()?;
        }
    }

    /// Under the policy `memory` nobody waits for this thread, so it lets work gather: fewer and
    /// larger batches for less of a core.
    fn linger(&self, stopping: bool) {
        if self.options.policy == AckPolicy::Memory && !stopping && self.open.is_some() {
            std::thread::park_timeout(GATHER);
        }
    }

    /// `false`: the disk is full, and a while has passed.
    fn try_segment(&mut self, stopping: bool) -> Result<bool, LogError> {
        match self.begin_segment() {
            Ok(()) => {
                self.enter(LogState::Ok);
                Ok(true)
            }
            Err(LogError::Full(_)) if !stopping => {
                self.enter(LogState::Full);
                std::thread::park_timeout(FULL_RETRY);
                Ok(false)
            }
            Err(error) => Err(error),
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
        Ok(())
    }

    fn write(&mut self, align: usize) -> Result<(), LogError> {
        let open = self.open.as_mut().expect("a segment is open");
        open.framer.finish(align);
        let (offset, bytes) = open.framer.pending();
        open.file.write(offset, bytes)?;
        self.unsynced_bytes += bytes.len();
        self.shared.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        open.framer.written();
        self.next_seq = open.framer.next_seq();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        let open = self.open.as_mut().expect("a segment is open");
        open.file.sync()?;
        open.framer.synced();
        self.shared.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.unsynced_bytes = 0;
        self.vouch_due = true;
        Ok(())
    }

    fn publish_committed(&mut self) {
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
    }

    /// Call only after a sync that covers all that is committed.
    fn publish_durable(&mut self) {
        for (index, ring) in self.rings.iter_mut().enumerate() {
            let position = self.shared.committed(index);
            if !self.shared.set_durable(index, position) {
                continue;
            }
            if self.options.policy == AckPolicy::Fsync {
                ring.release(position);
                (self.notifier)(ShardId(index as u16));
            }
        }
    }

    /// Writes, syncs and seals the open segment. Always synced: a seal says that all is durable.
    fn close_segment(&mut self) -> Result<(), LogError> {
        self.write(SYNC_ALIGN)?;
        self.publish_committed();
        self.sync()?;
        self.publish_durable();
        let open = self.open.as_mut().expect("a segment is open");
        open.framer.mark(FLAG_SEAL);
        self.write(1)?;
        let open = self.open.take().expect("a segment is open");
        open.file.sync()?;
        open.file.give_back(open.framer.end() as u32);
        let base_seq = self.prev_base_seq.expect("a segment was open");
        let segment = open.file.path().to_path_buf();
        // The seal thread outlives this one, unless it panicked.
        let _ = self.orders.send(Order::Sealed { segment, base_seq });
        Ok(())
    }

    /// Closes the open segment because the seal thread asked for it, unless nothing is in it.
    fn rotate(&mut self, asked: u64) -> Result<(), LogError> {
        let open = self.open.as_ref().expect("a segment is open");
        if Some(open.framer.next_seq()) != self.prev_base_seq {
            self.close_segment()?;
        }
        self.shared.set_rotated(asked);
        Ok(())
    }

    /// The last words: a stop record, a sync, a seal.
    fn close_log(&mut self) -> Result<(), LogError> {
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
        self.close_segment()
    }

    /// Nothing to do: vouch for the last sync, then sleep until a shard wakes this thread.
    fn rest(&mut self) -> Result<(), LogError> {
        let patience = if self.vouch_due { VOUCH_AFTER } else { SLEEP_MAX };
        let woken = self.sleep(patience);
        if !woken && self.vouch_due {
            self.vouch_due = false;
            let open = self.open.as_mut().expect("a segment is open");
            if open.framer.end() + RESERVE_BYTES <= self.options.segment_bytes {
                open.framer.mark(0);
                self.write(1)?;
                // It only repeats what is durable: it needs no sync of its own.
                self.unsynced_bytes = 0;
            }
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

    fn enter(&mut self, state: LogState) {
        if self.shared.state() != state {
            self.shared.set_state(state);
            for index in 0..self.rings.len() {
                (self.notifier)(ShardId(index as u16));
            }
        }
    }
}

impl Names {
    fn new(producer_count: usize) -> Self {
        Self { known: vec![Vec::new(); producer_count], segment: 0 }
    }

    /// Which producer gave out `id`, and how many it gave out before: see [`Producer::intern`].
    ///
    /// [`Producer::intern`]: crate::log::Producer::intern
    fn place(&self, id: NameId) -> (usize, usize) {
        let number = id.0 as usize - 1;
        (number % self.known.len(), number / self.known.len())
    }

    /// Frames `record` behind the names it needs. Returns the number of records framed.
    fn frame(&mut self, record: &RawRecord<'_>, framer: &mut Framer) -> u64 {
        if record.kind() == Some(Kind::Name) {
            self.learn(record);
            return 0;
        }
        let mut count = 1;
        let used = [record.header.user, record.header.room];
        for id in used.into_iter().chain(record.command()) {
            count += self.repeat(id, framer);
        }
        framer.push(record);
        count
    }

    fn learn(&mut self, record: &RawRecord<'_>) {
        // SAFETY: a ring holds what `Producer::append` serialised for this kind, 8-aligned.
        let RecordView::Name(name) = (unsafe { RecordView::trust(Kind::Name, record.payload) })
        else {
            unreachable!("the view has the kind that was asked for");
        };
        let (producer, index) = self.place(NameId(name.id.to_native()));
        assert!(index == self.known[producer].len(), "a producer counts its names one by one");
        self.known[producer].push((record.payload.into(), 0));
    }

    /// Frames the name of `id` unless the open segment has it.
    fn repeat(&mut self, id: NameId, framer: &mut Framer) -> u64 {
        if id == NameId::NONE {
            return 0;
        }
        let (producer, index) = self.place(id);
        let known = self.known[producer].get_mut(index);
        let (payload, segment) = known.expect("a number is interned before it is used");
        if *segment == self.segment {
            return 0;
        }
        *segment = self.segment;
        let header = RecordHeader {
            payload_len: payload.len() as u32,
            tag: Kind::Name.tag(),
            flags: 0,
            user: NameId::NONE,
            room: NameId::NONE,
        };
        framer.push(&RawRecord { header, payload });
        1
    }
}

/// Room for an archive, aligned as archives are.
#[repr(align(8))]
struct Payload([u8; 64]);

/// A log thread that panicked must not look healthy: nothing would ever be acknowledged.
struct FailOnPanic(Arc<Shared>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        self.0.set_state(LogState::Failed);
    }
}

/// Spreads `value` over 64 bits (the finaliser of splitmix64).
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
