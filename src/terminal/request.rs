//! The requests of this client (docs/PROTOCOL.md, Verbs), and what their answers tell. Pure.

use super::note::{Message, Note, Progress};
use serde_json::{Map, Value, json};

/// A request under way: what its answer is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// The first of a connection.
    Hello,
    /// A room by name.
    Join(String),
    /// A room by name.
    Leave(String),
    /// A typed message.
    Send {
        /// Its room.
        room: String,
        /// The client's id of it.
        cid: String,
    },
    /// A change of a message in a room.
    Edit(String),
    /// The end of a message in a room.
    Delete(String),
    /// A page of history that leads up to the live events of a room.
    Fill(String),
    /// A page of history that the person asked for.
    History(String),
    /// Who is in a room.
    Who(String),
    /// The own status.
    Status,
    /// What the person's keyboard wants to know: the verb, and the room.
    Question(&'static str, String),
}

impl Request {
    fn verb_and_room(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Hello => ("hello", None),
            Self::Join(room) => ("join", Some(room)),
            Self::Leave(room) => ("leave", Some(room)),
            Self::Send { room, .. } => ("send", Some(room)),
            Self::Edit(room) => ("edit", Some(room)),
            Self::Delete(room) => ("delete", Some(room)),
            Self::Fill(room) | Self::History(room) => ("history", Some(room)),
            Self::Who(room) => ("who", Some(room)),
            Self::Status => ("status", None),
            Self::Question(verb, room) => (verb, Some(room)),
        }
    }

    /// The frame that asks.
    pub fn frame(&self, id: u64, d: Value) -> String {
        let (verb, room) = self.verb_and_room();
        match room {
            Some(room) => json!({"t": verb, "id": id, "room": room, "d": d}).to_string(),
            None => json!({"t": verb, "id": id, "d": d}).to_string(),
        }
    }

    /// What an answer tells the person, where it changes nothing else.
    pub fn told(&self, d: &Value, user: &str) -> Vec<Note> {
        match self {
            Self::History(room) => history(room, d, user),
            Self::Who(room) => vec![Note::Info(who(room, d))],
            Self::Leave(room) => vec![Note::Info(format!("left {room}"))],
            Self::Status => vec![Note::Info("your status is set".into())],
            _ => Vec::new(),
        }
    }
}

fn history(room: &str, d: &Value, user: &str) -> Vec<Note> {
    let messages = d["msgs"].as_array().into_iter().flatten();
    let messages = messages.filter_map(|event| Message::read(event, user));
    let mut notes: Vec<_> = messages
        .map(|message| Note::Message { room: room.to_string(), message, progress: Progress::Past })
        .collect();
    let more = if d["more"] == true { ", there are older ones" } else { "" };
    notes.push(Note::Info(format!("end of history{more}")));
    notes
}

fn who(room: &str, d: &Value) -> String {
    let users = d["users"].as_array().into_iter().flatten().map(|user| {
        let text = |key: &str| user[key].as_str().unwrap_or_default();
        match (text("state"), text("text")) {
            ("" | "online", "") => text("user").to_string(),
            (state, "") => format!("{} ({state})", text("user")),
            (state, words) => format!("{} ({state}: {words})", text("user")),
        }
    });
    let mut users: Vec<_> = users.collect();
    if d["more"] == true {
        users.push("…".into());
    }
    format!("in {room}: {}", users.join(", "))
}

/// `d` of `hello`.
pub fn hello(
    user: &str,
    token: Option<&str>,
    resume: Option<&str>,
    rooms: Map<String, Value>,
) -> Value {
    let mut d = Map::new();
    match token {
        Some(token) => d.insert("token".into(), token.into()),
        None => d.insert("user".into(), user.into()),
    };
    if let Some(secret) = resume {
        d.insert("resume".into(), secret.into());
    }
    d.insert("client".into(), concat!("ringpost-chat/", env!("CARGO_PKG_VERSION")).into());
    d.insert("rooms".into(), rooms.into());
    d.into()
}

/// `d` of a join that continues at a position.
pub fn position(epoch: &str, o: u64) -> Value {
    json!({"e": epoch, "o": o})
}

/// `d` of a join that begins with the last events.
pub fn last(count: u64) -> Value {
    json!({"last": count})
}

/// `d` of a page of history after an offset.
pub fn after(o: u64, limit: u64) -> Value {
    json!({"after": o, "limit": limit})
}

/// `d` of `send`.
pub fn send(cid: &str, text: &str, reply: Option<u64>) -> Value {
    match reply {
        Some(o) => json!({"cid": cid, "text": text, "reply": o}),
        None => json!({"cid": cid, "text": text}),
    }
}
