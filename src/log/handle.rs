//! What the shards and the log thread share: watermarks, state, and the way to wake the thread.

use crate::base::ids::{LogPosition, ShardId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
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
    /// A write or a sync failed. Nothing is acknowledged any more, and only a restart helps: after
    /// a failed sync the kernel may forget what it could not write.
    Failed = 2,
    /// Stopped in order.
    Stopped = 3,
}

impl LogState {
    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Ok,
            1 => Self::Full,
            2 => Self::Failed,
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
    sealer_stop: AtomicBool,
    /// How often a rotation was asked for, and how many of those are done.
    rotations_asked: AtomicU64,
    rotations_done: AtomicU64,
    words: Mutex<Words>,
}

/// What the threads of the log have to say to people; written rarely, never on the way of a record.
#[derive(Default)]
struct Words {
    notes: Vec<String>,
    job_errors: BTreeMap<&'static str, String>,
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
            sealer_stop: AtomicBool::new(false),
            rotations_asked: AtomicU64::new(0),
            rotations_done: AtomicU64::new(0),
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

    /// Returns whether it moved.
    pub(super) fn set_committed(&self, ring: usize, position: LogPosition) -> bool {
        let before = self.watermarks[ring].committed.swap(position.0, Ordering::Release);
        assert!(before <= position.0);
        before != position.0
    }

    /// Returns whether it moved.
    pub(super) fn set_durable(&self, ring: usize, position: LogPosition) -> bool {
        assert!(position <= self.committed(ring));
        let before = self.watermarks[ring].durable.swap(position.0, Ordering::Release);
        assert!(before <= position.0);
        before != position.0
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

    pub(super) fn ask_sealer_to_stop(&self) {
        self.sealer_stop.store(true, Ordering::Release);
    }

    pub(super) fn is_sealer_asked_to_stop(&self) -> bool {
        self.sealer_stop.load(Ordering::Acquire)
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

    /// Lines for standard error that came since the last call, oldest first.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.words().notes)
    }

    /// Jobs of the seal thread whose last call failed, with the reason.
    pub fn job_errors(&self) -> Vec<(&'static str, String)> {
        let words = self.shared.words();
        words.job_errors.iter().map(|(job, error)| (*job, error.clone())).collect()
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
        }
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LogHandle").field("state", &self.state()).finish_non_exhaustive()
    }
}
