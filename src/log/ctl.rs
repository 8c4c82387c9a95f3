//! `<data>/ctl`: how far the log is written and how far it is durable, for readers of a live log.
//!
//! A reader needs no such file to know what is written: checksums say it. What is *durable* they
//! cannot say, so the log thread writes it here, at most each 2 ms. The file is never synced, and
//! recovery never looks at it: it says something only while its writer lives.
//!
//! ```text
//!  0      4         8     12    16      20       24              32            40
//!  | rpC1 | version | pid | start | state | policy | committed_seq | durable_seq | segment |
//!  48              52            56      64
//!  | committed_off | durable_off | at_us | crc32c of 0..64 |
//! ```

use super::format::{read_u32, read_u64};
use super::handle::{AckPolicy, LogState};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 4] = *b"rpC1";
const VERSION: u32 = 1;
const BYTES: usize = 68;
/// A read may meet a write half way; the checksum tells, and another look helps.
const READ_TRIES: u32 = 16;

/// How far the log of a data directory got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Process that wrote it.
    pub pid: u32,
    /// Number of that server's start, as in segment headers.
    pub start: u32,
    /// Whether the log takes records.
    pub state: LogState,
    /// When records count as taken.
    pub policy: AckPolicy,
    /// Every record with a lower sequence number is written: readers of the files find it. Goes
    /// back when a write or a sync failed and the records are written again.
    pub committed_seq: u64,
    /// Every record with a lower sequence number is on the disk. Only grows, under `fsync` with
    /// each acknowledgement, else when a segment was closed.
    pub durable_seq: u64,
    /// First sequence number of the open segment; its file name.
    pub segment: u64,
    /// Bytes of that segment that are written.
    pub committed_off: u32,
    /// Bytes of that segment that were synced.
    pub durable_off: u32,
    /// When this was written, microseconds since 1970.
    pub at_us: i64,
}

/// Where it is.
pub fn path(root: &Path) -> PathBuf {
    root.join("ctl")
}

/// What the last server wrote, which need not live any more. `None`: nothing that makes sense.
pub fn read(root: &Path) -> Option<Progress> {
    let file = File::open(path(root)).ok()?;
    (0..READ_TRIES).find_map(|_| {
        let mut bytes = [0; BYTES];
        file.read_exact_at(&mut bytes, 0).ok()?;
        Progress::decode(&bytes)
    })
}

/// Notes how the log ended: nothing follows.
pub(super) fn close(root: &Path, state: LogState, durable_seq: u64) {
    if let (Some(last), Ok(ctl)) = (read(root), Ctl::create(root)) {
        ctl.write(&Progress { state, durable_seq, ..last });
    }
}

/// The log thread's side.
#[derive(Debug)]
pub(super) struct Ctl {
    file: File,
}

impl Ctl {
    pub(super) fn create(root: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path(root))?;
        Ok(Self { file })
    }

    /// A failure is of no consequence but that readers see no progress.
    pub(super) fn write(&self, progress: &Progress) {
        let _ = self.file.write_all_at(&progress.encode(), 0);
    }
}

impl Progress {
    fn encode(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        out[0..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&VERSION.to_le_bytes());
        out[8..12].copy_from_slice(&self.pid.to_le_bytes());
        out[12..16].copy_from_slice(&self.start.to_le_bytes());
        out[16..20].copy_from_slice(&u32::from(self.state as u8).to_le_bytes());
        out[20..24].copy_from_slice(&(self.policy as u32).to_le_bytes());
        out[24..32].copy_from_slice(&self.committed_seq.to_le_bytes());
        out[32..40].copy_from_slice(&self.durable_seq.to_le_bytes());
        out[40..48].copy_from_slice(&self.segment.to_le_bytes());
        out[48..52].copy_from_slice(&self.committed_off.to_le_bytes());
        out[52..56].copy_from_slice(&self.durable_off.to_le_bytes());
        out[56..64].copy_from_slice(&self.at_us.to_le_bytes());
        let crc = crc32c::crc32c(&out[..64]);
        out[64..68].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; BYTES]) -> Option<Self> {
        let sound = bytes[0..4] == MAGIC
            && read_u32(bytes, 4) == VERSION
            && read_u32(bytes, 64) == crc32c::crc32c(&bytes[..64]);
        if !sound {
            return None;
        }
        Some(Self {
            pid: read_u32(bytes, 8),
            start: read_u32(bytes, 12),
            state: LogState::from_byte(read_u32(bytes, 16) as u8),
            policy: *AckPolicy::ALL.get(read_u32(bytes, 20) as usize)?,
            committed_seq: read_u64(bytes, 24),
            durable_seq: read_u64(bytes, 32),
            segment: read_u64(bytes, 40),
            committed_off: read_u32(bytes, 48),
            durable_off: read_u32(bytes, 52),
            at_us: read_u64(bytes, 56) as i64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn is_read_as_written_and_damage_is_nothing() {
        let scratch = Scratch::new("ctl");
        assert_eq!(read(scratch.path()), None);
        let progress = Progress {
            pid: 7,
            start: 3,
            state: LogState::Full,
            policy: AckPolicy::Fsync,
            committed_seq: 12,
            durable_seq: 11,
            segment: 5,
            committed_off: 8_192,
            durable_off: 4_096,
            at_us: -1,
        };
        Ctl::create(scratch.path()).unwrap().write(&progress);
        assert_eq!(read(scratch.path()), Some(progress));
        let whole = std::fs::read(path(scratch.path())).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            std::fs::write(path(scratch.path()), &damaged).unwrap();
            assert_eq!(read(scratch.path()), None, "byte {at}");
        }
    }
}
