//! `durable`: how many messages a second are acknowledged when each writer waits for its ack.
//!
//! One connection is one writer with a room of its own: it sends, waits for the `ok`, and sends
//! again. What an `ok` promises is the server's `log.ack`; beside a database with the same number
//! of writers this is a commit each. Events are not asked for (`echo:false`).

use super::chat::wire::{self, Heard};
use super::lobby::{Lobby, Turn};
use super::{Outcome, Player, Scenario, Settings, Share, fill};
use crate::driver::gate::Gate;
use crate::driver::{Failure, Nanos, Outbox, Wake, Workload};
use crate::latency::Latency;
use serde_json::json;
use std::sync::Arc;

/// How long acks may take after the last message was sent.
const DRAIN_NS: Nanos = 10_000_000_000;
/// How often to look at the gate and at the end.
const TICK_NS: Nanos = 2_000_000;

const ID_HELLO: u64 = 1;
const ID_JOIN: u64 = 2;
/// The `send` of message n has this id plus n.
const ID_SEND: u64 = 10;

/// The table's entry.
pub const SCENARIO: Scenario = Scenario {
    name: "durable",
    summary: "writers that each wait for the ack before they send again",
    path: |_| "/ws",
    protocol: |_| Some("ringpost.v1.json"),
    rate_default: 0.0,
    describe: |settings| format!("{} writers, {} B", settings.connections, settings.size),
    threads_max: |settings| settings.connections,
    share,
};

fn share(settings: &Settings, share: Share, gate: Arc<Gate>) -> Box<dyn Player> {
    let part = share.of(settings.connections);
    Box::new(Durable {
        settings: settings.clone(),
        lobby: Lobby::new(gate.clone(), "ringpost.v1.json"),
        gate,
        first: part.start,
        writers: part.map(|_| Writer::default()).collect(),
        failure: None,
        counted: (0, 0),
        scratch: (Vec::new(), Vec::new()),
        latency: Latency::new("ack", "from send to ack"),
        outcome: Outcome::default(),
    })
}

#[derive(Clone, Debug, Default)]
struct Writer {
    sent: u64,
    acked: u64,
    sent_at: Nanos,
    /// Offset of the last ack; the next must be above.
    o: u64,
    lost: bool,
}

struct Durable {
    settings: Settings,
    gate: Arc<Gate>,
    lobby: Lobby,
    /// Number of this thread's first writer among all.
    first: usize,
    writers: Vec<Writer>,
    failure: Option<Failure>,
    /// (sent, acked) since the gate was last told.
    counted: (u64, u64),
    scratch: (Vec<u8>, Vec<u8>),
    latency: Latency,
    outcome: Outcome,
}

impl Durable {
    fn room(&self, conn: usize) -> String {
        format!("durable-{}-{}", self.settings.tag, self.first + conn)
    }

    fn send(&mut self, conn: usize, now: Nanos, out: &mut dyn Outbox) {
        let room = self.room(conn);
        let writer = &mut self.writers[conn];
        let (frame, text) = (&mut self.scratch.0, &mut self.scratch.1);
        frame.clear();
        text.clear();
        fill(text, self.settings.seed, writer.sent, self.settings.size);
        let cid = format!("{}-{}", self.settings.tag, writer.sent);
        wire::send(frame, ID_SEND + writer.sent, &room, &cid, text);
        writer.sent += 1;
        writer.sent_at = now;
        self.counted.0 += 1;
        out.text(conn, frame);
    }

    fn acked(&mut self, conn: usize, id: u64, o: Option<u64>, now: Nanos, out: &mut dyn Outbox) {
        let name = self.first + conn;
        let writer = &mut self.writers[conn];
        let due = ID_SEND + writer.acked;
        let o = o.unwrap_or(0);
        if id != due || writer.acked == writer.sent || o <= writer.o {
            self.outcome.broken += 1;
            let last = writer.o;
            self.outcome
                .find(|| format!("writer {name}: ok {id} at {o}, due was {due} above {last}"));
            return;
        }
        writer.acked += 1;
        writer.o = o;
        self.counted.1 += 1;
        let Some(schedule) = self.lobby.running() else { return };
        if schedule.measures(writer.sent_at) {
            self.latency.record(now - writer.sent_at);
        }
        if now < schedule.stop {
            self.send(conn, now, out);
        }
    }

    fn ok(&mut self, conn: usize, id: u64, o: Option<u64>, now: Nanos, out: &mut dyn Outbox) {
        match id {
            ID_HELLO => {
                self.lobby.progress(now);
                let join = wire::join(ID_JOIN, &self.room(conn));
                out.text(conn, &join);
            }
            ID_JOIN => self.lobby.ready(now),
            id => self.acked(conn, id, o, now, out),
        }
    }

    fn refused(&mut self, conn: usize, name: &str, msg: &str) {
        let failure = Failure::new(format!("writer {conn} was refused: {name} {msg}"));
        self.failure = Some(failure.hint(
            "run the server with `--dev --set limits.sends_per_s=0 \
             --set limits.room_sends_per_s=0 --set limits.frames_per_s=0`",
        ));
    }
}

impl Workload for Durable {
    fn connection_count(&self) -> usize {
        self.writers.len()
    }

    fn opened(&mut self, conn: usize, now: Nanos, out: &mut dyn Outbox) {
        self.lobby.progress(now);
        let user = format!("durable-{}", self.first + conn);
        let hello = json!({"t": "hello", "id": ID_HELLO, "d": {"user": user, "echo": false}});
        out.text(conn, hello.to_string().as_bytes());
    }

    fn received(&mut self, conn: usize, payload: &[u8], now: Nanos, out: &mut dyn Outbox) {
        match wire::parse(payload) {
            Ok(Heard::Ok { id, d }) => self.ok(conn, id, d["o"].as_u64(), now, out),
            Ok(Heard::Refused { name, msg, .. }) => self.refused(conn, &name, &msg),
            Ok(Heard::Ping) => out.text(conn, wire::PONG),
            // The own events of joining, and whatever else may be left out.
            Ok(Heard::Event { .. } | Heard::Other) => {}
            Ok(heard @ (Heard::Gap { .. } | Heard::Bye(_))) => {
                self.outcome.broken += 1;
                self.outcome.find(|| format!("writer {conn} was told {heard:?}"));
            }
            Err(why) => {
                self.outcome.corrupt += 1;
                self.outcome.find(|| format!("writer {conn} got no frame of the protocol: {why}"));
            }
        }
    }

    fn lost(&mut self, conn: usize, why: &str, _now: Nanos) {
        self.writers[conn].lost = true;
        self.outcome.broken += 1;
        self.outcome.find(|| format!("writer {conn} was lost: {why}"));
    }

    fn turn(&mut self, now: Nanos, out: &mut dyn Outbox) -> Result<Wake, Failure> {
        let (sent, acked) = std::mem::take(&mut self.counted);
        self.gate.count(sent, acked);
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        match self.lobby.turn(self.writers.len(), now)? {
            Turn::Wait(wake) => Ok(wake),
            Turn::Begin(schedule) => {
                for conn in 0..self.writers.len() {
                    self.send(conn, now, out);
                }
                Ok(Wake::At(schedule.stop))
            }
            Turn::Run(schedule) if now < schedule.stop => Ok(Wake::At(schedule.stop)),
            Turn::Run(schedule) => {
                let settled = |writer: &Writer| writer.lost || writer.acked == writer.sent;
                let given_up = now > schedule.stop + DRAIN_NS;
                match given_up || self.writers.iter().all(settled) {
                    true => Ok(Wake::Finished),
                    false => Ok(Wake::At(now + TICK_NS)),
                }
            }
        }
    }
}

impl Player for Durable {
    fn outcome(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        for writer in &self.writers {
            outcome.expected += writer.sent;
            outcome.delivered += writer.acked;
        }
        outcome.latencies.push(self.latency.clone());
        outcome
    }
}
