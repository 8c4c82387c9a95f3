//! One of our numbers: its pace, its back-off, and whether it may send at all.

use super::pace::{Pace, PaceRate};
use super::{GraphError, grown};
use crate::base::hash::Map;
use std::collections::VecDeque;
use std::sync::Arc;

/// First wait for a probe of a stopped number, and the longest.
const STOP_WAIT_US: u64 = 60_000_000;
const STOP_WAIT_US_MAX: u64 = 15 * STOP_WAIT_US;
/// Longest wait of a number that sends too much.
const BACK_OFF_US_MAX: u64 = 3_600_000_000;

#[derive(Debug)]
pub(super) struct Number {
    pub(super) id: Arc<str>,
    pub(super) rate: PaceRate,
    pub(super) pace: Pace,
    /// Calls under way.
    pub(super) flights: u32,
    /// How many may be: one after trouble, one more with each message taken. So many who waited do
    /// not return at once.
    pub(super) flights_allowed: u32,
    flights_max: u32,
    /// Nothing leaves before, µs.
    pub(super) not_before_us: u64,
    /// When the last back-off began: what was sent before it says nothing new.
    backed_off_us: u64,
    /// Back-offs, or probes of a stopped number, in a row.
    failures: u32,
    pub(super) stopped: Option<GraphError>,
    /// Messages taken so far.
    pub(super) accepted: u64,
    pub(super) lanes: Map<Arc<str>, u32>,
    /// Lanes whose first message may leave, in the order in which they became so.
    pub(super) ready: VecDeque<u32>,
    /// Whether it stands in the turn.
    pub(super) listed: bool,
    pub(super) timer: Option<u64>,
}

impl Number {
    pub(super) fn new(id: Arc<str>, per_s: u32) -> Self {
        let mut number = Self {
            id,
            rate: PaceRate { interval_us: 1, burst: 1 },
            pace: Pace::default(),
            flights: 0,
            flights_allowed: 0,
            flights_max: 0,
            not_before_us: 0,
            backed_off_us: 0,
            failures: 0,
            stopped: None,
            accepted: 0,
            lanes: Map::default(),
            ready: VecDeque::new(),
            listed: false,
            timer: None,
        };
        number.set_rate(per_s);
        number.flights_allowed = number.flights_max;
        number
    }

    pub(super) fn set_rate(&mut self, per_s: u32) {
        // A twentieth of a second's messages at once, for timers that are late.
        self.rate = PaceRate {
            interval_us: 1_000_000 / u64::from(per_s),
            burst: u64::from(per_s / 20).max(1),
        };
        // Enough for the platform's slowest answers, which take about half a second.
        self.flights_max = (per_s / 2).clamp(8, 512);
        self.flights_allowed = self.flights_allowed.min(self.flights_max);
    }

    /// When the next call may leave as far as this number is concerned; the past when now.
    pub(super) fn ready_us(&self) -> u64 {
        self.pace.ready_us(self.rate).max(self.not_before_us)
    }

    /// A message was taken.
    pub(super) fn took(&mut self) {
        self.accepted += 1;
        self.flights_allowed = (self.flights_allowed + 1).min(self.flights_max);
    }

    /// The platform has looked at a message that left at `sent_us`, so what was wrong before is not
    /// any more. Returns whether the number was stopped.
    pub(super) fn runs(&mut self, sent_us: u64) -> bool {
        if sent_us <= self.backed_off_us {
            return false;
        }
        self.failures = 0;
        self.stopped.take().is_some()
    }

    /// Begins anew with one call at a time.
    pub(super) fn slow_start(&mut self) {
        self.flights_allowed = 1;
    }

    /// It sends too much. `sent_us` is when the call that says so left.
    pub(super) fn back_off(
        &mut self,
        base_ms: u64,
        (sent_us, now_us): (u64, u64),
        stretch: impl FnOnce(u64) -> u64,
    ) {
        if sent_us < self.backed_off_us {
            // Left before the number began to wait: no news.
            return;
        }
        let base_us = base_ms * 1_000;
        let wait_us = grown(base_us, 2, self.failures, BACK_OFF_US_MAX.max(base_us));
        self.wait(now_us, stretch(wait_us));
        self.flights_allowed = (self.flights_allowed / 2).max(1);
    }

    /// It may not send. Returns whether it could before.
    pub(super) fn stop(
        &mut self,
        error: GraphError,
        (sent_us, now_us): (u64, u64),
        stretch: impl FnOnce(u64) -> u64,
    ) -> bool {
        let was_running = self.stopped.replace(error).is_none();
        if was_running {
            self.failures = 0;
        }
        if was_running || sent_us >= self.backed_off_us {
            let wait_us = grown(STOP_WAIT_US, 2, self.failures, STOP_WAIT_US_MAX);
            self.wait(now_us, stretch(wait_us));
        }
        self.slow_start();
        was_running
    }

    fn wait(&mut self, now_us: u64, wait_us: u64) {
        self.failures = self.failures.saturating_add(1);
        self.backed_off_us = now_us;
        self.not_before_us = self.not_before_us.max(now_us + wait_us);
    }

    /// An operator says that it may send.
    pub(super) fn resume(&mut self) -> bool {
        self.failures = 0;
        self.not_before_us = 0;
        self.stopped.take().is_some()
    }
}
