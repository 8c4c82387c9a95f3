//! The client's side of a conversation: positions, outbox, what to show. Pure.
//!
//! Time is an argument, frames are strings in and out. What is promised to the person:
//!
//! * A room's events are shown once each and in order, also over lost connections: an event at or
//!   below the room's position is a repetition, one beyond the next waits until history has been
//!   paged up to it.
//! * A typed message is sent until the server answers it, always with the same `cid`, so that it is
//!   taken once. Messages to one room go one at a time, so that a refused one (`retry`) is not
//!   overtaken by the next.
//! * What the server took back after a crash is told.

use super::commands::Input;
use super::complete::Question;
use super::note::{Message, Note, Progress};
use super::request::{self, Request};
use super::room::{Room, Turn};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Messages replayed on the first join of a room.
const FIRST_MESSAGES: u64 = 30;
/// Missed events beyond this many are told as a number instead of shown.
const FILL_MAX: u64 = 1_000;
/// Messages asked for at a time while filling; the server's own bound for a page.
const PAGE: u64 = 300;
/// A refused message is sent again after this long, unless the server says when.
const RETRY_MS: u64 = 1_000;

/// Who we are and how to show things.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionOptions {
    /// User name, for a server in development mode, and to know own messages by.
    pub user: String,
    /// Token, for any other server.
    pub token: Option<String>,
    /// Begins every `cid`; must differ from run to run.
    pub cid_prefix: String,
    /// Whether messages of rooms that are not active are shown at once.
    pub all_rooms: bool,
}

/// A typed message on its way.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) cid: String,
    pub(super) room: String,
    pub(super) text: String,
    pub(super) reply: Option<u64>,
    /// Whether a `send` is under way on this connection.
    asked: bool,
    /// Not to be sent before this time.
    not_before_ms: u64,
}

/// One conversation over any number of connections.
#[derive(Debug, Default)]
pub struct Session {
    options: SessionOptions,
    pub(super) rooms: BTreeMap<String, Room>,
    pub(super) active: String,
    pub(super) outbox: VecDeque<Outgoing>,
    /// Answered, but the event has not come yet.
    kept: HashMap<String, u64>,
    pub(super) requests: HashMap<u64, Request>,
    next_id: u64,
    cid_count: u64,
    epoch: Option<String>,
    resume: Option<String>,
    pub(super) online: bool,
    frames: Vec<String>,
    pub(super) notes: Vec<Note>,
    events: Vec<Value>,
    rejected: Option<String>,
    told: Option<Value>,
    bye_after_ms: Option<u64>,
}

impl Session {
    /// A conversation that begins in `room`.
    pub fn new(options: SessionOptions, room: &str) -> Self {
        let rooms = BTreeMap::from([(room.to_string(), Room::default())]);
        Self { options, rooms, active: room.to_string(), next_id: 1, ..Self::default() }
    }

    /// Frames to send, in order.
    pub fn take_frames(&mut self) -> Vec<String> {
        std::mem::take(&mut self.frames)
    }

    /// Whether there is something to send.
    pub fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    /// What to tell the person, in order.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// The events taken, as the server wrote them, each once and in order.
    pub fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    /// Typed messages without an answer.
    pub fn unanswered(&self) -> usize {
        self.outbox.len()
    }

    /// Whether `hello` has been answered on this connection.
    pub fn online(&self) -> bool {
        self.online
    }

    /// Why the server did not take the `hello`: another connection would not help.
    pub fn rejected(&self) -> Option<&str> {
        self.rejected.as_deref()
    }

    /// Asks about the active room; an answer to an older question is none.
    pub fn question(&mut self, question: &Question) {
        self.told = None;
        self.requests.retain(|_, request| !matches!(request, Request::Question(..)));
        let is_joined = self.rooms.get(&self.active).is_some_and(|room| room.joined);
        if self.online && is_joined {
            let (verb, d) = question.asked();
            self.ask(Request::Question(verb, self.active.clone()), d);
        }
    }

    /// The answer to the last question, once.
    pub fn take_told(&mut self) -> Option<Value> {
        self.told.take()
    }

    /// How long the server wants us to stay away before the next connection, at most.
    pub fn take_bye_after_ms(&mut self) -> Option<u64> {
        self.bye_after_ms.take()
    }

    /// The room that typed text goes to.
    pub fn active(&self) -> &str {
        &self.active
    }

    /// Rooms with messages not looked at yet.
    pub fn unread(&self) -> impl Iterator<Item = (&str, u32)> {
        let rooms = self.rooms.iter().map(|(name, room)| (name.as_str(), room.unread));
        rooms.filter(|(_, unread)| *unread > 0)
    }

    /// A connection is open: says `hello` with all rooms and positions.
    pub fn connected(&mut self) {
        let rooms = self.rooms.iter().map(|(name, room)| {
            let d = match (&self.epoch, room.position) {
                (Some(epoch), Some(o)) => request::position(epoch, o),
                _ => request::last(FIRST_MESSAGES),
            };
            (name.clone(), d)
        });
        let rooms = rooms.collect();
        let SessionOptions { user, token, .. } = &self.options;
        let d = request::hello(user, token.as_deref(), self.resume.as_deref(), rooms);
        self.ask(Request::Hello, d);
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.online = false;
        self.requests.clear();
        self.frames.clear();
        for room in self.rooms.values_mut() {
            room.cut();
        }
        for message in &mut self.outbox {
            message.asked = false;
        }
    }

    /// Time has passed: sends what may be sent now.
    pub fn tick(&mut self, now_ms: u64) {
        let mut busy: Vec<String> = Vec::new();
        for at in 0..self.outbox.len() {
            let message = &self.outbox[at];
            let joined = self.rooms.get(&message.room).is_some_and(|room| room.joined);
            if busy.contains(&message.room) {
                continue;
            }
            busy.push(message.room.clone());
            if !self.online || !joined {
                continue;
            }
            if !message.asked && now_ms >= message.not_before_ms {
                let d = request::send(&message.cid, &message.text, message.reply);
                let (room, cid) = (message.room.clone(), message.cid.clone());
                self.outbox[at].asked = true;
                self.ask(Request::Send { room, cid }, d);
            }
        }
    }

    pub(super) fn ask(&mut self, request: Request, d: Value) {
        let id = self.next_id;
        self.next_id += 1;
        self.frames.push(request.frame(id, d));
        self.requests.insert(id, request);
    }

    /// Takes one frame of the server.
    pub fn receive(&mut self, text: &str, now_ms: u64) {
        let Ok(mut frame) = serde_json::from_str::<Value>(text) else {
            self.notes.push(Note::Error("the server sent something that is no JSON".into()));
            return;
        };
        let id = frame["id"].as_u64();
        match (frame["t"].as_str().unwrap_or_default(), id) {
            ("ok", Some(id)) => {
                if let Some(request) = self.requests.remove(&id) {
                    self.answered(request, &frame["d"].take());
                }
            }
            ("err", id) => {
                let request = id.and_then(|id| self.requests.remove(&id));
                self.refused(request, &frame["d"].take(), now_ms);
            }
            ("ping", _) => self.frames.push(r#"{"t":"pong"}"#.into()),
            _ => self.event(frame),
        }
        self.tick(now_ms);
    }

    fn event(&mut self, event: Value) {
        let name = event["room"].as_str().unwrap_or_default().to_string();
        let Some(o) = event["o"].as_u64() else {
            return self.passing(&name, event);
        };
        // Events of a room that was left may still be under way.
        let Some(room) = self.rooms.get_mut(&name) else { return };
        match room.arrive(o, event) {
            Turn::Take(event) => self.take(&name, event),
            Turn::Fill => self.fill(&name),
            Turn::Nothing => {}
        }
    }

    /// An event without offset: may be missed without harm, except `gap`.
    fn passing(&mut self, name: &str, event: Value) {
        if event["t"] == "gap" {
            let filling = self.rooms.get(name).is_some_and(|room| room.filling);
            if !filling {
                self.fill(name);
            }
            return;
        }
        if event["t"] == "bye" {
            self.bye_after_ms = event["d"]["after_ms"].as_u64();
        }
        let active = name == self.active || name.is_empty();
        if active || self.options.all_rooms {
            let note = super::wording::passing(name, &event, &self.options.user);
            self.notes.extend(note);
        }
        self.events.push(event);
    }

    /// Pages history from the room's position on; live events wait meanwhile.
    fn fill(&mut self, name: &str) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        let Some(after) = room.position else { return };
        room.filling = true;
        self.ask(Request::Fill(name.to_string()), request::after(after, PAGE));
    }

    /// Shows one durable event: the next of its room.
    fn take(&mut self, name: &str, event: Value) {
        let user = self.options.user.clone();
        match event["t"].as_str().unwrap_or_default() {
            "msg" => {
                if let Some(message) = Message::read(&event, &user) {
                    let cid = event["d"]["cid"].as_str().unwrap_or_default();
                    let progress = self.progress(cid, &message);
                    self.show(name, message, progress);
                }
            }
            kind @ ("edit" | "delete") => {
                let (of, d) = (event["d"]["of"].as_u64().unwrap_or(0), &event["d"]);
                let room = self.rooms.get_mut(name).expect("events are taken for known rooms");
                let text = d["text"].as_str().unwrap_or_default();
                let before = if kind == "edit" { room.change(of, text) } else { room.erase(of) };
                let note = Note::Changed {
                    room: name.to_string(),
                    ts: event["ts"].as_i64().unwrap_or(0),
                    by: d["from"].as_str().unwrap_or_default().to_string(),
                    of,
                    before,
                    text: (kind == "edit").then(|| text.to_string()),
                };
                self.tell(name, note);
            }
            _ => {
                if let Some(note) = super::wording::durable(name, &event) {
                    self.tell(name, note);
                }
            }
        }
        self.events.push(event);
    }

    fn progress(&mut self, cid: &str, message: &Message) -> Progress {
        if self.kept.remove(cid).is_some() {
            return Progress::Kept;
        }
        match message.own && self.outbox.iter().any(|own| own.cid == cid) {
            true => Progress::Pending,
            false => Progress::Past,
        }
    }

    /// Shows a message and remembers it.
    pub(super) fn show(&mut self, name: &str, mut message: Message, progress: Progress) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        if let Some((o, quoted)) = &mut message.reply {
            *quoted = room.recall(*o).map(|(from, text)| (from.to_string(), text.to_string()));
        }
        room.remember(&message);
        if name != self.active && !message.own {
            room.unread += 1;
        }
        self.tell(name, Note::Message { room: name.to_string(), message, progress });
    }

    /// Tells it now, or when the person looks at the room.
    fn tell(&mut self, name: &str, note: Note) {
        match self.rooms.get_mut(name) {
            Some(room) if name != self.active && !self.options.all_rooms => room.put_aside(note),
            _ => self.notes.push(note),
        }
    }

    fn answered(&mut self, request: Request, d: &Value) {
        match request {
            Request::Hello => self.welcomed(d),
            Request::Join(name) => self.joined(&name, d),
            Request::Send { room, cid } => self.sent(&room, &cid, d),
            Request::Fill(name) => self.page(&name, d),
            Request::Question(..) => self.told = Some(d.clone()),
            other => self.notes.extend(other.told(d, &self.options.user)),
        }
    }

    fn welcomed(&mut self, d: &Value) {
        self.online = true;
        if let Some(user) = d["user"].as_str() {
            self.options.user = user.to_string();
        }
        self.resume = d["resume"].as_str().map(str::to_string);
        let names: Vec<String> = self.rooms.keys().cloned().collect();
        for name in names {
            self.joined(&name, &d["rooms"][&name]);
        }
        if let Some(epoch) = d["e"].as_str() {
            self.epoch = Some(epoch.to_string());
        }
    }

    /// The server's answer about one room: where it stands against our position.
    fn joined(&mut self, name: &str, d: &Value) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        let Some(top) = d["o"].as_u64() else {
            let why = super::wording::refusal(&d["err"]);
            self.shut_out(name, &why);
            return;
        };
        if let Some(epoch) = d["e"].as_str() {
            self.epoch = Some(epoch.to_string());
        }
        room.joined = true;
        let replayed = d["n"].as_u64().unwrap_or(0);
        let Some(position) = room.position else {
            let from = d["from"].as_u64().unwrap_or(1).max(1);
            room.position = Some(if replayed > 0 { from - 1 } else { top });
            return;
        };
        if d["recovered"] == true {
            return;
        }
        if let Some(to) = d["back_to"].as_u64() {
            room.roll_back(to);
            self.notes.push(Note::RolledBack { room: name.to_string(), to });
        } else if top.saturating_sub(position) > FILL_MAX {
            room.position = Some(top - FIRST_MESSAGES);
            let count = top - FIRST_MESSAGES - position;
            let text = format!("{count} events of {name} were missed; /history shows the last");
            self.notes.push(Note::Info(text));
        }
        if room.position < Some(top) {
            self.fill(name);
        }
    }

    fn sent(&mut self, name: &str, cid: &str, d: &Value) {
        self.outbox.retain(|message| message.cid != cid);
        // A command has no offset: its result comes as an event of its own.
        let Some(o) = d["o"].as_u64() else { return };
        let position = self.rooms.get(name).and_then(|room| room.position);
        if position >= Some(o) {
            self.notes.push(Note::Kept { room: name.to_string(), o });
        } else {
            self.kept.insert(cid.to_string(), o);
        }
    }

    fn page(&mut self, name: &str, d: &Value) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        if !room.filling {
            return;
        }
        let before = room.position;
        for event in d["msgs"].as_array().into_iter().flatten() {
            let position = self.rooms.get(name).and_then(|room| room.position);
            let o = event["o"].as_u64();
            if o > position {
                self.rooms.get_mut(name).expect("checked above").position = o;
                self.take(name, event.clone());
            }
        }
        let room = self.rooms.get_mut(name).expect("checked above");
        if d["more"] == true && room.position > before {
            return self.fill(name);
        }
        for event in room.filled(d["top"].as_u64().unwrap_or(0)) {
            self.event(event);
        }
    }

    fn refused(&mut self, request: Option<Request>, d: &Value, now_ms: u64) {
        let why = super::wording::refusal(d);
        match request {
            Some(Request::Send { cid, .. }) if d["retry"] == true => {
                let wait_ms = d["after_ms"].as_u64().unwrap_or(RETRY_MS);
                for message in self.outbox.iter_mut().filter(|message| message.cid == cid) {
                    message.asked = false;
                    message.not_before_ms = now_ms + wait_ms;
                }
            }
            Some(Request::Send { cid, .. }) => {
                let lost = self.outbox.iter().find(|message| message.cid == cid);
                let text = lost.map_or(String::new(), |message| message.text.clone());
                self.outbox.retain(|message| message.cid != cid);
                self.notes.push(Note::Error(format!("not sent: {why}: {text}")));
            }
            Some(Request::Hello) => self.rejected = Some(why),
            // Nobody has typed it.
            Some(Request::Question(..)) => {}
            Some(Request::Join(name)) => self.shut_out(&name, &why),
            Some(Request::Fill(name)) => {
                // Without history the live events are all there is.
                let held = self.rooms.get_mut(&name).map(|room| room.filled(0));
                self.notes.push(Note::Error(format!("events of {name} were missed: {why}")));
                for event in held.into_iter().flatten() {
                    let o = event["o"].as_u64();
                    if let Some(room) = self.rooms.get_mut(&name) {
                        room.position = room.position.max(o.map(|o| o - 1));
                    }
                    self.event(event);
                }
            }
            _ => self.notes.push(Note::Error(why)),
        }
    }

    /// A room does not take us in. No other room becomes the active one: the person may be typing,
    /// and the words were meant for this one.
    fn shut_out(&mut self, name: &str, why: &str) {
        self.notes.push(Note::Error(format!("cannot join {name}: {why}")));
        self.drop_room(name);
        if self.options.all_rooms && self.rooms.is_empty() {
            self.rejected = Some(format!("cannot join {name}: {why}"));
        }
    }

    /// Forgets a room and tells which of its messages will not be sent.
    pub(super) fn drop_room(&mut self, name: &str) {
        self.rooms.remove(name);
        for message in self.outbox.iter().filter(|message| message.room == name) {
            self.notes.push(Note::Error(format!("not sent: {}", message.text)));
        }
        self.outbox.retain(|message| message.room != name);
        if self.active == name {
            self.active.clear();
        }
    }

    /// Puts a typed message in the outbox.
    pub(super) fn say(&mut self, text: String, reply: Option<u64>) {
        if !self.rooms.contains_key(&self.active) {
            self.notes.push(Note::Error("you are in no room: /join ROOM".into()));
            return;
        }
        self.cid_count += 1;
        let cid = format!("{}-{}", self.options.cid_prefix, self.cid_count);
        let room = self.active.clone();
        if !self.online {
            self.notes.push(Note::Waiting { room: room.clone(), text: text.clone() });
        }
        self.outbox.push_back(Outgoing { cid, room, text, reply, asked: false, not_before_ms: 0 });
    }

    /// Does what the person typed.
    pub fn enter(&mut self, input: Input, now_ms: u64) {
        self.obey(input);
        self.tick(now_ms);
    }
}

#[cfg(test)]
mod tests;
