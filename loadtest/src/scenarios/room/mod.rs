//! `room`: rooms whose members send in turn, and all members must get everything. `paced`: the same
//! at a given rate, with latencies from the time each message was due. `soak`: the same for long,
//! beside the server's memory. What makes `idle` and `slow` of it is in their files.
//!
//! For any server that knows rooms: how they are spoken of is the dialect's business.

pub mod books;

pub mod idle;

pub mod slow;

use self::books::{Books, Took};
use self::idle::Idle;
use self::slow::Slow;
use super::lobby::{Lobby, Turn};
use super::pace::Pace;
use super::{Outcome, Player, Scenario, Settings, Share, fraction};
use crate::dialects::{Dialect, Form, Heard, Seat, Units};
use crate::driver::gate::{Gate, Schedule};
use crate::driver::{Failure, Nanos, Opening, Outbox, Wake, Workload};
use crate::latency::Latency;
use std::sync::Arc;

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

/// The closed loop for long.
pub const SOAK: Scenario = Scenario {
    name: "soak",
    summary: "room for long: the server's memory, with --expect rss-growth<5%",
    ..SCENARIO
};

/// What makes a variant of the scenario.
#[derive(Default)]
struct Plan {
    idle: Option<Idle>,
    slow: Option<Slow>,
}

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
    Box::new(make(settings, share, gate, Plan::default()))
}

fn make(settings: &Settings, share: Share, gate: Arc<Gate>, plan: Plan) -> Rooms {
    let part = share.of(settings.rooms);
    let slow = plan.slow.as_ref().map_or(0, |slow| slow.per_room);
    let dialect = (settings.dialect.make)(settings);
    let room = |index: usize| {
        let seed = settings.seed.wrapping_add(index as u64);
        let books = Books::new(index, settings.members - slow, seed, settings.size);
        let books = if dialect.to_sender() { books } else { books.not_to_sender() };
        Room { index, books, pace: None, owed: 0 }
    };
    let rooms = part.map(room).collect();
    Rooms {
        settings: settings.clone(),
        lobby: Lobby::new(gate.clone(), settings.dialect.name),
        gate,
        dialect,
        rooms,
        plan,
        is_in: Vec::new(),
        failure: None,
        counted: (0, 0),
        scratch: Vec::new(),
        units: Units::default(),
        last: Latency::new("last", "from intended send to last member"),
        each: Latency::new("each", "from intended send to each member"),
        lag: Latency::new("lag", "from due to sent"),
    }
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
    plan: Plan,
    /// By connection: whether it is in its room.
    is_in: Vec<bool>,
    lobby: Lobby,
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
            self.lobby.ready(now);
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
        let Settings { rate, in_flight, seed, .. } = self.settings;
        if let Some(slow) = &mut self.plan.slow {
            slow.begin(schedule);
        }
        if self.plan.idle.is_some() {
            return;
        }
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
            let Some(due) = pace.take(schedule, now, &mut self.lag) else { break };
            self.send(room, due, out);
        }
        self.rooms[room].pace = Some(pace);
        pace.next(schedule)
    }

    fn run(&mut self, schedule: Schedule, now: Nanos, out: &mut dyn Outbox) -> Wake {
        let mut next = schedule.stop;
        for room in 0..self.rooms.len() {
            next = next.min(self.catch_up(room, schedule, now, out));
        }
        let conns = self.slow_conns();
        if let Some(slow) = &mut self.plan.slow {
            let sent_each = |room: usize| self.rooms[room].books.sent_count();
            next = next.min(slow.turn(now, sent_each, conns, out));
        }
        if next < schedule.stop || now < schedule.stop {
            return Wake::At(next);
        }
        if self.plan.idle.as_mut().is_some_and(|idle| !std::mem::replace(&mut idle.probed, true)) {
            // The last moment that counts.
            self.probe(schedule.stop - 1, out);
        }
        let settled = self.rooms.iter().all(|room| room.books.open_count() == 0);
        let done = settled || now > schedule.stop + DRAIN_NS;
        let conns = self.slow_conns();
        let Self { plan, rooms, .. } = self;
        match &mut plan.slow {
            Some(slow) if done => {
                if !settled {
                    // What the others get only because the slow are read again is no service.
                    rooms.iter_mut().for_each(|room| room.books.give_up());
                }
                let sent_each = |room: usize| rooms[room].books.sent_count();
                if slow.release(now, sent_each, conns, out) {
                    Wake::Finished
                } else {
                    Wake::At(now + IDLE_NS)
                }
            }
            None if done => Wake::Finished,
            _ => Wake::At(now + IDLE_NS),
        }
    }

    /// The connections of slow readers, in the order of their index.
    fn slow_conns(&self) -> impl Iterator<Item = usize> + use<> {
        let members = self.settings.members;
        let slow = self.plan.slow.as_ref().map_or(0, |slow| slow.per_room);
        let rooms = 0..self.rooms.len();
        rooms.flat_map(move |room| (members - slow..members).map(move |m| room * members + m))
    }

    /// The index of a connection among the slow readers, if it is one.
    fn slow_index(&self, conn: usize) -> Option<usize> {
        let (members, slow) = (self.settings.members, self.plan.slow.as_ref()?.per_room);
        let place = (conn % members).checked_sub(members - slow)?;
        Some(conn / members * slow + place)
    }

    /// What a slow reader gets is not in the books.
    fn slow_unit(&mut self, conn: usize, unit: &[u8], now: Nanos, out: &mut dyn Outbox) {
        let (seat, index) = (self.seat(conn), self.slow_index(conn).expect("asked before"));
        let heard = self.dialect.read(seat, unit, out);
        let running = self.lobby.running().is_some();
        let slow = self.plan.slow.as_mut().expect("it has an index");
        match heard {
            Heard::Ready => self.ready(conn, now),
            Heard::Text(text) => slow.took(index, &text, now),
            Heard::Refused(_) if running => slow.told(index, now),
            Heard::Refused(why) => {
                let what = format!("connection {conn} was refused: {why}");
                self.failure = Some(Failure::new(what));
            }
            Heard::Other => {}
        }
    }

    fn unit(&mut self, conn: usize, unit: &[u8], now: Nanos, out: &mut dyn Outbox) {
        let members = self.settings.members;
        let (room, member) = (conn / members, conn % members);
        if self.slow_index(conn).is_some() {
            return self.slow_unit(conn, unit, now, out);
        }
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
            Heard::Refused(why) if self.lobby.running().is_some() => {
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
        let Some(schedule) = self.lobby.running() else { return };
        if schedule.measures(due) {
            let time = now.saturating_sub(due);
            if whole {
                match &mut self.plan.slow {
                    Some(slow) if !slow.slows(due) => slow.before.record(time),
                    _ => self.last.record(time),
                }
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

    fn opening(&self) -> Opening {
        if self.plan.idle.is_some() { Opening::OnDemand } else { Opening::AtStart }
    }

    fn path(&self, conn: usize) -> Option<String> {
        self.dialect.path(self.seat(conn).room)
    }

    fn opened(&mut self, conn: usize, now: Nanos, out: &mut dyn Outbox) {
        self.is_in.resize(self.connection_count(), false);
        self.lobby.progress(now);
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
        if self.lobby.is_joining() {
            let what = format!("connection {conn} was lost while joining: {why}");
            self.failure = Some(Failure::new(what));
        } else if let Some(index) = self.slow_index(conn) {
            self.plan.slow.as_mut().expect("it has an index").lost(index, why);
        } else {
            let books = &mut self.rooms[conn / self.settings.members].books;
            books.fault(|| format!("room {room}: member {member} was lost: {why}"));
        }
    }

    fn turn(&mut self, now: Nanos, out: &mut dyn Outbox) -> Result<Wake, Failure> {
        let (sent, received) = std::mem::take(&mut self.counted);
        self.gate.count(sent, received);
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if let Some(idle) = &mut self.plan.idle
            && self.lobby.is_joining()
            && !idle.turn(self.lobby.ready_count(), now, out)
        {
            return self.lobby.patience(self.connection_count(), now);
        }
        match self.lobby.turn(self.connection_count(), now)? {
            Turn::Wait(wake) => Ok(wake),
            Turn::Begin(schedule) => {
                self.begin(schedule);
                Ok(Wake::At(now))
            }
            Turn::Run(schedule) => Ok(self.run(schedule, now, out)),
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
        if let Some(idle) = &self.plan.idle {
            idle.tell(&mut outcome);
        }
        if let Some(slow) = &self.plan.slow {
            outcome.latencies.push(slow.before.clone());
            slow.tell(|room| self.rooms[room].books.sent_count(), &self.last, &mut outcome);
        }
        outcome.disagreed = disagreed;
        let paced = self.settings.rate > 0.0 && self.plan.idle.is_none();
        outcome.lag = paced.then(|| self.lag.clone());
        outcome
    }
}
