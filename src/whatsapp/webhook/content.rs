//! What a program reads of a message: a JSON object with a `type`, in the words of the contents
//! that are sent (`docs/WHATSAPP.md`, "What comes in").

use super::json::{Object, tame, tame_text};
use super::kind::{Card, Kind, Media, OrderItem, Place, Relink};
use super::shape;
use super::{Context, Inbound, Person, PlatformError, Referral};
use crate::base::limits::CONTENT_BYTES_MAX;
use crate::whatsapp::field::{Field, object};
use serde_json::Value;

impl Inbound<'_> {
    /// What the message is besides its text, at most [`CONTENT_BYTES_MAX`] bytes of JSON whatever
    /// came. `None` for a text of which there is nothing else to say.
    pub fn content(&self) -> Option<String> {
        let is_bare = matches!(self.kind, Kind::Text { .. })
            && !self.context.says_more()
            && self.referral.is_none()
            && self.errors.is_empty();
        if is_bare {
            return None;
        }
        let mut content = Object::new(CONTENT_BYTES_MAX);
        write_kind(&mut content, &self.kind);
        write_context(&mut content, &self.context);
        content.list("errors", &self.errors, write_error);
        if let Some(referral) = &self.referral {
            content.object("referral", |out| write_referral(out, referral));
        }
        Some(content.finish())
    }
}

impl Context<'_> {
    /// Whether there is more to say than which message is quoted, which stands elsewhere.
    fn says_more(&self) -> bool {
        self.forwarded || self.frequently_forwarded || self.product.is_some()
    }
}

fn write_kind(out: &mut Object, kind: &Kind<'_>) {
    out.text("type", Some(type_of(kind)));
    match kind {
        Kind::Text { .. } | Kind::Revoke { .. } => {}
        Kind::Media(media) => write_media(out, media),
        Kind::Location(place) => write_place(out, place),
        Kind::Contacts(cards) => out.list("contacts", cards, write_card),
        Kind::ButtonReply { id, title } => {
            out.text("id", id.as_deref());
            out.text("title", title.as_deref());
        }
        Kind::ListReply { id, title, description } => {
            out.text("id", id.as_deref());
            out.text("title", title.as_deref());
            out.text("description", description.as_deref());
        }
        Kind::FlowReply { name, body, response_json } => {
            out.text("name", name.as_deref());
            out.text("text", body.as_deref());
            let json = response_json.as_deref();
            match json.and_then(tame_text) {
                Some(data) => out.value("data", &data),
                None => out.text("data", json),
            }
        }
        Kind::CallPermission { response, expires_s, source } => {
            out.text("response", response.as_deref());
            out.number("expires", expires_s.map(|seconds| seconds as f64));
            out.text("source", source.as_deref());
        }
        Kind::Reaction { emoji, .. } => out.text("emoji", Some(emoji)),
        Kind::Order { catalog_id, text, items } => {
            out.text("catalog_id", catalog_id.as_deref());
            out.text("text", text.as_deref());
            out.list("items", items, write_item);
        }
        Kind::Relink(relink) => write_relink(out, relink),
        Kind::System { name, .. } | Kind::Unsupported { name } => out.text("name", name.as_deref()),
        Kind::Edit { now, .. } => out.object("content", |out| write_kind(out, now)),
        Kind::Other { name } => out.text("name", Some(name)),
    }
}

fn type_of(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::Text { .. } => "text",
        Kind::Media(media) => media.kind.name(),
        Kind::Location(_) => "location",
        Kind::Contacts(_) => "contacts",
        Kind::ButtonReply { .. } => "button_reply",
        Kind::ListReply { .. } => "list_reply",
        Kind::FlowReply { .. } => "flow_reply",
        Kind::CallPermission { .. } => "call_permission",
        Kind::Reaction { .. } => "reaction",
        Kind::Order { .. } => "order",
        Kind::Relink(_) | Kind::System { .. } => "system",
        Kind::Unsupported { .. } => "unsupported",
        Kind::Edit { .. } => "edit",
        Kind::Revoke { .. } => "revoke",
        Kind::Other { .. } => "unknown",
    }
}

/// Without the address: it ends within minutes, and by the id a new one is given.
fn write_media(out: &mut Object, media: &Media<'_>) {
    out.text("id", media.id.as_deref());
    out.text("mime_type", media.mime_type.as_deref());
    out.text("sha256", media.sha256.as_deref());
    out.text("caption", media.caption.as_deref());
    out.text("filename", media.filename.as_deref());
    out.flag("voice", media.voice);
    out.flag("animated", media.animated);
}

fn write_place(out: &mut Object, place: &Place<'_>) {
    out.number("latitude", place.latitude);
    out.number("longitude", place.longitude);
    out.text("name", place.name.as_deref());
    out.text("address", place.address.as_deref());
    out.text("url", place.url.as_deref());
}

/// The fields that can be sent, too; a photo would fill the whole.
fn write_card(out: &mut Object, card: &Card<'_>) {
    let read: shape::Card<'_> = object(Some(card.raw));
    let mut copy = |key: &str, field: Field<'_>| {
        if let Some(value) = field.and_then(tame).filter(|value| *value != Value::Null) {
            out.value(key, &value);
        }
    };
    copy("name", read.name);
    copy("phones", read.phones);
    copy("emails", read.emails);
    copy("urls", read.urls);
    copy("addresses", read.addresses);
    copy("org", read.org);
    copy("birthday", read.birthday);
}

fn write_item(out: &mut Object, item: &OrderItem<'_>) {
    out.text("product", item.product.as_deref());
    out.number("quantity", item.quantity);
    out.number("price", item.price);
    out.text("currency", item.currency.as_deref());
}

fn write_relink(out: &mut Object, relink: &Relink<'_>) {
    out.text("name", Some(&relink.name));
    out.object("previous", |out| write_ids(out, &relink.previous));
    out.object("current", |out| write_ids(out, &relink.current));
}

fn write_ids(out: &mut Object, person: &Person<'_>) {
    out.text("user_id", person.user_id.as_deref());
    out.text("parent_user_id", person.parent_user_id.as_deref());
    out.text("wa_id", person.wa_id.as_deref());
}

fn write_context(out: &mut Object, context: &Context<'_>) {
    out.flag("forwarded", context.forwarded || context.frequently_forwarded);
    out.flag("frequently_forwarded", context.frequently_forwarded);
    if let Some((catalog_id, product)) = &context.product {
        out.object("product", |out| {
            out.text("catalog_id", Some(catalog_id));
            out.text("product", Some(product));
        });
    }
}

fn write_error(out: &mut Object, error: &PlatformError<'_>) {
    out.number("code", Some(error.code as f64));
    out.text("title", Some(&*error.title).filter(|title| !title.is_empty()));
    out.text("details", error.details.as_deref());
}

fn write_referral(out: &mut Object, referral: &Referral<'_>) {
    for (key, word) in [
        ("source_type", &referral.source_type),
        ("source_id", &referral.source_id),
        ("source_url", &referral.source_url),
        ("headline", &referral.headline),
        ("body", &referral.body),
        ("ctwa_clid", &referral.ctwa_clid),
        ("media_type", &referral.media_type),
        ("image_url", &referral.image_url),
        ("video_url", &referral.video_url),
        ("thumbnail_url", &referral.thumbnail_url),
        ("welcome", &referral.welcome),
    ] {
        out.text(key, word.as_deref());
    }
}
