//! What the domain writes to the log, and reads from it at start: facts, and the words in them.

use crate::base::codes::ErrorCode;
use crate::base::ids::{EpochId, Offset};
pub use crate::base::role::Role;
use crate::registry::Kind;
use std::sync::Arc;

/// A room or user name, shared.
pub type Name = Arc<str>;

/// A client's own id of a message: the log, the room's memory of ids and the order in which that
/// forgets share it.
pub type Cid = Arc<str>;

/// What a user says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// Which of the three.
    pub state: State,
    /// In its own words.
    pub text: Box<str>,
}

/// The state part of a [`Status`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// At the keyboard.
    #[default]
    Online,
    /// Not at the keyboard.
    Away,
    /// Not to be disturbed.
    DoNotDisturb,
}

impl State {
    /// (wire name, number in the log)
    pub const ALL: [(Self, &'static str, u8); 3] =
        [(Self::Online, "online", 0), (Self::Away, "away", 1), (Self::DoNotDisturb, "dnd", 2)];

    /// The wire name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, ..)| *state == self).expect("all states are listed").1
    }

    /// Reads the wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, text, _)| *text == name).map(|(state, ..)| *state)
    }
}

/// Where a message came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A WebSocket session.
    Ws,
    /// A WhatsApp contact.
    WhatsApp,
    /// A command's answer.
    Command,
    /// A rule of an operator.
    Handler,
    /// The HTTP API, or a door for others.
    Api,
    /// The server itself.
    System,
}

impl Source {
    /// (value, wire name)
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Ws, "ws"),
        (Self::WhatsApp, "whatsapp"),
        (Self::Command, "command"),
        (Self::Handler, "handler"),
        (Self::Api, "api"),
        (Self::System, "system"),
    ];

    /// The wire name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(source, _)| *source == self).expect("all sources are listed").1
    }
}

/// Which way a message crosses the border of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From a client or a contact to the room.
    In,
    /// To the room and, through the platform, to the contact.
    Out,
    /// Between those in the room: notes, and what the server says itself.
    Internal,
}

impl Direction {
    /// (value, wire name)
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::In, "in"), (Self::Out, "out"), (Self::Internal, "internal")];

    /// The wire name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(way, _)| *way == self).expect("all directions are listed").1
    }
}

/// A fact for the log. The shard turns it into the log's own form; the hub rebuilds itself from
/// the same facts at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Wall clock, µs since 1970.
    pub ts_us: i64,
    /// Who did it; empty for the server.
    pub user: Name,
    /// Where; empty for nowhere.
    pub room: Name,
    /// What.
    pub fact: Fact,
}

impl Record {
    /// Bytes of text in it: what its size in the log depends on.
    pub fn text_bytes(&self) -> usize {
        let body = match &self.fact {
            Fact::Message { cid, text, name, external, extra, .. } => {
                cid.len() + text.len() + name.len() + external.len() + extra.len()
            }
            Fact::Edit { text, .. } => text.len(),
            Fact::Member { subject, .. } => subject.len(),
            Fact::Room { change: RoomChange::Topic(topic), .. } => topic.len(),
            Fact::SessionStart { sid, device, client } => sid.len() + device.len() + client.len(),
            Fact::SessionEnd { sid, .. } => sid.len(),
            Fact::Command { name, args, call, cid, .. } => {
                name.len() + args.len() + call.len() + cid.len()
            }
            Fact::State { key, value } => key.len() + value.len(),
            Fact::Delivery { external, status, extra, .. } => {
                external.len() + status.len() + extra.len()
            }
            Fact::Status(status) => status.text.len(),
            Fact::Conversation { change, .. } => change.value().len(),
            Fact::Definition { name, body, .. } => name.len() + body.len(),
            Fact::Delete { .. } | Fact::Room { .. } | Fact::Mark { .. } => 0,
        };
        body + self.user.len() + self.room.len()
    }
}

/// The kinds of facts.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are those of the protocol, docs/PROTOCOL.md")]
pub enum Fact {
    /// A message, in or out. `extra` is a JSON object ([`Extra`](super::extra::Extra)) or empty.
    Message {
        o: Offset,
        cid: Cid,
        text: Box<str>,
        reply: Option<Offset>,
        source: Source,
        direction: Direction,
        name: Box<str>,
        external: Box<str>,
        extra: Box<str>,
    },
    /// A new text for an old message.
    Edit { o: Offset, of: Offset, version: u32, text: Box<str> },
    /// A message taken back.
    Delete { o: Offset, of: Offset },
    /// A change of durable membership.
    Member { o: Offset, subject: Name, role: Role, action: MemberAction },
    /// A room was made, or changed.
    Room { o: Offset, change: RoomChange },
    /// A session began.
    SessionStart { sid: Box<str>, device: Box<str>, client: Box<str> },
    /// A session ended.
    SessionEnd { sid: Box<str>, code: u16 },
    /// A command was called, and ended after this long.
    Command {
        name: Box<str>,
        args: Box<str>,
        call: Box<str>,
        cid: Cid,
        outcome: Outcome,
        cost: u64,
        duration_us: u32,
    },
    /// What a command keeps in the room; empty: nothing any more. The key begins with the
    /// command's name and a space.
    State { key: Box<str>, value: Box<str> },
    /// How far a message of ours is on its way to a contact: by a platform's report or by what
    /// became of a call. `of` is its position, when it is known here. `extra` is a JSON object or
    /// empty.
    Delivery {
        of: Option<Offset>,
        external: Box<str>,
        status: Box<str>,
        error: u32,
        extra: Box<str>,
    },
    /// A user's watermarks moved.
    Mark { recv: Offset, read: Offset },
    /// A user's status changed.
    Status(Status),
    /// A conversation with a contact changed; without a position it has no event.
    Conversation { o: Option<Offset>, change: ConversationChange },
    /// A definition was put, or removed: then it has no body.
    Definition { kind: Kind, name: Name, version: u64, body: Box<str> },
}

/// What changed in a conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConversationChange {
    /// Its state.
    State(ConversationState),
    /// Who is in charge; `None`: nobody.
    Assign(Option<Name>),
    /// It got a tag.
    Tag(Box<str>),
    /// It lost a tag.
    Untag(Box<str>),
    /// Under which ids the contact is known: JSON of [`Contact`](super::conversation::Contact).
    Contact(Box<str>),
    /// What a handler waits for: [`Step::text`](super::room::Step::text); empty: nothing.
    Step(Box<str>),
    /// The contact of this room is the one of another room.
    Link(Name),
    /// Whether the contact waits for an answer.
    Turn {
        /// It does.
        waiting: bool,
    },
}

impl ConversationChange {
    /// As the log has it, with the action left out.
    pub fn value(&self) -> &str {
        match self {
            Self::State(state) => state.name(),
            Self::Assign(user) => user.as_deref().unwrap_or_default(),
            Self::Tag(text) | Self::Untag(text) | Self::Contact(text) | Self::Step(text) => text,
            Self::Link(room) => room,
            Self::Turn { waiting: true } => "waiting",
            Self::Turn { waiting: false } => "answered",
        }
    }
}

/// How far a conversation is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum ConversationState {
    /// Somebody should look at it.
    #[default]
    Open,
    /// It waits for the contact, or for something else.
    Pending,
    /// It is done. A message of the contact opens it again.
    Resolved,
}

impl ConversationState {
    /// (value, wire name)
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Open, "open"), (Self::Pending, "pending"), (Self::Resolved, "resolved")];

    /// The wire name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).expect("all states are listed").1
    }

    /// Reads the wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, text)| *text == name).map(|(state, _)| *state)
    }
}

/// What a snapshot of the log keeps, for [`Hub::restore_kept`](super::hub::Hub::restore_kept).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kept {
    /// A fact whose event is history: what it left behind still holds.
    Fact(Record),
    /// The room had these positions in an epoch.
    Run {
        /// Which room.
        room: Name,
        /// Which epoch.
        epoch: EpochId,
        /// Its first position in it.
        first: Offset,
        /// Its last position in it.
        last: Offset,
    },
    /// A message that its sender may send again and gets the same answer.
    Sent {
        /// When it was taken.
        ts_us: i64,
        /// Where.
        room: Name,
        /// The sender.
        user: Name,
        /// The sender's id of it.
        cid: Cid,
        /// Its position.
        o: Offset,
    },
    /// An item of a platform that must not be taken again.
    Taken {
        /// When it was taken.
        ts_us: i64,
        /// Where.
        room: Name,
        /// Its position; `None` for a status.
        o: Option<Offset>,
        /// What it is remembered by.
        print: u128,
    },
}

/// What happened to a membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberAction {
    /// Became a member.
    Join,
    /// No longer a member.
    Leave,
    /// Got another role.
    Role,
}

impl MemberAction {
    /// (value, wire name, number in the log)
    pub const ALL: [(Self, &'static str, u8); 3] =
        [(Self::Join, "join", 0), (Self::Leave, "leave", 1), (Self::Role, "role", 2)];

    /// The wire name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(action, ..)| *action == self).expect("all actions are listed").1
    }
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It answered.
    Ok,
    /// It failed, or there is none of that name.
    Failed,
    /// It did not answer in time.
    Timeout,
    /// The caller may not call it.
    Denied,
    /// Its arguments were wrong.
    BadArguments,
    /// It was asked for too often.
    Limited,
    /// The server stopped before it ended, and nobody knows what came of it.
    Lost,
}

impl Outcome {
    /// The outcome of a command that was refused with `code`.
    pub fn of_refusal(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Forbidden | ErrorCode::Unauthorized => Self::Denied,
            ErrorCode::BadRequest | ErrorCode::TooLarge => Self::BadArguments,
            ErrorCode::RateLimited => Self::Limited,
            ErrorCode::CommandTimeout => Self::Timeout,
            _ => Self::Failed,
        }
    }
}

/// What happened to a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoomChange {
    /// Made by the record's user, who owns it.
    Created,
    /// New topic.
    Topic(Box<str>),
    /// New rule of entry.
    Access(Access),
}

/// Who may enter a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// Everyone.
    #[default]
    Open,
    /// Durable members only.
    Members,
}

impl Access {
    /// The wire name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Members => "members",
        }
    }

    /// Reads the wire name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Open, Self::Members].into_iter().find(|access| access.name() == name)
    }
}
