//! The file: TOML with sections, every key checked against the table, every error with its line.

use super::error::{ConfigError, Place};
use super::settings::{SETTINGS, Setting};
use super::value::{Kind, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads `text`, calls `found` for each setting. `path` is only for messages.
pub(super) fn read(
    path: &str,
    text: &str,
    found: &mut dyn FnMut(&'static Setting, Value, Place),
) -> Result<(), ConfigError> {
    let file = File { path, text };
    let document = DeTable::parse(text).map_err(|error| {
        let begin = error.span().map_or(0, |span| span.start);
        ConfigError::new(file.place(begin), error.message().to_owned())
    })?;
    for (section, value) in document.get_ref() {
        let name = section.get_ref().as_ref();
        match value.get_ref() {
            DeValue::Table(table) if is_section(name) => file.read_section(name, table, found)?,
            DeValue::Table(table) => return Err(file.unknown_section(section, table)),
            _ => return Err(ConfigError::unknown_key(file.place(section.span().start), name)),
        }
    }
    Ok(())
}

fn is_section(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.key.split('.').next() == Some(name))
}

struct File<'a> {
    path: &'a str,
    text: &'a str,
}

impl File<'_> {
    fn read_section(
        &self,
        section: &str,
        table: &DeTable<'_>,
        found: &mut dyn FnMut(&'static Setting, Value, Place),
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{section}.{}", name.get_ref());
            let place = self.place(name.span().start);
            let Some(setting) = Setting::find(&key) else {
                return Err(ConfigError::unknown_key(place, &key));
            };
            let Some(value) = convert(setting.kind, value.get_ref()) else {
                let given = value.get_ref().type_str();
                let expected = format!("`{key}`: expected {}", setting.kind);
                // The value itself is not quoted: it may be a secret.
                let problem = match &value.get_ref() {
                    DeValue::String(_) if !setting.is_secret() => {
                        format!("{expected}, found {:?}", value.get_ref().as_str().unwrap_or(""))
                    }
                    DeValue::Integer(number) if !setting.is_secret() => {
                        format!("{expected}, found {number}")
                    }
                    _ => format!("{expected}, found a value of type {given}"),
                };
                return Err(ConfigError::new(place, problem));
            };
            found(setting, value, place);
        }
        Ok(())
    }

    /// Names the nearest setting to the first key of the section, or the section alone.
    fn unknown_section(
        &self,
        section: &Spanned<toml::de::DeString<'_>>,
        table: &DeTable<'_>,
    ) -> ConfigError {
        let place = self.place(section.span().start);
        let name = section.get_ref();
        match table.keys().next() {
            Some(first) => ConfigError::unknown_key(place, &format!("{name}.{}", first.get_ref())),
            None => ConfigError::unknown_key(place, name),
        }
    }

    fn place(&self, begin: usize) -> Place {
        let before = &self.text.as_bytes()[..begin.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Place::File { path: self.path.to_owned(), line }
    }
}

/// Strict about types: a number in quotes is a mistake, and a list may also be one string.
fn convert(kind: Kind, value: &DeValue<'_>) -> Option<Value> {
    match (kind, value) {
        (Kind::Bool, DeValue::Boolean(value)) => Some(Value::Bool(*value)),
        (Kind::Integer { .. }, DeValue::Integer(digits)) => {
            let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
            kind.integer(number)
        }
        (
            Kind::Origins | Kind::Secrets | Kind::RoomKeeps | Kind::Numbers | Kind::Networks,
            DeValue::Array(items),
        ) => {
            let texts: Option<Vec<&str>> =
                items.iter().map(|item| item.get_ref().as_str()).collect();
            kind.list(texts?.into_iter())
        }
        (Kind::Bool | Kind::Integer { .. }, _) => None,
        (_, DeValue::String(text)) => kind.parse(text),
        _ => None,
    }
}
