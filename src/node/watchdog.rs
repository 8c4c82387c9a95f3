//! A shard that stopped turning is found here, however it came to that.

use super::error::NodeError;
use crate::log::{LogHandle, LogState};
use crate::metrics::INTAKE;
use crate::net::RESCUE_SIGNAL;
use crate::shard::world::{ENDED_BEAT, World};
use signal_hook::consts::SIGTERM;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the shards are looked at.
const LOOK_MS: u64 = 250;
/// Looks without a turn before the process is given up. Counted by this thread's own waking, so a
/// suspended machine or a stopped process does not look like a frozen shard.
const STRIKES_MAX: u32 = 80;

/// Looks without a turn before a shard is woken by force: it turns ten times a second at least.
const STRIKES_RESCUE: u32 = 4;

/// Watches the heartbeats and the log. A supervisor restarts what this ends; the log has every
/// acked message.
pub fn start(world: Arc<World>, log: LogHandle) -> Result<(), NodeError> {
    // Nobody looks at the flag: the signal is there to interrupt a system call.
    signal_hook::flag::register(RESCUE_SIGNAL, Arc::default()).map_err(NodeError::Signals)?;
    let watch = move || {
        let mut told = false;
        let mut said = Said::default();
        let mut seen: Vec<(u64, u32)> = vec![(0, 0); world.heartbeats.len()];
        loop {
            std::thread::sleep(Duration::from_millis(LOOK_MS));
            tell(&log);
            said.news(&log);
            said.refusals(INTAKE.refused());
            // Only a restart helps, and members must not go on keeping what the log lacks.
            if log.state() == LogState::Failed && !std::mem::replace(&mut told, true) {
                eprintln!("error: the log failed; stopping");
                let _ = signal_hook::low_level::raise(SIGTERM);
            }
            for (index, (beat, (last, strikes))) in
                world.heartbeats.iter().zip(&mut seen).enumerate()
            {
                let beat = beat.load(Ordering::Relaxed);
                let still = beat == *last && beat != ENDED_BEAT;
                *strikes = if still { *strikes + 1 } else { 0 };
                *last = beat;
                if *strikes == STRIKES_RESCUE {
                    let place = world.bells.get().map(|bells| bells[index].describe());
                    let place = place.unwrap_or_default();
                    eprintln!("warning: shard {index} sleeps for too long and is woken: {place}");
                    world.rescues.fetch_add(1, Ordering::Relaxed);
                    world.rescue(index);
                }
                // Also while the server stops, which would wait for that shard for ever.
                if *strikes == STRIKES_MAX {
                    let seconds = u64::from(STRIKES_MAX) * LOOK_MS / 1_000;
                    eprintln!("error: shard {index} has not turned for {seconds} seconds");
                    tell_threads();
                    std::process::abort();
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("ringpost-watch".to_owned())
        .spawn(watch)
        .map(|_| ())
        .map_err(NodeError::Thread)
}

/// Prints what every thread does, as the system sees it: one that waits for the disk (state `D`)
/// wants another remedy than one that turns in a circle (`R`) or waits for a lock (`S`).
fn tell_threads() {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return };
    for task in tasks.flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let (name, stat, place) = (read("comm"), read("stat"), read("wchan"));
        // The name stands in parentheses and may hold any character.
        let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        let (name, state) = (name.trim_end(), state.unwrap_or('?'));
        eprintln!("error: thread {name}: state {state}, in {place}");
    }
}

/// Prints what the threads of the log had to say.
pub fn tell(log: &LogHandle) {
    log.take_notes().iter().for_each(|note| eprintln!("warning: log: {note}"));
}

/// What was said of the log last, so that each change is said once.
#[derive(Default)]
struct Said {
    is_low: bool,
    is_refusing: bool,
    /// Webhooks refused by the time they were last spoken of.
    refused: u64,
    /// Looks until they may be spoken of again.
    refused_pause: u32,
}

/// Looks between two lines about refused webhooks: whoever sends them does not fill the disk.
const REFUSED_PAUSE: u32 = 40;

impl Said {
    fn refusals(&mut self, refused: u64) {
        self.refused_pause = self.refused_pause.saturating_sub(1);
        let news = refused - self.refused;
        if news > 0 && self.refused_pause == 0 {
            eprintln!(
                "warning: webhooks: {news} without a valid signature refused; if the platform \
                 sent them, see `whatsapp.app_secret`"
            );
            (self.refused, self.refused_pause) = (refused, REFUSED_PAUSE);
        }
    }

    fn news(&mut self, log: &LogHandle) {
        let is_low = log.is_low();
        if is_low && !std::mem::replace(&mut self.is_low, is_low) {
            eprintln!("warning: log: the disk has no room for another segment");
        }
        self.is_low = is_low;
        let is_refusing = matches!(log.state(), LogState::Full | LogState::Faulty);
        if is_refusing != std::mem::replace(&mut self.is_refusing, is_refusing) {
            let what = if is_refusing { "refuses messages" } else { "takes messages again" };
            eprintln!("warning: log: it {what}");
        }
    }
}
