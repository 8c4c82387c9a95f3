//! `room`: rooms whose members send in turn, and all members must get everything. `paced`: the same
//! at a given rate, with latencies from the time each message was due.
//!
//! For any server that knows rooms: how they are spoken of is the dialect's business.

pub mod books;

use self::books::{Books, Took};
use super::{Outcome, Pace, Player, Scenario, Settings, Share, fraction};
use crate::dialects::{Dialect, Form, Heard, Seat, Units};
use crate::driver::gate::{Gate, Schedule};
use crate::driver::{Failure, Nanos, Outbox, Wake, Workload};
use crate::latency::Latency;
use std::sync::Arc;

/// Connections that make no progress for this long while joining end the run.
const JOIN_PATIENCE_NS: Nanos = 15_000_000_000;
/// How long deliveries may take after the last message was due.
const DRAIN_NS: Nanos = 5_000_000_000;
/// How often to look whether something has changed while nothing is due.
const IDLE_NS: Nanos = 2_000_000;
/// Messages one room sends in one turn at most, so that a late open loop still reads.
const TURN_SENDS_MAX: usize = 256;

/// The closed loop.
pub const SCENARIO: Scenario = Scenario {
    name: "room",
    summary: "members of rooms send, all must get everything; any server (--dialect)",
    path: |settings| settings.dialect.path,
    protocol: |settings| settings.dialect.protocol,
    rate_default: 0.0,
    describe,
    threads_max: |settings| settings.rooms,
    share,
};

/// The open loop.
pub const PACED: Scenario = Scenario {
    name: "paced",
    summary: "room at a rate (--rate per room), latencies from when a message was due",
    rate_default: 10.0,
    ..SCENARIO
};

fn describe(settings: &Settings) -> String {
    let Settings { rooms, members, size, rate, in_flight, rounds, dialect, .. } = settings;
    let load = match (rate, rounds) {
        (0.0, false) => format!("{in_flight} in flight each"),
        (0.0, true) => format!("{in_flight} at once each"),
        (rate, _) => format!("{} msg/s offered in all", rate * *rooms as f64),
    };
    format!("{rooms} rooms of {members}, {load}, {size} B, {}", dialect.name)
}

fn share(settings: &Settings, share: Share, gate: Arc<Gate>) -> Box<dyn Player> {
    let part = share.of(settings.rooms);
    let dialect = (settings.dialect.make)(settings);
    let room = |index: usize| {
        let seed = settings.seed.wrapping_add(index as u64);
        let books = Books::new(index, settings.members, seed, settings.size);
        let books = if dialect.to_sender() { books } else { books.not_to_sender() };
        Room { index, books, pace: None, owed: 0 }
    };
    let rooms = part.map(room).collect();
    Box::new(Rooms {
        settings: settings.clone(),
        gate,
        dialect,
        rooms,
        is_in: Vec::new(),
        ready_count: 0,
        phase: Phase::Joining,
        progress_at: 0,
        failure: None,
        counted: (0, 0),
        scratch: Vec::new(),
        units: Units::default(),
        last: Latency::new("last", "from intended send to last member"),
        each: Latency::new("each", "from intended send to each member"),
        lag: Latency::new("lag", "from due to sent"),
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Joining,
    Waiting,
    Running(Schedule),
}

struct Room {
    index: usize,
    books: Books,
    pace: Option<Pace>,
    /// Closed loop: messages to send at the end of the turn.
    owed: usize,
}

struct Rooms {
    settings: Settings,
    gate: Arc<Gate>,
    dialect: Box<dyn Dialect>,
    rooms: Vec<Room>,
    /// By connection: whether it is in its room.
    is_in: Vec<bool>,
    ready_count: usize,
    phase: Phase,
    progress_at: Nanos,
    failure: Option<Failure>,
    /// (sent, received) since the gate was last told.
    counted: (u64, u64),
    scratch: Vec<u8>,
    units: Units,
    last: Latency,
    each: Latency,
    lag: Latency,
}

impl Rooms {
    fn seat(&self, conn: usize) -> Seat {
        let members = self.settings.members;
        Seat { conn, room: self.rooms[conn / members].index, member: conn % members }
    }

    fn ready(&mut self, conn: usize, now: Nanos) {
        if !std::mem::replace(&mut self.is_in[conn], true) {
            self.ready_count += 1;
            self.progress_at = now;
        }
    }

    fn send(&mut self, room: usize, due: Nanos, out: &mut dyn Outbox) {
        let Room { index, books, .. } = &mut self.rooms[room];
        let (number, member, text) = books.send(due);
        let conn = room * self.settings.members + member;
        let seat = Seat { conn, room: *index, member };
        self.scratch.clear();
        let form = self.dialect.send(seat, number, text, &mut self.scratch);
        self.counted.0 += 1;
        match form {
            Form::Text => out.text(conn, &self.scratch),
            Form::Binary => out.binary(conn, &self.scratch),
        }
    }

    fn begin(&mut self, schedule: Schedule) {
        self.phase = Phase::Running(schedule);
        let Settings { rate, in_flight, seed, .. } = self.settings;
        for room in &mut self.rooms {
            if rate > 0.0 {
                let phase = fraction(seed, room.index as u64);
                room.pace = Some(Pace::new(schedule.start, rate, phase));
            } else {
                room.owed = in_flight;
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
            for _ in 0..std::mem::take(&mut self.rooms[room].owed) {
                if now < schedule.stop {
                    self.send(room, now, out);
                }
            }
            return schedule.stop;
        };
        for _ in 0..TURN_SENDS_MAX {
            let due = pace.due();
            if due > now || due >= schedule.stop {
                break;
            }
            pace.advance();
            if schedule.measures(due) {
                self.lag.record(now - due);
            }
            self.send(room, due, out);
        }
        self.rooms[room].pace = Some(pace);
        pace.due().min(schedule.stop)
    }

    fn run(&mut self, schedule: Schedule, now: Nanos, out: &mut dyn Outbox) -> Wake {
        let mut next = Nanos::MAX;
        for room in 0..self.rooms.len() {
            next = next.min(self.catch_up(room, schedule, now, out));
        }
        if next < schedule.stop || now < schedule.stop {
            return Wake::At(next);
        }
        let settled = self.rooms.iter().all(|room| room.books.open_count() == 0);
        if settled || now > schedule.stop + DRAIN_NS {
            return Wake::Finished;
        }
        Wake::At(now + IDLE_NS)
    }

    fn unit(&mut self, conn: usize, unit: &[u8], now: Nanos, out: &mut dyn Outbox) {
        let members = self.settings.members;
        let (room, member) = (conn / members, conn % members);
        if let Some(took) = self.rooms[room].books.known(member, unit) {
            return self.took(room, took, now);
        }
        if self.dialect.is_noise(unit) {
            return;
        }
        let seat = self.seat(conn);
        match self.dialect.read(seat, unit, out) {
            Heard::Ready => self.ready(conn, now),
            Heard::Text(text) => {
                let took = self.rooms[room].books.text(member, unit, &text);
                self.took(room, took, now);
            }
            Heard::Refused(why) if matches!(self.phase, Phase::Running(_)) => {
                let name = seat.room;
                self.rooms[room].books.fault(|| format!("room {name}: member {member}: {why}"));
            }
            Heard::Refused(why) => {
                let what = format!("connection {conn} was refused: {why}");
                self.failure = Some(Failure::new(what));
            }
            Heard::Other => {}
        }
    }

    fn took(&mut self, room: usize, took: Took, now: Nanos) {
        let Took::Delivery { due, whole } = took else { return };
        self.counted.1 += 1;
        let Phase::Running(schedule) = self.phase else { return };
        if schedule.measures(due) {
            let time = now.saturating_sub(due);
            if whole {
                self.last.record(time);
            }
            // In a closed loop it says little, and costs as much as the comparison.
            if self.settings.rate > 0.0 {
                self.each.record(time);
            }
        }
        if whole && self.settings.rate == 0.0 {
            let Room { owed, books, .. } = &mut self.rooms[room];
            match self.settings.rounds {
                false => *owed += 1,
                true if books.open_count() == 0 => *owed = self.settings.in_flight,
                true => {}
            }
        }
    }
}

impl Workload for Rooms {
    fn connection_count(&self) -> usize {
        self.rooms.len() * self.settings.members
    }

    fn path(&self, conn: usize) -> Option<String> {
        self.dialect.path(self.seat(conn).room)
    }

    fn opened(&mut self, conn: usize, now: Nanos, out: &mut dyn Outbox) {
        self.is_in.resize(self.connection_count(), false);
        self.progress_at = now;
        let seat = self.seat(conn);
        if self.dialect.opened(seat, out) {
            self.ready(conn, now);
        }
    }

    fn received(&mut self, conn: usize, payload: &[u8], now: Nanos, out: &mut dyn Outbox) {
        if !self.dialect.splits() {
            return self.unit(conn, payload, now, out);
        }
        let mut units = std::mem::take(&mut self.units);
        self.dialect.split(conn, payload, &mut units);
        for unit in units.iter() {
            self.unit(conn, unit, now, out);
        }
        units.clear();
        self.units = units;
    }

    fn lost(&mut self, conn: usize, why: &str, _now: Nanos) {
        let Seat { room, member, .. } = self.seat(conn);
        match self.phase {
            Phase::Joining => {
                let what = format!("connection {conn} was lost while joining: {why}");
                self.failure = Some(Failure::new(what));
            }
            _ => {
                let books = &mut self.rooms[conn / self.settings.members].books;
                books.fault(|| format!("room {room}: member {member} was lost: {why}"));
            }
        }
    }

    fn turn(&mut self, now: Nanos, out: &mut dyn Outbox) -> Result<Wake, Failure> {
        let (sent, received) = std::mem::take(&mut self.counted);
        self.gate.count(sent, received);
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        match self.phase {
            Phase::Joining => {
                if self.ready_count == self.connection_count() {
                    self.phase = Phase::Waiting;
                    self.gate.arrive(now);
                } else if now > self.progress_at + JOIN_PATIENCE_NS {
                    let (ready, all) = (self.ready_count, self.connection_count());
                    let what = format!("only {ready} of {all} connections could enter their rooms");
                    let hint = format!("does the target speak {}?", self.settings.dialect.name);
                    return Err(Failure::new(what).hint(hint));
                }
                Ok(Wake::At(now + 50 * IDLE_NS))
            }
            Phase::Waiting => {
                match self.gate.schedule().filter(|schedule| now >= schedule.start) {
                    Some(schedule) => self.begin(schedule),
                    None => return Ok(Wake::At(now + IDLE_NS)),
                }
                Ok(Wake::At(now))
            }
            Phase::Running(schedule) => Ok(self.run(schedule, now, out)),
        }
    }
}

impl Player for Rooms {
    fn outcome(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        let mut disagreed = 0;
        for room in &mut self.rooms {
            disagreed += room.books.disagreed;
            outcome.merge(room.books.outcome());
        }
        outcome.latencies = vec![self.last.clone(), self.each.clone()];
        outcome.disagreed = disagreed;
        outcome.lag = (self.settings.rate > 0.0).then(|| self.lag.clone());
        outcome
    }
}
