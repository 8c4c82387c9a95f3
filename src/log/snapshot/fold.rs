//! The next snapshot: the one before it and the segments behind that, merged by key.

use super::file::{Snapshot, Writer, list};
use super::rules::{
    Class, Horizon, Kept, Key, Placed, Print, Section, apply, external_key, run_key,
};
use crate::base::hash::Map;
use crate::base::limits::SNAPSHOT_EXTERNALS_MAX;
use crate::log::catalog::read_header;
use crate::log::directory::{LogError, list_segments, remove_if_there};
use crate::log::format::SegmentHeader;
use crate::log::reader::{ProblemKind, Segment, Trust};
use crate::log::record::RecordView;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::path::{Path, PathBuf};

/// Segments folded at a time: what is new in them is held in memory.
const SEGMENTS_PER_FOLD: usize = 4;
/// A fold is due when so many segments stand behind the snapshot,
const SEGMENTS_DUE: usize = 8;
/// or so many bytes, and no fewer than the snapshot has: writing it again must be worth it.
const BYTES_DUE: u64 = 64 << 20;
/// Snapshots that are kept: the newest, and one to fall back to.
const SNAPSHOTS_KEPT: usize = 2;
/// Records between two looks at whether to stop.
const STOP_EVERY: u64 = 32_768;
/// The epoch of positions from before the first epoch that the log names.
const UNKNOWN_EPOCH: u64 = 0;

/// What [`fold`] is told.
#[derive(Clone, Copy)]
pub struct FoldOptions<'a> {
    /// Wall clock, microseconds: ids are remembered for a while only.
    pub now_us: i64,
    /// See [`Print`].
    pub print: Print,
    /// Fold whatever stands behind the snapshot, however little.
    pub always: bool,
    /// Asked between steps: whether to stop soon.
    pub stop: &'a dyn Fn() -> bool,
}

/// What a fold made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Folded {
    /// The snapshot stands for all records below.
    pub seq: u64,
    /// Segments that went into it.
    pub segment_count: usize,
    /// Records in it, names left out.
    pub record_count: u64,
    /// Its size.
    pub bytes: u64,
}

/// Makes a newer snapshot of `log_dir` if one is due, and removes those that are too old. The
/// newest segment is never part of one: it may still grow. Repeat it until it makes none.
pub fn fold(log_dir: &Path, options: &FoldOptions<'_>) -> Result<Option<Folded>, LogError> {
    let segments = list_segments(log_dir)?;
    let older = list(log_dir)?;
    let base = older.iter().find_map(|(_, path)| Snapshot::open(path).ok());
    let base_seq = base.as_ref().map_or(0, Snapshot::seq);
    let behind: Vec<_> = segments.iter().filter(|(seq, _)| *seq >= base_seq).collect();
    let folding = behind.len().saturating_sub(1).min(SEGMENTS_PER_FOLD);
    let bytes = behind[..folding].iter().map(|(_, path)| written_bytes(path)).sum::<u64>();
    let worth = BYTES_DUE.max(base.as_ref().map_or(0, Snapshot::bytes));
    let due = options.always || bytes >= worth || behind.len() > SEGMENTS_DUE;
    if folding == 0 || !due {
        return Ok(None);
    }
    let parts = open_parts(&behind[..=folding])?;
    if parts.is_empty() || (options.stop)() {
        return Ok(None);
    }
    let seq = behind[folding].0;
    let Some((record_count, bytes)) = write(log_dir, seq, base.as_ref(), &parts, options)? else {
        return Ok(None);
    };
    remove_older(log_dir)?;
    Ok(Some(Folded { seq, segment_count: folding, record_count, bytes }))
}

/// Disk blocks of a file: a short segment that was sealed early is no 64 MiB.
fn written_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or(0, |data| data.blocks() * 512)
}

/// Opens all but the last of `listed`. A file without a readable header holds nothing that a start
/// could read either; one that the disk does not give now stops the fold.
fn open_parts(listed: &[&(u64, PathBuf)]) -> Result<Vec<Segment>, LogError> {
    let mut parts = Vec::new();
    for pair in listed.windows(2) {
        let ((_, path), (_, next)) = (pair[0], pair[1]);
        match Segment::open_alone(path, Trust::Checksum) {
            Ok(mut segment) => {
                if let Ok((next, _)) = read_header(next) {
                    segment.yield_to(&next);
                }
                parts.push(segment);
            }
            Err(ProblemKind::Unreadable(source)) => return Err(LogError::io("read", path)(source)),
            Err(_) => {}
        }
    }
    Ok(parts)
}

/// What is new, by key.
#[derive(Default)]
struct News<'a> {
    /// All but items of platforms.
    kept: BTreeMap<Key<'a>, Kept<'a>>,
    items: Items<'a>,
    /// Runs by room: index of the epoch, and the run.
    runs: Map<&'a str, Vec<(usize, Kept<'a>)>>,
    /// When each epoch began, and its number.
    epochs: Vec<(i64, u64)>,
}

/// Items of platforms. There are many, and they come nearly in their order.
#[derive(Default)]
struct Items<'a>(Vec<Item<'a>>);

/// A [`Kept::Seen`], small.
struct Item<'a> {
    ts_us: i64,
    print: u128,
    room: &'a str,
    o: u64,
}

impl<'a> Items<'a> {
    fn push(&mut self, item: Item<'a>) {
        self.0.push(item);
        if self.0.len() >= 2 * SNAPSHOT_EXTERNALS_MAX {
            self.settle();
        }
    }

    /// Puts them in order: of two with one key the later stays, and of all the newest.
    fn settle(&mut self) {
        let order = |item: &Item<'_>| (item.ts_us, item.print);
        self.0.sort_by_key(order);
        self.0.dedup_by(|later, kept| {
            let is_same = order(later) == order(kept);
            if is_same {
                std::mem::swap(later, kept);
            }
            is_same
        });
        let excess = self.0.len().saturating_sub(SNAPSHOT_EXTERNALS_MAX);
        self.0.drain(..excess);
    }

    fn iter(&self) -> impl Iterator<Item = (Key<'a>, Kept<'a>)> + '_ {
        self.0.iter().map(|item| {
            let Item { ts_us, print, room, o } = *item;
            let (user, cid) = ("", "");
            (external_key(ts_us, print), Kept::Seen { ts_us, room, user, o, print, cid })
        })
    }
}

impl<'a> News<'a> {
    fn keep(&mut self, key: Key<'a>, kept: Kept<'a>) {
        if let (Section::Externals, Kept::Seen { ts_us, room, o, print, .. }) = (key.section, kept)
        {
            return self.items.push(Item { ts_us, print, room, o });
        }
        match self.kept.entry(key) {
            // A room is made once; whoever made it first owns it.
            Slot::Occupied(_) if key.class == Class::Created => {}
            Slot::Occupied(mut slot) => {
                slot.insert(kept);
            }
            Slot::Vacant(slot) => {
                slot.insert(kept);
            }
        }
    }

    /// All of it in order.
    fn iter(&self) -> impl Iterator<Item = (Key<'a>, Kept<'a>)> + '_ {
        let first = external_key(i64::MIN, 0);
        let copied = |(key, kept): (&Key<'a>, &Kept<'a>)| (*key, *kept);
        let before = self.kept.range(..first).map(copied);
        before.chain(self.items.iter()).chain(self.kept.range(first..).map(copied))
    }

    /// Notes that a room gave out a position.
    fn place(&mut self, placed: Placed<'a>) {
        let Placed { room, o, ts_us } = placed;
        let epoch = self.epochs.last().map_or(UNKNOWN_EPOCH, |(_, epoch)| *epoch);
        let index = self.epochs.len();
        let runs = self.runs.entry(room).or_default();
        match runs.last_mut() {
            // A position is given once: the first record that has it holds.
            Some((_, Kept::Run { last, .. })) if o <= *last => {}
            Some((known, Kept::Run { ts_us: at, last, .. })) if *known == index => {
                *last = o;
                *at = ts_us;
            }
            _ => runs.push((index, Kept::Run { ts_us, room, epoch, first: o, last: o })),
        }
    }

    fn begin_epoch(&mut self, ts_us: i64, epoch: u64) {
        if self.epochs.last().is_none_or(|(_, last)| *last != epoch) {
            self.epochs.push((ts_us, epoch));
        }
    }

    /// Takes in the records of the segments, in order.
    fn read(&mut self, parts: &'a [Segment], options: &FoldOptions<'_>) {
        let horizon = Horizon::at(options.now_us);
        for part in parts {
            for entry in part.entries() {
                if entry.seq % STOP_EVERY == 0 && (options.stop)() {
                    return;
                }
                if let Some(RecordView::Epoch(epoch)) = entry.view() {
                    self.begin_epoch(epoch.ts_us.to_native(), epoch.epoch.to_native());
                    continue;
                }
                let mut keep = |key, kept| self.keep(key, kept);
                if let Some(placed) = apply(&entry, horizon, options.print, &mut keep) {
                    self.place(placed);
                }
            }
        }
        for (room, runs) in std::mem::take(&mut self.runs) {
            self.kept.extend(runs.into_iter().map(|(index, run)| (run_key(room, index), run)));
        }
        self.items.settle();
    }
}

/// What the snapshot before says, in order of key.
fn old_state<'a>(
    base: &'a Snapshot,
    epochs: &[(i64, u64)],
    options: &FoldOptions<'_>,
) -> impl Iterator<Item = (Key<'a>, Kept<'a>)> {
    let horizon = Horizon::at(options.now_us);
    let print = options.print;
    // An epoch comes twice only when it went on over a start, and is listed once then.
    let index_of: Map<u64, usize> =
        epochs.iter().enumerate().map(|(index, (_, epoch))| (*epoch, index + 1)).collect();
    base.entries().filter_map(move |entry| {
        if let Some(RecordView::Run(run)) = entry.view() {
            let (room, ts_us) = (entry.room(), run.ts_us.to_native());
            let epoch = run.epoch.to_native();
            let (first, last) = (run.first.to_native(), run.last.to_native());
            let index = index_of.get(&epoch).copied().unwrap_or(0);
            return Some((run_key(room, index), Kept::Run { ts_us, room, epoch, first, last }));
        }
        // What else such a record means has a record of its own here.
        let message = matches!(entry.view(), Some(RecordView::Message(_) | RecordView::Status(_)));
        let mut found = None;
        let _ = apply(&entry, horizon, print, &mut |key, kept| {
            if !message || matches!(key.class, Class::Outgoing | Class::Called) {
                found = Some((key, kept));
            }
        });
        found
    })
}

/// Writes the merged snapshot. `None`: it was to stop.
fn write(
    log_dir: &Path,
    seq: u64,
    base: Option<&Snapshot>,
    parts: &[Segment],
    options: &FoldOptions<'_>,
) -> Result<Option<(u64, u64)>, LogError> {
    let mut news = News::default();
    let old_epochs = base.into_iter().flat_map(Snapshot::entries).map_while(|entry| {
        let RecordView::Epoch(epoch) = entry.view()? else { return None };
        Some((epoch.ts_us.to_native(), epoch.epoch.to_native()))
    });
    news.epochs = old_epochs.collect();
    let old_epochs = news.epochs.clone();
    news.read(parts, options);
    if (options.stop)() {
        return Ok(None);
    }
    let mut writer = begin(log_dir, seq, parts, &news, options)?;
    let old = || base.into_iter().flat_map(|base| old_state(base, &old_epochs, options));
    let item_count = news.items.0.len();
    let most = base.map_or(0, Snapshot::record_count) + item_count;
    let excess = if most <= SNAPSHOT_EXTERNALS_MAX {
        0
    } else {
        let old_count = old().filter(|(key, _)| key.section == Section::Externals).count();
        (old_count + item_count).saturating_sub(SNAPSHOT_EXTERNALS_MAX)
    };
    let sorted = Cell::new(true);
    let all = merge(while_sorted(old(), &sorted), news.iter());
    let mut kept = write_all(&mut writer, all, excess, options)?;
    if !sorted.get() {
        // An erasure gave other names to what was in order.
        drop(writer);
        writer = begin(log_dir, seq, parts, &news, options)?;
        let mut all = BTreeMap::new();
        for (key, kept) in old().chain(news.iter()) {
            let joined = all.get(&key).map_or(kept, |before| join(key, *before, kept));
            all.insert(key, joined);
        }
        kept = write_all(&mut writer, all.into_iter(), excess, options)?;
    }
    if kept { writer.finish().map(Some) } else { Ok(None) }
}

/// A file with the epochs in it.
fn begin(
    log_dir: &Path,
    seq: u64,
    parts: &[Segment],
    news: &News<'_>,
    options: &FoldOptions<'_>,
) -> Result<Writer, LogError> {
    let mut writer = Writer::create(log_dir, header(seq, parts, options))?;
    for (ts_us, epoch) in &news.epochs {
        writer.epoch(*ts_us, *epoch)?;
    }
    Ok(writer)
}

/// Ends before the first pair that is out of order, and says so.
fn while_sorted<'a>(
    pairs: impl Iterator<Item = (Key<'a>, Kept<'a>)>,
    sorted: &Cell<bool>,
) -> impl Iterator<Item = (Key<'a>, Kept<'a>)> {
    let mut last = None;
    pairs.take_while(move |(key, _)| {
        sorted.set(sorted.get() && last.is_none_or(|last| last <= *key));
        last = Some(*key);
        sorted.get()
    })
}

/// Writes what stays, without the first `excess` items of platforms. `false`: it was to stop.
fn write_all<'a>(
    writer: &mut Writer,
    all: impl Iterator<Item = (Key<'a>, Kept<'a>)>,
    mut excess: usize,
    options: &FoldOptions<'_>,
) -> Result<bool, LogError> {
    let mut owner = ("", "");
    for (number, (key, kept)) in (0u64..).zip(all) {
        if number % STOP_EVERY == 0 && (options.stop)() {
            return Ok(false);
        }
        if key.section == Section::Externals && excess > 0 {
            excess -= 1;
            continue;
        }
        if let (Class::Created, Kept::Record { user, .. }) = (key.class, kept) {
            owner = (key.room, user);
        }
        if matches!(kept, Kept::Outgoing { done: true, .. } | Kept::Setting { gone: true, .. }) {
            continue;
        }
        // The end of a membership takes something back only from the room's maker.
        if matches!(kept, Kept::Member { gone: true, .. }) && (key.room, key.user) != owner {
            continue;
        }
        writer.push(&kept)?;
    }
    Ok(true)
}

fn header(seq: u64, parts: &[Segment], options: &FoldOptions<'_>) -> SegmentHeader {
    let last = &parts.last().expect("something is folded").scan().header;
    SegmentHeader {
        base_seq: seq,
        prev_base_seq: Some(last.base_seq),
        created_us: options.now_us,
        salt: last.salt.rotate_left(17) ^ seq ^ (options.now_us as u64).rotate_left(40),
        // It is as long as it is.
        segment_bytes: 0,
        start: last.start,
    }
}

/// Two sorted sequences as one. Of two with the same key the newer one stays; runs are joined.
fn merge<'a>(
    old: impl Iterator<Item = (Key<'a>, Kept<'a>)>,
    new: impl Iterator<Item = (Key<'a>, Kept<'a>)>,
) -> impl Iterator<Item = (Key<'a>, Kept<'a>)> {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    std::iter::from_fn(move || {
        let (Some((old_key, _)), Some((new_key, _))) = (old.peek(), new.peek()) else {
            return old.next().or_else(|| new.next());
        };
        match old_key.cmp(new_key) {
            std::cmp::Ordering::Less => old.next(),
            std::cmp::Ordering::Greater => new.next(),
            std::cmp::Ordering::Equal => {
                let ((key, before), (_, after)) = (old.next()?, new.next()?);
                Some((key, join(key, before, after)))
            }
        }
    })
}

fn join<'a>(key: Key<'a>, before: Kept<'a>, after: Kept<'a>) -> Kept<'a> {
    match (before, after) {
        (Kept::Run { first, last, .. }, Kept::Run { ts_us, room, epoch, first: f, last: l }) => {
            Kept::Run { ts_us, room, epoch, first: first.min(f), last: last.max(l) }
        }
        _ if key.class == Class::Created => before,
        _ => after,
    }
}

fn remove_older(log_dir: &Path) -> Result<(), LogError> {
    for (_, path) in list(log_dir)?.into_iter().skip(SNAPSHOTS_KEPT) {
        remove_if_there(&path)?;
    }
    Ok(())
}
