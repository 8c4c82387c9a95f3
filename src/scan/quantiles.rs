//! Percentiles of many spans: exact while they fit in memory, then with a known error.

use crate::metrics::Buckets;

/// Spans of one list that are kept one by one: 4 MiB.
const EXACT_MAX: usize = 1 << 20;
/// Milliseconds that a kept span holds at most: 49 days.
const KEPT_MAX_MS: u64 = u32::MAX as u64;

/// Spans in milliseconds, and what can be asked of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Quantiles {
    kept: Vec<u32>,
    /// Holds everything once there were more than [`EXACT_MAX`] spans.
    buckets: Option<Box<Buckets>>,
    count: u64,
    sum_ms: u64,
}

impl Quantiles {
    /// Adds a span. A negative one, of a clock that jumped back, counts as 0.
    pub(super) fn add_us(&mut self, us: i64) {
        let ms = (us.max(0) as u64 / 1_000).min(KEPT_MAX_MS);
        self.count += 1;
        self.sum_ms += ms;
        if let Some(buckets) = &mut self.buckets {
            buckets.record(ms);
            return;
        }
        self.kept.push(ms as u32);
        if self.kept.len() > EXACT_MAX {
            self.keep_buckets();
        }
    }

    /// Spans that are kept one by one.
    pub(super) fn kept_count(&self) -> usize {
        self.kept.len()
    }

    /// Keeps none of them one by one any more: 15 KiB for any number.
    pub(super) fn keep_buckets(&mut self) {
        let buckets = self.buckets.get_or_insert_default();
        for ms in std::mem::take(&mut self.kept) {
            buckets.record(u64::from(ms));
        }
    }

    /// Number of spans.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The smallest span that at least the share `q` of all does not exceed, microseconds. At most
    /// 1.6 % too high when there were too many to keep them. 0 when there is none.
    pub(super) fn at_us(&mut self, q: f64) -> u64 {
        let ms = match &self.buckets {
            Some(buckets) => buckets.percentile(q),
            None if self.kept.is_empty() => 0,
            None => {
                let rank = (q * self.kept.len() as f64).ceil() as usize;
                let index = rank.clamp(1, self.kept.len()) - 1;
                u64::from(*self.kept.select_nth_unstable(index).1)
            }
        };
        ms * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let mut quantiles = Quantiles::default();
        assert_eq!(quantiles.at_us(0.5), 0);
        for ms in [40, 10, 30, 20] {
            quantiles.add_us(ms * 1_000 + 999);
        }
        for (q, want_ms) in [(0.0, 10), (0.25, 10), (0.5, 20), (0.51, 30), (0.95, 40), (1.0, 40)] {
            assert_eq!(quantiles.at_us(q), want_ms * 1_000, "{q}");
        }
        quantiles.add_us(-5);
        quantiles.add_us(i64::MAX);
        assert_eq!((quantiles.at_us(0.0), quantiles.count()), (0, 6));
        assert_eq!(quantiles.at_us(1.0), KEPT_MAX_MS * 1_000);
    }

    #[test]
    fn many_are_still_near() {
        let mut quantiles = Quantiles::default();
        for ms in 0..EXACT_MAX as i64 + 10_000 {
            quantiles.add_us(ms * 1_000);
        }
        let got = quantiles.at_us(0.5) as f64;
        let want = (EXACT_MAX as f64 + 10_000.0) / 2.0 * 1_000.0;
        assert!((got / want - 1.0).abs() < 0.016, "{got} {want}");
        assert!(quantiles.kept.is_empty());
    }
}
