//! What operators add while the server runs: definitions, each with a kind and a name.
//!
//! A definition is a JSON object that the module of its kind reads: a rule of `handlers`, a door of
//! `hooks`, a receiver of `subscriptions`. Whoever puts or removes one writes a record; the newest
//! record of a name holds, on every shard, and is there again after a start.
//!
//! **Never:** the meaning of a definition; a file, a socket, a clock.

pub mod part;

pub mod sign;

pub mod slack;

use crate::base::limits::{
    COMMANDS_MAX, DEFINITION_BYTES_MAX, DEFINITION_NAME_BYTES_MAX, DEFINITIONS_MAX,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a definition is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// When something happens, do something.
    Handler,
    /// A door through which others post into a room.
    Hook,
    /// Somebody who is told what happens.
    Subscription,
    /// What somebody may type after a slash.
    Command,
}

impl Kind {
    /// (value, name, number in the log)
    pub const ALL: [(Self, &'static str, u8); 4] = [
        (Self::Handler, "handler", 0),
        (Self::Hook, "hook", 1),
        (Self::Subscription, "subscription", 2),
        (Self::Command, "command", 3),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).expect("all kinds are listed").1
    }

    /// How many there may be.
    pub fn count_max(self) -> usize {
        if self == Self::Command { COMMANDS_MAX } else { DEFINITIONS_MAX }
    }

    /// Its number in the log.
    pub fn number(self) -> u8 {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).expect("all kinds are listed").2
    }

    /// Reads the number; `None` for one of a later version.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().find(|(.., known)| *known == number).map(|(kind, ..)| *kind)
    }
}

/// A definition as it was last put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Definition {
    /// What it is for.
    pub kind: Kind,
    /// Its name among those of its kind; see [`check_name`].
    pub name: Arc<str>,
    /// Counts up with every change of the name, from 1.
    pub version: u64,
    /// Who put it.
    pub by: Arc<str>,
    /// When, µs since 1970.
    pub ts_us: i64,
    /// A JSON object; empty when the definition was removed.
    pub body: Box<str>,
}

impl Definition {
    /// Whether the name stands for nothing now.
    pub fn is_removed(&self) -> bool {
        self.body.is_empty()
    }
}

/// All definitions.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    all: BTreeMap<(Kind, Arc<str>), Arc<Definition>>,
    /// How many of each kind are not removed.
    counts: [usize; Kind::ALL.len()],
}

impl Registry {
    /// Takes in a definition, or its removal; the newest version holds. Gives whether it did.
    pub fn put(&mut self, definition: Arc<Definition>) -> bool {
        let key = (definition.kind, definition.name.clone());
        let newer = self.all.get(&key).is_none_or(|known| known.version < definition.version);
        if newer {
            let is_there = !definition.is_removed();
            let count = &mut self.counts[usize::from(key.0.number())];
            let was_there = self.all.insert(key, definition).is_some_and(|old| !old.is_removed());
            *count = *count + usize::from(is_there) - usize::from(was_there);
        }
        newer
    }

    /// The version that a change of this name gets.
    pub fn next_version(&self, kind: Kind, name: &str) -> u64 {
        self.all.get(&(kind, name.into())).map_or(1, |known| known.version + 1)
    }

    /// The definition of this name.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Arc<Definition>> {
        self.all.get(&(kind, name.into())).filter(|definition| !definition.is_removed())
    }

    /// How many there are of a kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.counts[usize::from(kind.number())]
    }

    /// All of a kind, by name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Arc<Definition>> {
        let range = self.all.range((kind, "".into())..);
        let of_kind = range.take_while(move |((known, _), _)| *known == kind);
        of_kind.map(|(_, definition)| definition).filter(|definition| !definition.is_removed())
    }
}

/// What is wrong with a definition, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Line in the JSON from 1; 0 when no place is known.
    pub line: usize,
    /// Column from 1; 0 when no place is known.
    pub column: usize,
    /// Which part, as in `when.room`; empty for the whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Fault {
    /// A fault of one part.
    pub fn of(path: &str, problem: impl Into<String>) -> Self {
        Self { line: 0, column: 0, path: path.to_owned(), problem: problem.into() }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        // The place is said in fields of its own.
        let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem);
        Self { line, column, path: String::new(), problem: problem.to_owned() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(out, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(out, "`{}`: ", self.path)?;
        }
        out.write_str(&self.problem)
    }
}

/// Whether `name` can name a definition: 1 to 64 small letters, digits, `-` and `_`, the first of
/// them a letter or digit. It stands in addresses and file names.
pub fn check_name(name: &str) -> Result<(), Fault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = (1..=DEFINITION_NAME_BYTES_MAX).contains(&name.len())
        && plain(name.as_bytes()[0])
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'_'));
    let problem = "a name is 1 to 64 of a-z, 0-9, - and _, and begins with a letter or digit";
    if fits { Ok(()) } else { Err(Fault::of("name", problem)) }
}

/// Whether `name` can name a definition of this kind. The name of a command may say behind `@`
/// where it is known, which whoever reads commands looks at.
pub fn check_name_of(kind: Kind, name: &str) -> Result<(), Fault> {
    let own = name.split_once('@').filter(|_| kind == Kind::Command);
    check_name(own.map_or(name, |(own, _)| own))
}

/// Whether the JSON of a definition is of a size that the log keeps in one record.
pub fn check_size(body: &str) -> Result<(), Fault> {
    if body.len() <= DEFINITION_BYTES_MAX {
        return Ok(());
    }
    Err(Fault::of("", format!("a definition has at most {DEFINITION_BYTES_MAX} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, fits) in [
            ("away", true),
            ("a", true),
            ("9-to-5_x", true),
            ("", false),
            ("-a", false),
            ("Away", false),
            ("a/b", false),
            ("ä", false),
        ] {
            assert_eq!(check_name(name).is_ok(), fits, "{name}");
        }
        assert!(check_name(&"a".repeat(65)).is_err());
    }

    #[test]
    fn faults_say_where() {
        let fault: Fault = serde_json::from_str::<u8>("\n 300").expect_err("too large").into();
        assert_eq!((fault.line, fault.column), (2, 4));
        assert!(!fault.problem.contains("line"), "{fault}");
        assert_eq!(Fault::of("when.room", "no").to_string(), "`when.room`: no");
    }
}
