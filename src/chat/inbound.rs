//! What a platform's webhooks tell rooms.

use super::record::Name;
use crate::base::ids::Offset;

/// A message or a delivery status from a platform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inbound {
    /// The conversation's room.
    pub room: Name,
    /// The platform user, as a user of ours.
    pub user: Name,
    /// All that the platform calls the contact of this conversation: who wrote, whom an echo went
    /// to, whose step a status is; nobody in a group. Of an [`InboundBody::Relink`], what they are
    /// called from now on.
    pub ids: ContactIds,
    /// The platform's id of the message: the key of deduplication.
    pub external: Box<str>,
    /// What it is.
    pub body: InboundBody,
}

/// Something that a platform told and that belongs into no room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlatformNews {
    /// What makes it the same news when it comes again.
    pub print: u128,
    /// Our number that it is about; empty for none.
    pub number: Box<str>,
    /// The field of the webhook.
    pub field: Box<str>,
    /// The front of its JSON that handlers may see.
    pub json: Box<str>,
}

/// The names by which a platform knows one contact. Any of them may be absent, and each may change
/// while the others stay.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContactIds {
    /// The id that is scoped to the business.
    pub user_id: Option<Box<str>>,
    /// The id that is scoped to several businesses of one owner.
    pub parent_user_id: Option<Box<str>>,
    /// The phone number, digits.
    pub wa_id: Option<Box<str>>,
    /// The name that the contact chose, without a leading `@`.
    pub username: Option<Box<str>>,
}

/// The kinds of [`Inbound`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InboundBody {
    /// A message of the contact.
    Message {
        /// The profile name, may be empty.
        name: Box<str>,
        /// What is shown in the room.
        text: Box<str>,
        /// When it was written, by the platform's clock, ms since 1970; `None`: it did not say.
        at_ms: Option<i64>,
        /// What it is besides its text, a JSON object with a `type`; `None` for plain text.
        content: Option<Box<str>>,
        /// The platform's id of the message that it answers.
        about: Option<Box<str>>,
    },
    /// A message of ours that was written elsewhere, in the platform's own app: it is on its way
    /// already.
    Echo {
        /// What is shown in the room.
        text: Box<str>,
        /// As of a message.
        content: Option<Box<str>>,
        /// As of a message.
        about: Option<Box<str>>,
    },
    /// A new text for a message.
    Edit {
        /// The platform's id of the message.
        of: Box<str>,
        /// The new text.
        text: Box<str>,
        /// As of a message, for when the message is not known here.
        content: Box<str>,
        /// We did it, in the platform's own app; else the contact.
        is_echo: bool,
    },
    /// A message was taken back.
    Revoke {
        /// The platform's id of the message.
        of: Box<str>,
        /// What is shown when it is not known here,
        text: Box<str>,
        /// and its content.
        content: Box<str>,
        /// As of an edit.
        is_echo: bool,
    },
    /// The contact is known by other ids from now on: those of [`Inbound::ids`].
    Relink {
        /// What it was known by before, as far as the platform says.
        previous: ContactIds,
        /// The platform's words.
        text: Box<str>,
        /// As of a message.
        content: Box<str>,
    },
    /// Something else that the platform says in this conversation.
    Notice {
        /// In words.
        text: Box<str>,
        /// As of a message.
        content: Box<str>,
    },
    /// A delivery status of a message we sent.
    Status {
        /// Its position in the room, when it was sent from here.
        of: Option<Offset>,
        /// `sent`, `delivered`, `read`, `played`, `failed`, or what the platform adds next.
        status: Box<str>,
        /// The platform's error code, 0 for none.
        error: u32,
        /// What the log keeps with it, a JSON object; may be empty.
        extra: Box<str>,
    },
}

impl InboundBody {
    /// Whether we did this, in the platform's own app, and not the contact.
    pub fn is_echo(&self) -> bool {
        match self {
            Self::Echo { .. } => true,
            Self::Edit { is_echo, .. } | Self::Revoke { is_echo, .. } => *is_echo,
            _ => false,
        }
    }
}
