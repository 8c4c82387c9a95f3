//! The threads that turn outward: the outbox, the subscriptions, the files of the platform, and
//! egress, which calls for all of them and for shards.

use super::media::WORDS_MAX;
use super::outbox;
use super::subscriptions::{self, ITEMS_MAX};
use super::{NodeError, egress};
use crate::base::ids::ShardId;
use crate::config::Config;
use crate::egress::{Calls, EgressSender, channel};
use crate::log::AckPolicy;
use crate::outbox::Word;
use crate::programs::{self, Jobs, Programs};
use crate::shard::archive::Question;
use crate::shard::media;
use crate::shard::world::{Mail, Outlet, Ways, World};
use crate::subscriptions::{Item, Standing};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// The shards' ends of the channels.
pub struct Near {
    outbox: Option<Outlet>,
    egress: EgressSender,
    subscriptions: Sender<Item>,
    programs: Option<Programs>,
    media: Sender<media::Word>,
}

impl Near {
    /// All ways out of a shard, with those to its peers and to the archive.
    pub fn ways(self, mail: Vec<Sender<Mail>>, archive: Sender<Question>) -> Ways {
        let Self { outbox, egress, subscriptions, programs, media } = self;
        Ways { mail, archive, outbox, egress, subscriptions, programs, media }
    }
}

/// The threads' ends of them.
pub struct Far {
    words: Option<Receiver<Word>>,
    calls: Calls,
    items: Receiver<Item>,
    jobs: Option<Jobs>,
    files: Receiver<media::Word>,
}

/// Makes the channels: shards have theirs before the threads run.
pub fn channels(config: &Config) -> (Near, Far) {
    let (outbox, words) = outbox::channel(config);
    let (egress, calls) = channel(egress::QUEUE_MAX);
    let (subscriptions, items) = bounded(ITEMS_MAX);
    let (media, files) = bounded(WORDS_MAX);
    let (programs, jobs) = config.api.programs.as_ref().map(|_| programs::channel()).unzip();
    let near = Near { outbox, egress, subscriptions, programs, media };
    (near, Far { words, calls, items, jobs, files })
}

/// The running threads.
pub struct Outward {
    outbox: Option<outbox::Running>,
    subscriptions: JoinHandle<()>,
}

impl Outward {
    /// Starts them. Egress and the thread of files end with the process. `begin_seq` is the first
    /// record that was written since the start.
    pub fn start(
        far: Far,
        seed: u64,
        begin_seq: u64,
        world: &Arc<World>,
    ) -> Result<Self, NodeError> {
        let Far { words, calls, items, jobs, files } = far;
        egress::start(calls, world)?;
        super::media::start(files, world)?;
        if let (Some(jobs), Some(folder)) = (jobs, &world.config.api.programs) {
            start_programs(&jobs, folder, world)?;
        }
        let options = subscription_options(world, seed.rotate_left(32), begin_seq);
        let subscriptions = subscriptions::start(options, items)?;
        let outbox = words.map(|words| outbox::start(words, seed, world)).transpose()?;
        Ok(Self { outbox, subscriptions })
    }

    /// Stops them while shards still turn, which write down what comes back.
    pub fn stop(self, world: &World) {
        // First both are told, so that they wait for their answers at the same time.
        let _ = world.subscriptions.send(Item::Stop);
        if let Some(outbox) = self.outbox {
            outbox.stop();
        }
        // A thread of ours that panics has ended the process.
        let _ = self.subscriptions.join();
    }
}

/// Starts the threads that run programs. They end with the process.
fn start_programs(jobs: &Jobs, folder: &Path, world: &Arc<World>) -> Result<(), NodeError> {
    let world = Arc::clone(world);
    let reply = move |shard: ShardId, ticket, outcome| {
        let shard = usize::from(shard.0);
        // A shard that has ended takes no mail.
        if world.mail[shard].send(Mail::Executed { ticket, outcome }).is_ok() {
            world.ring(shard);
        }
    };
    // A program starts in its folder, from where a relative path would lead elsewhere.
    let folder = std::path::absolute(folder).map_err(NodeError::Thread)?;
    programs::start(&folder, jobs, reply).map_err(NodeError::Thread)
}

/// What the thread of the subscriptions is to know.
fn subscription_options(world: &Arc<World>, seed: u64, begin_seq: u64) -> subscriptions::Options {
    let (clock, log) = (world.clock, world.log.clone());
    // Under a weaker policy a record counts when it is written, for its sender and for others.
    let durable = move || (log.policy() == AckPolicy::Fsync).then(|| log.durable_seq());
    let (erasures, told) = (Arc::clone(world), Arc::clone(world));
    let tell = move |all: Vec<Standing>| {
        if let Ok(mut standings) = told.standings.lock() {
            *standings = all;
        }
    };
    let shards = Arc::clone(world);
    let answer = move |shard: ShardId, ticket, answer| {
        let shard = usize::from(shard.0);
        // A shard that has ended takes no mail.
        if shards.mail[shard].send(Mail::Told { ticket, answer }).is_ok() {
            shards.ring(shard);
        }
    };
    subscriptions::Options {
        root: world.config.server.data.clone(),
        networks: world.config.whatsapp.outbound.networks.clone(),
        seed,
        begin_seq,
        now: Box::new(move || clock.now()),
        durable: Box::new(durable),
        egress: world.egress.clone(),
        erasures: Box::new(move || erasures.erasures.load(Ordering::Acquire)),
        answer: Box::new(answer),
        tell: Box::new(tell),
    }
}
