//! What a seed decides before the first step.

use super::prng::Rng;

/// When a sender is told "safe".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// When the record is in the shard's ring.
    Memory,
    /// When the kernel has it.
    Os,
    /// When the disk has it.
    Fsync,
}

/// A bug on purpose: the simulator must find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    /// None.
    Nothing,
    /// Acknowledge at the append instead of behind the log.
    Barrier,
    /// Give a slot's next tenant the generation of the last one.
    Generation,
}

/// The world of one seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// See [`Plant`].
    pub plant: Plant,
    /// Shards, 1 to 4.
    pub shard_count: u16,
    /// Clients, more than users.
    pub client_count: usize,
    /// Users.
    pub user_count: usize,
    /// Rooms.
    pub rooms: Vec<String>,
    /// See [`Policy`].
    pub policy: Policy,
    /// Deliver only what is durable.
    pub fanout_durable: bool,
    /// Rate limits are on.
    pub rates: bool,
    /// Sessions of one user.
    pub sessions_per_user_max: usize,
    /// Texts of up to 32 KiB, so that memory ends early and the log is asked.
    pub big_texts: bool,
    /// Events that room-0 has before the first step: more than its owner keeps in memory.
    pub past_count: u64,
    /// Readers are behind after a few frames already.
    pub narrow: bool,
    /// The archive does not find everything.
    pub archive_holes: bool,
    /// Percent of steps in which a crash is possible, in tenths.
    pub crash_permille: usize,
    /// The wall clock jumps.
    pub wall_jumps: bool,
    /// The log fills up or fails now and then.
    pub log_faults: bool,
    /// Steps before everything settles.
    pub step_count: u64,
    /// A start reads a snapshot and what is behind it.
    pub snapshots: bool,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(rng: &mut Rng, plant: Plant) -> Self {
        let policy = match plant {
            Plant::Barrier => Policy::Fsync,
            _ => rng.pick(&[Policy::Memory, Policy::Os, Policy::Fsync, Policy::Fsync]),
        };
        let user_count = rng.range(2, 4);
        let room_count = rng.range(1, 4);
        Self {
            plant,
            shard_count: rng.range(1, 4) as u16,
            client_count: user_count + rng.below(4),
            user_count,
            rooms: (0..room_count).map(|n| format!("room-{n}")).collect(),
            policy,
            fanout_durable: rng.chance(30),
            rates: rng.chance(15),
            sessions_per_user_max: if rng.chance(10) { 2 } else { 10 },
            big_texts: rng.chance(10),
            past_count: match rng.below(100) {
                0..12 => rng.range(500, 900) as u64,
                12..20 => rng.range(20, 60) as u64,
                _ => 0,
            },
            narrow: rng.chance(40),
            archive_holes: rng.chance(10),
            crash_permille: rng.pick(&[0, 4, 4, 12]),
            wall_jumps: rng.chance(20),
            log_faults: rng.chance(20),
            step_count: rng.range(200, 400) as u64,
            snapshots: rng.chance(50),
        }
    }

    /// The policy as clients are told.
    pub fn ack(&self) -> &'static str {
        match self.policy {
            Policy::Memory => "memory",
            Policy::Os => "os",
            Policy::Fsync => "fsync",
        }
    }
}
