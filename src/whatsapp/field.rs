//! Lenient reading of single JSON fields: a wrong type is an absent field, never a lost batch.
//!
//! Meta writes JSON with every character beyond ASCII escaped, so a text is borrowed from the body
//! when it can be and owned when it has escapes.

use serde::Deserializer as _;
use serde::de::Visitor;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A field of a lenient object.
pub(super) type Field<'a> = Option<&'a RawValue>;

/// The field as text: of a string, or of the digits of a number, because ids and times come as
/// either. Half a surrogate pair (platforms cut names in the middle of an emoji) becomes U+FFFD.
pub(super) fn text(field: Field<'_>) -> Option<Cow<'_, str>> {
    let json = field?.get();
    match json.as_bytes().first()? {
        b'"' if !json.as_bytes().contains(&b'\\') => Some(Cow::Borrowed(&json[1..json.len() - 1])),
        b'"' => serde_json::Deserializer::from_str(json).deserialize_bytes(TextVisitor).ok(),
        b'0'..=b'9' | b'-' => Some(Cow::Borrowed(json)),
        _ => None,
    }
}

/// [`text`], unless it is empty.
pub(super) fn id(field: Field<'_>) -> Option<Cow<'_, str>> {
    text(field).filter(|text| !text.is_empty())
}

/// The field as a boolean.
pub(super) fn flag(field: Field<'_>) -> Option<bool> {
    field?.get().parse().ok()
}

/// The field as a number, from a number or a string; never infinite.
pub(super) fn number(field: Field<'_>) -> Option<f64> {
    text(field)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Seconds since 1970, from a string or a number.
pub(super) fn timestamp(field: Field<'_>) -> Option<i64> {
    text(field)?.parse().ok().filter(|seconds| *seconds >= 0)
}

/// The field as a list; empty when it is none.
pub(super) fn list(field: Field<'_>) -> Vec<&RawValue> {
    field.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// The field as an object of known shape; all its fields absent when it is none.
pub(super) fn object<'a, T: Default + serde::Deserialize<'a>>(field: Field<'a>) -> T {
    field.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// serde_json gives lone surrogates to a reader of bytes and refuses them to a reader of text.
struct TextVisitor;

impl<'a> Visitor<'a> for TextVisitor {
    type Value = Cow<'a, str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'a [u8]) -> Result<Self::Value, E> {
        Ok(String::from_utf8_lossy(bytes))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(String::from_utf8_lossy(bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, want: Option<&str>, owned: bool) {
        let raw: Field<'_> = serde_json::from_str(json).expect("the test's JSON is JSON");
        let got = text(raw);
        assert_eq!(got.as_deref(), want, "{json}");
        assert_eq!(matches!(got, Some(Cow::Owned(_))), owned, "{json}");
    }

    #[test]
    fn texts() {
        check(r#" "plain é" "#, Some("plain é"), false);
        check(r#""caf\u00e9 \ud83d\udc69\/""#, Some("café 👩/"), true);
        check(r#""cut \ud83d""#, Some("cut \u{fffd}\u{fffd}\u{fffd}"), true);
        check(r#""""#, Some(""), false);
        check("1795000001", Some("1795000001"), false);
        check("-1", Some("-1"), false);
        for json in ["null", "true", "[]", "{}"] {
            check(json, None, false);
        }
    }
}
