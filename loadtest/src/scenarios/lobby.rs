//! From a thread's first connection to its first message: all of its sessions come in, then the
//! gate opens for all threads at once.

use crate::driver::gate::{Gate, Schedule};
use crate::driver::{Failure, Nanos, Wake};
use std::sync::Arc;

/// Sessions that make no progress for this long while they come in end the run.
const JOIN_PATIENCE_NS: Nanos = 15_000_000_000;
/// How often to look at the gate.
const TICK_NS: Nanos = 2_000_000;
/// How often to look at the patience: whoever comes in causes a turn.
const JOIN_TICK_NS: Nanos = 100_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Joining,
    Waiting,
    Running(Schedule),
}

/// What a turn is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Nothing yet: the next turn is wanted then.
    Wait(Wake),
    /// The first turn of the schedule.
    Begin(Schedule),
    /// A later one.
    Run(Schedule),
}

/// Where a thread's sessions wait for each other, and the thread for the others.
#[derive(Debug)]
pub struct Lobby {
    gate: Arc<Gate>,
    /// What the target should speak: for the hint when the sessions cannot come in.
    protocol: &'static str,
    phase: Phase,
    ready_count: usize,
    progress_at: Nanos,
}

impl Lobby {
    /// An empty lobby before this gate.
    pub fn new(gate: Arc<Gate>, protocol: &'static str) -> Self {
        Self { gate, protocol, phase: Phase::Joining, ready_count: 0, progress_at: 0 }
    }

    /// Something came of one that is on the way in.
    pub fn progress(&mut self, now: Nanos) {
        self.progress_at = now;
    }

    /// One more is in; each says so once.
    pub fn ready(&mut self, now: Nanos) {
        self.ready_count += 1;
        self.progress_at = now;
    }

    /// How many are in.
    pub fn ready_count(&self) -> usize {
        self.ready_count
    }

    /// Whether some are still on the way in.
    pub fn is_joining(&self) -> bool {
        self.phase == Phase::Joining
    }

    /// The schedule, once this thread has begun it.
    pub fn running(&self) -> Option<Schedule> {
        match self.phase {
            Phase::Running(schedule) => Some(schedule),
            Phase::Joining | Phase::Waiting => None,
        }
    }

    /// Waits on, until the next turn at the latest.
    ///
    /// # Errors
    /// When for long none of those that are missing has come nearer.
    pub fn patience(&self, all: usize, now: Nanos) -> Result<Wake, Failure> {
        if now <= self.progress_at + JOIN_PATIENCE_NS {
            return Ok(Wake::At(now + JOIN_TICK_NS));
        }
        let ready = self.ready_count;
        let what = format!("only {ready} of {all} sessions could enter their rooms");
        Err(Failure::new(what).hint(format!("does the target speak {}?", self.protocol)))
    }

    /// Tells what a turn is for when `all` sessions have to come in.
    ///
    /// # Errors
    /// That of [`Self::patience`].
    pub fn turn(&mut self, all: usize, now: Nanos) -> Result<Turn, Failure> {
        match self.phase {
            Phase::Joining => {
                if self.ready_count < all {
                    return self.patience(all, now).map(Turn::Wait);
                }
                self.phase = Phase::Waiting;
                self.gate.arrive(now);
                Ok(Turn::Wait(Wake::At(now + TICK_NS)))
            }
            Phase::Waiting => match self.gate.begun(now) {
                Some(schedule) => {
                    self.phase = Phase::Running(schedule);
                    Ok(Turn::Begin(schedule))
                }
                None => Ok(Turn::Wait(Wake::At(now + TICK_NS))),
            },
            Phase::Running(schedule) => Ok(Turn::Run(schedule)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_come_in_then_the_gate_opens_then_it_runs() {
        let gate = Arc::new(Gate::new(1, 0, 1_000));
        let mut lobby = Lobby::new(gate.clone(), "the protocol");
        assert_eq!(lobby.turn(2, 5), Ok(Turn::Wait(Wake::At(5 + JOIN_TICK_NS))));
        lobby.ready(10);
        lobby.ready(20);
        assert!(lobby.is_joining());
        assert!(matches!(lobby.turn(2, 30), Ok(Turn::Wait(_))));
        let schedule = gate.schedule().expect("all are in");
        assert_eq!(lobby.turn(2, 40), Ok(Turn::Wait(Wake::At(40 + TICK_NS))));
        assert_eq!((lobby.is_joining(), lobby.running()), (false, None));
        assert_eq!(lobby.turn(2, schedule.start), Ok(Turn::Begin(schedule)));
        assert_eq!(lobby.turn(2, schedule.start + 1), Ok(Turn::Run(schedule)));
        assert_eq!(lobby.running(), Some(schedule));
    }

    #[test]
    fn patience_is_counted_from_the_last_progress() {
        let mut lobby = Lobby::new(Arc::new(Gate::new(1, 0, 1_000)), "the protocol");
        lobby.ready(7);
        assert!(lobby.turn(2, 7 + JOIN_PATIENCE_NS).is_ok());
        lobby.progress(9);
        assert!(lobby.turn(2, 9 + JOIN_PATIENCE_NS).is_ok());
        let failure = lobby.turn(2, 10 + JOIN_PATIENCE_NS).expect_err("nobody came");
        assert_eq!(failure.what, "only 1 of 2 sessions could enter their rooms");
        assert_eq!(failure.hint.as_deref(), Some("does the target speak the protocol?"));
    }
}
