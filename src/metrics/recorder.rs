//! Where a shard puts what it measures.

use super::{Buckets, Metric};

/// One histogram for each metric.
#[derive(Clone, Debug)]
pub struct Histograms([Buckets; Metric::ALL.len()]);

impl Default for Histograms {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Buckets::default()))
    }
}

impl Histograms {
    /// The histogram of one metric.
    pub fn of(&self, metric: Metric) -> &Buckets {
        &self.0[metric as usize]
    }

    /// Adds the values of others.
    pub fn merge(&mut self, others: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&others.0) {
            mine.merge(theirs);
        }
    }

    fn clear(&mut self) {
        self.0.iter_mut().for_each(Buckets::clear);
    }
}

/// The histograms of one shard since they were last written to the log.
///
/// Recording is a few instructions on memory that only this shard touches. What others may see,
/// the totals since the start, gets the newest values now and then, all at once.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// Since the last [`Recorder::settle`].
    newest: Histograms,
    /// Since the while began, without the newest.
    settled: Histograms,
    /// When the present while began, µs of the monotonic clock.
    since_us: u64,
}

impl Recorder {
    /// A recorder that begins now.
    pub fn new(now_us: u64) -> Self {
        Self { newest: Histograms::default(), settled: Histograms::default(), since_us: now_us }
    }

    /// Counts one value, in the unit of the metric.
    #[inline]
    pub fn record(&mut self, metric: Metric, value: u64) {
        self.newest.0[metric as usize].record(value);
    }

    /// Adds the newest values to the totals since the start.
    pub fn settle(&mut self, totals: &mut Histograms) {
        totals.merge(&self.newest);
        self.settled.merge(&self.newest);
        self.newest.clear();
    }

    /// The settled values since the while began.
    pub fn settled(&self, metric: Metric) -> &Buckets {
        self.settled.of(metric)
    }

    /// Length of the present while, µs.
    pub fn span_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.since_us)
    }

    /// Begins the next while with what is not settled.
    pub fn begin(&mut self, now_us: u64) {
        self.since_us = now_us;
        self.settled.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiles_end_and_totals_go_on() {
        let mut totals = Histograms::default();
        let mut recorder = Recorder::new(10);
        recorder.record(Metric::Turn, 5);
        recorder.settle(&mut totals);
        recorder.record(Metric::Turn, 6);
        assert_eq!((recorder.settled(Metric::Turn).count(), recorder.span_us(70)), (1, 60));
        recorder.begin(70);
        recorder.settle(&mut totals);
        assert_eq!((recorder.settled(Metric::Turn).sum(), recorder.span_us(70)), (6, 0));
        assert_eq!(totals.of(Metric::Turn).sum(), 11);
        assert_eq!(totals.of(Metric::Deliver).count(), 0);
    }
}
