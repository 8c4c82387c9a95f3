//! What a job sees of the log.

use super::closing::{CloseError, Closing};
use super::{Job, Mending, Order, Sealed};
use crate::log::directory::LogError;
use crate::log::disk::Disk;
use crate::log::handle::Shared;
use crate::log::spare::SparePool;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// The seal thread's side of the log, lent to each [`Job`].
pub struct SealContext {
    log_dir: PathBuf,
    disk: &'static dyn Disk,
    spares: Arc<SparePool>,
    shared: Arc<Shared>,
    inbox: Receiver<Order>,
    /// Why the last segment may not be durable.
    doubt: RefCell<Option<LogError>>,
    sealed: RefCell<Sealed>,
    fresh_jobs: RefCell<VecDeque<Box<dyn Job>>>,
    retired: RefCell<Vec<&'static str>>,
    is_stopping: Cell<bool>,
}

impl SealContext {
    pub(super) fn new(
        log_dir: PathBuf,
        disk: &'static dyn Disk,
        spares: Arc<SparePool>,
        shared: Arc<Shared>,
        inbox: Receiver<Order>,
    ) -> Self {
        Self {
            log_dir,
            disk,
            spares,
            shared,
            inbox,
            doubt: RefCell::default(),
            sealed: RefCell::default(),
            fresh_jobs: RefCell::default(),
            retired: RefCell::default(),
            is_stopping: Cell::new(false),
        }
    }

    /// Where segments and what is derived from them are.
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// Whether the job should return now. Asked between the steps of a long call, at least each
    /// 100 ms, for it also does what the log thread waits for from this thread.
    pub fn is_stopping(&self) -> bool {
        while let Ok(order) = self.inbox.try_recv() {
            self.obey(order);
        }
        if !self.is_stopping.get() {
            self.spares.prepare();
        }
        self.is_stopping.get()
    }

    /// Closes the open segment, so that all that was appended before the call is in sealed ones,
    /// unless it is empty. `false`: that did not happen within `patience`, or the log stops.
    ///
    /// The segment comes to [`Job::sealed`] like any other, after this call.
    pub fn rotate(&self, patience: Duration) -> bool {
        let asked = self.shared.ask_to_rotate();
        let step = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        while self.shared.rotated() < asked {
            if self.is_stopping() || waited >= patience {
                return false;
            }
            std::thread::sleep(step);
            waited += step;
        }
        // What the log thread ordered before it said so is obeyed before this returns.
        !self.is_stopping()
    }

    /// Says one line to whoever runs the server: on standard error, once.
    pub fn note(&self, line: String) {
        self.shared.note(line);
    }

    /// Waits for orders, at most as long as `patience`.
    pub(super) fn receive(&self, patience: Duration) {
        // A job may have met the order that was to wake this thread, so it is asked first.
        let stopping = self.is_stopping();
        let idle = self.sealed.borrow().is_empty() && self.fresh_jobs.borrow().is_empty();
        let mut patience = if idle && !stopping { patience } else { Duration::ZERO };
        if !stopping && let Some(retry) = self.spares.prepare_again() {
            patience = patience.min(retry);
        }
        if let Ok(order) = self.inbox.recv_timeout(patience) {
            self.obey(order);
        }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(super) fn discard_spare(&self) {
        self.spares.discard();
    }

    pub(super) fn take_sealed(&self) -> Option<(PathBuf, u64)> {
        self.sealed.borrow_mut().pop_front()
    }

    pub(super) fn take_job(&self) -> Option<Box<dyn Job>> {
        self.fresh_jobs.borrow_mut().pop_front()
    }

    pub(super) fn report(&self, job: &'static str, error: Option<String>) {
        self.shared.set_job_error(job, error);
    }

    /// The job panicked: it is named in the health of the log, and not called again.
    pub(super) fn retire(&self, job: &'static str) {
        self.report(job, Some("it panicked and rests until the next start".to_owned()));
        self.retired.borrow_mut().push(job);
    }

    pub(super) fn is_trusted(&self, job: &str) -> bool {
        !self.retired.borrow().contains(&job)
    }

    /// Why the last segment that was closed may not be durable, if that is so.
    pub(super) fn take_doubt(&self) -> Option<LogError> {
        self.doubt.borrow_mut().take()
    }

    fn close(&self, closing: Closing) {
        let mending = closing.mending();
        match closing.close(self.disk, &self.log_dir, &self.shared) {
            Ok(sealed) => {
                self.shared.sync_worked();
                *self.doubt.borrow_mut() = None;
                self.sealed.borrow_mut().push_back(sealed);
            }
            Err(CloseError::InDoubt(error)) => {
                self.note(error.to_string());
                self.shared.sync_failed(&error);
                self.mend(&mending);
            }
            Err(CloseError::Unsealed(error)) => {
                self.note(format!("{error}; the segment is durable and has no seal yet"));
                self.mend(&Mending { is_durable: true, ..mending });
            }
        }
    }

    /// Saves what a segment holds that failed. What is in the kernel is still whole, if the
    /// checksums say so, though its own file may never become durable.
    fn mend(&self, mending: &Mending) {
        let count = mending.record_count;
        match mending.mend(self.disk, &self.log_dir) {
            Ok(()) => {
                *self.doubt.borrow_mut() = None;
                self.sealed.borrow_mut().push_back((mending.segment.clone(), mending.base_seq));
            }
            Err(error) if mending.is_durable => {
                self.note(format!("{error}; a segment that failed stays without a seal"));
            }
            Err(error) => {
                self.note(format!("{error}; {count} records may not outlive this machine"));
                self.shared.doubt(count);
                *self.doubt.borrow_mut() = Some(error);
            }
        }
    }

    fn obey(&self, order: Order) {
        match order {
            Order::Close(closing) => self.close(*closing),
            Order::Mend(mending) => self.mend(&mending),
            Order::Job(job) => self.fresh_jobs.borrow_mut().push_back(job),
            Order::Wake => {}
            Order::Stop => self.is_stopping.set(true),
        }
    }
}
