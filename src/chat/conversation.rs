//! What a room with a contact of a platform knows beside its messages: who the contact is, how far
//! the conversation is and who is in charge of it, until when the contact may be written to freely,
//! and which messages have no outcome yet.

use super::event::{ContactIds, ConversationChange, ConversationState, Name};
use crate::base::ids::Offset;
use crate::base::limits::{CONTACT_WINDOW_MS, TAGS_MAX, UNREAD_MAX};
use crate::base::names::{contact_user, split_conversation};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The status of a message that is about to be called. What is called and has no other status is
/// not sent again.
pub const CALLING: &str = "calling";
/// The status of a message that was called in vain and waits for another attempt.
pub const QUEUED: &str = "queued";

/// The status of a message that the platform has taken: its answer to the call.
pub const ACCEPTED: &str = "accepted";

/// A message on its way out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pending {
    /// When it was written, ms since 1970.
    pub at_ms: i64,
    /// A plain text, or what a room shows of something richer.
    pub text: Box<str>,
    /// What the log has with it.
    pub extra: Box<str>,
    /// It was about to be called, and nothing else is known.
    pub called: bool,
}

/// Under which ids a contact is known. Any of them may be absent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    /// The business-scoped user id, which stays when the phone number is hidden.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub user_id: Box<str>,
    /// The same for several businesses of one owner.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub parent_user_id: Box<str>,
    /// The phone number, digits.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub wa_id: Box<str>,
    /// The name by which the platform finds them.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub username: Box<str>,
    /// What they call themselves.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: Box<str>,
}

impl Contact {
    /// What the platform says of somebody.
    pub fn new(ids: ContactIds, name: Box<str>) -> Self {
        Self {
            user_id: ids.user_id.unwrap_or_default(),
            parent_user_id: ids.parent_user_id.unwrap_or_default(),
            wa_id: ids.wa_id.unwrap_or_default(),
            username: ids.username.unwrap_or_default(),
            name,
        }
    }

    /// Whether a contact of whom the platform says this has nothing to be learned of.
    pub fn knows(&self, ids: &ContactIds, name: &str) -> bool {
        let fields = [
            (&self.user_id, ids.user_id.as_deref()),
            (&self.parent_user_id, ids.parent_user_id.as_deref()),
            (&self.wa_id, ids.wa_id.as_deref()),
            (&self.username, ids.username.as_deref()),
            (&self.name, Some(name)),
        ];
        let knows = |known: &str, newer: &str| newer.is_empty() || known == newer;
        fields.iter().all(|(known, newer)| newer.is_none_or(|newer| knows(known, newer)))
    }

    /// Takes over what is known better now. Gives whether that is news.
    pub fn learn(&mut self, newer: &Self) -> bool {
        let mut news = false;
        let fields = [
            (&mut self.user_id, &newer.user_id),
            (&mut self.parent_user_id, &newer.parent_user_id),
            (&mut self.wa_id, &newer.wa_id),
            (&mut self.username, &newer.username),
            (&mut self.name, &newer.name),
        ];
        for (known, newer) in fields {
            if !newer.is_empty() && known != newer {
                known.clone_from(newer);
                news = true;
            }
        }
        news
    }

    /// As the log has it.
    pub fn text(&self) -> Box<str> {
        serde_json::to_string(self).expect("our own values serialise").into()
    }

    /// Reads [`Contact::text`]; what cannot be read has no fields.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// The side of a room that looks to the platform.
#[derive(Debug, Default)]
pub struct Conversation {
    /// Who the contact is.
    pub contact: Contact,
    /// How far it is.
    pub state: ConversationState,
    /// Who is in charge.
    pub assignee: Option<Name>,
    /// In order.
    pub tags: BTreeSet<Box<str>>,
    /// Since when the contact waits for an answer, ms since 1970.
    pub waiting_ms: Option<i64>,
    /// For the wait that began then, ms since 1970: how long it was when handlers considered it
    /// last, ms.
    pub considered: Option<(i64, i64)>,
    /// When it was opened last: how long answers take counts from there.
    pub opened_ms: i64,
    /// When it was first answered since.
    pub responded_ms: Option<i64>,
    /// When it was resolved last.
    pub resolved_ms: Option<i64>,
    /// When anything was said last, ms since 1970.
    pub active_ms: i64,
    /// Positions of the contact's newest messages.
    heard: VecDeque<Offset>,
    /// Where it stands in the inbox.
    pub placed_ms: Option<i64>,
    /// Whether it stands in the hub's list of conversations that changed.
    pub in_dirty_list: bool,
    /// When the contact last wrote, by the platform's clock, ms since 1970; 0: never.
    heard_ms: i64,
    /// The contact's newest message: its position and the platform's id.
    newest: Option<(Offset, Box<str>)>,
    /// The newest message that the platform knows was read.
    read: Offset,
    /// Messages without an outcome.
    pub pending: BTreeMap<Offset, Pending>,
}

impl Conversation {
    /// The contact wrote.
    pub fn heard(&mut self, at_ms: i64, o: Offset, external: Box<str>) {
        self.heard_ms = self.heard_ms.max(at_ms);
        self.active_ms = self.active_ms.max(at_ms);
        self.waiting_ms.get_or_insert(at_ms);
        if self.opened_ms == 0 {
            self.opened_ms = at_ms;
        }
        if self.heard.back().is_none_or(|last| *last < o) {
            if self.heard.len() == UNREAD_MAX {
                self.heard.pop_front();
            }
            self.heard.push_back(o);
        }
        if self.newest.as_ref().is_none_or(|(newest, _)| o > *newest) && !external.is_empty() {
            self.newest = Some((o, external));
        }
    }

    /// What a snapshot knows of the contact's messages: their answers it knows too.
    pub fn recall_heard(&mut self, at_ms: i64, o: Offset) {
        let settled = self.responded_ms.is_some() || self.state == ConversationState::Resolved;
        let waiting_ms = self.waiting_ms;
        self.heard(at_ms, o, "".into());
        if settled {
            self.waiting_ms = waiting_ms;
        }
    }

    /// Whether the contact never wrote before.
    pub fn is_new(&self) -> bool {
        self.heard_ms == 0
    }

    /// Messages of the contact above a position, at most [`UNREAD_MAX`].
    pub fn unread(&self, read: Offset) -> usize {
        self.heard.len() - self.heard.partition_point(|o| *o <= read)
    }

    /// Somebody answered.
    pub fn answered(&mut self, at_ms: i64) {
        self.waiting_ms = None;
        self.active_ms = self.active_ms.max(at_ms);
        self.responded_ms.get_or_insert(at_ms);
    }

    /// Whether a change is none: it is so already, or there are too many tags.
    pub fn is_idle(&self, change: &ConversationChange) -> bool {
        match change {
            ConversationChange::State(state) => self.state == *state,
            ConversationChange::Assign(user) => self.assignee == *user,
            ConversationChange::Tag(tag) => {
                self.tags.contains(tag) || self.tags.len() >= TAGS_MAX || tag.is_empty()
            }
            ConversationChange::Untag(tag) => !self.tags.contains(tag),
            ConversationChange::Contact(text) => Contact::read(text) == self.contact,
            // Of a room and of a name, and not of a conversation.
            ConversationChange::Step(_) | ConversationChange::Link(_) => true,
            ConversationChange::Turn { waiting } => self.waiting_ms.is_some() == *waiting,
        }
    }

    /// Carries out a change that was made at `at_ms`.
    pub fn apply(&mut self, change: &ConversationChange, at_ms: i64) {
        match change {
            ConversationChange::State(state) => {
                if *state == ConversationState::Resolved {
                    self.resolved_ms = Some(at_ms);
                    self.waiting_ms = None;
                } else if self.state == ConversationState::Resolved {
                    self.opened_ms = at_ms;
                    self.responded_ms = None;
                    self.resolved_ms = None;
                }
                self.state = *state;
            }
            ConversationChange::Assign(user) => self.assignee.clone_from(user),
            ConversationChange::Tag(tag) if tag.is_empty() => {}
            ConversationChange::Tag(tag) => drop(self.tags.insert(tag.clone())),
            ConversationChange::Untag(tag) => drop(self.tags.remove(tag)),
            ConversationChange::Contact(text) => self.contact = Contact::read(text),
            ConversationChange::Step(_) | ConversationChange::Link(_) => {}
            ConversationChange::Turn { waiting: true } => drop(self.waiting_ms.insert(at_ms)),
            ConversationChange::Turn { waiting: false } => self.answered(at_ms),
        }
        self.active_ms = self.active_ms.max(at_ms);
    }

    /// How long the wait that began at `since_ms` was when handlers considered it last, ms.
    pub fn considered_ms(&self, since_ms: i64) -> i64 {
        self.considered.filter(|(wait, _)| *wait == since_ms).map_or(0, |(_, for_ms)| for_ms)
    }

    /// To which id a message goes, the conversation being named by another perhaps: the phone
    /// number takes all kinds of messages.
    pub fn address(&self) -> Option<&str> {
        let ids = [&*self.contact.wa_id, &*self.contact.user_id];
        ids.into_iter().find(|id| !id.is_empty())
    }

    /// Until when anything may be sent, ms since 1970.
    pub fn window_until_ms(&self) -> i64 {
        if self.heard_ms == 0 { 0 } else { self.heard_ms.saturating_add(CONTACT_WINDOW_MS) }
    }

    /// Somebody has read up to `read`: the platform's id of the contact's newest message, if it is
    /// among what was read and the platform does not know yet.
    pub fn take_read(&mut self, read: Offset) -> Option<Box<str>> {
        let (o, external) = self.newest.as_ref()?;
        if *o > read || *o <= self.read {
            return None;
        }
        self.read = *o;
        Some(external.clone())
    }

    /// The platform's id of the contact's newest message.
    pub fn newest(&self) -> Option<&str> {
        self.newest.as_ref().map(|(_, external)| &**external)
    }
}

/// The user that stands for the contact of a conversation's room.
pub fn contact_of(room: &str) -> Name {
    let (_, contact) = split_conversation(room).unwrap_or_default();
    contact_user(contact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_the_newest_message() {
        let mut conversation = Conversation::default();
        assert_eq!(conversation.window_until_ms(), 0);
        conversation.heard(5_000, Offset(2), "wamid.2".into());
        conversation.heard(1_000, Offset(1), "wamid.1".into());
        assert_eq!(conversation.window_until_ms(), 5_000 + CONTACT_WINDOW_MS);
        assert_eq!(conversation.newest(), Some("wamid.2"));
    }

    #[test]
    fn a_receipt_is_sent_once() {
        let mut conversation = Conversation::default();
        assert_eq!(conversation.take_read(Offset(9)), None);
        conversation.heard(1, Offset(3), "wamid.3".into());
        assert_eq!(conversation.take_read(Offset(2)), None);
        assert_eq!(conversation.take_read(Offset(3)).as_deref(), Some("wamid.3"));
        assert_eq!(conversation.take_read(Offset(4)), None);
    }
}
