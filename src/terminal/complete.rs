//! What the Tab key completes: commands by their names, and their arguments.
//!
//! ```text
//! "/wea"          the commands that begin so, this client's and the server's
//! "/weather Os"   what the first argument may be: its choices, yes or no, who is here
//! ```
//!
//! The server is asked at each Tab, so a command that was added a second ago is there.

use super::commands::COMMANDS;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use serde_json::Value;

/// Names that are asked for.
const USERS_MAX: u64 = 100;

/// What the server is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// Commands whose names begin so.
    Commands(String),
    /// Who is here.
    Users,
}

impl Question {
    /// Its verb and `d` (docs/PROTOCOL.md).
    pub fn asked(&self) -> (&'static str, Value) {
        match self {
            Self::Commands(prefix) => ("cmds", serde_json::json!({"prefix": prefix})),
            Self::Users => ("who", serde_json::json!({"limit": USERS_MAX})),
        }
    }
}

/// Completes what is typed; `ask` gives the answer of the server, or nothing in time.
pub struct Keyboard<A> {
    ask: A,
}

impl<A: Fn(Question) -> Option<Value>> Keyboard<A> {
    /// A keyboard that asks so.
    pub fn new(ask: A) -> Self {
        Self { ask }
    }

    /// Where the completed word begins, and what it may become.
    pub(super) fn candidates(&self, line: &str) -> Option<(usize, Vec<Pair>)> {
        let typed = line.strip_prefix('/').filter(|rest| !rest.starts_with('/'))?;
        let Some((name, rest)) = typed.split_once(' ') else {
            return Some((0, self.names(typed)));
        };
        let answer = (self.ask)(Question::Commands(name.to_owned()))?;
        let known = answer["cmds"].as_array()?.iter().find(|one| one["name"] == name)?;
        let (before, word, begin) = split(rest);
        let args = known["args"].as_array()?;
        let argument = args.get(before)?;
        let choices = match argument["type"].as_str() {
            Some("bool") => vec!["true".to_owned(), "false".to_owned()],
            Some("user") => self.users(),
            _ => texts(&argument["choices"]).collect(),
        };
        let begins = |choice: &String| choice.to_lowercase().starts_with(&word.to_lowercase());
        let pairs = choices
            .into_iter()
            .filter(begins)
            .map(|choice| Pair { replacement: format!("{} ", quoted(&choice)), display: choice });
        Some((line.len() - (rest.len() - begin), pairs.collect()))
    }

    fn names(&self, prefix: &str) -> Vec<Pair> {
        let answer = (self.ask)(Question::Commands(prefix.to_owned())).unwrap_or_default();
        let own = COMMANDS.iter().filter(|(name, ..)| name.starts_with(prefix));
        let mut all: Vec<(String, String)> =
            own.map(|(name, usage, _)| ((*name).to_owned(), (*usage).to_owned())).collect();
        for one in answer["cmds"].as_array().into_iter().flatten() {
            let text = |field: &str| one[field].as_str().unwrap_or_default();
            if !all.iter().any(|(name, _)| name == text("name")) {
                all.push((text("name").to_owned(), text("usage").to_owned()));
            }
        }
        all.sort();
        let pairs = all.into_iter().map(|(name, usage)| Pair {
            display: super::escape::harmless(format!("/{name} {usage}").trim_end(), " "),
            replacement: format!("/{name} "),
        });
        pairs.collect()
    }

    fn users(&self) -> Vec<String> {
        let answer = (self.ask)(Question::Users).unwrap_or_default();
        let users = answer["users"].as_array().into_iter().flatten();
        users.filter_map(|one| one["user"].as_str()).map(str::to_owned).collect()
    }
}

fn texts(value: &Value) -> impl Iterator<Item = String> {
    let all = value.as_array().into_iter().flatten();
    all.map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
}

/// How many words are whole, what is typed of the next one, and where that begins.
fn split(rest: &str) -> (usize, String, usize) {
    let (mut whole, mut word, mut begin, mut quote) = (0, String::new(), None, None);
    for (at, letter) in rest.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '"' | '\'') if word.is_empty() => {
                begin = begin.or(Some(at));
                quote = Some(letter);
            }
            (None, ' ') => {
                whole += usize::from(begin.is_some());
                word.clear();
                begin = None;
            }
            _ => {
                begin = begin.or(Some(at));
                word.push(letter);
            }
        }
    }
    (whole, word, begin.unwrap_or(rest.len()))
}

/// A word as the server reads it again.
fn quoted(word: &str) -> String {
    match word.contains([' ', '"', '\'']) {
        true => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
        false => word.to_owned(),
    }
}

impl<A: Fn(Question) -> Option<Value>> Completer for Keyboard<A> {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(self.candidates(&line[..pos]).unwrap_or((pos, Vec::new())))
    }
}

impl<A> Hinter for Keyboard<A> {
    type Hint = String;
}

impl<A> Highlighter for Keyboard<A> {}

impl<A> Validator for Keyboard<A> {}

impl<A: Fn(Question) -> Option<Value>> rustyline::Helper for Keyboard<A> {}
