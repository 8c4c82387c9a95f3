//! Writes a JSON object that never exceeds a number of bytes: what does not fit is left out whole,
//! and the object says so.
//!
//! What a stranger's JSON is copied from is read as values first, so that no lone half of a
//! surrogate pair and no tower of brackets gets into a room, where others must be able to read it.

use serde_json::Value;
use serde_json::value::RawValue;

/// Levels of a stranger's JSON that are copied; deeper ones are left out.
const DEPTH_MAX: u32 = 8;
/// Of one text, bytes before they are escaped.
const TEXT_BYTES_MAX: usize = 4_096;
/// Kept back for the word that something was left out, and the closing bracket.
const END_BYTES: usize = r#","cut":true}"#.len();

/// An object that is being written.
///
/// Invariant: `out` is `{` and whole fields, and not longer than `bytes_max - END_BYTES`.
pub(super) struct Object {
    out: Vec<u8>,
    bytes_max: usize,
    is_cut: bool,
}

impl Object {
    /// An empty one that will be at most so long.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { out: vec![b'{'], bytes_max, is_cut: false }
    }

    /// A text, if there is one.
    pub(super) fn text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            let front = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
            self.is_cut |= front.len() < text.len();
            self.put(key, |out| quote(out, front));
        }
    }

    /// A number, if there is one. Whole ones are written without a point.
    pub(super) fn number(&mut self, key: &str, number: Option<f64>) {
        const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
        match number {
            Some(number) if number.fract() == 0.0 && number.abs() < WHOLE_MAX => {
                self.value(key, &(number as i64).into());
            }
            Some(number) => self.value(key, &number.into()),
            None => {}
        }
    }

    /// `true`, or nothing.
    pub(super) fn flag(&mut self, key: &str, flag: bool) {
        if flag {
            self.value(key, &true.into());
        }
    }

    /// Any value.
    pub(super) fn value(&mut self, key: &str, value: &Value) {
        self.put(key, |out| serde_json::to_writer(out, value).expect("a vector takes everything"));
    }

    /// An object with these fields, unless there are none.
    pub(super) fn object(&mut self, key: &str, write: impl FnOnce(&mut Object)) {
        let mut inner = Object::new(self.room_within(key));
        write(&mut inner);
        self.is_cut |= inner.is_cut;
        if inner.out.len() > 1 {
            inner.out.push(b'}');
            self.put(key, |out| out.extend_from_slice(&inner.out));
        }
    }

    /// A list of objects, as many as fit, unless there are none.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        items: &[T],
        mut write: impl FnMut(&mut Object, &T),
    ) {
        let bytes_max = self.room_within(key);
        let mut list = vec![b'['];
        for item in items {
            let mut inner = Object::new(bytes_max.saturating_sub(list.len() + 1));
            write(&mut inner, item);
            self.is_cut |= inner.is_cut;
            if inner.out.len() > 1 {
                list.extend_from_slice(if list.len() > 1 { b"," } else { b"" });
                list.append(&mut inner.out);
                list.push(b'}');
            }
        }
        list.push(b']');
        if list.len() > 2 {
            self.put(key, |out| out.extend_from_slice(&list));
        }
    }

    /// The whole.
    pub(super) fn finish(mut self) -> String {
        if self.is_cut {
            self.out.extend_from_slice(if self.out.len() > 1 { b"," } else { b"" });
            self.out.extend_from_slice(br#""cut":true"#);
        }
        self.out.push(b'}');
        assert!(self.out.len() <= self.bytes_max.max(2 * END_BYTES));
        String::from_utf8(self.out).expect("texts are UTF-8")
    }

    fn put(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let mark = self.out.len();
        self.out.extend_from_slice(if mark > 1 { b"," } else { b"" });
        quote(&mut self.out, key);
        self.out.push(b':');
        write(&mut self.out);
        if self.out.len() + END_BYTES > self.bytes_max {
            self.out.truncate(mark);
            self.is_cut = true;
        }
    }

    /// Bytes that the value of another field may have.
    fn room_within(&self, key: &str) -> usize {
        self.bytes_max.saturating_sub(self.out.len() + key.len() + END_BYTES + 4)
    }
}

fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a vector takes everything");
}

/// A stranger's JSON as a value; `None` when it is too deep or holds what is no text.
pub(super) fn tame(raw: &RawValue) -> Option<Value> {
    tame_text(raw.get())
}

/// The same for JSON that came within a string.
pub(super) fn tame_text(json: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(json).ok()?;
    is_flat(&value, DEPTH_MAX).then_some(value)
}

fn is_flat(value: &Value, depth: u32) -> bool {
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_flat(item, depth - 1)),
        Value::Object(fields) => depth > 0 && fields.values().all(|item| is_flat(item, depth - 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(bytes_max: usize) -> String {
        let mut object = Object::new(bytes_max);
        object.text("type", Some("order"));
        object.text("none", None);
        object.number("price", Some(19.5));
        object.number("count", Some(2.0));
        object.flag("no", false);
        object.list("items", &["a", "b", "c"], |item, name| item.text("name", Some(name)));
        object.object("empty", |inner| inner.text("none", None));
        object.object("more", |inner| inner.flag("yes", true));
        object.finish()
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let whole = concat!(
            r#"{"type":"order","price":19.5,"count":2,"#,
            r#""items":[{"name":"a"},{"name":"b"},{"name":"c"}],"more":{"yes":true}}"#
        );
        assert_eq!(write(1_000), whole);
        for bytes_max in 2 * END_BYTES..whole.len() + END_BYTES {
            let text = write(bytes_max);
            assert!(text.len() <= bytes_max, "{bytes_max}: {text}");
            let value: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(value["cut"].is_null(), text == whole, "{bytes_max}: {text}");
        }
        let with_one =
            r#"{"type":"order","price":19.5,"count":2,"items":[{"name":"a"}],"cut":true}"#;
        assert!((0..200).any(|bytes_max| write(bytes_max) == with_one), "a list is cut by items");
    }

    #[test]
    fn a_strangers_json_is_copied_when_others_can_read_it() {
        let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        for (json, is_copied) in [
            (r#"{"a":[1,{"b":"é\u00e9"}]}"#.to_owned(), true),
            (r#""half a pair \ud83d""#.to_owned(), false),
            (deep(DEPTH_MAX as usize), true),
            (deep(DEPTH_MAX as usize + 1), false),
            (deep(100_000), false),
            ("{".to_owned(), false),
        ] {
            assert_eq!(tame_text(&json).is_some(), is_copied, "{:.40}", json);
        }
    }
}
