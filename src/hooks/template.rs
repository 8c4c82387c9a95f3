//! Texts with places in a JSON: `{{repository.name}} by {{sender.login|nobody}}`.

use serde_json::Value;

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

    /// The text, with what stands in the places.
    pub(super) fn render(&self, body: &Value) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                Piece::Place { path, otherwise } => {
                    let found = at(body, path).map(words).filter(|words| !words.is_empty());
                    text.push_str(found.as_deref().unwrap_or(otherwise));
                }
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
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
