//! N shards, the log thread and signals: start and stop in order.
//!
//! ```text
//! lock the data directory ─▶ recover the log ─▶ restore the hubs ─▶ begin an epoch if the last
//! stop was not clean ─▶ bind ─▶ shards ─▶ ready line ─▶ signal ─▶ drain ─▶ log stops ─▶ exit 0
//! ```

mod definitions;

mod error;

mod egress;

mod folder;

mod keeper;

mod media;

mod outbox;

mod outward;

pub mod restore;

pub mod subscriptions;

mod watchdog;

pub use error::NodeError;

use keeper::Keeper;
use outward::Outward;

use crate::base::hash::seed_maps;
use crate::base::ids::{EpochId, ShardId};
use crate::base::limits::{FRAMES_BURST, MAILBOX_ITEMS_MAX, SESSIONS_PER_USER_MAX};
use crate::base::rate;
use crate::chat::event::{Fact, Record};
use crate::chat::hub::{Hub, HubOptions};
use crate::commands::program::is_guarded;
use crate::config::{self, Config, Fanout};
use crate::log::be_prompt;
use crate::log::directory::log_dir;
use crate::log::heap;
use crate::log::record::{EpochV1, NameId};
use crate::log::sidecar::SidecarJob;
use crate::log::snapshot::FoldJob;
use crate::log::{
    AckPolicy, Archive, DataDir, LogError, LogOptions, LogState, LogWriter, Producer, Recovered,
};
use crate::net::{self, Driver, DriverOptions, ListenOptions};
use crate::registry::Definition;
use crate::shard::archive::Question;
use crate::shard::clock::{Clock, stopwatch_us, wall_us};
use crate::shard::world::{Mail, World};
use crate::shard::{Shard, ShardParts, archive, record};
use crossbeam_channel::{Receiver, Sender, bounded};
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Questions to the archive that may wait.
const QUESTIONS_MAX: usize = 4_096;
/// glommio's own rings are idle here: the sockets are on ours. Small ones leave locked memory free.
const EXECUTOR_MEMORY: usize = 64 << 10;

/// Runs the server until a signal ends it. `ready` is called with the bound address.
pub fn serve(config: Config, ready: impl FnOnce(SocketAddr)) -> Result<(), NodeError> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(NodeError::Signals)?;
    end_with_our_threads();
    // The seal thread takes tens of megabytes for each segment, and must not keep them.
    heap::give_back_large_blocks();
    net::raise();
    net::probe()?;
    let random = random_bytes()?;
    seed_maps(word(&random, 0));
    let clock = Clock::start();
    let shard_cpus = cpus(config.server.shards);
    let shard_count = shard_cpus.len() as u16;

    let dir = DataDir::lock(&config.server.data)?;
    let recovered = Recovered::read(&dir)?;
    let mut hubs = hubs(&config, shard_count, clock, &random);
    restore::restore(&recovered, &mut hubs);
    hubs.iter_mut().for_each(Hub::begin_outgoing);
    let bells = Arc::new(OnceLock::new());
    let (writer, mut producers) =
        start_log(dir, &recovered, &config, shard_count, word(&random, 1), Arc::clone(&bells))?;
    writer.add_job(Box::new(SidecarJob));
    let mut node_producer = producers.pop().expect("one more than shards");
    begin_epoch(&mut node_producer, &recovered, &mut hubs, word(&random, 2))?;
    put_definitions(&config, &mut node_producer, &mut hubs)?;
    let known = folder::known(hubs[0].registry());
    let (damage, begin_seq) = (warn(&recovered), recovered.begin_seq());
    // Unmaps what was read.
    drop(recovered);
    writer.add_job(Box::new(FoldJob::new(record::external_print, wall_us)));

    let listeners = net::listen_group(config.server.listen, shard_count, ListenOptions::default())?;
    let address = listeners[0].address();
    let url = config.server.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    hubs.iter_mut().for_each(|hub| hub.set_public_url(&url));
    let (mail, mailboxes): (Vec<_>, Vec<_>) =
        (0..shard_count).map(|_| bounded(MAILBOX_ITEMS_MAX)).unzip();
    let (ask, questions) = bounded(QUESTIONS_MAX);
    let log = writer.handle();
    let (near, far) = outward::channels(&config);
    let ways = near.ways(mail, ask);
    let world = Arc::new(World::new(config, clock, ways, log.clone(), damage));
    let archive = start_archive(&writer, questions, &world)?;
    let parts = hubs.into_iter().zip(producers).zip(mailboxes).zip(listeners);
    let parts = parts.enumerate().map(|(index, (((hub, producer), mailbox), listener))| {
        let (id, world) = (ShardId(index as u16), Arc::clone(&world));
        ShardParts { id, world, hub, producer, mailbox, listener }
    });
    let shards = start_shards(parts.collect(), shard_cpus, &world)?;
    let _ = bells.set(world.bells.get().expect("set when all shards started").clone());
    watchdog::start(Arc::clone(&world), log.clone())?;
    writer.add_job(Box::new(Keeper::new(&world, node_producer, policy(&world.config))));
    let outward = Outward::start(far, word(&random, 3), begin_seq, &world)?;
    folder::start(&world, known)?;
    ready(address);

    signals.forever().next();
    hurry_when_told_again(signals, &world)?;
    outward.stop(&world);
    stop(shards, &world)?;
    let stopped = writer.stop();
    watchdog::tell(&log);
    stopped?;
    drop(world);
    // The archive holds a sender of its own mail only through `world`; it ends with the process.
    drop(archive);
    Ok(())
}

/// Says what was not as it should be in the log, and gives its damage.
fn warn(recovered: &Recovered) -> Vec<String> {
    for problem in &recovered.refused {
        eprintln!("ringpost: a snapshot is not used, which makes this start longer: {problem}");
    }
    let damage = recovered.damage();
    damage.iter().for_each(|damage| eprintln!("warning: the log is damaged: {damage}"));
    damage
}

/// A thread of ours that panics takes the process with it: a node without one of its shards would
/// accept connections and leave them alone. The log recovers what it acknowledged.
fn end_with_our_threads() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        let name = std::thread::current().name().unwrap_or("").to_owned();
        // The seal thread outlives a job that panics, and says so itself.
        let ours = name.starts_with("shard-") || name.starts_with("ringpost-");
        if ours && name != "ringpost-seal" && !is_guarded() {
            std::process::abort();
        }
    }));
}

fn hubs(config: &Config, shard_count: u16, clock: Clock, random: &[u8; 64]) -> Vec<Hub> {
    let now = clock.now();
    let limits = &config.limits;
    let hub = |shard| {
        let options = HubOptions {
            shard: ShardId(shard),
            shard_count,
            dev: config.server.dev,
            token_secret: config.auth.secret.as_ref().map_or(Vec::new(), |s| s.expose().to_vec()),
            key: random[32..].try_into().expect("32 bytes"),
            boot_ms: (now.wall_us / 1_000) as u64,
            ack: policy(config).name(),
            fanout_durable: config.fanout == Fanout::Durable,
            frames: bucket(limits.frames),
            sends: bucket(limits.sends),
            room_sends: bucket(limits.room_sends),
            sessions_per_user_max: limits
                .connections_per_user
                .map_or(usize::MAX, |max| max as usize),
            platform: outbox::platform(config),
            agents: config.whatsapp.agents.iter().map(|rule| rule.as_str().into()).collect(),
            check: definitions::check,
            clock: stopwatch_us,
        };
        Hub::new(options, now)
    };
    (0..shard_count).map(hub).collect()
}

fn bucket(rate: Option<config::Rate>) -> rate::Rate {
    rate.map_or(rate::Rate { per_s: 0, burst: FRAMES_BURST }, |rate| rate::Rate {
        per_s: rate.per_s,
        burst: rate.burst,
    })
}

const _: () = assert!(SESSIONS_PER_USER_MAX > 0 && FRAMES_BURST > 0);

fn policy(config: &Config) -> AckPolicy {
    match config.log.ack {
        config::AckPolicy::Memory => AckPolicy::Memory,
        config::AckPolicy::Os => AckPolicy::Os,
        config::AckPolicy::Fsync => AckPolicy::Fsync,
    }
}

/// One producer for each shard, and one for the node's own records.
fn start_log(
    dir: DataDir,
    recovered: &Recovered,
    config: &Config,
    shard_count: u16,
    seed: u64,
    bells: Arc<OnceLock<Vec<net::Bell>>>,
) -> Result<(LogWriter, Vec<Producer>), LogError> {
    let options = LogOptions {
        policy: policy(config),
        segment_bytes: config.log.segment_bytes as usize,
        ..LogOptions::new(shard_count + 1, seed, wall_us)
    };
    let notify = move |shard: ShardId| {
        if let Some(bell) = bells.get().and_then(|bells| bells.get(usize::from(shard.0))) {
            bell.ring();
        }
    };
    LogWriter::start(dir, recovered, options, Box::new(notify))
}

/// After an unclean stop, events may have been seen that the log does not hold: a new epoch keeps
/// their offsets apart from those given from now on. It is on disk before anybody is served.
fn begin_epoch(
    producer: &mut Producer,
    recovered: &Recovered,
    hubs: &mut [Hub],
    random: u64,
) -> Result<(), NodeError> {
    let last = recovered.epochs.last();
    let epoch = match last {
        Some(last) if recovered.clean_stop => last.epoch,
        _ => {
            // Short to read, and never one that was there before.
            let fresh = |n: u64| !recovered.epochs.iter().any(|known| known.epoch == n);
            let candidates = (0..).map(|shift| random.rotate_left(shift) >> 24);
            let epoch = candidates.into_iter().find(|n| fresh(*n)).expect("few are taken");
            let record = EpochV1 { ts_us: wall_us(), epoch };
            let none = NameId::NONE;
            let position =
                producer.append(none, none, &record).map_err(|_| NodeError::LogRefused)?;
            producer.wake();
            while producer.acked() < position || producer.committed() < position {
                if producer.state() != LogState::Ok {
                    return Err(NodeError::LogRefused);
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            epoch
        }
    };
    for hub in hubs {
        hub.begin_epoch(EpochId(epoch));
    }
    Ok(())
}

/// What the folder of definitions says differently from the log goes into the log.
fn put_definitions(
    config: &Config,
    producer: &mut Producer,
    hubs: &mut [Hub],
) -> Result<(), NodeError> {
    let Some(folder) = &config.api.definitions else {
        return Ok(());
    };
    let (known, networks) = (hubs[0].registry(), &config.whatsapp.outbound.networks);
    for definition in definitions::changed(folder, known, networks, wall_us())? {
        let record = definition_record(&definition);
        record::append(producer, &record).map_err(|_| NodeError::LogRefused)?;
        hubs.iter_mut().for_each(|hub| hub.restore(record.clone()));
    }
    producer.wake();
    Ok(())
}

fn definition_record(definition: &Definition) -> Record {
    let Definition { kind, name, version, by, ts_us, body } = definition;
    let (name, body) = (name.clone(), body.clone());
    let fact = Fact::Definition { kind: *kind, name, version: *version, body };
    Record { ts_us: *ts_us, user: by.clone(), room: "".into(), fact }
}

fn start_archive(
    writer: &LogWriter,
    questions: Receiver<Question>,
    world: &Arc<World>,
) -> Result<std::thread::JoinHandle<()>, NodeError> {
    let world = Arc::clone(world);
    let archive = Archive::open(&log_dir(writer.root()))?;
    let thread = std::thread::Builder::new().name("ringpost-archive".to_owned());
    thread.spawn(move || archive::serve(archive, &questions, &world)).map_err(NodeError::Thread)
}

type ShardHandles = Vec<ExecutorJoinHandle<Result<(), net::StartError>>>;

/// Starts the shards; each makes its ring on its own thread, and none begins before all have.
fn start_shards(
    parts: Vec<ShardParts>,
    cpus: Vec<Option<usize>>,
    world: &Arc<World>,
) -> Result<ShardHandles, NodeError> {
    let (bell_sender, bell_receiver) = bounded(parts.len());
    let mut handles = Vec::new();
    let mut gates = Vec::new();
    let connections_max = world.connections_per_shard(parts.len());
    for (part, cpu) in parts.into_iter().zip(cpus) {
        let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
        let (gate, opened) = bounded::<Vec<net::Bell>>(1);
        gates.push(gate);
        let born = bell_sender.clone();
        let builder = LocalExecutorBuilder::new(placement)
            .name(&format!("shard-{}", part.id.0))
            .io_memory(EXECUTOR_MEMORY)
            .ring_depth(128);
        let handle = builder
            .spawn(move || async move {
                be_prompt();
                shard_main(part, connections_max, &born, &opened).await
            })
            .map_err(|error| NodeError::Executor(error.to_string()))?;
        handles.push(handle);
    }
    drop(bell_sender);
    let mut bells = HashMap::new();
    for _ in 0..handles.len() {
        let (id, bell) = bell_receiver.recv().map_err(|_| NodeError::ShardDied)??;
        bells.insert(id, bell);
    }
    let bells: Vec<_> = (0..handles.len() as u16)
        .map(|id| bells.remove(&ShardId(id)).expect("each sent one"))
        .collect();
    let _ = world.bells.set(bells.clone());
    // They are about to turn for the first time, and are not to look dead until then.
    let now_ms = world.clock.now().mono_ms();
    world.heartbeats.iter().for_each(|beat| beat.store(now_ms, Ordering::Relaxed));
    for gate in gates {
        let _ = gate.send(bells.clone());
    }
    Ok(handles)
}

async fn shard_main(
    parts: ShardParts,
    connections_max: usize,
    born: &Sender<Result<(ShardId, net::Bell), net::StartError>>,
    opened: &Receiver<Vec<net::Bell>>,
) -> Result<(), net::StartError> {
    let options = DriverOptions { connections_max, ..DriverOptions::default() };
    let driver = match Driver::new(options) {
        Ok(driver) => driver,
        Err(error) => {
            let _ = born.send(Err(error));
            return Ok(());
        }
    };
    let _ = born.send(Ok((parts.id, driver.bell().clone())));
    // Waiting here blocks the thread, which is what it should do: nothing else may run before.
    if let Ok(bells) = opened.recv() {
        Shard::new(parts, driver, &bells).run().await;
    }
    Ok(())
}

fn stop(shards: ShardHandles, world: &World) -> Result<(), NodeError> {
    drain(world);
    for shard in shards {
        shard.join().map_err(|_| NodeError::ShardDied)??;
    }
    Ok(())
}

fn drain(world: &World) {
    for (index, mail) in world.mail.iter().enumerate() {
        // A shard that has ended takes no mail.
        let _ = mail.send(Mail::Drain);
        world.ring(index);
    }
}

/// Whoever signals twice does not want to wait for clients. The log is synced all the same.
fn hurry_when_told_again(mut signals: Signals, world: &Arc<World>) -> Result<(), NodeError> {
    let world = Arc::clone(world);
    let wait = move || {
        for _ in signals.forever() {
            drain(&world);
        }
    };
    let thread = std::thread::Builder::new().name("ringpost-hurry".to_owned());
    thread.spawn(wait).map(|_| ()).map_err(NodeError::Thread)
}

/// The CPUs of the shards: those this process may use, as many as asked for. More shards than CPUs
/// are not pinned.
fn cpus(wanted: u16) -> Vec<Option<usize>> {
    let allowed = allowed_cpus();
    let count = if wanted == 0 { allowed.len().max(1) } else { usize::from(wanted) };
    if count > allowed.len() {
        return vec![None; count];
    }
    allowed.into_iter().take(count).map(Some).collect()
}

fn allowed_cpus() -> Vec<usize> {
    // The affinity mask as the kernel prints it: "0-3,8".
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let ranges = list.unwrap_or("0").trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    });
    ranges.flatten().collect()
}

fn random_bytes() -> Result<[u8; 64], NodeError> {
    let mut bytes = [0; 64];
    getrandom::fill(&mut bytes).map_err(|error| NodeError::Random(error.to_string()))?;
    Ok(bytes)
}

fn word(random: &[u8; 64], index: usize) -> u64 {
    u64::from_le_bytes(random[index * 8..index * 8 + 8].try_into().expect("eight bytes"))
}
