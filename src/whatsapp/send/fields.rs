//! Strict reading of what people wrote: every refusal names the path of its field.

use super::refused::{Problem, Refused};
use serde_json::{Map, Value};

/// An object and where it stands.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Empty, or ending with a dot.
    path: String,
}

impl<'a> Fields<'a> {
    /// The outermost object.
    pub(super) fn root(value: &'a Value) -> Result<Self, Refused> {
        let map = value.as_object();
        let map = map.ok_or_else(|| Refused::new("d", Problem::NotA("an object")))?;
        Ok(Self { map, path: String::new() })
    }

    /// An object within another, named by its path.
    pub(super) fn within(value: &'a Value, path: &str) -> Result<Self, Refused> {
        let map = value.as_object();
        let map = map.ok_or_else(|| Refused::new(path, Problem::NotA("an object")))?;
        Ok(Self { map, path: format!("{path}.") })
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    pub(super) fn map(&self) -> &'a Map<String, Value> {
        self.map
    }

    pub(super) fn refuse(&self, name: &str, problem: Problem) -> Refused {
        Refused::new(self.path(name), problem)
    }

    /// Refuses what no reader would look at: a mistyped name must not be a silent default.
    pub(super) fn only(&self, known: &'static [&'static str]) -> Result<(), Refused> {
        match self.map.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                let end = name.floor_char_boundary(64);
                Err(self.refuse(&name[..end], Problem::Unknown(known)))
            }
            None => Ok(()),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn need(&self, name: &str) -> Result<&'a Value, Refused> {
        self.get(name).ok_or_else(|| self.refuse(name, Problem::Missing))
    }

    /// A text of 1 to `max` characters, if there is one.
    pub(super) fn text(&self, name: &str, max: usize) -> Result<Option<String>, Refused> {
        let Some(value) = self.get(name) else { return Ok(None) };
        text(value, &self.path(name), max).map(Some)
    }

    /// A text of 1 to `max` characters.
    pub(super) fn need_text(&self, name: &str, max: usize) -> Result<String, Refused> {
        text(self.need(name)?, &self.path(name), max)
    }

    /// An `http:` or `https:` link, if there is one.
    pub(super) fn link(&self, name: &str, max: usize) -> Result<Option<String>, Refused> {
        let Some(link) = self.text(name, max)? else { return Ok(None) };
        let rest = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
        let fits = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            && !link.contains(|c: char| c.is_whitespace() || c.is_control());
        match fits {
            true => Ok(Some(link)),
            false => Err(Refused::form(self.path(name), "a link like https://example.org/", &link)),
        }
    }

    /// A flag; false when it is not there.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refused> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.refuse(name, Problem::NotA("true or false"))),
        }
    }

    /// A list of 1 to `max` items.
    pub(super) fn need_list(&self, name: &str, max: usize) -> Result<&'a [Value], Refused> {
        match self.need(name)? {
            Value::Array(items) if items.is_empty() => Err(self.refuse(name, Problem::Empty)),
            Value::Array(items) if items.len() > max => {
                Err(self.refuse(name, Problem::Many { max, given: items.len() }))
            }
            Value::Array(items) => Ok(items),
            _ => Err(self.refuse(name, Problem::NotA("a list"))),
        }
    }

    /// The items of a list of 1 to `max` objects.
    pub(super) fn need_objects(&self, name: &str, max: usize) -> Result<Vec<Self>, Refused> {
        let items = self.need_list(name, max)?.iter().enumerate();
        items.map(|(at, item)| Self::within(item, &format!("{}[{at}]", self.path(name)))).collect()
    }

    /// A number of degrees.
    pub(super) fn degrees(&self, name: &str, max: f64) -> Result<f64, Refused> {
        let value = self.need(name)?;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        number.filter(|degrees| degrees.abs() <= max).ok_or_else(|| {
            let wants = if max > 90.0 { "degrees, -180 to 180" } else { "degrees, -90 to 90" };
            Refused::form(self.path(name), wants, &value.to_string())
        })
    }
}

/// A text of 1 to `max` characters.
pub(super) fn text(value: &Value, path: &str, max: usize) -> Result<String, Refused> {
    let text = value.as_str();
    let text = text.ok_or_else(|| Refused::new(path, Problem::NotA("a text")))?;
    let given = text.chars().count();
    if given == 0 {
        return Err(Refused::new(path, Problem::Empty));
    }
    if given > max {
        return Err(Refused::new(path, Problem::Long { max, given }));
    }
    Ok(text.to_owned())
}
