//! What is wrong with a configuration, where, and what to do about it.

use super::settings::SETTINGS;
use crate::base::nearest::nearest;
use std::fmt;

/// Where a wrong value was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the file.
    File {
        /// The path as it was given.
        path: String,
        /// Counted from 1.
        line: usize,
    },
    /// In this environment variable.
    Env(String),
    /// In this flag, with its dashes.
    Flag(String),
    /// In no single place: settings that contradict each other, or a file that cannot be read.
    Whole,
}

/// A configuration that cannot be used. `Display` gives the sentence; [`ConfigError::hint`] what to
/// try. Neither ever shows a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What, naming the key and what was expected.
    pub problem: String,
    /// What to try, when that is known.
    pub hint: Option<String>,
}

impl ConfigError {
    /// The exit code of a command line or configuration that cannot be used.
    pub const EXIT_CODE: u8 = 2;

    pub(super) fn new(place: Place, problem: impl Into<String>) -> Self {
        Self { place, problem: problem.into(), hint: None }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// No setting has this key; names the nearest.
    pub(super) fn unknown_key(place: Place, key: &str) -> Self {
        let error = Self::new(place, format!("`{key}`: there is no such setting"));
        match nearest_key(key) {
            Some(known) => error.with_hint(format!("did you mean `{known}`?")),
            None => error.with_hint("`ringpost config default` prints all settings"),
        }
    }

    /// What [`ConfigError::hint`] holds.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { path, line } => write!(out, "{path}:{line}: {}", self.problem),
            Place::Env(name) => write!(out, "environment variable {name}: {}", self.problem),
            Place::Flag(name) => write!(out, "flag {name}: {}", self.problem),
            Place::Whole => out.write_str(&self.problem),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The known key that a mistyped one most likely meant, if any is near: up to a third of its
/// letters may be wrong, or it lacks only the section.
pub(super) fn nearest_key(key: &str) -> Option<&'static str> {
    let name_only =
        |known: &'static str| known.split_once('.').is_some_and(|(_, name)| name == key);
    let unqualified = SETTINGS.iter().map(|setting| setting.key).find(|known| name_only(known));
    unqualified.or_else(|| nearest(key, SETTINGS.iter().map(|setting| setting.key)))
}
