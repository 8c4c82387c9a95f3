//! What the shards and the log thread share: watermarks, state, and the way to wake the thread.

use super::directory::LogError;
use crate::base::ids::{LogPosition, ShardId};
use crate::base::limits::SEGMENT_FAILURES_MAX;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::Thread;

/// When a record counts as taken, so that its sender may be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckPolicy {
    /// At once. A crash of the process loses what the log thread has not written yet.
    Memory,
    /// When the kernel has it. Survives the process, not the machine.
    Os,
    /// When the disk has it.
    Fsync,
}

impl AckPolicy {
    /// Every policy, weakest first.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Os, Self::Fsync];

    /// As the configuration spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Os => "os",
            Self::Fsync => "fsync",
        }
    }
}

/// Whether the log takes records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum LogState {
    /// It does.
    Ok = 0,
    /// The disk has no room for the next segment. It is tried again each second; what is in the
    /// rings waits.
    Full = 1,
    /// Writes or syncs failed in [`SEGMENT_FAILURES_MAX`] segments in a row, or a thread of the
    /// log panicked. Nothing is acknowledged any more, and the process should end.
    ///
    /// [`SEGMENT_FAILURES_MAX`]: crate::base::limits::SEGMENT_FAILURES_MAX
    Failed = 2,
    /// Stopped in order.
    Stopped = 3,
    /// A write or a sync failed, and so did one in the fresh segment behind it. It is tried again
    /// each second, a few times; what is in the rings waits.
    Faulty = 4,
}

impl LogState {
    pub(super) fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Ok,
            1 => Self::Full,
            2 => Self::Failed,
            4 => Self::Faulty,
            _ => Self::Stopped,
        }
    }

    /// Stable name for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Full => "full",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Faulty => "faulty",
        }
    }
}

/// How far one ring got. Invariant: `durable <= committed <=` what was appended.
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Watermarks {
    committed: AtomicU64,
    durable: AtomicU64,
}

/// Counters of the log thread since it started.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) records: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) segments: AtomicU64,
    pub(super) segment_failures: AtomicU64,
    pub(super) doubts: AtomicU64,
}

/// A reading of the counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogCounts {
    /// Records written, names and the stop record included.
    pub record_count: u64,
    /// Bytes written to segments, headers and padding included.
    pub written_bytes: u64,
    /// Syncs of data.
    pub sync_count: u64,
    /// Segments begun.
    pub segment_count: u64,
    /// Segments given up for a failed write or sync. What of them was not acknowledged was written
    /// again elsewhere.
    pub segment_failure_count: u64,
    /// Records acknowledged under a weaker policy than `fsync` whose sync failed: they may not
    /// outlive the machine.
    pub doubt_count: u64,
}

pub(super) struct Shared {
    pub(super) policy: AckPolicy,
    pub(super) watermarks: Vec<Watermarks>,
    pub(super) counters: Counters,
    state: AtomicU8,
    stop: AtomicBool,
    /// True while the log thread sleeps or is about to.
    armed: AtomicBool,
    thread: OnceLock<Thread>,
    /// How often a rotation was asked for, and how many of those are done.
    rotations_asked: AtomicU64,
    rotations_done: AtomicU64,
    /// The space of the next segment could not be reserved.
    low: AtomicBool,
    durable_seq: AtomicU64,
    /// Syncs of the seal thread that failed since the last one that did not.
    sync_failures: AtomicU32,
    fatal: AtomicBool,
    words: Mutex<Words>,
}

/// What the threads of the log have to say to people; written rarely, never on the way of a record.
#[derive(Default)]
struct Words {
    notes: Vec<String>,
    job_errors: BTreeMap<&'static str, String>,
    /// Why the log must end.
    fatal: Option<LogError>,
}

/// Lines kept for somebody to print. Beyond, the oldest go.
const NOTES_MAX: usize = 64;

impl Shared {
    pub(super) fn new(policy: AckPolicy, ring_count: u16) -> Self {
        Self {
            policy,
            watermarks: (0..ring_count).map(|_| Watermarks::default()).collect(),
            counters: Counters::default(),
            state: AtomicU8::new(LogState::Ok as u8),
            stop: AtomicBool::new(false),
            armed: AtomicBool::new(false),
            thread: OnceLock::new(),
            rotations_asked: AtomicU64::new(0),
            rotations_done: AtomicU64::new(0),
            low: AtomicBool::new(false),
            durable_seq: AtomicU64::new(0),
            sync_failures: AtomicU32::new(0),
            fatal: AtomicBool::new(false),
            words: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> LogState {
        LogState::from_byte(self.state.load(Ordering::Relaxed))
    }

    pub(super) fn set_state(&self, state: LogState) {
        self.state.store(state as u8, Ordering::Release);
    }

    pub(super) fn committed(&self, ring: usize) -> LogPosition {
        LogPosition(self.watermarks[ring].committed.load(Ordering::Acquire))
    }

    pub(super) fn durable(&self, ring: usize) -> LogPosition {
        LogPosition(self.watermarks[ring].durable.load(Ordering::Acquire))
    }

    /// Returns whether it moved. It stays where it is while records are written a second time.
    pub(super) fn set_committed(&self, ring: usize, position: LogPosition) -> bool {
        let committed = &self.watermarks[ring].committed;
        committed.fetch_max(position.0, Ordering::AcqRel) < position.0
    }

    /// Returns whether it moved.
    pub(super) fn set_durable(&self, ring: usize, position: LogPosition) -> bool {
        assert!(position <= self.committed(ring));
        let durable = &self.watermarks[ring].durable;
        durable.fetch_max(position.0, Ordering::AcqRel) < position.0
    }

    /// Called by the log thread before its first sleep.
    pub(super) fn register_thread(&self) {
        let _ = self.thread.set(std::thread::current());
    }

    /// Wakes the log thread if it sleeps. One system call per sleep, whoever calls how often.
    pub(super) fn wake(&self) {
        // Pairs with the fence in `arm`: either this sees the flag, or the thread sees the append.
        fence(Ordering::SeqCst);
        if self.armed.load(Ordering::Relaxed)
            && self.armed.swap(false, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Called by the log thread before it looks at the rings for the last time.
    pub(super) fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(super) fn disarm(&self) {
        self.armed.store(false, Ordering::Relaxed);
    }

    pub(super) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Returns what [`Shared::rotated`] must reach.
    pub(super) fn ask_to_rotate(&self) -> u64 {
        let asked = self.rotations_asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake();
        asked
    }

    pub(super) fn rotations_asked(&self) -> u64 {
        self.rotations_asked.load(Ordering::Acquire)
    }

    pub(super) fn rotated(&self) -> u64 {
        self.rotations_done.load(Ordering::Acquire)
    }

    pub(super) fn set_rotated(&self, asked: u64) {
        self.rotations_done.store(asked, Ordering::Release);
    }

    pub(super) fn set_low(&self, low: bool) {
        self.low.store(low, Ordering::Relaxed);
    }

    pub(super) fn durable_seq(&self) -> u64 {
        self.durable_seq.load(Ordering::Acquire)
    }

    pub(super) fn set_durable_seq(&self, seq: u64) {
        self.durable_seq.fetch_max(seq, Ordering::AcqRel);
    }

    /// So many records may be lost with the machine, though they were acknowledged.
    pub(super) fn doubt(&self, record_count: u64) {
        self.counters.doubts.fetch_add(record_count, Ordering::Relaxed);
    }

    pub(super) fn sync_worked(&self) {
        self.sync_failures.store(0, Ordering::Relaxed);
    }

    /// A sync of the seal thread failed; too many in a row end the log.
    pub(super) fn sync_failed(&self, error: &LogError) {
        self.counters.segment_failures.fetch_add(1, Ordering::Relaxed);
        if self.sync_failures.fetch_add(1, Ordering::Relaxed) + 1 >= SEGMENT_FAILURES_MAX {
            self.words().fatal = Some(LogError::GaveUp(error.to_string()));
            self.fatal.store(true, Ordering::Release);
            self.wake();
        }
    }

    pub(super) fn take_fatal(&self) -> Option<LogError> {
        if !self.fatal.load(Ordering::Acquire) {
            return None;
        }
        self.words().fatal.take()
    }

    pub(super) fn note(&self, line: String) {
        let mut words = self.words();
        if words.notes.len() >= NOTES_MAX {
            words.notes.remove(0);
        }
        words.notes.push(line);
    }

    pub(super) fn set_job_error(&self, job: &'static str, error: Option<String>) {
        let mut words = self.words();
        let Some(error) = error else {
            words.job_errors.remove(job);
            return;
        };
        if words.job_errors.get(job) != Some(&error) {
            words.notes.push(format!("log job {job}: {error}"));
            words.job_errors.insert(job, error);
        }
    }

    /// Nothing that can panic runs under the lock, so a poisoned one is as good as any.
    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A view of the log for health checks and metrics, from any thread.
#[derive(Clone)]
pub struct LogHandle {
    pub(super) shared: Arc<Shared>,
}

impl LogHandle {
    /// Whether the log takes records.
    pub fn state(&self) -> LogState {
        self.shared.state()
    }

    /// When records count as taken.
    pub fn policy(&self) -> AckPolicy {
        self.shared.policy
    }

    /// How far the shard's records are in the kernel.
    pub fn committed(&self, shard: ShardId) -> LogPosition {
        self.shared.committed(usize::from(shard.0))
    }

    /// How far the shard's records are on the disk. Only moves under [`AckPolicy::Fsync`], and
    /// when a segment is closed.
    pub fn durable(&self, shard: ShardId) -> LogPosition {
        self.shared.durable(usize::from(shard.0))
    }

    /// Whether the disk has no room for a segment behind the open one: the log will be full soon.
    pub fn is_low(&self) -> bool {
        self.shared.low.load(Ordering::Relaxed)
    }

    /// Records with a lower sequence number are on the disk.
    pub fn durable_seq(&self) -> u64 {
        self.shared.durable_seq()
    }

    /// Lines for standard error that came since the last call, oldest first.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.words().notes)
    }

    /// Jobs of the seal thread whose last call failed, with the reason.
    pub fn job_errors(&self) -> Vec<(&'static str, String)> {
        let words = self.shared.words();
        words.job_errors.iter().map(|(job, error)| (*job, error.clone())).collect()
    }

    /// What the operator should know now, one sentence each; empty when all is well.
    pub fn remarks(&self) -> Vec<String> {
        let counts = self.counts();
        let mut remarks = Vec::new();
        match self.state() {
            LogState::Ok | LogState::Stopped => {}
            LogState::Full => remarks.push("log: full, messages are refused".to_owned()),
            LogState::Faulty => {
                remarks.push("log: the disk fails, messages are refused".to_owned())
            }
            LogState::Failed => remarks.push("log: failed, nothing is acknowledged".to_owned()),
        }
        if self.is_low() && self.state() == LogState::Ok {
            remarks.push("log: no room for another segment, it will be full soon".to_owned());
        }
        if counts.segment_failure_count > 0 {
            let count = counts.segment_failure_count;
            remarks.push(format!("log: {count} failed writes or syncs since the start"));
        }
        if counts.doubt_count > 0 {
            let count = counts.doubt_count;
            remarks.push(format!("log: {count} records may not outlive the machine"));
        }
        let jobs = self.job_errors();
        remarks.extend(jobs.into_iter().map(|(job, error)| format!("log job {job}: {error}")));
        remarks
    }

    /// What the log thread has done so far.
    pub fn counts(&self) -> LogCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.shared.counters;
        LogCounts {
            record_count: read(&counters.records),
            written_bytes: read(&counters.bytes),
            sync_count: read(&counters.syncs),
            segment_count: read(&counters.segments),
            segment_failure_count: read(&counters.segment_failures),
            doubt_count: read(&counters.doubts),
        }
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LogHandle").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// A thread of the log that panicked must not look healthy: nothing would ever be acknowledged.
pub(super) struct FailOnPanic(Option<Arc<Shared>>);

impl FailOnPanic {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Some(shared))
    }

    /// The thread ends in order.
    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.set_state(LogState::Failed);
        }
    }
}
