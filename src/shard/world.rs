//! What shards share: settings, mailboxes, bells, heartbeats. Written at start, read ever after.

use super::archive::Question;
use super::clock::Clock;
use super::media;
use super::raw::RawMail;
use super::sources::Sources;
use crate::admin::{self, HandlerReading, Reading, SubscriptionReading};
use crate::base::limits::SHARD_CONNECTIONS_MAX;
use crate::chat::event::{Forget, Forgetting, Found, Message, OutboxEvent};
use crate::config::Config;
use crate::egress::{EgressSender, Got, Miss};
use crate::handlers::Counts;
use crate::log::{LogHandle, LogState};
use crate::metrics::Histograms;
use crate::net::Bell;
use crate::outbox::{Standing, Word};
use crate::programs::{Outcome, Programs};
use crate::subscriptions::{self, Answer, Item};
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

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
    /// Messages out; `None` when no number is configured.
    pub outbox: Option<Outlet>,
    /// Calls out.
    pub egress: EgressSender,
    /// Runs programs of the operator, when there is a folder of them.
    pub programs: Option<Programs>,
    /// Definitions of subscriptions, and questions about them.
    pub subscriptions: Sender<Item>,
    /// Files of the platform.
    pub media: Sender<media::Word>,
    /// How the subscriptions stand, at most a second old.
    pub standings: Mutex<Vec<subscriptions::Standing>>,
    /// What each shard has measured since the start, at most a second old.
    pub totals: Vec<Mutex<Histograms>>,
    /// What handlers did on each shard since the start, at most a second old.
    pub handler_counts: Vec<Mutex<BTreeMap<Box<str>, Counts>>>,
    /// The log, for its health.
    pub log: LogHandle,
    /// What recovery found damaged, in one sentence each.
    pub damage: Vec<String>,
    /// Counts erasures that are done: whoever holds old files lets go of them.
    pub erasures: AtomicU64,
    /// How often a shard that slept for too long was woken by force.
    pub rescues: AtomicU64,
}

/// The ways out of a shard, to its peers and to the threads around them.
pub struct Ways {
    /// [`World::mail`].
    pub mail: Vec<Sender<Mail>>,
    /// [`World::archive`].
    pub archive: Sender<Question>,
    /// [`World::outbox`].
    pub outbox: Option<Outlet>,
    /// [`World::egress`].
    pub egress: EgressSender,
    /// [`World::subscriptions`].
    pub subscriptions: Sender<Item>,
    /// [`World::programs`].
    pub programs: Option<Programs>,
    /// [`World::media`].
    pub media: Sender<media::Word>,
}

/// The shards' end of the outbox.
pub struct Outlet {
    /// What it is to know.
    pub words: Sender<Word>,
    /// Whether rooms may promise to send another message.
    pub has_room: AtomicBool,
    /// How it stands, at most a second old.
    pub standing: Mutex<Standing>,
}

impl Outlet {
    /// An outbox in which nothing waits.
    pub fn new(words: Sender<Word>) -> Self {
        Self { words, has_room: AtomicBool::new(true), standing: Mutex::default() }
    }

    fn standing(&self) -> Standing {
        self.standing.lock().map(|standing| standing.clone()).unwrap_or_default()
    }
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
    /// From the outbox.
    Outbox(OutboxEvent),
    /// What became of a program.
    Executed {
        /// The ticket of the call.
        ticket: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// What became of a call out.
    Fetched {
        /// The ticket of the call.
        ticket: u64,
        /// How it ended.
        result: Result<Got, Miss>,
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
    /// From the thread of the subscriptions.
    Told {
        /// The ticket of the question.
        ticket: u64,
        /// What it says.
        answer: Answer,
    },
    /// From the thread of files.
    Media {
        /// The ticket of the question.
        ticket: u64,
        /// What it gives.
        answer: media::Answer,
    },
    /// About raw rooms.
    Raw(RawMail),
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
        ways: Ways,
        log: LogHandle,
        damage: Vec<String>,
    ) -> Self {
        let Ways { mail, archive, outbox, egress, subscriptions, programs, media } = ways;
        let heartbeats = mail.iter().map(|_| AtomicU64::new(0)).collect();
        let totals = mail.iter().map(|_| Mutex::default()).collect();
        let handler_counts = mail.iter().map(|_| Mutex::default()).collect();
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
            outbox,
            egress,
            programs,
            subscriptions,
            media,
            log,
            damage,
            standings: Mutex::default(),
            totals,
            handler_counts,
            erasures: AtomicU64::new(0),
            rescues: AtomicU64::new(0),
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
        if let Some(outbox) = &self.outbox {
            remarks.extend(outbox.standing().remarks);
        }
        let standings = self.subscription_standings();
        remarks.extend(standings.iter().filter_map(subscriptions::Standing::remark));
        remarks.extend(self.damage.iter().map(|damage| format!("log damaged: {damage}")));
        remarks
    }

    fn subscription_standings(&self) -> Vec<subscriptions::Standing> {
        self.standings.lock().map(|standings| standings.clone()).unwrap_or_default()
    }

    /// What `/metrics` says now.
    pub fn metrics_page(&self) -> String {
        let counts = self.log.counts();
        let outbox = self.outbox.as_ref().map(Outlet::standing).unwrap_or_default().counts;
        let reading = Reading {
            is_healthy: self.is_healthy(),
            connection_count: self.connections.load(Ordering::Relaxed) as u64,
            rescue_count: self.rescues.load(Ordering::Relaxed),
            log_takes_records: self.log.state() == LogState::Ok,
            log_record_count: counts.record_count,
            log_written_bytes: counts.written_bytes,
            log_sync_count: counts.sync_count,
            log_segment_count: counts.segment_count,
            log_segment_failure_count: counts.segment_failure_count,
            outbox_queued: outbox.queued as u64,
            outbox_calls: outbox.flights as u64,
            outbox_stopped_numbers: outbox.stopped as u64,
            outbox_platform_down: outbox.platform_down,
            outbox_accepted: outbox.accepted,
            outbox_failed: outbox.failed,
            outbox_unknown: outbox.unknown,
            outbox_retried: outbox.retried,
        };
        // A panic elsewhere ends the process: nobody meets a poisoned lock.
        let totals = self.totals.iter().filter_map(|totals| totals.lock().ok());
        let standings = self.subscription_standings();
        let subscriptions: Vec<_> = standings.iter().map(subscription_reading).collect();
        let counts = self.handler_counts();
        let handlers: Vec<_> =
            counts.iter().map(|(name, counts)| handler_reading(name, counts)).collect();
        admin::metrics_page(&reading, &subscriptions, &handlers, totals)
    }

    /// What each handler did on all shards together.
    pub fn handler_counts(&self) -> BTreeMap<Box<str>, Counts> {
        let mut all = BTreeMap::<_, Counts>::new();
        for shard in self.handler_counts.iter().filter_map(|counts| counts.lock().ok()) {
            for (name, counts) in shard.iter() {
                all.entry(name.clone()).or_default().add(counts);
            }
        }
        all
    }

    /// Wakes a shard that should have turned long ago.
    pub fn rescue(&self, shard: usize) {
        if let Some(bells) = self.bells.get() {
            bells[shard].rescue();
        }
    }

    /// Wakes a shard from a thread that is none.
    pub fn ring(&self, shard: usize) {
        if let Some(bells) = self.bells.get() {
            bells[shard].ring();
        }
    }
}

fn handler_reading(name: &str, counts: &Counts) -> HandlerReading {
    HandlerReading {
        name: name.to_owned(),
        fired: counts.fired,
        limited: counts.limited,
        calls: counts.calls,
        calls_ms: counts.calls_ms,
        failed: counts.failed,
    }
}

fn subscription_reading(standing: &subscriptions::Standing) -> SubscriptionReading {
    SubscriptionReading {
        name: standing.name.clone(),
        is_up: matches!(standing.state, "active"),
        lag_records: standing.lag_records,
        lag_ms: standing.lag_ms,
        event_count: standing.event_count,
        failure_count: standing.failure_count,
        dead_count: standing.dead_count as u64,
    }
}
