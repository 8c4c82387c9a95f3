//! What a room with a contact of a platform knows about sending to it: until when the contact may
//! be written to freely, and which messages have no outcome yet.

use super::event::Name;
use crate::base::ids::Offset;
use crate::base::limits::CONTACT_WINDOW_MS;
use crate::base::names::{PLATFORM_PREFIX, split_conversation};
use std::collections::BTreeMap;

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

/// The side of a room that looks to the platform.
#[derive(Debug, Default)]
pub struct Conversation {
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
    pub fn heard(&mut self, at_ms: i64, o: Offset, external: &str) {
        self.heard_ms = self.heard_ms.max(at_ms);
        if self.newest.as_ref().is_none_or(|(newest, _)| o > *newest) && !external.is_empty() {
            self.newest = Some((o, external.into()));
        }
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
    format!("{PLATFORM_PREFIX}{contact}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_the_newest_message() {
        let mut conversation = Conversation::default();
        assert_eq!(conversation.window_until_ms(), 0);
        conversation.heard(5_000, Offset(2), "wamid.2");
        conversation.heard(1_000, Offset(1), "wamid.1");
        assert_eq!(conversation.window_until_ms(), 5_000 + CONTACT_WINDOW_MS);
        assert_eq!(conversation.newest(), Some("wamid.2"));
    }

    #[test]
    fn a_receipt_is_sent_once() {
        let mut conversation = Conversation::default();
        assert_eq!(conversation.take_read(Offset(9)), None);
        conversation.heard(1, Offset(3), "wamid.3");
        assert_eq!(conversation.take_read(Offset(2)), None);
        assert_eq!(conversation.take_read(Offset(3)).as_deref(), Some("wamid.3"));
        assert_eq!(conversation.take_read(Offset(4)), None);
    }
}
