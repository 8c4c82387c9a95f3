//! What a person reads of a message, in clients that show text only.

use super::Inbound;
use super::kind::{Card, Kind, Media, OrderItem, Place};
use std::borrow::Cow;

impl Inbound<'_> {
    /// What a room shows of it. What was written stands as written; all else begins with its kind
    /// in brackets, as of messages out.
    pub fn text(&self) -> Cow<'_, str> {
        words(&self.kind)
    }
}

fn words<'a>(kind: &'a Kind<'_>) -> Cow<'a, str> {
    match kind {
        Kind::Text { body } => Cow::Borrowed(body),
        Kind::Media(media) => noted(media.kind.name(), &media_words(media)),
        Kind::Location(place) => noted("location", &place_words(place)),
        Kind::Contacts(cards) => noted("contacts", &card_words(cards)),
        Kind::ButtonReply { id, title } | Kind::ListReply { id, title, .. } => {
            match title.as_deref().or(id.as_deref()) {
                Some(title) => Cow::Borrowed(title),
                None => Cow::Borrowed("[button]"),
            }
        }
        Kind::FlowReply { name, body, .. } => {
            noted(name.as_deref().unwrap_or("flow"), body.as_deref().unwrap_or(""))
        }
        Kind::CallPermission { response, .. } => {
            noted("call permission", response.as_deref().unwrap_or(""))
        }
        Kind::Reaction { emoji, .. } if emoji.is_empty() => Cow::Borrowed("[reaction removed]"),
        Kind::Reaction { emoji, .. } => noted("reaction", emoji),
        Kind::Order { text, items, .. } => {
            let mut words = items.iter().map(item_words).collect::<Vec<_>>().join(", ");
            if let Some(text) = text {
                words.push('\n');
                words.push_str(text);
            }
            noted("order", &words)
        }
        Kind::Relink(relink) => match &relink.body {
            Some(body) => Cow::Borrowed(body),
            None => noted("system", &relink.name),
        },
        Kind::System { name, body } => match body {
            Some(body) => Cow::Borrowed(body),
            None => noted("system", name.as_deref().unwrap_or("")),
        },
        Kind::Unsupported { name } => noted("unsupported", name.as_deref().unwrap_or("")),
        Kind::Edit { now, .. } => words(now),
        Kind::Revoke { .. } => Cow::Borrowed("[deleted a message]"),
        Kind::Other { name } if name.is_empty() => Cow::Borrowed("[unknown]"),
        Kind::Other { name } => noted(name, ""),
    }
}

fn noted(kind: &str, words: &str) -> Cow<'static, str> {
    Cow::Owned(if words.is_empty() { format!("[{kind}]") } else { format!("[{kind}] {words}") })
}

fn media_words<'a>(media: &'a Media<'_>) -> Cow<'a, str> {
    match (media.filename.as_deref(), media.caption.as_deref()) {
        (Some(filename), Some(caption)) => Cow::Owned(format!("{filename}\n{caption}")),
        (filename, caption) => Cow::Borrowed(filename.or(caption).unwrap_or("")),
    }
}

fn place_words(place: &Place<'_>) -> String {
    let named = [place.name.as_deref(), place.address.as_deref()];
    let named = named.into_iter().flatten().collect::<Vec<_>>().join(", ");
    match (place.latitude, place.longitude) {
        (Some(latitude), Some(longitude)) if named.is_empty() => format!("{latitude}, {longitude}"),
        _ => named,
    }
}

fn card_words(cards: &[Card<'_>]) -> String {
    let names = cards.iter().filter_map(|card| card.name.as_deref().or(card.phone.as_deref()));
    names.collect::<Vec<_>>().join(", ")
}

fn item_words(item: &OrderItem<'_>) -> String {
    let mut words = match item.quantity {
        Some(quantity) => format!("{quantity} × "),
        None => String::new(),
    };
    words.push_str(item.product.as_deref().unwrap_or("?"));
    if let Some(price) = item.price {
        words.push_str(&format!(" at {price}"));
        if let Some(currency) = &item.currency {
            words.push(' ');
            words.push_str(currency);
        }
    }
    words
}
