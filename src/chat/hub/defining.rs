//! Requests of the HTTP API, and the definitions that are put by it.
//!
//! Shard 0 gives definitions their order: it checks one, writes it to the log, and when it is
//! durable tells every shard, so that all hold the same.

use super::{Hub, Waiting};
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::ids::{ConnId, Offset, ShardId};
use crate::chat::api::ApiRequest;
use crate::chat::event::{Ask, Asker, Effect, Fact, Frame, Message, Name, Record, Refusal};
use crate::chat::request::{check_room, refuse};
use crate::registry::{Definition, Fault, Kind, check_name_of, check_size};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The shard that orders definitions.
pub(super) const ORDERLY: ShardId = ShardId(0);
/// The request id of a connection of the API, which asks one thing at a time.
const API_ID: u32 = 0;

impl Hub {
    /// Front: a request of the API. Answered with one `ok` or `err` to its connection.
    pub(super) fn api(
        &mut self,
        conn: ConnId,
        user: Name,
        request: ApiRequest,
        effects: &mut Vec<Effect>,
    ) {
        self.api_conns.insert(conn);
        let by = Asker { from: self.address(conn), user, id: Some(API_ID), api: true };
        match request {
            ApiRequest::Room { room, ask } => {
                if let Err(refusal) = check_room(&room) {
                    return self.refuse(by.from, by.id, &refusal, effects);
                }
                self.tell(self.owner_of(&room), Message::Ask { room, by, ask }, effects);
            }
            ApiRequest::Inbox(query) => self.ask_inbox((by.from, by.id), &query, effects),
            ApiRequest::Respond { shard, ticket, proof, body } => {
                if shard.0 >= self.options.shard_count {
                    let refusal = refuse(ErrorCode::NoSuchRoom, "expired_url");
                    return self.refuse(by.from, by.id, &refusal, effects);
                }
                self.tell(shard, Message::Respond { by, ticket, proof, body }, effects);
            }
            ApiRequest::Menu { number, commands, dry_run } => {
                self.publish_menu(by, (&number, &commands), dry_run, effects);
            }
            request @ (ApiRequest::Define { .. } | ApiRequest::Amend { .. }) => {
                let request = Box::new(request);
                self.tell(ORDERLY, Message::Define { by, request, told: None }, effects);
            }
            ApiRequest::Definitions { kind, name } => {
                match self.definitions_value(kind, name.as_ref()) {
                    Some(d) => self.grant_value(&by, &d, effects),
                    None => {
                        let refusal = refuse(ErrorCode::NoSuchRoom, "there is none of this name");
                        self.refuse(by.from, by.id, &refusal, effects);
                    }
                }
            }
        }
    }

    /// Whether the connection waits for an answer of the API, which ends with it.
    pub(super) fn end_api(&mut self, conn: ConnId) -> bool {
        self.api_conns.remove(&conn)
    }

    /// Makes the room of a request of the API, unless asking for it is enough to know that it is
    /// not there.
    pub(super) fn make_for_api(
        &mut self,
        now: Now,
        name: &Name,
        ask: &Ask,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let is_there = self.rooms.contains_key(name);
        if !is_there || matches!(ask, Ask::Send { .. } | Ask::Converse { .. }) {
            self.check_goes_on_here(name)?;
        }
        if !is_there && !matches!(ask, Ask::Send { .. }) {
            return Err(refuse(ErrorCode::NoSuchRoom, "there is no such room"));
        }
        self.need_room(now, name, &"".into(), effects)
    }

    fn definitions_value(&self, kind: Kind, name: Option<&Name>) -> Option<Value> {
        match name {
            Some(name) => self.registry.get(kind, name).map(|one| value(one, true)),
            None => {
                let all = self.registry.of_kind(kind).map(|one| {
                    let mut value = value(one, false);
                    if let Some(entry) = self.book.get(&one.name).filter(|_| kind == Kind::Command)
                    {
                        value["help"] = (*entry.manifest.help).into();
                        value["backend"] = entry.manifest.backend.name().into();
                        value["disabled"] = json!(entry.manifest.disabled);
                    }
                    value
                });
                Some(json!({"definitions": all.collect::<Vec<_>>()}))
            }
        }
    }

    /// Shard 0: puts or removes a definition.
    pub(super) fn define(
        &mut self,
        now: Now,
        by: &Asker,
        (request, told): (ApiRequest, Option<Frame>),
        effects: &mut Vec<Effect>,
    ) {
        assert!(self.options.shard == ORDERLY);
        if let Err(refusal) = self.try_define(now, by, (request, told), effects) {
            self.refuse(by.from, by.id, &refusal, effects);
        }
    }

    fn try_define(
        &mut self,
        now: Now,
        by: &Asker,
        (request, told): (ApiRequest, Option<Frame>),
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let (kind, name, body, dry_run) = match request {
            ApiRequest::Define { kind, name, body, dry_run } => (kind, name, body, dry_run),
            ApiRequest::Amend { kind, name, body } => {
                let body = self.amended(kind, &name, &body)?;
                (kind, name, body, false)
            }
            _ => unreachable!("nothing else is sent here"),
        };
        let known = self.registry.get(kind, &name).is_some();
        if body.is_empty() && !known {
            return Err(refuse(ErrorCode::NoSuchRoom, "there is none of this name"));
        }
        if !body.is_empty() {
            let wrong = |fault: Fault| refuse(ErrorCode::BadRequest, &fault.to_string());
            check_name_of(kind, &name).and_then(|()| check_size(&body)).map_err(wrong)?;
            (self.options.check)(kind, &name, &body).map_err(wrong)?;
            if !known && self.registry.count(kind) >= kind.count_max() {
                let text = format!("there are {} {}s already", kind.count_max(), kind.name());
                return Err(refuse(ErrorCode::TooLarge, &text));
            }
        }
        let version = self.registry.next_version(kind, &name);
        let mut d = json!({"name": &*name, "version": version});
        if told.is_some() {
            // It was asked for by a command, which ends with this.
            d["state"] = "done".into();
        }
        if dry_run {
            self.grant_value(by, &d, effects);
            return Ok(());
        }
        self.check_log(body.len())?;
        let (user, ts_us) = (by.user.clone(), now.wall_us);
        let fact = Fact::Definition { kind, name: name.clone(), version, body: body.clone() };
        let append = self.append(Record { ts_us, user, room: "".into(), fact }, effects);
        let definition = Definition { kind, name, version, by: by.user.clone(), ts_us, body };
        let definition = Arc::new(definition);
        // Its version is taken, though nobody acts on it yet.
        self.registry.put(Arc::clone(&definition));
        self.when_durable(append, Waiting::Define { definition }, effects);
        self.confirm(by, append, &d, effects);
        if let Some(frame) = told {
            let what = Waiting::Reply { to: by.from, id: None, frame, since_us: None };
            self.when_durable(append, what, effects);
        }
        Ok(())
    }

    /// The body of a definition with some fields changed.
    fn amended(&self, kind: Kind, name: &str, changes: &str) -> Result<Box<str>, Refusal> {
        let none = || refuse(ErrorCode::NoSuchRoom, "there is none of this name");
        let known = self.registry.get(kind, name).ok_or_else(none)?;
        let bad = |error: serde_json::Error| refuse(ErrorCode::BadRequest, &error.to_string());
        let mut fields: Map<String, Value> = serde_json::from_str(&known.body).map_err(bad)?;
        let changes: Map<String, Value> = serde_json::from_str(changes).map_err(bad)?;
        for (field, value) in changes {
            match value {
                Value::Null => drop(fields.remove(&field)),
                value => drop(fields.insert(field, value)),
            }
        }
        Ok(Value::Object(fields).to_string().into())
    }

    /// Shard 0: a definition is in the log.
    pub(super) fn tell_defined(&mut self, definition: &Arc<Definition>, effects: &mut Vec<Effect>) {
        for shard in 0..self.options.shard_count {
            let definition = Arc::clone(definition);
            self.tell(ShardId(shard), Message::Defined { definition }, effects);
        }
    }

    /// A definition holds from now on.
    pub(super) fn defined(&mut self, definition: Arc<Definition>, effects: &mut Vec<Effect>) {
        self.registry.put(Arc::clone(&definition));
        self.take_over(&definition);
        effects.push(Effect::Defined(definition));
    }

    /// All definitions, for whoever acts on them from the start on.
    pub fn registry(&self) -> &crate::registry::Registry {
        &self.registry
    }

    /// Takes in a definition of the log.
    pub(super) fn restore_definition(&mut self, record: Record) {
        if let Fact::Definition { kind, name, version, body } = record.fact {
            let Record { ts_us, user: by, .. } = record;
            let definition = Definition { kind, name, version, by, ts_us, body };
            self.take_over(&definition);
            self.registry.put(Arc::new(definition));
        }
    }

    /// Acts by a definition from now on.
    fn take_over(&mut self, definition: &Definition) {
        match definition.kind {
            Kind::Handler => self.adopt(definition),
            // What another version took may be wrong by the rules of this one: it is not there.
            Kind::Command => drop(self.book.adopt(definition)),
            Kind::Hook | Kind::Subscription => {}
        }
    }

    /// A `cid` for a message of the API that has none.
    pub(super) fn own_cid(&self, o: Offset) -> crate::chat::event::Cid {
        format!("api-{}-{}", self.epochs.current(), o.0).into()
    }
}

/// A definition as the API shows it. Lists leave the bodies out; secrets are never shown.
fn value(definition: &Definition, whole: bool) -> Value {
    let mut value = json!({
        "name": &*definition.name,
        "version": definition.version,
        "by": &*definition.by,
        "at": definition.ts_us.div_euclid(1_000),
    });
    if whole {
        let mut body = serde_json::from_str(&definition.body).unwrap_or(Value::Null);
        hide_secrets(&mut body);
        value["definition"] = body;
    }
    value
}

/// Whoever wrote a secret knows it; whoever reads definitions need not.
pub(super) fn hide_secrets(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                // Headers of an operator's own are there to hold keys.
                if key.contains("secret") || key == "headers" {
                    hide_texts(field);
                } else {
                    hide_secrets(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        _ => {}
    }
}

fn hide_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = "…".into(),
        Value::Array(items) => items.iter_mut().for_each(hide_texts),
        Value::Object(fields) => fields.values_mut().for_each(hide_texts),
        _ => {}
    }
}
