//! The common start of all threads, and the counters they share while they run.

use super::Nanos;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// From the last thread's arrival to the first message, so that all see the schedule in time.
const LEAD_NS: Nanos = 20_000_000;

/// The times of one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// The first message is due.
    pub start: Nanos,
    /// Messages due from here on are measured.
    pub measure: Nanos,
    /// No message is due from here on.
    pub stop: Nanos,
}

impl Schedule {
    /// Whether a message due at `due` counts in the histograms.
    pub fn measures(&self, due: Nanos) -> bool {
        self.measure <= due && due < self.stop
    }
}

/// Holds threads until all are ready, then tells all of them one schedule.
#[derive(Debug)]
pub struct Gate {
    absent: AtomicUsize,
    schedule: OnceLock<Schedule>,
    aborted: AtomicBool,
    warmup: Nanos,
    duration: Nanos,
    /// Connections open so far.
    pub opened: AtomicU64,
    /// Messages sent so far.
    pub sent: AtomicU64,
    /// Messages that came so far: replies or deliveries.
    pub received: AtomicU64,
}

impl Gate {
    /// A closed gate for `thread_count` threads.
    pub fn new(thread_count: usize, warmup: Nanos, duration: Nanos) -> Self {
        assert!(thread_count > 0);
        Self {
            absent: AtomicUsize::new(thread_count),
            schedule: OnceLock::new(),
            aborted: AtomicBool::new(false),
            warmup,
            duration,
            opened: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    /// One thread is ready; each says so once. The last one opens the gate.
    pub fn arrive(&self, now: Nanos) {
        let absent = self.absent.fetch_sub(1, Ordering::AcqRel);
        assert!(absent > 0, "a thread arrived twice");
        if absent == 1 {
            let start = now + LEAD_NS;
            let measure = start + self.warmup;
            let schedule = Schedule { start, measure, stop: measure + self.duration };
            self.schedule.set(schedule).expect("only the last thread sets it");
        }
    }

    /// The schedule, once all threads have arrived.
    pub fn schedule(&self) -> Option<Schedule> {
        self.schedule.get().copied()
    }

    /// The schedule, once its first message may be due.
    pub fn begun(&self, now: Nanos) -> Option<Schedule> {
        self.schedule().filter(|schedule| now >= schedule.start)
    }

    /// Tells all threads to give up.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
    }

    /// Whether a thread gave up.
    pub fn aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// Adds what one turn did.
    pub fn count(&self, sent: u64, received: u64) {
        self.sent.fetch_add(sent, Ordering::Relaxed);
        self.received.fetch_add(received, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_arrival_opens() {
        let gate = Gate::new(2, 1_000, 5_000);
        gate.arrive(10);
        assert_eq!(gate.schedule(), None);
        gate.arrive(20);
        let schedule = gate.schedule().expect("open");
        assert_eq!(schedule.start, 20 + LEAD_NS);
        assert_eq!(schedule.stop - schedule.start, 6_000);
        assert_eq!(gate.begun(schedule.start - 1), None);
        assert_eq!(gate.begun(schedule.start), Some(schedule));
        assert!(!schedule.measures(schedule.measure - 1));
        assert!(schedule.measures(schedule.measure));
        assert!(!schedule.measures(schedule.stop));
    }
}
