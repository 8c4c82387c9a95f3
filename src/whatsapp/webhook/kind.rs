//! What a message is: one variant for each `type` of the platform, with what is read of it.

use super::Person;
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::whatsapp::send::MediaKind;

type Word<'a> = Option<Cow<'a, str>>;

/// What a message is.
#[derive(Clone, Debug)]
pub enum Kind<'a> {
    /// Plain text.
    Text {
        /// As written; may contain line breaks and any other character.
        body: Cow<'a, str>,
    },
    /// A file.
    Media(Media<'a>),
    /// A place.
    Location(Place<'a>),
    /// Address cards.
    Contacts(Vec<Card<'a>>),
    /// A tapped button: of a message with buttons, or of a template.
    ButtonReply {
        /// What we named the button.
        id: Word<'a>,
        /// What is on it.
        title: Word<'a>,
    },
    /// A chosen row of a list.
    ListReply {
        /// What we named the row.
        id: Word<'a>,
        /// Its title.
        title: Word<'a>,
        /// The words below it.
        description: Word<'a>,
    },
    /// A form that was filled in.
    FlowReply {
        /// `flow` or `address_message`.
        name: Word<'a>,
        /// What the contact sees of it, `Sent`.
        body: Word<'a>,
        /// The answers: JSON within a string.
        response_json: Word<'a>,
    },
    /// Whether we may call.
    CallPermission {
        /// `accept` or `reject`.
        response: Word<'a>,
        /// Until when, seconds since 1970.
        expires_s: Option<i64>,
        /// `user_action` or `automatic`.
        source: Word<'a>,
    },
    /// An emoji on a message.
    Reaction {
        /// The message's `wamid`.
        of: Word<'a>,
        /// The emoji; empty when it was taken back.
        emoji: Cow<'a, str>,
    },
    /// Products of our catalog that somebody wants.
    Order {
        /// The catalog.
        catalog_id: Word<'a>,
        /// What they wrote with it.
        text: Word<'a>,
        /// The products.
        items: Vec<OrderItem<'a>>,
    },
    /// The person has other ids from now on.
    Relink(Box<Relink<'a>>),
    /// Another notice of the platform, as of new encryption keys.
    System {
        /// Its `system.type`, `customer_identity_changed` for instance.
        name: Word<'a>,
        /// The platform's words.
        body: Word<'a>,
    },
    /// Something that the platform does not show to businesses.
    Unsupported {
        /// What it was, `poll_creation` for instance. Absent in old webhooks.
        name: Word<'a>,
    },
    /// A new form of an earlier message.
    Edit {
        /// The `wamid` of that.
        of: Cow<'a, str>,
        /// What it is now.
        now: Box<Kind<'a>>,
    },
    /// An earlier message was taken back.
    Revoke {
        /// The `wamid` of that.
        of: Cow<'a, str>,
    },
    /// Any other `type`, also those that Meta has yet to invent.
    Other {
        /// The `type`; empty when there is none.
        name: Cow<'a, str>,
    },
}

/// A file. The platform keeps it for 7 days.
#[derive(Clone, Debug)]
pub struct Media<'a> {
    /// Which kind of message.
    pub kind: MediaKind,
    /// By which it can be downloaded.
    pub id: Word<'a>,
    /// What the sender's device says it is.
    pub mime_type: Word<'a>,
    /// Digest of the bytes, in hexadecimal or base64.
    pub sha256: Word<'a>,
    /// From where it can be downloaded for five minutes, with our token.
    pub url: Word<'a>,
    /// What was written below it.
    pub caption: Word<'a>,
    /// Of documents.
    pub filename: Word<'a>,
    /// Of audio: a voice note.
    pub voice: bool,
    /// Of stickers: it moves.
    pub animated: bool,
}

/// A place.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the words of the webhook")]
pub struct Place<'a> {
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    pub name: Word<'a>,
    pub address: Word<'a>,
    pub url: Word<'a>,
}

/// An address card.
#[derive(Clone, Debug)]
pub struct Card<'a> {
    /// How the person is called: the formatted name, or what there is of the parts.
    pub name: Word<'a>,
    /// The first phone number, as written.
    pub phone: Word<'a>,
    /// The card's JSON.
    pub raw: &'a RawValue,
}

/// A product that was ordered.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the words of the webhook")]
pub struct OrderItem<'a> {
    pub product: Word<'a>,
    pub quantity: Option<f64>,
    /// Of one piece.
    pub price: Option<f64>,
    pub currency: Word<'a>,
}

/// The old and the new ids of a person.
#[derive(Clone, Debug)]
pub struct Relink<'a> {
    /// `user_changed_number` or `user_changed_user_id`.
    pub name: Cow<'a, str>,
    /// The platform's words.
    pub body: Word<'a>,
    /// Before.
    pub previous: Person<'a>,
    /// From now on.
    pub current: Person<'a>,
}
