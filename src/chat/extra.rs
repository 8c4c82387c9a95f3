//! What a message carries in the log beside its text: the `extra` of a record, a JSON object.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The fields of `extra`; each may be absent, and fields of later versions are passed over.
#[derive(Serialize, Deserialize, Default, Debug)]
#[serde(default)]
pub struct Extra {
    /// What was sent to the contact instead of a plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Box<RawValue>>,
    /// The platform's id of the message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Box<str>>,
    /// When the contact wrote it, if that is long before it came; ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
}

impl Extra {
    /// Reads what [`Extra::text`] wrote; what cannot be read has no fields.
    pub fn read(text: &str) -> Self {
        if text.is_empty() {
            Self::default()
        } else {
            serde_json::from_str(text).unwrap_or_default()
        }
    }

    /// Bytes it takes in a record, or a few more.
    pub fn text_bytes(&self) -> usize {
        let content = self.content.as_ref().map_or(0, |content| content.get().len());
        content + self.about.as_ref().map_or(0, |about| about.len()) + 64
    }

    /// The JSON, empty when there is no field.
    pub fn text(&self) -> Box<str> {
        if self.content.is_none() && self.about.is_none() && self.at.is_none() {
            return "".into();
        }
        if let (None, None, Some(at)) = (&self.content, &self.about, self.at) {
            return format!(r#"{{"at":{at}}}"#).into();
        }
        serde_json::to_string(self).expect("our own values serialise").into()
    }
}
