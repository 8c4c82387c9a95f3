//! Where a shard puts what it measures.

use super::{Buckets, Metric};

/// The histograms of one shard since they were last written to the log.
///
/// Recording is a few instructions on memory that only this shard touches.
#[derive(Clone, Debug)]
pub struct Recorder {
    buckets: [Buckets; Metric::ALL.len()],
    /// When the present while began, µs of the monotonic clock.
    since_us: u64,
}

impl Recorder {
    /// A recorder that begins now.
    pub fn new(now_us: u64) -> Self {
        Self { buckets: std::array::from_fn(|_| Buckets::default()), since_us: now_us }
    }

    /// Counts one value, in the unit of the metric.
    #[inline]
    pub fn record(&mut self, metric: Metric, value: u64) {
        self.buckets[metric as usize].record(value);
    }

    /// What was recorded since the while began.
    pub fn buckets(&self, metric: Metric) -> &Buckets {
        &self.buckets[metric as usize]
    }

    /// Whether anything was recorded.
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|buckets| buckets.count() == 0)
    }

    /// Length of the present while, µs.
    pub fn span_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.since_us)
    }

    /// Begins the next while with nothing in it.
    pub fn begin(&mut self, now_us: u64) {
        self.since_us = now_us;
        self.buckets.iter_mut().for_each(Buckets::clear);
    }
}
