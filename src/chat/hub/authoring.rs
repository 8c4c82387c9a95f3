//! Owner: `/command`, with which the people of a room add commands to it and change them.

use super::Hub;
use super::commanding::{Caller, Done, Said, split_command};
use super::defining::ORDERLY;
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::chat::api::ApiRequest;
use crate::chat::event::{Effect, Message, Name, Refusal, Role};
use crate::chat::reply;
use crate::chat::request::{bad, refuse};
use crate::commands::{self, BUILT_IN, Listed, Scope, room_key};
use crate::registry::Kind;
use serde_json::{Map, Value, json};

impl Hub {
    /// `/command VERB NAME …`.
    pub(super) fn author(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        args: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<Done, Refusal> {
        let (verb, rest) = split_command(args);
        let (name, text) = split_command(rest);
        let name = name.trim_start_matches('/').to_lowercase();
        if matches!(verb, "list" | "") {
            return Ok(Done::Ended(Said::to_caller(self.own_commands(caller.room))));
        }
        if name.is_empty() {
            let text = "usage: /command add NAME TEXT, /command alias NAME LINE, and rm, show, \
                        enable, disable with a NAME; /command list";
            return Err(bad(text));
        }
        if verb == "show" {
            let shown = self.show(caller.room, &name)?;
            return Ok(Done::Ended(Said::to_caller(shown)));
        }
        if self.rank(caller.room, caller.by) < Role::Moderator {
            let text = "commands of a room are its moderators' affair; you can /command list";
            return Err(refuse(ErrorCode::Forbidden, text));
        }
        let key: Name = room_key(&name, caller.room).into();
        let body = self.authored(&key, verb, text)?;
        if verb == "add" || verb == "alias" {
            self.check_new(&key, &body)?;
        }
        let (kind, dry_run) = (Kind::Command, false);
        let request = ApiRequest::Define { kind, name: key, body: body.into(), dry_run };
        let request = Box::new(request);
        let text = match verb {
            "rm" => format!("/{name} is gone from this room"),
            "disable" => format!("/{name} is off"),
            "enable" => format!("/{name} is on"),
            _ => format!("/{name} works here now; /command show {name} shows it"),
        };
        // It holds when it is durable, which shard 0 knows.
        let d = json!({"call": caller.call, "kind": "ephemeral", "text": text});
        let told = Some(reply::passing("cmd", caller.room, now.wall_ms(), d));
        let by = caller.by.clone();
        self.tell(ORDERLY, Message::Define { by, request, told }, effects);
        Ok(Done::HandedOver)
    }

    /// The manifest that somebody wants; empty removes the command.
    fn authored(&self, key: &Name, verb: &str, text: &str) -> Result<String, Refusal> {
        Ok(match verb {
            "add" | "alias" if text.is_empty() => {
                return Err(bad(&format!("usage: /command {verb} NAME TEXT")));
            }
            "add" => {
                let template = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                self.changed(key, |body| {
                    body.remove("alias");
                    body.insert("template".to_owned(), template.unwrap_or(text).into());
                })
            }
            "alias" => self.changed(key, |body| {
                body.remove("template");
                // What is typed behind the alias goes along, unless it says where.
                let line = if text.contains('$') { text.to_owned() } else { format!("{text} $*") };
                body.insert("alias".to_owned(), line.into());
            }),
            "help" => {
                self.own(key)?;
                self.changed(key, |body| drop(body.insert("help".to_owned(), text.into())))
            }
            "disable" => {
                self.own(key)?;
                let why = if text.is_empty() { "a moderator switched it off" } else { text };
                self.changed(key, |body| drop(body.insert("disabled".to_owned(), why.into())))
            }
            "enable" => {
                self.own(key)?;
                self.changed(key, |body| drop(body.remove("disabled")))
            }
            "rm" => {
                self.own(key)?;
                String::new()
            }
            other => {
                let known = "add, alias, help, rm, show, list, enable, disable";
                return Err(bad(&format!("/command knows {known}, not {other:?}")));
            }
        })
    }

    /// Whether a command can be put, so that whoever wrote it is told what is wrong.
    fn check_new(&self, key: &Name, body: &str) -> Result<(), Refusal> {
        commands::Entry::draft(key, body).map_err(|fault| bad(&fault.problem))?;
        let kind = Kind::Command;
        if self.registry.get(kind, key).is_none() && self.registry.count(kind) >= kind.count_max() {
            return Err(refuse(ErrorCode::TooLarge, "the server has as many commands as it may"));
        }
        Ok(())
    }

    /// The manifest of a command of this room, changed.
    fn changed(&self, key: &str, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let known = self.registry.get(Kind::Command, key);
        let known = known.and_then(|known| serde_json::from_str(&known.body).ok());
        let mut body: Map<String, Value> = known.unwrap_or_default();
        change(&mut body);
        Value::Object(body).to_string()
    }

    /// Refuses what this room did not add itself.
    fn own(&self, key: &str) -> Result<(), Refusal> {
        if self.registry.get(Kind::Command, key).is_some() {
            return Ok(());
        }
        let name = key.split_once('@').map_or(key, |(name, _)| name);
        let text = match BUILT_IN.iter().any(|one| one.name == name) {
            true => format!("/{name} is built in"),
            false => format!("this room has added no command /{name}; /command list shows them"),
        };
        Err(refuse(ErrorCode::BadCommand, &text))
    }

    fn own_commands(&self, room: &Name) -> String {
        let listed = self.book.list("", room);
        let own = listed.iter().filter(|one| matches!(one, Listed::Added(_)));
        let lines: Vec<_> = own.map(Listed::line).collect();
        if lines.is_empty() {
            return "nobody has added a command; /command add hi Hello $user adds one".to_owned();
        }
        lines.join("\n")
    }

    fn show(&self, room: &Name, name: &str) -> Result<String, Refusal> {
        let Some(entry) = self.book.find(name, room) else {
            return Err(self.unknown(name, room));
        };
        let scope = match &entry.scope {
            Scope::Global => "everywhere".to_owned(),
            scope => format!("in {}", scope.name()),
        };
        // What an operator put may hold an address or a key.
        let body = match &entry.scope {
            Scope::Room(_) => self.registry.get(Kind::Command, &entry.key).map(|one| &*one.body),
            _ => None,
        };
        let by = if entry.by.is_empty() { "the operator" } else { &*entry.by };
        let head = format!("/{name}, version {}, by {by}, {scope}", entry.version);
        let body = body.map(|body| {
            let mut body = serde_json::from_str(body).unwrap_or(json!(null));
            super::defining::hide_secrets(&mut body);
            format!("\n{body}")
        });
        Ok(format!("{head}\n{}{}", entry.explained(), body.unwrap_or_default()))
    }
}
