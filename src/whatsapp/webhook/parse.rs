//! From the body to updates, item by item: an item that cannot be read is passed on, not dropped.

use super::shape::{
    self, Change, Contact, Context, Conversation, Entry, Envelope, ErrorData, ErrorItem, Message,
    Metadata, Origin, Profile, Status, System, Text, Value,
};
use super::{
    ContactKey, DeliveryState, DeliveryStatus, Inbound, Kind, ParseError, PlatformError, Pricing,
    Unknown, Update,
};
use crate::base::limits::WEBHOOK_UPDATES_MAX;
use crate::whatsapp::field::{Field, flag, id, list, object, text, timestamp};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Reads a body whose signature was verified.
///
/// Errors only when the body as a whole is no JSON object or holds absurdly many items; the caller
/// has it in the log by then and answers 200, because a second delivery would not be better.
pub fn parse(body: &[u8]) -> Result<Vec<Update<'_>>, ParseError> {
    let whole: &RawValue = serde_json::from_slice(body).map_err(|_| ParseError::NotJson)?;
    let envelope: Envelope<'_> =
        serde_json::from_str(whole.get()).map_err(|_| ParseError::NotJson)?;
    let mut updates = Vec::new();
    let product = text(envelope.object);
    if product.as_deref() != Some("whatsapp_business_account") {
        let field = Cow::Borrowed("object");
        let unknown = Unknown { field, kind: product, phone_number_id: None, raw: whole };
        return Ok(vec![Update::Unknown(unknown)]);
    }
    for entry in list(envelope.entry) {
        let changes = list(object::<Entry<'_>>(Some(entry)).changes);
        bound(&updates, 1 + changes.len())?;
        if changes.is_empty() {
            let field = Cow::Borrowed("");
            let unknown = Unknown { field, kind: None, phone_number_id: None, raw: entry };
            updates.push(Update::Unknown(unknown));
        }
        for change in changes {
            read_change(change, &mut updates)?;
        }
    }
    Ok(updates)
}

/// Refuses before anything is built: an update is much larger than the shortest JSON of one.
fn bound(updates: &[Update<'_>], more: usize) -> Result<(), ParseError> {
    if updates.len() + more > WEBHOOK_UPDATES_MAX {
        return Err(ParseError::TooManyUpdates);
    }
    Ok(())
}

fn read_change<'a>(raw: &'a RawValue, updates: &mut Vec<Update<'a>>) -> Result<(), ParseError> {
    let change: Change<'a> = object(Some(raw));
    let field = text(change.field).unwrap_or_default();
    let value: Value<'a> = object(change.value);
    let metadata: Metadata<'a> = object(value.metadata);
    let number = id(metadata.phone_number_id);
    let unknown = |kind, raw| {
        let phone_number_id = number.clone();
        Update::Unknown(Unknown { field: field.clone(), kind, phone_number_id, raw })
    };
    let Some(number) = number.as_ref().filter(|_| field == "messages") else {
        bound(updates, 1)?;
        updates.push(unknown(None, raw));
        return Ok(());
    };
    let (messages, statuses) = (list(value.messages), list(value.statuses));
    let errors = list(value.errors);
    let count = messages.len() + statuses.len() + errors.len();
    bound(updates, count.max(1))?;
    if count == 0 {
        updates.push(unknown(None, raw));
    }
    let contacts = Contacts::read(value.contacts);
    for raw in messages {
        let message: Message<'a> = object(Some(raw));
        updates.push(match read_message(&message, raw, number, &metadata, &contacts) {
            Some(inbound) => Update::Message(inbound),
            None => unknown(text(message.type_name), raw),
        });
    }
    for raw in statuses {
        updates.push(match read_status(raw, number) {
            Some(status) => Update::Status(status),
            None => unknown(Some(Cow::Borrowed("status")), raw),
        });
    }
    for raw in errors {
        updates.push(unknown(Some(Cow::Borrowed("errors")), raw));
    }
    Ok(())
}

/// `None` when it lacks what routing and de-duplication need: an id or a sender.
fn read_message<'a>(
    message: &Message<'a>,
    raw: &'a RawValue,
    phone_number_id: &Cow<'a, str>,
    metadata: &Metadata<'a>,
    contacts: &Contacts<'a>,
) -> Option<Inbound<'a>> {
    let wamid = id(message.id)?;
    let system: System<'a> = object(message.system);
    // A notice about a changed id belongs to the conversation under the previous one.
    let user_id = id(message.from_user_id).or_else(|| id(system.previous_user_id));
    let person = contacts.person(user_id, id(message.from));
    let type_name = text(message.type_name).unwrap_or_default();
    let body = text(object::<Text<'a>>(message.text).body);
    let contact = match (person.user_id, &person.wa_id) {
        (Some(user_id), _) => ContactKey::UserId(user_id),
        (None, Some(wa_id)) => ContactKey::WaId(wa_id.clone()),
        (None, None) => return None,
    };
    Some(Inbound {
        phone_number_id: phone_number_id.clone(),
        display_phone: id(metadata.display_phone_number),
        contact,
        wa_id: person.wa_id,
        profile_name: person.profile_name,
        group_id: id(message.group_id),
        wamid,
        timestamp_s: timestamp(message.timestamp),
        kind: match body {
            Some(body) if type_name == "text" => Kind::Text { body },
            _ => Kind::Other { type_name },
        },
        reply_to: id(object::<Context<'a>>(message.context).id),
        raw,
    })
}

/// `None` when it names no message.
fn read_status<'a>(
    raw: &'a RawValue,
    phone_number_id: &Cow<'a, str>,
) -> Option<DeliveryStatus<'a>> {
    let status: Status<'a> = object(Some(raw));
    Some(DeliveryStatus {
        phone_number_id: phone_number_id.clone(),
        wamid: id(status.id)?,
        status: match id(status.status)? {
            word if word == "sent" => DeliveryState::Sent,
            word if word == "delivered" => DeliveryState::Delivered,
            word if word == "read" => DeliveryState::Read,
            word if word == "played" => DeliveryState::Played,
            word if word == "failed" => DeliveryState::Failed,
            word => DeliveryState::Other(word),
        },
        timestamp_s: timestamp(status.timestamp),
        recipient: id(status.recipient_user_id).or_else(|| id(status.recipient_id)),
        // The documents spell the participant's phone number in two ways.
        participant: id(status.recipient_participant_user_id)
            .or_else(|| id(status.recipient_participant_id))
            .or_else(|| id(status.participant_recipient_id)),
        callback_data: text(status.biz_opaque_callback_data),
        pricing: read_pricing(status.pricing),
        conversation_type: {
            let conversation: Conversation<'a> = object(status.conversation);
            id(object::<Origin<'a>>(conversation.origin).type_name)
        },
        errors: list(status.errors).into_iter().map(read_error).collect(),
        raw,
    })
}

fn read_pricing(field: Field<'_>) -> Option<Pricing<'_>> {
    let pricing: shape::Pricing<'_> = object(field);
    let read = Pricing {
        billable: flag(pricing.billable),
        model: id(pricing.pricing_model),
        kind: id(pricing.type_name),
        category: id(pricing.category),
    };
    (read != Pricing::default()).then_some(read)
}

fn read_error(raw: &RawValue) -> PlatformError<'_> {
    let error: ErrorItem<'_> = object(Some(raw));
    PlatformError {
        code: text(error.code).and_then(|code| code.parse().ok()).unwrap_or(0),
        title: text(error.title).unwrap_or_default(),
        details: text(object::<ErrorData<'_>>(error.error_data).details),
    }
}

/// The people of one change.
struct Contacts<'a>(Vec<Person<'a>>);

#[derive(Clone, Default)]
struct Person<'a> {
    user_id: Option<Cow<'a, str>>,
    wa_id: Option<Cow<'a, str>>,
    profile_name: Option<Cow<'a, str>>,
}

impl<'a> Contacts<'a> {
    fn read(field: Field<'a>) -> Self {
        let people = list(field).into_iter().map(|raw| {
            let contact: Contact<'a> = object(Some(raw));
            Person {
                user_id: id(contact.user_id),
                wa_id: id(contact.wa_id),
                profile_name: text(object::<Profile<'a>>(contact.profile).name),
            }
        });
        Self(people.collect())
    }

    /// Completes what a message says about its sender. A message that names nobody is of the only
    /// contact, if there is exactly one.
    fn person(&self, user_id: Option<Cow<'a, str>>, wa_id: Option<Cow<'a, str>>) -> Person<'a> {
        let same = |left: &Option<Cow<'a, str>>, right| left.is_some() && left == right;
        let anonymous = user_id.is_none() && wa_id.is_none();
        let known = self
            .0
            .iter()
            .find(|person| same(&user_id, &person.user_id) || same(&wa_id, &person.wa_id))
            .or_else(|| if anonymous && self.0.len() == 1 { self.0.first() } else { None })
            .cloned()
            .unwrap_or_default();
        Person {
            user_id: user_id.or(known.user_id),
            wa_id: wa_id.or(known.wa_id),
            profile_name: known.profile_name,
        }
    }
}
