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

/// The memory of a process over the measured time.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Memory {
    /// Since the begin of the measured time, and resident bytes then.
    pub samples: Vec<(Duration, u64)>,
}

impl Memory {
    /// Samples below this number tell nothing of growth.
    const SAMPLES_MIN: usize = 10;

    /// Resident bytes in the first and in the last tenth of the time: the medians.
    pub fn ends(&self) -> Option<(u64, u64)> {
        let count = self.samples.len();
        if count < Self::SAMPLES_MIN {
            return None;
        }
        let tenth = count / Self::SAMPLES_MIN;
        let median = |part: &[(Duration, u64)]| {
            let mut bytes: Vec<_> = part.iter().map(|(_, bytes)| *bytes).collect();
            bytes.sort_unstable();
            bytes[bytes.len() / 2]
        };
        Some((median(&self.samples[..tenth]), median(&self.samples[count - tenth..])))
    }

    /// By how much the last tenth is above the first, percent; below 0 when memory was given back.
    pub fn growth_percent(&self) -> Option<f64> {
        let (first, last) = self.ends()?;
        Some((last as f64 / first.max(1) as f64 - 1.0) * 100.0)
    }
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
    fn growth_is_from_the_first_tenth_to_the_last() {
        let memory = |bytes: &[u64]| {
            let sample = |(n, bytes): (usize, &u64)| (Duration::from_secs(n as u64), *bytes);
            Memory { samples: bytes.iter().enumerate().map(sample).collect() }
        };
        assert_eq!(memory(&[5; 9]).growth_percent(), None);
        assert_eq!(memory(&[5; 10]).growth_percent(), Some(0.0));
        assert_eq!(memory(&[4, 9, 9, 9, 9, 9, 9, 9, 9, 5]).growth_percent(), Some(25.0));
        assert_eq!(memory(&[4, 9, 9, 9, 9, 9, 9, 9, 9, 3]).growth_percent(), Some(-25.0));
        // One outlier of three does not count.
        let mut bytes = [4; 30];
        bytes[29] = 400;
        assert_eq!(memory(&bytes).growth_percent(), Some(0.0));
    }

    #[test]
    fn reads_this_process() {
        let usage = usage(std::process::id()).expect("we run");
        assert!(usage.rss_bytes > 100_000);
        assert_eq!(super::usage(u32::MAX), None);
    }
}
