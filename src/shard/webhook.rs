//! WhatsApp webhooks on their way to the log.
//!
//! The platform is told 200 when the raw body and everything read from it is as safe as the ack
//! policy asks, and 503 when it is not: then it sends the whole body again, and what was taken is
//! recognised.

use super::turn::Shard;
use crate::base::hash::Map;
use crate::base::ids::{ConnId, LogPosition, Offset};
use crate::base::limits::{HANDLER_TEXT_BYTES_MAX, TEXT_BYTES_MAX, USER_NAME_BYTES_MAX};
use crate::base::names::{contact_user, split_conversation};
use crate::chat::event::{ContactIds, Event, Inbound, InboundBody, Name, PlatformNews};
use crate::log::record::{NameId, RAW_PART_BYTES_MAX, RawV1};
use crate::metrics::{INTAKE, Metric};
use crate::shard::link::PendingRequest;
use crate::whatsapp::webhook::{self, DeliveryState, DeliveryStatus, FIELD_MESSAGES, Kind, Update};
use crate::whatsapp::{callback, signature};
use crate::whatsapp::{room_name, webhook::ParseError};
use crate::wire::http::response::{Persistence, Response};

/// Webhooks that wait for the log.
#[derive(Debug, Default)]
pub struct Webhooks {
    pending: Map<u64, Pending>,
    ticket: u64,
}

/// One request.
#[derive(Debug)]
struct Pending {
    conn: ConnId,
    delivery: (Persistence, bool),
    /// Items that are not yet safe.
    waiting: usize,
    /// An item was refused.
    refused: bool,
    /// Where the raw body ends in the log.
    raw: LogPosition,
    /// When it was read to its end, µs of the monotonic clock.
    since_us: u64,
    /// What handlers are told when all of it is safe: else it comes again.
    news: Vec<PlatformNews>,
}

/// Effects after which they are performed while a body is still being handed out.
const EFFECTS_AT_ONCE: usize = 64;

/// Bytes of a platform's id or status name. Longer ones are kept in the raw record only: an item
/// must fit a record whatever a signed body says.
const EXTERNAL_BYTES_MAX: usize = 512;

impl Shard {
    /// Takes a webhook in. `None` when its answer must wait for the log.
    pub(super) fn begin_webhook(
        &mut self,
        conn: ConnId,
        request: &PendingRequest,
        signature: Option<&[u8]>,
    ) -> Option<Response<'static>> {
        let body = request.body.as_slice();
        let secrets = &self.world.config.whatsapp.app_secrets;
        if signature::verify(body, signature, secrets).is_err() {
            INTAKE.count_refused();
            let hint = "the X-Hub-Signature-256 header does not match this body and our app secret";
            return Some(Response::error(401, "bad_signature", hint));
        }
        let updates = webhook::read(body);
        let Some(raw) = self.append_raw(body) else {
            return Some(log_full());
        };
        self.webhooks.ticket += 1;
        let ticket = self.webhooks.ticket;
        let delivery = (request.persistence, request.head_only);
        let since_us = self.now.mono_us;
        let (waiting, refused, news) = (0, false, Vec::new());
        let pending = Pending { conn, delivery, waiting, refused, raw, since_us, news };
        self.webhooks.pending.insert(ticket, pending);
        match updates {
            Ok(updates) => self.hand_out(ticket, body, updates),
            // Signed by the platform, so keep it and do not ask for it again.
            Err(ParseError::NotJson | ParseError::TooManyUpdates) => {}
        }
        None
    }

    /// Gives rooms what is theirs, and handlers what belongs into no room.
    fn hand_out<'a>(
        &mut self,
        ticket: u64,
        body: &[u8],
        updates: impl Iterator<Item = Update<'a>>,
    ) {
        // One grant for all of them: the hub counts down what it has used of it.
        let room = self.log_room();
        self.hub.grant(room);
        let (mut tally, mut news, mut handed) = (Tally::default(), Vec::new(), 0);
        for update in updates {
            tally.count(&update);
            if let Some(item) = item(&update) {
                handed += 1;
                self.hub.handle(self.now, Event::Inbound { ticket, item }, &mut self.effects);
            }
            if let Update::Unknown(unknown) = update {
                news.push(unknown);
            }
            // A few at a time: their memory is warm yet, and the next ones find it.
            if self.effects.len() >= EFFECTS_AT_ONCE {
                self.expect_items(ticket, std::mem::take(&mut handed));
                self.perform();
            }
        }
        tally.settle();
        self.expect_items(ticket, handed);
        if !news.is_empty() && self.hub.wants_news() {
            let pending = self.webhooks.pending.get_mut(&ticket).expect("it is being taken in");
            pending.news = told_to_handlers(body, &news);
        }
        self.perform();
    }

    /// More items of a webhook are on their way. To be called before they may come back.
    fn expect_items(&mut self, ticket: u64, count: usize) {
        let pending = self.webhooks.pending.get_mut(&ticket).expect("it is being taken in");
        pending.waiting += count;
    }

    /// The exact bytes of the body, in parts that fit a record.
    fn append_raw(&mut self, body: &[u8]) -> Option<LogPosition> {
        let parts = body.len().div_ceil(RAW_PART_BYTES_MAX).max(1);
        if self.producer.free_bytes() < body.len() + (parts + 4) * 1_024 {
            return None;
        }
        self.raw_id += 1;
        let mut last = None;
        for part in 0..parts {
            let begin = part * RAW_PART_BYTES_MAX;
            let end = (begin + RAW_PART_BYTES_MAX).min(body.len());
            let record = RawV1 {
                ts_us: self.now.wall_us,
                id: self.raw_id,
                bytes: &body[begin..end],
                part: part as u16,
                parts: parts as u16,
            };
            last = Some(self.producer.append(NameId::NONE, NameId::NONE, &record).ok()?);
        }
        last
    }

    pub(super) fn webhook_items_done(&mut self, ticket: u64, count: u32, accepted: bool) {
        if let Some(pending) = self.webhooks.pending.get_mut(&ticket) {
            pending.waiting -= count as usize;
            pending.refused |= !accepted;
        }
    }

    /// Answers the webhooks that are safe by now.
    pub(super) fn answer_webhooks(&mut self) {
        if self.webhooks.pending.is_empty() {
            return;
        }
        let acked = self.producer.acked();
        let broken = self.log_broken;
        let done = self.webhooks.pending.extract_if(|_, pending| {
            pending.waiting == 0 && (pending.raw <= acked || pending.refused || broken)
        });
        for (_, pending) in done.collect::<Vec<_>>() {
            let safe = pending.raw <= acked && !pending.refused;
            let response = if safe {
                self.meter.note(Metric::Intake, pending.since_us);
                for news in pending.news {
                    self.tell_hub(Event::Platform { news: Box::new(news) });
                }
                Response::text(200, "ok")
            } else {
                log_full()
            };
            self.respond(pending.conn, response, pending.delivery);
            self.end_busy(pending.conn);
        }
    }

    /// Whether a webhook still waits for its answer.
    pub(super) fn webhooks_are_pending(&self) -> bool {
        !self.webhooks.pending.is_empty()
    }
}

fn log_full() -> Response<'static> {
    let hint = "the log cannot take this now; send it again";
    Response::error(503, "log_full", hint).header("Retry-After", "1")
}

/// Counts updates by field, those that most bodies are full of at once.
#[derive(Default)]
struct Tally {
    plain: u64,
}

impl Tally {
    fn count(&mut self, update: &Update<'_>) {
        match update {
            Update::Message(_) | Update::Status(_) => self.plain += 1,
            Update::Echo(_) | Update::Unknown(_) => INTAKE.count(update.field(), 1),
        }
    }

    fn settle(self) {
        if self.plain > 0 {
            INTAKE.count(FIELD_MESSAGES, self.plain);
        }
    }
}

/// What a room is told of an update.
fn item(update: &Update<'_>) -> Option<Inbound> {
    match update {
        Update::Message(message) => message_item(message, user(message.contact.as_str())?, false),
        Update::Echo(message) => message_item(message, user(message.author.as_deref()?)?, true),
        Update::Status(status) => status_item(status),
        // Kept in the raw record.
        Update::Unknown(_) => None,
    }
}

/// What handlers are told of a body. The same body again is the same news: it says when it was
/// made.
fn told_to_handlers(body: &[u8], news: &[webhook::Unknown<'_>]) -> Vec<PlatformNews> {
    let print = signature::print(body);
    let one = |(index, news): (usize, &webhook::Unknown<'_>)| PlatformNews {
        print: print.wrapping_add(index as u128),
        number: news.phone_number_id.as_deref().unwrap_or("").into(),
        field: news.field.as_ref().into(),
        json: cut(news.raw.get(), HANDLER_TEXT_BYTES_MAX).into(),
    };
    news.iter().enumerate().map(one).collect()
}

fn message_item(message: &webhook::Inbound<'_>, user: Name, is_echo: bool) -> Option<Inbound> {
    let text = cut(&message.text(), TEXT_BYTES_MAX).into();
    let content = message.content().map(String::into_boxed_str);
    let about = message.about().and_then(external);
    let mut known_as = &message.person;
    let body = match &message.kind {
        Kind::Edit { of, .. } => {
            let (of, content) = (external(of)?, content.expect("an edit has a content"));
            InboundBody::Edit { of, text, content, is_echo }
        }
        Kind::Revoke { of } => {
            let (of, content) = (external(of)?, content.expect("a revocation has a content"));
            InboundBody::Revoke { of, text, content, is_echo }
        }
        Kind::Relink(relink) => {
            known_as = &relink.current;
            let (previous, content) = (ids(&relink.previous), content.expect("so has a notice"));
            InboundBody::Relink { previous, text, content }
        }
        Kind::System { .. } => {
            InboundBody::Notice { text, content: content.expect("so has a notice") }
        }
        _ if is_echo => InboundBody::Echo { text, content, about },
        _ => InboundBody::Message {
            name: cut(known_as.profile_name.as_deref().unwrap_or(""), USER_NAME_BYTES_MAX).into(),
            text,
            at_ms: message.timestamp_s.and_then(|at_s| at_s.checked_mul(1_000)),
            content,
            about,
        },
    };
    Some(Inbound {
        room: message.room_name()?,
        user,
        ids: if message.group_id.is_some() { ContactIds::default() } else { ids(known_as) },
        external: external(&message.wamid)?,
        body,
    })
}

/// What no id of the platform looks like is no id.
fn ids(person: &webhook::Person<'_>) -> ContactIds {
    let id = |id: &Option<std::borrow::Cow<'_, str>>| {
        let id = id.as_deref().filter(|id| !id.is_empty() && id.len() <= USER_NAME_BYTES_MAX)?;
        id.bytes().all(|byte| byte.is_ascii_graphic()).then(|| id.into())
    };
    ContactIds {
        user_id: id(&person.user_id),
        parent_user_id: id(&person.parent_user_id),
        wa_id: id(&person.wa_id),
        username: id(&person.username),
    }
}

fn status_item(status: &DeliveryStatus<'_>) -> Option<Inbound> {
    let recipient = status.participant.as_deref().or(status.recipient.as_deref())?;
    let conversation = status.recipient.as_deref()?;
    let in_group = ![&status.person.user_id, &status.person.wa_id].contains(&&status.recipient);
    let name = match &status.status {
        DeliveryState::Sent => "sent",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Read => "read",
        DeliveryState::Played => "played",
        DeliveryState::Failed => "failed",
        DeliveryState::Other(name) => name,
    };
    if name.len() > EXTERNAL_BYTES_MAX {
        return None;
    }
    let sent = status.callback_data.as_deref().and_then(callback::read);
    let ours = |(room, _): &(&str, Offset)| {
        split_conversation(room).is_some_and(|(number, _)| *number == *status.phone_number_id)
    };
    let sent = sent.filter(ours);
    let room = match sent {
        Some((room, _)) => Name::from(room),
        None => room_name(&status.phone_number_id, conversation)?,
    };
    let error = status.errors.first().map_or(0, |error| error.code.clamp(0, 9_999_999) as u32);
    Some(Inbound {
        room,
        user: user(recipient)?,
        ids: if in_group { ContactIds::default() } else { ids(&status.person) },
        external: external(&status.wamid)?,
        body: InboundBody::Status {
            of: sent.map(|(_, o)| o),
            status: name.into(),
            error,
            extra: status.extra().into(),
        },
    })
}

/// The user that stands for a platform's contact. `None` for what no platform id looks like.
fn user(id: &str) -> Option<Name> {
    let fits = !id.is_empty() && id.len() <= USER_NAME_BYTES_MAX;
    (fits && id.bytes().all(|byte| byte.is_ascii_graphic())).then(|| contact_user(id))
}

/// The platform's id of a message. `None` when it is longer than a record should hold.
fn external(id: &str) -> Option<Box<str>> {
    (id.len() <= EXTERNAL_BYTES_MAX).then(|| id.into())
}

/// The front of `text` that fits; the whole is in the raw record.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_in_the_platforms_app_is_ours_and_any_other_the_contacts() {
        check("messages", "messages", r#""type":"edit","edit":{"original_message_id":"1"}"#, false);
        check(
            "smb_message_echoes",
            "message_echoes",
            r#""type":"edit","edit":{"original_message_id":"1"}"#,
            true,
        );
        check(
            "messages",
            "messages",
            r#""type":"revoke","revoke":{"original_message_id":"1"}"#,
            false,
        );
        check(
            "smb_message_echoes",
            "message_echoes",
            r#""type":"revoke","revoke":{"original_message_id":"1"}"#,
            true,
        );
    }

    #[track_caller]
    fn check(field: &str, list: &str, change: &str, is_echo: bool) {
        let numbers = r#""metadata":{"phone_number_id":"1","display_phone_number":"3"}"#;
        let one = format!(r#"{{"id":"2","from":"3","to":"4",{change}}}"#);
        let value = format!(r#"{{{numbers},"{list}":[{one}]}}"#);
        let change = format!(r#"[{{"changes":[{{"field":"{field}","value":{value}}}]}}]"#);
        let body = format!(r#"{{"object":"whatsapp_business_account","entry":{change}}}"#);
        let updates = webhook::read(body.as_bytes()).expect("JSON");
        let items: Vec<_> = updates.filter_map(|update| item(&update)).collect();
        let [Inbound { body, .. }] = &items[..] else { panic!("{items:?} of {field}") };
        let is_change = matches!(body, InboundBody::Edit { .. } | InboundBody::Revoke { .. });
        assert!(is_change && body.is_echo() == is_echo, "{body:?} of {field}");
    }

    /// What a signed body of any size makes must fit a record of the log.
    #[test]
    fn items_are_bounded() {
        let body = |id: &str, text: &str| {
            let value = serde_json::json!({
                "metadata": {"phone_number_id": "1"},
                "contacts": [{"wa_id": "2", "profile": {"name": text}}],
                "messages": [{"id": id, "from": "2", "type": "text", "text": {"body": text}}],
                "statuses": [{"id": id, "status": text, "recipient_id": "2"}],
            });
            let changes = serde_json::json!([{"field": "messages", "value": value}]);
            let entry = serde_json::json!([{"changes": changes}]);
            let object = "whatsapp_business_account";
            serde_json::json!({"object": object, "entry": entry}).to_string()
        };
        let items = |body: &str| -> Vec<_> {
            webhook::read(body.as_bytes())
                .expect("JSON")
                .filter_map(|update| item(&update))
                .collect()
        };
        let count = |body: &str| items(body).len();
        assert_eq!(count(&body("wamid.1", "sent")), 2);
        let long = "é".repeat(100_000);
        assert_eq!(count(&body(&long, "x")), 0);
        let items = items(&body("wamid.1", &long));
        assert_eq!(items.len(), 1, "a status with an absurd name stays in the raw record");
        let InboundBody::Message { name, text, .. } = &items[0].body else {
            panic!("{items:?}");
        };
        assert_eq!((name.len(), text.len()), (USER_NAME_BYTES_MAX, TEXT_BYTES_MAX));
        assert!(user("2 3").is_none() && user("").is_none() && user(&"9".repeat(161)).is_none());
    }
}
