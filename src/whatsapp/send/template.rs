//! Approved texts: a short form with the values of the body, and the Graph API's components.

use super::fields::{Fields, text};
use super::refused::{Problem, Refused};
use super::{Content, Template};
use crate::whatsapp::limits::{
    TEMPLATE_NAME_CHARS_MAX, TEMPLATE_PARTS_MAX, TEMPLATE_VALUE_CHARS_MAX,
};
use serde_json::{Value, json};

pub(super) fn parse(fields: &Fields<'_>) -> Result<Content, Refused> {
    fields.only(&["type", "name", "language", "values", "components"])?;
    let name = fields.need_text("name", TEMPLATE_NAME_CHARS_MAX)?;
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err(Refused::form(fields.path("name"), "small letters, digits and _", &name));
    }
    let language = fields.need_text("language", 16)?;
    if !is_language(&language) {
        return Err(Refused::form(fields.path("language"), "a code like en or en_US", &language));
    }
    let components = match (fields.get("values"), fields.get("components")) {
        (None, None) => Vec::new(),
        (Some(_), None) => values(fields)?,
        (None, Some(_)) => components(fields)?,
        (Some(_), Some(_)) => {
            return Err(fields.refuse("values", Problem::OneOf(&["values", "components"])));
        }
    };
    Ok(Content::Template(Template { name, language, components }))
}

/// `{{1}}`, `{{2}}`, … of the body.
fn values(fields: &Fields<'_>) -> Result<Vec<Value>, Refused> {
    let values = fields.need_list("values", TEMPLATE_PARTS_MAX)?.iter().enumerate();
    let parameters = values.map(|(at, value)| {
        let path = format!("{}[{at}]", fields.path("values"));
        Ok(json!({"type": "text", "text": text(value, &path, TEMPLATE_VALUE_CHARS_MAX)?}))
    });
    let parameters = parameters.collect::<Result<Vec<_>, Refused>>()?;
    Ok(vec![json!({"type": "body", "parameters": parameters})])
}

/// The Graph API's own, looked at only as far as every template has it: what a parameter may hold
/// depends on the template, which only the platform knows.
fn components(fields: &Fields<'_>) -> Result<Vec<Value>, Refused> {
    let mut read = Vec::new();
    for component in fields.need_objects("components", TEMPLATE_PARTS_MAX)? {
        component.need_text("type", 64)?;
        if component.get("parameters").is_some() {
            let parameters = match component.need("parameters")? {
                Value::Array(items) if items.is_empty() => Vec::new(),
                _ => component.need_objects("parameters", TEMPLATE_PARTS_MAX)?,
            };
            for parameter in parameters {
                parameter.need_text("type", 64)?;
                parameter.text("text", TEMPLATE_VALUE_CHARS_MAX)?;
            }
        }
        read.push(Value::Object(component.map().clone()));
    }
    Ok(read)
}

/// `en`, `fil`, `en_US`: the platform's list changes, its form does not.
fn is_language(code: &str) -> bool {
    let (language, country) = code.split_once('_').unwrap_or((code, "XX"));
    matches!(language.len(), 2 | 3)
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
}
