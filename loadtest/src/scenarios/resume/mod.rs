//! `resume`: everybody loses the connection at the same moment and comes back, again and again,
//! while the rooms go on. Each member must get every event once, in order, as if nothing had
//! happened.
//!
//! In each room the first member stays and sends, at the rate; the others hang up without a word
//! and come back at once with the secret of their session and their position in the room
//! (docs/PROTOCOL.md: `hello`, `join`). A member is current again when it has all that the room had
//! when it came back. What is not replayed because it is too much is paged from history, and
//! counted.

pub mod paging;

use self::paging::Paging;
use super::chat::{limits, wire, wire::Heard};
use super::lobby::{Lobby, Turn};
use super::pace::Pace;
use super::{Outcome, Player, Scenario, Settings, Share, fill, fraction, number_of};
use crate::driver::gate::{Gate, Schedule};
use crate::driver::{Failure, Nanos, Opening, Outbox, Wake, Workload};
use crate::latency::{Latency, human};
use crate::order::{Arrival, Order};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long deliveries may take after the last message was due.
const DRAIN_NS: Nanos = 5_000_000_000;
/// How often to look whether something has changed while nothing is due.
const TICK_NS: Nanos = 2_000_000;
/// Who could not come back tries again after this long.
const RETRY_NS: Nanos = 100_000_000;

const ID_HELLO: u64 = 1;
const ID_HISTORY: u64 = 2;
/// The `send` of message n has this id plus n.
const ID_SEND: u64 = 10;

/// The table's entry.
pub const SCENARIO: Scenario = Scenario {
    name: "resume",
    summary: "all drop at once --every so often and resume: every event exactly once",
    path: |_| "/ws",
    protocol: |_| Some("ringpost.v1.json"),
    rate_default: 10.0,
    describe: |settings| {
        let Settings { rooms, members, rate, every, .. } = settings;
        format!(
            "{} sessions, {rooms} rooms, {} msg/s offered, all drop every {} s",
            rooms * members,
            rate * *rooms as f64,
            every.as_secs_f64()
        )
    },
    threads_max: |settings| settings.rooms,
    share,
};

fn share(settings: &Settings, share: Share, gate: Arc<Gate>) -> Box<dyn Player> {
    let part = share.of(settings.rooms);
    Box::new(Resume {
        settings: settings.clone(),
        first: part.start,
        members: (0..part.len() * settings.members).map(|_| Member::default()).collect(),
        rooms: part.map(|_| Room::default()).collect(),
        lobby: Lobby::new(gate.clone(), "ringpost.v1.json"),
        gate,
        opened_first: false,
        storm_at: Nanos::MAX,
        storm_count: 0,
        away_count: 0,
        whole_ns_max: 0,
        history_limit: 50,
        paged: (0, 0),
        reasons: BTreeMap::new(),
        failure: None,
        counted: (0, 0),
        scratch: (Vec::new(), Vec::new()),
        current: Latency::new("current", "from the drop until it has everything again"),
        each: Latency::new("each", "from intended send to each member"),
        lag: Latency::new("lag", "from due to sent"),
        outcome: Outcome::default(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// Never was in its room.
    #[default]
    New,
    /// In its room.
    In,
    /// Lost its connection then, and is on the way back.
    Away(Nanos),
    /// Is in its room again and gets what it missed, up to this offset.
    Catching(Nanos, u64),
}

/// One session, through all its connections.
#[derive(Default)]
struct Member {
    state: State,
    /// Whether it has its place in the room: of no use before.
    order: Order,
    epoch: String,
    secret: String,
    /// When to try again.
    retry_at: Option<Nanos>,
    /// What was not replayed, while it is fetched.
    paging: Option<Paging>,
}

#[derive(Default)]
struct Room {
    pace: Option<Pace>,
    /// When message n was due.
    due: Vec<Nanos>,
    /// The offset of message n, as the first who got it saw it.
    offsets: BTreeMap<u64, u64>,
}

struct Resume {
    settings: Settings,
    /// Number of this thread's first room among all.
    first: usize,
    rooms: Vec<Room>,
    members: Vec<Member>,
    gate: Arc<Gate>,
    lobby: Lobby,
    opened_first: bool,
    /// When all drop next.
    storm_at: Nanos,
    storm_count: u64,
    /// Members that are not current.
    away_count: usize,
    /// The longest time until all were current.
    whole_ns_max: Nanos,
    /// Messages on a page of history.
    history_limit: u64,
    /// (events, pages) that were fetched from history.
    paged: (u64, u64),
    /// Connections that could not be opened again, by reason.
    reasons: BTreeMap<String, u64>,
    failure: Option<Failure>,
    /// (sent, received) since the gate was last told.
    counted: (u64, u64),
    /// (frame, text).
    scratch: (Vec<u8>, Vec<u8>),
    current: Latency,
    each: Latency,
    lag: Latency,
    outcome: Outcome,
}

impl Resume {
    fn room_name(&self, conn: usize) -> String {
        format!("resume-{}-{}", self.settings.tag, self.first + conn / self.settings.members)
    }

    fn fault(&mut self, what: impl FnOnce() -> String) {
        self.outcome.broken += 1;
        self.outcome.find(what);
    }

    fn send(&mut self, room: usize, due: Nanos, out: &mut dyn Outbox) {
        let conn = room * self.settings.members;
        let name = self.room_name(conn);
        let number = self.rooms[room].due.len() as u64;
        let (frame, text) = (&mut self.scratch.0, &mut self.scratch.1);
        frame.clear();
        text.clear();
        fill(text, self.settings.seed.wrapping_add(room as u64), number, self.settings.size);
        let cid = format!("{}-{number}", self.settings.tag);
        wire::send(frame, ID_SEND + number, &name, &cid, text);
        self.rooms[room].due.push(due);
        self.outcome.expected += self.settings.members as u64;
        self.counted.0 += 1;
        out.text(conn, frame);
    }

    fn begin(&mut self, schedule: Schedule) {
        for (index, room) in self.rooms.iter_mut().enumerate() {
            let phase = fraction(self.settings.seed, (self.first + index) as u64);
            room.pace = Some(Pace::new(schedule.start, self.settings.rate, phase));
        }
        // Half a second for the rooms to begin, or less in a short run.
        let every = self.settings.every.as_nanos() as Nanos;
        self.storm_at = schedule.measure + every.min(500_000_000);
    }

    /// Sends what is due in one room; gives its next due time.
    fn catch_up(
        &mut self,
        room: usize,
        schedule: Schedule,
        now: Nanos,
        out: &mut dyn Outbox,
    ) -> Nanos {
        let mut pace = self.rooms[room].pace.expect("set at the begin");
        while let Some(due) = pace.take(schedule, now, &mut self.lag) {
            self.send(room, due, out);
        }
        self.rooms[room].pace = Some(pace);
        pace.next(schedule)
    }

    /// Everybody but the senders hangs up and comes back.
    fn storm(&mut self, now: Nanos, out: &mut dyn Outbox) {
        self.storm_count += 1;
        for (conn, member) in self.members.iter_mut().enumerate() {
            if conn % self.settings.members == 0 || member.state != State::In {
                continue;
            }
            member.state = State::Away(now);
            self.away_count += 1;
            out.hang_up(conn);
            out.open(conn);
        }
    }

    fn run(&mut self, schedule: Schedule, now: Nanos, out: &mut dyn Outbox) -> Wake {
        let mut next = schedule.stop;
        for room in 0..self.rooms.len() {
            next = next.min(self.catch_up(room, schedule, now, out));
        }
        if now >= self.storm_at {
            // Whoever is late is not dropped again; the next storm waits until all are back.
            if self.away_count == 0 {
                self.storm(now, out);
            }
            self.storm_at = match now + self.settings.every.as_nanos() as Nanos {
                at if at < schedule.stop => at,
                _ => Nanos::MAX,
            };
        }
        for (conn, member) in self.members.iter_mut().enumerate() {
            if member.retry_at.is_some_and(|at| at <= now) {
                member.retry_at = None;
                out.open(conn);
            }
        }
        if now < schedule.stop {
            let tick = if self.away_count > 0 { now + 10 * TICK_NS } else { Nanos::MAX };
            return Wake::At(next.min(self.storm_at).min(tick));
        }
        let settled = self.outcome.delivered >= self.outcome.expected && self.away_count == 0;
        match settled || now > schedule.stop + DRAIN_NS {
            true => Wake::Finished,
            false => Wake::At(now + TICK_NS),
        }
    }

    /// The answer to a `hello`, the first or a later one.
    fn welcomed(&mut self, conn: usize, d: &Value, now: Nanos, out: &mut dyn Outbox) {
        let name = self.room_name(conn);
        let (told, member) = (&d["rooms"][&name], &mut self.members[conn]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let Some(top) = told["o"].as_u64() else {
            let what = format!("session {conn} could not join its room: {told}");
            return self.failure = Some(Failure::new(what));
        };
        let epoch = text(&told["e"]);
        self.history_limit = d["limits"]["history"].as_u64().unwrap_or(50).max(1);
        member.secret = text(&d["resume"]);
        self.lobby.progress(now);
        let State::Away(left_at) = member.state else {
            // With one sender per room, which never pauses, only its own share matters.
            let settings = Settings { members: 1, ..self.settings.clone() };
            if let Err(failure) = limits::allow(&d["limits"], &settings)
                && conn.is_multiple_of(self.settings.members)
            {
                self.failure = Some(failure);
            }
            member.epoch = epoch;
            member.order = Order::new(top + 1);
            member.state = State::In;
            self.lobby.ready(now);
            return;
        };
        member.state = State::Catching(left_at, top);
        let had = member.order.next();
        // Nothing has crashed: whatever was seen is still true.
        let known = told["back_to"].is_null() && epoch == member.epoch;
        member.epoch = epoch;
        if !known {
            member.order = Order::new(top + 1);
            self.fault(|| {
                format!("session {conn} came back at {had} and was not given what follows: {told}")
            });
        } else if told["recovered"] == false {
            self.page(conn, top, out);
        }
        self.caught_up(conn, now);
    }

    /// Fetches what lies between what a session has and what comes live, which is beyond `to`.
    fn page(&mut self, conn: usize, to: u64, out: &mut dyn Outbox) {
        let member = &mut self.members[conn];
        match &mut member.paging {
            Some(paging) => paging.extend(to),
            None => {
                member.paging = Some(Paging::new(member.order.next() - 1, to));
                self.ask(conn, out);
            }
        }
    }

    /// Asks for the next page, or goes on with what came live.
    fn ask(&mut self, conn: usize, out: &mut dyn Outbox) {
        let Some(paging) = &self.members[conn].paging else { return };
        if let Some(after) = paging.next() {
            let name = self.room_name(conn);
            out.text(conn, &wire::history(ID_HISTORY, &name, after, self.history_limit));
            return;
        }
        let paging = self.members[conn].paging.take();
        for (o, frame, at) in paging.map(Paging::into_held).unwrap_or_default() {
            self.take(conn, o, &frame, at);
        }
    }

    /// A page has come.
    fn paged(&mut self, conn: usize, d: &Value, now: Nanos, out: &mut dyn Outbox) {
        let Some(paging) = &mut self.members[conn].paging else { return };
        let events = paging.page(d);
        self.paged.0 += events.len() as u64;
        self.paged.1 += 1;
        for (o, frame) in events {
            self.take(conn, o, &frame, now);
        }
        self.ask(conn, out);
    }

    /// Looks whether a member that is back has everything by now.
    fn caught_up(&mut self, conn: usize, now: Nanos) {
        let member = &mut self.members[conn];
        let State::Catching(left_at, top) = member.state else { return };
        if member.order.next() <= top {
            return;
        }
        member.state = State::In;
        self.away_count -= 1;
        self.current.record(now - left_at);
        if self.away_count == 0 {
            self.whole_ns_max = self.whole_ns_max.max(now - left_at);
        }
    }

    /// A live event, or one that is replayed.
    fn event(&mut self, conn: usize, o: u64, frame: Value, now: Nanos) {
        match &mut self.members[conn].paging {
            Some(paging) => paging.hold(o, frame, now),
            None => self.take(conn, o, &frame, now),
        }
    }

    fn take(&mut self, conn: usize, o: u64, frame: &Value, now: Nanos) {
        let room = conn / self.settings.members;
        let member = &mut self.members[conn];
        let next = member.order.next();
        let arrival = member.order.arrive(o);
        if arrival != Arrival::InOrder {
            self.outcome.find(|| format!("session {conn}: {arrival:?} event {o}, due was {next}"));
        }
        if frame["t"] == "msg" {
            let text = frame["d"]["text"].as_str().unwrap_or_default().as_bytes();
            let known = self.rooms[room].due.len() as u64;
            let number = number_of(text).filter(|number| *number < known);
            self.scratch.1.clear();
            let seed = self.settings.seed.wrapping_add(room as u64);
            fill(&mut self.scratch.1, seed, number.unwrap_or(0), self.settings.size);
            let place = number.map(|number| *self.rooms[room].offsets.entry(number).or_insert(o));
            if self.scratch.1 != text || place != Some(o) {
                self.outcome.corrupt += 1;
                self.outcome.find(|| format!("session {conn}: event {o} is not what was sent"));
            }
            if arrival != Arrival::Duplicate {
                self.outcome.delivered += 1;
                self.counted.1 += 1;
                let due = number.map(|number| self.rooms[room].due[number as usize]);
                if let (Some(schedule), Some(due)) = (self.lobby.running(), due)
                    && schedule.measures(due)
                {
                    self.each.record(now.saturating_sub(due));
                }
            }
        }
        self.caught_up(conn, now);
    }
}

impl Workload for Resume {
    fn connection_count(&self) -> usize {
        self.members.len()
    }

    fn opening(&self) -> Opening {
        Opening::OnDemand
    }

    fn opened(&mut self, conn: usize, now: Nanos, out: &mut dyn Outbox) {
        self.lobby.progress(now);
        let name = self.room_name(conn);
        let user = self.first * self.settings.members + conn;
        let member = &mut self.members[conn];
        // What was held is told again.
        member.paging = None;
        let mut d = json!({"user": format!("load-{user}"), "client": "ringpost-load", "rooms": {}});
        d["rooms"][&name] = json!({});
        if member.state != State::New {
            d["resume"] = member.secret.clone().into();
            d["rooms"][&name] = json!({"e": member.epoch, "o": member.order.next() - 1});
        }
        let hello = json!({"t": "hello", "id": ID_HELLO, "d": d}).to_string();
        out.text(conn, hello.as_bytes());
    }

    fn received(&mut self, conn: usize, payload: &[u8], now: Nanos, out: &mut dyn Outbox) {
        match wire::parse(payload) {
            Ok(Heard::Ok { id: ID_HELLO, d }) => self.welcomed(conn, &d, now, out),
            Ok(Heard::Ok { id: ID_HISTORY, d }) => self.paged(conn, &d, now, out),
            Ok(Heard::Event { o, frame }) => self.event(conn, o, frame, now),
            Ok(Heard::Ping) => out.text(conn, wire::PONG),
            Ok(Heard::Refused { id, name, msg, .. }) => {
                let what = format!("session {conn} was told {name} {msg}");
                match id {
                    Some(ID_HELLO) => self.failure = Some(Failure::new(what)),
                    _ => self.fault(|| what),
                }
            }
            Ok(Heard::Gap { to }) => self.page(conn, to, out),
            Ok(Heard::Bye(why)) => self.fault(|| format!("session {conn} was sent away: {why}")),
            Ok(Heard::Ok { .. } | Heard::Other) => {}
            Err(why) => self.fault(|| format!("session {conn} got no frame: {why}")),
        }
    }

    fn lost(&mut self, conn: usize, why: &str, now: Nanos) {
        match self.members[conn].state {
            State::New => {
                let what = format!("session {conn} was lost while joining: {why}");
                self.failure = Some(Failure::new(what));
            }
            // The server may be busy with all the others: try again.
            State::Away(_) => {
                *self.reasons.entry(why.to_string()).or_default() += 1;
                self.members[conn].retry_at = Some(now + RETRY_NS);
            }
            State::In | State::Catching(..) => {
                self.fault(|| format!("session {conn} was lost: {why}"));
            }
        }
    }

    fn turn(&mut self, now: Nanos, out: &mut dyn Outbox) -> Result<Wake, Failure> {
        let (sent, received) = std::mem::take(&mut self.counted);
        self.gate.count(sent, received);
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if !std::mem::replace(&mut self.opened_first, true) {
            (0..self.members.len()).for_each(|conn| out.open(conn));
            self.lobby.progress(now);
        }
        match self.lobby.turn(self.members.len(), now)? {
            Turn::Wait(wake) => Ok(wake),
            Turn::Begin(schedule) => {
                self.begin(schedule);
                Ok(Wake::At(now))
            }
            Turn::Run(schedule) => Ok(self.run(schedule, now, out)),
        }
    }
}

impl Player for Resume {
    fn outcome(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        for (conn, member) in self.members.iter().enumerate() {
            outcome.duplicated += member.order.duplicated;
            outcome.misordered += member.order.misordered;
            if member.order.missing() > 0 {
                let count = member.order.missing();
                outcome.find(|| format!("session {conn} never got {count} events"));
            }
            if !matches!(member.state, State::In) {
                outcome.broken += 1;
                outcome.find(|| format!("session {conn} was not current at the end"));
            }
        }
        for (why, count) in &self.reasons {
            outcome.lines.push(("Failures", format!("{count} × {why}; tried again")));
        }
        let members = self.members.len() - self.rooms.len();
        if let (events @ 1.., pages) = self.paged {
            let text = format!("{events} events in {pages} pages of history, not replayed");
            outcome.lines.push(("Paged", text));
        }
        outcome.figures.push(("paged_events".into(), self.paged.0 as f64));
        let (storms, whole) = (self.storm_count, human(self.whole_ns_max));
        let text = format!("{storms} of {members} sessions each, all current within {whole}");
        outcome.lines.push(("Storms", text));
        outcome.figures.push(("storms".into(), storms as f64));
        outcome.figures.push(("all_current_ms_max".into(), self.whole_ns_max as f64 / 1e6));
        outcome.latencies = vec![self.current.clone(), self.each.clone()];
        outcome.lag = Some(self.lag.clone());
        outcome
    }
}
