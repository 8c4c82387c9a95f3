//! The scenarios, one file each, and the table that lists them.

pub mod echo;

pub mod chat;

pub mod durable;

pub mod room;

pub mod connect;

pub mod resume;

pub mod webhook;

pub mod lobby;

pub mod pace;

use crate::dialects::{Entry, Form};
use crate::driver::gate::Gate;
use crate::driver::{Failure, Workload};
use crate::latency::Latency;
use std::sync::Arc;
use std::time::Duration;

/// What a scenario can be told; each reads what concerns it.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Connections of `echo`, writers of `durable`.
    pub connections: usize,
    /// Rooms of `chat`.
    pub rooms: usize,
    /// Members of each room.
    pub members: usize,
    /// Payload bytes of `echo`, text bytes of `chat` and `durable`.
    pub size: usize,
    /// Messages a second: of all connections for `echo`, of each room for `chat`. 0: closed loop.
    pub rate: f64,
    /// Echoes under way per connection in a closed loop.
    pub pipeline: usize,
    /// Messages under way per room in a closed loop.
    pub in_flight: usize,
    /// Whether messages under way leave together, and the next ones when all have arrived.
    pub rounds: bool,
    /// What the rooms of `room` and `paced` are spoken of in.
    pub dialect: &'static Entry,
    /// Key and secret of the dialect `pusher`, with a colon between.
    pub app: String,
    /// Whether `echo` and the dialect `raw` send binary messages instead of text.
    pub binary: bool,
    /// Connections at which `idle` reads the server's memory: rising, at least one.
    pub steps: Vec<usize>,
    /// Members of each room of `slow` that stop reading, percent.
    pub slow_percent: usize,
    /// From one storm of `resume` to the next.
    pub every: Duration,
    /// Messages or statuses in one body of `webhook`.
    pub batch: usize,
    /// Bodies of `webhook` that tell statuses, percent.
    pub status_percent: usize,
    /// Signs the bodies of `webhook`.
    pub secret: String,
    /// The target as it was given.
    pub target: String,
    /// The server's process, where it is on this machine.
    pub server_pid: Option<u32>,
    /// Decides phases and contents.
    pub seed: u64,
    /// Makes the message ids of one run differ from those of every other run.
    pub tag: String,
}

impl Settings {
    /// What messages are sent as, where there is a choice.
    pub fn form(&self) -> Form {
        if self.binary { Form::Binary } else { Form::Text }
    }
}

/// One scenario.
pub struct Scenario {
    /// As it is called on the command line.
    pub name: &'static str,
    /// One line for the help.
    pub summary: &'static str,
    /// The path when the target names none.
    pub path: fn(&Settings) -> &'static str,
    /// The sub-protocol to offer.
    pub protocol: fn(&Settings) -> Option<&'static str>,
    /// Messages a second unless told.
    pub rate_default: f64,
    /// Describes what will be done, for the report's first line.
    pub describe: fn(&Settings) -> String,
    /// Into how many threads the load can be divided at most.
    pub threads_max: fn(&Settings) -> usize,
    /// Makes one thread's share.
    pub share: fn(&Settings, Share, Arc<Gate>) -> Box<dyn Player>,
}

/// All scenarios, in the order of the help.
pub const SCENARIOS: [Scenario; 11] = [
    echo::SCENARIO,
    room::SCENARIO,
    room::PACED,
    chat::SCENARIO,
    durable::SCENARIO,
    connect::SCENARIO,
    room::idle::SCENARIO,
    room::slow::SCENARIO,
    resume::SCENARIO,
    room::SOAK,
    webhook::SCENARIO,
];

/// Which part of the load a thread carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// This thread.
    pub index: usize,
    /// All threads.
    pub count: usize,
}

impl Share {
    /// The part of `total` things that falls to this thread: first, and one past the last.
    pub fn of(self, total: usize) -> std::ops::Range<usize> {
        total * self.index / self.count..total * (self.index + 1) / self.count
    }
}

/// A workload that can be asked for its verdict.
pub trait Player: Workload + Send {
    /// What came of it. Called once, after the run.
    fn outcome(&mut self) -> Outcome;
}

/// What a run showed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Arrivals that had to come.
    pub expected: u64,
    /// Those that came, each counted once.
    pub delivered: u64,
    /// Those that came again.
    pub duplicated: u64,
    /// Those that came after a later one.
    pub misordered: u64,
    /// Those whose content was not what had been sent.
    pub corrupt: u64,
    /// Deliveries in another order than other members got them; no fault when the senders differ.
    pub disagreed: u64,
    /// Other broken promises (an ack that never came, an acked message that history lacks).
    pub broken: u64,
    /// Sends the server refused. No fault, but then the load was not what was asked for.
    pub refused: u64,
    /// The first few things that went wrong, in words.
    pub findings: Vec<String>,
    /// More lines for the report, as (title, text).
    pub lines: Vec<(&'static str, String)>,
    /// Figures of this scenario alone, for scripts.
    pub figures: Vec<(String, f64)>,
    /// The first is the one `--expect` and `--hgrm` mean.
    pub latencies: Vec<Latency>,
    /// From when a message was due to when it was sent; empty in a closed loop.
    pub lag: Option<Latency>,
}

/// Findings kept in words; the rest is counted.
const FINDINGS_MAX: usize = 8;

impl Outcome {
    /// Arrivals that never came.
    pub fn missing(&self) -> u64 {
        self.expected.saturating_sub(self.delivered)
    }

    /// Whether every promise was kept.
    pub fn clean(&self) -> bool {
        let faults = self.duplicated + self.misordered + self.corrupt + self.broken;
        self.missing() + faults == 0 && self.delivered == self.expected
    }

    /// Remembers a fault in words.
    pub fn find(&mut self, what: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what());
        }
    }

    /// Adds what another thread found.
    pub fn merge(&mut self, other: Self) {
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.duplicated += other.duplicated;
        self.misordered += other.misordered;
        self.corrupt += other.corrupt;
        self.disagreed += other.disagreed;
        self.broken += other.broken;
        self.refused += other.refused;
        for finding in other.findings {
            self.find(|| finding);
        }
        self.lines.extend(other.lines);
        self.figures.extend(other.figures);
        if self.latencies.is_empty() {
            self.latencies = other.latencies;
        } else {
            for (own, theirs) in self.latencies.iter_mut().zip(&other.latencies) {
                own.merge(theirs);
            }
        }
        match (&mut self.lag, other.lag) {
            (Some(own), Some(theirs)) => own.merge(&theirs),
            (own @ None, theirs) => *own = theirs,
            (Some(_), None) => {}
        }
    }
}

/// A fraction from 0 to 1 that depends on the seed and a number only (SplitMix64).
pub fn fraction(seed: u64, number: u64) -> f64 {
    let mut word = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((word ^ (word >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Shows a failure of the settings before anything is opened.
///
/// # Errors
/// When a number makes no sense.
pub fn check(settings: &Settings) -> Result<(), Failure> {
    let rules = [
        (settings.connections > 0, "--connections must be at least 1"),
        (settings.rooms > 0, "--rooms must be at least 1"),
        (settings.members > 0, "--members must be at least 1"),
        (settings.pipeline > 0, "--pipeline must be at least 1"),
        (!settings.secret.is_empty(), "--secret must not be empty"),
        (settings.batch > 0, "--batch must be at least 1"),
        (!settings.every.is_zero(), "--every must be more than 0"),
        (
            settings.slow_percent.max(settings.status_percent) <= 100,
            "--slow and --statuses are percent: 0 to 100",
        ),
        (settings.in_flight > 0, "--in-flight must be at least 1"),
        (
            settings.members > 1 || (settings.dialect.make)(settings).to_sender(),
            "--members must be at least 2: this dialect does not tell the sender",
        ),
        (settings.rate.is_finite() && settings.rate >= 0.0, "--rate must be 0 or more"),
        (settings.size >= SIZE_MIN, "--size must be at least 8: the sequence number needs them"),
    ];
    match rules.iter().find(|(kept, _)| !kept) {
        Some((_, rule)) => Err(Failure::new(*rule)),
        None => Ok(()),
    }
}

/// Smallest payload: what [`fill`] needs for the number.
pub const SIZE_MIN: usize = 8;

/// Makes `size` bytes of ASCII that only message `number` of this seed has.
pub fn fill(out: &mut Vec<u8>, seed: u64, number: u64, size: usize) {
    const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    assert!(size >= SIZE_MIN);
    let begin = out.len();
    for place in (0..SIZE_MIN).rev() {
        out.push(DIGITS[(number >> (6 * place)) as usize % 64]);
    }
    let mut at = (number ^ seed) as usize % 64;
    while out.len() - begin < size {
        let piece = &DIGITS[at..DIGITS.len().min(at + size - (out.len() - begin))];
        out.extend_from_slice(piece);
        at = 0;
    }
}

/// Reads the number of a message that [`fill`] made.
pub fn number_of(payload: &[u8]) -> Option<u64> {
    let mut number = 0;
    for &byte in payload.get(..SIZE_MIN)? {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        number = number << 6 | u64::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_everything_once() {
        for (total, count) in [(10, 3), (1, 1), (7, 7), (1_000, 6)] {
            let mut next = 0;
            for index in 0..count {
                let part = Share { index, count }.of(total);
                assert_eq!(part.start, next);
                next = part.end;
            }
            assert_eq!(next, total);
        }
    }

    #[test]
    fn payloads_carry_their_number() {
        for number in [0, 1, 63, 64, 123_456_789, (1 << 48) - 1] {
            for size in [8, 9, 64, 71, 72, 73, 1_000] {
                let mut payload = b"kept".to_vec();
                fill(&mut payload, 42, number, size);
                assert_eq!(payload.len(), 4 + size);
                assert_eq!(number_of(&payload[4..]), Some(number));
            }
        }
        assert_eq!(number_of(b"1234567"), None);
        assert_eq!(number_of(b"1234 678"), None);
    }

    #[test]
    fn fractions_are_spread() {
        let mean = (0..1_000).map(|n| fraction(42, n)).sum::<f64>() / 1_000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
