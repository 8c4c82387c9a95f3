//! What is to go, and what stands for it afterwards.

use crate::base::names::{PLATFORM_PREFIX, rule_fits, split_conversation};
use crate::log::record::EraseScope;
use serde::{Deserialize, Serialize};

/// A platform id shorter than this is only looked for as a whole word of a body: a short number
/// stands by chance inside others.
const NEEDLE_BYTES_MIN: usize = 7;

/// What is to go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "lowercase")]
pub enum Target {
    /// What a user said, and what they were called; of a contact of WhatsApp the conversations
    /// too, which are called after them.
    User {
        /// Their name.
        user: String,
    },
    /// What was said in a room; of a conversation of WhatsApp the number in its name too.
    Room {
        /// Its name.
        room: String,
    },
    /// One message with its edits.
    Message {
        /// Its room.
        room: String,
        /// Its position there.
        o: u64,
    },
    /// What was said in some rooms before a time. Names stay.
    Aged {
        /// The rules; the first that fits a room holds for it.
        rules: Vec<AgeRule>,
    },
}

/// How long the texts of some rooms are kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgeRule {
    /// A room's name, or the beginning of names followed by `*`.
    pub rooms: String,
    /// Texts from before this time go, microseconds since 1970.
    pub before_us: i64,
}

impl AgeRule {
    /// Whether it is about this room.
    pub fn fits(&self, room: &str) -> bool {
        rule_fits(&self.rooms, room)
    }
}

impl Target {
    /// The number of its kind in the log.
    pub fn scope(&self) -> EraseScope {
        match self {
            Self::User { .. } => EraseScope::User,
            Self::Room { .. } => EraseScope::Room,
            Self::Message { .. } => EraseScope::Message,
            Self::Aged { .. } => EraseScope::Retention,
        }
    }

    /// What a finished request says instead: nothing that names anybody.
    pub fn disguised(&self, pseudonym: &str) -> Self {
        let name = pseudonym.to_owned();
        match self {
            Self::User { .. } => Self::User { user: name },
            // A room goes on under its name, unless that is somebody's number.
            Self::Room { room } if split_conversation(room).is_none() => {
                Self::Room { room: room.clone() }
            }
            Self::Room { .. } => Self::Room { room: name },
            Self::Message { room, o } if split_conversation(room).is_none() => {
                Self::Message { room: room.clone(), o: *o }
            }
            Self::Message { o, .. } => Self::Message { room: name, o: *o },
            Self::Aged { rules } => Self::Aged { rules: rules.clone() },
        }
    }

    /// What `user` is called from now on; `None`: as before.
    pub fn renamed_user(&self, user: &str, pseudonym: &str) -> Option<String> {
        match self {
            Self::User { user: subject } if subject == user => {
                let prefix = if user.starts_with(PLATFORM_PREFIX) { PLATFORM_PREFIX } else { "" };
                Some(format!("{prefix}{pseudonym}"))
            }
            _ => None,
        }
    }

    /// What `room` is called from now on; `None`: as before. The business's own number stays, so
    /// that rooms of one contact with two numbers stay two.
    pub fn renamed_room(&self, room: &str, pseudonym: &str) -> Option<String> {
        let hit = match self {
            Self::User { .. } => self.is_conversation(room),
            Self::Room { room: subject } => subject == room,
            Self::Message { .. } | Self::Aged { .. } => false,
        };
        let (number, _) = split_conversation(room)?;
        hit.then(|| format!("{PLATFORM_PREFIX}{number}:{pseudonym}"))
    }

    /// Whether everything said in `room` at `ts_us` goes.
    pub fn covers_room(&self, room: &str, ts_us: i64) -> bool {
        match self {
            Self::User { .. } => self.is_conversation(room),
            Self::Room { room: subject } => subject == room,
            Self::Message { .. } => false,
            Self::Aged { rules } => {
                rules.iter().find(|rule| rule.fits(room)).is_some_and(|rule| ts_us < rule.before_us)
            }
        }
    }

    /// Whether everything that `user` said goes.
    pub fn covers_user(&self, user: &str) -> bool {
        matches!(self, Self::User { user: subject } if subject == user)
    }

    /// Whether it is about the age of what was said and not about anybody: then what still holds,
    /// such as a topic, stays.
    pub fn is_by_age(&self) -> bool {
        matches!(self, Self::Aged { .. })
    }

    /// The id that the platform knows the subject by.
    pub fn platform_id(&self) -> Option<&str> {
        match self {
            Self::User { user } => user.strip_prefix(PLATFORM_PREFIX),
            Self::Room { room } => split_conversation(room).map(|(_, contact)| contact),
            Self::Message { .. } | Self::Aged { .. } => None,
        }
    }

    /// Whether a body of the platform speaks of the subject.
    pub fn is_named_in(&self, body: &[u8]) -> bool {
        let Some(id) = self.platform_id().map(str::as_bytes) else {
            return false;
        };
        if id.len() < NEEDLE_BYTES_MIN {
            return body.split(|byte| *byte == b'"').any(|word| word == id);
        }
        memchr::memmem::find(body, id).is_some()
    }

    /// Whether words given to a command name the subject.
    pub fn is_named_by(&self, words: &str) -> bool {
        let Self::User { user } = self else {
            return false;
        };
        words == user || words.split_whitespace().any(|word| word.trim_start_matches('@') == user)
    }

    fn is_conversation(&self, room: &str) -> bool {
        let contact = split_conversation(room).map(|(_, contact)| contact);
        contact.is_some() && contact == self.platform_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Target {
        Target::User { user: name.into() }
    }

    #[test]
    fn contacts_take_their_conversations_with_them() {
        let contact = user("wa:447700900123");
        let room = "wa:1102:447700900123";
        assert_eq!(contact.renamed_user("wa:447700900123", "erased-7").unwrap(), "wa:erased-7");
        assert_eq!(contact.renamed_room(room, "erased-7").unwrap(), "wa:1102:erased-7");
        assert!(contact.covers_room(room, 0) && !contact.covers_room("wa:1102:4477", 0));
        assert!(!contact.covers_room("447700900123", 0));
        assert_eq!(user("ann").renamed_room("ann", "erased-7"), None);
        assert_eq!(user("ann").renamed_user("ann", "erased-7").unwrap(), "erased-7");
        let whole = Target::Room { room: room.into() };
        assert_eq!(whole.renamed_room(room, "erased-7").unwrap(), "wa:1102:erased-7");
        assert_eq!(whole.renamed_user("wa:447700900123", "erased-7"), None);
        let hall = Target::Room { room: "hall".into() };
        assert!(hall.covers_room("hall", 0) && hall.renamed_room("hall", "x").is_none());
    }

    #[test]
    fn bodies_and_words_that_name_the_subject() {
        let check = |name, body: &str, want| {
            assert_eq!(user(name).is_named_in(body.as_bytes()), want, "{name} in {body}");
        };
        check("wa:447700900123", r#"{"from":"447700900123"}"#, true);
        check("wa:447700900123", r#"{"display":"+447700900123"}"#, true);
        check("wa:447700900123", r#"{"from":"447700900124"}"#, false);
        check("wa:4477", r#"{"from":"447700900123"}"#, false);
        check("wa:4477", r#"{"from":"4477"}"#, true);
        check("from", r#"{"from":"4477"}"#, false);
        assert!(user("ann").is_named_by("@ann moderator") && user("ann b").is_named_by("ann b"));
        assert!(!user("ann").is_named_by("anna") && !user("ann").is_named_by(""));
    }

    #[test]
    fn the_first_rule_that_fits_holds() {
        let rule = |rooms: &str, before_us| AgeRule { rooms: rooms.into(), before_us };
        let aged = Target::Aged { rules: vec![rule("support/vip", 10), rule("support/*", 20)] };
        for (room, ts_us, want) in [
            ("support/a", 19, true),
            ("support/a", 20, false),
            ("support/vip", 15, false),
            ("support/vip", 9, true),
            ("sales", 0, false),
        ] {
            assert_eq!(aged.covers_room(room, ts_us), want, "{room} at {ts_us}");
        }
    }
}
