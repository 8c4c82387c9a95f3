//! Programs of the operator that carry out commands: one process for each call, with its words on
//! standard input and its answer on standard output.
//!
//! ```text
//! shard ─ Job ─▶ bounded channel ─▶ ringpost-program-N: starts, feeds, reads, waits
//!   ▲                                        │ its own process group, limits, a deadline
//!   └──────────── outcome, by a callback ◀───┘
//! ```
//!
//! A program gets no environment but `PATH` and `RINGPOST_CALL`, starts in the folder of programs,
//! and may use so much memory and processor time, after the threads of the server. When its time is
//! over its whole process group is killed, and so it is when it has said more than it may.
//!
//! **Never:** a shell that sees what somebody typed; a name with a slash in it; more processes at a
//! time than threads.

mod process;

use crate::base::ids::ShardId;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Programs that run at a time.
const PROCESSES_MAX: usize = 8;
/// Calls that wait for one of these.
const QUEUE_MAX: usize = 256;

/// What a process may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// From when it is handed over to its end.
    pub time: Duration,
    /// Of addresses (RLIMIT_AS).
    pub memory_bytes: u64,
    /// On standard output.
    pub output_bytes: usize,
}

/// One call.
#[derive(Debug)]
pub struct Job {
    /// Who wants the outcome.
    pub shard: ShardId,
    /// To find the call again.
    pub ticket: u64,
    /// The file in the folder.
    pub program: Arc<str>,
    /// For its standard input.
    pub input: Box<str>,
    /// What it may use.
    pub allowance: Allowance,
}

/// What it wrote on standard output; or, in a line for people, why it is of no use.
pub type Outcome = Result<Vec<u8>, String>;

/// Calls, each with when it was handed over.
type Queued = (Instant, Job);

/// Gives calls to the threads.
#[derive(Clone, Debug)]
pub struct Programs(Sender<Queued>);

/// Where the threads take calls from.
#[derive(Clone, Debug)]
pub struct Jobs(Receiver<Queued>);

impl Programs {
    /// Hands a call over, or gives it back. Never waits.
    pub fn try_run(&self, job: Job) -> Result<(), Box<Job>> {
        self.0.try_send((Instant::now(), job)).map_err(|error| match error {
            TrySendError::Full((_, job)) | TrySendError::Disconnected((_, job)) => Box::new(job),
        })
    }
}

/// Both ends of a channel of calls: those who call have theirs before the threads run.
pub fn channel() -> (Programs, Jobs) {
    let (sender, jobs) = bounded(QUEUE_MAX);
    (Programs(sender), Jobs(jobs))
}

/// Starts the threads, which end with the senders. `reply` is called once for each call.
pub fn start(
    folder: &Path,
    jobs: &Jobs,
    reply: impl Fn(ShardId, u64, Outcome) + Clone + Send + 'static,
) -> io::Result<()> {
    for number in 0..PROCESSES_MAX {
        let (folder, Jobs(jobs), reply) = (folder.to_owned(), jobs.clone(), reply.clone());
        let thread = std::thread::Builder::new().name(format!("ringpost-program-{number}"));
        thread.spawn(move || {
            for (since, job) in jobs {
                let (shard, ticket) = (job.shard, job.ticket);
                reply(shard, ticket, carry_out(&folder, &job, since.elapsed()));
            }
        })?;
    }
    Ok(())
}

/// Runs one program, here and now.
pub fn call(path: &Path, input: &str, allowance: &Allowance) -> Outcome {
    process::run(path, &[], input, allowance)
}

/// Runs the program of a call that has waited for so long. Nobody waits any more for one whose time
/// is over, and it would keep others waiting.
fn carry_out(folder: &Path, job: &Job, waited: Duration) -> Outcome {
    let time = job.allowance.time.saturating_sub(waited);
    if time.is_zero() {
        return Err("it did not get its turn in time".to_owned());
    }
    let allowance = Allowance { time, ..job.allowance };
    match path(folder, &job.program) {
        Some(path) => process::run(&path, &[], &job.input, &allowance),
        None => Err(format!("{:?} is no name of a program", job.program)),
    }
}

/// Asks a program what it is: what it prints for `--describe`.
pub fn describe(path: &Path) -> Outcome {
    let allowance =
        Allowance { time: Duration::from_secs(5), memory_bytes: 1 << 30, output_bytes: 32 << 10 };
    process::run(path, &["--describe"], "", &allowance)
}

/// A plain name within the folder.
fn path(folder: &Path, program: &str) -> Option<PathBuf> {
    let is_plain = !program.is_empty() && !program.starts_with('.') && !program.contains('/');
    is_plain.then(|| folder.join(program))
}
