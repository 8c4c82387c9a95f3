//! One number's messages to one recipient, and what is known of those on their way.

use super::pace::{Pace, PaceRate};
use super::{FlightId, MessageId, UNKNOWN_MAX};
use crate::base::hash::Set;
use crate::whatsapp::limits::{PAIR_BURST, PAIR_INTERVAL_MS};
use std::collections::VecDeque;
use std::sync::Arc;

/// To one recipient from one number.
pub(super) const PAIR: PaceRate =
    PaceRate { interval_us: PAIR_INTERVAL_MS * 1_000, burst: PAIR_BURST as u64 };

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) number: u32,
    pub(super) conversation: Arc<str>,
    /// The first may be in flight.
    pub(super) queue: VecDeque<Queued>,
    pub(super) state: State,
    pub(super) pace: Pace,
    /// Times in a row that the platform found them too many.
    pub(super) pair_failures: u32,
    /// Nothing leaves before, µs.
    pub(super) not_before_us: u64,
    /// ms since 1970.
    pub(super) window_until_ms: i64,
    pub(super) timer: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Nothing waits; kept for its pace.
    Idle,
    /// Something waits for the lane's timer.
    Waiting,
    /// Stands in its number's `ready`.
    Ready,
    /// The first message is under way.
    Flying(FlightId),
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) message: MessageId,
    pub(super) body: Arc<str>,
    pub(super) needs_window: bool,
    pub(super) expires_ms: i64,
    /// Attempts in vain.
    pub(super) attempts: u32,
    /// Of these, how many while others passed.
    pub(super) counted: u32,
    /// [`super::number::Number::accepted`] at the last of these.
    pub(super) accepted_then: u64,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) lane: u32,
    pub(super) message: MessageId,
    pub(super) sent_us: u64,
    pub(super) timer: Option<u64>,
}

impl Lane {
    pub(super) fn new(number: u32, conversation: Arc<str>) -> Self {
        Self {
            number,
            conversation,
            queue: VecDeque::new(),
            state: State::Idle,
            pace: Pace::default(),
            pair_failures: 0,
            not_before_us: 0,
            window_until_ms: 0,
            timer: None,
        }
    }

    /// When its first message may leave, or when it may be forgotten if it has none.
    pub(super) fn due_us(&self) -> u64 {
        let pace_us =
            if self.queue.is_empty() { self.pace.rested_us() } else { self.pace.ready_us(PAIR) };
        pace_us.max(self.not_before_us)
    }
}

/// Messages of unknown outcome, oldest first; the oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct Unknowns {
    known: Set<MessageId>,
    /// May name some that are no longer known.
    order: VecDeque<MessageId>,
}

impl Unknowns {
    pub(super) fn insert(&mut self, message: MessageId) {
        if !self.known.insert(message) {
            return;
        }
        self.order.push_back(message);
        if self.order.len() > UNKNOWN_MAX {
            let oldest = self.order.pop_front().expect("not empty");
            self.known.remove(&oldest);
        }
    }

    pub(super) fn remove(&mut self, message: MessageId) -> bool {
        self.known.remove(&message)
    }
}
