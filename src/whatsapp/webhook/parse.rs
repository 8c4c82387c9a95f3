//! From the body to updates, item by item: an item that cannot be read is passed on, not dropped.

use super::message::{read_context, read_identity, read_kind, read_referral};
use super::shape::{
    self, Change, Contact, Conversation, Entry, Envelope, ErrorData, ErrorItem, Message, Origin,
    Profile, Status, Value, WholeChange, WholeEntry, WholeEnvelope, WholeValue,
};
use super::{
    ContactKey, DeliveryState, DeliveryStatus, FIELD_MESSAGES, Inbound, Kind, ParseError, Person,
    PlatformError, Pricing, Unknown, Update,
};
use crate::base::hash::Map;
use crate::base::limits::WEBHOOK_UPDATES_MAX;
use crate::whatsapp::field::{Field, flag, id, list, object, text, timestamp};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::vec::IntoIter;

/// Reads a body whose signature was verified: all that happened, at once. See [`read`].
pub fn parse(body: &[u8]) -> Result<Vec<Update<'_>>, ParseError> {
    read(body).map(Iterator::collect)
}

/// Reads a body whose signature was verified. What is told of each item is read when it is asked
/// for: a body of many takes no more memory than its list, and each finds that of the last one.
///
/// Errors only when the body as a whole is no JSON object or holds absurdly many items; the caller
/// has it in the log by then and answers 200, because a second delivery would not be better.
///
/// It is first read as the documents have it, all levels at once, and level by level only when it
/// is otherwise: an update's bytes are passed over twice and not nine times.
pub fn read(body: &[u8]) -> Result<Updates<'_>, ParseError> {
    let body = std::str::from_utf8(body).map_err(|_| ParseError::NotJson)?;
    read_at_once(body).unwrap_or_else(|| {
        let mut updates = Updates::default();
        read_leniently(body, &mut updates).map(|()| updates)
    })
}

/// `None` for a body that is not as the documents have it, or of which something must be passed on
/// as a whole.
fn read_at_once(body: &str) -> Option<Result<Updates<'_>, ParseError>> {
    let envelope = serde_json::from_str::<WholeEnvelope<'_>>(body).ok()?;
    if !envelope.is_plain() {
        return None;
    }
    let mut updates = Updates::default();
    updates.parts.reserve_exact(envelope.entry.iter().map(|entry| entry.changes.len()).sum());
    for WholeEntry { id: account, changes } in envelope.entry {
        if let Err(error) = updates.bound(1 + changes.len()) {
            return Some(Err(error));
        }
        let account = id(account);
        for change in changes {
            let reader = Reader::new(account.clone(), change);
            let count = reader.count();
            if count == 0 {
                return None;
            }
            if let Err(error) = updates.add(Part::Change(reader), count) {
                return Some(Err(error));
            }
        }
    }
    Some(Ok(updates))
}

const OBJECT: &str = "whatsapp_business_account";

impl WholeEnvelope<'_> {
    /// Whether nothing but changes must be passed on.
    fn is_plain(&self) -> bool {
        self.entry.iter().all(|entry| !entry.changes.is_empty())
            && text(self.object).as_deref() == Some(OBJECT)
    }
}

/// The same step by step.
pub(super) fn read_leniently<'a>(
    body: &'a str,
    updates: &mut Updates<'a>,
) -> Result<(), ParseError> {
    let whole: &RawValue = serde_json::from_str(body).map_err(|_| ParseError::NotJson)?;
    let envelope: Envelope<'_> =
        serde_json::from_str(whole.get()).map_err(|_| ParseError::NotJson)?;
    let product = text(envelope.object);
    if product.as_deref() != Some(OBJECT) {
        let (field, kind) = (Cow::Borrowed("object"), product);
        let unknown = Unknown { field, kind, phone_number_id: None, account_id: None, raw: whole };
        return updates.add(Part::Unknown(unknown), 1);
    }
    for raw in list(envelope.entry) {
        let entry: Entry<'_> = object(Some(raw));
        let (account_id, changes) = (id(entry.id), list(entry.changes));
        if changes.is_empty() {
            let field = Cow::Borrowed("");
            let (kind, phone_number_id) = (None, None);
            let unknown = Unknown { field, kind, phone_number_id, account_id, raw };
            updates.add(Part::Unknown(unknown), 1)?;
        } else {
            updates.add_changes(account_id, changes)?;
        }
    }
    Ok(())
}

/// The updates of a body, in their order. See [`read`].
#[derive(Default)]
pub struct Updates<'a> {
    parts: VecDeque<Part<'a>>,
    /// Updates that it had from the beginning.
    count: usize,
}

enum Part<'a> {
    Unknown(Unknown<'a>),
    Change(Reader<'a>),
}

impl<'a> Updates<'a> {
    fn add(&mut self, part: Part<'a>, count: usize) -> Result<(), ParseError> {
        self.bound(count)?;
        self.count += count;
        self.parts.push_back(part);
        Ok(())
    }

    fn add_changes(
        &mut self,
        account_id: Option<Cow<'a, str>>,
        changes: Vec<&'a RawValue>,
    ) -> Result<(), ParseError> {
        self.bound(1 + changes.len())?;
        for raw in changes {
            let change: WholeChange<'_> =
                serde_json::from_str(raw.get()).unwrap_or_else(|_| read_change(raw));
            let mut reader = Reader::new(account_id.clone(), change);
            reader.whole = (reader.count() == 0).then_some(raw);
            let count = reader.count().max(1);
            self.add(Part::Change(reader), count)?;
        }
        Ok(())
    }

    /// Refuses before anything is built: an update is much larger than the shortest JSON of one.
    fn bound(&self, more: usize) -> Result<(), ParseError> {
        if self.count + more > WEBHOOK_UPDATES_MAX {
            return Err(ParseError::TooManyUpdates);
        }
        Ok(())
    }
}

impl<'a> Iterator for Updates<'a> {
    type Item = Update<'a>;

    fn next(&mut self) -> Option<Update<'a>> {
        loop {
            let read = match self.parts.front_mut()? {
                Part::Unknown(_) => None,
                Part::Change(reader) => reader.next(),
            };
            if read.is_some() {
                return read;
            }
            if let Some(Part::Unknown(unknown)) = self.parts.pop_front() {
                return Some(Update::Unknown(unknown));
            }
        }
    }
}

/// A change that is not as the documents have it.
fn read_change(raw: &RawValue) -> WholeChange<'_> {
    let Change { field, value } = object(Some(raw));
    let value: Value<'_> = object(value);
    let metadata = object(value.metadata);
    let [contacts, messages, message_echoes, statuses, errors] =
        [value.contacts, value.messages, value.message_echoes, value.statuses, value.errors]
            .map(list);
    let value = WholeValue { metadata, contacts, messages, message_echoes, statuses, errors };
    WholeChange { field, value }
}

/// One change: what its items have in common, and those that are to be read yet.
struct Reader<'a> {
    field: Cow<'a, str>,
    number: Option<Cow<'a, str>>,
    display_phone: Option<Cow<'a, str>>,
    account_id: Option<Cow<'a, str>>,
    contacts: Contacts<'a>,
    messages: IntoIter<&'a RawValue>,
    echoes: IntoIter<&'a RawValue>,
    statuses: IntoIter<&'a RawValue>,
    errors: IntoIter<&'a RawValue>,
    /// The change itself, when it has no items.
    whole: Option<&'a RawValue>,
}

impl<'a> Reader<'a> {
    fn new(account_id: Option<Cow<'a, str>>, change: WholeChange<'a>) -> Self {
        let WholeChange { field, value } = change;
        let field = text(field).unwrap_or_default();
        let number = id(value.metadata.phone_number_id);
        let WholeValue { messages, message_echoes: echoes, statuses, errors, .. } = value;
        let (messages, echoes, statuses, errors) = match (&*field, &number) {
            (FIELD_MESSAGES, Some(_)) => (messages, Vec::new(), statuses, errors),
            ("smb_message_echoes", Some(_)) => (Vec::new(), echoes, Vec::new(), Vec::new()),
            _ => Default::default(),
        };
        Self {
            field,
            number,
            display_phone: id(value.metadata.display_phone_number),
            account_id,
            contacts: Contacts::read(&value.contacts),
            messages: messages.into_iter(),
            echoes: echoes.into_iter(),
            statuses: statuses.into_iter(),
            errors: errors.into_iter(),
            whole: None,
        }
    }

    /// Items that are to be read yet.
    fn count(&self) -> usize {
        self.messages.len() + self.echoes.len() + self.statuses.len() + self.errors.len()
    }

    fn next(&mut self) -> Option<Update<'a>> {
        if let Some(raw) = self.messages.next() {
            let message: Message<'a> = object(Some(raw));
            let person = self.sender(&message);
            return Some(match self.message(&message, person, raw) {
                Some(inbound) => Update::Message(inbound),
                None => self.unknown(text(message.type_name), raw),
            });
        }
        if let Some(raw) = self.echoes.next() {
            let message: Message<'a> = object(Some(raw));
            let person = self.addressee(&message);
            return Some(match self.message(&message, person, raw) {
                Some(mut inbound) => {
                    inbound.author = id(message.from).or_else(|| self.display_phone.clone());
                    Update::Echo(inbound)
                }
                None => self.unknown(text(message.type_name), raw),
            });
        }
        if let Some(raw) = self.statuses.next() {
            return Some(match self.status(raw) {
                Some(status) => Update::Status(status),
                None => self.unknown(Some(Cow::Borrowed("status")), raw),
            });
        }
        if let Some(raw) = self.errors.next() {
            return Some(self.unknown(Some(Cow::Borrowed("errors")), raw));
        }
        self.whole.take().map(|raw| self.unknown(None, raw))
    }

    fn unknown(&self, kind: Option<Cow<'a, str>>, raw: &'a RawValue) -> Update<'a> {
        let (field, account_id) = (self.field.clone(), self.account_id.clone());
        let phone_number_id = self.number.clone();
        Update::Unknown(Unknown { field, kind, phone_number_id, account_id, raw })
    }

    fn sender(&self, message: &Message<'a>) -> Person<'a> {
        self.contacts.complete(Person {
            user_id: id(message.from_user_id),
            parent_user_id: id(message.from_parent_user_id),
            wa_id: id(message.from),
            ..Person::default()
        })
    }

    fn addressee(&self, message: &Message<'a>) -> Person<'a> {
        self.contacts.complete(Person {
            user_id: id(message.to_user_id),
            parent_user_id: id(message.to_parent_user_id),
            wa_id: id(message.to),
            ..Person::default()
        })
    }

    /// `None` when it lacks what routing and de-duplication need: an id or a person.
    fn message(
        &self,
        message: &Message<'a>,
        person: Person<'a>,
        raw: &'a RawValue,
    ) -> Option<Box<Inbound<'a>>> {
        let wamid = id(message.id)?;
        let kind = read_kind(message, &person);
        // A notice about changed ids belongs to the conversation under the previous ones.
        let known_as = match &kind {
            Kind::Relink(relink) => &relink.previous,
            _ => &person,
        };
        let contact = match (&known_as.user_id, &known_as.wa_id) {
            (Some(user_id), _) => ContactKey::UserId(user_id.clone()),
            (None, Some(wa_id)) => ContactKey::WaId(wa_id.clone()),
            (None, None) => return None,
        };
        Some(Box::new(Inbound {
            phone_number_id: self.number.clone()?,
            display_phone: self.display_phone.clone(),
            contact,
            person,
            author: None,
            group_id: id(message.group_id),
            wamid,
            timestamp_s: timestamp(message.timestamp),
            kind,
            context: read_context(message.context),
            referral: read_referral(message.referral),
            errors: list(message.errors).into_iter().map(read_error).collect(),
            identity_hash: read_identity(message),
            raw,
        }))
    }

    /// `None` when it names no message.
    fn status(&self, raw: &'a RawValue) -> Option<Box<DeliveryStatus<'a>>> {
        let status: Status<'a> = object(Some(raw));
        // The documents spell the participant's phone number in two ways.
        let participant_wa_id =
            id(status.recipient_participant_id).or_else(|| id(status.participant_recipient_id));
        let participant_user_id = id(status.recipient_participant_user_id);
        let participant = participant_user_id.clone().or_else(|| participant_wa_id.clone());
        let to_group = text(status.recipient_type).as_deref() == Some("group");
        let recipient_id = id(status.recipient_id);
        let person = if participant.is_some() || to_group {
            let (user_id, wa_id) = (participant_user_id, participant_wa_id);
            self.contacts.complete(Person { user_id, wa_id, ..Person::default() })
        } else {
            self.contacts.complete(Person {
                user_id: id(status.recipient_user_id),
                parent_user_id: id(status.parent_recipient_user_id),
                wa_id: recipient_id.clone(),
                ..Person::default()
            })
        };
        let recipient = match participant.is_some() || to_group {
            true => recipient_id,
            false => person.user_id.clone().or(recipient_id),
        };
        Some(Box::new(DeliveryStatus {
            phone_number_id: self.number.clone()?,
            wamid: id(status.id)?,
            status: state(id(status.status)?),
            timestamp_s: timestamp(status.timestamp),
            recipient,
            participant,
            person,
            callback_data: text(status.biz_opaque_callback_data),
            pricing: read_pricing(status.pricing),
            conversation_type: {
                let conversation: Conversation<'a> = object(status.conversation);
                id(object::<Origin<'a>>(conversation.origin).type_name)
            },
            errors: list(status.errors).into_iter().map(read_error).collect(),
            raw,
        }))
    }
}

fn state(word: Cow<'_, str>) -> DeliveryState<'_> {
    match &*word {
        "sent" => DeliveryState::Sent,
        "delivered" => DeliveryState::Delivered,
        "read" => DeliveryState::Read,
        "played" => DeliveryState::Played,
        "failed" => DeliveryState::Failed,
        _ => DeliveryState::Other(word),
    }
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

/// The people of one change, as many as a body may have items.
struct Contacts<'a> {
    people: Vec<Person<'a>>,
    /// Where somebody stands by one of their ids, when there are more people than are looked
    /// through quickly.
    by_id: Map<Cow<'a, str>, usize>,
}

/// People who are looked through one by one.
const PEOPLE_FEW: usize = 8;

impl<'a> Contacts<'a> {
    fn read(contacts: &[&'a RawValue]) -> Self {
        let people = contacts.iter().take(WEBHOOK_UPDATES_MAX).map(|raw| {
            let contact: Contact<'a> = object(Some(raw));
            let profile: Profile<'a> = object(contact.profile);
            Person {
                user_id: id(contact.user_id),
                parent_user_id: id(contact.parent_user_id),
                wa_id: id(contact.wa_id),
                username: id(profile.username).map(without_at),
                profile_name: text(profile.name),
            }
        });
        let people: Vec<_> = people.collect();
        let mut by_id = Map::default();
        if people.len() > PEOPLE_FEW {
            for (index, person) in people.iter().enumerate() {
                for id in [&person.user_id, &person.wa_id].into_iter().flatten() {
                    by_id.entry(id.clone()).or_insert(index);
                }
            }
        }
        Self { people, by_id }
    }

    fn find(&self, id: &Option<Cow<'a, str>>) -> Option<&Person<'a>> {
        let id = id.as_ref()?;
        if self.people.len() > PEOPLE_FEW {
            return self.by_id.get(id).map(|index| &self.people[*index]);
        }
        let has =
            |it: &&Person<'a>| it.user_id.as_ref() == Some(id) || it.wa_id.as_ref() == Some(id);
        self.people.iter().find(has)
    }

    /// Completes what an item says about a person. One that names nobody is about the only contact,
    /// if there is exactly one.
    fn complete(&self, said: Person<'a>) -> Person<'a> {
        let known = match (&said.user_id, &said.wa_id, &*self.people) {
            (None, None, [only]) => Some(only),
            _ => self.find(&said.user_id).or_else(|| self.find(&said.wa_id)),
        };
        let Some(known) = known else { return said };
        Person {
            user_id: said.user_id.or_else(|| known.user_id.clone()),
            parent_user_id: said.parent_user_id.or_else(|| known.parent_user_id.clone()),
            wa_id: said.wa_id.or_else(|| known.wa_id.clone()),
            username: known.username.clone(),
            profile_name: known.profile_name.clone(),
        }
    }
}

/// Webhooks show user names with and without the sign.
fn without_at(name: Cow<'_, str>) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.strip_prefix('@').unwrap_or(name)),
        Cow::Owned(name) => match name.strip_prefix('@') {
            Some(rest) => Cow::Owned(rest.to_owned()),
            None => Cow::Owned(name),
        },
    }
}
