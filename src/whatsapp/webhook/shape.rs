//! The JSON objects of a webhook, as far as they are read. Every field may be absent or of another
//! type; unknown fields are skipped.

use crate::whatsapp::field::Field;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Objects and their fields; `as` gives the JSON name of one that is no name in Rust.
macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($field:ident $(as $json:literal)?),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Deserialize, Default)]
        pub(super) struct $name<'a> {$(
            #[serde(borrow $(, rename = $json)?)]
            pub(super) $field: Field<'a>,
        )*}
    )*};
}

shapes! {
    Envelope { object, entry }
    Entry { id, changes }
    Change { field, value }
    /// `value` of the fields `messages` and `smb_message_echoes`.
    Value { metadata, contacts, messages, message_echoes, statuses, errors }
    Metadata { display_phone_number, phone_number_id }
    Contact { wa_id, user_id, parent_user_id, profile }
    Profile { name, username }

    Message {
        from, from_user_id, from_parent_user_id, to, to_user_id, to_parent_user_id,
        id, timestamp, type_name as "type", context, referral, errors, group_id, identity,
        text, image, audio, video, document, sticker, location, contacts, interactive, button,
        reaction, order, system, unsupported, edit, revoke,
    }
    Text { body }
    Media { id, mime_type, sha256, url, caption, filename, voice, animated }
    Location { latitude, longitude, name, address, url }
    Card { name, phones, emails, urls, addresses, org, birthday }
    CardName { formatted_name, first_name, last_name }
    Phone { phone }
    Interactive { type_name as "type", button_reply, list_reply, nfm_reply, call_permission_reply }
    Choice { id, title, description }
    FlowReply { name, body, response_json }
    CallPermission { response, expiration_timestamp, response_source }
    Button { payload, text }
    Reaction { message_id, emoji }
    Order { catalog_id, text, product_items }
    OrderItem { product_retailer_id, quantity, item_price, currency }
    System {
        type_name as "type", body, wa_id, user_id, parent_user_id, previous_user_id,
        previous_parent_user_id, identity,
    }
    Identity { hash }
    Unsupported { type_name as "type" }
    Edit { original_message_id, message }
    Revoke { original_message_id }
    Context { id, from, forwarded, frequently_forwarded, referred_product }
    Product { catalog_id, product_retailer_id }
    Referral {
        source_url, source_id, source_type, body, headline, media_type, image_url, video_url,
        thumbnail_url, ctwa_clid, welcome_message,
    }
    Welcome { text }

    Status {
        id, status, timestamp, recipient_id, recipient_user_id, parent_recipient_user_id,
        recipient_type, recipient_participant_id, participant_recipient_id,
        recipient_participant_user_id, biz_opaque_callback_data, pricing, conversation, errors,
    }
    Pricing { billable, pricing_model, type_name as "type", category }
    Conversation { origin }
    Origin { type_name as "type" }
    ErrorItem { code, title, error_data }
    ErrorData { details }
}

/// An envelope as the documents have it, read at once with what is in it.
#[derive(Deserialize)]
pub(super) struct WholeEnvelope<'a> {
    #[serde(borrow)]
    pub(super) object: Field<'a>,
    #[serde(borrow)]
    pub(super) entry: Vec<WholeEntry<'a>>,
}

/// The same of an entry.
#[derive(Deserialize)]
pub(super) struct WholeEntry<'a> {
    #[serde(borrow)]
    pub(super) id: Field<'a>,
    #[serde(borrow)]
    pub(super) changes: Vec<WholeChange<'a>>,
}

/// The same of a change.
#[derive(Deserialize)]
pub(super) struct WholeChange<'a> {
    #[serde(borrow)]
    pub(super) field: Field<'a>,
    #[serde(borrow)]
    pub(super) value: WholeValue<'a>,
}

/// The same of a [`Value`], where lists may be absent.
#[derive(Deserialize)]
pub(super) struct WholeValue<'a> {
    #[serde(borrow)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow, default)]
    pub(super) contacts: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) messages: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) message_echoes: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) statuses: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) errors: Vec<&'a RawValue>,
}
