//! The durable request: one file per erasure, from the demand to the receipt.
//!
//! ```text
//! <data>/erase/<id>.json    0600; replaced by rename at every step
//! ```
//!
//! Until the erasure is done the file names the subject, since a crash must not lose the demand.
//! From then on it names the pseudonym. It holds no print of the subject either: the hash of a
//! phone number gives the number to whoever tries them all.

use super::plan::Finds;
use super::target::Target;
use crate::base::limits::ERASED_NAME_PREFIX;
use crate::log::directory::{LogError, sync_dir};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A demand is written in less: what is older and not whole was given up.
const DRAFT_AGE_US: i64 = 60_000_000;

/// How far an erasure is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Demanded.
    Requested,
    /// What belongs to the subject is known; files may be rewritten.
    Planned,
    /// Every file is rewritten; the tombstone may be missing.
    Rewritten,
    /// Done, and the tombstone is in the log.
    Done,
    /// Refused; nothing was changed, unless the problem says so.
    Refused,
}

/// An erasure as its file holds it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Its number, also its name and the pseudonym of its subject; 16 hexadecimal digits.
    #[serde(with = "hex")]
    pub id: u64,
    /// How far it is.
    pub stage: Stage,
    /// What is to go.
    pub target: Target,
    /// Who demanded it.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// Whether unreadable bytes may be dropped.
    pub force: bool,
    /// When it was demanded, microseconds since 1970.
    pub requested_us: i64,
    /// What belongs to the subject besides its name; emptied when done.
    #[serde(default)]
    pub finds: Finds,
    /// Files looked at since the last start, and all of them.
    #[serde(default)]
    pub progress: (u64, u64),
    /// Segments that begin before are in the counts.
    #[serde(default)]
    pub counted_seq: u64,
    /// Records that lose content.
    #[serde(default)]
    pub record_count: u64,
    /// Segments that are rewritten.
    #[serde(default)]
    pub segment_count: u32,
    /// Records that damage had taken and force gave up.
    #[serde(default)]
    pub lost_count: u64,
    /// When it was done, microseconds since 1970.
    #[serde(default)]
    pub done_us: i64,
    /// Why it was refused, or what stops it for now.
    #[serde(default)]
    pub problem: String,
}

impl Request {
    /// A fresh demand.
    pub fn new(id: u64, target: Target, by: &str, reason: &str, requested_us: i64) -> Self {
        Self {
            id,
            stage: Stage::Requested,
            target,
            by: by.to_owned(),
            reason: reason.to_owned(),
            force: false,
            requested_us,
            finds: Finds::default(),
            progress: (0, 0),
            counted_seq: 0,
            record_count: 0,
            segment_count: 0,
            lost_count: 0,
            done_us: 0,
            problem: String::new(),
        }
    }

    /// What stands for the subject afterwards.
    pub fn pseudonym(&self) -> String {
        format!("{ERASED_NAME_PREFIX}{:016x}", self.id)
    }

    /// Who demanded it, as the log says it: the subject may have done so.
    pub fn demander(&self) -> String {
        let renamed = self.target.renamed_user(&self.by, &self.pseudonym());
        renamed.unwrap_or_else(|| self.by.clone())
    }

    /// Whether nothing more will happen to it.
    pub fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Done | Stage::Refused)
    }

    /// Where it is.
    pub fn path(&self, root: &Path) -> PathBuf {
        dir(root).join(format!("{:016x}.json", self.id))
    }

    /// Writes it, durable with its name: whoever is told of it can rely on it.
    pub fn save(&self, root: &Path) -> Result<(), LogError> {
        let dir = dir(root);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(LogError::io("make the directory", &dir))?;
        let path = self.path(root);
        let tmp = path.with_extension("tmp");
        let text = serde_json::to_string_pretty(self).expect("plain values");
        let opened =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&tmp);
        let mut file = opened.map_err(LogError::io("make", &tmp))?;
        file.write_all(text.as_bytes()).map_err(LogError::io("write", &tmp))?;
        file.sync_all().map_err(LogError::io("sync", &tmp))?;
        std::fs::rename(&tmp, &path).map_err(LogError::io("rename", &tmp))?;
        sync_dir(&dir)?;
        sync_dir(root)
    }

    /// Reads one; `None` when there is none, or none that this version understands.
    pub fn load(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        serde_json::from_reader(std::io::BufReader::new(file)).ok()
    }
}

/// Where requests are.
pub fn dir(root: &Path) -> PathBuf {
    root.join("erase")
}

/// When the demands last changed, microseconds since 1970 by the clock of the file system; `None`
/// when there never was one.
pub fn changed_us(root: &Path) -> Result<Option<i64>, LogError> {
    let dir = dir(root);
    match std::fs::metadata(&dir) {
        Ok(data) => Ok(Some(modified_us(&data))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::io("look into", &dir)(error)),
    }
}

/// The demands of a data directory.
#[derive(Debug, Default)]
pub struct Demands {
    /// Those that are not settled, oldest first.
    pub requests: Vec<Request>,
    /// Files that are no demand, or one of a later version.
    pub unreadable: Vec<PathBuf>,
}

/// The requests that are not settled. Cheap when there are none.
pub fn unsettled(root: &Path) -> Result<Demands, LogError> {
    let mut demands = Demands::default();
    for path in files(root, "json")? {
        match Request::load(&path) {
            Some(request) if request.is_settled() => {}
            // The name of its file is where the next step is written.
            Some(request) if request.path(root) == path => demands.requests.push(request),
            _ => demands.unreadable.push(path),
        }
    }
    demands.requests.sort_by_key(|request| (request.requested_us, request.id));
    Ok(demands)
}

fn modified_us(data: &Metadata) -> i64 {
    data.mtime().saturating_mul(1_000_000).saturating_add(data.mtime_nsec() / 1_000)
}

/// Removes what a tool left that died before its demand was whole: it names a subject. `now_us` is
/// the wall clock.
pub fn remove_drafts(root: &Path, now_us: i64) {
    let is_old = |path: &PathBuf| {
        let age_us = std::fs::metadata(path).map(|data| now_us.saturating_sub(modified_us(&data)));
        age_us.is_ok_and(|age_us| age_us > DRAFT_AGE_US)
    };
    for path in files(root, "tmp").unwrap_or_default().iter().filter(|path| is_old(path)) {
        // What cannot be removed now is met again.
        let _ = std::fs::remove_file(path);
    }
}

/// Files of the directory of requests whose name ends so; none when there is no such directory.
fn files(root: &Path, extension: &str) -> Result<Vec<PathBuf>, LogError> {
    let dir = dir(root);
    let listing = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(LogError::io("list", &dir))?,
    };
    let paths = listing.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|end| end == extension)).collect())
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &u64, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&format!("{value:016x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
        let text = String::deserialize(input)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}
