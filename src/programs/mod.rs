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
//! and may use so much memory and processor time. When its time is over its whole process group is
//! killed, and so it is when it has said more than it may.
//!
//! **Never:** a shell that sees what somebody typed; a name with a slash in it; more processes at a
//! time than threads.

mod process;

use crate::base::ids::ShardId;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Programs that run at a time.
const PROCESSES_MAX: usize = 8;
/// Calls that wait for one of these.
const QUEUE_MAX: usize = 256;

/// What a process may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// From its start to its end.
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

/// Gives calls to the threads.
#[derive(Clone, Debug)]
pub struct Programs(Sender<Job>);

impl Programs {
    /// Hands a call over, or gives it back. Never waits.
    pub fn try_run(&self, job: Job) -> Result<(), Box<Job>> {
        self.0.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => Box::new(job),
        })
    }
}

/// Both ends of a channel of calls: those who call have theirs before the threads run.
pub fn channel() -> (Programs, Receiver<Job>) {
    let (sender, jobs) = bounded(QUEUE_MAX);
    (Programs(sender), jobs)
}

/// Starts the threads, which end with the senders. `reply` is called once for each call.
pub fn start(
    folder: &Path,
    jobs: &Receiver<Job>,
    reply: impl Fn(ShardId, u64, Outcome) + Clone + Send + 'static,
) -> io::Result<()> {
    for number in 0..PROCESSES_MAX {
        let (folder, jobs, reply) = (folder.to_owned(), jobs.clone(), reply.clone());
        let thread = std::thread::Builder::new().name(format!("ringpost-program-{number}"));
        thread.spawn(move || {
            for job in jobs {
                let Job { shard, ticket, program, input, allowance } = job;
                let outcome = match path(&folder, &program) {
                    Some(path) => process::run(&path, &[], &input, &allowance),
                    None => Err(format!("{program:?} is no name of a program")),
                };
                reply(shard, ticket, outcome);
            }
        })?;
    }
    Ok(())
}

/// Runs one program, here and now.
pub fn call(path: &Path, input: &str, allowance: &Allowance) -> Outcome {
    process::run(path, &[], input, allowance)
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
