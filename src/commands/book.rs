//! Which command is meant by a name in a room.

use super::{BUILT_IN, BuiltIn, Manifest, Scope, split_key};
use crate::base::limits::COMMANDS_LISTED_MAX;
use crate::base::nearest::nearest;
use crate::base::role::Role;
use crate::registry::part::Part;
use crate::registry::{Definition, Fault, Kind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Names that are compared with one that is not known: those that begin as it does.
const COMPARED_MAX: usize = 512;
/// Names that are proposed instead.
const PROPOSED_MAX: usize = 3;

/// A command that somebody added.
#[derive(Debug)]
pub struct Entry {
    /// Its name in the registry; see [`split_key`].
    pub key: Arc<str>,
    /// What is typed.
    pub name: Box<str>,
    /// Where it is known.
    pub scope: Scope,
    /// Of the definition.
    pub version: u64,
    /// Who put it; empty for the server.
    pub by: Arc<str>,
    /// What it is.
    pub manifest: Manifest,
}

/// A command as [`Book::list`] gives it.
#[derive(Clone, Debug)]
pub enum Listed<'b> {
    /// One that every server has.
    BuiltIn(&'static BuiltIn),
    /// One that somebody added.
    Added(&'b Arc<Entry>),
}

/// All added commands.
#[derive(Debug, Default)]
pub struct Book {
    by_key: BTreeMap<Arc<str>, Arc<Entry>>,
    /// By name and alias, each best scope first.
    by_name: BTreeMap<Box<str>, Vec<Arc<Entry>>>,
}

impl Entry {
    /// Reads a definition.
    pub fn read(definition: &Definition) -> Result<Self, Fault> {
        let Definition { name: key, version, by, body, .. } = definition;
        let (name, scope) = split_key(key)?;
        super::manifest::check_free(name).map_err(|problem| Fault::of("name", problem))?;
        Ok(Self {
            key: key.clone(),
            name: name.into(),
            scope,
            version: *version,
            by: by.clone(),
            manifest: Manifest::parse(body)?,
        })
    }

    /// Reads what somebody wants to put, and looks closer at what it would run: a mistake should be
    /// told to whoever puts a command, not to those who use it.
    pub fn draft(key: &str, body: &str) -> Result<Self, Fault> {
        let (kind, name, body) = (Kind::Command, key.into(), body.into());
        let definition = Definition { kind, name, version: 1, by: "".into(), ts_us: 0, body };
        let entry = Self::read(&definition)?;
        let Some((field, problem)) = entry.mistake() else { return Ok(entry) };
        let whole = Part::whole(&definition.body).and_then(|part| part.object());
        Err(match whole.as_ref().ok().and_then(|fields| fields.get(field)) {
            Some(part) => part.fault(problem),
            None => Fault::of(field, problem),
        })
    }

    /// What is wrong with its code, and the field that holds it.
    fn mistake(&self) -> Option<(&'static str, String)> {
        match &self.manifest.backend {
            #[cfg(feature = "script")]
            super::Backend::Script(source) => Some(("script", super::script::check(source).err()?)),
            #[cfg(feature = "wasm")]
            super::Backend::Wasm(bytes) => Some(("wasm", super::module::check(bytes).err()?)),
            _ => None,
        }
    }

    /// All that people should know before they use it.
    pub fn explained(&self) -> String {
        let Manifest { arguments, aliases, examples, role, disabled, .. } = &self.manifest;
        let mut lines = vec![Listed::added_line(self)];
        for argument in arguments {
            let default = argument.default.as_ref().map(super::arguments::plain);
            let default = default.map_or(String::new(), |value| format!(", {value} unless given"));
            let help = if argument.help.is_empty() {
                String::new()
            } else {
                format!(": {}", argument.help)
            };
            lines.push(format!("  {} is {}{default}{help}", argument.name, argument.wants()));
        }
        if !aliases.is_empty() {
            lines.push(format!("also /{}", aliases.join(", /")));
        }
        lines.extend(examples.iter().map(|example| format!("for example {example}")));
        if *role != Role::Guest {
            lines.push(format!("for {}s", role.name()));
        }
        lines.extend(disabled.iter().map(|why| format!("it is off: {why}")));
        lines.join("\n")
    }
}

impl Book {
    /// Takes in a definition or its removal. One that cannot be read, of another version of this
    /// program, is as good as removed.
    pub fn adopt(&mut self, definition: &Definition) -> Result<(), Fault> {
        if let Some(old) = self.by_key.remove(&definition.name) {
            for name in names(&old) {
                let Some(entries) = self.by_name.get_mut(name) else { continue };
                entries.retain(|entry| entry.key != old.key);
                if entries.is_empty() {
                    self.by_name.remove(name);
                }
            }
        }
        if definition.is_removed() {
            return Ok(());
        }
        let entry = Arc::new(Entry::read(definition)?);
        for name in names(&entry) {
            let entries = self.by_name.entry(name.into()).or_default();
            entries.push(Arc::clone(&entry));
            // Of two that are known in the same place, the one with the name itself is meant.
            entries
                .sort_by_key(|entry| (entry.scope.rank(), *entry.name != *name, entry.key.clone()));
        }
        self.by_key.insert(entry.key.clone(), entry);
        Ok(())
    }

    /// The command of a name or alias in a room.
    pub fn find(&self, name: &str, room: &str) -> Option<&Arc<Entry>> {
        self.by_name.get(name)?.iter().find(|entry| entry.scope.holds_in(room))
    }

    /// The command of a name in the registry.
    pub fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.by_key.get(key)
    }

    /// All of them, by their names in the registry.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_key.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nobody added one.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Commands of a room whose names begin with `prefix`, by name, at most
    /// [`COMMANDS_LISTED_MAX`].
    pub fn list<'b>(&'b self, prefix: &str, room: &str) -> Vec<Listed<'b>> {
        let built_in = BUILT_IN.iter().filter(|one| one.name.starts_with(prefix));
        let range = self.by_name.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let range = range.take_while(|(name, _)| name.starts_with(prefix));
        let added = range.filter_map(|(name, entries)| {
            let entry = entries.iter().find(|entry| entry.scope.holds_in(room))?;
            (entry.name == *name).then_some(entry)
        });
        let mut all: Vec<_> = built_in.map(Listed::BuiltIn).collect();
        all.extend(added.take(COMMANDS_LISTED_MAX).map(Listed::Added));
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all.truncate(COMMANDS_LISTED_MAX);
        all
    }

    /// What somebody may have meant who typed a name that is not known here, the likeliest first.
    pub fn near(&self, name: &str, room: &str) -> Vec<&str> {
        let first = &name[..name.chars().next().map_or(0, char::len_utf8)];
        let range = self.by_name.range::<str, _>((Bound::Included(first), Bound::Unbounded));
        let range = range.take_while(|(known, _)| known.starts_with(first)).take(COMPARED_MAX);
        let here = range.filter(|(_, entries)| entries.iter().any(|one| one.scope.holds_in(room)));
        let added = here.map(|(known, _)| &**known);
        let mut known: Vec<&str> = BUILT_IN.iter().map(|one| one.name).chain(added).collect();
        let mut found = Vec::new();
        while found.len() < PROPOSED_MAX
            && let Some(one) = nearest(name, known.iter().copied())
        {
            found.push(one);
            known.retain(|other| *other != one);
        }
        found
    }
}

fn names(entry: &Entry) -> impl Iterator<Item = &str> {
    [&*entry.name].into_iter().chain(entry.manifest.aliases.iter().map(|alias| &**alias))
}

impl Listed<'_> {
    /// What is typed.
    pub fn name(&self) -> &str {
        match self {
            Self::BuiltIn(one) => one.name,
            Self::Added(entry) => &entry.name,
        }
    }

    /// One line for people: what to type, and what it does.
    pub fn line(&self) -> String {
        match self {
            Self::BuiltIn(one) => line(one.name, one.usage, one.help),
            Self::Added(entry) => Self::added_line(entry),
        }
    }

    fn added_line(entry: &Entry) -> String {
        line(&entry.name, &entry.manifest.usage, &entry.manifest.help)
    }

    /// As `cmds` tells it, with what a client needs to complete a line.
    pub fn value(&self) -> Value {
        match self {
            Self::BuiltIn(one) => json!({
                "name": one.name,
                "usage": one.usage,
                "help": one.help,
                "role": one.role.name(),
                "args": one.arguments(),
            }),
            Self::Added(entry) => {
                let manifest = &entry.manifest;
                let arguments = manifest.arguments.iter().map(super::Argument::described);
                let arguments: Vec<_> = arguments.collect();
                let mut value = json!({
                    "name": &*entry.name,
                    "usage": &*manifest.usage,
                    "help": &*manifest.help,
                    "role": manifest.role.name(),
                    "version": entry.version,
                    "args": arguments,
                });
                if !manifest.aliases.is_empty() {
                    value["aliases"] = json!(manifest.aliases);
                }
                if let Some(why) = &manifest.disabled {
                    value["disabled"] = json!(why);
                }
                value
            }
        }
    }
}

fn line(name: &str, usage: &str, help: &str) -> String {
    let head = format!("/{name} {usage}");
    let dash = if help.is_empty() { "" } else { " — " };
    format!("{}{dash}{help}", head.trim_end())
}

impl super::Argument {
    /// As `cmds` tells it.
    fn described(&self) -> Value {
        let ty = super::Type::ALL.iter().find(|(_, ty)| *ty == self.ty);
        let mut value = json!({
            "name": self.name,
            "type": ty.expect("all types are listed").0,
            "required": self.required,
        });
        let mut say = |name: &str, given: Value| {
            if !given.is_null() && given != json!([]) && given != json!("") {
                value[name] = given;
            }
        };
        say("min", json!(self.min));
        say("max", json!(self.max));
        say("default", json!(self.default));
        say("choices", json!(self.choices));
        say("help", json!(self.help));
        value
    }
}
