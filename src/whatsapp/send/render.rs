//! The bodies of `POST /{version}/{phone_number_id}/messages`.

use super::media::MediaSource;
use super::refused::{Problem, Refused};
use super::{Content, Frame, Header, Media, Message, Recipient, Section, Signal};
use crate::whatsapp::limits::{CALLBACK_CHARS_MAX, ID_CHARS_MAX};
use serde_json::{Map, Value, json};

impl Message {
    /// The JSON that asks for this message. Refused when it is about nothing and must be, or about
    /// something that no id of the platform looks like.
    pub fn render(&self) -> Result<String, Refused> {
        let mut body = Map::new();
        body.insert("messaging_product".to_owned(), "whatsapp".into());
        let (kind, key, to) = match &self.to {
            // Without the plus, the platform would put its own guess of a country before it.
            Recipient::Phone(digits) => ("individual", "to", format!("+{digits}")),
            Recipient::UserId(id) => ("individual", "recipient", id.clone()),
            Recipient::Group(id) => ("group", "to", id.clone()),
        };
        body.insert("recipient_type".to_owned(), kind.into());
        body.insert(key.to_owned(), to.into());
        if let Some(about) = &self.about {
            check_id("reply", about)?;
        }
        let (name, object) = render_content(&self.content, self.about.as_deref())?;
        body.insert("type".to_owned(), name.into());
        body.insert(name.to_owned(), object);
        if let Some(about) = &self.about
            && !matches!(self.content, Content::Reaction { .. })
        {
            body.insert("context".to_owned(), json!({"message_id": about}));
        }
        if let Some(callback) = &self.callback {
            assert!(!callback.is_empty() && callback.len() <= CALLBACK_CHARS_MAX);
            body.insert("biz_opaque_callback_data".to_owned(), callback.as_str().into());
        }
        Ok(Value::Object(body).to_string())
    }
}

impl Signal {
    /// The JSON that tells the platform.
    pub fn render(&self) -> Result<String, Refused> {
        check_id("read", &self.read)?;
        let mut body = json!({
            "messaging_product": "whatsapp",
            "status": "read",
            "message_id": self.read,
        });
        if self.typing {
            body["typing_indicator"] = json!({"type": "text"});
        }
        Ok(body.to_string())
    }
}

fn check_id(field: &'static str, id: &str) -> Result<(), Refused> {
    let fits = !id.is_empty() && id.len() <= ID_CHARS_MAX;
    match fits && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(Refused::form(field, "the platform's id of a message", id)),
    }
}

/// The name of the type in the Graph API, and its object.
fn render_content(
    content: &Content,
    about: Option<&str>,
) -> Result<(&'static str, Value), Refused> {
    Ok(match content {
        Content::Text { body, preview } => ("text", json!({"body": body, "preview_url": preview})),
        Content::Reaction { emoji } => {
            let about = about.ok_or_else(|| Refused::new("reply", Problem::Missing))?;
            ("reaction", json!({"message_id": about, "emoji": emoji}))
        }
        Content::Media(media) => (media.kind.name(), render_media(media)),
        Content::Buttons { frame, buttons } => {
            let buttons: Vec<_> = buttons
                .iter()
                .map(|button| {
                    let reply = json!({"id": button.id, "title": button.title});
                    json!({"type": "reply", "reply": reply})
                })
                .collect();
            interactive("button", frame, json!({"buttons": buttons}))
        }
        Content::List { frame, button, sections } => {
            let sections: Vec<_> = sections.iter().map(render_section).collect();
            interactive("list", frame, json!({"button": button, "sections": sections}))
        }
        Content::Link { frame, title, url } => {
            let parameters = json!({"display_text": title, "url": url});
            interactive("cta_url", frame, json!({"name": "cta_url", "parameters": parameters}))
        }
        Content::AskLocation { body } => {
            let frame = Frame { header: None, body: body.clone(), footer: None };
            interactive("location_request_message", &frame, json!({"name": "send_location"}))
        }
        Content::Location(place) => {
            // The documents have the degrees as texts.
            let mut object = Map::new();
            object.insert("latitude".to_owned(), place.latitude.to_string().into());
            object.insert("longitude".to_owned(), place.longitude.to_string().into());
            insert(&mut object, "name", place.name.as_deref());
            insert(&mut object, "address", place.address.as_deref());
            ("location", Value::Object(object))
        }
        Content::Contacts(cards) => ("contacts", Value::Array(cards.clone())),
        Content::Template(template) => {
            let mut object = json!({
                "name": template.name,
                "language": {"code": template.language},
            });
            if !template.components.is_empty() {
                object["components"] = Value::Array(template.components.clone());
            }
            ("template", object)
        }
    })
}

fn render_media(media: &Media) -> Value {
    let mut object = render_source(&media.source);
    insert(&mut object, "caption", media.caption.as_deref());
    insert(&mut object, "filename", media.filename.as_deref());
    if media.voice {
        object.insert("voice".to_owned(), true.into());
    }
    Value::Object(object)
}

fn render_source(source: &MediaSource) -> Map<String, Value> {
    let (key, value) = match source {
        MediaSource::Id(id) => ("id", id),
        MediaSource::Link(link) => ("link", link),
    };
    Map::from_iter([(key.to_owned(), value.as_str().into())])
}

fn render_section(section: &Section) -> Value {
    let rows: Vec<Value> = section
        .rows
        .iter()
        .map(|row| {
            let mut object = Map::new();
            insert(&mut object, "id", Some(&row.id));
            insert(&mut object, "title", Some(&row.title));
            insert(&mut object, "description", row.description.as_deref());
            Value::Object(object)
        })
        .collect();
    let mut object = Map::from_iter([("rows".to_owned(), Value::Array(rows))]);
    insert(&mut object, "title", section.title.as_deref());
    Value::Object(object)
}

fn interactive(kind: &str, frame: &Frame, action: Value) -> (&'static str, Value) {
    let mut object = json!({"type": kind, "body": {"text": frame.body}, "action": action});
    match &frame.header {
        None => {}
        Some(Header::Text(text)) => object["header"] = json!({"type": "text", "text": text}),
        Some(Header::Media(media, source)) => {
            let name = media.name();
            object["header"] = json!({"type": name, name: render_source(source)});
        }
    }
    if let Some(footer) = &frame.footer {
        object["footer"] = json!({"text": footer});
    }
    ("interactive", object)
}

fn insert(object: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value.into());
    }
}
