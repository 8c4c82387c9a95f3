//! Looking before touching: what else belongs to the subject, and which files hold any of it.

use super::redact::Redactor;
use super::target::Target;
use crate::base::hash::{Map, Set};
use crate::log::batch::records;
use crate::log::directory::{LogError, list_extension, list_segments};
use crate::log::format::HeaderError;
use crate::log::reader::{ProblemKind, Segment, Trust};
use crate::log::record::{Kind, RawRecord, RecordView};
use crate::log::recovery::{Ending, Region};
use crate::log::rewrite::{Change, Payload};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Parts of bodies that are held until the last one is there; beyond this they are looked at one by
/// one, so that a log full of unfinished bodies cannot fill the memory.
const BODIES_BYTES_MAX: usize = 64 << 20;

/// What the subject's name alone does not find. Made once and kept with the request: a file that is
/// rewritten no longer says it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Finds {
    /// Webhook bodies that speak of the subject.
    pub raw_ids: Vec<u64>,
    /// Platform ids of messages that go.
    pub externals: Vec<Box<str>>,
}

/// One file and what is to be done to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survey {
    /// The file.
    pub path: PathBuf,
    /// Records that will change.
    pub change_count: u64,
    /// Bytes behind the last record, which nobody reads and nobody can judge.
    pub torn: bool,
    /// Damaged regions.
    pub corrupt: Vec<Region>,
}

impl Survey {
    /// Whether the file must be rewritten. What is damaged or torn may hold anything.
    pub fn is_touched(&self) -> bool {
        self.change_count > 0 || self.torn || !self.corrupt.is_empty()
    }
}

/// A file that no look can be taken at.
#[derive(Debug)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub what: ProblemKind,
}

/// Every file with records of sealed segments: segments that begin before `before`, oldest first,
/// then snapshots.
pub fn files(log_dir: &Path, before: u64) -> Result<Vec<PathBuf>, LogError> {
    let segments = list_segments(log_dir)?.into_iter();
    let mut files: Vec<_> =
        segments.filter(|(base_seq, _)| *base_seq < before).map(|(_, path)| path).collect();
    files.extend(list_extension(log_dir, "snap")?);
    Ok(files)
}

/// Sequence number before which every segment of a running server begins that is sealed. The newest
/// one may be: after a rotation the next is made a moment later, or not at all on a full disk.
pub fn sealed_before(log_dir: &Path) -> Result<u64, LogError> {
    let Some((newest, path)) = list_segments(log_dir)?.pop() else {
        return Ok(0);
    };
    let sealed = |segment: &Segment| segment.scan().ending == Ending::Sealed;
    let is_sealed = open(&path).is_ok_and(|segment| segment.as_ref().is_some_and(sealed));
    Ok(newest + u64::from(is_sealed))
}

/// Opens a file that nobody writes to. `None`: nothing was ever in it.
pub fn open(path: &Path) -> Result<Option<Segment>, Unreadable> {
    match Segment::open_alone(path, Trust::Validate) {
        Ok(segment) => Ok(Some(segment)),
        Err(ProblemKind::Header(HeaderError::Unborn)) => Ok(None),
        Err(what) => Err(Unreadable { path: path.to_path_buf(), what }),
    }
}

/// Shows the records of a segment of the given kinds (bits of `type_mask`) with their numbers.
pub fn visit(
    segment: &Segment,
    type_mask: u32,
    mut see: impl FnMut(u64, &RawRecord<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for place in segment.scan().batches.iter().filter(|place| place.type_mask & type_mask != 0) {
        let bytes = &segment.bytes()[place.offset as usize..(place.offset + place.len) as usize];
        for (seq, record) in (place.base_seq..).zip(records(bytes, place.count)) {
            if type_mask & 1 << record.header.tag.min(31) != 0 {
                see(seq, &record)?;
            }
        }
    }
    ControlFlow::Continue(())
}

/// Collects the [`Finds`] of a target over files, in two rounds: platform ids of messages first,
/// since the body of a webhook stands before the messages that were read from it.
pub struct Finder<'a> {
    target: &'a Target,
    raw_ids: Set<u64>,
    externals: Set<Box<str>>,
    bodies: Map<u64, Vec<u8>>,
    bodies_bytes: usize,
}

impl<'a> Finder<'a> {
    /// Has found nothing.
    pub fn new(target: &'a Target) -> Self {
        Self::beyond(target, &Finds::default())
    }

    /// Has found this, in files that may not say it any more.
    pub fn beyond(target: &'a Target, finds: &Finds) -> Self {
        Self {
            target,
            raw_ids: finds.raw_ids.iter().copied().collect(),
            externals: finds.externals.iter().cloned().collect(),
            bodies: Map::default(),
            bodies_bytes: 0,
        }
    }

    /// First round.
    pub fn find_messages(&mut self, segment: &Segment) {
        let (none, nothing) = (Set::default(), Set::default());
        let redactor = Redactor::new(segment, (self.target, ""), &none, &nothing);
        let _ = visit(segment, 1 << Kind::Message.tag(), |_, record| {
            if let Some(external) = redactor.external(record) {
                self.externals.insert(external.into());
            }
            ControlFlow::Continue(())
        });
    }

    /// Second round.
    pub fn find_bodies(&mut self, segment: &Segment) {
        if self.target.platform_id().is_none() && self.externals.is_empty() {
            return;
        }
        let _ = visit(segment, 1 << Kind::Raw.tag(), |_, record| {
            let view = RecordView::check(Kind::Raw, record.payload);
            if let Some(RecordView::Raw(raw)) = view {
                self.take_part(
                    raw.id.to_native(),
                    &raw.bytes,
                    raw.part.to_native() + 1 >= raw.parts.to_native(),
                );
            }
            ControlFlow::Continue(())
        });
    }

    fn take_part(&mut self, id: u64, bytes: &[u8], last: bool) {
        // What identifies somebody may stand across the border of two parts.
        let body = self.bodies.entry(id).or_default();
        body.extend_from_slice(bytes);
        self.bodies_bytes += bytes.len();
        if last {
            let body = self.bodies.remove(&id).expect("extended above");
            self.bodies_bytes -= body.len();
            self.judge(id, &body);
        } else if self.bodies_bytes > BODIES_BYTES_MAX {
            self.judge_unfinished();
        }
    }

    fn judge(&mut self, id: u64, body: &[u8]) {
        let quoted =
            |word: &[u8]| str::from_utf8(word).is_ok_and(|word| self.externals.contains(word));
        if self.target.is_named_in(body) || body.split(|byte| *byte == b'"').any(quoted) {
            self.raw_ids.insert(id);
        }
    }

    fn judge_unfinished(&mut self) {
        self.bodies_bytes = 0;
        for (id, body) in std::mem::take(&mut self.bodies) {
            self.judge(id, &body);
        }
    }

    /// What was found, in a fixed order.
    pub fn finish(mut self) -> Finds {
        self.judge_unfinished();
        let mut raw_ids: Vec<_> = self.raw_ids.into_iter().collect();
        let mut externals: Vec<_> = self.externals.into_iter().collect();
        raw_ids.sort_unstable();
        externals.sort_unstable();
        Finds { raw_ids, externals }
    }
}

/// Counts what a redactor would change in a segment.
pub fn survey(segment: &Segment, redactor: &Redactor<'_>) -> Survey {
    let mut space = Payload::new();
    let mut change_count = 0;
    let _ = visit(segment, u32::MAX, |_, record| {
        if redactor.change(record, &mut space) != Change::Keep {
            change_count += 1;
        }
        ControlFlow::Continue(())
    });
    Survey {
        path: segment.path().to_path_buf(),
        change_count,
        torn: matches!(segment.scan().ending, Ending::Torn(_)),
        corrupt: segment.scan().corrupt.clone(),
    }
}
