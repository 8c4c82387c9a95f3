//! What shards share: settings, mailboxes, bells, heartbeats. Written at start, read ever after.

use super::archive::Question;
use super::clock::Clock;
use super::sources::Sources;
use crate::base::limits::SHARD_CONNECTIONS_MAX;
use crate::chat::event::{Forget, Forgetting, Found, Message};
use crate::config::Config;
use crate::log::{LogHandle, LogState};
use crate::net::Bell;
use crossbeam_channel::Sender;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The common knowledge of a node's shards.
pub struct World {
    /// The settings.
    pub config: Config,
    /// The clock all shards read.
    pub clock: Clock,
    /// A mailbox per shard. Bounded; a sender that finds one full keeps its mail and tries again.
    pub mail: Vec<Sender<Mail>>,
    /// A bell per shard, once all shards have made theirs.
    pub bells: OnceLock<Vec<Bell>>,
    /// When each shard last turned, ms of the monotonic clock.
    pub heartbeats: Vec<AtomicU64>,
    /// Connections of all shards.
    pub connections: AtomicUsize,
    /// Connections by address.
    pub sources: Sources,
    /// Questions to the archive.
    pub archive: Sender<Question>,
    /// The log, for its health.
    pub log: LogHandle,
    /// What recovery found damaged, in one sentence each.
    pub damage: Vec<String>,
}

/// An item in a shard's mailbox.
#[derive(Debug)]
pub enum Mail {
    /// From the hub of another shard.
    Hub(Message),
    /// From the archive.
    Archived {
        /// The ticket of the question.
        ticket: u64,
        /// What was found.
        found: Found,
    },
    /// An erasure: forget a piece, and say how far that is.
    Forget {
        /// What.
        what: Arc<Forget>,
        /// Who wants to know.
        answer: Sender<Forgetting>,
    },
    /// The erasure is over.
    Forgotten,
    /// The server stops: say goodbye to everyone and end.
    Drain,
}

/// The heartbeat of a shard that has ended in order: nobody is to miss its next one.
pub const ENDED_BEAT: u64 = u64::MAX;

/// A shard that has not turned for this long is not healthy.
const STALE_MS: u64 = 2_000;

impl World {
    /// A world before its shards are born.
    pub fn new(
        config: Config,
        clock: Clock,
        mail: Vec<Sender<Mail>>,
        archive: Sender<Question>,
        log: LogHandle,
        damage: Vec<String>,
    ) -> Self {
        let heartbeats = mail.iter().map(|_| AtomicU64::new(0)).collect();
        let sources = Sources::new(config.limits.connections_per_ip);
        Self {
            config,
            sources,
            clock,
            mail,
            bells: OnceLock::new(),
            heartbeats,
            connections: AtomicUsize::new(0),
            archive,
            log,
            damage,
        }
    }

    /// Connections that one of `shard_count` shards takes at a time. The kernel spreads them by
    /// hash, so each share has some slack.
    pub fn connections_per_shard(&self, shard_count: usize) -> usize {
        let all = self.config.limits.connections_max.map_or(usize::MAX, |max| max as usize);
        let share = all.div_ceil(shard_count);
        share.saturating_add(share / 4).min(SHARD_CONNECTIONS_MAX)
    }

    /// Whether the server can do its work: every shard turns, and the log works or waits for room.
    pub fn is_healthy(&self) -> bool {
        self.shards_turn() && self.log.state() != LogState::Failed
    }

    fn shards_turn(&self) -> bool {
        let now_ms = self.clock.now().mono_ms();
        let fresh = |beat: &AtomicU64| {
            let beat_ms = beat.load(Ordering::Relaxed);
            beat_ms != 0 && now_ms.saturating_sub(beat_ms) < STALE_MS
        };
        self.heartbeats.iter().all(fresh)
    }

    /// What the operator should know, one sentence each; empty when all is well.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.log.remarks();
        if !self.shards_turn() {
            remarks.push("a shard does not turn".to_owned());
        }
        remarks.extend(self.damage.iter().map(|damage| format!("log damaged: {damage}")));
        remarks
    }

    /// Wakes a shard from a thread that is none.
    pub fn ring(&self, shard: usize) {
        if let Some(bells) = self.bells.get() {
            bells[shard].ring();
        }
    }
}
