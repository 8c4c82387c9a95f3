//! The log thread: starts, stops, and what it is told at birth.
//!
//! ```text
//!   loop: drain rings ─▶ frame ─▶ pwrite ─▶ publish committed
//!                                   └─ policy fsync: fdatasync ─▶ publish durable, free the rings
//!         nothing came: vouch for the last sync, then sleep until a shard wakes it
//! ```
//!
//! While a sync runs the rings fill; the next round takes all of it. So the group grows with the
//! load and the number of syncs does not.

mod names;

mod rotation;

mod thread;

#[cfg(test)]
mod tests;

pub use super::handle::{AckPolicy, LogCounts, LogHandle, LogState};

use super::be_prompt;
use super::directory::{DataDir, LogError};
use super::disk::{Disk, RealDisk};
use super::format::SEGMENT_BYTES_MIN;
use super::handle::Shared;
use super::producer::Producer;
use super::recovered::Recovered;
use super::ring::ring;
use super::sealer::{Job, Sealer};
use super::spare::SparePool;
use crate::base::ids::ShardId;
use crate::base::limits::{BATCH_BYTES_MAX, LOG_RING_BYTES, SEGMENT_BYTES};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Called on the log thread when records of a shard became acknowledged, or the state of the log
/// changed. It must not block.
pub type Notifier = Box<dyn Fn(ShardId) + Send>;

/// What the log thread is told at birth.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// When a record counts as taken.
    pub policy: AckPolicy,
    /// Number of producers to make.
    pub shard_count: u16,
    /// Size of a segment file, at least [`SEGMENT_BYTES_MIN`].
    pub segment_bytes: usize,
    /// Size of each shard's ring, a multiple of the page size.
    pub ring_bytes: usize,
    /// Random; the salts of the segments are made from it.
    pub seed: u64,
    /// Wall clock, microseconds since 1970.
    pub clock: fn() -> i64,
    /// Where segments are written.
    pub disk: &'static dyn Disk,
    /// How long a disk that was full or failed is left alone.
    pub retry: Duration,
}

impl LogOptions {
    /// The usual sizes and the strictest policy.
    pub const fn new(shard_count: u16, seed: u64, clock: fn() -> i64) -> Self {
        Self {
            policy: AckPolicy::Fsync,
            shard_count,
            segment_bytes: SEGMENT_BYTES,
            ring_bytes: LOG_RING_BYTES,
            seed,
            clock,
            disk: &RealDisk,
            retry: Duration::from_secs(1),
        }
    }
}

/// The running log thread. Dropping it without [`LogWriter::stop`] stops it too, and hides errors.
#[derive(Debug)]
pub struct LogWriter {
    handle: LogHandle,
    thread: Option<JoinHandle<Result<(), LogError>>>,
    sealer: Sealer,
    /// Locked for as long as the thread lives.
    dir: DataDir,
}

impl LogWriter {
    /// Makes a fresh segment behind what was recovered, and starts the thread. Producers come in
    /// the order of their shards.
    pub fn start(
        dir: DataDir,
        recovered: &Recovered,
        options: LogOptions,
        notifier: Notifier,
    ) -> Result<(Self, Vec<Producer>), LogError> {
        assert!(options.shard_count > 0);
        assert!(options.segment_bytes >= SEGMENT_BYTES_MIN as usize);
        assert!(options.segment_bytes <= u32::MAX as usize);
        assert!(options.ring_bytes >= BATCH_BYTES_MAX);
        let shared = Arc::new(Shared::new(options.policy, options.shard_count));
        let mut producers = Vec::new();
        let mut readers = Vec::new();
        for index in 0..options.shard_count {
            let made = ring(options.ring_bytes);
            let (writer, reader) = made.map_err(LogError::io("make a ring for", dir.root()))?;
            producers.push(Producer::new(ShardId(index), writer, Arc::clone(&shared)));
            readers.push(reader);
        }
        let handle = LogHandle { shared: Arc::clone(&shared) };
        let log_dir = dir.log_dir();
        let spares = Arc::new(SparePool::new(
            options.disk,
            log_dir.clone(),
            options.segment_bytes as u32,
            options.retry,
            Arc::clone(&shared),
        ));
        let sealer =
            Sealer::start(log_dir.clone(), options, Arc::clone(&spares), Arc::clone(&shared))?;
        let parts = thread::Parts { rings: readers, notifier, spares, orders: sealer.orders() };
        let mut worker = thread::Worker::new(log_dir, recovered, options, shared, parts);
        worker.begin_log()?;
        let spawned = std::thread::Builder::new()
            .name("ringpost-log".to_owned())
            .spawn(move || {
                be_prompt();
                worker.run()
            })
            .map_err(LogError::io("start the log thread for", dir.root()))?;
        Ok((Self { handle, thread: Some(spawned), sealer, dir }, producers))
    }

    /// A view of the log for other threads.
    pub fn handle(&self) -> LogHandle {
        self.handle.clone()
    }

    /// Gives the seal thread one more thing to do with sealed segments.
    pub fn add_job(&self, job: Box<dyn Job>) {
        self.sealer.add_job(job);
    }

    /// The data directory.
    pub fn root(&self) -> &Path {
        self.dir.root()
    }

    /// Writes all that was appended before the call, says in the log that it stops, syncs, seals
    /// and ends the thread. Later appends are refused.
    pub fn stop(mut self) -> Result<(), LogError> {
        self.join()
    }

    fn join(&mut self) -> Result<(), LogError> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        self.handle.shared.ask_to_stop();
        // The thread may have been between its last look and its sleep.
        thread.thread().unpark();
        let ended = thread.join().unwrap_or(Err(LogError::Panicked));
        // Behind the log thread, whose last segment it closes.
        let sealed = self.sealer.stop();
        super::ctl::close(self.dir.root(), self.handle.state(), self.handle.durable_seq());
        ended.and(sealed)
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let _ = self.join();
    }
}
