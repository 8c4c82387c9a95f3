//! Token buckets of eight bytes.

/// A rate with a burst. A rate of 0 means unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Tokens a second.
    pub per_s: u32,
    /// Tokens that can be saved up; at least 1.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self { per_s: 0, burst: 1 };
}

/// What is left of a [`Rate`] for one subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bucket {
    /// Thousandths of a token that are spent; 0 is a full bucket.
    spent_milli: u32,
    /// When `spent_milli` was true, ms of the monotonic clock, wrapping.
    at_ms: u32,
}

impl Bucket {
    /// Whether nothing is spent, so that it may be forgotten.
    pub fn is_rested(&self, rate: Rate, now_ms: u64) -> bool {
        let passed_ms = (now_ms as u32).wrapping_sub(self.at_ms);
        u64::from(self.spent_milli) <= u64::from(passed_ms) * u64::from(rate.per_s)
    }

    /// Takes one token, or says after how many milliseconds there will be one.
    pub fn take(&mut self, rate: Rate, now_ms: u64) -> Result<(), u64> {
        if rate.per_s == 0 {
            return Ok(());
        }
        assert!(rate.burst > 0);
        let now = now_ms as u32;
        let refill = u64::from(now.wrapping_sub(self.at_ms)) * u64::from(rate.per_s);
        self.spent_milli = u64::from(self.spent_milli).saturating_sub(refill) as u32;
        self.at_ms = now;
        let spent_after = u64::from(self.spent_milli) + 1_000;
        let room = u64::from(rate.burst) * 1_000;
        if spent_after > room {
            return Err((spent_after - room).div_ceil(u64::from(rate.per_s)).max(1));
        }
        self.spent_milli = spent_after as u32;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate_then_the_time_to_wait() {
        let rate = Rate { per_s: 10, burst: 3 };
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.take(rate, 5_000), Ok(()));
        }
        assert_eq!(bucket.take(rate, 5_000), Err(100));
        assert_eq!(bucket.take(rate, 5_060), Err(40));
        assert_eq!(bucket.take(rate, 5_100), Ok(()));
        assert_eq!(bucket.take(rate, 5_100), Err(100));
        assert!((0..1_000).all(|_| bucket.take(Rate::UNLIMITED, 0) == Ok(())));
    }
}
