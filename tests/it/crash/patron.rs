//! Somebody who calls commands of all kinds through crashes: each call under an id of its own,
//! asked again after each start until it is answered, and once more when it was.

use super::ledger::Figures;
use crate::server::client::Client;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Calls under way.
const WINDOW: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);

/// One of each kind: a template that counts, a script that keeps a number, a module, a program and
/// a callback.
pub const COMMANDS: [&str; 5] = ["t", "s", "m", "x", "h"];

/// How far a call is, as its caller knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nobody has acknowledged it.
    Open,
    /// It was answered with `done` or `pending`; the server must know it from then on.
    Acked,
    /// The same, and asked again in a later life of the server.
    Proven,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    /// Of [`COMMANDS`].
    pub name: &'static str,
    /// How far it is.
    pub state: State,
    /// What it said at its end, each time that it said something.
    pub said: Vec<String>,
}

/// The caller, in a room of its own.
#[derive(Debug)]
pub struct Patron {
    /// Its name.
    pub name: String,
    /// Its room.
    pub room: String,
    /// All its calls, by id.
    pub calls: BTreeMap<String, Call>,
    /// All that was wrong.
    pub faults: Vec<String>,
    next: usize,
    /// Calls acknowledged since the last audit.
    acked: u64,
}

/// The connection ended, as it must sooner or later.
struct Broken;

/// One connection.
struct Talk<'a> {
    patron: &'a mut Patron,
    client: Client,
    asked: BTreeMap<u32, String>,
    /// Answered with `pending`, and not at their end.
    pending: BTreeSet<String>,
    /// Ids of calls, by those of the server.
    known: BTreeMap<String, String>,
    /// What was said before its reply.
    early: BTreeMap<String, Vec<String>>,
}

impl Patron {
    /// One who has called nothing yet.
    pub fn new(number: usize) -> Self {
        let (name, room) = (format!("patron-{number}"), format!("pub-{number}"));
        let (calls, faults) = (BTreeMap::new(), Vec::new());
        Self { name, room, calls, faults, next: 0, acked: 0 }
    }

    /// Calls until the connection ends. `calm`: makes no new calls, and leaves when all are
    /// acknowledged.
    pub fn live(&mut self, address: SocketAddr, calm: bool) {
        let begin = Instant::now();
        while self.live_once(address, calm).is_err() && calm {
            assert!(begin.elapsed() < PATIENCE, "{} is refused forever", self.name);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn live_once(&mut self, address: SocketAddr, calm: bool) -> Result<(), Broken> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|_| Broken)?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        let client = Client::over(stream, &format!("ws://{address}/ws")).map_err(|_| Broken)?;
        let (asked, pending) = (BTreeMap::new(), BTreeSet::new());
        let (known, early) = (BTreeMap::new(), BTreeMap::new());
        let mut talk = Talk { patron: self, client, asked, pending, known, early };
        talk.go(calm)
    }

    /// Hands over what is to be judged.
    pub fn audit(&mut self, figures: &mut Figures) {
        figures.acked += std::mem::take(&mut self.acked);
        for fault in self.faults.drain(..) {
            figures.lost += 1;
            figures.fault(fault);
        }
    }

    fn is_quiet(&self) -> bool {
        self.calls.values().all(|call| call.state != State::Open)
    }
}

impl Talk<'_> {
    fn go(&mut self, calm: bool) -> Result<(), Broken> {
        let d = json!({"user": self.patron.name});
        let id = self.client.try_post("hello", "", d);
        self.await_grant(id)?;
        let room = self.patron.room.clone();
        let id = self.client.try_post("join", &room, json!({}));
        self.await_grant(id)?;
        // At once, before the server has looked at what it had under way.
        let again = self.patron.calls.iter().filter(|(_, call)| call.state != State::Proven);
        let again: Vec<String> = again.map(|(cid, _)| cid.clone()).collect();
        again.into_iter().for_each(|cid| self.ask(cid));
        let begin = Instant::now();
        loop {
            while !calm && self.asked.len() + self.pending.len() < WINDOW {
                let cid = format!("{}.{}", self.patron.name, self.patron.next);
                let name = COMMANDS[self.patron.next % COMMANDS.len()];
                self.patron.next += 1;
                let call = Call { name, state: State::Open, said: Vec::new() };
                self.patron.calls.insert(cid.clone(), call);
                self.ask(cid);
            }
            if calm && self.asked.is_empty() && self.patron.is_quiet() {
                return Ok(());
            }
            assert!(!calm || begin.elapsed() < PATIENCE, "{} waits forever", self.patron.name);
            self.hear()?;
        }
    }

    fn await_grant(&mut self, id: u32) -> Result<(), Broken> {
        loop {
            let value = self.client.read().map_err(|_| Broken)?;
            if value["id"] == id {
                return if value["t"] == "ok" { Ok(()) } else { Err(Broken) };
            }
        }
    }

    fn ask(&mut self, cid: String) {
        let name = self.patron.calls[&cid].name;
        let d = json!({"name": name, "text": cid, "cid": cid});
        let id = self.client.try_post("cmd", &self.patron.room, d);
        self.asked.insert(id, cid);
    }

    fn hear(&mut self) -> Result<(), Broken> {
        let value = self.client.read().map_err(|_| Broken)?;
        let id = value["id"].as_u64().map(|id| id as u32);
        if let Some(cid) = id.and_then(|id| self.asked.remove(&id)) {
            return self.answer(cid, &value);
        }
        if value["t"] == "cmd" {
            let text = |name: &str| value["d"][name].as_str().unwrap_or_default().to_owned();
            match self.known.get(&text("call")) {
                Some(cid) => {
                    self.pending.remove(cid);
                    self.patron.said(cid, text("text"));
                }
                None => self.early.entry(text("call")).or_default().push(text("text")),
            }
        }
        Ok(())
    }

    fn answer(&mut self, cid: String, value: &Value) -> Result<(), Broken> {
        let d = &value["d"];
        let call = self.patron.calls.get_mut(&cid).expect("we called");
        if value["t"] != "ok" {
            // The log is going down; it is asked again.
            let code = d["code"].as_u64().expect("a number");
            assert!((500..600).contains(&code), "a refusal that nothing explains: {value}");
            return Err(Broken);
        }
        match (call.state, d["dup"] == true) {
            (State::Open, _) => {
                call.state = State::Acked;
                self.patron.acked += 1;
            }
            (_, true) => call.state = State::Proven,
            (_, false) => self.patron.faults.push(format!("{cid} is made again: {value}")),
        }
        if let Some(id) = d["call"].as_str() {
            let early = self.early.remove(id).unwrap_or_default();
            if d["state"] == "pending" && early.is_empty() {
                self.pending.insert(cid.clone());
            }
            early.into_iter().for_each(|text| self.patron.said(&cid, text));
            self.known.insert(id.to_owned(), cid);
        }
        Ok(())
    }
}

impl Patron {
    fn said(&mut self, cid: &str, text: String) {
        if text.contains("fail") {
            println!("SAID {cid} {text}");
        }
        let call = self.calls.get_mut(cid).expect("we called");
        call.said.push(text);
        if call.said.len() > 1 {
            self.faults.push(format!("{cid} is answered twice: {:?}", call.said));
        }
    }
}
