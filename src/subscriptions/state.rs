//! What each subscription waits for, and what comes next. Pure: time, log and answers are given.

use super::definition::Spec;
use super::memory::{self, Memory};
use super::source::{Found, Source};
use crate::base::clock::Now;
use crate::base::limits::{
    SUBSCRIPTION_BATCH_BYTES, SUBSCRIPTION_DEAD_MAX, SUBSCRIPTION_FLIGHTS_MAX,
};
use crate::base::network::Network;
use crate::egress::{Got, Miss, Request};
use crate::registry::Definition;
use crate::registry::sign::signed_headers;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// How long a receiver may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a receiver's answer that are read, and thrown away.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// How often a cursor that moves is written down: after a crash so much is told again.
const SAVE_EVERY_MS: u64 = 1_000;
/// After this the log is looked at again when it could not be read, or egress was full.
const LATER_MS: u64 = 1_000;
/// A receiver that fails so often in a row is worth a remark.
const REMARK_ATTEMPTS: u32 = 3;
/// A `Retry-After` beyond this is taken for this.
const RETRY_AFTER_MAX_S: u32 = 86_400;

/// Of a dead letter that was to be told again.
const UNREADABLE: &str = "the log cannot be read there now; replay it again later";

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Deed {
    /// Post something; the answer comes to [`Subscriptions::answered`].
    Call {
        /// Names the call.
        ticket: u64,
        /// What.
        request: Request,
    },
    /// Write a file of a subscription, so that it is on the disk before what follows.
    Save {
        /// Whose.
        name: Arc<str>,
        /// Which.
        file: File,
        /// What it is to hold.
        text: String,
    },
    /// Remove all files of a subscription.
    Remove {
        /// Whose.
        name: Arc<str>,
    },
    /// A line for standard error.
    Remark(String),
}

/// The files of a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum File {
    /// How far it is.
    Cursor,
    /// Its dead letters.
    Dead,
}

impl File {
    /// (value, name in the subscription's directory)
    pub const ALL: [(Self, &'static str); 2] =
        [(Self::Cursor, "cursor.json"), (Self::Dead, "dead.json")];
}

/// A batch that was given up: its place in the log, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dead {
    /// Its number within the subscription.
    pub id: u64,
    /// The part of the log that it was made of.
    pub from: u64,
    /// Behind that part.
    pub next: u64,
    /// Events in it.
    pub event_count: usize,
    /// When it was given up, ms since 1970.
    pub ts_ms: i64,
    /// What the last attempt met.
    pub error: String,
}

/// How a subscription stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Of its definition.
    pub version: u64,
    /// `active`, `retrying`, `disabled`, `gone` (the receiver said 410) or `invalid`.
    pub state: &'static str,
    /// Everything in the log before this was told, or is a dead letter.
    pub cursor: u64,
    /// Records of the log that were not looked at yet.
    pub lag_records: u64,
    /// Age of the oldest event that was found and not taken yet, ms.
    pub lag_ms: u64,
    /// Events that the receiver took, since the server started.
    pub event_count: u64,
    /// Posts that failed since then.
    pub failure_count: u64,
    /// Failures in a row.
    pub attempt_count: u32,
    /// Until the next attempt, ms.
    pub next_attempt_ms: Option<u64>,
    /// What the last failure was; never an address or a text of a message.
    pub last_error: Option<String>,
    /// When the receiver last took something, ms since 1970.
    pub last_taken_ms: Option<i64>,
    /// Dead letters.
    pub dead_count: usize,
}

impl Standing {
    /// What the operator should know of it; none while all is well.
    pub fn remark(&self) -> Option<String> {
        let (name, error) = (&self.name, self.last_error.as_deref().unwrap_or("unknown"));
        match self.state {
            "gone" => Some(format!("subscription {name}: off, its receiver said 410 Gone")),
            "invalid" => Some(format!("subscription {name}: its definition is not valid: {error}")),
            "retrying" if self.attempt_count >= REMARK_ATTEMPTS => {
                Some(format!("subscription {name}: its receiver fails: {error}"))
            }
            _ => None,
        }
    }
}

/// All subscriptions.
#[derive(Debug)]
pub struct Subscriptions {
    networks: Vec<Network>,
    begin_seq: u64,
    all: BTreeMap<Arc<str>, Subscription>,
    flights: BTreeMap<u64, Arc<str>>,
    /// The first that could not begin for the number of those.
    held_up: Option<Arc<str>>,
    last_ticket: u64,
    random: u64,
}

#[derive(Debug)]
struct Subscription {
    version: u64,
    /// Why it cannot be told anything, or what it wants.
    spec: Result<Spec, String>,
    memory: Memory,
    phase: Phase,
    /// Dead letters that are to be told again, oldest demand first.
    replays: VecDeque<u64>,
    /// Whether the next post is a replay, should both be due.
    is_replays_turn: bool,
    is_dirty: bool,
    saved_ms: u64,
    oldest_ts_ms: Option<i64>,
    event_count: u64,
    failure_count: u64,
    last_error: Option<String>,
    last_taken_ms: Option<i64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// Looks for events.
    Idle,
    /// Looks again then, mono ms.
    Later(u64),
    /// Has some, and waits for more.
    Collecting(Wait),
    /// A post is under way.
    Flying(Flight),
}

/// What was found of a batch that may fill yet. Its texts stay in the log, which is read once more
/// when they are told: so many that wait cost no memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wait {
    /// Ends then, mono ms.
    by_ms: u64,
    /// Looked at up to there.
    next: u64,
    event_count: usize,
    bytes: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Flight {
    ticket: u64,
    next: u64,
    event_count: usize,
    /// The dead letter that is told again.
    replay: Option<u64>,
}

/// Events of one post.
#[derive(Default)]
struct Batch {
    events: Vec<String>,
    bytes: usize,
    /// Number of the first event.
    first: u64,
    oldest_ts_ms: Option<i64>,
}

impl Batch {
    fn push(&mut self, found: Found) {
        if self.events.is_empty() {
            self.first = found.seq;
            self.oldest_ts_ms = found.ts_ms;
        }
        self.bytes += found.json.len() + 1;
        self.events.push(found.json);
    }
}

impl Subscriptions {
    /// None yet. `networks` may be called although they are not public; `seed` spreads retries;
    /// `begin_seq` is the first record that was written since the start of the server.
    pub fn new(networks: Vec<Network>, seed: u64, begin_seq: u64) -> Self {
        Self {
            networks,
            begin_seq,
            all: BTreeMap::new(),
            flights: BTreeMap::new(),
            held_up: None,
            last_ticket: 0,
            random: seed | 1,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Takes a definition, new or changed; an empty body removes it. `saved` gives what a file of
    /// the subscription holds, for one that is not known here yet.
    pub fn define(
        &mut self,
        now: Now,
        definition: &Definition,
        source: &mut dyn Source,
        saved: &dyn Fn(&str, File) -> Option<String>,
        out: &mut Vec<Deed>,
    ) {
        let name = &definition.name;
        if definition.body.is_empty() {
            self.all.remove(name);
            out.push(Deed::Remove { name: Arc::clone(name) });
            return;
        }
        let spec = Spec::parse(&definition.body, &self.networks);
        let spec = spec.map_err(|fault| {
            out.push(Deed::Remark(format!("subscription {name} is not valid: {fault}")));
            fault.to_string()
        });
        if let Some(known) = self.all.get_mut(name) {
            if definition.version > known.version {
                known.change(definition.version, spec);
            }
            return;
        }
        let mut memory = Memory::read(saved(name, File::Cursor), saved(name, File::Dead));
        let is_new = memory.is_none();
        // What is saved is of a former start. What that one never synced may be gone after a crash
        // of the machine, and its numbers are given again.
        let is_cut = memory.as_mut().is_some_and(|memory| memory.cut(self.begin_seq));
        let mut memory = memory.unwrap_or_else(|| {
            let is_from_start = spec.as_ref().is_ok_and(|spec| spec.is_from_start);
            let cursor =
                if is_from_start { source.begin() } else { source.since(definition.ts_us) };
            Memory { cursor, version: definition.version, ..Memory::default() }
        });
        if memory.version < definition.version {
            memory.renew(definition.version);
        }
        let wait_ms = memory.retry_at_ms.map(|at_ms| at_ms.saturating_sub(now.wall_ms()).max(0));
        let phase = wait_ms.map_or(Phase::Idle, |wait| Phase::Later(now.mono_ms() + wait as u64));
        let fresh = Subscription {
            version: definition.version,
            spec,
            memory,
            phase,
            replays: VecDeque::new(),
            is_replays_turn: false,
            is_dirty: is_new || is_cut,
            // At once.
            saved_ms: 0,
            oldest_ts_ms: None,
            event_count: 0,
            failure_count: 0,
            last_error: None,
            last_taken_ms: None,
        };
        if is_cut {
            let words = "the log lost what it was told last; it goes on with what came after";
            out.push(Deed::Remark(format!("subscription {name}: {words}")));
            fresh.save_dead(name, out);
        }
        self.all.insert(Arc::clone(name), fresh);
    }

    /// Begins what is due, and writes down what changed.
    pub fn turn(&mut self, now: Now, source: &mut dyn Source, out: &mut Vec<Deed>) {
        // Whoever had to wait for others comes first now.
        let first = self.held_up.take().unwrap_or_else(|| "".into());
        let halves = [
            (Bound::Included(&*first), Bound::Unbounded),
            (Bound::Unbounded, Bound::Excluded(&*first)),
        ];
        for half in halves {
            for (name, subscription) in self.all.range_mut::<str, _>(half) {
                if self.flights.len() >= SUBSCRIPTION_FLIGHTS_MAX {
                    self.held_up.get_or_insert_with(|| Arc::clone(name));
                } else if let Some((flight, request)) =
                    subscription.next(name, now, source, self.last_ticket + 1, out)
                {
                    self.last_ticket = flight.ticket;
                    self.flights.insert(flight.ticket, Arc::clone(name));
                    out.push(Deed::Call { ticket: flight.ticket, request });
                    subscription.phase = Phase::Flying(flight);
                }
                subscription.save(name, now.mono_ms(), false, out);
            }
        }
    }

    /// What became of a post.
    pub fn answered(
        &mut self,
        now: Now,
        ticket: u64,
        result: &Result<Got, Miss>,
        out: &mut Vec<Deed>,
    ) {
        let Some(name) = self.flights.remove(&ticket) else { return };
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let random = self.random;
        // Removed or changed meanwhile: what it asked is nobody's business now.
        let Some(subscription) = self.all.get_mut(&name) else { return };
        match &subscription.phase {
            Phase::Flying(flight) if flight.ticket == ticket => {
                let flight = flight.clone();
                subscription.phase = Phase::Idle;
                subscription.land(&name, now, flight, result, random, out);
            }
            _ => {}
        }
    }

    /// Egress did not take the call: it is made again soon, and does not count as an attempt.
    pub fn refused(&mut self, now: Now, ticket: u64) {
        let Some(name) = self.flights.remove(&ticket) else { return };
        let Some(subscription) = self.all.get_mut(&name) else { return };
        if matches!(&subscription.phase, Phase::Flying(flight) if flight.ticket == ticket) {
            subscription.phase = Phase::Later(now.mono_ms() + LATER_MS);
        }
    }

    /// Tells dead letters again: those with these numbers, or all when none is given. Gives how
    /// many there are to tell; `None` when there is no such subscription.
    pub fn replay(&mut self, name: &str, ids: &[u64]) -> Option<usize> {
        let subscription = self.all.get_mut(name)?;
        let dead = subscription.memory.dead.iter().map(|dead| dead.id);
        let wanted = |id: &u64| ids.is_empty() || ids.contains(id);
        let fresh = |id: &u64| wanted(id) && !subscription.replays.contains(id);
        let fresh: Vec<u64> = dead.filter(fresh).collect();
        subscription.replays.extend(&fresh);
        Some(fresh.len())
    }

    /// The dead letters of a subscription, oldest first; `None` when there is no such one.
    pub fn dead(&self, name: &str) -> Option<Vec<Dead>> {
        Some(self.all.get(name)?.memory.dead.clone())
    }

    /// How each stands, in a log that ends there.
    pub fn standings(&self, now: Now, end: u64) -> Vec<Standing> {
        let standing = |(name, subscription): (&Arc<str>, &Subscription)| {
            subscription.standing(name, now, end)
        };
        self.all.iter().map(standing).collect()
    }

    /// When something is due by the clock alone, mono ms; what comes into the log is not.
    pub fn deadline_ms(&self) -> Option<u64> {
        let due = |subscription: &Subscription| match subscription.phase {
            Phase::Later(at_ms) => Some(at_ms),
            Phase::Collecting(wait) => Some(wait.by_ms),
            Phase::Idle | Phase::Flying(_) => None,
        };
        self.all.values().filter_map(due).min()
    }

    /// Whether the next turn has something to look at already.
    pub fn have_work(&self, end: u64) -> bool {
        let is_behind = |subscription: &Subscription| {
            let idle = subscription.phase == Phase::Idle && subscription.is_told();
            idle && (subscription.memory.cursor < end || !subscription.replays.is_empty())
        };
        self.all.values().any(is_behind)
    }

    /// Whether any may be told something that comes into the log.
    pub fn are_listening(&self) -> bool {
        self.all.values().any(Subscription::is_told)
    }

    /// Whether an answer is to come.
    pub fn are_flying(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Writes down what changed: the server stops.
    pub fn flush(&mut self, now: Now, out: &mut Vec<Deed>) {
        for (name, subscription) in &mut self.all {
            subscription.save(name, now.mono_ms(), true, out);
        }
    }
}

impl Subscription {
    fn is_told(&self) -> bool {
        self.memory.gone.is_none() && self.spec.as_ref().is_ok_and(|spec| spec.is_enabled)
    }

    fn change(&mut self, version: u64, spec: Result<Spec, String>) {
        self.version = version;
        self.spec = spec;
        // A post under way is forgotten: it may be told again, by the new rules.
        self.phase = Phase::Idle;
        self.memory.renew(version);
        self.is_dirty = true;
    }

    /// The next post, if one is due.
    fn next(
        &mut self,
        name: &Arc<str>,
        now: Now,
        source: &mut dyn Source,
        ticket: u64,
        out: &mut Vec<Deed>,
    ) -> Option<(Flight, Request)> {
        if !self.is_told() {
            return None;
        }
        let replay = self.replays.front().copied();
        let is_due = match self.phase {
            Phase::Flying(_) => return None,
            Phase::Later(at_ms) => now.mono_ms() >= at_ms,
            Phase::Idle | Phase::Collecting(_) => true,
        };
        // A receiver that fails is not asked more often for a replay.
        if !is_due {
            return None;
        }
        let (batch, next, replay) = match replay {
            Some(id) if self.is_replays_turn => self.collect_dead(name, id, source, out)?,
            _ => match self.collect(now, source) {
                Some((batch, next)) => (batch, next, None),
                None => self.collect_dead(name, replay?, source, out)?,
            },
        };
        self.is_replays_turn = replay.is_none();
        let event_count = batch.events.len();
        let flight = Flight { ticket, next, event_count, replay };
        let request = self.request(name, now, &batch);
        Some((flight, request))
    }

    /// Reads from the cursor on. `None`: nothing is wanted yet.
    fn collect(&mut self, now: Now, source: &mut dyn Source) -> Option<(Batch, u64)> {
        if self.waits_on(now, source) {
            return None;
        }
        let spec = self.spec.as_ref().expect("is told");
        let from = self.memory.cursor;
        // A batch that failed is told again as it was, so that its number means the same.
        let until = self.memory.until.unwrap_or(u64::MAX).min(source.end());
        let (batch, next) = read(from, until, spec, source);
        if batch.events.is_empty() {
            self.phase = if from < until && next == from {
                Phase::Later(now.mono_ms() + LATER_MS)
            } else {
                Phase::Idle
            };
            self.oldest_ts_ms = None;
            self.is_dirty |= next != from;
            self.memory.advance(next);
            return None;
        }
        self.oldest_ts_ms = batch.oldest_ts_ms;
        let (event_count, bytes) = (batch.events.len(), batch.bytes);
        let may_fill = !is_full(spec, event_count, bytes) && self.memory.until.is_none();
        if may_fill && spec.wait_ms > 0 && !matches!(self.phase, Phase::Collecting(_)) {
            let by_ms = now.mono_ms() + spec.wait_ms;
            self.phase = Phase::Collecting(Wait { by_ms, next, event_count, bytes });
            return None;
        }
        Some((batch, next))
    }

    /// Counts what came to a batch that waits for more. `true`: it goes on waiting.
    fn waits_on(&mut self, now: Now, source: &mut dyn Source) -> bool {
        let Phase::Collecting(wait) = &mut self.phase else { return false };
        if now.mono_ms() >= wait.by_ms {
            return false;
        }
        let spec = self.spec.as_ref().expect("is told");
        let Wait { next, event_count, bytes, .. } = wait;
        *next = source.read(*next, source.end(), &spec.wanted, &mut |found| {
            *event_count += 1;
            *bytes += found.json.len() + 1;
            !is_full(spec, *event_count, *bytes)
        });
        !is_full(spec, *event_count, *bytes)
    }

    fn collect_dead(
        &mut self,
        name: &Arc<str>,
        id: u64,
        source: &mut dyn Source,
        out: &mut Vec<Deed>,
    ) -> Option<(Batch, u64, Option<u64>)> {
        let Some(dead) = self.memory.dead.iter().find(|dead| dead.id == id) else {
            self.replays.pop_front();
            return None;
        };
        let spec = self.spec.as_ref().expect("is told");
        let (batch, next) = read(dead.from, dead.next, spec, source);
        if batch.events.is_empty() {
            if next > dead.from {
                // The definition has changed, and wants nothing of it any more.
                self.shorten(id, next);
                self.save_dead(name, out);
            } else {
                self.failure_count += 1;
                self.last_error = Some(UNREADABLE.to_owned());
                self.end_replays(name, id, UNREADABLE.to_owned(), out);
            }
            return None;
        }
        Some((batch, next, Some(id)))
    }

    fn request(&self, name: &str, now: Now, batch: &Batch) -> Request {
        let spec = self.spec.as_ref().expect("is told");
        let count = batch.events.len();
        let id = format!("msg_{name}_{}_{count}", batch.first);
        let body = if spec.is_bare {
            batch.events[0].clone()
        } else {
            let events = batch.events.join(",");
            format!(r#"{{"id":"{id}","subscription":"{name}","events":[{events}]}}"#)
        };
        let signed = signed_headers(&id, now.wall_ms() / 1_000, body.as_bytes(), &spec.keys);
        let text = |secret: &crate::base::secret::Secret| -> Box<str> {
            String::from_utf8_lossy(secret.expose()).into()
        };
        let mut headers: Vec<(Box<str>, Box<str>)> =
            signed.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        headers.extend(spec.headers.iter().map(|(name, value)| (name.clone(), text(value))));
        Request::Post {
            within: ANSWER_WITHIN,
            url: text(&spec.url),
            mime: "application/json",
            headers,
            body: body.into_bytes().into(),
            answer_bytes_max: ANSWER_BYTES_MAX,
        }
    }

    fn land(
        &mut self,
        name: &Arc<str>,
        now: Now,
        flight: Flight,
        result: &Result<Got, Miss>,
        random: u64,
        out: &mut Vec<Deed>,
    ) {
        let Some(failure) = Failure::of(result) else {
            self.event_count += flight.event_count as u64;
            self.last_taken_ms = Some(now.wall_ms());
            self.oldest_ts_ms = None;
            match flight.replay {
                Some(id) => {
                    // Wanted differently today, it may be longer than one post.
                    self.shorten(id, flight.next);
                    self.save_dead(name, out);
                }
                None => self.memory.advance(flight.next),
            }
            self.is_dirty = true;
            return;
        };
        self.failure_count += 1;
        self.last_error = Some(failure.error.clone());
        if failure.is_gone {
            let why = format!("subscription {name} is off: its receiver said 410 Gone");
            out.push(Deed::Remark(why));
            self.memory.gone = Some(failure.error);
            return self.save(name, now.mono_ms(), true, out);
        }
        if let Some(id) = flight.replay {
            return self.end_replays(name, id, failure.error, out);
        }
        let spec = self.spec.as_ref().expect("a post was made");
        let attempt = self.memory.attempt_count as usize;
        self.memory.attempt_count += 1;
        let Some(step_s) = spec.retry_s.get(attempt) else {
            return self.give_up(name, now, flight, failure.error, out);
        };
        let wait_ms = match failure.retry_after_s {
            Some(after_s) => u64::from(after_s.clamp(1, RETRY_AFTER_MAX_S)) * 1_000,
            None => u64::from(*step_s) * 1_000,
        };
        // Up to a fifth more, so that all who failed at once do not come back at once.
        let wait_ms = wait_ms + random % (wait_ms / 5 + 1);
        self.memory.until = Some(flight.next);
        self.memory.retry_at_ms = Some(now.wall_ms() + wait_ms as i64);
        self.phase = Phase::Later(now.mono_ms() + wait_ms);
        self.is_dirty = true;
        self.save(name, now.mono_ms(), true, out);
    }

    /// The schedule is used up: the batch goes aside and the next one has its turn.
    fn give_up(
        &mut self,
        name: &Arc<str>,
        now: Now,
        flight: Flight,
        error: String,
        out: &mut Vec<Deed>,
    ) {
        let count = flight.event_count;
        out.push(Deed::Remark(format!("subscription {name}: {count} events given up: {error}")));
        let dead = Dead {
            id: self.memory.next_dead_id(),
            from: self.memory.cursor,
            next: flight.next,
            event_count: count,
            ts_ms: now.wall_ms(),
            error,
        };
        self.memory.dead.push(dead);
        if self.memory.dead.len() > SUBSCRIPTION_DEAD_MAX {
            self.memory.dead.remove(0);
        }
        self.memory.advance(flight.next);
        self.oldest_ts_ms = None;
        // First the letter, then the cursor: a crash between both tells it once more.
        self.save_dead(name, out);
        self.is_dirty = true;
        self.save(name, now.mono_ms(), true, out);
    }

    /// A dead letter stays dead, and the others behind it; whoever wants may ask again.
    fn end_replays(&mut self, name: &Arc<str>, id: u64, error: String, out: &mut Vec<Deed>) {
        self.replays.clear();
        if let Some(dead) = self.memory.dead.iter_mut().find(|dead| dead.id == id) {
            dead.error = error;
        }
        self.save_dead(name, out);
    }

    fn bury(&mut self, id: u64) {
        self.memory.dead.retain(|dead| dead.id != id);
        self.replays.retain(|replay| *replay != id);
    }

    /// A dead letter was told up to there; none is left when that is its end.
    fn shorten(&mut self, id: u64, next: u64) {
        match self.memory.dead.iter_mut().find(|dead| dead.id == id) {
            Some(dead) if next < dead.next => dead.from = next,
            _ => self.bury(id),
        }
    }

    fn save_dead(&self, name: &Arc<str>, out: &mut Vec<Deed>) {
        let text = memory::dead_text(&self.memory.dead);
        out.push(Deed::Save { name: Arc::clone(name), file: File::Dead, text });
    }

    fn save(&mut self, name: &Arc<str>, now_ms: u64, at_once: bool, out: &mut Vec<Deed>) {
        let is_time = self.saved_ms == 0 || now_ms >= self.saved_ms + SAVE_EVERY_MS;
        if (self.is_dirty && is_time) || (at_once && (self.is_dirty || self.memory.gone.is_some()))
        {
            self.is_dirty = false;
            self.saved_ms = now_ms;
            let text = self.memory.cursor_text();
            out.push(Deed::Save { name: Arc::clone(name), file: File::Cursor, text });
        }
    }

    fn standing(&self, name: &str, now: Now, end: u64) -> Standing {
        let state = match (&self.spec, &self.memory.gone) {
            (Err(_), _) => "invalid",
            (Ok(spec), _) if !spec.is_enabled => "disabled",
            (_, Some(_)) => "gone",
            _ if self.memory.attempt_count > 0 => "retrying",
            _ => "active",
        };
        let fault = self.spec.as_ref().err().cloned();
        let next_attempt_ms = match self.phase {
            Phase::Later(at_ms) => Some(at_ms.saturating_sub(now.mono_ms())),
            _ => None,
        };
        let lag_ms = self.oldest_ts_ms.map_or(0, |ts_ms| (now.wall_ms() - ts_ms).max(0) as u64);
        Standing {
            name: name.to_owned(),
            version: self.version,
            state,
            cursor: self.memory.cursor,
            lag_records: end.saturating_sub(self.memory.cursor),
            lag_ms,
            event_count: self.event_count,
            failure_count: self.failure_count,
            attempt_count: self.memory.attempt_count,
            next_attempt_ms,
            last_error: fault.or_else(|| self.last_error.clone()),
            last_taken_ms: self.last_taken_ms,
            dead_count: self.memory.dead.len(),
        }
    }
}

/// What is wanted of `from..until`, at most one post of it.
fn read(from: u64, until: u64, spec: &Spec, source: &mut dyn Source) -> (Batch, u64) {
    let mut batch = Batch::default();
    let next = source.read(from, until, &spec.wanted, &mut |found| {
        batch.push(found);
        !is_full(spec, batch.events.len(), batch.bytes)
    });
    (batch, next)
}

fn is_full(spec: &Spec, event_count: usize, bytes: usize) -> bool {
    event_count >= spec.batch_max || bytes > SUBSCRIPTION_BATCH_BYTES
}

/// A post that the receiver did not take.
struct Failure {
    error: String,
    is_gone: bool,
    retry_after_s: Option<u32>,
}

impl Failure {
    /// `None`: it was taken.
    fn of(result: &Result<Got, Miss>) -> Option<Self> {
        let (error, status, after_s) = match result {
            // Only that it was taken counts, not what was said to that.
            Ok(Got { status: 200..=299, .. }) => return None,
            Err(Miss::TooLarge { status: 200..=299 }) => return None,
            Ok(got) => (format!("HTTP {}", got.status), got.status, got.retry_after_s),
            Err(Miss::TooLarge { status }) => (format!("HTTP {status}"), *status, None),
            Err(miss) => (miss.to_string(), 0, None),
        };
        let retry_after_s = after_s.filter(|_| matches!(status, 429 | 503));
        Some(Self { error, is_gone: status == 410, retry_after_s })
    }
}
