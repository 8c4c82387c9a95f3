//! The lanes in which messages to the platform wait: one per number and recipient, in order.
//!
//! ```text
//!            ┌ number 1102 ─ pace 80/s, back-off, stop ─┬ lane GB.7   ▶ [m1 in flight] m2 m3
//! breaker ───┤                                          └ lane 4477…  ▶ m4 m5
//! (platform) └ number 1103 ─ …                            pace 1 in 6 s, burst 45; back-off 4^X
//! ```
//!
//! A message leaves when all four let it: it is the first of its lane and none of the lane is in
//! flight, the recipient's pace, the number's pace, and the platform answers at all. What becomes
//! of it is told once, with one exception: one that is [`Outcome::Unknown`] may be told again, when
//! a status that carries its name shows what the platform did.
//!
//! ```text
//!  queued ─▶ in flight ─┬─ taken ──────────────────────────▶ Accepted
//!    ▲                  ├─ refused for good ───────────────▶ Failed
//!    └── refused for now┤                                      ▲
//!        or not sent    └─ no answer, request was written ─▶ Unknown ─ a status tells ─▶ Accepted
//! ```
//!
//! An unknown message is never sent again: the customer could get it twice. Retries have no number
//! while the platform takes nothing at all, so an outage of any length loses nothing; a message
//! that alone keeps failing while others pass is given up after [`RETRIES_MAX`].
//!
//! **Never:** a clock, a socket, a log. Time and answers come in, calls and outcomes go out; the
//! caller writes a message to the log before it is sent here, and its outcome after.

mod breaker;

mod lane;

mod number;

mod pace;

mod timers;

mod turn;

use self::breaker::Breaker;
use self::lane::{Flight, Lane, Unknowns};
use self::number::Number;
use self::timers::{Timer, Timers};
use super::graph_error::{self, GraphError};
use crate::base::clock::Now;
use crate::base::hash::Map;
use std::collections::VecDeque;
use std::sync::Arc;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// Calls that one step hands out at most; the rest is the next step's.
pub const CALLS_PER_STEP_MAX: usize = 64;
/// Timers that one step looks at most.
pub const TIMERS_PER_STEP_MAX: usize = 256;
/// How often a message is tried in vain while others pass.
pub const RETRIES_MAX: u32 = 6;
/// From handing out a call to giving its answer up; longer than any time limit of the caller.
pub const ANSWER_TIMEOUT_US: u64 = 120_000_000;
/// Messages of unknown outcome that are remembered for a status to come.
pub const UNKNOWN_MAX: usize = 16_384;

/// The caller's own number of a message; unique for as long as anybody speaks of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId(pub u64);

/// One attempt at a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlightId(pub u64);

/// How much may wait, and how much may be under way.
#[derive(Clone, Copy, Debug)]
pub struct LanesOptions {
    /// Messages waiting or in flight.
    pub queued_max: usize,
    /// Bytes of their bodies.
    pub queued_bytes_max: usize,
    /// Calls under way, of all numbers: no more than the caller's channel takes.
    pub flights_max: usize,
    /// Decides the jitter of waits.
    pub seed: u64,
}

impl Default for LanesOptions {
    /// An hour of one number at its default speed fits nearly.
    fn default() -> Self {
        Self { queued_max: 1 << 18, queued_bytes_max: 256 << 20, flights_max: 512, seed: 0 }
    }
}

/// A message to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its name in everything that is told of it.
    pub message: MessageId,
    /// By which of our numbers: its `phone_number_id`.
    pub number: Arc<str>,
    /// To whom: names the lane.
    pub conversation: Arc<str>,
    /// The rendered body.
    pub body: Arc<str>,
    /// Whether it may go only while the customer's window is open.
    pub needs_window: bool,
    /// Until when the window is open as far as the caller knows, ms since 1970; 0 when it is
    /// closed.
    pub window_until_ms: i64,
    /// From when on it is of no use, ms since 1970.
    pub expires_ms: i64,
}

/// What happens to the lanes.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message that [`Lanes::has_room`] for, or one that the log had.
    Send(Outgoing),
    /// A call ended.
    Answer {
        /// Which.
        flight: FlightId,
        /// How.
        answer: Answer,
    },
    /// A status webhook.
    Status {
        /// Of which of our numbers.
        number: Arc<str>,
        /// With whom.
        conversation: Arc<str>,
        /// What its callback data names, if it is one of ours.
        message: Option<MessageId>,
        /// The platform's id.
        wamid: Box<str>,
        /// Of a `failed` status.
        error: Option<u32>,
    },
    /// The customer wrote: the window is open again.
    Heard {
        /// To which of our numbers.
        number: Arc<str>,
        /// Who.
        conversation: Arc<str>,
        /// When, by the message's own time, ms since 1970.
        at_ms: i64,
    },
    /// A message that was in flight when this process died.
    Lost {
        /// Which.
        message: MessageId,
    },
    /// An operator has mended what stopped this number.
    Resume {
        /// Which.
        number: Arc<str>,
    },
    /// A read receipt or a typing indicator: now or not at all.
    Signal {
        /// By which of our numbers.
        number: Arc<str>,
        /// The rendered body.
        body: Arc<str>,
    },
    /// Nothing but time has passed.
    Tick,
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The platform took the message.
    Accepted {
        /// Under this id.
        wamid: Box<str>,
    },
    /// The platform refused it.
    Refused {
        /// With this HTTP status.
        http_status: u16,
        /// And these words.
        error: GraphError,
    },
    /// The platform cannot have taken it: no connection, or something before it refused.
    NotSent,
    /// The request was written, at least in part, and no answer of the platform came.
    Lost,
}

impl Answer {
    /// Reads an HTTP answer.
    pub fn read(http_status: u16, body: &[u8]) -> Self {
        if (200..300).contains(&http_status) {
            return match graph_error::accepted(body) {
                Some(wamid) => Self::Accepted { wamid: wamid.into() },
                None => Self::Lost,
            };
        }
        if let Some(error) = GraphError::parse(body) {
            return Self::Refused { http_status, error };
        }
        // Not the platform's words. A gateway that says 500, 502 or 504 may have passed the request
        // on; any other status means that it did not.
        match http_status {
            503 | ..500 => Self::NotSent,
            _ => Self::Lost,
        }
    }
}

/// What the caller must do or write down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Make this call, and bring its answer.
    Call {
        /// Its name.
        flight: FlightId,
        /// The message.
        message: MessageId,
        /// By which number.
        number: Arc<str>,
        /// What to post.
        body: Arc<str>,
    },
    /// Post this; nobody waits for the answer.
    Signal {
        /// By which number.
        number: Arc<str>,
        /// What to post.
        body: Arc<str>,
    },
    /// What became of a message.
    Outcome {
        /// Which.
        message: MessageId,
        /// What.
        outcome: Outcome,
    },
    /// A number sends nothing until somebody mends what is wrong.
    Stopped {
        /// Which.
        number: Arc<str>,
        /// What is wrong.
        error: GraphError,
    },
    /// It sends again.
    Resumed {
        /// Which.
        number: Arc<str>,
    },
    /// The platform does not answer; probes go on.
    PlatformDown,
    /// It answers again.
    PlatformUp,
}

/// What became of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The platform took it; statuses will tell the rest.
    Accepted {
        /// Its id there.
        wamid: Box<str>,
    },
    /// It will not be sent.
    Failed(Failure),
    /// It was sent and nobody knows whether the platform took it. It is not sent again.
    Unknown,
}

/// Why a message will not be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The platform said so.
    Platform(GraphError),
    /// The customer has been silent for 24 hours: send a template.
    WindowClosed,
    /// It waited until it was of no use.
    Expired,
    /// No such number is configured here.
    NoSuchNumber,
}

/// How things stand, for metrics and `/readyz`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Messages waiting or in flight.
    pub queued: usize,
    /// Bytes of their bodies.
    pub queued_bytes: usize,
    /// Calls under way.
    pub flights: usize,
    /// Lanes in memory.
    pub lanes: usize,
    /// Numbers that are stopped.
    pub stopped: usize,
    /// Whether the platform is taken to be down.
    pub platform_down: bool,
    /// Messages taken so far.
    pub accepted: u64,
    /// Messages given up so far.
    pub failed: u64,
    /// Messages of unknown outcome so far.
    pub unknown: u64,
    /// Attempts that will be repeated, so far.
    pub retried: u64,
    /// Receipts and typing indicators left out so far.
    pub signals_dropped: u64,
}

/// All lanes of one shard.
///
/// Invariants: a lane that is `Flying` has exactly one flight, and no other has; a lane stands in
/// its number's `ready` exactly when it is `Ready`; `queued` is the sum of all lanes' queues.
#[derive(Debug)]
pub struct Lanes {
    options: LanesOptions,
    numbers: Vec<Number>,
    number_of: Map<Arc<str>, u32>,
    /// Slots; those in `free` are empty.
    lanes: Vec<Option<Lane>>,
    free: Vec<u32>,
    flights: Map<FlightId, Flight>,
    flight_last: u64,
    unknowns: Unknowns,
    timers: Timers,
    breaker: Breaker,
    breaker_timer: Option<u64>,
    /// Numbers that may have something to send.
    turn: VecDeque<u32>,
    /// Whether the last step ended before its work did.
    more: bool,
    jitter: Jitter,
    counts: Counts,
}

impl Lanes {
    /// Lanes without numbers.
    pub fn new(options: LanesOptions) -> Self {
        assert!(options.queued_max > 0 && options.flights_max > 0);
        Self {
            options,
            numbers: Vec::new(),
            number_of: Map::default(),
            lanes: Vec::new(),
            free: Vec::new(),
            flights: Map::default(),
            flight_last: 0,
            unknowns: Unknowns::default(),
            timers: Timers::default(),
            breaker: Breaker::default(),
            breaker_timer: None,
            turn: VecDeque::new(),
            more: false,
            jitter: Jitter(options.seed),
            counts: Counts::default(),
        }
    }

    /// Adds a number, or changes its messages a second; at least 1.
    pub fn set_number(&mut self, number: &Arc<str>, per_s: u32) {
        assert!(per_s > 0);
        match self.number_of.get(number) {
            Some(&at) => self.numbers[at as usize].set_rate(per_s),
            None => {
                let at = self.numbers.len() as u32;
                self.number_of.insert(number.clone(), at);
                self.numbers.push(Number::new(number.clone(), per_s));
            }
        }
    }

    /// Whether a message with so long a body may be promised to be sent. Ask before it is written
    /// to the log; one that is in the log is taken whatever the answer.
    pub fn has_room(&self, body_bytes: usize) -> bool {
        self.counts.queued < self.options.queued_max
            && self.counts.queued_bytes + body_bytes <= self.options.queued_bytes_max
    }

    /// When to come with a [`Input::Tick`] unless something happens before, µs of the monotonic
    /// clock; the past when there is work left now.
    pub fn deadline_us(&self) -> Option<u64> {
        if self.more { Some(0) } else { self.timers.first() }
    }

    /// How things stand.
    pub fn counts(&self) -> Counts {
        Counts {
            flights: self.flights.len(),
            lanes: self.lanes.len() - self.free.len(),
            stopped: self.numbers.iter().filter(|number| number.stopped.is_some()).count(),
            platform_down: self.breaker.is_open(),
            ..self.counts
        }
    }

    /// The numbers that are stopped, and why.
    pub fn stopped(&self) -> impl Iterator<Item = (&str, &GraphError)> {
        self.numbers.iter().filter_map(|number| Some((&*number.id, number.stopped.as_ref()?)))
    }

    /// Takes one thing in and says what follows from it: a bounded number of calls, whatever waits.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Send(outgoing) => self.send(now, outgoing, out),
            Input::Answer { flight, answer } => self.answer(now, flight, answer, out),
            Input::Status { number, conversation, message, wamid, error } => {
                self.status(now, (&number, &conversation), message, wamid, error, out);
            }
            Input::Heard { number, conversation, at_ms } => {
                self.heard(now, &number, &conversation, at_ms);
            }
            Input::Lost { message } => self.unknown(message, out),
            Input::Resume { number } => self.resume(now, &number, out),
            Input::Signal { number, body } => self.signal(now, &number, body, out),
            Input::Tick => {}
        }
        self.step(now, out);
    }
}

/// Waits are stretched by up to a quarter, so that those who failed together do not return
/// together.
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    /// `wait_us` and up to a quarter more.
    fn stretch(&mut self, wait_us: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        wait_us + word % (wait_us / 4 + 1)
    }
}

/// `base · factor^exponent`, no more than `max`.
fn grown(base: u64, factor: u64, exponent: u32, max: u64) -> u64 {
    factor.checked_pow(exponent).and_then(|grown| grown.checked_mul(base)).unwrap_or(max).min(max)
}
