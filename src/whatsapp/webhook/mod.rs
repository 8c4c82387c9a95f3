//! The webhook's JSON, as one flat list of what happened.
//!
//! ```text
//! object ─ entry[] ─ changes[] ─ field "messages" ─ value ┬ messages[] ─▶ Update::Message
//!                                                         ├ statuses[] ─▶ Update::Status
//!                                                         └ errors[]   ─▶ Update::Unknown
//!                              └ any other field ────────────────────────▶ Update::Unknown
//! ```
//!
//! One body may hold several accounts, numbers and people. Routing goes by `phone_number_id`, per
//! change. Order of keys means nothing. Nothing is dropped: the number of updates is the number of
//! items in the body, and each carries its JSON for the log.

use super::room::room_name;
use serde_json::value::RawValue;
use std::borrow::Cow;

mod extra;

mod shape;

mod parse;
pub use parse::parse;

#[cfg(test)]
mod tests;

/// One thing that happened on the platform. Borrows from the body.
#[derive(Clone, Debug)]
pub enum Update<'a> {
    /// Somebody wrote to one of our numbers.
    Message(Inbound<'a>),
    /// A message of ours has come further on its way.
    Status(DeliveryStatus<'a>),
    /// Anything else: to be logged and passed on.
    Unknown(Unknown<'a>),
}

/// A message from a person to a business number.
#[derive(Clone, Debug)]
pub struct Inbound<'a> {
    /// The business number's id: routes the message.
    pub phone_number_id: Cow<'a, str>,
    /// The business number for people, digits.
    pub display_phone: Option<Cow<'a, str>>,
    /// Who wrote.
    pub contact: ContactKey<'a>,
    /// The writer's phone number, digits; absent for people who hide it behind a user name.
    pub wa_id: Option<Cow<'a, str>>,
    /// The name that the writer gave themselves.
    pub profile_name: Option<Cow<'a, str>>,
    /// The group, when it was written in one.
    pub group_id: Option<Cow<'a, str>>,
    /// Unique and opaque: the key to recognise a second delivery by.
    pub wamid: Cow<'a, str>,
    /// Seconds since 1970, by Meta's clock. `None` when it cannot be read.
    pub timestamp_s: Option<i64>,
    /// What was written.
    pub kind: Kind<'a>,
    /// The `wamid` this answers.
    pub reply_to: Option<Cow<'a, str>>,
    /// The message's JSON.
    pub raw: &'a RawValue,
}

impl Inbound<'_> {
    /// The room of this conversation: the group's or the contact's. See [`room_name`] for `None`.
    pub fn room_name(&self) -> Option<String> {
        let conversation = self.group_id.as_deref().unwrap_or(self.contact.as_str());
        room_name(&self.phone_number_id, conversation)
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

/// What a message is. Media, locations, reactions and the rest will become variants of their own;
/// until then their JSON is in [`Inbound::raw`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind<'a> {
    /// Plain text.
    Text {
        /// As written; may contain line breaks and any other character.
        body: Cow<'a, str>,
    },
    /// Any other `type`, also those that Meta has yet to invent.
    Other {
        /// The `type`; empty when there is none.
        type_name: Cow<'a, str>,
    },
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
    /// Its JSON.
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
