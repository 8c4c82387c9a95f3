//! One value per setting, from the strongest layer that names it.

use super::cli::TOKEN_ENV;
use super::error::ConfigError;
use super::settings::{ENV_PREFIX, Preset, SETTINGS, Setting};
use super::value::Value;
use super::{error::Place, file};
use std::fmt;

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The table's default.
    Preset,
    /// A line of the file, the environment or a flag.
    Given(Place),
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset => out.write_str("default"),
            Self::Given(Place::File { path, line }) => write!(out, "{path}:{line}"),
            Self::Given(Place::Env(name) | Place::Flag(name)) => out.write_str(name),
            Self::Given(Place::Whole) => out.write_str("computed"),
        }
    }
}

/// The value and source of each setting, in the order of [`SETTINGS`]; `None` is "not set".
pub(super) struct Layers {
    values: Vec<(Option<Value>, Source)>,
}

impl Layers {
    /// The weakest layer. `file_given` decides the one default that depends on it.
    pub(super) fn presets(file_given: bool) -> Self {
        let values = SETTINGS
            .iter()
            .map(|setting| (preset_value(setting, file_given), Source::Preset))
            .collect();
        Self { values }
    }

    /// Lays the file over what is there.
    pub(super) fn lay_file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        file::read(path, text, &mut |setting, value, place| self.put(setting, value, place))
    }

    /// Lays the environment over what is there. An empty variable counts as not set. Gives the
    /// names that begin like ours and are none: they may be typing errors, but orchestrators also
    /// make such variables from service names, so they are no reason to refuse.
    pub(super) fn lay_env(
        &mut self,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Vec<String>, ConfigError> {
        let mut unknown = Vec::new();
        for (name, text) in env {
            if !name.starts_with(ENV_PREFIX) || text.is_empty() {
                continue;
            }
            match SETTINGS.iter().find(|setting| setting.env() == name) {
                Some(setting) => self.lay_text(setting, &text, Place::Env(name))?,
                None if name == TOKEN_ENV => {}
                None => unknown.push(name),
            }
        }
        unknown.sort_unstable();
        Ok(unknown)
    }

    /// Lays one value in its one-line form over what is there.
    pub(super) fn lay_text(
        &mut self,
        setting: &'static Setting,
        text: &str,
        place: Place,
    ) -> Result<(), ConfigError> {
        let Some(value) = setting.kind.parse(text) else {
            let (key, kind) = (setting.key, setting.kind);
            let problem = if setting.is_secret() {
                format!("`{key}`: expected {kind}")
            } else {
                format!("`{key}`: expected {kind}, found {text:?}")
            };
            return Err(ConfigError::new(place, problem));
        };
        self.put(setting, value, place);
        Ok(())
    }

    /// The value of a setting that exists.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).0.as_ref()
    }

    /// Where the value of a setting that exists came from.
    pub(super) fn source(&self, key: &str) -> &Source {
        &self.entry(key).1
    }

    /// Where to point in a message about this setting.
    pub(super) fn place(&self, key: &str) -> Place {
        match self.source(key) {
            Source::Given(place) => place.clone(),
            Source::Preset => Place::Whole,
        }
    }

    /// Every setting with its value as text and its source: the report of `ringpost config check`.
    pub(super) fn report(&self) -> String {
        use fmt::Write as _;
        let mut report = String::new();
        for (setting, (value, source)) in SETTINGS.iter().zip(&self.values) {
            let value = value.as_ref().map_or("(not set)".to_owned(), Value::to_string);
            let _ = writeln!(report, "{:<28} {value:<24} {source}", setting.key);
        }
        report
    }

    fn put(&mut self, setting: &'static Setting, value: Value, place: Place) {
        self.values[position(setting.key)] = (Some(value), Source::Given(place));
    }

    fn entry(&self, key: &str) -> &(Option<Value>, Source) {
        &self.values[position(key)]
    }
}

fn position(key: &str) -> usize {
    let position = SETTINGS.iter().position(|setting| setting.key == key);
    position.unwrap_or_else(|| panic!("{key} is not in the table of settings"))
}

/// A default has the form of its setting, or the table is wrong.
fn preset_value(setting: &Setting, file_given: bool) -> Option<Value> {
    let value = match setting.preset {
        Preset::Nothing => return None,
        Preset::TrueWithoutFile => Some(Value::Bool(!file_given)),
        Preset::Bool(value) => Some(Value::Bool(value)),
        Preset::Integer(value) => setting.kind.integer(value),
        Preset::Text(text) => setting.kind.parse(text),
    };
    assert!(value.is_some(), "the default of {} is not {}", setting.key, setting.kind);
    value
}
