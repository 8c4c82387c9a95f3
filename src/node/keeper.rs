//! What the seal thread takes away: erasures that were demanded, and what is older than it may be.
//!
//! An erasure must be forgotten before it is erased: a shard that still remembers would write the
//! name again, or show the text from memory.

use crate::base::clock::DAY_US;
use crate::base::ids::Offset;
use crate::chat::event::{Forget, Forgetting};
use crate::config::Config;
use crate::log::erase::request::Demands;
use crate::log::erase::run::remove_leftovers;
use crate::log::erase::{EraseError, Host, Request, Stage, Step, Target, carry_out, plan, request};
use crate::log::record::{EraseScope, EraseV1, NameId};
use crate::log::retention::{Keep, RoomKeep, RoomSweep, sweep};
use crate::log::sealer::{Job, SealContext};
use crate::log::{AckPolicy, LogError, LogState, Producer, directory};
use crate::shard::clock::wall_us;
use crate::shard::world::{Mail, World};
use crossbeam_channel::{RecvTimeoutError, SendTimeoutError, bounded};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between two looks at whether the server stops.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long the sessions of a user may take to end, in looks.
const LOOKS_MAX: u32 = 400;
/// Nothing is erased then: what waits in memory may name the subject.
const LOG_IS_FULL: &str = "the log takes nothing, and what waits for it may name the subject";
/// The clock of a file system is never as coarse as this.
const COARSE_US: i64 = 3_000_000;
/// How long the log thread may take to close a segment.
const ROTATE_MAX: Duration = Duration::from_secs(30);

/// The job.
pub struct Keeper {
    root: PathBuf,
    world: Arc<World>,
    producer: Producer,
    policy: AckPolicy,
    keep: Keep,
    rooms: RoomSweep,
    /// Texts of today's age were forgotten by the shards.
    is_day_done: bool,
    /// When the demands last changed, if none of them is open.
    settled_us: Option<i64>,
    /// What was said last of a demand that cannot be met yet: it is said once.
    told: String,
}

impl Keeper {
    /// `producer` is the node's own: it writes what was done.
    pub fn new(world: &Arc<World>, producer: Producer, policy: AckPolicy) -> Self {
        let config = &world.config;
        Self {
            root: config.server.data.clone(),
            keep: keep(config),
            rooms: RoomSweep::new(room_keeps(config)),
            world: Arc::clone(world),
            producer,
            policy,
            is_day_done: false,
            settled_us: None,
            told: String::new(),
        }
    }

    fn erase_all(&mut self, seal: &SealContext) -> Result<(), LogError> {
        let Some(changed_us) = request::changed_us(&self.root)? else {
            return Ok(());
        };
        if self.settled_us == Some(changed_us) {
            return Ok(());
        }
        let Demands { requests, unreadable } = request::unsettled(&self.root)?;
        if let Some(path) = unreadable.first() {
            self.tell_once(seal, format!("{}: no demand for an erasure", path.display()));
        }
        // The file system's clock is coarse: a change of this moment may be followed by another.
        let is_past = wall_us().saturating_sub(changed_us) > COARSE_US;
        self.settled_us = (requests.is_empty() && is_past).then_some(changed_us);
        for mut request in requests {
            let root = self.root.clone();
            let ended = carry_out(&root, &mut request, &mut Server { keeper: self, seal });
            match ended {
                // It is found again; until then nobody comes back under the name.
                Err(EraseError::Stopped) => return Ok(()),
                Err(EraseError::Later(why)) => {
                    self.tell_once(seal, format!("erasure {:016x} waits: {why}", request.id));
                    return Ok(());
                }
                Err(EraseError::Log(error)) => return Err(error),
                Err(EraseError::Refused(why)) => {
                    seal.note(format!("erasure {:016x} is refused: {why}", request.id));
                }
                Ok(()) => seal.note(format!(
                    "erasure {:016x} is done: {} records in {} segments",
                    request.id, request.record_count, request.segment_count
                )),
            }
            assert!(matches!(request.stage, Stage::Done | Stage::Refused));
            self.tell_all(seal, || Mail::Forgotten);
        }
        Ok(())
    }

    fn tell_once(&mut self, seal: &SealContext, line: String) {
        if self.told != line {
            seal.note(line.clone());
            self.told = line;
        }
    }

    /// Once a day the shards forget old texts and the open segment is closed, so that nothing old
    /// hides in one that grows slowly. Then a few segments at each look.
    fn age_rooms(&mut self, seal: &SealContext) -> Result<(), LogError> {
        if self.rooms.begins_day(wall_us()) {
            self.is_day_done = false;
        }
        if self.rooms.is_idle() {
            return Ok(());
        }
        if !self.is_day_done {
            let what = Arc::new(forget_of(&self.rooms.target(), ""));
            if self.forget_everywhere(seal, &what).is_err() || !seal.rotate(ROTATE_MAX) {
                return Ok(());
            }
            self.is_day_done = true;
        }
        // The newest may be open; it has its turn on another day.
        let before = directory::newest_segment(seal.log_dir())?.unwrap_or(0);
        let swept = self.rooms.step(seal.log_dir(), before)?;
        if swept.damaged_count > 0 {
            let count = swept.damaged_count;
            seal.note(format!("log.keep_rooms: {count} damaged segments stay as they are"));
        }
        if swept.segment_count > 0 {
            let tombstone = EraseV1 {
                ts_us: wall_us(),
                id: wall_us() as u64,
                record_count: swept.record_count,
                by: "log.keep_rooms",
                subject: "",
                reason: "",
                segment_count: swept.segment_count,
                scope: EraseScope::Retention as u8,
            };
            // The log that takes nothing now has other troubles; what was done is noted.
            let _ = self.producer.append(NameId::NONE, NameId::NONE, &tombstone);
            self.producer.wake();
            seal.note(format!(
                "log.keep_rooms: {} texts of {} segments are gone",
                swept.record_count, swept.segment_count
            ));
        }
        Ok(())
    }

    fn sweep(&mut self, seal: &SealContext) -> Result<(), LogError> {
        let swept = sweep(seal.log_dir(), self.keep, wall_us())?;
        if swept.segment_count > 0 {
            seal.note(format!(
                "retention: {} segments are gone, {} MiB",
                swept.segment_count,
                swept.bytes >> 20
            ));
        }
        Ok(())
    }

    /// Goes through all shards until each has forgotten. Twice: while the first round is under way,
    /// a shard that still knows may tell one that has forgotten.
    fn forget_everywhere(&self, seal: &SealContext, what: &Arc<Forget>) -> Result<(), EraseError> {
        for _ in 0..2 {
            for shard in 0..self.world.mail.len() {
                let mut looks = 0;
                loop {
                    let why = match self.ask(seal, shard, what)? {
                        Forgetting::Done => break,
                        Forgetting::Rooms => continue,
                        Forgetting::Sessions => "sessions of the user do not end",
                        Forgetting::Unlogged => LOG_IS_FULL,
                    };
                    looks += 1;
                    if seal.is_stopping() {
                        return Err(EraseError::Stopped);
                    }
                    if looks > LOOKS_MAX {
                        return Err(EraseError::Later(why.to_owned()));
                    }
                    std::thread::sleep(PATIENCE);
                }
            }
        }
        Ok(())
    }

    fn ask(
        &self,
        seal: &SealContext,
        shard: usize,
        what: &Arc<Forget>,
    ) -> Result<Forgetting, EraseError> {
        let (answer, answers) = bounded(1);
        self.tell(seal, shard, Mail::Forget { what: Arc::clone(what), answer })?;
        loop {
            match answers.recv_timeout(PATIENCE) {
                Ok(forgetting) => return Ok(forgetting),
                Err(RecvTimeoutError::Timeout) if !seal.is_stopping() => {}
                Err(_) => return Err(EraseError::Stopped),
            }
        }
    }

    fn tell(&self, seal: &SealContext, shard: usize, mut mail: Mail) -> Result<(), EraseError> {
        loop {
            match self.world.mail[shard].send_timeout(mail, PATIENCE) {
                Ok(()) => break,
                Err(SendTimeoutError::Timeout(back)) if !seal.is_stopping() => mail = back,
                // A shard that has ended takes no mail.
                Err(_) => return Err(EraseError::Stopped),
            }
        }
        self.world.ring(shard);
        Ok(())
    }

    fn tell_all(&self, seal: &SealContext, mail: impl Fn() -> Mail) {
        for shard in 0..self.world.mail.len() {
            let _ = self.tell(seal, shard, mail());
        }
    }
}

impl Job for Keeper {
    fn name(&self) -> &'static str {
        "keeper"
    }

    fn start(&mut self, seal: &SealContext) -> Result<(), LogError> {
        remove_leftovers(seal.log_dir())?;
        let erased = self.erase_all(seal);
        self.sweep(seal).and(erased)
    }

    fn poll(&mut self, seal: &SealContext) -> Result<(), LogError> {
        // A full disk does not wait for the minute, nor for an erasure that wants room on it.
        let is_full = self.producer.state() == LogState::Full;
        let swept = if is_full { self.sweep(seal) } else { Ok(()) };
        let erased = self.erase_all(seal);
        let aged = self.age_rooms(seal);
        swept.and(erased).and(aged)
    }

    fn tick(&mut self, seal: &SealContext) -> Result<(), LogError> {
        request::remove_drafts(&self.root, wall_us());
        self.sweep(seal)
    }
}

/// The host of an erasure while the server runs.
struct Server<'a> {
    keeper: &'a mut Keeper,
    seal: &'a SealContext,
}

impl Host for Server<'_> {
    fn forget(&mut self, target: &Target, pseudonym: &str) -> Result<u64, EraseError> {
        if self.keeper.producer.state() == LogState::Full {
            return Err(EraseError::Later(LOG_IS_FULL.to_owned()));
        }
        let what = Arc::new(forget_of(target, pseudonym));
        self.keeper.forget_everywhere(self.seal, &what)?;
        if !self.seal.rotate(ROTATE_MAX) {
            let is_stopping = self.seal.is_stopping();
            let later = || EraseError::Later("the log does not close its segment".to_owned());
            return Err(if is_stopping { EraseError::Stopped } else { later() });
        }
        Ok(plan::sealed_before(self.seal.log_dir())?)
    }

    fn pass(&mut self, _: Step, _: &Request) -> Result<(), EraseError> {
        if self.seal.is_stopping() { Err(EraseError::Stopped) } else { Ok(()) }
    }

    fn bury(&mut self, tombstone: &EraseV1<'_>) -> Result<(), EraseError> {
        let producer = &mut self.keeper.producer;
        let appended = producer.append(NameId::NONE, NameId::NONE, tombstone);
        let later = |_| EraseError::Later("all is erased, and the log takes no record".to_owned());
        let position = appended.map_err(later)?;
        producer.wake();
        let kept = |producer: &Producer| match self.keeper.policy {
            AckPolicy::Fsync => producer.durable() >= position,
            AckPolicy::Os | AckPolicy::Memory => producer.committed() >= position,
        };
        while !kept(&self.keeper.producer) {
            if self.seal.is_stopping() {
                return Err(EraseError::Stopped);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn done(&mut self, _: &Target) {
        self.keeper.world.erasures.fetch_add(1, Ordering::Release);
    }

    fn now_us(&self) -> i64 {
        wall_us()
    }
}

/// The target as the domain knows it.
fn forget_of(target: &Target, pseudonym: &str) -> Forget {
    match target {
        Target::User { user } => Forget::User {
            user: user.as_str().into(),
            alias: target.renamed_user(user, pseudonym).expect("the subject itself").into(),
            contact: target.platform_id().map(Into::into),
        },
        Target::Room { room } => Forget::Room {
            room: room.as_str().into(),
            renamed: target.renamed_room(room, pseudonym).is_some(),
        },
        Target::Message { room, o } => {
            Forget::Message { room: room.as_str().into(), o: Offset(*o) }
        }
        Target::Aged { rules } => {
            let rule = |rule: &crate::log::erase::AgeRule| {
                (rule.rooms.as_str().into(), rule.before_us.div_euclid(1_000))
            };
            Forget::Aged { rules: rules.iter().map(rule).collect() }
        }
    }
}

fn keep(config: &Config) -> Keep {
    let log = &config.log;
    Keep { age_us: log.keep_days.map(|days| i64::from(days) * DAY_US), bytes: log.keep_bytes }
}

fn room_keeps(config: &Config) -> Vec<RoomKeep> {
    let keep = |rule: &crate::config::RoomKeep| RoomKeep {
        rooms: rule.rooms.clone(),
        age_us: i64::from(rule.days) * DAY_US,
    };
    config.log.keep_rooms.iter().map(keep).collect()
}
