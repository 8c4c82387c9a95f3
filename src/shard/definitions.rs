//! Definitions as shards act on them: what puts them to use, and questions about subscriptions.

use super::turn::Shard;
use super::world::World;
use crate::base::hash::Map;
use crate::base::ids::{ConnId, ShardId};
use crate::base::network::Network;
use crate::chat::event::Name;
use crate::chat::hub::Hub;
use crate::commands::{Backend, Entry};
use crate::egress::check_url;
use crate::handlers::Handler;
use crate::hooks::Hook;
use crate::registry::{Definition, Fault, Kind};
use crate::subscriptions::{Answer, Item, Question, Spec};
use crate::whatsapp::send::Content;
use crate::wire::http::response::Response;
use crossbeam_channel::TrySendError;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;

/// The shard that tells the thread of the subscriptions, so that it is told once and in order.
const TELLER: ShardId = ShardId(0);

/// Reads a definition only to say what is wrong with it. Subscribers in `networks` may be called
/// although these are not public.
pub fn check(kind: Kind, name: &str, body: &str, networks: &[Network]) -> Result<(), Fault> {
    match kind {
        Kind::Handler => Handler::parse(name, body)?.check_contents(&|json| {
            Content::parse(json).map(drop).map_err(|refused| refused.to_string())
        }),
        Kind::Hook => Hook::parse(name, body).map(drop),
        Kind::Subscription => Spec::parse(body, networks).map(drop),
        Kind::Command => check_command(name, body, networks),
    }
}

fn check_command(name: &str, body: &str, networks: &[Network]) -> Result<(), Fault> {
    let entry = Entry::draft(name, body)?;
    for begin in &entry.manifest.fetch {
        let fault = |problem: String| Fault::of("fetch", problem);
        check_url(begin, networks).map_err(|error| fault(error.to_string()))?;
    }
    match &entry.manifest.backend {
        Backend::Http(callback) => {
            let fault = |problem: String| Fault::of("http.url", problem);
            check_url(&callback.url, networks).map_err(|error| fault(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// What a shard holds of definitions.
#[derive(Debug, Default)]
pub struct Defined {
    hooks: Map<Arc<str>, Arc<Hook>>,
    /// What a full mailbox of the subscriptions did not take, oldest first.
    untold: VecDeque<Item>,
    /// Questions to that thread: who waits for the answer, and about which subscription.
    asked: Map<u64, (ConnId, Name)>,
    ticket: u64,
}

impl Defined {
    /// What a hub holds at the start.
    pub fn of(hub: &Hub, shard: ShardId, world: &World) -> Self {
        let mut defined = Self::default();
        for definition in hub.registry().of_kind(Kind::Hook) {
            defined.put_hook(definition);
        }
        if shard == TELLER {
            let all = hub.registry().of_kind(Kind::Subscription).map(Arc::clone).map(Item::Define);
            all.chain([Item::Complete]).for_each(|item| defined.tell(item, world));
        }
        defined
    }

    /// The hook of this name.
    pub fn hook(&self, name: &str) -> Option<&Arc<Hook>> {
        self.hooks.get(name)
    }

    fn put_hook(&mut self, definition: &Definition) {
        let name = Arc::clone(&definition.name);
        if definition.is_removed() {
            self.hooks.remove(&name);
            return;
        }
        match Hook::parse(&name, &definition.body) {
            Ok(hook) => drop(self.hooks.insert(name, Arc::new(hook))),
            // Of another version of this program: a door that cannot be read stays shut.
            Err(fault) => {
                eprintln!("ringpost: hook {name} is not valid: {fault}");
                self.hooks.remove(&name);
            }
        }
    }

    /// In order, now or when there is room.
    fn tell(&mut self, item: Item, world: &World) {
        self.untold.push_back(item);
        self.tell_rest(world);
    }

    /// Tells what waits.
    pub fn tell_rest(&mut self, world: &World) {
        while let Some(item) = self.untold.pop_front() {
            match world.subscriptions.try_send(item) {
                Ok(()) => {}
                Err(TrySendError::Full(item)) => return self.untold.push_front(item),
                // The server stops.
                Err(TrySendError::Disconnected(_)) => return self.untold.clear(),
            }
        }
    }
}

impl Shard {
    /// A definition holds from now on.
    pub(super) fn on_defined(&mut self, definition: &Arc<Definition>) {
        match definition.kind {
            // The hub acts on these itself.
            Kind::Handler | Kind::Command => {}
            Kind::Hook => self.defined.put_hook(definition),
            Kind::Subscription if self.id == TELLER => {
                self.defined.tell(Item::Define(Arc::clone(definition)), &self.world);
            }
            Kind::Subscription => {}
        }
    }

    /// Asks the thread of the subscriptions for a connection of the API that waits.
    pub(super) fn ask_subscriptions(&mut self, conn: ConnId, name: Name, question: Question) {
        self.defined.ticket += 1;
        let (shard, ticket) = (self.id, self.defined.ticket);
        let item = Item::Ask { shard, ticket, question };
        if self.world.subscriptions.try_send(item).is_err() {
            let hint = "the subscriptions have more to do than they can; ask again";
            let response = Response::error(503, "overloaded", hint).header("Retry-After", "1");
            return self.finish_api(conn, response);
        }
        self.defined.asked.insert(ticket, (conn, name));
    }

    /// The answer to such a question.
    pub(super) fn on_told(&mut self, ticket: u64, answer: Answer) {
        let Some((conn, name)) = self.defined.asked.remove(&ticket) else { return };
        let value = match answer {
            Answer::Standings(all) => {
                let found = all.iter().find(|standing| *standing.name == *name);
                found.map(|standing| json!(standing))
            }
            Answer::Dead(dead) => dead.map(|dead| json!({"dead": dead})),
            Answer::Replay(count) => count.map(|count| json!({"replayed": count})),
        };
        let none = || Response::error(404, "not_found", "there is no subscription of this name");
        let found = |value: Value| Response::json(200, value.to_string());
        self.finish_api(conn, value.map_or_else(none, found));
    }
}
