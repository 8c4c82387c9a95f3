//! What a session has to tell the person, before it becomes text. Pure.

use serde_json::Value;

/// A message as history and live events carry it.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Offset in its room.
    pub o: u64,
    /// Milliseconds since 1970.
    pub ts: i64,
    /// User.
    pub from: String,
    /// The name to show, where it is not the user's.
    pub name: Option<String>,
    /// Text; empty when deleted.
    pub text: String,
    /// The message it answers: offset, and author and text if known.
    pub reply: Option<(u64, Option<(String, String)>)>,
    /// Whether it was changed.
    pub edited: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Whether this user wrote it.
    pub own: bool,
}

impl Message {
    /// Reads a `msg` event; `None` when it has no offset.
    pub fn read(event: &Value, user: &str) -> Option<Self> {
        let d = &event["d"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        Some(Self {
            o: event["o"].as_u64()?,
            ts: event["ts"].as_i64().unwrap_or(0),
            from: text(&d["from"]),
            name: d["name"].as_str().map(str::to_string),
            text: text(&d["text"]),
            reply: d["reply"].as_u64().map(|o| (o, None)),
            edited: d["v"].as_u64().is_some_and(|version| version > 1),
            deleted: d["deleted"] == true,
            own: d["from"] == user,
        })
    }
}

/// How far an own message has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Somebody else's, or of an earlier time.
    Past,
    /// Everybody has it; the server has not said that it is kept.
    Pending,
    /// Kept, as the server's `ack` policy promises.
    Kept,
}

/// One thing to tell.
#[derive(Clone, PartialEq, Debug)]
pub enum Note {
    /// A message.
    Message {
        /// Room.
        room: String,
        /// The message.
        message: Message,
        /// For own messages.
        progress: Progress,
    },
    /// An own message shown as pending is kept now.
    Kept {
        /// Room.
        room: String,
        /// Its offset.
        o: u64,
    },
    /// An own message waits for the connection.
    Waiting {
        /// Room.
        room: String,
        /// Its text.
        text: String,
    },
    /// A message was changed; `text` is `None` when it was deleted.
    Changed {
        /// Room.
        room: String,
        /// When, milliseconds since 1970.
        ts: i64,
        /// Who did it.
        by: String,
        /// Which message.
        of: u64,
        /// What it said before, if known.
        before: Option<String>,
        /// What it says now.
        text: Option<String>,
    },
    /// Something that happened in a room, unobtrusive.
    Aside {
        /// Room.
        room: String,
        /// A sentence.
        text: String,
    },
    /// An answer to what the person asked, or news of the connection.
    Info(String),
    /// The server took back what had been shown beyond this offset.
    RolledBack {
        /// Room.
        room: String,
        /// The last offset that stands.
        to: u64,
    },
    /// Something went wrong.
    Error(String),
}
