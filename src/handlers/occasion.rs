//! What happened, as handlers see it.

use crate::base::names::split_conversation;
use serde_json::{Value, json};
use std::sync::Arc;

/// What kind of thing happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum EventKind {
    /// Somebody or something wrote into a room.
    Message,
    /// A message of ours came further on its way to a contact, or failed.
    Status,
    /// Somebody became a member of a room or came into it.
    Joined,
    /// Somebody left or was removed.
    Left,
    /// A conversation was opened, set to wait, or resolved.
    State,
    /// A conversation was given to somebody, or to nobody.
    Assigned,
    /// The tags of a conversation changed.
    Tagged,
    /// A contact has waited for an answer for some time.
    Unanswered,
    /// The platform told something that is neither message nor status.
    Platform,
    /// Nobody answered a question in time. No definition waits for this: it belongs to the handler
    /// that asked.
    Timeout,
}

impl EventKind {
    /// Those that definitions name.
    pub const NAMED: [(&'static str, Self); 9] = [
        ("message", Self::Message),
        ("status", Self::Status),
        ("joined", Self::Joined),
        ("left", Self::Left),
        ("state", Self::State),
        ("assigned", Self::Assigned),
        ("tagged", Self::Tagged),
        ("unanswered", Self::Unanswered),
        ("platform", Self::Platform),
    ];
    /// How many there are.
    pub(super) const COUNT: usize = Self::NAMED.len() + 1;

    /// Its stable name.
    pub fn name(self) -> &'static str {
        let named = Self::NAMED.iter().find(|(_, kind)| *kind == self);
        named.map_or("timeout", |(name, _)| name)
    }

    /// Whether somebody did it, so that `from` means something.
    pub(super) fn has_source(self) -> bool {
        !matches!(self, Self::Status | Self::Unanswered | Self::Platform | Self::Timeout)
    }
}

/// Who or what caused it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// A contact of a platform.
    Contact,
    /// Somebody who is connected: an agent, or a bot with a token.
    Person,
    /// The HTTP API, or a hook.
    Api,
    /// The answer of a command.
    Command,
    /// A handler.
    Handler,
    /// The server itself.
    System,
}

impl Source {
    /// (name, value)
    pub const ALL: [(&'static str, Self); 6] = [
        ("contact", Self::Contact),
        ("person", Self::Person),
        ("api", Self::Api),
        ("command", Self::Command),
        ("handler", Self::Handler),
        ("system", Self::System),
    ];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, source)| *source == self).expect("all are listed").0
    }
}

/// One thing that happened in a room, and what is known of the room. Made by
/// [`Occasion::new`] and the fields that the event has:
///
/// ```ignore
/// Occasion { sender, name, text, source: Source::Contact, ..Occasion::new(kind, now_ms, room) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// What kind of thing.
    pub kind: EventKind,
    /// Now, ms since 1970.
    pub now_ms: i64,
    /// Where.
    pub room: &'a str,
    /// Our number, when the room is a conversation with a contact.
    pub number: Option<&'a str>,
    /// The user who did it, or whom it is about; empty when there is none.
    pub sender: &'a str,
    /// The sender's name as shown; empty when there is no other than `sender`.
    pub name: &'a str,
    /// Who caused it.
    pub source: Source,
    /// How many handlers stand behind it: 0 for what people do, else [`Planned::depth`] of what
    /// was performed.
    ///
    /// [`Planned::depth`]: super::Planned::depth
    pub depth: u8,
    /// Of a message: what it says. Of news of the platform: their JSON.
    pub text: &'a str,
    /// Of a message: `text`, `image`, `location`, `button_reply` and so on; see
    /// [`Content`](super::Content). Of news of the platform: the field of the webhook,
    /// `account_update` for instance.
    pub content_type: &'a str,
    /// Of a message: the id of the button or row that was tapped.
    pub choice: Option<&'a str>,
    /// Of a message: nobody has heard of this contact before.
    pub is_first_contact: bool,
    /// Of a conversation: `open`, `pending` or `resolved`, after the event; else empty.
    pub state: &'a str,
    /// Of a conversation: to whom it is given, after the event; empty for nobody.
    pub assignee: &'a str,
    /// Of a conversation: its tags, after the event.
    pub tags: &'a [Arc<str>],
    /// Of a status: `sent`, `delivered`, `read`, `failed` and so on.
    pub status: &'a str,
    /// Of a status: the platform's error number; 0: none.
    pub error: u32,
    /// Of `unanswered`: how long the contact had waited when this was last considered, ms.
    pub unanswered_from_ms: i64,
    /// Of `unanswered`: how long the contact has waited, ms.
    pub unanswered_ms: i64,
    /// The question that waits in this room: what the last [`Action::Step`] gave.
    ///
    /// [`Action::Step`]: super::Action::Step
    pub step: Option<&'a str>,
}

impl<'a> Occasion<'a> {
    /// Something of which nothing more is known.
    pub fn new(kind: EventKind, now_ms: i64, room: &'a str) -> Self {
        Self {
            kind,
            now_ms,
            room,
            number: split_conversation(room).map(|(number, _)| number),
            sender: "",
            name: "",
            source: Source::System,
            depth: 0,
            text: "",
            content_type: "text",
            choice: None,
            is_first_contact: false,
            state: "",
            assignee: "",
            tags: &[],
            status: "",
            error: 0,
            unanswered_from_ms: 0,
            unanswered_ms: 0,
            step: None,
        }
    }

    /// Whether a question was not answered in time.
    pub(super) fn is_timeout(&self) -> bool {
        self.kind == EventKind::Timeout
    }

    /// The name by which people are addressed.
    pub(super) fn display(&self) -> &'a str {
        if self.name.is_empty() { self.sender } else { self.name }
    }

    /// As a call tells it to others: what the event does not have is left out.
    pub fn json(&self) -> Value {
        let mut value = json!({
            "event": self.kind.name(),
            "ts": self.now_ms,
            "room": self.room,
            "from": self.source.name(),
        });
        let texts = [
            ("number", self.number.unwrap_or("")),
            ("sender", self.sender),
            ("name", self.display()),
            ("text", self.text),
            ("choice", self.choice.unwrap_or("")),
            ("state", self.state),
            ("assignee", self.assignee),
            ("status", self.status),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            value[name] = text.into();
        }
        if matches!(self.kind, EventKind::Message | EventKind::Platform) {
            value["type"] = self.content_type.into();
        }
        if self.kind == EventKind::Message {
            value["first_contact"] = self.is_first_contact.into();
        }
        if !self.tags.is_empty() {
            value["tags"] = self.tags.iter().map(|tag| &**tag).collect();
        }
        if self.error != 0 {
            value["error"] = self.error.into();
        }
        if self.unanswered_ms != 0 {
            value["unanswered_min"] = (self.unanswered_ms / 60_000).into();
        }
        value
    }
}
