//! What a server finds when it starts.

use super::directory::{DataDir, LogError, list_segments, sync_dir};
use super::reader::{Entry, Log, Problem, Segment, Trust};
use super::record::{Kind, RecordView};
use super::recovery::{Ending, SegmentScan};
use super::snapshot::{self, Snapshot};
use std::fs::File;
use std::path::Path;

/// The log as the last server left it.
#[derive(Debug)]
pub struct Recovered {
    /// The newest whole snapshot: what it stands for need not be read.
    pub snapshot: Option<Snapshot>,
    /// All that can be read behind the snapshot; iterate both, in this order, to rebuild state.
    pub log: Log,
    /// Newer snapshots that cannot be read.
    pub refused: Vec<Problem>,
    /// Whether the last server said that it stopped, and nothing is torn or damaged behind that.
    /// Also true for an empty directory: nothing can be missing.
    pub clean_stop: bool,
    /// Every epoch that the log names, oldest first.
    pub epochs: Vec<EpochSeen>,
    /// First sequence number of the next segment.
    pub(super) base_seq: u64,
    /// The newest file there is.
    pub(super) newest_seq: Option<u64>,
    /// The segment that the next one follows: the newest in which something was ever written. One
    /// that stayed empty is passed over, so that who follows a segment also says that it ended
    /// where the next begins.
    pub(super) followed_seq: Option<u64>,
    /// Number of the next start.
    pub(super) start: u32,
}

/// An epoch and when it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochSeen {
    /// The epoch's number.
    pub epoch: u64,
    /// Wall clock at its begin, microseconds.
    pub ts_us: i64,
    /// Sequence number of its record; means nothing for one from a snapshot.
    pub seq: u64,
}

impl Recovered {
    /// Reads what is there. What is not in a snapshot is synced first: what the kernel holds only
    /// in memory after a crash of the process must not be answered from and then lost with the
    /// power.
    pub fn read(dir: &DataDir) -> Result<Self, LogError> {
        let log_dir = dir.log_dir();
        let (snapshot, refused) = newest_snapshot(&log_dir)?;
        let from_seq = snapshot.as_ref().map_or(0, Snapshot::seq);
        let listed = list_segments(&log_dir)?;
        for (_, path) in listed.iter().filter(|(base_seq, _)| *base_seq >= from_seq) {
            let file = File::open(path).map_err(LogError::io("open", path))?;
            file.sync_all().map_err(LogError::io("sync", path))?;
        }
        sync_dir(&log_dir)?;
        let log = Log::open_from(&log_dir, Trust::Checksum, from_seq)?;
        let mut epochs: Vec<_> =
            snapshot.iter().flat_map(Snapshot::entries).map_while(|entry| epoch(&entry)).collect();
        let mut last_kind = None;
        for entry in log.entries() {
            last_kind = entry.kind();
            epochs.extend(epoch(&entry));
        }
        let sealed = log.segments().last().is_none_or(|last| is_whole(last.scan()));
        let newest = listed.last().map(|(base_seq, _)| *base_seq);
        let last_start = log.segments().last().map(|last| last.scan().header.start);
        let start = last_start.or(snapshot.as_ref().map(Snapshot::start)).unwrap_or(0) + 1;
        let nothing_written = snapshot.is_none();
        let is_vacant = |base_seq: u64| {
            let mut segments = log.segments().iter().rev();
            let found = segments.find(|segment| segment.scan().header.base_seq == base_seq);
            found.is_some_and(Segment::is_vacant)
        };
        let mut files = listed.iter().rev().map(|(base_seq, _)| *base_seq);
        let followed_seq = files.find(|base_seq| !is_vacant(*base_seq));
        Ok(Self {
            clean_stop: sealed && last_kind.map_or(nothing_written, |kind| kind == Kind::Stop),
            epochs,
            // A sequence number may be skipped, for a segment that stayed empty; none comes twice.
            base_seq: log.next_seq().max(newest.map_or(0, |newest| newest + 1)).max(from_seq),
            newest_seq: newest,
            followed_seq,
            start,
            snapshot,
            log,
            refused,
        })
    }

    /// Number of the first record that this start may write: whoever was further with a former one
    /// saw records that are gone.
    pub fn begin_seq(&self) -> u64 {
        self.base_seq
    }

    /// What was durable once and cannot be read, behind the snapshot: one sentence each, with its
    /// place. All the rest is served; nothing is cut off.
    pub fn damage(&self) -> Vec<String> {
        let lost = self.log.problems().iter().filter(|problem| problem.what.is_loss());
        let mut damage: Vec<_> = lost.map(|problem| problem.to_string()).collect();
        for segment in self.log.segments() {
            let path = segment.path().display();
            damage.extend(segment.scan().corrupt.iter().map(|region| {
                format!("{path}: bytes {}..{} are damaged", region.begin, region.end)
            }));
        }
        damage
    }

    /// The segments that a server left without a seal, damaged, or torn: how many of each.
    pub fn report(&self) -> RecoveryReport {
        let scans = || self.log.segments().iter().map(|segment| segment.scan());
        RecoveryReport {
            segment_count: scans().count(),
            record_count: scans().map(|scan| scan.record_count).sum(),
            torn_count: scans().filter(|scan| matches!(scan.ending, Ending::Torn(_))).count(),
            corrupt_count: scans().map(|scan| scan.corrupt.len()).sum(),
            problem_count: self.log.problems().iter().filter(|p| p.what.is_loss()).count(),
        }
    }
}

/// One line about what was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecoveryReport {
    /// Readable segments.
    pub segment_count: usize,
    /// Records in them.
    pub record_count: u64,
    /// Segments that end in bytes that were never synced.
    pub torn_count: usize,
    /// Damaged regions.
    pub corrupt_count: usize,
    /// Files that cannot be read as segments.
    pub problem_count: usize,
}

/// The newest snapshot that can be read, and the newer ones that cannot.
fn newest_snapshot(log_dir: &Path) -> Result<(Option<Snapshot>, Vec<Problem>), LogError> {
    let mut refused = Vec::new();
    for (_, path) in snapshot::list(log_dir)? {
        match Snapshot::open(&path) {
            Ok(snapshot) => return Ok((Some(snapshot), refused)),
            Err(problem) => refused.push(problem),
        }
    }
    Ok((None, refused))
}

fn epoch(entry: &Entry<'_>) -> Option<EpochSeen> {
    if entry.kind() != Some(Kind::Epoch) {
        return None;
    }
    let Some(RecordView::Epoch(epoch)) = entry.view() else {
        return None;
    };
    let (epoch, ts_us) = (epoch.epoch.to_native(), epoch.ts_us.to_native());
    Some(EpochSeen { epoch, ts_us, seq: entry.seq })
}

fn is_whole(scan: &SegmentScan) -> bool {
    scan.ending == Ending::Sealed && scan.corrupt.is_empty()
}
