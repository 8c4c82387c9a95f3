//! What the log must hold, and the audit of what it holds.

use super::hooks::{Hooks, ROOMS};
use super::person::{Person, words};
use crate::server::client::Client;
use crate::server::process::Server;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

/// What came of the rounds.
#[derive(Debug, Default)]
pub struct Figures {
    /// Crashes.
    pub rounds: usize,
    /// Acknowledged messages and webhooks.
    pub acked: u64,
    /// Acknowledged while the power was being cut; see `rounds`.
    pub uncertain: u64,
    /// Acknowledged, and not in the log, or not where it was said.
    pub lost: u64,
    /// In the log twice.
    pub duplicates: u64,
    /// Messages in the log that were not acknowledged when it crashed.
    pub unacked_kept: u64,
    /// Acks that came later are not held against the log.
    pub certain_until: Option<Instant>,
    /// Segments with a torn tail.
    pub torn: u64,
    /// Sessions told that what they had seen is gone.
    pub rolled_back: u64,
    /// Sends and webhooks that the log refused.
    pub refused: u64,
    /// From the start of the process to the ready line.
    pub recoveries: Vec<Duration>,
    /// All that was wrong, in words; the first few.
    pub faults: Vec<String>,
}

impl Figures {
    /// Notes what was wrong.
    pub fn fault(&mut self, what: String) {
        if self.faults.len() < 20 {
            self.faults.push(what);
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted: Vec<u128> = self.recoveries.iter().map(Duration::as_millis).collect();
        sorted.sort_unstable();
        let at = |share: usize| sorted.get(sorted.len() * share / 100).copied().unwrap_or(0);
        write!(
            out,
            "rounds {}, acked {}, lost {}, duplicates {}, uncertain {}, unacked kept {}, \
             torn tails {}, rolled back {}, refused {}, start ms p50 {} p99 {}",
            self.rounds,
            self.acked,
            self.lost,
            self.duplicates,
            self.uncertain,
            self.unacked_kept,
            self.torn,
            self.rolled_back,
            self.refused,
            at(50),
            at(99),
        )
    }
}

/// The log as it was at the last audit: by room the first words in order.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The log refused messages and took later ones: then they do not stand in the order in which
    /// they were first sent.
    pub disordered: bool,
    rooms: BTreeMap<String, Vec<String>>,
    places: HashMap<String, (String, u64)>,
    /// By person and room: the highest number so far.
    highest: HashMap<(String, String), u64>,
}

impl Ledger {
    /// Reads what is new in every room, and holds every ack against it.
    pub fn audit(
        &mut self,
        server: &Server,
        people: &mut [Person],
        hooks: &mut Hooks,
        figures: &mut Figures,
    ) {
        let mut client = Client::hello(server, "auditor");
        let rooms = people.iter().flat_map(|person| person.rooms.iter().map(String::as_str));
        let rooms: BTreeSet<&str> = rooms.chain(ROOMS).collect();
        for room in rooms {
            self.read(&mut client, room, figures);
        }
        for person in people {
            for (sent, o, at) in person.acked.drain(..) {
                if figures.certain_until.is_some_and(|until| at > until) {
                    figures.uncertain += 1;
                    continue;
                }
                let word = format!("{}.{}", person.name, sent.n);
                figures.acked += 1;
                self.expect(&word, &person.rooms[sent.room], Some(o), figures);
            }
            figures.refused += std::mem::take(&mut person.refused);
            figures.rolled_back += std::mem::take(&mut person.rolled_back);
            let kept = |word: String| u64::from(self.places.contains_key(&word));
            let waiting = person.waiting.iter().map(|sent| format!("{}.{}", person.name, sent.n));
            figures.unacked_kept += waiting.map(kept).sum::<u64>();
        }
        for (n, at) in hooks.acked.drain(..) {
            if figures.certain_until.is_some_and(|until| at > until) {
                figures.uncertain += 1;
                continue;
            }
            let (room, word) = Hooks::message(n);
            figures.acked += 1;
            self.expect(&word, room, None, figures);
        }
        figures.refused += std::mem::take(&mut hooks.refused);
    }

    fn read(&mut self, client: &mut Client, room: &str, figures: &mut Figures) {
        let known = self.rooms.entry(room.to_owned()).or_default();
        let top = client.join(room, json!({}))["o"].as_u64().expect("an offset");
        if top == known.len() as u64 {
            return;
        }
        loop {
            let after = known.len() as u64;
            let page = client.granted("history", room, json!({"after": after, "limit": 300}));
            let top = page["top"].as_u64().expect("an offset");
            if top < after {
                figures.fault(format!("{room}: ended at {after} at the last audit, now at {top}"));
                figures.lost += after - top;
                known.truncate(top as usize);
                return;
            }
            for msg in page["msgs"].as_array().expect("a list") {
                let o = known.len() as u64 + 1;
                if msg["o"] != o {
                    figures.fault(format!("{room}: {} where {o} must be", msg["o"]));
                    return;
                }
                let word = words(msg);
                let place = (room.to_owned(), o);
                if let Some(before) = self.places.insert(word.clone(), place) {
                    figures.duplicates += 1;
                    figures.fault(format!("{word} is in {room} at {o} and {before:?}"));
                }
                let (person, n) = word.rsplit_once('.').expect("a name and a number");
                let n: u64 = n.parse().expect("a number");
                let key = (person.to_owned(), room.to_owned());
                let highest = self.highest.insert(key, n);
                if highest.is_some_and(|highest| highest > n) && !self.disordered {
                    figures.fault(format!("{room}: {word} at {o} stands behind a later one"));
                }
                known.push(word);
            }
            if page["more"] != true {
                return;
            }
        }
    }

    fn expect(&self, word: &str, room: &str, o: Option<u64>, figures: &mut Figures) {
        let place = self.places.get(word);
        let right =
            place.is_some_and(|(in_room, at)| in_room == room && o.is_none_or(|o| o == *at));
        if !right {
            figures.lost += 1;
            figures.fault(format!("{word} was acknowledged in {room} at {o:?}, is at {place:?}"));
        }
    }

    /// What the clients hold is what the log holds, and the scanner reads the same from the files.
    pub fn close(&self, server: &Server, people: &[Person], figures: &mut Figures) {
        for person in people {
            for (room, held) in person.rooms.iter().zip(&person.held) {
                for (o, word) in &held.seen {
                    let there = self.rooms[room].get(*o as usize - 1);
                    if there != Some(word) {
                        let who = &person.name;
                        figures.fault(format!("{who} holds {word} at {o} of {room}: {there:?}"));
                    }
                }
            }
        }
        let (code, rows) =
            server.scan(&["tail", "-n", "10000000", "--kind", "message", "--format", "jsonl"]);
        let mut scanned: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in rows.lines() {
            let row: Value = serde_json::from_str(row).expect("a JSON line");
            let word = row["text"].as_str().and_then(|text| text.split(' ').next());
            let room = row["room"].as_str().expect("a room").to_owned();
            scanned.entry(room).or_default().push(word.expect("a text").to_owned());
        }
        let held = self.rooms.iter().filter(|(_, words)| !words.is_empty());
        if code != 0 || !held.eq(scanned.iter()) {
            figures.fault(format!("the scanner (exit code {code}) reads another log than history"));
        }
        let (code, rows) = server.scan(&["verify", "--format", "jsonl"]);
        if code != 0 {
            figures.fault(format!("verify: exit code {code}\n{rows}"));
        }
        figures.torn += rows.lines().filter(|row| row.contains("torn tail")).count() as u64;
    }
}
