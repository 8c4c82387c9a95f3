//! Address cards: a short form for people, which becomes the Graph API's.

use super::Content;
use super::fields::{Fields, text};
use super::refused::{Problem, Refused};
use crate::whatsapp::limits::{CONTACT_CHARS_MAX, CONTACT_PARTS_MAX, CONTACTS_MAX};
use serde_json::{Map, Value, json};

/// Lists of a card: name, key of the short form's text, keys of the long form.
const PARTS: [(&str, &str, &[&str]); 4] = [
    ("phones", "phone", &["phone", "type", "wa_id"]),
    ("emails", "email", &["email", "type"]),
    ("urls", "url", &["url", "type"]),
    ("addresses", "street", &["street", "city", "state", "zip", "country", "country_code", "type"]),
];

pub(super) fn parse(fields: &Fields<'_>) -> Result<Content, Refused> {
    fields.only(&["type", "contacts"])?;
    let cards = fields.need_objects("contacts", CONTACTS_MAX)?;
    Ok(Content::Contacts(cards.iter().map(card).collect::<Result<_, _>>()?))
}

fn card(fields: &Fields<'_>) -> Result<Value, Refused> {
    fields.only(&["name", "phones", "emails", "urls", "addresses", "org", "birthday"])?;
    let mut card = Map::new();
    card.insert("name".to_owned(), name(fields)?);
    for (list, short, keys) in PARTS {
        if fields.get(list).is_none() {
            continue;
        }
        let items = fields.need_list(list, CONTACT_PARTS_MAX)?.iter().enumerate();
        let items = items.map(|(at, item)| {
            let path = format!("{}[{at}]", fields.path(list));
            match item {
                Value::String(_) => Ok(json!({short: text(item, &path, CONTACT_CHARS_MAX)?})),
                item => texts(&Fields::within(item, &path)?, keys),
            }
        });
        card.insert(list.to_owned(), Value::Array(items.collect::<Result<_, Refused>>()?));
    }
    if let Some(org) = fields.get("org") {
        let org = Fields::within(org, &fields.path("org"))?;
        card.insert("org".to_owned(), texts(&org, &["company", "department", "title"])?);
    }
    if let Some(day) = fields.text("birthday", CONTACT_CHARS_MAX)? {
        let form = |(at, byte): (usize, u8)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        if day.len() != 10 || !day.bytes().enumerate().all(form) {
            return Err(Refused::form(fields.path("birthday"), "a day like 1815-12-10", &day));
        }
        card.insert("birthday".to_owned(), day.into());
    }
    Ok(Value::Object(card))
}

/// A text, or the Graph API's object: the platform wants the whole name and a part of it.
fn name(fields: &Fields<'_>) -> Result<Value, Refused> {
    if fields.need("name")?.is_string() {
        let whole = fields.need_text("name", CONTACT_CHARS_MAX)?;
        return Ok(json!({"formatted_name": whole, "first_name": whole}));
    }
    let name = Fields::within(fields.need("name")?, &fields.path("name"))?;
    let keys: &[&str] =
        &["formatted_name", "first_name", "last_name", "middle_name", "prefix", "suffix"];
    let read = texts(&name, keys)?;
    name.need("formatted_name")?;
    if name.map().len() < 2 {
        return Err(name.refuse("first_name", Problem::Missing));
    }
    Ok(read)
}

/// An object of texts under these keys only.
fn texts(fields: &Fields<'_>, keys: &'static [&'static str]) -> Result<Value, Refused> {
    fields.only(keys)?;
    let mut read = Map::new();
    for key in keys {
        if let Some(line) = fields.text(key, CONTACT_CHARS_MAX)? {
            read.insert((*key).to_owned(), line.into());
        }
    }
    Ok(Value::Object(read))
}
