//! Doors through which others post into rooms: `POST /hook/{name}`.
//!
//! A hook is a lock, a filter and a text. The lock is a secret that the caller shows, or a
//! signature over the body that only who knows the secret can make; a door without a lock cannot
//! be put. The filter looks at the JSON that came, and the text is made of it by a template, or is
//! the `text` of the JSON itself, as senders to Slack write it.
//!
//! **Never:** a socket, a clock (time is an argument); a comparison with a secret whose duration
//! tells how much of it was right; a text of the caller's in a refusal.

mod lock;

mod template;

use crate::base::limits::{
    CID_BYTES_MAX, ERASED_NAME_PREFIX, HOOK_BODY_BYTES_MAX, HOOK_CONDITIONS_MAX,
    ROOM_NAME_BYTES_MAX, TEXT_BYTES_MAX, USER_NAME_BYTES_MAX,
};
use crate::base::names::{HANDLER_PREFIX, PLATFORM_PREFIX};
use crate::registry::Fault;
use crate::registry::part::{Fields, Part};
use crate::registry::slack;
use crate::wire::http::query;
use data_encoding::HEXLOWER;
use lock::Lock;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use template::{Template, at};

/// A door.
#[derive(Clone, Debug)]
pub struct Hook {
    room: Box<str>,
    user: Box<str>,
    lock: Lock,
    /// Without one, the JSON's own `text` is posted.
    text: Option<Template>,
    /// What is the same when the same thing is told again.
    id: Option<Template>,
    when: Vec<(Box<str>, Wish)>,
    is_enabled: bool,
}

/// What a place in the JSON must be.
#[derive(Clone, Debug)]
enum Wish {
    /// There, or not there; `null` is not there.
    Present(bool),
    /// One of these.
    OneOf(Vec<Value>),
}

/// A request at a door, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The values of [`Hook::headers`], in their order; `None` when one is missing or came twice.
    pub headers: &'a [Option<Box<[u8]>>],
    /// What stands behind the name in the path.
    pub key: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
    /// Seconds since 1970.
    pub now_s: i64,
}

/// What is to be said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Post {
    /// Where.
    pub room: Box<str>,
    /// In whose name.
    pub user: Box<str>,
    /// What.
    pub text: String,
    /// The same when the same thing is told again; empty when nobody can know.
    pub cid: String,
}

/// Why a letter is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// A stable name.
    pub reason: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

const fn refused(status: u16, reason: &'static str, hint: &'static str) -> Refused {
    Refused { status, reason, hint }
}

/// Bytes of an id before it is hashed. One that is longer names a long value again and again: its
/// front has all of it.
const ID_BYTES_MAX: usize = 2 * HOOK_BODY_BYTES_MAX;

const FIELDS: [&str; 8] = ["room", "user", "secret", "signature", "text", "id", "when", "enabled"];

impl Hook {
    /// Reads a definition. `name` is what the hook posts as unless it says otherwise.
    pub fn parse(name: &str, json: &str) -> Result<Self, Fault> {
        let whole = Part::whole(json)?.object()?;
        whole.only(FIELDS)?;
        let template = |part: &Part<'_>| {
            let text = part.text(TEXT_BYTES_MAX)?;
            Template::parse(&text).map_err(|problem| part.fault(problem))
        };
        Ok(Self {
            room: plain(whole.need("room")?, ROOM_NAME_BYTES_MAX)?,
            user: whole.get("user").map_or_else(|| Ok(name.into()), user)?,
            lock: Lock::parse(&whole)?,
            text: whole.get("text").map(template).transpose()?,
            id: whole.get("id").map(template).transpose()?,
            when: when(&whole)?,
            is_enabled: whole.get("enabled").map_or(Ok(true), Part::flag)?,
        })
    }

    /// Names of the headers that [`Letter::headers`] is to hold, in lower case.
    pub fn headers(&self) -> &[Box<str>] {
        self.lock.headers()
    }

    /// What a letter says. `None`: it came rightly, and is not what this hook waits for.
    pub fn open(&self, letter: &Letter<'_>) -> Result<Option<Post>, Refused> {
        self.lock.admit(letter)?;
        if !self.is_enabled {
            return Ok(None);
        }
        let body = json_of(letter.body)?;
        let body: Value = serde_json::from_slice(&body)
            .map_err(|_| refused(400, "bad_json", "the body is no JSON"))?;
        if !self.when.iter().all(|(path, wish)| wish.is_met(at(&body, path))) {
            return Ok(None);
        }
        let text = match &self.text {
            Some(template) => template.render(&body, TEXT_BYTES_MAX),
            None => slack::text(&body).unwrap_or_default(),
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(refused(422, "no_text", "this body makes an empty text; see the hook"));
        }
        let id = match &self.id {
            Some(template) => template.render(&body, ID_BYTES_MAX),
            None => self.lock.id(letter).unwrap_or_default(),
        };
        Ok(Some(Post {
            room: self.room.clone(),
            user: self.user.clone(),
            text: cut(text, TEXT_BYTES_MAX).to_owned(),
            cid: cid(&id),
        }))
    }
}

impl Wish {
    fn is_met(&self, found: Option<&Value>) -> bool {
        let found = found.filter(|value| !value.is_null());
        match self {
            Self::Present(wanted) => found.is_some() == *wanted,
            Self::OneOf(values) => found.is_some_and(|value| values.contains(value)),
        }
    }
}

/// The JSON of a body: itself, or the field `payload` of a form.
fn json_of(body: &[u8]) -> Result<Cow<'_, [u8]>, Refused> {
    if !body.starts_with(b"payload=") {
        return Ok(body.into());
    }
    let form = std::str::from_utf8(body).ok().and_then(|form| query::get(form, "payload"));
    match form {
        Some(Ok(Cow::Borrowed(json))) => Ok(json.as_bytes().into()),
        Some(Ok(Cow::Owned(json))) => Ok(json.into_bytes().into()),
        _ => Err(refused(400, "bad_form", "the field `payload` of this form does not decode")),
    }
}

fn plain(part: &Part<'_>, bytes_max: usize) -> Result<Box<str>, Fault> {
    let text = part.text(bytes_max)?;
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(part.fault("takes no control characters and no outer white space"));
    }
    Ok(text.into())
}

fn user(part: &Part<'_>) -> Result<Box<str>, Fault> {
    let name = plain(part, USER_NAME_BYTES_MAX)?;
    for (prefix, whose) in [
        (PLATFORM_PREFIX, "WhatsApp contacts"),
        (HANDLER_PREFIX, "handlers"),
        (ERASED_NAME_PREFIX, "people who were erased"),
    ] {
        if name.starts_with(prefix) {
            return Err(part.fault(format!("names that begin with {prefix} stand for {whose}")));
        }
    }
    Ok(name)
}

fn when(whole: &Fields<'_>) -> Result<Vec<(Box<str>, Wish)>, Fault> {
    let Some(part) = whole.get("when") else { return Ok(Vec::new()) };
    let mut wishes = Vec::new();
    for (path, wish) in part.object()?.iter() {
        let wish = match wish.value() {
            Value::Bool(wanted) => Wish::Present(wanted),
            Value::Array(values) => Wish::OneOf(values),
            value @ (Value::String(_) | Value::Number(_)) => Wish::OneOf(vec![value]),
            _ => return Err(wish.fault("wants true, false, a value or a list of values")),
        };
        wishes.push((path.into(), wish));
    }
    if wishes.len() > HOOK_CONDITIONS_MAX {
        return Err(part.fault(format!("takes at most {HOOK_CONDITIONS_MAX} conditions")));
    }
    Ok(wishes)
}

/// The id of a letter as the rooms take it; one that is too long by its hash.
fn cid(id: &str) -> String {
    match format!("hook-{id}") {
        _ if id.is_empty() => String::new(),
        cid if cid.len() <= CID_BYTES_MAX => cid,
        _ => format!("hook-{}", HEXLOWER.encode(&Sha256::digest(id)[..24])),
    }
}

/// The front of `text` that fits.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests;
