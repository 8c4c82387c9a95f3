//! One process from its start to its end.

use super::{Allowance, Outcome};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, Signal, kill_process_group, setpriority_process};
use rustix::time::Timespec;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What is kept of standard error, for the operator.
const COMPLAINT_BYTES: usize = 4 << 10;
/// What it may write there in all: reading more would only keep a processor busy.
const COMPLAINTS_BYTES_MAX: usize = 1 << 20;
/// How often a process is looked at that has closed its output and goes on.
const LOOK: Duration = Duration::from_millis(2);
/// Files that a process may have open; the largest file it may write.
const FILES_MAX: u64 = 64;
/// In blocks of 512 bytes: 64 MiB.
const FILE_BLOCKS_MAX: u64 = (64 << 20) / 512;
/// Sets limits and becomes the program. Nothing that it is told is looked at by it.
const SHELL: &str = "/bin/sh";
/// A tenth of what a thread of the server gets where both want a processor: a program that computes
/// shall not keep the server waiting, and yet come to its end on a machine that others keep busy.
const NICE: i32 = 10;
/// How a shell ends that found nothing to become (POSIX, 2.8.2).
const NOT_FOUND: i32 = 127;

/// Runs a program, and kills whatever of it is left.
pub(super) fn run(path: &Path, args: &[&str], input: &str, allowance: &Allowance) -> Outcome {
    let deadline = Instant::now() + allowance.time;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut command = Command::new(SHELL);
    command
        .args(["-c", &limits(allowance)])
        .arg(path)
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().map_err(|error| format!("{SHELL} cannot be run: {error}"))?;
    let pid = Pid::from_child(&child);
    // Before it has become the program, as a rule, and started anything that would not have it too.
    // One that has ended needs none.
    let _ = setpriority_process(Some(pid), NICE);
    let said = converse(&mut child, input, allowance, deadline);
    let ended = match said {
        Ok(said) => wait(&mut child, deadline).map(|status| (said, status)),
        Err(why) => Err(why),
    };
    // What it has started goes too; a group that is empty by now is none.
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = child.wait();
    let (Said { output, complaint }, status) = ended?;
    if status.success() {
        return Ok(output);
    }
    if status.code() == Some(NOT_FOUND) {
        return Err("there is no such program, or its interpreter".to_owned());
    }
    let words = String::from_utf8_lossy(&complaint);
    let last = words.lines().map(str::trim).rfind(|line| !line.is_empty());
    Err(format!(
        "it ended with {}{}",
        how(status),
        last.map_or(String::new(), |line| format!(": {line}"))
    ))
}

/// What the shell does before it becomes the program: so nothing the program starts has more.
fn limits(allowance: &Allowance) -> String {
    let (memory_kb, seconds) = (allowance.memory_bytes >> 10, allowance.time.as_secs() + 1);
    format!(
        "ulimit -v {memory_kb} && ulimit -t {seconds} && ulimit -n {FILES_MAX} && \
         ulimit -f {FILE_BLOCKS_MAX} && ulimit -c 0 && exec \"$0\" \"$@\""
    )
}

/// What a process has written.
#[derive(Debug, Default)]
struct Said {
    output: Vec<u8>,
    complaint: Vec<u8>,
}

/// Feeds it and listens to it until it has closed its outputs.
fn converse(
    child: &mut Child,
    input: &str,
    allowance: &Allowance,
    deadline: Instant,
) -> Result<Said, String> {
    let broken = |error: &dyn std::fmt::Display| format!("its pipes: {error}");
    let mut stdin = child.stdin.take();
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    for fd in [stdin.as_ref().map(AsFd::as_fd), stdout.as_ref().map(AsFd::as_fd)] {
        fd.map_or(Ok(()), |fd| ioctl_fionbio(fd, true)).map_err(|error| broken(&error))?;
    }
    stderr.as_ref().map_or(Ok(()), |fd| ioctl_fionbio(fd, true)).map_err(|e| broken(&e))?;
    let (mut said, mut rest, mut complained) = (Said::default(), input.as_bytes(), 0);
    while stdout.is_some() || stderr.is_some() {
        if rest.is_empty() {
            stdin = None;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late(allowance));
        }
        wait_for(&stdin, &stdout, &stderr, left).map_err(|error| broken(&error))?;
        if let Some(pipe) = &mut stdin {
            match pipe.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                // It does not want to know more.
                Err(_) => rest = &[],
            }
        }
        let most = allowance.output_bytes;
        drain(&mut stdout, &mut said.output, most + 1).map_err(|error| broken(&error))?;
        let count = drain(&mut stderr, &mut said.complaint, COMPLAINT_BYTES);
        complained += count.map_err(|error| broken(&error))?;
        if said.output.len() > most {
            return Err(format!("it said more than {most} bytes"));
        }
        if complained > COMPLAINTS_BYTES_MAX {
            return Err(format!("it complained in more than {COMPLAINTS_BYTES_MAX} bytes"));
        }
    }
    Ok(said)
}

fn wait_for(
    stdin: &Option<impl AsFd>,
    stdout: &Option<impl AsFd>,
    stderr: &Option<impl AsFd>,
    left: Duration,
) -> Result<(), Errno> {
    let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(3);
    fds.extend(stdin.iter().map(|fd| PollFd::new(fd, PollFlags::OUT)));
    fds.extend(stdout.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
    fds.extend(stderr.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
    let timeout = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads what is there, and gives how much that was. What is beyond `most` is read and not kept.
fn drain(pipe: &mut Option<impl Read>, out: &mut Vec<u8>, most: usize) -> std::io::Result<usize> {
    let (mut bytes, mut total) = ([0; 4_096], 0);
    while let Some(open) = pipe {
        match open.read(&mut bytes) {
            Ok(0) => *pipe = None,
            Ok(count) => {
                total += count;
                let room = most.saturating_sub(out.len());
                out.extend_from_slice(&bytes[..count.min(room)]);
                if room == 0 {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

fn wait(child: &mut Child, deadline: Instant) -> Result<ExitStatus, String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() >= deadline => {
                return Err("it had said all and did not end".to_owned());
            }
            Ok(None) => std::thread::sleep(LOOK),
            Err(error) => return Err(format!("it cannot be waited for: {error}")),
        }
    }
}

fn late(allowance: &Allowance) -> String {
    format!("it took longer than {} ms", allowance.time.as_millis())
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "nothing".to_owned(),
    }
}
