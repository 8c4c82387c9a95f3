//! Texts with places in a JSON: `{{repository.name}} by {{sender.login|nobody}}`.

use super::cut;
use serde_json::Value;
use std::borrow::Cow;

/// A text with places.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Plain(Box<str>),
    Place { path: Box<str>, otherwise: Box<str> },
}

impl Template {
    /// Reads one, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (place, after) =
                behind.split_once("}}").ok_or("has a `{{` without its `}}`".to_owned())?;
            if !before.is_empty() {
                pieces.push(Piece::Plain(before.into()));
            }
            let (path, otherwise) = place.split_once('|').unwrap_or((place, ""));
            let path = path.trim();
            if path.is_empty() || path.contains('{') || path.split('.').any(str::is_empty) {
                let problem = "is no place in the body; write names and numbers parted by dots, \
                               as in {{commits.0.message}}";
                return Err(format!("{{{{{place}}}}} {problem}"));
            }
            pieces.push(Piece::Place { path: path.into(), otherwise: otherwise.trim().into() });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Plain(rest.into()));
        }
        Ok(Self(pieces))
    }

    /// The text, with what stands in the places, without white space in front, and of this the
    /// front that fits. Takes no more memory than that and one value, however often the template
    /// names a long one.
    pub(super) fn render(&self, body: &Value, bytes_max: usize) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            let found = match piece {
                Piece::Plain(plain) => Cow::Borrowed(&**plain),
                Piece::Place { path, otherwise } => {
                    let found = at(body, path).map(words).filter(|words| !words.is_empty());
                    found.unwrap_or(Cow::Borrowed(otherwise))
                }
            };
            let found = if text.is_empty() { found.trim_start() } else { &*found };
            let front = cut(found, bytes_max - text.len());
            text.push_str(front);
            if front.len() < found.len() {
                break;
            }
        }
        text
    }
}

/// What stands at `a.b.0.c`.
pub(super) fn at<'v>(body: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(body, |value, step| match value {
        Value::Object(fields) => fields.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// A value as people write it; `null` is nothing.
fn words(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => other.to_string().into(),
    }
}
