//! The seal thread: everything that a log needs and no message may wait for.
//!
//! ```text
//!   log thread ── a segment was closed ──▶ seal thread ─▶ Job::sealed of every job, in turn
//!                                              │  once ─▶ Job::start
//!                                              └ minute ▶ Job::tick
//! ```
//!
//! Jobs make what is derived from segments (sidecars, snapshots) and take away what is no longer
//! wanted (retention, erasure). All of it can be made again from the segments, so a job that
//! fails, panics or is cut short costs nothing but its work: the others go on, the log goes on,
//! and the health of the server says which one failed and why.
//!
//! **Never:** a job that makes the log thread or a shard wait.

mod closing;

mod context;

mod mending;

#[cfg(test)]
mod tests;

pub(super) use closing::Closing;
pub use context::SealContext;
pub(super) use mending::Mending;

use super::directory::LogError;
use super::handle::{FailOnPanic, Shared};
use super::spare::SparePool;
use super::writer::LogOptions;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// From one [`Job::tick`] to the next.
pub const TICK: Duration = Duration::from_secs(60);
/// From one [`Job::poll`] to the next.
pub const POLL: Duration = Duration::from_secs(1);

/// Work of the seal thread. Called on that thread only, one job at a time.
///
/// A call that takes long asks [`SealContext::is_stopping`] between its steps, and returns soon
/// when the answer is yes: what is left undone is found again by `start` of the next process.
/// An error is reported as the job's health until a later call succeeds. A job that panics is not
/// called again.
pub trait Job: Send {
    /// Stable name for health and metrics, such as `sidecar`.
    fn name(&self) -> &'static str;

    /// Once, before any other call: finds what an earlier process left undone.
    fn start(&mut self, _seal: &SealContext) -> Result<(), LogError> {
        Ok(())
    }

    /// A segment is whole, sealed and durable, and nobody writes to it any more. One whose write
    /// or sync failed comes too, once what it kept is in a file that did not fail.
    fn sealed(
        &mut self,
        _seal: &SealContext,
        _segment: &Path,
        _base_seq: u64,
    ) -> Result<(), LogError> {
        Ok(())
    }

    /// Each [`POLL`]: to see whether somebody asks for something. Must cost next to nothing when
    /// nobody does.
    fn poll(&mut self, _seal: &SealContext) -> Result<(), LogError> {
        Ok(())
    }

    /// Each [`TICK`].
    fn tick(&mut self, _seal: &SealContext) -> Result<(), LogError> {
        Ok(())
    }
}

/// What the seal thread is told.
pub(super) enum Order {
    /// A segment is full.
    Close(Box<Closing>),
    /// A segment was given up.
    Mend(Mending),
    /// One more job.
    Job(Box<dyn Job>),
    /// A spare is wanted.
    Wake,
    /// Close what was handed over before this, and end.
    Stop,
}

/// The running seal thread. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Sealer {
    orders: Sender<Order>,
    thread: Option<JoinHandle<Result<(), LogError>>>,
}

impl Sealer {
    /// Starts the thread, without jobs.
    pub(super) fn start(
        log_dir: PathBuf,
        options: LogOptions,
        spares: Arc<SparePool>,
        shared: Arc<Shared>,
    ) -> Result<Self, LogError> {
        let (orders, inbox) = channel();
        let context = SealContext::new(log_dir.clone(), options.disk, spares, shared, inbox);
        let thread = std::thread::Builder::new()
            .name("ringpost-seal".to_owned())
            .spawn(move || Worker { context, jobs: Vec::new(), clock: options.clock }.run())
            .map_err(LogError::io("start the seal thread for", &log_dir))?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// A way to give orders, for the log thread.
    pub(super) fn orders(&self) -> Sender<Order> {
        self.orders.clone()
    }

    pub(super) fn add_job(&self, job: Box<dyn Job>) {
        // The thread ends before the sender only if it panicked, which the state of the log says.
        let _ = self.orders.send(Order::Job(job));
    }

    /// Ends the thread once every segment handed to it is closed; jobs are cut short. An error
    /// says that the last segment may not be durable.
    pub(super) fn stop(&mut self) -> Result<(), LogError> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let _ = self.orders.send(Order::Stop);
        thread.join().unwrap_or(Err(LogError::Panicked))
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

struct Worker {
    context: SealContext,
    jobs: Vec<Box<dyn Job>>,
    /// Wall clock, microseconds since 1970.
    clock: fn() -> i64,
}

impl Worker {
    fn run(mut self) -> Result<(), LogError> {
        let guard = FailOnPanic::new(self.context.shared());
        self.turns();
        guard.disarm();
        self.context.discard_spare();
        self.context.take_doubt().map_or(Ok(()), Err)
    }

    fn turns(&mut self) {
        let mut ticked_us = (self.clock)();
        let mut polled_us = ticked_us;
        loop {
            self.context.receive(POLL.saturating_sub(self.since(polled_us)));
            if self.context.is_stopping() {
                return;
            }
            self.begin_jobs();
            while let Some((segment, base_seq)) = self.context.take_sealed() {
                self.each(|job, seal| job.sealed(seal, &segment, base_seq));
                self.begin_jobs();
            }
            if self.since(polled_us) >= POLL {
                self.each(|job, seal| job.poll(seal));
                polled_us = (self.clock)();
            }
            if self.since(ticked_us) >= TICK {
                self.each(|job, seal| job.tick(seal));
                ticked_us = (self.clock)();
            }
        }
    }

    /// How long ago that was. A clock that was set back says nothing, so that it is due.
    fn since(&self, at_us: i64) -> Duration {
        let since_us = (self.clock)().wrapping_sub(at_us);
        u64::try_from(since_us).map_or(Duration::MAX, Duration::from_micros)
    }

    fn begin_jobs(&mut self) {
        while let Some(job) = self.context.take_job() {
            let begun = self.jobs.len();
            self.jobs.push(job);
            self.call(begun, &|job, seal| job.start(seal));
            self.jobs.retain(|job| self.context.is_trusted(job.name()));
        }
    }

    /// Calls every job, whatever became of the one before.
    fn each(&mut self, call: impl Fn(&mut dyn Job, &SealContext) -> Result<(), LogError>) {
        for index in 0..self.jobs.len() {
            if self.context.is_stopping() {
                return;
            }
            self.call(index, &call);
        }
        self.jobs.retain(|job| self.context.is_trusted(job.name()));
    }

    fn call(
        &mut self,
        index: usize,
        call: &dyn Fn(&mut dyn Job, &SealContext) -> Result<(), LogError>,
    ) {
        let Self { context, jobs, .. } = self;
        let job = jobs[index].as_mut();
        let name = job.name();
        // A job that panicked half way is not called again, so nobody sees what it left behind.
        match catch_unwind(AssertUnwindSafe(|| call(job, context))) {
            Ok(Ok(())) => context.report(name, None),
            Ok(Err(error)) => context.report(name, Some(error.to_string())),
            Err(_) => context.retire(name),
        }
    }
}

/// Sealed segments that no job has seen yet, oldest first.
type Sealed = VecDeque<(PathBuf, u64)>;
