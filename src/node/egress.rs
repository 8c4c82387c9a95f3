//! The thread of calls out, and the way back of its replies.

use super::NodeError;
use crate::config::Config;
use crate::egress::{
    Caller, Calls, Egress, EgressOptions, GraphAddress, Reply, Roots, Timeouts, Tokens,
};
use crate::outbox;
use crate::shard::media::Word;
use crate::shard::world::{Mail, World};
use crate::subscriptions::Item;
use std::sync::Arc;

/// Calls under way at a time.
pub const CALLS_MAX: usize = 512;
/// Calls that wait for one of these: signals of the outbox, shards, subscriptions and files come
/// on top of the lanes' calls.
pub const QUEUE_MAX: usize = 2 * CALLS_MAX;

/// Starts the thread. It ends with the process: the replies' way back holds a sender of calls.
pub fn start(calls: Calls, world: &Arc<World>) -> Result<Egress, NodeError> {
    let options = options(&world.config)?;
    let world = Arc::clone(world);
    let subscriptions = world.subscriptions.clone();
    let outbox = world.outbox.as_ref().map(|outlet| outlet.words.clone());
    let route = move |reply: Reply| {
        let Reply { caller, ticket, result } = reply;
        // Whoever has ended wants no answer any more.
        match caller {
            Caller::Shard(shard) => {
                let shard = usize::from(shard.0);
                if world.mail[shard].send(Mail::Fetched { ticket, result }).is_ok() {
                    world.ring(shard);
                }
            }
            Caller::Outbox => {
                if let Some(words) = &outbox {
                    let _ = words.send(outbox::Word::Reply { ticket, result });
                }
            }
            Caller::Subscriptions => {
                let _ = subscriptions.send(Item::Reply { ticket, result });
            }
            Caller::Media => {
                let _ = world.media.send(Word::Reply { ticket, result });
            }
        }
    };
    Egress::start(options, calls, route).map_err(NodeError::Thread)
}

fn options(config: &Config) -> Result<EgressOptions, NodeError> {
    let outbound = &config.whatsapp.outbound;
    let mut tokens = Tokens::default();
    if let Some(token) = &outbound.token {
        tokens.set_any(token.clone());
    }
    for (number, token) in &outbound.tokens {
        tokens.set(number, token.clone());
    }
    let graph = GraphAddress::new(&outbound.base_url, &outbound.version)
        .map_err(|error| NodeError::Graph(error.to_string()))?;
    let roots = match &outbound.authorities {
        Some(pem) => Roots::parse(pem).map_err(NodeError::Authorities)?,
        None => Roots::default(),
    };
    Ok(EgressOptions {
        graph: Some(graph),
        tokens,
        networks: outbound.networks.clone(),
        roots,
        calls_max: CALLS_MAX,
        timeouts: Timeouts::default(),
    })
}
