//! Whether the platform answers at all. When it does not, one probe at a time asks.

use super::{FlightId, grown};

/// Calls in a row that found no platform until it is taken to be down.
const FAILURES_MAX: u32 = 5;
/// First wait for a probe.
const WAIT_US: u64 = 1_000_000;
/// Longest wait for a probe: half a minute late after an outage is no matter.
const WAIT_US_MAX: u64 = 30_000_000;

#[derive(Debug)]
pub(super) enum Breaker {
    Closed {
        /// In a row.
        failures: u32,
    },
    Open {
        /// Failed probes.
        failures: u32,
        /// When the next probe may go, µs.
        probe_us: u64,
        /// The probe under way.
        probe: Option<FlightId>,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// What changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    None,
    /// Ask again at the time that [`Breaker::timer_us`] says.
    Wait,
    /// The platform has just been found to be down.
    Opened,
    /// It has just been found to answer.
    Closed,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Whether a call may go now.
    pub(super) fn lets_pass(&self, now_us: u64) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Open { probe, probe_us, .. } => probe.is_none() && *probe_us <= now_us,
        }
    }

    /// When it is worth asking again; `None` while a probe is under way or nothing is wrong.
    pub(super) fn timer_us(&self) -> Option<u64> {
        match self {
            Self::Open { probe: None, probe_us, .. } => Some(*probe_us),
            _ => None,
        }
    }

    /// A call leaves.
    pub(super) fn called(&mut self, flight: FlightId) {
        if let Self::Open { probe, .. } = self {
            assert!(probe.is_none());
            *probe = Some(flight);
        }
    }

    /// The platform said something.
    pub(super) fn answered(&mut self) -> Change {
        let was_open = self.is_open();
        *self = Self::default();
        if was_open { Change::Closed } else { Change::None }
    }

    /// A call found no platform. `stretch` adds jitter to a wait.
    pub(super) fn failed(
        &mut self,
        flight: FlightId,
        now_us: u64,
        stretch: impl FnOnce(u64) -> u64,
    ) -> Change {
        match self {
            Self::Closed { failures } if *failures + 1 < FAILURES_MAX => {
                *failures += 1;
                Change::None
            }
            Self::Closed { .. } => {
                let probe_us = now_us + stretch(WAIT_US);
                *self = Self::Open { failures: 0, probe_us, probe: None };
                Change::Opened
            }
            Self::Open { failures, probe_us, probe } if *probe == Some(flight) => {
                *failures = failures.saturating_add(1);
                *probe_us = now_us + stretch(grown(WAIT_US, 2, *failures, WAIT_US_MAX));
                *probe = None;
                Change::Wait
            }
            // Was under way before the others failed: no news.
            Self::Open { .. } => Change::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_then_one_probe_at_a_time() {
        let mut breaker = Breaker::default();
        let fail = |breaker: &mut Breaker, flight, now_us| {
            breaker.failed(FlightId(flight), now_us, |wait| wait)
        };
        for flight in 1..5 {
            assert_eq!(fail(&mut breaker, flight, 0), Change::None);
        }
        assert_eq!(breaker.answered(), Change::None);
        for flight in 1..5 {
            assert_eq!(fail(&mut breaker, flight, 0), Change::None);
        }
        assert_eq!(fail(&mut breaker, 5, 0), Change::Opened);
        assert!(!breaker.lets_pass(WAIT_US - 1) && breaker.lets_pass(WAIT_US));
        assert_eq!(fail(&mut breaker, 4, 7), Change::None);
        let mut now_us = 0;
        for probe in 10..30 {
            let wait_us = breaker.timer_us().expect("a wait") - now_us;
            assert!(wait_us <= WAIT_US_MAX);
            now_us += wait_us;
            breaker.called(FlightId(probe));
            assert!(!breaker.lets_pass(u64::MAX) && breaker.timer_us().is_none());
            assert_eq!(fail(&mut breaker, probe, now_us), Change::Wait);
        }
        breaker.called(FlightId(30));
        assert_eq!(breaker.answered(), Change::Closed);
        assert!(breaker.lets_pass(now_us));
    }
}
