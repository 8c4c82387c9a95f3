//! What a hub and the outbox say to each other.
//!
//! ```text
//!  owner ── Send ───────────▶ outbox   the message is in the log
//!        ◀─ Event::Calling ──         its turn has come: may it be called?
//!        ── Go ─────────────▶         that it will be called is in the log
//!        ◀─ Event::Waits ────         the call was in vain, for now; Calling comes again
//!        ◀─ Event::Outcome ──         accepted, failed, unknown
//! ```
//!
//! The outbox keeps nothing that the log does not have: a hub that finds a message without an
//! outcome at start sends it again, or, if it had been called, asks the outbox to remember it.

use super::record::Name;
use crate::base::ids::Offset;

/// Whether and how messages can leave by a platform. A pure rule that the hub is given.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Our numbers that can send.
    pub numbers: Vec<Box<str>>,
    /// Reads what is to be sent, a plain text or the JSON of something richer, or says what is
    /// wrong with it.
    pub read: fn(text: &str, content: Option<&str>) -> Result<Letter, Box<str>>,
}

impl Default for Platform {
    /// Nothing can be sent.
    fn default() -> Self {
        Self { numbers: Vec::new(), read: |_, _| Err("nothing can be sent from here".into()) }
    }
}

/// What is known of something that can be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// What a room shows of it.
    pub text: Box<str>,
    /// Whether it goes only while the contact's window is open.
    pub needs_window: bool,
}

/// From a hub to the outbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OutboxOrder {
    /// Send a message. Its outcome will be told.
    Send {
        /// The conversation.
        room: Name,
        /// The message.
        o: Offset,
        /// To which id of the contact, if not to the one that names the conversation.
        to: Option<Box<str>>,
        /// When it was written, ms since 1970.
        at_ms: i64,
        /// A plain text,
        text: Box<str>,
        /// or the JSON of something richer.
        content: Option<Box<str>>,
        /// The platform's id of the message that is answered.
        about: Option<Box<str>>,
        /// Until when the contact's window is open, ms since 1970.
        window_until_ms: i64,
    },
    /// The call may be made.
    Go {
        /// Which.
        flight: u64,
    },
    /// This cannot be written down now: say it again later.
    Later(OutboxEvent),
    /// This message had been called when the server died. Its outcome is unknown, unless a status
    /// tells.
    Lost {
        /// The conversation.
        room: Name,
        /// The message.
        o: Offset,
    },
    /// The contact wrote.
    Heard {
        /// The conversation.
        room: Name,
        /// When, ms since 1970.
        at_ms: i64,
    },
    /// A status came for a message of ours.
    Told {
        /// The conversation.
        room: Name,
        /// The message.
        o: Offset,
        /// The platform's id of it.
        external: Box<str>,
        /// Of a failure.
        error: Option<u32>,
    },
    /// Tell the platform what was read, now or not at all.
    Signal {
        /// The conversation.
        room: Name,
        /// The platform's id of the newest message that was read.
        read: Box<str>,
        /// And that somebody is typing.
        typing: bool,
    },
}

/// From the outbox to the hub that owns the conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OutboxEvent {
    /// A message is about to be called. Answered with [`OutboxOrder::Go`] when that is in the log.
    Calling {
        /// The conversation.
        room: Name,
        /// The message.
        o: Offset,
        /// Names the call.
        flight: u64,
    },
    /// The call was in vain, for now: the message waits.
    Waits {
        /// The conversation.
        room: Name,
        /// The message.
        o: Offset,
    },
    /// What became of a message.
    Outcome {
        /// The conversation.
        room: Name,
        /// The message.
        o: Offset,
        /// What.
        sent: Sent,
    },
}

impl OutboxEvent {
    /// The conversation it is about.
    pub fn room(&self) -> &Name {
        match self {
            Self::Calling { room, .. } | Self::Waits { room, .. } | Self::Outcome { room, .. } => {
                room
            }
        }
    }
}

/// What became of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sent {
    /// The platform took it.
    Accepted {
        /// Its id there.
        external: Box<str>,
    },
    /// It will not be sent.
    Failed {
        /// The platform's error number; 0 when it was not asked.
        error: u32,
        /// What is wrong and what to do, for people.
        why: Box<str>,
    },
    /// Nobody knows whether the platform took it; it is not sent again.
    Unknown,
}
