//! CPU and memory of another process, from /proc.

use std::fs;
use std::time::Duration;

/// One reading of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// CPU time of all its threads so far, user and system.
    pub cpu: Duration,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
}

/// Reads process `pid`; `None` when there is no such process.
///
/// Prefers `schedstat`, which counts nanoseconds, to `stat`, which counts ticks of 10 ms. Threads
/// that ended are only in `stat`, so a server that keeps starting threads is read too low.
pub fn usage(pid: u32) -> Option<Usage> {
    let exact = threads_cpu(pid);
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let cpu = exact.or_else(|| cpu_of_stat(&stat))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Usage { cpu, rss_bytes: rss_of_status(&status).unwrap_or(0) })
}

fn threads_cpu(pid: u32) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let path = thread.ok()?.path().join("schedstat");
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(path) else { continue };
        let ns: u64 = text.split_whitespace().next()?.parse().ok()?;
        sum += Duration::from_nanos(ns);
    }
    (sum > Duration::ZERO).then_some(sum)
}

/// Fields 14 and 15 of proc_pid_stat(5); the name in field 2 may hold spaces and brackets.
fn cpu_of_stat(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    // USER_HZ is 100 on every Linux that this runs on.
    Some(Duration::from_millis(10 * (user + system)))
}

fn rss_of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(cpu_of_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of_stat("nonsense"), None);
        assert_eq!(rss_of_status("Name: x\nVmRSS:\t  12 kB\n"), Some(12 * 1_024));
        assert_eq!(rss_of_status("Name: x\n"), None);
    }

    #[test]
    fn reads_this_process() {
        let usage = usage(std::process::id()).expect("we run");
        assert!(usage.rss_bytes > 100_000);
        assert_eq!(super::usage(u32::MAX), None);
    }
}
