//! What rooms were when something happened, from the records before it.

use crate::base::hash::Map;
use crate::base::names::split_conversation;
use crate::handlers::{EventKind, Occasion};
use crate::log::record::ConversationAction;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The states of a conversation, as records have them.
const STATES: [&str; 3] = ["open", "pending", "resolved"];

/// Every room that the log has named so far.
#[derive(Debug, Default)]
pub(super) struct Past {
    rooms: Map<Box<str>, Room>,
    /// When who waits for an answer is to be looked at, ms since 1970.
    due: BTreeSet<(i64, Box<str>)>,
}

/// A room, as far as handlers ask for it.
#[derive(Debug)]
struct Room {
    was_heard: bool,
    state: &'static str,
    assignee: Box<str>,
    tags: Vec<Arc<str>>,
    /// What waits for an answer; empty: nothing.
    step: Box<str>,
    waiting: Option<Waiting>,
}

/// A contact waits for an answer.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    since_ms: i64,
    /// How long the contact had waited when handlers were last asked.
    asked_ms: i64,
    /// When they are asked next, if ever.
    due_ms: Option<i64>,
}

/// Somebody has waited: in which room, how long when it was last considered, and how long now.
pub(super) struct Waited {
    pub(super) now_ms: i64,
    pub(super) room: Box<str>,
    pub(super) from_ms: i64,
    pub(super) waited_ms: i64,
}

/// After how long handlers want to know of a wait, if it has lasted so long already.
pub(super) type Next<'n> = &'n dyn Fn(i64) -> Option<i64>;

impl Default for Room {
    fn default() -> Self {
        Self {
            was_heard: false,
            state: STATES[0],
            assignee: "".into(),
            tags: Vec::new(),
            step: "".into(),
            waiting: None,
        }
    }
}

impl Past {
    fn room(&mut self, name: &str) -> &mut Room {
        if !self.rooms.contains_key(name) {
            self.rooms.insert(name.into(), Room::default());
        }
        self.rooms.get_mut(name).expect("it was put there")
    }

    /// The contact of a room writes. Gives whether nobody has heard of them before.
    pub(super) fn contact_writes(&mut self, name: &str, at_ms: i64, next: Next<'_>) -> bool {
        let room = self.room(name);
        let is_first = !room.was_heard;
        room.was_heard = true;
        room.state = STATES[0];
        if room.waiting.is_none() {
            let due_ms = next(0).map(|wait_ms| at_ms.saturating_add(wait_ms));
            room.waiting = Some(Waiting { since_ms: at_ms, asked_ms: 0, due_ms });
            self.due.extend(due_ms.map(|due_ms| (due_ms, name.into())));
        }
        is_first
    }

    /// A person answers the contact.
    pub(super) fn is_answered(&mut self, name: &str) {
        if let Some(room) = self.rooms.get_mut(name) {
            room.waiting = None;
        }
    }

    /// A record of the conversation. Gives the event that it is for handlers, if it is one.
    pub(super) fn changes(
        &mut self,
        name: &str,
        action: ConversationAction,
        value: &str,
    ) -> Option<EventKind> {
        let room = self.room(name);
        match action {
            ConversationAction::State => {
                room.state = STATES.into_iter().find(|state| *state == value)?;
                if room.state == "resolved" {
                    room.waiting = None;
                }
                Some(EventKind::State)
            }
            ConversationAction::Assign => {
                room.assignee = value.into();
                Some(EventKind::Assigned)
            }
            ConversationAction::Tag => {
                room.tags.retain(|tag| **tag != *value);
                room.tags.push(value.into());
                Some(EventKind::Tagged)
            }
            ConversationAction::Untag => {
                room.tags.retain(|tag| **tag != *value);
                Some(EventKind::Tagged)
            }
            ConversationAction::Step => {
                // Until when it waits stands before it.
                room.step = value.split_once(' ').map_or("", |(_, stored)| stored).into();
                None
            }
            ConversationAction::Turn if value == "answered" => {
                room.waiting = None;
                None
            }
            ConversationAction::Turn | ConversationAction::Contact | ConversationAction::Link => {
                None
            }
        }
    }

    /// The next who has waited long enough by `now_ms`, if there is one.
    pub(super) fn waited(&mut self, now_ms: i64, next: Next<'_>) -> Option<Waited> {
        loop {
            if self.due.first().is_none_or(|(due_ms, _)| *due_ms > now_ms) {
                return None;
            }
            let (due_ms, name) = self.due.pop_first().expect("looked at");
            let waiting = self.rooms.get_mut(&name).and_then(|room| room.waiting.as_mut());
            let Some(waiting) = waiting.filter(|waiting| waiting.due_ms == Some(due_ms)) else {
                continue;
            };
            let (from_ms, waited_ms) = (waiting.asked_ms, due_ms - waiting.since_ms);
            waiting.asked_ms = waited_ms;
            waiting.due_ms = next(waited_ms).map(|wait_ms| waiting.since_ms + wait_ms);
            self.due.extend(waiting.due_ms.map(|due_ms| (due_ms, name.clone())));
            return Some(Waited { now_ms: due_ms, room: name, from_ms, waited_ms });
        }
    }

    /// The occasion with what the room is now.
    pub(super) fn describe<'o>(&'o self, occasion: Occasion<'o>) -> Occasion<'o> {
        let is_conversation = split_conversation(occasion.room).is_some();
        let Some(room) = self.rooms.get(occasion.room).filter(|_| is_conversation) else {
            return occasion;
        };
        Occasion {
            state: room.state,
            assignee: &room.assignee,
            tags: &room.tags,
            step: (!room.step.is_empty()).then_some(&*room.step),
            ..occasion
        }
    }
}
