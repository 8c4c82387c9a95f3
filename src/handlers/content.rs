//! What the content of a message says to conditions.

use serde::Deserialize;
use std::borrow::Cow;

/// Ends the types of contents that choose something: `button_reply`, `list_reply`.
const CHOOSES: &str = "_reply";

/// The part of a content (`docs/WHATSAPP.md`) that [`Occasion`](super::Occasion)s have.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(default)]
pub struct Content<'c> {
    #[serde(borrow, rename = "type")]
    type_name: Cow<'c, str>,
    #[serde(borrow)]
    id: Cow<'c, str>,
}

impl<'c> Content<'c> {
    /// Reads a content. What is none, or has none of the fields, is a text.
    pub fn read(json: &'c str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// For [`Occasion::content_type`](super::Occasion::content_type).
    pub fn type_name(&self) -> &str {
        if self.type_name.is_empty() { "text" } else { &self.type_name }
    }

    /// For [`Occasion::choice`](super::Occasion::choice).
    pub fn choice(&self) -> Option<&str> {
        let chooses = self.type_name.ends_with(CHOOSES) && !self.id.is_empty();
        chooses.then_some(&*self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::Content;

    #[test]
    fn contents() {
        for (json, want) in [
            ("", ("text", None)),
            ("{}", ("text", None)),
            ("[]", ("text", None)),
            (r#"{"type": 7}"#, ("text", None)),
            (r#"{"type": "image", "id": "77"}"#, ("image", None)),
            (r#"{"type": "list_reply", "id": "a\"b"}"#, ("list_reply", Some("a\"b"))),
            (r#"{"type": "button_reply", "title": "Yes"}"#, ("button_reply", None)),
        ] {
            let content = Content::read(json);
            assert_eq!((content.type_name(), content.choice()), want, "{json}");
        }
    }
}
