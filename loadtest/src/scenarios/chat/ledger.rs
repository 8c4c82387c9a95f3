//! The books of one room: what was sent, what each member got, what the server promised. Pure.
//!
//! An event is the same bytes for every member. So it is parsed and checked once; for the other
//! members it is compared with the bytes already checked, which costs less than any parser.

use super::wire;
use crate::driver::Nanos;
use crate::latency::Latency;
use crate::order::{Arrival, Order};
use crate::scenarios::{Outcome, SIZE_MIN, fill};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};

/// Checked events remembered for the members that have yet to get them.
const CHECKED_MAX: usize = 4_096;

/// The distributions of all rooms of a thread.
#[derive(Clone, Debug)]
pub struct Meters {
    /// From intended send to the last member.
    pub last: Latency,
    /// From intended send to the server's `ok`.
    pub ack: Latency,
    /// From intended send to each member.
    pub each: Latency,
    /// Only messages due from here on are measured.
    pub from: Nanos,
}

impl Meters {
    /// Measures nothing until `from` is set.
    pub fn new() -> Self {
        Self {
            last: Latency::new("last", "from intended send to last member"),
            ack: Latency::new("ack", "from intended send to ack"),
            each: Latency::new("each", "from intended send to each member"),
            from: Nanos::MAX,
        }
    }
}

/// One message of ours.
#[derive(Clone, Copy, Debug)]
struct Sent {
    due: Nanos,
    /// Offset of its event; 0 while no member has it.
    o: u64,
    /// Offset that the `ok` named; 0 while there is none.
    acked: u64,
    deliveries: u32,
    refused: bool,
}

/// An event whose content has been checked.
#[derive(Debug)]
struct Checked {
    payload: Box<[u8]>,
    /// Which message of ours it is, if it is one.
    number: Option<u64>,
}

/// The books of one room.
#[derive(Debug)]
pub struct Ledger {
    /// Name of the room.
    pub room: String,
    /// `cid`s are this and the number of the message.
    cid_prefix: String,
    seed: u64,
    size: usize,
    sent: Vec<Sent>,
    /// `None` until the member has joined.
    members: Vec<Option<Order>>,
    /// Checked events with offsets from `checked_from` on, dense.
    checked: VecDeque<Checked>,
    checked_from: u64,
    /// Messages that are neither refused nor with everybody and acked.
    open_count: u64,
    outcome: Outcome,
    scratch: Vec<u8>,
}

impl Ledger {
    /// Empty books. Texts depend on `seed`; `cid_prefix` must be unique to room and run.
    pub fn new(room: String, cid_prefix: String, members: usize, seed: u64, size: usize) -> Self {
        assert!(members > 0);
        assert!(size >= SIZE_MIN);
        Self {
            room,
            cid_prefix,
            seed,
            size,
            sent: Vec::new(),
            members: vec![None; members],
            checked: VecDeque::new(),
            checked_from: 0,
            open_count: 0,
            outcome: Outcome::default(),
            scratch: Vec::new(),
        }
    }

    /// A member has joined when the room's top was `o`.
    pub fn joined(&mut self, member: usize, o: u64) {
        self.members[member] = Some(Order::new(o + 1));
    }

    /// The next message, due at `due`: appends its `send` frame to `out`, gives the sender.
    pub fn send(&mut self, due: Nanos, id_base: u64, out: &mut Vec<u8>) -> usize {
        let number = self.sent.len() as u64;
        self.sent.push(Sent { due, o: 0, acked: 0, deliveries: 0, refused: false });
        self.open_count += 1;
        self.scratch.clear();
        fill(&mut self.scratch, self.seed, number, self.size);
        let cid = format!("{}{number}", self.cid_prefix);
        wire::send(out, id_base + number, &self.room, &cid, &self.scratch);
        (number % self.members.len() as u64) as usize
    }

    /// The server's `ok` to message `number`.
    pub fn acked(&mut self, number: u64, d: &Value, now: Nanos, meters: &mut Meters) {
        let room = &self.room;
        let Some(sent) = self.sent.get_mut(number as usize) else {
            self.outcome.broken += 1;
            return self.outcome.find(|| format!("{room}: an ok for a message never sent"));
        };
        let o = d["o"].as_u64().unwrap_or(0);
        if o == 0 || sent.acked != 0 || sent.refused || d["dup"] == true {
            self.outcome.broken += 1;
            return self.outcome.find(|| format!("{room}: message {number} has a wrong ok: {d}"));
        }
        sent.acked = o;
        if sent.due >= meters.from {
            meters.ack.record(now.saturating_sub(sent.due));
        }
        self.open_count -= u64::from(sent.deliveries >= self.members.len() as u32);
    }

    /// The server's refusal of message `number`.
    pub fn refused(&mut self, number: u64, name: &str, msg: &str) {
        let room = &self.room;
        let Some(sent) = self.sent.get_mut(number as usize).filter(|sent| sent.acked == 0) else {
            self.outcome.broken += 1;
            return self.outcome.find(|| format!("{room}: a refusal for nothing: {name}"));
        };
        sent.refused = true;
        self.open_count -= 1;
        self.outcome.refused += 1;
        self.outcome.find(|| format!("{room}: message {number} was refused: {name} {msg}"));
    }

    /// Takes a frame that is byte for byte the checked event `member` must get next. `None` when it
    /// is anything else; otherwise whether the message is now with everybody.
    pub fn known(
        &mut self,
        member: usize,
        payload: &[u8],
        now: Nanos,
        meters: &mut Meters,
    ) -> Option<bool> {
        let next = self.members[member].as_ref()?.next();
        let at = next.checked_sub(self.checked_from)?;
        let checked = self.checked.get(usize::try_from(at).ok()?)?;
        if *checked.payload != *payload {
            return None;
        }
        let number = checked.number;
        Some(self.deliver(member, next, number, now, meters))
    }

    /// Takes a parsed event with its bytes; gives whether a message is now with everybody.
    pub fn event(
        &mut self,
        member: usize,
        (o, frame, payload): (u64, &Value, &[u8]),
        now: Nanos,
        meters: &mut Meters,
    ) -> bool {
        let number = self.check(o, frame);
        if self.checked.is_empty() {
            self.checked_from = o;
        }
        if o == self.checked_from + self.checked.len() as u64 {
            if self.checked.len() == CHECKED_MAX {
                self.checked.pop_front();
                self.checked_from += 1;
            }
            self.checked.push_back(Checked { payload: payload.into(), number });
        }
        self.deliver(member, o, number, now, meters)
    }

    /// Compares an event with what was sent; gives the number of our message, if it is one.
    fn check(&mut self, o: u64, frame: &Value) -> Option<u64> {
        let d = &frame["d"];
        if frame["t"] != "msg" {
            return None;
        }
        let number: u64 = d["cid"].as_str()?.strip_prefix(&self.cid_prefix)?.parse().ok()?;
        let room = &self.room;
        let Some(sent) = self.sent.get_mut(number as usize) else {
            self.outcome.corrupt += 1;
            self.outcome.find(|| format!("{room}: message {number} was never sent"));
            return None;
        };
        if sent.o != 0 && sent.o != o {
            self.outcome.duplicated += 1;
            let first = sent.o;
            self.outcome.find(|| format!("{room}: message {number} is at {first} and at {o}"));
            return None;
        }
        sent.o = o;
        self.scratch.clear();
        fill(&mut self.scratch, self.seed, number, self.size);
        if d["text"].as_str().map(str::as_bytes) != Some(&self.scratch) {
            self.outcome.corrupt += 1;
            self.outcome.find(|| format!("{room}: the text of message {number} was changed"));
        }
        Some(number)
    }

    fn deliver(
        &mut self,
        member: usize,
        o: u64,
        number: Option<u64>,
        now: Nanos,
        meters: &mut Meters,
    ) -> bool {
        let room = &self.room;
        // A session gets the events of a room only after the `ok` to its `join`.
        let Some(order) = &mut self.members[member] else {
            self.outcome.broken += 1;
            self.outcome.find(|| format!("{room}: member {member} got event {o} before its join"));
            return false;
        };
        let next = order.next();
        let arrival = order.arrive(o);
        if arrival != Arrival::InOrder {
            self.outcome
                .find(|| format!("{room}: member {member}: {arrival:?} event {o}, due was {next}"));
        }
        let Some(number) = number.filter(|_| arrival != Arrival::Duplicate) else { return false };
        let sent = &mut self.sent[number as usize];
        sent.deliveries += 1;
        let whole = sent.deliveries == self.members.len() as u32;
        if sent.due >= meters.from {
            let took = now.saturating_sub(sent.due);
            meters.each.record(took);
            if whole {
                meters.last.record(took);
            }
        }
        self.open_count -= u64::from(whole && sent.acked != 0);
        whole
    }

    /// A fault that concerns the room but no message.
    pub fn fault(&mut self, what: impl FnOnce() -> String) {
        self.outcome.broken += 1;
        self.outcome.find(what);
    }

    /// Whether every message is with everybody and acked, or refused.
    pub fn settled(&self) -> bool {
        self.open_count == 0
    }

    /// Messages that have an `ok`: offset to number.
    pub fn acks(&self) -> HashMap<u64, u64> {
        let acked = self.sent.iter().enumerate().filter(|(_, sent)| sent.acked != 0);
        acked.map(|(number, sent)| (sent.acked, number as u64)).collect()
    }

    /// Whether a message in a page of history is message `number` as it was sent.
    pub fn matches(&mut self, number: u64, d: &Value) -> bool {
        self.scratch.clear();
        fill(&mut self.scratch, self.seed, number, self.size);
        let cid = d["cid"].as_str().and_then(|cid| cid.strip_prefix(&self.cid_prefix));
        cid == Some(&number.to_string())
            && d["text"].as_str().map(str::as_bytes) == Some(&self.scratch)
    }

    /// Closes the books.
    pub fn outcome(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        let room = &self.room;
        let member_count = self.members.len() as u64;
        for (number, sent) in self.sent.iter().enumerate() {
            let deliveries = u64::from(sent.deliveries);
            if sent.refused {
                if deliveries > 0 {
                    outcome.broken += 1;
                    outcome.find(|| format!("{room}: message {number} was refused and delivered"));
                }
                continue;
            }
            outcome.expected += member_count;
            outcome.delivered += deliveries.min(member_count);
            if sent.acked == 0 {
                outcome.broken += 1;
                outcome.find(|| format!("{room}: message {number} got no ok"));
            } else if sent.o != 0 && sent.o != sent.acked {
                let (o, acked) = (sent.o, sent.acked);
                outcome.broken += 1;
                outcome.find(|| format!("{room}: message {number} acked as {acked}, came as {o}"));
            }
        }
        let holes = self.members.iter().flatten().map(Order::missing).sum::<u64>();
        for order in self.members.iter().flatten() {
            outcome.duplicated += order.duplicated;
            outcome.misordered += order.misordered;
        }
        // Holes that are no messages of ours: other events of the room that a member never got.
        outcome.broken += holes.saturating_sub(outcome.missing());
        outcome
    }
}
