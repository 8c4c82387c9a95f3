//! Failures of the start: what failed, the likely cause, and what to do about it.

use std::fmt;
use std::io;

/// A step of the start that the kernel can refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// `io_uring_setup` with the flags we need.
    RingSetup,
    /// Registration of the ring's eventfd or of its provided buffers.
    RingRegister,
    /// A multishot receive into a provided buffer.
    MultishotReceive,
    /// The list of operations that the kernel supports.
    Operations,
    /// `eventfd` and other descriptors that a shard opens once.
    Descriptor,
    /// `socket`, `bind` or `listen`.
    Listen,
}

/// Why the server cannot start. Shows as three lines: error, cause, hint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartError {
    /// The step that failed.
    pub step: Step,
    /// The kernel's error number.
    pub errno: i32,
    /// What was attempted, with its object.
    pub what: String,
    /// The likely cause.
    pub cause: &'static str,
    /// What to do.
    pub hint: &'static str,
}

impl StartError {
    /// The error for `what` (a phrase that follows "cannot") that failed at `step`.
    pub fn new(step: Step, what: impl Into<String>, errno: i32) -> Self {
        let (cause, hint) = explain(step, errno);
        Self { step, errno, what: what.into(), cause, hint }
    }

    /// The same, from the last error of the operating system.
    pub(super) fn from_io(step: Step, what: impl Into<String>, error: &io::Error) -> Self {
        Self::new(step, what, error.raw_os_error().unwrap_or(0))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = io::Error::from_raw_os_error(self.errno);
        writeln!(out, "cannot {}: {reason}", self.what)?;
        writeln!(out, "cause: {}", self.cause)?;
        write!(out, "hint: {}", self.hint)
    }
}

impl std::error::Error for StartError {}

const TOO_OLD: (&str, &str) = (
    "this kernel is older than Linux 6.1 or was built without part of io_uring",
    "run Linux 6.1 or newer (`uname -r` shows the version)",
);

/// The likely cause of `errno` at `step`, and the hint: the whole table in one place.
fn explain(step: Step, errno: i32) -> (&'static str, &'static str) {
    use Step::{Descriptor, Listen, MultishotReceive, Operations, RingRegister, RingSetup};
    match (step, errno) {
        (RingSetup | RingRegister, libc::EPERM | libc::EACCES) => (
            "the sysctl kernel.io_uring_disabled, or a seccomp filter such as Docker's default \
             profile, forbids io_uring",
            "`sysctl -w kernel.io_uring_disabled=0`; in Docker or containerd pass \
             `--security-opt seccomp=` with a profile that allows io_uring_setup, io_uring_enter \
             and io_uring_register",
        ),
        (RingSetup | RingRegister, libc::ENOSYS) => (
            "the kernel has no io_uring, or a sandbox (gVisor, a seccomp filter) hides it",
            "run Linux 6.1 or newer outside such a sandbox, or allow io_uring_setup, \
             io_uring_enter and io_uring_register in its seccomp profile",
        ),
        (RingSetup | RingRegister, libc::ENOMEM) => (
            "the limit on locked memory is too low; it counts for all processes of this user",
            "`ulimit -l unlimited`, `LimitMEMLOCK=infinity` in the systemd unit, or fewer shards",
        ),
        (
            RingSetup | RingRegister | MultishotReceive | Operations,
            libc::EINVAL | libc::EOPNOTSUPP,
        ) => TOO_OLD,
        (RingSetup | Descriptor | Listen, libc::EMFILE) => (
            "the process has as many open files as it may have",
            "`ulimit -n 1048576`, or `LimitNOFILE=1048576` in the systemd unit",
        ),
        (RingSetup | Descriptor | Listen, libc::ENFILE) => (
            "the whole system has as many open files as it may have",
            "`sysctl -w fs.file-max=2097152`",
        ),
        (Listen, libc::EADDRINUSE) => (
            "another program listens on this address",
            "`ss -ltnp` shows who; stop it or choose another port",
        ),
        (Listen, libc::EACCES | libc::EPERM) => (
            "ports below 1024 need a privilege",
            "choose a port from 1024 on, or `setcap cap_net_bind_service=+ep` on the program",
        ),
        (Listen, libc::EADDRNOTAVAIL) => (
            "no network interface of this machine has that address",
            "`ip addr` shows the addresses; 0.0.0.0 or [::] listens on all of them",
        ),
        (Listen, libc::EAFNOSUPPORT) => (
            "this kernel or container has no such address family (often IPv6 is switched off)",
            "listen on an IPv4 address such as 0.0.0.0",
        ),
        _ => (
            "not one of the causes that ringpost knows",
            "`strace -f` on the program shows the refused system call",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_the_remedy() {
        check(Step::RingSetup, libc::EPERM, &["kernel.io_uring_disabled", "seccomp", "Docker"]);
        check(Step::RingSetup, libc::ENOSYS, &["6.1", "seccomp", "gVisor"]);
        check(Step::RingSetup, libc::ENOMEM, &["ulimit -l", "LimitMEMLOCK"]);
        check(Step::RingSetup, libc::EINVAL, &["6.1", "uname -r"]);
        check(Step::RingRegister, libc::ENOMEM, &["ulimit -l"]);
        check(Step::MultishotReceive, libc::EINVAL, &["6.1"]);
        check(Step::Operations, libc::EOPNOTSUPP, &["6.1"]);
        check(Step::Descriptor, libc::EMFILE, &["ulimit -n"]);
        check(Step::Descriptor, libc::ENFILE, &["fs.file-max"]);
        check(Step::Listen, libc::EADDRINUSE, &["another program", "ss -ltnp"]);
        check(Step::Listen, libc::EACCES, &["1024"]);
        check(Step::Listen, libc::EADDRNOTAVAIL, &["ip addr"]);
        check(Step::Listen, libc::EAFNOSUPPORT, &["IPv6"]);
        check(Step::Listen, libc::EIO, &["strace"]);
    }

    #[test]
    fn shows_error_cause_and_hint_on_three_lines() {
        let error = StartError::new(Step::RingSetup, "create io_uring", libc::EPERM);
        let text = error.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], "cannot create io_uring: Operation not permitted (os error 1)");
        assert!(lines[1].starts_with("cause: the sysctl kernel.io_uring_disabled, or a seccomp"));
        assert!(lines[2].starts_with("hint: `sysctl -w kernel.io_uring_disabled=0`;"));
    }

    #[track_caller]
    fn check(step: Step, errno: i32, words: &[&str]) {
        let text = StartError::new(step, "try", errno).to_string();
        for word in words {
            assert!(text.contains(word), "{word:?} is missing in: {text}");
        }
        assert!(!text.contains("  "), "a broken line continuation in: {text}");
    }
}
