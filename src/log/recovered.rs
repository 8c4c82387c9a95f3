//! What a server finds when it starts.

use super::directory::{DataDir, LogError, list_segments, sync_dir};
use super::reader::{Log, Trust};
use super::record::{Kind, RecordView};
use super::recovery::{Ending, SegmentScan};
use std::fs::File;

/// The log as the last server left it.
#[derive(Debug)]
pub struct Recovered {
    /// All that can be read; iterate it to rebuild state, then give it to an `Archive`.
    pub log: Log,
    /// Whether the last server said that it stopped, and nothing is torn or damaged behind that.
    /// Also true for an empty directory: nothing can be missing.
    pub clean_stop: bool,
    /// Every epoch that the log names, oldest first.
    pub epochs: Vec<EpochSeen>,
    /// First sequence number of the next segment.
    pub(super) base_seq: u64,
    /// The newest file there is.
    pub(super) newest_seq: Option<u64>,
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
    /// Sequence number of its record.
    pub seq: u64,
}

impl Recovered {
    /// Reads what is there. Everything is synced first: what the kernel holds only in memory after
    /// a crash of the process must not be answered from and then lost with the power.
    pub fn read(dir: &DataDir) -> Result<Self, LogError> {
        let log_dir = dir.log_dir();
        let listed = list_segments(&log_dir)?;
        for (_, path) in &listed {
            let file = File::open(path).map_err(LogError::io("open", path))?;
            file.sync_all().map_err(LogError::io("sync", path))?;
        }
        sync_dir(&log_dir)?;
        let log = Log::open(&log_dir, Trust::Checksum)?;
        let mut epochs = Vec::new();
        let mut last_kind = None;
        for entry in log.entries() {
            last_kind = entry.kind();
            if last_kind == Some(Kind::Epoch)
                && let Some(RecordView::Epoch(epoch)) = entry.view()
            {
                let (epoch, ts_us) = (epoch.epoch.to_native(), epoch.ts_us.to_native());
                epochs.push(EpochSeen { epoch, ts_us, seq: entry.seq });
            }
        }
        let sealed = log.segments().last().is_none_or(|last| is_whole(last.scan()));
        let newest = listed.last().map(|(base_seq, _)| *base_seq);
        let start = log.segments().last().map_or(0, |last| last.scan().header.start) + 1;
        Ok(Self {
            clean_stop: sealed && last_kind.is_none_or(|kind| kind == Kind::Stop),
            epochs,
            // A sequence number may be skipped, for a segment that stayed empty; none comes twice.
            base_seq: log.next_seq().max(newest.map_or(0, |newest| newest + 1)),
            newest_seq: newest,
            start,
            log,
        })
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

fn is_whole(scan: &SegmentScan) -> bool {
    scan.ending == Ending::Sealed && scan.corrupt.is_empty()
}
