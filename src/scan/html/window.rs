//! Which days the page is about.

use crate::scan::Job;
use crate::scan::bucket::DAY_US;
use crate::scan::period::Period;
use crate::scan::volume::Counts;
use crate::scan::zone::Zone;

/// Days of a page at most: ten years.
const DAYS_MAX: i32 = 3_660;

/// Whole days of a clock on the wall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    pub(super) first_day: i32,
    /// The last day that is in.
    pub(super) last_day: i32,
    pub(super) since_us: i64,
    pub(super) until_us: i64,
}

impl Window {
    /// From `--since` to `--until`; without them the last days that have messages. Days that have
    /// not been yet only count when nothing else is there: a clock may have jumped.
    pub(super) fn choose(job: &Job<'_>, active: &Counts, day_count: i32) -> Option<Self> {
        let today = Period::Day.of(job.now_us, &job.zone.clock());
        let day = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
        let (first_active, _) = active.first_key_value()?;
        let passed = active.range(..=i64::from(today)).next_back();
        let (last_active, _) = passed.or(active.last_key_value())?;
        let last_day = match job.filter.until_us {
            i64::MAX => day(*last_active),
            until_us => Period::Day.of(until_us - 1, &job.zone.clock()),
        };
        let first_day = match job.filter.since_us {
            i64::MIN => last_day.saturating_sub(day_count - 1).max(day(*first_active)),
            since_us => Period::Day.of(since_us, &job.zone.clock()),
        };
        let first_day = first_day.min(last_day).max(last_day.saturating_sub(DAYS_MAX - 1));
        let mut window = Self::of(first_day, last_day, &job.zone);
        // Its days are whole ones, so that what counts days and what counts moments agree.
        window.until_us = window.until_us.min(job.filter.until_us);
        Some(window)
    }

    fn of(first_day: i32, last_day: i32, zone: &Zone) -> Self {
        let since_us = begin_us(first_day, zone);
        Self { first_day, last_day, since_us, until_us: begin_us(last_day.saturating_add(1), zone) }
    }

    /// As many days before it.
    pub(super) fn prior(self, zone: &Zone) -> Self {
        let first_day = self.first_day.saturating_sub(self.day_count());
        Self::of(first_day, self.first_day - 1, zone)
    }

    pub(super) fn day_count(self) -> i32 {
        self.last_day - self.first_day + 1
    }

    pub(super) fn holds(self, day: i32) -> bool {
        (self.first_day..=self.last_day).contains(&day)
    }
}

fn begin_us(day: i32, zone: &Zone) -> i64 {
    zone.moment_us(i64::from(day).saturating_mul(DAY_US))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_where_the_zone_says() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        // 2026-10-25: the clock goes back at 03:00, so the day has 25 hours.
        let window = Window::of(20_751, 20_751, &berlin);
        assert_eq!(window.until_us - window.since_us, 25 * 3_600_000_000);
        assert_eq!(Period::Day.of(window.since_us, &berlin.clock()), 20_751);
        assert_eq!(Period::Day.of(window.since_us - 1, &berlin.clock()), 20_750);
        let prior = Window::of(10, 19, &Zone::UTC).prior(&Zone::UTC);
        assert_eq!((prior.first_day, prior.last_day, prior.since_us), (0, 9, 0));
    }
}
