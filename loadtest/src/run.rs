//! One run: threads, the common start, readings at both ends of the measured time, the report.

use crate::cli::Options;
use crate::driver::gate::{Gate, Schedule};
use crate::driver::target::Target;
use crate::driver::{Client, DriverOptions, Failure, drive, sys};
use crate::process::{self, Usage};
use crate::report::{Report, ServerUse};
use crate::scenarios::{Outcome, Player, Share};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Descriptors of the process beside the connections.
const DESCRIPTORS_OWN: u64 = 64;
/// How often the main thread looks at the clock.
const TICK: Duration = Duration::from_millis(2);
/// How often the progress line is written.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// What is read at one end of the measured time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Duration,
    sent: u64,
    received: u64,
    server: Option<Usage>,
    client_cpu: Duration,
}

impl Reading {
    fn take(gate: &Gate, epoch: Instant, server_pid: Option<u32>) -> Self {
        Self {
            at: epoch.elapsed(),
            sent: gate.sent.load(Ordering::Relaxed),
            received: gate.received.load(Ordering::Relaxed),
            server: server_pid.and_then(process::usage),
            client_cpu: sys::own_cpu(),
        }
    }
}

/// Carries out what was asked for.
///
/// # Errors
/// When the load could not be put on the server at all.
pub fn run(options: &Options) -> Result<Report, Failure> {
    let target = Target::resolve(&options.target, (options.scenario.path)(&options.settings))?;
    if let Some(pid) = options.server_pid
        && process::usage(pid).is_none()
    {
        return Err(Failure::new(format!("--server-pid {pid}: there is no such process")));
    }
    let nanos = |time: Duration| time.as_nanos() as u64;
    let gate = Gate::new(options.threads, nanos(options.warmup), nanos(options.duration));
    let gate = Arc::new(gate);
    let shares = (0..options.threads).map(|index| Share { index, count: options.threads });
    let mut players: Vec<_> = shares
        .map(|share| (options.scenario.share)(&options.settings, share, gate.clone()))
        .collect();
    let wanted = players.iter().map(|player| player.connection_count() as u64).sum::<u64>();
    let limit = sys::raise_descriptor_limit();
    if wanted + DESCRIPTORS_OWN > limit {
        let what = format!("{wanted} connections need more than the {limit} open files allowed");
        return Err(Failure::new(what).hint("`ulimit -n 1048576`, or fewer connections"));
    }
    let epoch = Instant::now();
    let readings = thread::scope(|scope| {
        let mut handles = Vec::new();
        for (index, player) in players.iter_mut().enumerate() {
            let (gate, target) = (&*gate, &target);
            let body = move || drive_pinned(options, target, epoch, index, gate, &mut **player);
            handles.push(scope.spawn(body));
        }
        let readings = watch(options, &gate, epoch, wanted, &handles);
        for handle in handles {
            handle.join().expect("a driving thread panicked")?;
        }
        Ok(readings)
    })?;
    let Some([begin, end]) = readings else {
        return Err(Failure::new("the run ended before its time was over"));
    };
    let mut outcome = Outcome::default();
    for player in &mut players {
        outcome.merge(player.outcome());
    }
    Ok(report(options, outcome, begin, end))
}

fn drive_pinned(
    options: &Options,
    target: &Target,
    epoch: Instant,
    index: usize,
    gate: &Gate,
    player: &mut dyn Player,
) -> Result<(), Failure> {
    if !options.cpus.is_empty() {
        let cpu = options.cpus[index % options.cpus.len()];
        if let Err(error) = sys::pin(cpu) {
            gate.abort();
            return Err(Failure::new(format!("cannot pin a thread to cpu {cpu}: {error}")));
        }
    }
    let seed = options.settings.seed.wrapping_mul(0x9e37_79b9).wrapping_add(index as u64 + 1);
    let protocol = (options.scenario.protocol)(&options.settings);
    drive(options.client, DriverOptions { target, protocol, epoch, seed }, gate, player)
}

/// Reads both ends of the measured time, with a line of progress meanwhile. `None` when the threads
/// ended before.
fn watch(
    options: &Options,
    gate: &Gate,
    epoch: Instant,
    wanted: u64,
    handles: &[ScopedJoinHandle<'_, Result<(), Failure>>],
) -> Option<[Reading; 2]> {
    let mut progress = Progress::new();
    let (mut begin, mut end) = (None, None);
    while !handles.iter().all(ScopedJoinHandle::is_finished) {
        thread::sleep(TICK);
        let now = epoch.elapsed().as_nanos() as u64;
        let reading = || Reading::take(gate, epoch, options.server_pid);
        if let Some(schedule) = gate.schedule() {
            if begin.is_none() && now >= schedule.measure {
                begin = Some(reading());
            }
            if end.is_none() && now >= schedule.stop {
                end = Some(reading());
            }
        }
        progress.show(gate, wanted, gate.schedule(), now);
    }
    progress.clear();
    Some([begin?, end?])
}

/// The line on a terminal's standard error that tells how far the run is.
struct Progress {
    terminal: bool,
    shown_at: Instant,
    received: u64,
}

impl Progress {
    fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { terminal, shown_at: Instant::now(), received: 0 }
    }

    fn show(&mut self, gate: &Gate, wanted: u64, schedule: Option<Schedule>, now: u64) {
        let since = self.shown_at.elapsed();
        if !self.terminal || since < PROGRESS_EVERY {
            return;
        }
        let received = gate.received.load(Ordering::Relaxed);
        let rate = (received - self.received) as f64 / since.as_secs_f64();
        let line = match schedule {
            None => format!("{} of {wanted} connections", gate.opened.load(Ordering::Relaxed)),
            Some(schedule) if now < schedule.measure => format!("warm-up, {rate:.0} msg/s"),
            Some(schedule) if now < schedule.stop => {
                format!(
                    "{} s to go, {rate:.0} msg/s",
                    (schedule.stop - now).div_ceil(1_000_000_000)
                )
            }
            Some(_) => "waiting for the rest, checking".to_string(),
        };
        // A terminal that went away is no reason to stop measuring.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        self.shown_at = Instant::now();
        self.received = received;
    }

    fn clear(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn report(options: &Options, outcome: Outcome, begin: Reading, end: Reading) -> Report {
    let server = begin.server.zip(end.server).map(|(begin, end)| ServerUse {
        cpu: end.cpu.saturating_sub(begin.cpu),
        rss_bytes: end.rss_bytes,
    });
    let mut outcome = outcome;
    if options.server_pid.is_some() && server.is_none() {
        outcome.broken += 1;
        outcome.find(|| "the server process ended during the run".into());
    }
    Report {
        scenario: options.scenario.name,
        description: (options.scenario.describe)(&options.settings),
        // What was measured, not what was asked for: the readings may be a little late.
        duration: (end.at - begin.at).max(Duration::from_millis(1)),
        warmup: options.warmup,
        seed: options.settings.seed,
        outcome,
        sent: end.sent - begin.sent,
        received: end.received - begin.received,
        server,
        client_cpu: end.client_cpu.saturating_sub(begin.client_cpu),
        threads: options.threads,
        client: match options.client {
            Client::Thin => "thin",
            Client::Tungstenite => "tungstenite",
        },
        expectations: options.expectations.clone(),
    }
}
