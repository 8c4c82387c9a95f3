//! What a program of a command is told and what it says: one document each, the same for scripts,
//! modules and executables.
//!
//! ```text
//! {"text": "Oslo 3", "call": "c-…", "name": "weather", "words": ["Oslo", "3"],
//!  "args": {"city": "Oslo", "days": 3}, "user": "ann", "display": "Ann", "role": "member",
//!  "room": "lobby", "topic": "", "present": ["ann", "bob"], "present_count": 2, "members": [],
//!  "member_count": 0, "now_ms": 1795413900000, "random": 5577006791947779, "state": {"n": "1"}}
//! ```
//!
//! It answers with plain words, or with a JSON object: a message of Slack's (`text`,
//! `response_type`), and beside that `progress` (texts for whoever asked), `keep` (texts that are
//! kept in this room for the next call; `null` forgets one) and `fetch` (`url`, `body`, `headers`):
//! then it is run again with what was answered as `reply`.

use super::callback::Said;
use super::manifest::{Manifest, Shown};
use crate::base::limits::{
    COMMAND_KEY_BYTES_MAX, COMMAND_KEYS_MAX, COMMAND_PROGRESS_MAX, COMMAND_VALUE_BYTES_MAX,
    PROGRAM_OUTPUT_BYTES_MAX, URL_BYTES_MAX,
};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Marks what the server itself keeps beside the values of a command: calls under way.
pub const UNDER_WAY: &str = "call:";
/// Headers that somebody may set, and bytes of one.
const HEADERS_MAX: usize = 16;
const HEADER_BYTES_MAX: usize = 1_024;
/// Headers that say how a request is carried, which is not the program's affair.
const HEADERS_KEPT_BACK: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a program is told of a call.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Input {
    /// All that was typed behind the name.
    pub text: Box<str>,
    /// The call's id.
    pub call: Box<str>,
    /// The name as it was typed.
    pub name: Box<str>,
    /// The words of the text.
    pub words: Vec<String>,
    /// The values of the manifest's arguments.
    pub args: Map<String, Value>,
    /// Who asks.
    pub user: Box<str>,
    /// The name they go by here.
    pub display: Box<str>,
    /// What they are here.
    pub role: &'static str,
    /// Where.
    pub room: Box<str>,
    /// What it is about.
    pub topic: Box<str>,
    /// Who is here now, the first of them.
    pub present: Names,
    /// How many that are.
    pub present_count: usize,
    /// The members, the first of them.
    pub members: Names,
    /// How many that are.
    pub member_count: usize,
    /// In a conversation with a contact: our number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<Box<str>>,
    /// In a conversation with a contact: who that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Box<str>>,
    /// Now, ms since 1970.
    pub now_ms: i64,
    /// Something nobody can foresee, below 2^53.
    pub random: u64,
    /// What the command keeps in this room.
    pub state: State,
    /// What a fetch brought, when the program is run again after one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
}

/// Names of users.
#[derive(Clone, Debug, Default)]
pub struct Names(pub Vec<Arc<str>>);

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|name| &**name))
    }
}

/// Values by their keys, in order of the keys.
#[derive(Clone, Debug, Default)]
pub struct State(pub Vec<(Box<str>, Box<str>)>);

impl State {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(&**key, &**value)?;
        }
        map.end()
    }
}

/// What a fetch brought.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// An answer.
    Answer {
        /// Of HTTP.
        status: u16,
        /// Its text.
        body: Box<str>,
    },
    /// None came.
    Failed {
        /// Why.
        error: Box<str>,
    },
}

/// What a program says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Output {
    /// The answer; may be empty.
    pub text: String,
    /// Who sees it, if it says so.
    pub shown: Option<Shown>,
    /// Besides, only for whoever asked.
    pub privately: String,
    /// How far it is, for whoever asked.
    pub progress: Vec<String>,
    /// What it keeps in the room for its next call; nothing forgets a key.
    pub keep: Vec<(Box<str>, Option<Box<str>>)>,
    /// It wants to ask somebody before it answers.
    pub fetch: Option<Fetch>,
}

/// What a program wants to ask somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// Whom.
    pub url: Box<str>,
    /// What is posted; without it the address is got.
    pub body: Option<Box<str>>,
    /// Headers, in its words.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

/// Why a program did not come to an end of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failed {
    /// It did something that it cannot.
    Broken(String),
    /// It used up what it may use.
    Spent(String),
}

impl Failed {
    /// In words.
    pub fn why(&self) -> &str {
        match self {
            Self::Broken(why) | Self::Spent(why) => why,
        }
    }
}

impl Output {
    /// Reads what a program wrote. The error says what is wrong with it.
    pub fn read(bytes: &[u8], text_bytes_max: usize) -> Result<Self, String> {
        if bytes.len() > PROGRAM_OUTPUT_BYTES_MAX {
            let given = bytes.len();
            return Err(format!("it said {given} bytes, of at most {PROGRAM_OUTPUT_BYTES_MAX}"));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            format!("it did not answer in UTF-8: byte {} is none", error.valid_up_to())
        })?;
        let text = text.trim();
        let mut output = match text.starts_with('{') {
            false => Self { text: text.to_owned(), ..Self::default() },
            true => {
                let value: Value = serde_json::from_str(text)
                    .map_err(|error| format!("its answer is no JSON: {error}"))?;
                Self::of(&value)?
            }
        };
        output.check_text(text_bytes_max)?;
        // What it says about itself first is how far it is.
        if output.fetch.is_some() && !output.text.is_empty() {
            output.progress.push(std::mem::take(&mut output.text));
        }
        Ok(output)
    }

    fn of(value: &Value) -> Result<Self, String> {
        let said = Said::of(value);
        let mut output = Self { text: said.text, shown: said.shown, ..Self::default() };
        if said.progress {
            output.progress.push(std::mem::take(&mut output.text));
        }
        for name in ["text", "response_type"] {
            if !matches!(value[name], Value::Null | Value::String(_)) {
                return Err(format!("`{name}` wants a text"));
            }
        }
        match &value["progress"] {
            Value::Null => {}
            Value::String(text) => output.tell(text)?,
            Value::Array(texts) => {
                for text in texts {
                    output.tell(text.as_str().ok_or("`progress` wants texts")?)?;
                }
            }
            _ => return Err("`progress` wants texts".to_owned()),
        }
        match &value["keep"] {
            Value::Null => {}
            Value::Object(values) => {
                for (key, value) in values {
                    match value {
                        Value::Null => output.keep(key, None)?,
                        Value::String(value) => output.keep(key, Some(value))?,
                        _ => return Err(format!("`keep.{key}` wants a text or null")),
                    }
                }
            }
            _ => return Err("`keep` wants an object".to_owned()),
        }
        if !value["fetch"].is_null() {
            output.fetch = Some(Fetch::of(&value["fetch"])?);
        }
        Ok(output)
    }

    /// Notes how far it is.
    pub fn tell(&mut self, text: &str) -> Result<(), String> {
        if self.progress.len() >= COMMAND_PROGRESS_MAX {
            return Err(format!("it says how far it is more than {COMMAND_PROGRESS_MAX} times"));
        }
        if text.len() > COMMAND_VALUE_BYTES_MAX {
            return Err(format!("progress takes at most {COMMAND_VALUE_BYTES_MAX} bytes"));
        }
        self.progress.push(text.to_owned());
        Ok(())
    }

    /// Notes what is to be kept.
    pub fn keep(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        // The rest of the whole key is the command's.
        if key.is_empty() || key.len() > COMMAND_KEY_BYTES_MAX / 2 {
            return Err(format!("a key has 1 to {} bytes", COMMAND_KEY_BYTES_MAX / 2));
        }
        if key.starts_with(UNDER_WAY) {
            return Err(format!("a key cannot begin with {UNDER_WAY}"));
        }
        if value.is_some_and(|value| value.len() > COMMAND_VALUE_BYTES_MAX) {
            return Err(format!("a value has at most {COMMAND_VALUE_BYTES_MAX} bytes"));
        }
        self.keep.retain(|(known, _)| **known != *key);
        if self.keep.len() >= COMMAND_KEYS_MAX {
            return Err(format!("a command keeps at most {COMMAND_KEYS_MAX} values"));
        }
        // Nothing is kept by keeping nothing.
        let value = value.filter(|value| !value.is_empty());
        self.keep.push((key.into(), value.map(Into::into)));
        Ok(())
    }

    /// Whether the texts are no longer than the manifest allows.
    pub fn check_text(&self, text_bytes_max: usize) -> Result<(), String> {
        let given = self.text.len().max(self.privately.len());
        match given > text_bytes_max {
            true => Err(format!("it said {given} bytes, of limits.output_bytes {text_bytes_max}")),
            false => Ok(()),
        }
    }
}

impl Fetch {
    fn of(value: &Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err("`fetch` wants an object".to_owned());
        }
        let url = value["url"].as_str().ok_or("`fetch.url` wants an address")?;
        let body = match &value["body"] {
            Value::Null => None,
            Value::String(text) => Some(text.as_str().into()),
            other => Some(other.to_string().into()),
        };
        let mut headers = Vec::new();
        match &value["headers"] {
            Value::Null => {}
            Value::Object(all) => {
                for (name, value) in all {
                    let value = value.as_str().ok_or("`fetch.headers` wants texts")?;
                    headers.push((name.as_str().into(), value.into()));
                }
            }
            _ => return Err("`fetch.headers` wants an object".to_owned()),
        }
        Ok(Self { url: url.into(), body, headers })
    }

    /// Whether the manifest allows it.
    pub fn check(&self, manifest: &Manifest) -> Result<(), String> {
        let Self { url, headers, .. } = self;
        let shown = &url[..url.floor_char_boundary(80)];
        if url.len() > URL_BYTES_MAX || !url.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
            return Err(format!("cannot fetch {shown:?}: it is no address"));
        }
        let path = url.split(['?', '#']).next().unwrap_or_default();
        if climbs(path) || !manifest.fetch.iter().any(|begin| url.starts_with(&**begin)) {
            return Err(format!("cannot fetch {shown}: it is not below an address in `fetch`"));
        }
        for (name, value) in headers {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            let fits = !name.is_empty()
                && name.len() + value.len() <= HEADER_BYTES_MAX
                && name.bytes().all(plain)
                && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if !fits || HEADERS_KEPT_BACK.iter().any(|back| name.eq_ignore_ascii_case(back)) {
                let name = &name[..name.floor_char_boundary(40)];
                return Err(format!("cannot fetch with the header {name:?}"));
            }
        }
        match headers.len() > HEADERS_MAX {
            true => Err(format!("cannot fetch with more than {HEADERS_MAX} headers")),
            false => Ok(()),
        }
    }

    /// The `Content-Type` of its body.
    pub fn mime(&self) -> &'static str {
        match self.body.as_deref().map(str::trim_start) {
            Some(body) if body.starts_with(['{', '[']) => "application/json",
            _ => "text/plain; charset=utf-8",
        }
    }
}

/// Whether a path leaves the one that it begins with, as servers read it.
fn climbs(path: &str) -> bool {
    let path =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    path.split(['/', '\\']).any(|part| part == ".." || part == ".")
}

/// An address below which a program may fetch: with a host that has an end.
pub(super) fn check_begin(begin: &str) -> Result<(), String> {
    let rest = begin.strip_prefix("https://").or_else(|| begin.strip_prefix("http://"));
    let host_ends = rest.and_then(|rest| rest.find('/')).is_some_and(|at| at > 0);
    match host_ends && !climbs(begin) && !begin.contains(['@', '?', '#']) {
        true => Ok(()),
        false => Err("wants the beginning of an address, as in https://api.example/v1/".to_owned()),
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs a program whose panic ends that program only.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// Runs what may have mistakes of others in it: a panic is its end and nobody else's.
pub fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Failed> {
    GUARDED.set(true);
    let done = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(false);
    done.map_err(|_| Failed::Broken("it made the server's own engine fail".to_owned()))
}
