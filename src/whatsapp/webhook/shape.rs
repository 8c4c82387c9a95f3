//! The JSON objects of a webhook, as far as they are read. Every field may be absent or of another
//! type; unknown fields are skipped.

use crate::whatsapp::field::Field;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) object: Field<'a>,
    #[serde(borrow)]
    pub(super) entry: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub(super) changes: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Change<'a> {
    #[serde(borrow)]
    pub(super) field: Field<'a>,
    #[serde(borrow)]
    pub(super) value: Field<'a>,
}

/// `value` of the field `messages`.
#[derive(Deserialize, Default)]
pub(super) struct Value<'a> {
    #[serde(borrow)]
    pub(super) metadata: Field<'a>,
    #[serde(borrow)]
    pub(super) contacts: Field<'a>,
    #[serde(borrow)]
    pub(super) messages: Field<'a>,
    #[serde(borrow)]
    pub(super) statuses: Field<'a>,
    #[serde(borrow)]
    pub(super) errors: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub(super) display_phone_number: Field<'a>,
    #[serde(borrow)]
    pub(super) phone_number_id: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Contact<'a> {
    #[serde(borrow)]
    pub(super) wa_id: Field<'a>,
    #[serde(borrow)]
    pub(super) user_id: Field<'a>,
    #[serde(borrow)]
    pub(super) profile: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Profile<'a> {
    #[serde(borrow)]
    pub(super) name: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) from: Field<'a>,
    #[serde(borrow)]
    pub(super) from_user_id: Field<'a>,
    #[serde(borrow)]
    pub(super) id: Field<'a>,
    #[serde(borrow)]
    pub(super) timestamp: Field<'a>,
    #[serde(borrow, rename = "type")]
    pub(super) type_name: Field<'a>,
    #[serde(borrow)]
    pub(super) text: Field<'a>,
    #[serde(borrow)]
    pub(super) system: Field<'a>,
    #[serde(borrow)]
    pub(super) context: Field<'a>,
    #[serde(borrow)]
    pub(super) group_id: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Text<'a> {
    #[serde(borrow)]
    pub(super) body: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct System<'a> {
    #[serde(borrow)]
    pub(super) previous_user_id: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Context<'a> {
    #[serde(borrow)]
    pub(super) id: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Status<'a> {
    #[serde(borrow)]
    pub(super) id: Field<'a>,
    #[serde(borrow)]
    pub(super) status: Field<'a>,
    #[serde(borrow)]
    pub(super) timestamp: Field<'a>,
    #[serde(borrow)]
    pub(super) recipient_id: Field<'a>,
    #[serde(borrow)]
    pub(super) recipient_user_id: Field<'a>,
    #[serde(borrow)]
    pub(super) recipient_participant_id: Field<'a>,
    #[serde(borrow)]
    pub(super) participant_recipient_id: Field<'a>,
    #[serde(borrow)]
    pub(super) recipient_participant_user_id: Field<'a>,
    #[serde(borrow)]
    pub(super) biz_opaque_callback_data: Field<'a>,
    #[serde(borrow)]
    pub(super) pricing: Field<'a>,
    #[serde(borrow)]
    pub(super) conversation: Field<'a>,
    #[serde(borrow)]
    pub(super) errors: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Pricing<'a> {
    #[serde(borrow)]
    pub(super) billable: Field<'a>,
    #[serde(borrow)]
    pub(super) pricing_model: Field<'a>,
    #[serde(borrow, rename = "type")]
    pub(super) type_name: Field<'a>,
    #[serde(borrow)]
    pub(super) category: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Conversation<'a> {
    #[serde(borrow)]
    pub(super) origin: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Origin<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) type_name: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct ErrorItem<'a> {
    #[serde(borrow)]
    pub(super) code: Field<'a>,
    #[serde(borrow)]
    pub(super) title: Field<'a>,
    #[serde(borrow)]
    pub(super) error_data: Field<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct ErrorData<'a> {
    #[serde(borrow)]
    pub(super) details: Field<'a>,
}
