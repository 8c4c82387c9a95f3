//! `connect`: connections that are opened, found to be WebSockets and closed again: as many a
//! second as the server takes, at a rate, or all at once and again.
//!
//! A handshake is the connection of TCP, the request and the 101; its latency is from when it was
//! due. The close is one of RFC 6455 §7 with an answer, and is timed as well.

use super::pace::Pace;
use super::{Outcome, Player, Scenario, Settings, Share, fraction};
use crate::driver::gate::{Gate, Schedule};
use crate::driver::{Failure, Nanos, Opening, Outbox, Wake, Workload};
use crate::latency::Latency;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A handshake or a close that takes longer has failed.
const PATIENCE_NS: Nanos = 3_000_000_000;
/// How often to look at the gate, and for those that take too long.
const TICK_NS: Nanos = 2_000_000;
/// A connection that failed is followed by the next after this long: no busy loop on a dead server.
const RETRY_NS: Nanos = 10_000_000;

/// The table's entry.
pub const SCENARIO: Scenario = Scenario {
    name: "connect",
    summary: "handshakes: --connections at a time, at a --rate, or storms (--rounds)",
    path: |settings| settings.dialect.path,
    protocol: |settings| settings.dialect.protocol,
    rate_default: 0.0,
    describe: |settings| {
        let count = settings.connections;
        match (settings.rate, settings.rounds) {
            (0.0, false) => format!("{count} handshakes at a time"),
            (0.0, true) => format!("storms of {count} handshakes"),
            (rate, _) => format!("{rate} handshakes/s offered, {count} connections at most"),
        }
    },
    threads_max: |settings| settings.connections,
    share,
};

fn share(settings: &Settings, share: Share, gate: Arc<Gate>) -> Box<dyn Player> {
    let part = share.of(settings.connections);
    Box::new(Connect {
        rate: settings.rate * part.len() as f64 / settings.connections as f64,
        rounds: settings.rounds,
        phase: fraction(settings.seed, part.start as u64),
        free: (0..part.len()).collect(),
        slots: part.map(|_| Slot::Free).collect(),
        gate,
        schedule: None,
        arrived: false,
        pace: None,
        rest_until: 0,
        reasons: BTreeMap::new(),
        counted: (0, 0),
        measured: 0,
        handshake: Latency::new("handshake", "from when it was due to the 101"),
        close: Latency::new("close", "from our close frame to the end"),
        lag: Latency::new("lag", "from due to begun"),
        outcome: Outcome::default(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slot {
    Free,
    Opening { due: Nanos, begun: Nanos },
    Closing { begun: Nanos },
}

struct Connect {
    /// This thread's part of the rate; 0 in a closed loop.
    rate: f64,
    rounds: bool,
    /// Where in the first gap of an open loop this thread begins.
    phase: f64,
    slots: Vec<Slot>,
    free: VecDeque<usize>,
    gate: Arc<Gate>,
    schedule: Option<Schedule>,
    arrived: bool,
    pace: Option<Pace>,
    /// Closed loop: nothing is opened before this, after a failure.
    rest_until: Nanos,
    /// Failed handshakes by reason.
    reasons: BTreeMap<String, u64>,
    /// (begun, done) since the gate was last told.
    counted: (u64, u64),
    /// Handshakes done in the measured time.
    measured: u64,
    handshake: Latency,
    close: Latency,
    lag: Latency,
    outcome: Outcome,
}

impl Connect {
    fn begin(&mut self, due: Nanos, now: Nanos, out: &mut dyn Outbox) {
        let conn = self.free.pop_front().expect("asked before");
        self.slots[conn] = Slot::Opening { due, begun: now };
        self.outcome.expected += 1;
        self.counted.0 += 1;
        out.open(conn);
    }

    fn failed(&mut self, why: &str, now: Nanos) {
        self.rest_until = now + RETRY_NS;
        self.outcome.find(|| format!("a handshake failed: {why}"));
        *self.reasons.entry(why.to_string()).or_default() += 1;
    }

    /// Begins what is due; gives when the next one is.
    fn catch_up(&mut self, schedule: Schedule, now: Nanos, out: &mut dyn Outbox) -> Nanos {
        let Some(mut pace) = self.pace else {
            let storm_runs = self.rounds && self.free.len() < self.slots.len();
            if now < schedule.stop && now >= self.rest_until && !storm_runs {
                while !self.free.is_empty() {
                    self.begin(now, now, out);
                }
            }
            return schedule.stop;
        };
        while !self.free.is_empty()
            && let Some(due) = pace.take(schedule, now, &mut self.lag)
        {
            self.begin(due, now, out);
        }
        if self.free.is_empty() {
            pace.excuse(now);
        }
        self.pace = Some(pace);
        pace.next(schedule)
    }

    /// Ends what takes too long.
    fn give_up(&mut self, now: Nanos, out: &mut dyn Outbox) {
        for conn in 0..self.slots.len() {
            match self.slots[conn] {
                Slot::Opening { begun, .. } if now > begun + PATIENCE_NS => {
                    self.failed("no answer to the handshake within 3 s", now);
                }
                Slot::Closing { begun } if now > begun + PATIENCE_NS => {
                    self.outcome.broken += 1;
                    self.outcome.find(|| "a close frame was not answered within 3 s".into());
                }
                _ => continue,
            }
            out.hang_up(conn);
            self.slots[conn] = Slot::Free;
            self.free.push_back(conn);
        }
    }
}

impl Workload for Connect {
    fn connection_count(&self) -> usize {
        self.slots.len()
    }

    fn opening(&self) -> Opening {
        Opening::OnDemand
    }

    fn opening_max(&self) -> usize {
        self.slots.len()
    }

    fn opened(&mut self, conn: usize, now: Nanos, out: &mut dyn Outbox) {
        let Slot::Opening { due, .. } = self.slots[conn] else {
            unreachable!("only what was asked for is opened");
        };
        self.outcome.delivered += 1;
        self.counted.1 += 1;
        if self.schedule.is_some_and(|schedule| schedule.measures(due)) {
            self.handshake.record(now - due);
            self.measured += 1;
        }
        self.slots[conn] = Slot::Closing { begun: now };
        out.close(conn);
    }

    fn received(&mut self, _conn: usize, _payload: &[u8], _now: Nanos, _out: &mut dyn Outbox) {}

    fn lost(&mut self, conn: usize, why: &str, now: Nanos) {
        match self.slots[conn] {
            Slot::Opening { .. } => self.failed(why, now),
            Slot::Closing { begun } => self.close.record(now - begun),
            Slot::Free => return,
        }
        self.slots[conn] = Slot::Free;
        self.free.push_back(conn);
    }

    fn turn(&mut self, now: Nanos, out: &mut dyn Outbox) -> Result<Wake, Failure> {
        let (begun, done) = std::mem::take(&mut self.counted);
        self.gate.count(begun, done);
        if !std::mem::replace(&mut self.arrived, true) {
            self.gate.arrive(now);
        }
        let Some(schedule) = self.gate.begun(now) else {
            return Ok(Wake::At(now + TICK_NS));
        };
        if self.schedule.is_none() {
            self.schedule = Some(schedule);
            if self.rate > 0.0 {
                self.pace = Some(Pace::new(schedule.start, self.rate, self.phase));
            }
        }
        self.give_up(now, out);
        let next = self.catch_up(schedule, now, out);
        if next >= schedule.stop && now >= schedule.stop && self.free.len() == self.slots.len() {
            return Ok(Wake::Finished);
        }
        // What is late waits for a connection to come free, not for a time.
        Ok(Wake::At(if next > now { next.min(now + TICK_NS) } else { now + TICK_NS }))
    }
}

impl Player for Connect {
    fn outcome(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        for (why, count) in &self.reasons {
            outcome.lines.push(("Failures", format!("{count} × {why}")));
        }
        if let Some(schedule) = self.schedule {
            let seconds = (schedule.stop - schedule.measure) as f64 / 1e9;
            let per_s = self.measured as f64 / seconds;
            outcome.lines.push(("Handshakes", format!("{per_s:.0} a second; a message is one")));
            outcome.figures.push(("handshakes_per_s".into(), per_s));
        }
        outcome.latencies = vec![self.handshake.clone(), self.close.clone()];
        outcome.lag = (self.rate > 0.0).then(|| self.lag.clone());
        outcome
    }
}
