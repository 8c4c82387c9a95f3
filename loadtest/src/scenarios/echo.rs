//! `echo`: what one message costs. Every reply is compared with what was sent, byte by byte.

use super::pace::Pace;
use super::{Outcome, Player, Scenario, Settings, Share, fill, fraction, number_of};
use crate::driver::gate::{Gate, Schedule};
use crate::driver::{Failure, Nanos, Outbox, Wake, Workload};
use crate::latency::Latency;
use crate::order::{Arrival, Order};
use std::collections::VecDeque;
use std::sync::Arc;

/// How long replies may take after the last message was sent.
const DRAIN_NS: Nanos = 5_000_000_000;
/// Messages sent in one turn at most, so that a late open loop still reads.
const TURN_SENDS_MAX: usize = 4_096;
/// How often to look whether the other threads are ready.
const GATE_NS: Nanos = 2_000_000;

/// The table's entry.
pub const SCENARIO: Scenario = Scenario {
    name: "echo",
    summary: "every message comes back on its connection",
    path: |_| "/echo",
    protocol: |_| None,
    rate_default: 0.0,
    describe,
    threads_max: |settings| settings.connections,
    share,
};

fn describe(settings: &Settings) -> String {
    let load = match settings.rate {
        0.0 => format!("{} in flight each", settings.pipeline),
        rate => format!("{rate} msg/s offered"),
    };
    let kind = if settings.binary { "binary" } else { "text" };
    format!("{} connections, {load}, {} B {kind}", settings.connections, settings.size)
}

fn share(settings: &Settings, share: Share, gate: Arc<Gate>) -> Box<dyn Player> {
    let part = share.of(settings.connections);
    let lanes = part.clone().map(|_| Lane::default()).collect();
    let rate = settings.rate * part.len() as f64 / settings.connections as f64;
    Box::new(Echo {
        settings: settings.clone(),
        gate,
        rate,
        first: part.start,
        lanes,
        open_count: 0,
        phase: Phase::Opening,
        pace: None,
        turn_index: 0,
        in_flight: 0,
        counted: (0, 0),
        scratch: Vec::new(),
        latency: Latency::new("echo", "from intended send to reply"),
        lag: Latency::new("lag", "from due to sent"),
        outcome: Outcome::default(),
    })
}

/// One connection.
#[derive(Debug, Default)]
struct Lane {
    sent: u64,
    order: Order,
    /// When the messages under way were due: the front is that of `order.next()`.
    due: VecDeque<Nanos>,
    lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Opening,
    Waiting,
    Running(Schedule),
}

struct Echo {
    settings: Settings,
    gate: Arc<Gate>,
    /// This thread's part of the rate; 0 in a closed loop.
    rate: f64,
    /// Number of this thread's first connection among all.
    first: usize,
    lanes: Vec<Lane>,
    open_count: usize,
    phase: Phase,
    pace: Option<Pace>,
    /// Connection of the next message of an open loop.
    turn_index: usize,
    in_flight: u64,
    /// (sent, received) since the gate was last told.
    counted: (u64, u64),
    scratch: Vec<u8>,
    latency: Latency,
    lag: Latency,
    outcome: Outcome,
}

impl Echo {
    fn send(&mut self, conn: usize, due: Nanos, out: &mut dyn Outbox) {
        let lane = &mut self.lanes[conn];
        if lane.lost {
            return;
        }
        self.scratch.clear();
        fill(&mut self.scratch, self.settings.seed, lane.sent, self.settings.size);
        lane.sent += 1;
        lane.due.push_back(due);
        self.in_flight += 1;
        self.counted.0 += 1;
        match self.settings.binary {
            true => out.binary(conn, &self.scratch),
            false => out.text(conn, &self.scratch),
        }
    }

    fn begin(&mut self, schedule: Schedule, out: &mut dyn Outbox) {
        self.phase = Phase::Running(schedule);
        if self.rate > 0.0 {
            let phase = fraction(self.settings.seed, self.first as u64);
            self.pace = Some(Pace::new(schedule.start, self.rate, phase));
            return;
        }
        for conn in 0..self.lanes.len() {
            for _ in 0..self.settings.pipeline {
                self.send(conn, schedule.start, out);
            }
        }
    }

    /// Sends what an open loop owes; gives the next due time.
    fn catch_up(&mut self, schedule: Schedule, now: Nanos, out: &mut dyn Outbox) -> Nanos {
        let Some(mut pace) = self.pace else { return schedule.stop };
        for _ in 0..TURN_SENDS_MAX {
            let Some(due) = pace.take(schedule, now, &mut self.lag) else { break };
            let conn = self.turn_index;
            self.turn_index = (conn + 1) % self.lanes.len();
            self.send(conn, due, out);
        }
        self.pace = Some(pace);
        pace.next(schedule)
    }

    fn judge(&mut self, conn: usize, payload: &[u8]) -> Arrival {
        let lane = &mut self.lanes[conn];
        let number = number_of(payload).filter(|number| *number < lane.sent);
        let name = self.first + conn;
        let Some(number) = number else {
            self.outcome.corrupt += 1;
            self.outcome.find(|| format!("connection {name} got what nobody sent"));
            return Arrival::Duplicate;
        };
        self.scratch.clear();
        fill(&mut self.scratch, self.settings.seed, number, self.settings.size);
        if self.scratch != payload {
            self.outcome.corrupt += 1;
            self.outcome.find(|| format!("connection {name}: message {number} came back changed"));
        }
        let next = lane.order.next();
        let arrival = lane.order.arrive(number);
        if arrival != Arrival::InOrder {
            self.outcome
                .find(|| format!("connection {name}: {arrival:?} reply {number}, due was {next}"));
        }
        arrival
    }
}

impl Workload for Echo {
    fn connection_count(&self) -> usize {
        self.lanes.len()
    }

    fn opened(&mut self, _conn: usize, _now: Nanos, _out: &mut dyn Outbox) {
        self.open_count += 1;
    }

    fn received(&mut self, conn: usize, payload: &[u8], now: Nanos, out: &mut dyn Outbox) {
        self.counted.1 += 1;
        let before = self.lanes[conn].order.next();
        let arrival = self.judge(conn, payload);
        let lane = &mut self.lanes[conn];
        let steps = lane.order.next() - before;
        let mut due = None;
        for _ in 0..steps {
            due = lane.due.pop_front();
        }
        self.in_flight -= steps;
        let Phase::Running(schedule) = self.phase else { return };
        let Some(due) = due.filter(|_| arrival == Arrival::InOrder) else { return };
        if schedule.measures(due) {
            self.latency.record(now - due);
        }
        if self.pace.is_none() && now < schedule.stop {
            self.send(conn, now, out);
        }
    }

    fn lost(&mut self, conn: usize, why: &str, _now: Nanos) {
        let lane = &mut self.lanes[conn];
        lane.lost = true;
        self.in_flight -= lane.due.len() as u64;
        let name = self.first + conn;
        self.outcome.broken += 1;
        self.outcome.find(|| format!("connection {name} was lost: {why}"));
    }

    fn turn(&mut self, now: Nanos, out: &mut dyn Outbox) -> Result<Wake, Failure> {
        let (sent, received) = std::mem::take(&mut self.counted);
        self.gate.count(sent, received);
        match self.phase {
            Phase::Opening => {
                if self.open_count == self.lanes.len() {
                    self.phase = Phase::Waiting;
                    self.gate.arrive(now);
                }
                Ok(Wake::At(now + 50 * GATE_NS))
            }
            Phase::Waiting => {
                let Some(schedule) = self.gate.begun(now) else {
                    return Ok(Wake::At(now + GATE_NS));
                };
                self.begin(schedule, out);
                Ok(Wake::At(now))
            }
            Phase::Running(schedule) if now < schedule.stop => {
                Ok(Wake::At(self.catch_up(schedule, now, out)))
            }
            Phase::Running(schedule) => {
                let given_up = now > schedule.stop + DRAIN_NS;
                // What was due just before the end may not have been sent yet.
                let due = self.catch_up(schedule, now, out);
                match due >= schedule.stop && (self.in_flight == 0 || given_up) {
                    true => Ok(Wake::Finished),
                    false => Ok(Wake::At(now + GATE_NS)),
                }
            }
        }
    }
}

impl Player for Echo {
    fn outcome(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        for lane in &self.lanes {
            outcome.expected += lane.sent;
            outcome.delivered += lane.order.next() - lane.order.missing();
            outcome.duplicated += lane.order.duplicated;
            outcome.misordered += lane.order.misordered;
        }
        outcome.latencies.push(self.latency.clone());
        outcome.lag = (self.rate > 0.0).then(|| self.lag.clone());
        outcome
    }
}
