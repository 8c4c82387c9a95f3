//! WhatsApp webhooks on their way to the log.
//!
//! The platform is told 200 when the raw body and everything read from it is as safe as the ack
//! policy asks, and 503 when it is not: then it sends the whole body again, and what was taken is
//! recognised.

use super::turn::Shard;
use crate::base::hash::Map;
use crate::base::ids::{ConnId, LogPosition};
use crate::chat::event::{Event, Inbound, InboundBody};
use crate::log::record::{NameId, RAW_PART_BYTES_MAX, RawV1};
use crate::shard::link::PendingRequest;
use crate::whatsapp::signature;
use crate::whatsapp::webhook::{self, DeliveryState, DeliveryStatus, Kind, Update};
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
}

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
            let hint = "the X-Hub-Signature-256 header does not match this body and our app secret";
            return Some(Response::error(401, "bad_signature", hint));
        }
        let items = match webhook::parse(body) {
            Ok(updates) => items(&updates),
            // Signed by the platform, so keep it and do not ask for it again.
            Err(ParseError::NotJson | ParseError::TooManyUpdates) => Vec::new(),
        };
        let Some(raw) = self.append_raw(body) else {
            return Some(log_full());
        };
        self.webhooks.ticket += 1;
        let ticket = self.webhooks.ticket;
        let delivery = (request.persistence, request.head_only);
        let waiting = items.len();
        let pending = Pending { conn, delivery, waiting, refused: false, raw };
        self.webhooks.pending.insert(ticket, pending);
        for item in items {
            let room = self.log_room();
            self.hub.grant(room);
            self.hub.handle(self.now, Event::Inbound { ticket, item }, &mut self.effects);
        }
        None
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

    pub(super) fn webhook_item_done(&mut self, ticket: u64, accepted: bool) {
        if let Some(pending) = self.webhooks.pending.get_mut(&ticket) {
            pending.waiting -= 1;
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
            let response = if safe { Response::text(200, "ok") } else { log_full() };
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

/// What the rooms are told of a body.
fn items(updates: &[Update<'_>]) -> Vec<Inbound> {
    let mut items = Vec::new();
    for update in updates {
        match update {
            Update::Message(message) => items.extend(message_item(message)),
            Update::Status(status) => items.extend(status_item(status)),
            // Kept in the raw record.
            Update::Unknown(_) => {}
        }
    }
    items
}

fn message_item(message: &webhook::Inbound<'_>) -> Option<Inbound> {
    let text = match &message.kind {
        Kind::Text { body } => body.to_string(),
        Kind::Other { type_name } => format!("[{type_name}]"),
    };
    let name = message.profile_name.as_deref().unwrap_or("");
    Some(Inbound {
        room: message.room_name()?.into(),
        user: format!("wa:{}", message.contact.as_str()).into(),
        external: message.wamid.as_ref().into(),
        body: InboundBody::Message { name: name.into(), text: text.into() },
    })
}

fn status_item(status: &DeliveryStatus<'_>) -> Option<Inbound> {
    let recipient = status.participant.as_deref().or(status.recipient.as_deref())?;
    let conversation = status.recipient.as_deref()?;
    let name = match &status.status {
        DeliveryState::Sent => "sent",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Read => "read",
        DeliveryState::Played => "played",
        DeliveryState::Failed => "failed",
        DeliveryState::Other(name) => name,
    };
    let error = status.errors.first().map_or(0, |error| error.code.clamp(0, 9_999_999) as u32);
    Some(Inbound {
        room: room_name(&status.phone_number_id, conversation)?.into(),
        user: format!("wa:{recipient}").into(),
        external: status.wamid.as_ref().into(),
        body: InboundBody::Status { status: name.into(), error },
    })
}
