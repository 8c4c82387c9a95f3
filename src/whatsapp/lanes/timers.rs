//! What is to be looked at when. Whoever sets a timer remembers its time, to take it back.

use super::FlightId;
use std::collections::BTreeSet;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// The platform may be probed.
    Breaker,
    /// A number may send again.
    Number(u32),
    /// A lane may send again, or be forgotten.
    Lane(u32),
    /// A call was never answered.
    Flight(FlightId),
}

#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(u64, Timer)>);

impl Timers {
    pub(super) fn first(&self) -> Option<u64> {
        self.0.first().map(|(at_us, _)| *at_us)
    }

    /// Moves the only timer of its kind and index from `slot` to `at_us`.
    pub(super) fn set(&mut self, timer: Timer, slot: &mut Option<u64>, at_us: Option<u64>) {
        if *slot == at_us {
            return;
        }
        if let Some(before_us) = *slot {
            let known = self.0.remove(&(before_us, timer));
            assert!(known);
        }
        if let Some(at_us) = at_us {
            self.0.insert((at_us, timer));
        }
        *slot = at_us;
    }

    /// Takes the first that is due; its owner must forget its time.
    pub(super) fn pop(&mut self, now_us: u64) -> Option<Timer> {
        if self.first()? > now_us {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
