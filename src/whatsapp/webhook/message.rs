//! One message of a webhook, from its JSON to its [`Kind`].

use super::kind::{Card, Kind, Media, OrderItem, Place, Relink};
use super::shape::{
    self, Button, CallPermission, CardName, Choice, Edit, FlowReply, Identity, Interactive,
    Location, Message, Order, Phone, Product, Reaction, Revoke, System, Text, Unsupported, Welcome,
};
use super::{Context, Person, Referral};
use crate::whatsapp::field::{Field, flag, id, list, number, object, text, timestamp};
use crate::whatsapp::send::MediaKind;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An edit holds a message, which the platform never makes an edit again.
const EDIT_DEPTH_MAX: u32 = 1;

/// What the message is.
pub(super) fn read_kind<'a>(message: &Message<'a>, from: &Person<'a>) -> Kind<'a> {
    kind_within(message, from, 0)
}

fn kind_within<'a>(message: &Message<'a>, from: &Person<'a>, depth: u32) -> Kind<'a> {
    let name = text(message.type_name).unwrap_or_default();
    let known = match &*name {
        "text" => text(object::<Text<'a>>(message.text).body).map(|body| Kind::Text { body }),
        "image" => Some(media(MediaKind::Image, message.image)),
        "audio" => Some(media(MediaKind::Audio, message.audio)),
        "video" => Some(media(MediaKind::Video, message.video)),
        "document" => Some(media(MediaKind::Document, message.document)),
        "sticker" => Some(media(MediaKind::Sticker, message.sticker)),
        "location" => Some(location(message.location)),
        "contacts" => Some(Kind::Contacts(list(message.contacts).into_iter().map(card).collect())),
        "interactive" => interactive(message.interactive),
        "button" => {
            let button: Button<'a> = object(message.button);
            Some(Kind::ButtonReply { id: id(button.payload), title: id(button.text) })
        }
        "reaction" => {
            let reaction: Reaction<'a> = object(message.reaction);
            let emoji = text(reaction.emoji).unwrap_or_default();
            Some(Kind::Reaction { of: id(reaction.message_id), emoji })
        }
        "order" => Some(order(message.order)),
        "system" => Some(system(message.system, from)),
        "unsupported" => {
            let unsupported: Unsupported<'a> = object(message.unsupported);
            Some(Kind::Unsupported { name: id(unsupported.type_name) })
        }
        "edit" if depth < EDIT_DEPTH_MAX => edit(message.edit, from, depth),
        "revoke" => {
            let revoke: Revoke<'a> = object(message.revoke);
            id(revoke.original_message_id).map(|of| Kind::Revoke { of })
        }
        _ => None,
    };
    known.unwrap_or(Kind::Other { name })
}

fn media(kind: MediaKind, field: Field<'_>) -> Kind<'_> {
    let media: shape::Media<'_> = object(field);
    Kind::Media(Media {
        kind,
        id: id(media.id),
        mime_type: id(media.mime_type),
        sha256: id(media.sha256),
        url: id(media.url),
        caption: id(media.caption),
        filename: id(media.filename),
        voice: flag(media.voice).unwrap_or(false),
        animated: flag(media.animated).unwrap_or(false),
    })
}

fn location(field: Field<'_>) -> Kind<'_> {
    let place: Location<'_> = object(field);
    Kind::Location(Place {
        latitude: number(place.latitude),
        longitude: number(place.longitude),
        name: id(place.name),
        address: id(place.address),
        url: id(place.url),
    })
}

fn card(raw: &RawValue) -> Card<'_> {
    let card: shape::Card<'_> = object(Some(raw));
    let name: CardName<'_> = object(card.name);
    let parts = || match (id(name.first_name), id(name.last_name)) {
        (Some(first), Some(last)) => Some(Cow::Owned(format!("{first} {last}"))),
        (first, last) => first.or(last),
    };
    let phone =
        list(card.phones).into_iter().find_map(|raw| id(object::<Phone<'_>>(Some(raw)).phone));
    Card { name: id(name.formatted_name).or_else(parts), phone, raw }
}

fn interactive(field: Field<'_>) -> Option<Kind<'_>> {
    let interactive: Interactive<'_> = object(field);
    let choice = |field| object::<Choice<'_>>(field);
    let name = text(interactive.type_name)?;
    Some(match &*name {
        "button_reply" => {
            let button = choice(interactive.button_reply);
            Kind::ButtonReply { id: id(button.id), title: id(button.title) }
        }
        "list_reply" => {
            let row = choice(interactive.list_reply);
            let description = id(row.description);
            Kind::ListReply { id: id(row.id), title: id(row.title), description }
        }
        "nfm_reply" => {
            let reply: FlowReply<'_> = object(interactive.nfm_reply);
            let response_json = id(reply.response_json);
            Kind::FlowReply { name: id(reply.name), body: id(reply.body), response_json }
        }
        "call_permission_reply" => {
            let reply: CallPermission<'_> = object(interactive.call_permission_reply);
            Kind::CallPermission {
                response: id(reply.response),
                expires_s: timestamp(reply.expiration_timestamp),
                source: id(reply.response_source),
            }
        }
        _ => Kind::Other { name },
    })
}

fn order(field: Field<'_>) -> Kind<'_> {
    let order: Order<'_> = object(field);
    let items = list(order.product_items).into_iter().map(|raw| {
        let item: shape::OrderItem<'_> = object(Some(raw));
        OrderItem {
            product: id(item.product_retailer_id),
            quantity: number(item.quantity),
            price: number(item.item_price),
            currency: id(item.currency),
        }
    });
    let items = items.collect();
    Kind::Order { catalog_id: id(order.catalog_id), text: id(order.text), items }
}

/// `from` is whom the message names as its sender: for a change of the number the old one, which
/// the object itself does not name.
fn system<'a>(field: Field<'a>, from: &Person<'a>) -> Kind<'a> {
    let system: System<'a> = object(field);
    let (name, body) = (id(system.type_name), id(system.body));
    let Some(name @ ("user_changed_number" | "user_changed_user_id")) = name.as_deref() else {
        return Kind::System { name, body };
    };
    let changes_number = name == "user_changed_number";
    let name: &'static str =
        if changes_number { "user_changed_number" } else { "user_changed_user_id" };
    let wa_id = id(system.wa_id);
    let previous = Person {
        user_id: id(system.previous_user_id).or_else(|| from.user_id.clone()),
        parent_user_id: id(system.previous_parent_user_id),
        wa_id: from.wa_id.clone(),
        ..Person::default()
    };
    let current = Person {
        user_id: id(system.user_id),
        parent_user_id: id(system.parent_user_id),
        wa_id: if changes_number { wa_id } else { wa_id.or_else(|| from.wa_id.clone()) },
        ..Person::default()
    };
    Kind::Relink(Box::new(Relink { name: name.into(), body, previous, current }))
}

fn edit<'a>(field: Field<'a>, from: &Person<'a>, depth: u32) -> Option<Kind<'a>> {
    let edit: Edit<'a> = object(field);
    let message: Message<'a> = object(edit.message);
    let now = Box::new(kind_within(&message, from, depth + 1));
    Some(Kind::Edit { of: id(edit.original_message_id)?, now })
}

/// What the message belongs to.
pub(super) fn read_context(field: Field<'_>) -> Context<'_> {
    if field.is_none() {
        return Context::default();
    }
    let context: shape::Context<'_> = object(field);
    let product: Product<'_> = object(context.referred_product);
    Context {
        id: id(context.id),
        from: id(context.from),
        forwarded: flag(context.forwarded).unwrap_or(false),
        frequently_forwarded: flag(context.frequently_forwarded).unwrap_or(false),
        product: id(product.catalog_id).zip(id(product.product_retailer_id)),
    }
}

/// Where the person clicked before.
pub(super) fn read_referral(field: Field<'_>) -> Option<Referral<'_>> {
    field?;
    let referral: shape::Referral<'_> = object(field);
    let read = Referral {
        source_url: id(referral.source_url),
        source_id: id(referral.source_id),
        source_type: id(referral.source_type),
        headline: id(referral.headline),
        body: id(referral.body),
        media_type: id(referral.media_type),
        image_url: id(referral.image_url),
        video_url: id(referral.video_url),
        thumbnail_url: id(referral.thumbnail_url),
        ctwa_clid: id(referral.ctwa_clid),
        welcome: id(object::<Welcome<'_>>(referral.welcome_message).text),
    };
    (read != Referral::default()).then_some(read)
}

/// The fingerprint of the person's keys, which stands in two places.
pub(super) fn read_identity<'a>(message: &Message<'a>) -> Option<Cow<'a, str>> {
    let hash = |field: Field<'a>| {
        field?;
        id(object::<Identity<'a>>(field).hash)
    };
    hash(message.identity).or_else(|| {
        message.system?;
        hash(object::<System<'a>>(message.system).identity)
    })
}
