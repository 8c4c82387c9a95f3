//! The data directory: one server at a time, and the segments in it.
//!
//! ```text
//! <data>/lock                            held with flock while a server runs
//! <data>/log/00000000000000000000.seg    segments, named by their first sequence number
//! ```

use super::format::SegmentHeader;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, DirEntryExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

/// Everything that can go wrong with the log as a whole. Text is made by `Display`, for people.
#[derive(Debug)]
pub enum LogError {
    /// Another server holds the directory.
    Locked(PathBuf),
    /// There is no log here.
    Missing(PathBuf),
    /// The disk has no room for the next segment.
    Full(PathBuf),
    /// The operating system refused; the text says what was being done.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Segment after segment could not be written or synced; the text says what failed last.
    GaveUp(String),
    /// A thread of the log ended by a broken invariant.
    Panicked,
}

impl fmt::Display for LogError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(path) => write!(out, "another ringpost uses {}", path.display()),
            Self::Missing(path) => write!(out, "there is no log in {}", path.display()),
            Self::Full(path) => write!(out, "no room for a new segment in {}", path.display()),
            Self::Io { doing, path, source } => {
                write!(out, "cannot {doing} {}: {source}", path.display())
            }
            Self::GaveUp(last) => write!(out, "the log gave up after several failures: {last}"),
            Self::Panicked => write!(out, "a thread of the log panicked"),
        }
    }
}

impl std::error::Error for LogError {}

impl LogError {
    /// For `map_err`: names what was being done to which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => Self::Full(path),
            _ => Self::Io { doing, path, source },
        }
    }
}

/// A data directory that this process holds alone until the value is dropped.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    /// Closing it releases the lock, also when the process dies.
    _lock: File,
}

/// How often a lock is asked for, and how long after another.
///
/// Whoever held it may have begun to start a program: until that has become itself it holds what
/// its parent held, though the parent is gone.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(20);

impl DataDir {
    /// Makes the directory if it is not there, and locks it.
    pub fn lock(root: &Path) -> Result<Self, LogError> {
        let log = log_dir(root);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&log);
        made.map_err(LogError::io("make the directory", &log))?;
        let path = root.join("lock");
        // Not truncated and never unlinked: whoever opens it must meet the same inode.
        let opened =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(LogError::io("open the lock file", &path))?;
        for look in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if look < LOOKS => std::thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => return Err(LogError::Locked(root.to_path_buf())),
                Err(TryLockError::Error(source)) => {
                    return Err(LogError::io("lock", &path)(source));
                }
            }
        }
        Ok(Self { root: root.to_path_buf(), _lock: file })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where its segments are.
    pub fn log_dir(&self) -> PathBuf {
        log_dir(&self.root)
    }
}

/// Whether a process of this machine holds the data directory. Does not try the lock: a server
/// that starts just then would find it taken.
pub(super) fn is_locked(root: &Path) -> bool {
    let Ok(file) = std::fs::metadata(root.join("lock")) else { return false };
    // One line each, `1: FLOCK  ADVISORY  WRITE 4711 fd:00:131079 0 EOF`. The device is not that of
    // the metadata on every file system, so the inode has to do.
    let inode = format!(":{}", file.ino());
    let holds = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some("FLOCK") && words.nth(3).is_some_and(|place| place.ends_with(&inode))
    };
    std::fs::read_to_string("/proc/locks").is_ok_and(|locks| locks.lines().any(holds))
}

/// Where the segments of a data directory are.
pub fn log_dir(root: &Path) -> PathBuf {
    root.join("log")
}

/// Whether `dir` itself holds segments.
pub fn holds_segments(dir: &Path) -> bool {
    list_segments(dir).is_ok_and(|segments| !segments.is_empty())
}

/// A segment's file as the directory lists it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Listed {
    /// First sequence number, from the name.
    pub(super) base_seq: u64,
    /// Which file has the name now: erasure puts another one there.
    pub(super) inode: u64,
    /// Its path.
    pub(super) path: PathBuf,
}

/// The segments of `log_dir` in the order of their sequence numbers. Other files are not looked at.
pub(super) fn list_segments(log_dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let listed = list_files(log_dir)?;
    Ok(listed.into_iter().map(|listed| (listed.base_seq, listed.path)).collect())
}

/// As [`list_segments`], with what tells a file from another one of the same name.
pub(super) fn list_files(log_dir: &Path) -> Result<Vec<Listed>, LogError> {
    let listing = match std::fs::read_dir(log_dir) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LogError::Missing(log_dir.to_path_buf()));
        }
        Err(error) => return Err(LogError::io("list", log_dir)(error)),
    };
    let mut segments = Vec::new();
    for entry in listing {
        let entry = entry.map_err(LogError::io("list", log_dir))?;
        let base_seq = entry.file_name().to_str().and_then(SegmentHeader::parse_file_name);
        if let Some(base_seq) = base_seq {
            segments.push(Listed { base_seq, inode: entry.ino(), path: entry.path() });
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// First sequence number of the newest segment of `log_dir`, which a server may be writing.
pub fn newest_segment(log_dir: &Path) -> Result<Option<u64>, LogError> {
    Ok(list_segments(log_dir)?.last().map(|(base_seq, _)| *base_seq))
}

/// Files of `dir` whose name ends in `extension`, in the order of their names.
pub(super) fn list_extension(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, LogError> {
    let listing = std::fs::read_dir(dir).map_err(LogError::io("list", dir))?;
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.map_err(LogError::io("list", dir))?.path();
        if path.extension().is_some_and(|given| given == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Removes a file that may be gone already.
pub(super) fn remove_if_there(path: &Path) -> Result<(), LogError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LogError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes the entries of a directory durable: a synced file without its name is lost.
pub(super) fn sync_dir(dir: &Path) -> Result<(), LogError> {
    let file = File::open(dir).map_err(LogError::io("open", dir))?;
    file.sync_all().map_err(LogError::io("sync", dir))
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn one_server_per_directory() {
        let scratch = Scratch::new("lock");
        let held = DataDir::lock(scratch.path()).unwrap();
        let refused = DataDir::lock(scratch.path()).unwrap_err().to_string();
        assert_eq!(refused, format!("another ringpost uses {}", scratch.path().display()));
        assert!(is_locked(scratch.path()));
        drop(held);
        assert!(!is_locked(scratch.path()));
        DataDir::lock(scratch.path()).unwrap();
    }

    #[test]
    fn lists_only_segments_in_order() {
        let scratch = Scratch::new("list");
        let dir = DataDir::lock(scratch.path()).unwrap().log_dir();
        for name in ["00000000000000000010.seg", "00000000000000000009.seg", "x.seg", "9.tmp"] {
            std::fs::write(dir.join(name), "").unwrap();
        }
        let bases: Vec<_> = list_segments(&dir).unwrap().into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(bases, [9, 10]);
        let missing = list_segments(&dir.join("none")).unwrap_err();
        assert!(matches!(missing, LogError::Missing(_)), "{missing}");
    }
}
