//! What the log keeps of a status beside its name and error number, for reports.

use super::DeliveryStatus;
use serde_json::{Map, Value};

/// Bytes of one of Meta's words that are kept.
const WORD_BYTES_MAX: usize = 64;

impl DeliveryStatus<'_> {
    /// Price, kind of conversation and title of the error as one JSON object, as far as Meta told
    /// them; empty when it told none. Keys are in the order of the alphabet. Below 4 KiB, whatever
    /// Meta sends.
    ///
    /// ```json
    /// {"conversation":{"type":"marketing"},"error":{"title":"Re-engagement message"},
    ///  "pricing":{"billable":true,"category":"marketing","pricing_model":"PMP","type":"regular"}}
    /// ```
    pub fn extra(&self) -> String {
        let mut extra = Map::new();
        if let Some(pricing) = &self.pricing {
            let mut words = Map::new();
            words.extend(pricing.billable.map(|billable| ("billable".to_owned(), billable.into())));
            words.extend(word("category", pricing.category.as_deref()));
            words.extend(word("pricing_model", pricing.model.as_deref()));
            words.extend(word("type", pricing.kind.as_deref()));
            extra.insert("pricing".to_owned(), words.into());
        }
        let conversation = word("type", self.conversation_type.as_deref());
        let error = self.errors.first();
        let error =
            word("title", error.map(|error| &*error.title).filter(|title| !title.is_empty()));
        for (name, word) in [("conversation", conversation), ("error", error)] {
            extra.extend(word.map(|word| (name.to_owned(), Value::Object(Map::from_iter([word])))));
        }
        if extra.is_empty() { String::new() } else { Value::Object(extra).to_string() }
    }
}

fn word(key: &str, text: Option<&str>) -> Option<(String, Value)> {
    let text = text?;
    let front = &text[..text.floor_char_boundary(WORD_BYTES_MAX)];
    Some((key.to_owned(), front.into()))
}

#[cfg(test)]
mod tests {
    use super::super::{Update, parse};
    use super::*;

    #[test]
    fn extras() {
        check("", "");
        check(r#","pricing":{},"conversation":[],"errors":[{"code":1}]"#, "");
        check(r#","pricing":7,"errors":[{"title":""}],"conversation":{"origin":{}}"#, "");
        check(
            r#","pricing":{"billable":false,"pricing_model":"CBP","type":"y","category":"x"}"#,
            r#"{"pricing":{"billable":false,"category":"x","pricing_model":"CBP","type":"y"}}"#,
        );
        check(r#","pricing":{"billable":"yes","category":"service"}"#, {
            r#"{"pricing":{"category":"service"}}"#
        });
        check(
            r#","conversation":{"id":"0f","origin":{"type":"marketing"}}"#,
            r#"{"conversation":{"type":"marketing"}}"#,
        );
        check(
            r#","errors":[{"code":131026,"title":"Not \u0022there\u0022"},{"title":"second"}]"#,
            r#"{"error":{"title":"Not \"there\""}}"#,
        );
    }

    #[track_caller]
    fn check(fields: &str, want: &str) {
        assert_eq!(extra(fields), want, "{fields}");
    }

    fn extra(fields: &str) -> String {
        let status = format!(r#"{{"id":"w","status":"sent","recipient_id":"2"{fields}}}"#);
        let value = format!(r#"{{"metadata":{{"phone_number_id":"1"}},"statuses":[{status}]}}"#);
        let change = format!(r#"{{"field":"messages","value":{value}}}"#);
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"changes":[{change}]}}]}}"#
        );
        match parse(body.as_bytes()).expect("JSON").as_slice() {
            [Update::Status(status)] => status.extra(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_of_any_size_are_bounded() {
        let long = "\\u0001".repeat(1_000);
        let pricing =
            format!(r#"{{"pricing_model":"{long}","type":"{long}","category":"{long}"}}"#);
        let origin = format!(r#"{{"origin":{{"type":"{long}"}}}}"#);
        let errors = format!(r#"[{{"title":"{long}"}}]"#);
        let fields = format!(r#","pricing":{pricing},"conversation":{origin},"errors":{errors}"#);
        let extra = extra(&fields);
        assert!(extra.len() < 4_096, "{}", extra.len());
        assert!(serde_json::from_str::<Value>(&extra).is_ok_and(|value| value.is_object()));
    }
}
