//! Commands as WhatsApp shows them to a contact who types a slash (Cloud API, "Conversational
//! components": <https://developers.facebook.com/docs/whatsapp/cloud-api/phone-numbers>).

use super::{BUILT_IN, Book, Entry, Listed, Scope};
use crate::base::names::PLATFORM_PREFIX;
use crate::base::role::Role;
use serde_json::{Value, json};
use std::sync::Arc;

/// Commands of one menu.
const COMMANDS_MAX: usize = 30;
/// Letters of a name.
const NAME_LETTERS_MAX: usize = 32;
/// Letters of a hint.
const HINT_LETTERS_MAX: usize = 256;
/// What every server has that helps somebody who has typed nothing yet.
const HELP: &str = "help";

/// The menu of one number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Menu {
    /// Names and hints.
    pub commands: Vec<(String, String)>,
    /// What does not stand in it, and why.
    pub left_out: Vec<(String, &'static str)>,
}

impl Menu {
    /// The menu of a number: these commands, or all that its contacts may use, its own first. The
    /// error says which name cannot stand in it.
    pub fn of(book: &Book, number: &str, wanted: &[Box<str>]) -> Result<Self, String> {
        let room = format!("{PLATFORM_PREFIX}{number}:0");
        let mut menu = Self::default();
        if wanted.is_empty() {
            let all = || book.entries().filter(|entry| is_for_contacts(entry, &room));
            let is_own = |entry: &&Arc<Entry>| matches!(entry.scope, Scope::Number(_));
            for entry in all().filter(is_own).chain(all().filter(|entry| !is_own(entry))) {
                menu.take(&Listed::Added(entry));
            }
            menu.take(&Listed::BuiltIn(built_in(HELP).expect("every server has it")));
            return Ok(menu);
        }
        for name in wanted {
            let name = name.strip_prefix('/').unwrap_or(name);
            let added = book.find(name, &room).filter(|entry| is_for_contacts(entry, &room));
            let found = match (built_in(name), added) {
                (Some(one), _) => Listed::BuiltIn(one),
                (None, Some(entry)) => Listed::Added(entry),
                (None, None) => {
                    return Err(format!("there is no command /{name} for contacts of {number}"));
                }
            };
            menu.take(&found);
        }
        match menu.left_out.first() {
            Some((name, why)) => Err(format!("/{name} cannot stand in the menu: {why}")),
            None => Ok(menu),
        }
    }

    fn take(&mut self, one: &Listed<'_>) {
        let name = one.name();
        if self.commands.iter().any(|(known, _)| known == name) {
            return;
        }
        let why = match () {
            () if name.chars().count() > NAME_LETTERS_MAX => "its name is longer than 32 letters",
            () if self.commands.len() >= COMMANDS_MAX => "a menu holds 30 commands",
            () => return self.commands.push((name.to_owned(), hint(one))),
        };
        self.left_out.push((name.to_owned(), why));
    }

    /// What WhatsApp is told.
    pub fn body(&self) -> String {
        let commands = self
            .commands
            .iter()
            .map(|(name, hint)| json!({"command_name": name, "command_description": hint}));
        json!({"commands": commands.collect::<Vec<_>>()}).to_string()
    }

    /// What whoever publishes it is told.
    pub fn value(&self, number: &str) -> Value {
        let named = |(name, text): (&str, &str), field: &str| json!({"name": name, field: text});
        let commands = self.commands.iter().map(|(name, hint)| named((name, hint), "hint"));
        let left_out = self.left_out.iter().map(|(name, why)| named((name, why), "why"));
        json!({
            "number": number,
            "commands": commands.collect::<Vec<_>>(),
            "left_out": left_out.collect::<Vec<_>>(),
        })
    }
}

fn built_in(name: &str) -> Option<&'static super::BuiltIn> {
    BUILT_IN.iter().find(|one| one.name == name && one.contacts)
}

/// Contacts are guests, wherever they write.
fn is_for_contacts(entry: &Entry, room: &str) -> bool {
    let manifest = &entry.manifest;
    let is_open = manifest.role == Role::Guest && manifest.users.is_empty() && !manifest.agents;
    is_open && manifest.disabled.is_none() && entry.scope.holds_in(room)
}

/// What it does, in plain letters: a menu takes no emoji.
fn hint(one: &Listed<'_>) -> String {
    let line = one.line();
    let line = line.split_once(' ').map_or("", |(_, rest)| rest);
    let plain = |letter: &char| {
        !matches!(letter, '\u{200d}' | '\u{2190}'..='\u{2bff}' | '\u{fe00}'..='\u{fe0f}')
            && !matches!(letter, '\u{1f000}'..)
    };
    let hint: String = line.chars().filter(plain).take(HINT_LETTERS_MAX).collect();
    match hint.trim() {
        "" => format!("/{}", one.name()),
        hint => hint.strip_prefix("— ").unwrap_or(hint).to_owned(),
    }
}
