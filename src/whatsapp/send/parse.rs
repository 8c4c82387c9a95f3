//! `{"type":…}` to [`Content`].

use super::fields::Fields;
use super::media::{self, MediaKind};
use super::refused::{Problem, Refused};
use super::{Content, Location, contacts, interactive, template};
use crate::whatsapp::limits::{EMOJI_CHARS_MAX, PLACE_CHARS_MAX, TEXT_CHARS_MAX};
use serde_json::Value;

/// All types, in the order of `docs/WHATSAPP.md`.
pub(super) const TYPES: &[&str] = &[
    "text",
    "reaction",
    "image",
    "audio",
    "video",
    "document",
    "sticker",
    "buttons",
    "list",
    "link",
    "ask_location",
    "location",
    "contacts",
    "template",
];

impl Content {
    /// All types that [`Content::parse`] knows, in the order of `docs/WHATSAPP.md`.
    pub const TYPES: &'static [&'static str] = TYPES;

    /// Plain text, as most messages are.
    pub fn text(body: &str) -> Result<Self, Refused> {
        let given = body.chars().count();
        if given == 0 {
            return Err(Refused::new("text", Problem::Empty));
        }
        if given > TEXT_CHARS_MAX {
            return Err(Refused::new("text", Problem::Long { max: TEXT_CHARS_MAX, given }));
        }
        Ok(Self::Text { body: body.to_owned(), preview: true })
    }

    /// Reads what a person, bot or handler wrote: an object with a `type`.
    pub fn parse(json: &str) -> Result<Self, Refused> {
        let value: Value = serde_json::from_str(json)
            .map_err(|_| Refused::new("d", Problem::NotA("an object")))?;
        Self::from_value(&value)
    }

    /// The same for what is parsed already.
    pub fn from_value(value: &Value) -> Result<Self, Refused> {
        let fields = Fields::root(value)?;
        let name = fields.need_text("type", usize::MAX)?;
        if let Some(kind) = MediaKind::named(&name) {
            return media::parse(kind, &fields);
        }
        match name.as_str() {
            "text" => {
                fields.only(&["type", "text", "preview"])?;
                let body = fields.need_text("text", TEXT_CHARS_MAX)?;
                Ok(Self::Text { body, preview: fields.flag("preview")? })
            }
            "reaction" => {
                fields.only(&["type", "emoji"])?;
                let removed = fields.need("emoji")?.as_str() == Some("");
                let emoji = match removed {
                    true => String::new(),
                    false => fields.need_text("emoji", EMOJI_CHARS_MAX)?,
                };
                Ok(Self::Reaction { emoji })
            }
            "buttons" => interactive::buttons(&fields),
            "list" => interactive::list(&fields),
            "link" => interactive::link(&fields),
            "ask_location" => interactive::ask_location(&fields),
            "location" => location(&fields),
            "contacts" => contacts::parse(&fields),
            "template" => template::parse(&fields),
            _ => Err(Refused::form("type", "a type that can be sent", &name)),
        }
    }
}

fn location(fields: &Fields<'_>) -> Result<Content, Refused> {
    fields.only(&["type", "latitude", "longitude", "name", "address"])?;
    Ok(Content::Location(Location {
        latitude: fields.degrees("latitude", 90.0)?,
        longitude: fields.degrees("longitude", 180.0)?,
        name: fields.text("name", PLACE_CHARS_MAX)?,
        address: fields.text("address", PLACE_CHARS_MAX)?,
    }))
}
