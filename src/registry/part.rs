//! Reading a definition part by part, each of which knows where it stands: so a fault names line,
//! column and path, and a mistyped field the one that was meant.
//!
//! The whole is checked once to be JSON; what is read after that are pieces of the same text, whose
//! places in it tell line and column.

use super::Fault;
use crate::base::nearest::nearest;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::ops::RangeInclusive;

/// A value in a definition.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The whole definition.
    whole: &'a str,
    /// This value, a piece of `whole`.
    json: &'a str,
    /// Where it stands, as in `do[1].ask`; empty for the whole.
    path: String,
}

/// The fields of an object.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    object: Part<'a>,
    /// Name, where the name stands in the whole, value.
    fields: Vec<(String, usize, Part<'a>)>,
}

impl<'a> Part<'a> {
    /// Begins to read a definition.
    pub fn whole(json: &'a str) -> Result<Self, Fault> {
        super::check_size(json)?;
        let checked: &RawValue = serde_json::from_str(json)?;
        Ok(Self { whole: json, json: checked.get().trim(), path: String::new() })
    }

    /// A fault of this part.
    pub fn fault(&self, problem: impl Into<String>) -> Fault {
        self.fault_at(self.json.as_ptr().addr() - self.whole.as_ptr().addr(), problem)
    }

    fn fault_at(&self, at: usize, problem: impl Into<String>) -> Fault {
        let before = &self.whole[..at];
        let line_at = before.rfind('\n').map_or(0, |end| end + 1);
        Fault {
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_at..].chars().count(),
            path: self.path.clone(),
            problem: problem.into(),
        }
    }

    /// Its JSON.
    pub fn json(&self) -> &'a str {
        self.json
    }

    /// Where it stands.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.json.starts_with('{')
    }

    /// Whether it is a text.
    pub fn is_text(&self) -> bool {
        self.json.starts_with('"')
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        self.json.starts_with('[')
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.json == "null"
    }

    /// Its fields, when it is an object.
    pub fn object(&self) -> Result<Fields<'a>, Fault> {
        if !self.is_object() {
            return Err(self.fault(format!("wants an object, not {}", self.kind())));
        }
        let entries: Entries<'a> = self.parse();
        let mut end = self.at(self.json) + 1;
        let mut fields: Vec<(String, usize, Part<'a>)> = Vec::with_capacity(entries.0.len());
        for (name, raw) in entries.0 {
            let name_at = end + self.whole[end..].find('"').unwrap_or(0);
            let dot = if self.path.is_empty() { "" } else { "." };
            let path = format!("{}{dot}{name}", self.path);
            let part = Self { whole: self.whole, json: raw.get(), path };
            if fields.iter().any(|(other, ..)| *other == name) {
                return Err(part.fault_at(name_at, "stands here a second time"));
            }
            end = self.at(raw.get()) + raw.get().len();
            fields.push((name, name_at, part));
        }
        Ok(Fields { object: self.clone(), fields })
    }

    /// Its items, when it is a list; else itself: where one is the usual case of several.
    pub fn one_or_more(&self) -> Result<Vec<Self>, Fault> {
        if self.is_list() { self.list() } else { Ok(vec![self.clone()]) }
    }

    /// Its items, when it is a list that is not empty.
    pub fn list(&self) -> Result<Vec<Self>, Fault> {
        if !self.is_list() {
            return Err(self.fault(format!("wants a list, not {}", self.kind())));
        }
        let items: Vec<&'a RawValue> = self.parse();
        if items.is_empty() {
            return Err(self.fault("wants at least one item"));
        }
        let item = |(index, raw): (usize, &&'a RawValue)| Self {
            whole: self.whole,
            json: raw.get(),
            path: format!("{}[{index}]", self.path),
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// Its text, 1 to `bytes_max` bytes.
    pub fn text(&self, bytes_max: usize) -> Result<String, Fault> {
        if !self.is_text() {
            return Err(self.fault(format!("wants a text, not {}", self.kind())));
        }
        let text: String = self.parse();
        if text.is_empty() {
            return Err(self.fault("must not be empty"));
        }
        if text.len() > bytes_max {
            let given = text.len();
            return Err(self.fault(format!("takes at most {bytes_max} bytes, {given} were given")));
        }
        Ok(text)
    }

    /// One of the names of a table.
    pub fn one_of<T: Copy>(&self, table: &[(&'static str, T)]) -> Result<T, Fault> {
        let text = self.text(usize::MAX)?;
        let found = table.iter().find(|(name, _)| *name == text);
        let names = || table.iter().map(|(name, _)| *name);
        found.map(|(_, value)| *value).ok_or_else(|| self.fault(unknown(&text, names())))
    }

    /// Whether it is `true`.
    pub fn flag(&self) -> Result<bool, Fault> {
        match self.json {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.fault(format!("wants true or false, not {}", self.kind()))),
        }
    }

    /// A whole number within bounds.
    pub fn number(&self, bounds: RangeInclusive<i64>) -> Result<i64, Fault> {
        let number = self.json.parse().ok().filter(|number| bounds.contains(number));
        let (low, high) = bounds.into_inner();
        number.ok_or_else(|| self.fault(format!("wants a whole number from {low} to {high}")))
    }

    /// All of it.
    pub fn value(&self) -> Value {
        self.parse()
    }

    fn parse<T: Deserialize<'a>>(&self) -> T {
        serde_json::from_str(self.json).expect("JSON of this kind, as was checked")
    }

    fn at(&self, piece: &str) -> usize {
        piece.as_ptr().addr() - self.whole.as_ptr().addr()
    }

    fn kind(&self) -> &'static str {
        match self.json.as_bytes()[0] {
            b'{' => "an object",
            b'[' => "a list",
            b'"' => "a text",
            b't' | b'f' => "true or false",
            b'n' => "null",
            _ => "a number",
        }
    }
}

impl<'a> Fields<'a> {
    /// The object itself.
    pub fn part(&self) -> &Part<'a> {
        &self.object
    }

    /// A fault for a field that is none of `known`.
    pub fn only<'k>(
        &self,
        known: impl IntoIterator<Item = &'k str, IntoIter: Clone>,
    ) -> Result<(), Fault> {
        let known = known.into_iter();
        for (name, at, part) in &self.fields {
            if !known.clone().any(|known| known == name) {
                return Err(part.fault_at(*at, unknown(name, known)));
            }
        }
        Ok(())
    }

    /// The field, if it is there.
    pub fn get(&self, name: &str) -> Option<&Part<'a>> {
        self.fields.iter().find(|(known, ..)| known == name).map(|(.., part)| part)
    }

    /// The field, which must be there.
    pub fn need(&self, name: &str) -> Result<&Part<'a>, Fault> {
        self.get(name).ok_or_else(|| self.object.fault(format!("`{name}` is missing")))
    }

    /// Names and values in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Part<'a>)> {
        self.fields.iter().map(|(name, _, part)| (name.as_str(), part))
    }
}

fn unknown<'k>(word: &str, known: impl IntoIterator<Item = &'k str, IntoIter: Clone>) -> String {
    let known = known.into_iter();
    match nearest(word, known.clone()) {
        Some(near) => format!("{word:?} is not known here; did you mean {near:?}?"),
        None => {
            let names: Vec<_> = known.collect();
            format!("{word:?} is not known here, only {}", names.join(", "))
        }
    }
}

/// The fields of an object in their order, values unread.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_line_column_and_path() {
        for (json, want) in [
            ("{\"b\": {\n  \"c\": [1, \"x\"]}}", "line 2, column 12: `b.c[1]`: number"),
            ("{\"b\": 1,\n \"zz\": 2}", "line 2, column 2: `zz`: \"zz\" is not known here, only b"),
            (
                "{\"bb\": 1}",
                "line 1, column 2: `bb`: \"bb\" is not known here; did you mean \"b\"?",
            ),
            ("{\"b\": 1, \"b\": 2}", "line 1, column 10: `b`: stands here a second time"),
            ("{}", "line 1, column 1: `b` is missing"),
            ("[]", "line 1, column 1: wants an object, not a list"),
            ("{\"b\": {\"c\": []}}", "line 1, column 13: `b.c`: wants at least one item"),
            ("{\"b\": ", "line 1, column 6: EOF while parsing a value"),
            ("{} {}", "line 1, column 4: trailing characters"),
        ] {
            let fault = read(json).expect_err(json).to_string();
            assert_eq!(fault.replace("wants a whole number from 0 to 9", "number"), want, "{json}");
        }
        assert_eq!(read(" {\"b\": {\"c\": [1, 2]}}\n").expect("good"), [1, 2]);
    }

    /// Reads `{"b": {"c": [numbers]}}`.
    fn read(json: &str) -> Result<Vec<i64>, Fault> {
        let whole = Part::whole(json)?.object()?;
        whole.only(["b"])?;
        let c = whole.need("b")?.object()?.need("c")?.list()?;
        c.iter().map(|part| part.number(0..=9)).collect()
    }

    #[test]
    fn columns_count_characters() {
        let whole = Part::whole("{\"ä\": \"ö\", \"x\": \"\"}").expect("JSON");
        let fields = whole.object().expect("an object");
        let fault = fields.need("x").expect("x").text(9).expect_err("empty");
        assert_eq!((fault.line, fault.column), (1, 17));
        assert!(fields.need("ä").expect("ä").text(1).is_err(), "two bytes");
        let kinds = ["{}", "[]", "\"\"", "true", "null", "1"].map(|json| {
            let part = Part::whole(json).expect("JSON");
            (part.is_object(), part.is_list(), part.is_text(), part.is_null())
        });
        assert!(kinds[0].0 && kinds[1].1 && kinds[2].2 && kinds[4].3);
    }
}
