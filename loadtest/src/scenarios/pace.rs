//! Due times of an open loop.

use crate::driver::Nanos;
use crate::driver::gate::Schedule;
use crate::latency::Latency;

/// Due times of an open loop: evenly spaced, whatever the replies do.
///
/// A late loop sends at once and counts from the due time, so that its own delay is in the figures
/// and not left out of them (coordinated omission).
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    begin: u64,
    rate: f64,
    count: u64,
    /// What was due before this is late by somebody else's doing.
    excused_until: Nanos,
}

impl Pace {
    /// `rate` messages a second from `begin` on; the first after a part `phase` (0 to 1) of a gap.
    pub fn new(begin: Nanos, rate: f64, phase: f64) -> Self {
        assert!(rate > 0.0);
        let begin = begin + (phase * 1e9 / rate) as u64;
        Self { begin, rate, count: 0, excused_until: 0 }
    }

    fn due(&self) -> Nanos {
        // From the count, not from the last due time: rounding does not add up.
        self.begin + (self.count as f64 * 1e9 / self.rate) as u64
    }

    /// When to ask [`Self::take`] again: the next due time, or the end of the schedule.
    pub fn next(&self, schedule: Schedule) -> Nanos {
        self.due().min(schedule.stop)
    }

    /// Takes the next message, if it is due: the caller sends it now. Gives when it was due, and
    /// adds to `lag` how late it is, if it is measured.
    pub fn take(&mut self, schedule: Schedule, now: Nanos, lag: &mut Latency) -> Option<Nanos> {
        let due = self.due();
        if due > now || due >= schedule.stop {
            return None;
        }
        self.count += 1;
        if schedule.measures(due) && due >= self.excused_until {
            lag.record(now - due);
        }
        Some(due)
    }

    /// Until now there was no connection to send on: what waited for one is the server's lateness,
    /// and in no lag.
    pub fn excuse(&mut self, now: Nanos) {
        self.excused_until = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_does_not_drift() {
        let mut pace = Pace::new(1_000, 3.0, 0.5);
        assert_eq!(pace.due(), 1_000 + 166_666_666);
        pace.count += 3_000_000;
        assert_eq!(pace.due(), 1_000 + 166_666_666 + 1_000_000 * 1_000_000_000);
    }

    #[test]
    fn what_is_due_is_taken_once_and_its_lag_counted_unless_excused() {
        let schedule = Schedule { start: 0, measure: 200, stop: 500 };
        let mut lag = Latency::new("lag", "");
        let mut pace = Pace::new(0, 1e7, 0.0);
        let mut check = |now: Nanos, excuse: bool, want: (u64, u64, Nanos)| {
            let taken = std::iter::from_fn(|| pace.take(schedule, now, &mut lag)).count() as u64;
            if excuse {
                pace.excuse(now);
            }
            let got = (taken, lag.histogram.len(), pace.next(schedule));
            assert_eq!(got, want, "at {now}");
        };
        check(99, false, (1, 0, 100));
        check(210, true, (2, 1, 300));
        check(300, true, (1, 2, 400));
        // Due at 400, and nothing is due from 500 on.
        check(1_000, false, (1, 3, 500));
        check(2_000, false, (0, 3, 500));

        let mut pace = Pace::new(0, 1e7, 0.0);
        pace.excuse(350);
        while pace.take(schedule, 450, &mut lag).is_some() {}
        assert_eq!(lag.histogram.len(), 4, "only what was due at 400");
    }
}
