//! Which message of which room a number of the lanes means.

use crate::base::hash::Map;
use crate::base::ids::Offset;
use crate::chat::event::Name;
use crate::whatsapp::lanes::{MessageId, UNKNOWN_MAX};
use std::collections::VecDeque;

/// Messages without an outcome, and those of unknown outcome as long as the lanes remember them.
#[derive(Debug, Default)]
pub(super) struct Letters {
    last: u64,
    places: Map<MessageId, (Name, Offset)>,
    names: Map<(Name, Offset), MessageId>,
    unknown: VecDeque<MessageId>,
}

impl Letters {
    /// The number of a message, new unless it has one.
    pub fn name(&mut self, room: &Name, o: Offset) -> MessageId {
        if let Some(known) = self.find(room, o) {
            return known;
        }
        self.last += 1;
        let message = MessageId(self.last);
        self.places.insert(message, (room.clone(), o));
        self.names.insert((room.clone(), o), message);
        message
    }

    /// The number of a message that has one.
    pub fn find(&self, room: &Name, o: Offset) -> Option<MessageId> {
        self.names.get(&(room.clone(), o)).copied()
    }

    /// Where a message is. The lanes speak of none that was forgotten.
    pub fn place(&self, message: MessageId) -> (Name, Offset) {
        self.places.get(&message).expect("a message has a place until it is forgotten").clone()
    }

    /// Nobody will speak of it again.
    pub fn forget(&mut self, message: MessageId) {
        if let Some(place) = self.places.remove(&message) {
            self.names.remove(&place);
        }
    }

    /// It may be spoken of, until so many others are unknown too.
    pub fn keep_unknown(&mut self, message: MessageId) {
        self.unknown.push_back(message);
        if self.unknown.len() > UNKNOWN_MAX
            && let Some(oldest) = self.unknown.pop_front()
        {
            self.forget(oldest);
        }
    }
}
