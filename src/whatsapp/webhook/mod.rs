//! The webhook's JSON, as one flat list of what happened.
//!
//! ```text
//! object ─ entry[] ─ changes[] ┬ field "messages" ─ value ┬ messages[] ─▶ Update::Message
//!                              │                          ├ statuses[] ─▶ Update::Status
//!                              │                          └ errors[]   ─▶ Update::Unknown
//!                              ├ "smb_message_echoes" ─ message_echoes[] ─▶ Update::Echo
//!                              └ any other field ────────────────────────▶ Update::Unknown
//! ```
//!
//! One body may hold several accounts, numbers and people. Routing goes by `phone_number_id`, per
//! change. Order of keys means nothing. Nothing is dropped: the number of updates is the number of
//! items in the body, and each carries its JSON for the log. A field of a wrong shape is an absent
//! field.
//!
//! What a person reads of a message is [`Inbound::text`], and what a program reads
//! [`Inbound::content`].

use super::room::room_name;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

mod content;

mod extra;

mod json;

mod kind;
pub use kind::{Card, Kind, Media, OrderItem, Place, Relink};

mod message;

mod parse;
pub use parse::{Updates, parse, read};

mod shape;

mod words;

#[cfg(test)]
mod tests;

/// The webhook field of messages and their statuses.
pub const FIELD_MESSAGES: &str = "messages";

/// One thing that happened on the platform. Borrows from the body.
#[derive(Clone, Debug)]
pub enum Update<'a> {
    /// Somebody wrote to one of our numbers.
    Message(Box<Inbound<'a>>),
    /// Somebody of ours wrote in the platform's own app, by a number that is also used there. Of
    /// the message, `contact` is whom it went to.
    Echo(Box<Inbound<'a>>),
    /// A message of ours has come further on its way.
    Status(Box<DeliveryStatus<'a>>),
    /// Anything else: to be logged and passed on.
    Unknown(Unknown<'a>),
}

impl Update<'_> {
    /// The webhook field it came in.
    pub fn field(&self) -> &str {
        match self {
            Self::Message(_) | Self::Status(_) => FIELD_MESSAGES,
            Self::Echo(_) => "smb_message_echoes",
            Self::Unknown(unknown) => &unknown.field,
        }
    }
}

/// A message between a person and a business number.
#[derive(Clone, Debug)]
pub struct Inbound<'a> {
    /// The business number's id: routes the message.
    pub phone_number_id: Cow<'a, str>,
    /// The business number for people, digits.
    pub display_phone: Option<Cow<'a, str>>,
    /// The person, by the strongest id.
    pub contact: ContactKey<'a>,
    /// The person, by all ids.
    pub person: Person<'a>,
    /// Of an echo: the number that it was written by, digits.
    pub author: Option<Cow<'a, str>>,
    /// The group, when it was written in one.
    pub group_id: Option<Cow<'a, str>>,
    /// Unique and opaque: the key to recognise a second delivery by.
    pub wamid: Cow<'a, str>,
    /// Seconds since 1970, by Meta's clock. `None` when it cannot be read.
    pub timestamp_s: Option<i64>,
    /// What was written.
    pub kind: Kind<'a>,
    /// What it belongs to.
    pub context: Context<'a>,
    /// The advertisement or post that led the person here.
    pub referral: Option<Referral<'a>>,
    /// What the platform could not do with it.
    pub errors: Vec<PlatformError<'a>>,
    /// Changes when the person's encryption keys do.
    pub identity_hash: Option<Cow<'a, str>>,
    /// The message's JSON.
    pub raw: &'a RawValue,
}

impl Inbound<'_> {
    /// The room of this conversation: the group's or the contact's. See [`room_name`] for `None`.
    pub fn room_name(&self) -> Option<Arc<str>> {
        let conversation = self.group_id.as_deref().unwrap_or(self.contact.as_str());
        room_name(&self.phone_number_id, conversation)
    }

    /// The `wamid` of the message that this one is about: the quoted one, or what is reacted to.
    pub fn about(&self) -> Option<&str> {
        match &self.kind {
            Kind::Reaction { of, .. } => of.as_deref(),
            _ => self.context.id.as_deref(),
        }
    }
}

/// A person, by the strongest id that Meta gave.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ContactKey<'a> {
    /// The business-scoped user id, `GB.7001…`: present since 2026, stable when a number is hidden.
    UserId(Cow<'a, str>),
    /// The phone number, digits: all that older webhooks have.
    WaId(Cow<'a, str>),
}

impl ContactKey<'_> {
    /// The id itself; the two kinds cannot be mistaken for each other, one begins with letters.
    pub fn as_str(&self) -> &str {
        match self {
            Self::UserId(id) | Self::WaId(id) => id,
        }
    }
}

/// All that Meta calls a person. Any of it may be absent: people who took a user name hide their
/// phone number from businesses that they have not written to for a month.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Person<'a> {
    /// The business-scoped user id. Another one after a change of the phone number.
    pub user_id: Option<Cow<'a, str>>,
    /// The same for several businesses of one owner, `GB.ENT.…`.
    pub parent_user_id: Option<Cow<'a, str>>,
    /// The phone number, digits.
    pub wa_id: Option<Cow<'a, str>>,
    /// The user name, without the `@` that some webhooks put before it.
    pub username: Option<Cow<'a, str>>,
    /// The name that they gave themselves.
    pub profile_name: Option<Cow<'a, str>>,
}

/// What a message belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Context<'a> {
    /// The `wamid` of the message it quotes, or whose button was tapped.
    pub id: Option<Cow<'a, str>>,
    /// Who wrote that, digits.
    pub from: Option<Cow<'a, str>>,
    /// It was written to somebody else before, at most five times.
    pub forwarded: bool,
    /// More than five times.
    pub frequently_forwarded: bool,
    /// The product that is asked about: catalog and product.
    pub product: Option<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Where a person clicked before they wrote, in Meta's words.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "the words of the webhook")]
pub struct Referral<'a> {
    pub source_url: Option<Cow<'a, str>>,
    pub source_id: Option<Cow<'a, str>>,
    /// `ad` or `post`.
    pub source_type: Option<Cow<'a, str>>,
    pub headline: Option<Cow<'a, str>>,
    pub body: Option<Cow<'a, str>>,
    pub media_type: Option<Cow<'a, str>>,
    pub image_url: Option<Cow<'a, str>>,
    pub video_url: Option<Cow<'a, str>>,
    pub thumbnail_url: Option<Cow<'a, str>>,
    /// The click, for reports of conversions. Absent for advertisements in a status.
    pub ctwa_clid: Option<Cow<'a, str>>,
    /// The text that greeted them.
    pub welcome: Option<Cow<'a, str>>,
}

/// A step of a message that we sent. Steps come out of order, more than once, or not at all.
#[derive(Clone, Debug)]
pub struct DeliveryStatus<'a> {
    /// The business number's id.
    pub phone_number_id: Cow<'a, str>,
    /// The message. In a group, one status per participant shares it.
    pub wamid: Cow<'a, str>,
    /// How far it came.
    pub status: DeliveryState<'a>,
    /// Seconds since 1970, by Meta's clock. `None` when it cannot be read.
    pub timestamp_s: Option<i64>,
    /// The contact's key as in [`ContactKey`], or the group's id.
    pub recipient: Option<Cow<'a, str>>,
    /// In a group: whose step this is. Part of the key for duplicates.
    pub participant: Option<Cow<'a, str>>,
    /// The person whose step this is, by all ids.
    pub person: Person<'a>,
    /// What we attached when sending (`biz_opaque_callback_data`).
    pub callback_data: Option<Cow<'a, str>>,
    /// What it costs, which Meta tells with some of the steps.
    pub pricing: Option<Pricing<'a>>,
    /// What opened the conversation it belongs to, `marketing` for instance. Absent since v24.
    pub conversation_type: Option<Cow<'a, str>>,
    /// Why it failed.
    pub errors: Vec<PlatformError<'a>>,
    /// The status's JSON.
    pub raw: &'a RawValue,
}

/// What a message costs, in Meta's words. Any of it may be absent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pricing<'a> {
    /// Whether it is charged for.
    pub billable: Option<bool>,
    /// `PMP` since July 2025, by message; `CBP` before, by conversation.
    pub model: Option<Cow<'a, str>>,
    /// `regular`, `free_customer_service` and the like.
    pub kind: Option<Cow<'a, str>>,
    /// `service`, `utility`, `marketing`, `authentication` and the like.
    pub category: Option<Cow<'a, str>>,
}

/// How far a message of ours came, in the order of the way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum DeliveryState<'a> {
    /// Meta has it.
    Sent,
    /// The device has it. Skipped when the chat is open.
    Delivered,
    /// It was seen.
    Read,
    /// The voice note was listened to.
    Played,
    /// It will not arrive.
    Failed,
    /// A word that Meta has yet to document.
    Other(Cow<'a, str>),
}

/// An error as Meta tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlatformError<'a> {
    /// The documented number, 131047 for instance; 0 when it cannot be read.
    pub code: i64,
    /// A short text.
    pub title: Cow<'a, str>,
    /// A longer text.
    pub details: Option<Cow<'a, str>>,
}

/// Something this model has no type for.
#[derive(Clone, Debug)]
pub struct Unknown<'a> {
    /// The webhook field, `messages` or `account_alerts` for instance. `object` when the whole body
    /// belongs to another product, empty when there is no field.
    pub field: Cow<'a, str>,
    /// What it is within the field, when that can be told: a message's `type`, or `errors`.
    pub kind: Option<Cow<'a, str>>,
    /// The number it concerns, where the field is about one.
    pub phone_number_id: Option<Cow<'a, str>>,
    /// The business account it came for, `entry[].id`.
    pub account_id: Option<Cow<'a, str>>,
    /// Its JSON: of the item, or of the whole change.
    pub raw: &'a RawValue,
}

/// Why a body as a whole cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// Not a JSON object in UTF-8 (RFC 8259 §8.1).
    NotJson,
    /// More than [`crate::base::limits::WEBHOOK_UPDATES_MAX`] items.
    TooManyUpdates,
}
