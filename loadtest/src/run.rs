//! One run: threads, the common start, readings at both ends of the measured time, the report.

use crate::cli::{Contestant, Options};
use crate::compare::Column;
use crate::driver::gate::{Gate, Schedule};
use crate::driver::target::Target;
use crate::driver::{Client, DriverOptions, Failure, drive, sys};
use crate::process::{self, Memory, Usage};
use crate::report::{Report, Sample, ServerUse};
use crate::scenarios::{Outcome, Player, Settings, Share};
use std::fmt::Write as _;
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

/// Samples of the rate in a run, at most; not more often than the second.
const SAMPLES_MAX: u32 = 200;
const SAMPLE_EVERY_MIN: Duration = Duration::from_millis(100);
/// Readings of the server's memory in a run, and the time between two of them at most.
const MEMORY_SAMPLES: u32 = 50;
const MEMORY_EVERY_MAX: Duration = Duration::from_secs(10);

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
    if options.scenario.name == "soak" && options.server_pid.is_none() {
        let failure = Failure::new("soak watches the server's memory");
        return Err(failure.hint("name its process by `--server-pid`"));
    }
    let nanos = |time: Duration| time.as_nanos() as u64;
    let gate = Gate::new(options.threads, nanos(options.warmup), nanos(options.duration));
    let gate = Arc::new(gate);
    let shares = (0..options.threads).map(|index| Share { index, count: options.threads });
    let settings = Settings {
        target: options.target.clone(),
        server_pid: options.server_pid,
        ..options.settings.clone()
    };
    let mut players: Vec<_> =
        shares.map(|share| (options.scenario.share)(&settings, share, gate.clone())).collect();
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
    let Some(Readings { begin, end, samples, memory }) = readings else {
        return Err(Failure::new("the run ended before its time was over"));
    };
    let mut outcome = Outcome::default();
    for player in &mut players {
        outcome.merge(player.outcome());
    }
    Ok(Report { samples, memory, ..report(options, outcome, begin, end) })
}

/// Runs the same against several targets, interleaved: each turn begins with another one, so that
/// what disturbs the machine for a while disturbs all.
///
/// # Errors
/// When the load could not be put on one of them, whose name is in the words.
pub fn compare(contestants: &[Contestant], turns: usize) -> Result<Vec<Column>, Failure> {
    assert!(!contestants.is_empty());
    let mut columns: Vec<Column> = contestants
        .iter()
        .map(|Contestant { name, options }| Column {
            name: name.clone(),
            target: options.target.clone(),
            reports: Vec::new(),
        })
        .collect();
    let terminal = std::io::stderr().is_terminal();
    for turn in 0..turns {
        for step in 0..contestants.len() {
            let index = (turn + step) % contestants.len();
            let Contestant { name, options } = &contestants[index];
            if terminal {
                eprintln!("turn {} of {turns}: {name}", turn + 1);
            }
            let mut options = options.clone();
            // A server that remembers message ids must not take a turn for a repetition.
            write!(options.settings.tag, "{turn}x{index}").expect("memory takes it");
            let report = run(&options).map_err(|failure| Failure {
                what: format!("{name}: {}", failure.what),
                ..failure
            })?;
            columns[index].reports.push(report);
        }
    }
    Ok(columns)
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
) -> Option<Readings> {
    let mut progress = Progress::new();
    let mut sampler = Sampler::new(options.duration);
    let (mut begin, mut end) = (None, None);
    let mut memory = Memory::default();
    let every = (options.duration / MEMORY_SAMPLES).min(MEMORY_EVERY_MAX);
    while !handles.iter().all(ScopedJoinHandle::is_finished) {
        thread::sleep(TICK);
        let now = epoch.elapsed().as_nanos() as u64;
        let reading = || Reading::take(gate, epoch, options.server_pid);
        if let Some(schedule) = gate.schedule() {
            if begin.is_none() && now >= schedule.measure {
                begin = Some(reading());
            }
            if let Some(begin) = begin.filter(|_| end.is_none()) {
                sampler.look(&begin, epoch.elapsed(), gate.received.load(Ordering::Relaxed));
            }
            if end.is_none() && now >= schedule.stop {
                end = Some(reading());
            }
            let since = Duration::from_nanos(now.saturating_sub(schedule.measure));
            let due = every * memory.samples.len() as u32;
            if let (Some(_), None, Some(pid)) = (&begin, &end, options.server_pid)
                && since >= due
                && let Some(usage) = process::usage(pid)
            {
                memory.samples.push((since, usage.rss_bytes));
            }
        }
        progress.show(gate, wanted, gate.schedule(), now);
    }
    progress.clear();
    Some(Readings { begin: begin?, end: end?, samples: sampler.samples, memory })
}

/// What was read in one run.
struct Readings {
    begin: Reading,
    end: Reading,
    samples: Vec<Sample>,
    memory: Memory,
}

/// Follows the rate through the measured time.
struct Sampler {
    every: Duration,
    /// When the last sample was taken, and how many messages there were.
    last: Option<(Duration, u64)>,
    samples: Vec<Sample>,
}

impl Sampler {
    fn new(duration: Duration) -> Self {
        let every = (duration / SAMPLES_MAX).max(SAMPLE_EVERY_MIN);
        Self { every, last: None, samples: Vec::new() }
    }

    fn look(&mut self, begin: &Reading, now: Duration, received: u64) {
        let (at, before) = *self.last.get_or_insert((begin.at, begin.received));
        let since = now.saturating_sub(at);
        if since >= self.every {
            let received_per_s = (received - before) as f64 / since.as_secs_f64();
            self.samples.push(Sample { at: now - begin.at, received_per_s });
            self.last = Some((now, received));
        }
    }
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
        samples: Vec::new(),
        server,
        memory: Memory::default(),
        client_cpu: end.client_cpu.saturating_sub(begin.client_cpu),
        threads: options.threads,
        client: match options.client {
            Client::Thin => "thin",
            Client::Tungstenite => "tungstenite",
        },
        expectations: options.expectations.clone(),
    }
}
