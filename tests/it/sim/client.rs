//! A client of the protocol that believes nothing: it keeps what it was told, and holds every frame
//! against the truth.

use super::oracle::{Oracle, Truth};
use ringpost::base::ids::ConnId;
use ringpost::chat::event::Frame;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A person at a device.
#[derive(Debug)]
pub struct Client {
    /// Who it is.
    pub user: String,
    /// Not shown as present.
    pub quiet: bool,
    /// Wants its own messages.
    pub echo: bool,
    /// Frames it reads at once, at most.
    pub speed: usize,
    /// Its connection: shard and slot.
    pub link: Option<(usize, ConnId)>,
    /// The reply to `hello` came.
    pub greeted: bool,
    /// It was told to stay away, or said goodbye for good.
    pub finished: bool,
    /// The secret that takes its last session over.
    pub resume: Option<String>,
    /// Requests that wait for their answer.
    pub asked: BTreeMap<u32, Asked>,
    /// What it knows of each room it was ever in.
    pub views: BTreeMap<String, View>,
    /// Messages without an `ok`, in order.
    pub drafts: Vec<Draft>,
    /// Number of its last request; never used twice, so that a stray answer is noticed.
    pub number: u32,
    /// Ids of all its messages.
    cids: BTreeSet<String>,
}

/// A request that waits for its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// `hello`, with how it joins each room.
    Hello(BTreeMap<String, Wish>),
    /// `join`.
    Join(String, Wish),
    /// `leave`.
    Leave(String),
    /// `send` of this `cid`.
    Send(String, String),
    /// `edit` or `delete`.
    Change(String),
    /// `history`: the direction, its offset, the limit.
    History(String, &'static str, u64, usize),
    /// `who`.
    Who(String),
    /// Anything whose answer says nothing.
    Other,
}

/// How it joins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Nothing replayed.
    Fresh,
    /// The last so many.
    Last(u64),
    /// What came after its position.
    After(String, u64),
}

/// A message of its own on the way.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The room.
    pub room: String,
    /// Its id.
    pub cid: String,
    /// The text.
    pub text: String,
    /// When it was written, ms of the monotonic clock.
    pub at_ms: u64,
    /// The connection it was last sent on has not answered.
    pub sent: bool,
}

/// What it knows of one room.
#[derive(Debug, Default)]
pub struct View {
    /// It wants to be in.
    pub wanted: bool,
    /// It is in, as far as it was told.
    pub seated: bool,
    /// The epoch of `next`.
    pub epoch: Option<String>,
    /// The offset it waits for.
    pub next: u64,
    /// Events it holds to be history.
    pub held: BTreeMap<u64, Frame>,
    /// Users it holds to be present, once it asked.
    pub present: Option<BTreeSet<String>>,
    /// The count it was told last.
    pub present_count: Option<u64>,
}

impl View {
    /// Its position: epoch and the last offset it has.
    pub fn position(&self) -> Option<(String, u64)> {
        self.epoch.clone().map(|epoch| (epoch, self.next - 1))
    }
}

impl Client {
    /// Someone who was never here.
    pub fn new(user: String, quiet: bool, echo: bool, speed: usize, number: u32) -> Self {
        Self {
            user,
            quiet,
            echo,
            speed,
            link: None,
            greeted: false,
            finished: false,
            resume: None,
            asked: BTreeMap::new(),
            views: BTreeMap::new(),
            drafts: Vec::new(),
            number,
            cids: BTreeSet::new(),
        }
    }

    /// A number for a new request.
    pub fn ask(&mut self, asked: Asked) -> u32 {
        self.number += 1;
        self.asked.insert(self.number, asked);
        self.number
    }

    /// Writes a message; it is sent until it is acknowledged.
    pub fn draft(&mut self, room: String, cid: String, text: String, at_ms: u64) {
        assert!(self.cids.insert(cid.clone()));
        self.drafts.push(Draft { room, cid, text, at_ms, sent: false });
    }

    /// Whether a join or leave of this room waits for its answer.
    pub fn is_moving(&self, room: &str) -> bool {
        self.asked.values().any(|asked| match asked {
            Asked::Hello(rooms) => rooms.contains_key(room),
            Asked::Join(name, _) | Asked::Leave(name) => name == room,
            _ => false,
        })
    }

    /// The connection is gone.
    pub fn lost(&mut self) {
        self.link = None;
        self.greeted = false;
        self.asked.clear();
        for draft in &mut self.drafts {
            draft.sent = false;
        }
        for view in self.views.values_mut() {
            view.seated = false;
            view.present = None;
        }
    }

    /// Reads one frame. Panics on any that breaks a promise.
    pub fn receive(&mut self, frame: &Frame, oracle: &mut Oracle) {
        let value: Value = serde_json::from_str(frame).expect("the server writes JSON");
        let verb = value["t"].as_str().expect("every frame has a verb");
        let id = value["id"].as_u64().map(|id| id as u32);
        match (verb, id) {
            ("ok", Some(id)) => {
                let asked = self.asked.remove(&id);
                let asked = asked.unwrap_or_else(|| panic!("an answer to nothing: {frame}"));
                self.answered(asked, &value["d"], oracle);
            }
            ("err", Some(id)) => {
                let asked = self.asked.remove(&id);
                let asked = asked.unwrap_or_else(|| panic!("a refusal of nothing: {frame}"));
                self.refused(asked, &value["d"]);
            }
            ("err", None) => panic!("a refusal of no request: {frame}"),
            ("bye", _) => {
                let code = value["d"]["code"].as_u64().expect("a code");
                // 4409 came from ourselves; 4505 would come again and again.
                self.finished |= code == 4505;
            }
            ("ping", _) => {}
            _ => self.event(verb, &value, frame, oracle),
        }
    }

    fn answered(&mut self, asked: Asked, d: &Value, oracle: &mut Oracle) {
        match asked {
            Asked::Hello(rooms) => {
                self.greeted = true;
                self.resume = d["resume"].as_str().map(str::to_owned);
                assert_eq!(d["user"], self.user.as_str());
                for (room, wish) in rooms {
                    let detail = &d["rooms"][&room];
                    if detail["err"].is_null() {
                        self.joined(&room, &wish, detail, true, oracle);
                    } else {
                        self.view(&room).wanted = false;
                    }
                }
            }
            Asked::Join(room, wish) => self.joined(&room, &wish, d, false, oracle),
            Asked::Leave(room) => self.view(&room).seated = false,
            Asked::Send(room, cid) => {
                let o = d["o"].as_u64().expect("an offset");
                let event = oracle.event(&room, o);
                let message = event.and_then(|event| event.message.clone());
                let ours = message.is_some_and(|(user, id)| *user == *self.user && *id == *cid);
                assert!(ours, "{room} {o} is acknowledged as {cid:?} and is another");
                oracle.promise(&room, o);
                self.drafts.retain(|draft| draft.cid != cid);
            }
            Asked::Change(room) => {
                oracle.promise(&room, d["o"].as_u64().expect("an offset"));
            }
            Asked::History(room, direction, o, limit) => {
                check_page(&room, direction, (o, limit), d, oracle);
            }
            Asked::Who(room) => {
                let users = d["users"].as_array().expect("a list");
                let names = users.iter().map(|user| user["user"].as_str().expect("a name"));
                let names: BTreeSet<String> = names.map(str::to_owned).collect();
                assert_eq!(d["n"], names.len());
                let view = self.view(&room);
                view.present_count = Some(names.len() as u64);
                view.present = Some(names);
            }
            Asked::Other => {}
        }
    }

    fn refused(&mut self, asked: Asked, d: &Value) {
        let code = d["code"].as_u64().expect("a code");
        let again = d["retry"].as_bool().expect("every refusal says");
        match asked {
            Asked::Send(_, cid) if again || code == 411 => {
                for draft in &mut self.drafts {
                    draft.sent &= draft.cid != cid;
                }
            }
            Asked::Send(_, cid) => self.drafts.retain(|draft| draft.cid != cid),
            Asked::Join(room, _) if !again => self.view(&room).wanted = false,
            Asked::Leave(room) => {
                // Outside already; or the log cannot take the end of the membership, and then the
                // session has left all the same.
                assert!([411, 503, 507].contains(&code), "a leave is refused: {d}");
                self.view(&room).seated = false;
            }
            Asked::Hello(_) => panic!("hello was refused: {d}"),
            _ => {}
        }
    }

    fn view(&mut self, room: &str) -> &mut View {
        self.views.entry(room.to_owned()).or_default()
    }

    fn joined(&mut self, room: &str, wish: &Wish, d: &Value, greeting: bool, oracle: &Oracle) {
        let number = |key: &str| d[key].as_u64().unwrap_or_else(|| panic!("{key}: {d}"));
        let (top, from, count) = (number("o"), number("from"), number("n"));
        let recovered = d["recovered"].as_bool().expect("recovered");
        let back_to = d["back_to"].as_u64();
        assert!(top as usize <= oracle.room(room).len(), "{room} has not so many: {d}");
        assert_eq!(from + count, top + 1, "{room}: the replay ends at the top: {d}");
        let view = self.view(room);
        assert!(!view.seated, "joined twice: {room}");
        match wish {
            Wish::After(_, o) if recovered => {
                assert!(back_to.is_none() && from == o + 1, "{room} after {o}: {d}");
            }
            Wish::After(..) => {
                assert_eq!(count, 0, "{room}: nothing is replayed to a stranger: {d}");
                if let Some(back_to) = back_to {
                    view.held.split_off(&(back_to + 1));
                }
            }
            Wish::Fresh | Wish::Last(_) => {
                assert!(back_to.is_none() && (recovered || greeting || count == 0), "{d}");
                let wanted = if let Wish::Last(last) = wish { (*last).min(top) } else { 0 };
                assert!(count == wanted || !recovered, "{room}: {wanted} wanted: {d}");
                view.held.clear();
            }
        }
        for (o, frame) in &view.held {
            let event = oracle.event(room, *o);
            let exists = event.is_some_and(|event| event.frame == *frame);
            assert!(exists, "{room} {o} is held, does not exist, and nobody said so: {frame}");
        }
        view.seated = true;
        view.present = None;
        view.present_count = d["present"].as_u64();
        view.epoch = d["e"].as_str().map(str::to_owned);
        view.next = from;
    }

    fn event(&mut self, verb: &str, value: &Value, frame: &Frame, oracle: &Oracle) {
        let room = value["room"].as_str().expect("a room's event").to_owned();
        let (echo, user) = (self.echo, self.user.clone());
        let d = &value["d"];
        let view = self.views.entry(room.clone()).or_default();
        if verb == "notice" {
            view.seated &= d["level"] != "warn";
            view.wanted &= d["level"] != "warn";
            return;
        }
        let Some(o) = value["o"].as_u64() else {
            // The passing events of a turn may come behind the leave that ended it.
            if view.seated {
                view.passing(verb, d);
            }
            return;
        };
        assert!(view.seated, "an event of {room}, where this client is not: {frame}");
        let truth = oracle.event(&room, o).unwrap_or_else(|| panic!("nobody wrote {frame}"));
        assert_eq!(truth.frame, *frame, "another event has this offset");
        while !echo && view.next < o {
            // Its own messages it knows; their offsets come with their `ok`.
            let own = oracle.event(&room, view.next).expect("below one that exists");
            let by_us = own
                .message
                .as_ref()
                .is_some_and(|(from, cid)| **from == *user && self.cids.contains(&**cid));
            assert!(by_us, "{room} {} is missing before {o}", view.next);
            view.held.insert(view.next, Arc::clone(&own.frame));
            view.next += 1;
        }
        assert_eq!(o, view.next, "{room}: out of order, or a gap without a word: {frame}");
        view.held.insert(o, Arc::clone(frame));
        view.next = o + 1;
    }
}

impl View {
    fn passing(&mut self, verb: &str, d: &Value) {
        match verb {
            "gap" => {
                assert_eq!(d["from"], self.next, "a gap begins where the events end");
                self.next = d["to"].as_u64().expect("to") + 1;
            }
            "presence" => {
                self.present_count = d["n"].as_u64();
                let names = |key: &str| {
                    let list = d[key].as_array().cloned().unwrap_or_default();
                    let names = list.iter().map(|name| name.as_str().expect("a name").to_owned());
                    names.collect::<Vec<_>>()
                };
                if let Some(present) = &mut self.present {
                    present.extend(names("join"));
                    for name in names("leave") {
                        present.remove(&name);
                    }
                }
            }
            "mark" => {
                for mark in d["marks"].as_array().expect("a list") {
                    let (recv, read) = (mark["recv"].as_u64(), mark["read"].as_u64());
                    assert!(read <= recv, "who has read has received: {mark}");
                }
            }
            "typing" | "cmd" | "delivery" => {}
            other => panic!("{other} is no event without an offset"),
        }
    }
}

/// A page must be whole: every message between its ends, and none left out at the asked end.
fn check_page(room: &str, direction: &str, (o, limit): (u64, usize), d: &Value, oracle: &Oracle) {
    let top = d["top"].as_u64().expect("top");
    let more = d["more"].as_bool().expect("more");
    let msgs = d["msgs"].as_array().expect("msgs");
    let offsets: Vec<u64> = msgs.iter().map(|msg| msg["o"].as_u64().expect("o")).collect();
    assert!(msgs.len() <= limit && top as usize <= oracle.room(room).len());
    assert!(offsets.is_sorted_by(|a, b| a < b), "{room}: {offsets:?}");
    for (msg, o) in msgs.iter().zip(&offsets) {
        let truth = oracle.event(room, *o).expect("history is not invented");
        let (user, cid) = truth.message.as_ref().expect("history has messages only");
        assert_eq!(msg["d"]["from"], **user);
        assert_eq!(msg["d"]["cid"].as_str().unwrap_or(""), &**cid);
        if msg["d"]["v"].is_null() && msg["d"]["deleted"].is_null() {
            assert_eq!(*msg.to_string(), *truth_value(&truth.frame));
        }
    }
    if oracle.holes {
        return;
    }
    let (first, last) = (offsets.first().copied(), offsets.last().copied());
    let (from, to) = match direction {
        "after" => (o + 1, if more { last.unwrap_or(o) } else { top }),
        "since_ts" => {
            let late = |event: &Truth| event.ts_ms >= o as i64;
            let from = oracle.room(room).iter().position(late).map_or(u64::MAX, |n| n as u64 + 1);
            (from, if more { last.unwrap_or(0) } else { top })
        }
        "around" => (first.unwrap_or(1), last.unwrap_or(0)),
        _ => {
            let end = if direction == "before" { (o - 1).min(top) } else { top };
            (if more { first.unwrap_or(end + 1) } else { 1 }, end)
        }
    };
    let mut want = Vec::new();
    for o in from..=to {
        if oracle.event(room, o).is_some_and(|event| event.message.is_some()) {
            want.push(o);
        }
    }
    assert_eq!(offsets, want, "{room}: history {direction} {o} has holes; top {top}, more {more}");
    assert!(!more || !msgs.is_empty(), "an empty page cannot be continued");
}

/// A frame in the spelling of [`Value`].
fn truth_value(frame: &str) -> String {
    serde_json::from_str::<Value>(frame).expect("the oracle writes JSON").to_string()
}
