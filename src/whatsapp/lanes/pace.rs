//! A rate with a burst in one number: the generic cell rate algorithm.

/// When the bucket is full again, µs of the monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Pace {
    full_us: u64,
}

/// A rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PaceRate {
    /// From one to the next.
    pub(super) interval_us: u64,
    /// How many at once after a rest; at least 1.
    pub(super) burst: u64,
}

impl Pace {
    /// When the next one may go; the past when it may go now.
    pub(super) fn ready_us(self, rate: PaceRate) -> u64 {
        self.full_us.saturating_sub((rate.burst - 1) * rate.interval_us)
    }

    /// Takes one, also beyond what there is: the next waits the longer.
    pub(super) fn take(&mut self, rate: PaceRate, now_us: u64) {
        self.full_us = self.full_us.max(now_us) + rate.interval_us;
    }

    /// From when on it need not be remembered.
    pub(super) fn rested_us(self) -> u64 {
        self.full_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let rate = PaceRate { interval_us: 6, burst: 3 };
        let mut pace = Pace::default();
        for _ in 0..3 {
            assert!(pace.ready_us(rate) <= 100);
            pace.take(rate, 100);
        }
        assert_eq!(pace.ready_us(rate), 106);
        pace.take(rate, 106);
        assert_eq!(pace.ready_us(rate), 112);
        assert_eq!(pace.rested_us(), 124);
    }
}
