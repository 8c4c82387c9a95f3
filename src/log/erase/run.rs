//! An erasure, step by step. Every step can be the last before a crash: the request stays until
//! all are done, and doing a step again changes nothing more.
//!
//! | step | on disk afterwards | a crash behind it |
//! | --- | --- | --- |
//! | demand | the request | the next start begins |
//! | plan | the request knows what belongs to the subject, and how much | adds what came since |
//! | write | `<file>.tmp`, not yet synced | it is written again |
//! | sync | the same, synced | it is written again |
//! | swap | the new file has the name, perhaps not durably | it is looked at again: nothing to do |
//! | settle | the swap is durable | the next file |
//! | rewritten | the request says so | only the tombstone is missing |
//! | tombstone | the log says who and when | found by its number, not written twice |
//! | done | the request names nobody | nothing |

use super::plan::{self, Finder, Survey, Unreadable, files};
use super::redact::Redactor;
use super::request::{Request, Stage};
use super::target::Target;
use crate::base::hash::Set;
use crate::log::directory::{LogError, list_extension, log_dir, remove_if_there, sync_dir};
use crate::log::format::SegmentHeader;
use crate::log::reader::{ProblemKind, Segment};
use crate::log::record::{EraseV1, Kind, RecordView};
use crate::log::recovery::Ending;
use crate::log::rewrite::{Change, Damage, Rewritten, rewrite};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A place where an erasure can be interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// What belongs to the subject is on disk with the request.
    Planned,
    /// A file was looked at, and not touched.
    Looked,
    /// A new file is written.
    Written,
    /// It is synced.
    Synced,
    /// It has taken the place of the old one.
    Swapped,
    /// Durably so.
    Settled,
    /// All files are rewritten.
    Rewritten,
    /// The tombstone is durable.
    Buried,
}

/// What an erasure needs of whoever carries it out: a server, or a tool that holds the lock.
pub trait Host {
    /// Makes everybody who knows the subject forget it, and everything that was said until now
    /// stand in segments that nobody writes to. Gives the sequence number before which they begin.
    fn forget(&mut self, target: &Target, pseudonym: &str) -> Result<u64, EraseError>;

    /// Called at every step. An error ends the erasure here, to be gone on with later.
    fn pass(&mut self, step: Step, request: &Request) -> Result<(), EraseError>;

    /// Appends the record of the erasure, and returns when it is durable.
    fn bury(&mut self, tombstone: &EraseV1<'_>) -> Result<(), EraseError>;

    /// Everything is rewritten and durable: readers should look again.
    fn done(&mut self, target: &Target);

    /// Wall clock, microseconds since 1970.
    fn now_us(&self) -> i64;
}

/// Why an erasure is not done yet.
#[derive(Debug)]
pub enum EraseError {
    /// The system refused something.
    Log(LogError),
    /// It was interrupted.
    Stopped,
    /// Something must change first, in words. It is tried again.
    Later(String),
    /// It cannot be done, in words that name the place. Nothing was changed.
    Refused(String),
}

impl fmt::Display for EraseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => write!(out, "{error}"),
            Self::Stopped => write!(out, "interrupted; it goes on with the next start"),
            Self::Later(why) | Self::Refused(why) => write!(out, "{why}"),
        }
    }
}

impl std::error::Error for EraseError {}

impl From<LogError> for EraseError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// Does what is left to do of `request`, whose file is in the data directory `root`. A refusal
/// settles the request too.
pub fn carry_out(
    root: &Path,
    request: &mut Request,
    host: &mut dyn Host,
) -> Result<(), EraseError> {
    match go_through(root, request, host) {
        Err(EraseError::Refused(mut why)) => {
            if request.stage != Stage::Requested {
                why.push_str("; a part was erased before that, so demand it once more");
            }
            request.stage = Stage::Refused;
            request.problem.clone_from(&why);
            settle(root, request)?;
            Err(EraseError::Refused(why))
        }
        Err(error @ (EraseError::Log(_) | EraseError::Later(_))) => {
            // It is tried again; until then the request says what stands in the way.
            let problem = error.to_string();
            if request.problem != problem {
                request.problem = problem;
                let _ = request.save(root);
            }
            Err(error)
        }
        ended => ended,
    }
}

fn go_through(root: &Path, request: &mut Request, host: &mut dyn Host) -> Result<(), EraseError> {
    let log_dir = log_dir(root);
    let resumed = request.stage == Stage::Rewritten;
    if matches!(request.stage, Stage::Requested | Stage::Planned) {
        if request.stage == Stage::Requested {
            // A refusal must come before anybody has forgotten anything.
            for path in files(&log_dir, u64::MAX)? {
                if let Some(segment) = open(&path, request)? {
                    refuse_damage(&segment, request)?;
                }
                host.pass(Step::Looked, request)?;
            }
        }
        let before = host.forget(&request.target, &request.pseudonym())?;
        request.problem.clear();
        let files = files(&log_dir, before)?;
        // After a crash too: files may have come since, and those that are done say nothing new.
        let demand = &*request;
        let mut pause = || host.pass(Step::Looked, demand);
        let (finds, surveys) = survey_all(&files, demand, &mut pause)?;
        plan_for(request, finds, &surveys);
        request.save(root)?;
        host.pass(Step::Planned, request)?;
        rewrite_all(root, &files, request, host)?;
        remove_leftovers(&log_dir)?;
        request.stage = Stage::Rewritten;
        request.save(root)?;
        host.pass(Step::Rewritten, request)?;
    }
    if request.stage == Stage::Rewritten {
        // Only a run that was cut off behind it can have left the tombstone already.
        if !resumed || !is_buried(&log_dir, request)? {
            bury(request, host)?;
        }
        host.pass(Step::Buried, request)?;
        request.stage = Stage::Done;
        request.done_us = host.now_us();
        request.problem.clear();
        settle(root, request)?;
        host.done(&request.target);
    }
    Ok(())
}

/// What will change is counted before anything does: a file that is swapped no longer says it.
fn plan_for(request: &mut Request, finds: plan::Finds, surveys: &[Survey]) {
    let base_seq =
        |survey: &Survey| SegmentHeader::parse_file_name(survey.path.file_name()?.to_str()?);
    let from_seq = request.counted_seq;
    let segments = surveys.iter().filter_map(|survey| Some((base_seq(survey)?, survey)));
    for (base_seq, survey) in segments.filter(|(base_seq, _)| *base_seq >= from_seq) {
        request.record_count += survey.change_count;
        request.segment_count += u32::from(survey.is_touched());
        request.counted_seq = base_seq + 1;
    }
    request.finds = finds;
    request.stage = Stage::Planned;
}

/// The last version of a request: it names nobody.
fn settle(root: &Path, request: &mut Request) -> Result<(), EraseError> {
    request.by = request.demander();
    request.target = request.target.disguised(&request.pseudonym());
    request.finds = Default::default();
    request.save(root)?;
    Ok(())
}

/// Looks at every file without touching one: what belongs to the subject, and what would change.
/// Refuses when a file cannot be read and force is not given. `pause` is called after each file.
pub fn survey_all(
    files: &[PathBuf],
    request: &Request,
    pause: &mut dyn FnMut() -> Result<(), EraseError>,
) -> Result<(plan::Finds, Vec<Survey>), EraseError> {
    let mut finder = Finder::beyond(&request.target, &request.finds);
    for path in files {
        if let Some(segment) = open(path, request)? {
            refuse_damage(&segment, request)?;
            finder.find_messages(&segment);
        }
        pause()?;
    }
    for path in files {
        if let Some(segment) = open(path, request)? {
            finder.find_bodies(&segment);
        }
        pause()?;
    }
    let finds = finder.finish();
    let known = Known::new(&finds);
    let mut surveys = Vec::new();
    for path in files {
        if let Some(segment) = open(path, request)? {
            surveys.push(plan::survey(&segment, &known.redactor(&segment, request)));
        }
        pause()?;
    }
    Ok((finds, surveys))
}

/// [`plan::Finds`] to ask.
struct Known {
    raw_ids: Set<u64>,
    externals: Set<Box<str>>,
    pseudonym: std::cell::OnceCell<String>,
}

impl Known {
    fn new(finds: &plan::Finds) -> Self {
        Self {
            raw_ids: finds.raw_ids.iter().copied().collect(),
            externals: finds.externals.iter().cloned().collect(),
            pseudonym: std::cell::OnceCell::new(),
        }
    }

    fn redactor<'a>(&'a self, segment: &Segment, request: &'a Request) -> Redactor<'a> {
        let pseudonym = self.pseudonym.get_or_init(|| request.pseudonym());
        Redactor::new(segment, (&request.target, pseudonym), &self.raw_ids, &self.externals)
    }
}

/// `None`: there is nothing in it, or nothing that can be read and force says to go on. A snapshot
/// that is not whole is only in the way: no start uses it.
fn open(path: &Path, request: &Request) -> Result<Option<Segment>, EraseError> {
    match plan::open(path) {
        Ok(Some(segment)) if is_snapshot(path) && !is_whole(&segment) => Ok(None),
        Ok(found) => Ok(found),
        // Gone since it was listed, by retention.
        Err(Unreadable { what: ProblemKind::Unreadable(error), .. })
            if error.kind() == ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(Unreadable { what: ProblemKind::Unreadable(error), path }) => {
            Err(LogError::io("read", &path)(error).into())
        }
        Err(_) if request.force || is_snapshot(path) => Ok(None),
        Err(Unreadable { path, .. }) => Err(EraseError::Refused(format!(
            "{} cannot be read, so nobody can say what is in it",
            path.display()
        ))),
    }
}

/// Whatever would stop the rewriting of a segment stops it before anything is changed.
fn refuse_damage(segment: &Segment, request: &Request) -> Result<(), EraseError> {
    let scan = segment.scan();
    let Some(region) = scan.corrupt.first() else {
        return Ok(());
    };
    let path = segment.path().display();
    if !request.force {
        let (begin, end) = (region.begin, region.end);
        let why = "are damaged, so nobody can say what is in them";
        return Err(EraseError::Refused(format!("{path}: bytes {begin}..{end} {why}")));
    }
    let salt = salt(scan.header.salt, request.id);
    let tried = rewrite(segment.bytes(), scan, salt, Damage::Drop, &mut |_, _, _| Change::Keep);
    tried.map(drop).map_err(|error| EraseError::Refused(format!("{path}: {error}")))
}

fn is_whole(segment: &Segment) -> bool {
    segment.scan().ending == Ending::Sealed && segment.scan().corrupt.is_empty()
}

fn is_snapshot(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "snap")
}

fn rewrite_all(
    root: &Path,
    files: &[PathBuf],
    request: &mut Request,
    host: &mut dyn Host,
) -> Result<(), EraseError> {
    let known = Known::new(&request.finds);
    let log_dir = log_dir(root);
    for (index, path) in files.iter().enumerate() {
        request.progress = (index as u64, files.len() as u64);
        let rewritten = match open(path, request)? {
            Some(segment) => rewrite_one(&segment, request, &known)?,
            None => {
                remove_unreadable(path)?;
                None
            }
        };
        let Some(rewritten) = rewritten else {
            host.pass(Step::Looked, request)?;
            continue;
        };
        swap(&log_dir, path, &rewritten, &mut |step| host.pass(step, request))?;
        if !is_snapshot(path) {
            request.lost_count += rewritten.lost_count;
        }
        request.save(root)?;
    }
    request.progress = (files.len() as u64, files.len() as u64);
    Ok(())
}

/// A file that nobody can look into may hold anything: it was given up. One of a live writer that
/// has not got its header yet holds nothing.
fn remove_unreadable(path: &Path) -> Result<(), LogError> {
    let is_lost = |problem: Unreadable| problem.what.is_loss();
    if is_snapshot(path) || plan::open(path).is_err_and(is_lost) {
        remove_if_there(path)?;
        remove_if_there(&path.with_extension("idx"))?;
    }
    Ok(())
}

/// `None`: nothing in it has to go.
fn rewrite_one(
    segment: &Segment,
    request: &Request,
    known: &Known,
) -> Result<Option<Rewritten>, EraseError> {
    let redactor = known.redactor(segment, request);
    if !plan::survey(segment, &redactor).is_touched() {
        return Ok(None);
    }
    let damage = if request.force { Damage::Drop } else { Damage::Refuse };
    let salt = salt(segment.scan().header.salt, request.id);
    let again = rewrite(segment.bytes(), segment.scan(), salt, damage, &mut |_, record, space| {
        redactor.change(record, space)
    });
    again
        .map(Some)
        .map_err(|error| EraseError::Refused(format!("{}: {error}", segment.path().display())))
}

/// Another salt than `old`, and another one for each erasure.
pub(in crate::log) fn salt(old: u64, id: u64) -> u64 {
    let mixed = (old ^ id.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ id;
    if mixed == old { !old } else { mixed }
}

/// Puts a rewritten file in the place of `path`. Readers that have the old one mapped go on with
/// it; what was derived from it is removed first, because it holds the same words.
pub(in crate::log) fn swap(
    log_dir: &Path,
    path: &Path,
    rewritten: &Rewritten,
    pass: &mut dyn FnMut(Step) -> Result<(), EraseError>,
) -> Result<(), EraseError> {
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(".tmp");
    let tmp = PathBuf::from(tmp);
    let written = write_draft(&tmp, rewritten).and_then(|file| {
        pass(Step::Written)?;
        Ok(file.sync_all().map_err(LogError::io("sync", &tmp))?)
    });
    if let Err(error @ EraseError::Log(_)) = written {
        // On a full disk it would take the room that everybody waits for.
        let _ = std::fs::remove_file(&tmp);
        return Err(error);
    }
    written?;
    pass(Step::Synced)?;
    remove_if_there(&path.with_extension("idx"))?;
    std::fs::rename(&tmp, path).map_err(LogError::io("rename", &tmp))?;
    pass(Step::Swapped)?;
    sync_dir(log_dir)?;
    pass(Step::Settled)
}

fn write_draft(tmp: &Path, rewritten: &Rewritten) -> Result<File, EraseError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(tmp);
    let mut file = opened.map_err(LogError::io("make", tmp))?;
    file.write_all(&rewritten.bytes).map_err(LogError::io("write", tmp))?;
    // Zeros without blocks: readers expect the size that the header says.
    let size = u64::from(rewritten.header.segment_bytes);
    let size = size.max(rewritten.bytes.len() as u64);
    file.set_len(size).map_err(LogError::io("resize", tmp))?;
    Ok(file)
}

/// Files that nobody reads and that may hold what was erased: what a crash left of a swap or a
/// snapshot, and segments that were given up.
pub fn remove_leftovers(log_dir: &Path) -> Result<(), LogError> {
    for path in list_extension(log_dir, "tmp")? {
        if path.file_stem().is_none_or(|stem| stem != "spare") {
            remove_if_there(&path)?;
        }
    }
    for path in list_extension(log_dir, "abandoned")? {
        remove_if_there(&path)?;
    }
    sync_dir(log_dir)
}

fn bury(request: &Request, host: &mut dyn Host) -> Result<(), EraseError> {
    let pseudonym = request.pseudonym();
    let subject = match request.target.disguised(&pseudonym) {
        Target::Message { room, o } => format!("{room}/{o}"),
        Target::Room { room } => room,
        Target::User { .. } | Target::Aged { .. } => pseudonym,
    };
    host.bury(&EraseV1 {
        ts_us: host.now_us(),
        id: request.id,
        record_count: request.record_count,
        by: &request.demander(),
        subject: &subject,
        reason: &request.reason,
        segment_count: request.segment_count,
        scope: request.target.scope() as u8,
    })
}

fn is_buried(log_dir: &Path, request: &Request) -> Result<bool, LogError> {
    for path in files(log_dir, u64::MAX)?.iter().rev().filter(|path| !is_snapshot(path)) {
        let Ok(Some(segment)) = plan::open(path) else {
            continue;
        };
        let found = plan::visit(&segment, 1 << Kind::Erasure.tag(), |_, record| {
            match RecordView::check(Kind::Erasure, record.payload) {
                Some(RecordView::Erasure(erasure)) if erasure.id.to_native() == request.id => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        });
        if found.is_break() {
            return Ok(true);
        }
    }
    Ok(false)
}
