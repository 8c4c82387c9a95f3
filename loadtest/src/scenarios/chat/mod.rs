//! `chat`: rooms with members, all of whom send and all of whom must get everything.
//!
//! The real protocol from `hello` to `history`. Each member must see the room's events once, in the
//! order of their offsets, none left out; each ack must name the offset that the members saw; at
//! the end history must hold every acked message.

pub mod wire;

pub mod ledger;

pub mod audit;

pub mod limits;

use self::audit::Audit;
use self::ledger::{Ledger, Meters};
use self::wire::Heard;
use super::lobby::{Lobby, Turn};
use super::pace::Pace;
use super::{Outcome, Player, Scenario, Settings, Share, fraction};
use crate::driver::gate::{Gate, Schedule};
use crate::driver::{Failure, Nanos, Outbox, Wake, Workload};
use crate::latency::Latency;
use serde_json::Value;
use std::sync::Arc;

/// How long deliveries and acks may take after the last message was due.
const DRAIN_NS: Nanos = 10_000_000_000;
/// How long one page of history may take.
const PAGE_PATIENCE_NS: Nanos = 10_000_000_000;
/// How often to look whether something has changed while nothing is due.
const IDLE_NS: Nanos = 2_000_000;
/// Messages one room sends in one turn at most, so that a late open loop still reads.
const TURN_SENDS_MAX: usize = 256;
/// A refused message of a closed loop is followed by the next after this long, unless told.
const RETRY_NS: Nanos = 100_000_000;

const ID_HELLO: u64 = 1;
const ID_JOIN: u64 = 2;
const ID_HISTORY: u64 = 3;
/// The `send` of message n has this id plus n.
const ID_SEND: u64 = 10;

/// The table's entry.
pub const SCENARIO: Scenario = Scenario {
    name: "chat",
    summary: "members of rooms send to each other over the chat protocol",
    path: |_| "/ws",
    protocol: |_| Some("ringpost.v1.json"),
    rate_default: 10.0,
    describe,
    threads_max: |settings| settings.rooms,
    share,
};

fn describe(settings: &Settings) -> String {
    let Settings { rooms, members, size, rate, in_flight, .. } = settings;
    let load = match rate {
        0.0 => format!("{in_flight} in flight per room"),
        rate => format!("{} msg/s offered", rate * *rooms as f64),
    };
    format!("{} sessions, {rooms} rooms, {load}, {size} B", rooms * members)
}

fn share(settings: &Settings, share: Share, gate: Arc<Gate>) -> Box<dyn Player> {
    let part = share.of(settings.rooms);
    let room = |index: usize| Room {
        index,
        ledger: Ledger::new(
            format!("load-{index}"),
            format!("{}-{index}-", settings.tag),
            settings.members,
            settings.seed.wrapping_add(index as u64),
            settings.size,
        ),
        lost: vec![false; settings.members],
        pace: None,
        slots: Vec::new(),
        audit: None,
        asked_at: None,
    };
    Box::new(Chat {
        settings: settings.clone(),
        lobby: Lobby::new(gate.clone(), "ringpost.v1.json"),
        gate,
        rooms: part.map(room).collect(),
        auditing: false,
        history_limit: 50,
        failure: None,
        counted: (0, 0),
        scratch: Vec::new(),
        meters: Meters::new(),
        lag: Latency::new("lag", "from due to sent"),
    })
}

/// One room with all its members' connections.
struct Room {
    index: usize,
    ledger: Ledger,
    lost: Vec<bool>,
    pace: Option<Pace>,
    /// Closed loop: when refused messages may be followed by new ones.
    slots: Vec<Nanos>,
    audit: Option<Audit>,
    /// When the page under way was asked for.
    asked_at: Option<Nanos>,
}

struct Chat {
    settings: Settings,
    gate: Arc<Gate>,
    rooms: Vec<Room>,
    lobby: Lobby,
    /// Whether all is sent and history is read.
    auditing: bool,
    history_limit: u64,
    failure: Option<Failure>,
    /// (sent, received) since the gate was last told.
    counted: (u64, u64),
    scratch: Vec<u8>,
    meters: Meters,
    lag: Latency,
}

impl Chat {
    fn place(&self, conn: usize) -> (usize, usize) {
        (conn / self.settings.members, conn % self.settings.members)
    }

    fn send(&mut self, room: usize, due: Nanos, out: &mut dyn Outbox) {
        self.scratch.clear();
        let member = self.rooms[room].ledger.send(due, ID_SEND, &mut self.scratch);
        self.counted.0 += 1;
        out.text(room * self.settings.members + member, &self.scratch);
    }

    fn begin(&mut self, schedule: Schedule, out: &mut dyn Outbox) {
        self.meters.from = schedule.measure;
        for room in 0..self.rooms.len() {
            if self.settings.rate > 0.0 {
                let phase = fraction(self.settings.seed, self.rooms[room].index as u64);
                self.rooms[room].pace = Some(Pace::new(schedule.start, self.settings.rate, phase));
                continue;
            }
            for _ in 0..self.settings.in_flight {
                self.send(room, schedule.start, out);
            }
        }
    }

    /// Sends what is due in one room; gives its next due time.
    fn catch_up(
        &mut self,
        room: usize,
        schedule: Schedule,
        now: Nanos,
        out: &mut dyn Outbox,
    ) -> Nanos {
        let Some(mut pace) = self.rooms[room].pace else {
            let slots = &mut self.rooms[room].slots;
            let waiting = slots.len();
            slots.retain(|reopens| *reopens > now);
            let (open, next) = (waiting - slots.len(), slots.iter().min().copied());
            if now < schedule.stop {
                for _ in 0..open {
                    self.send(room, now, out);
                }
            }
            return next.unwrap_or(schedule.stop).min(schedule.stop);
        };
        for _ in 0..TURN_SENDS_MAX {
            let Some(due) = pace.take(schedule, now, &mut self.lag) else { break };
            self.send(room, due, out);
        }
        self.rooms[room].pace = Some(pace);
        pace.next(schedule)
    }

    fn run(&mut self, schedule: Schedule, now: Nanos, out: &mut dyn Outbox) -> Wake {
        let mut next = Nanos::MAX;
        for room in 0..self.rooms.len() {
            next = next.min(self.catch_up(room, schedule, now, out));
        }
        if next < schedule.stop || now < schedule.stop {
            return Wake::At(next);
        }
        let settled = self.rooms.iter().all(|room| room.ledger.settled());
        if settled || now > schedule.stop + DRAIN_NS {
            self.auditing = true;
            for room in &mut self.rooms {
                room.audit = Some(Audit::new(&room.ledger));
            }
            return Wake::At(now);
        }
        Wake::At(now + IDLE_NS)
    }

    /// Asks for the next page of every room that waits for none.
    fn audit(&mut self, now: Nanos, out: &mut dyn Outbox) -> Wake {
        let members = self.settings.members;
        let mut busy = false;
        for (at, room) in self.rooms.iter_mut().enumerate() {
            let audit = room.audit.as_mut().expect("set when the audit began");
            let Some(after) = audit.next() else { continue };
            // Members take turns, and a page takes its time, so the limit of frames is kept.
            let first = audit.page_count as usize % members;
            let reader = (0..members).map(|n| (first + n) % members).find(|m| !room.lost[*m]);
            let late = room.asked_at.is_some_and(|asked| now > asked + PAGE_PATIENCE_NS);
            let (Some(reader), false) = (reader, late) else {
                audit.close(&mut room.ledger);
                continue;
            };
            busy = true;
            if room.asked_at.is_none() {
                room.asked_at = Some(now);
                let frame = wire::history(ID_HISTORY, &room.ledger.room, after, self.history_limit);
                out.text(at * members + reader, &frame);
            }
        }
        if busy { Wake::At(now + IDLE_NS) } else { Wake::Finished }
    }

    fn ok(&mut self, conn: usize, id: u64, d: &Value, now: Nanos, out: &mut dyn Outbox) {
        let (room, member) = self.place(conn);
        match id {
            ID_HELLO => {
                self.lobby.progress(now);
                if let Err(failure) = limits::allow(&d["limits"], &self.settings) {
                    self.failure = Some(failure);
                    return;
                }
                self.history_limit = d["limits"]["history"].as_u64().unwrap_or(50).max(1);
                out.text(conn, &wire::join(ID_JOIN, &self.rooms[room].ledger.room));
            }
            ID_JOIN => {
                self.rooms[room].ledger.joined(member, d["o"].as_u64().unwrap_or(0));
                self.lobby.ready(now);
            }
            ID_HISTORY => {
                let room = &mut self.rooms[room];
                room.asked_at = None;
                if let Some(audit) = &mut room.audit {
                    audit.page(&mut room.ledger, d);
                }
            }
            id => {
                self.rooms[room].ledger.acked(id.saturating_sub(ID_SEND), d, now, &mut self.meters)
            }
        }
    }

    fn refused(&mut self, conn: usize, id: Option<u64>, why: (&str, &str), retry_at: Nanos) {
        let (room, _) = self.place(conn);
        let (name, msg) = why;
        match id {
            Some(id @ (ID_HELLO | ID_JOIN)) => {
                let verb = if id == ID_HELLO { "hello" } else { "join" };
                let failure = Failure::new(format!("{verb} was refused: {name} {msg}"));
                self.failure = Some(match name {
                    "unauthorized" => failure.hint(
                        "this tool logs in as users load-0, load-1, …: run the server with --dev",
                    ),
                    _ => failure,
                });
            }
            Some(id) if id >= ID_SEND => {
                let room = &mut self.rooms[room];
                room.ledger.refused(id - ID_SEND, name, msg);
                room.slots.push(retry_at);
            }
            _ => {
                let room = &mut self.rooms[room];
                room.ledger.fault(|| format!("session {conn} was told {name} {msg}"));
                if let Some(audit) = &mut room.audit {
                    audit.close(&mut room.ledger);
                }
            }
        }
    }

    /// One delivery was counted; in a closed loop a whole one makes room for the next message.
    fn delivered(&mut self, room: usize, whole: bool, now: Nanos, out: &mut dyn Outbox) {
        self.counted.1 += 1;
        let Some(schedule) = self.lobby.running() else { return };
        if whole && self.settings.rate == 0.0 && now < schedule.stop {
            self.send(room, now, out);
        }
    }
}

impl Workload for Chat {
    fn connection_count(&self) -> usize {
        self.rooms.len() * self.settings.members
    }

    fn opened(&mut self, conn: usize, now: Nanos, out: &mut dyn Outbox) {
        self.lobby.progress(now);
        let (room, member) = self.place(conn);
        let user = self.rooms[room].index * self.settings.members + member;
        out.text(conn, &wire::hello(ID_HELLO, &format!("load-{user}")));
    }

    fn received(&mut self, conn: usize, payload: &[u8], now: Nanos, out: &mut dyn Outbox) {
        let (room, member) = self.place(conn);
        let ledger = &mut self.rooms[room].ledger;
        if let Some(whole) = ledger.known(member, payload, now, &mut self.meters) {
            return self.delivered(room, whole, now, out);
        }
        match wire::parse(payload) {
            Ok(Heard::Ok { id, d }) => self.ok(conn, id, &d, now, out),
            Ok(Heard::Refused { id, name, msg, after_ms }) => {
                let retry_at = now + after_ms.map_or(RETRY_NS, |ms| ms * 1_000_000);
                self.refused(conn, id, (&name, &msg), retry_at);
            }
            Ok(Heard::Event { o, frame }) => {
                let event = (o, &frame, payload);
                let whole = ledger.event(member, event, now, &mut self.meters);
                self.delivered(room, whole, now, out);
            }
            Ok(Heard::Ping) => out.text(conn, wire::PONG),
            Ok(Heard::Gap { .. }) => ledger.fault(|| format!("session {conn} was told of a gap")),
            Ok(Heard::Bye(why)) => ledger.fault(|| format!("session {conn} was sent away: {why}")),
            Ok(Heard::Other) => {}
            Err(why) => {
                ledger.fault(|| format!("session {conn} got no frame of the protocol: {why}"))
            }
        }
    }

    fn lost(&mut self, conn: usize, why: &str, _now: Nanos) {
        let (room, member) = self.place(conn);
        self.rooms[room].lost[member] = true;
        if self.lobby.is_joining() {
            self.failure =
                Some(Failure::new(format!("session {conn} was lost while joining: {why}")));
        } else {
            self.rooms[room].ledger.fault(|| format!("session {conn} was lost: {why}"));
        }
    }

    fn turn(&mut self, now: Nanos, out: &mut dyn Outbox) -> Result<Wake, Failure> {
        let (sent, received) = std::mem::take(&mut self.counted);
        self.gate.count(sent, received);
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.auditing {
            return Ok(self.audit(now, out));
        }
        match self.lobby.turn(self.connection_count(), now)? {
            Turn::Wait(wake) => Ok(wake),
            Turn::Begin(schedule) => {
                self.begin(schedule, out);
                Ok(Wake::At(now))
            }
            Turn::Run(schedule) => Ok(self.run(schedule, now, out)),
        }
    }
}

impl Player for Chat {
    fn outcome(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        for room in &mut self.rooms {
            outcome.merge(room.ledger.outcome());
        }
        let Meters { last, ack, each, .. } = self.meters.clone();
        outcome.latencies = vec![last, ack, each];
        outcome.lag = (self.settings.rate > 0.0).then(|| self.lag.clone());
        outcome
    }
}

#[cfg(test)]
mod tests;
