//! What is to be done.

use crate::registry::sign::SigningKey;
use std::sync::Arc;

/// What one handler wants done, in this order.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Which handler. Messages that it writes have [`Source::Handler`](super::Source).
    pub handler: Arc<str>,
    /// The [`Occasion::depth`](super::Occasion::depth) of what comes of these actions.
    pub depth: u8,
    /// Never empty.
    pub actions: Vec<Action>,
}

/// Something to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Say {
    /// A plain text.
    Text(Box<str>),
    /// The JSON of something richer, an object with a `type`.
    Content(Box<str>),
}

/// One thing to do, in the room where it happened unless it says another.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write into the room: to the contact, when it is a conversation.
    Reply {
        /// What.
        say: Say,
        /// As an answer to the message that is considered.
        quote: bool,
    },
    /// Write into another room.
    Post {
        /// Where.
        room: Box<str>,
        /// What.
        text: Box<str>,
    },
    /// Write what only people of the team see.
    Note {
        /// What.
        text: Box<str>,
    },
    /// Give the conversation to somebody, or to nobody.
    Assign(Option<Box<str>>),
    /// Change its tags.
    Tag {
        /// Those it shall have.
        add: Vec<Box<str>>,
        /// Those it shall not have.
        remove: Vec<Box<str>>,
    },
    /// Set its state: `open`, `pending` or `resolved`.
    State(&'static str),
    /// Run a command in the room.
    Command {
        /// Without the slash.
        name: Box<str>,
        /// Its arguments.
        args: Box<str>,
    },
    /// Post a body to an address. The answer goes to [`Handlers::replied`](super::Handlers) with
    /// `resume`, when there is one.
    Call {
        /// Where.
        url: Box<str>,
        /// With what the body is signed, see [`sign`](crate::registry::sign).
        key: Option<SigningKey>,
        /// The body, JSON.
        body: Box<str>,
        /// How long to wait.
        timeout_ms: u64,
        /// What the handler must be told with the answer; `None`: nothing follows.
        resume: Option<Box<str>>,
    },
    /// A question was asked: keep this with the room, in the place of what was kept before, give it
    /// with every occasion as [`Occasion::step`](super::Occasion::step), and when the time has come
    /// an occasion [`Timeout`](super::EventKind::Timeout).
    Step {
        /// What to keep: JSON, below 24 KiB.
        stored: Box<str>,
        /// Until when, ms since 1970.
        until_ms: i64,
    },
    /// Nothing is kept any more.
    EndStep,
    /// Tell the contact that the message was read.
    Read,
    /// Tell the contact that somebody is typing, and that the message was read.
    Typing,
}

impl Action {
    /// Its stable name, for counters and rehearsals.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reply { .. } => "reply",
            Self::Post { .. } => "post",
            Self::Note { .. } => "note",
            Self::Assign(_) => "assign",
            Self::Tag { .. } => "tag",
            Self::State(_) => "state",
            Self::Command { .. } => "command",
            Self::Call { .. } => "call",
            Self::Step { .. } => "ask",
            Self::EndStep => "end",
            Self::Read => "read",
            Self::Typing => "typing",
        }
    }
}

/// What came of a call.
#[derive(Clone, Copy, Debug)]
pub struct CallReply<'a> {
    /// Of HTTP; 0 when there was no answer.
    pub status: u16,
    /// Its body, at most
    /// [`HANDLER_CALL_REPLY_BYTES_MAX`](crate::base::limits::HANDLER_CALL_REPLY_BYTES_MAX) of it.
    pub body: &'a str,
    /// Why there was no answer, for people.
    pub error: &'a str,
    /// How long it took.
    pub took_ms: u64,
}

impl CallReply<'_> {
    /// Whether `then` follows and not `else`.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
