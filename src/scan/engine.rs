//! Asks every segment in parallel and joins the answers in the order of the log.
//!
//! A report says what it wants of one segment (`part`) and how two answers become one (`merge`).
//! Parts run on several threads, each on its own segment, and read columns: from the sidecar when
//! there is one, else from columns made of the rows. Nothing of a segment outlives its part, so a
//! part counts by the numbers of [`AllNames`], and texts are looked up at the end:
//!
//! ```ignore
//! let mut counts: Vec<u64> = Vec::new();
//! job.scan.run(
//!     &job.filter,
//!     |view| {
//!         let messages = view.table(TableKind::Messages);
//!         let (users, numbers) = (messages.codes(NameSet::Users), view.numbers(NameSet::Users));
//!         messages.rows().map(|row| numbers[users.at(row)]).collect::<Vec<u32>>()
//!     },
//!     |part| part.into_iter().for_each(|number| bump(&mut counts, number)),
//! );
//! let users = job.scan.names(NameSet::Users); // users.text(number)
//! ```
//!
//! `view.text(off)` and `view.record(off)` read the row itself; its batch is checked first.

use super::filter::Filter;
use super::names::AllNames;
use super::select::{Selection, select};
use crate::log::catalog::{Catalog, SegmentView};
use crate::log::record::{Kind, RawRecord, RecordView};
use crate::log::sidecar::{Codes, Column, NameSet, Sidecar, TableKind, Times, Wide};
use rkyv::rend::{u16_le, u32_le};
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, mpsc};

/// Threads that make parts of many rows.
const ROW_THREADS_MAX: usize = 2;

/// How far a scan is: segments that are done, and all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes of the segments that are done.
    pub done_bytes: u64,
    /// Bytes of all segments.
    pub all_bytes: u64,
}

/// The log of a scan, and the names that it met.
pub(super) struct Scan<'a> {
    shared: Shared,
    thread_count: usize,
    progress: RefCell<&'a mut dyn FnMut(Progress)>,
}

/// What the threads of a scan share.
struct Shared {
    catalog: Catalog,
    names: [Mutex<AllNames>; NameSet::ALL.len()],
}

/// A segment with the rows that the filter wants.
pub(super) struct View<'s> {
    index: usize,
    segment: SegmentView<'s>,
    filter: &'s Filter,
    shared: &'s Shared,
    selections: [OnceCell<Selection>; TableKind::ALL.len()],
    numbers: [OnceCell<Vec<u32>>; NameSet::ALL.len()],
}

/// A table of a segment with the rows that the filter wants.
#[derive(Clone, Copy)]
pub(super) struct Table<'v> {
    segment: &'v SegmentView<'v>,
    kind: TableKind,
    selection: &'v Selection,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        catalog: Catalog,
        thread_count: usize,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        assert!(thread_count > 0);
        let names = Default::default();
        let shared = Shared { catalog, names };
        Self { shared, thread_count, progress: RefCell::new(progress) }
    }

    /// The segments.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    /// Says how far a report is that walks the segments by itself.
    pub(super) fn tell(&self, done_bytes: u64) {
        let segments = self.shared.catalog.segments();
        let all_bytes = segments.iter().map(|segment| segment.size_bytes).sum();
        (self.progress.borrow_mut())(Progress { done_bytes, all_bytes });
    }

    /// The names that the parts met. Not for use inside a part.
    pub(super) fn names(&self, set: NameSet) -> MutexGuard<'_, AllNames> {
        self.shared.names(set)
    }

    /// Looks into one segment; for questions that do not need all.
    pub(super) fn view<'s>(&'s self, filter: &'s Filter, index: usize) -> View<'s> {
        self.shared.view(filter, index)
    }

    /// Runs `part` over every segment, and `merge` over what it gave, oldest segment first.
    pub(super) fn run<P: Send>(
        &self,
        filter: &Filter,
        part: impl Fn(&View<'_>) -> P + Sync,
        merge: impl FnMut(P),
    ) {
        self.run_on(self.thread_count, filter, part, merge);
    }

    /// [`Scan::run`] for parts that say something of every row: only few are made at a time,
    /// because memory must not grow with the number of threads, and one thread merges them anyway.
    pub(super) fn run_rows<P: Send>(
        &self,
        filter: &Filter,
        part: impl Fn(&View<'_>) -> P + Sync,
        merge: impl FnMut(P),
    ) {
        self.run_on(self.thread_count.min(ROW_THREADS_MAX), filter, part, merge);
    }

    fn run_on<P: Send>(
        &self,
        thread_count: usize,
        filter: &Filter,
        part: impl Fn(&View<'_>) -> P + Sync,
        mut merge: impl FnMut(P),
    ) {
        let segments = self.shared.catalog.segments();
        let all_bytes = segments.iter().map(|segment| segment.size_bytes).sum();
        let mut done_bytes = 0;
        let mut finish = |index: usize, answer: P| {
            merge(answer);
            done_bytes += segments[index].size_bytes;
            (self.progress.borrow_mut())(Progress { done_bytes, all_bytes });
        };
        let thread_count = thread_count.min(segments.len());
        if thread_count <= 1 {
            for index in 0..segments.len() {
                finish(index, part(&self.shared.view(filter, index)));
            }
            return;
        }
        let (next, lead) = (AtomicUsize::new(0), Lead::default());
        let (give, take) = mpsc::sync_channel(thread_count);
        std::thread::scope(|scope| {
            // However this ends, nobody waits for it.
            let _end = EndOfLead(&lead);
            for _ in 0..thread_count {
                let (give, next, part, lead) = (give.clone(), &next, &part, &lead);
                let shared = &self.shared;
                scope.spawn(move || {
                    let end = EndOfLead(lead);
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= segments.len() {
                            std::mem::forget(end);
                            return;
                        }
                        lead.wait(index, thread_count);
                        let answer = part(&shared.view(filter, index));
                        if give.send((index, answer)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(give);
            // Answers come as they are ready; they are merged in the order of the log.
            let mut early = BTreeMap::new();
            let mut due = 0;
            for (index, answer) in take {
                early.insert(index, answer);
                while let Some(answer) = early.remove(&due) {
                    finish(due, answer);
                    due += 1;
                    lead.merged(due);
                }
            }
        });
    }
}

/// Keeps the threads of a scan near to what is merged: answers are large, and one slow segment
/// must not gather those of all behind it.
#[derive(Default)]
struct Lead {
    /// Answers merged so far.
    merged: Mutex<usize>,
    moved: Condvar,
}

impl Lead {
    /// Waits until the answer of the segment at `index` will be one of the next `ahead_max` or so.
    fn wait(&self, index: usize, ahead_max: usize) {
        let merged = self.merged.lock().expect("nothing panics under this lock");
        let is_far = |merged: &mut usize| index > merged.saturating_add(ahead_max);
        drop(self.moved.wait_while(merged, is_far).expect("nothing panics under this lock"));
    }

    fn merged(&self, count: usize) {
        let mut merged = self.merged.lock().expect("nothing panics under this lock");
        *merged = count.max(*merged);
        drop(merged);
        self.moved.notify_all();
    }
}

/// Lets all go on when a part or the merging panics, so that the panic is heard.
struct EndOfLead<'l>(&'l Lead);

impl Drop for EndOfLead<'_> {
    fn drop(&mut self) {
        self.0.merged(usize::MAX);
    }
}

impl Shared {
    fn view<'s>(&'s self, filter: &'s Filter, index: usize) -> View<'s> {
        let catalog = &self.catalog;
        View {
            index,
            segment: catalog.view(&catalog.segments()[index]),
            filter,
            shared: self,
            selections: Default::default(),
            numbers: Default::default(),
        }
    }

    fn names(&self, set: NameSet) -> MutexGuard<'_, AllNames> {
        self.names[set.index()].lock().expect("nothing panics under this lock")
    }
}

impl View<'_> {
    /// The wanted rows of a table.
    pub(super) fn table(&self, kind: TableKind) -> Table<'_> {
        let selection =
            self.selections[kind.index()].get_or_init(|| select(&self.segment, self.filter, kind));
        Table { segment: &self.segment, kind, selection }
    }

    /// Numbers of [`Scan::names`] by the segment's own codes.
    pub(super) fn numbers(&self, set: NameSet) -> &[u32] {
        self.numbers[set.index()].get_or_init(|| {
            let names = self.segment.ask(|sidecar| sidecar.names(set));
            let start = self.segment.info().header.start;
            self.shared.names(set).join(start, &names)
        })
    }

    /// Its place among the segments.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The segment itself.
    pub(super) fn segment(&self) -> &SegmentView<'_> {
        &self.segment
    }

    /// The record of a row, checked and validated; `None` when its bytes are damaged.
    pub(super) fn record(&self, off: u32) -> Option<(RawRecord<'_>, RecordView<'_>)> {
        let record = self.segment.record(off)?;
        let view = RecordView::check(record.kind()?, record.payload)?;
        Some((record, view))
    }

    /// The text of a message; empty when its bytes are damaged.
    pub(super) fn text(&self, off: u32) -> &str {
        let record = self.segment.record(off).filter(|one| one.kind() == Some(Kind::Message));
        let text = record.and_then(|record| record.message_text());
        text.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl<'v> Table<'v> {
    /// Number of wanted rows.
    pub(super) fn len(&self) -> usize {
        self.selection.len()
    }

    /// The wanted rows, ascending: indexes into the columns.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> + 'v {
        self.selection.rows()
    }

    /// The wanted rows as ranges, for loops over slices.
    pub(super) fn ranges(&self) -> &'v [std::ops::Range<usize>] {
        self.selection.ranges()
    }

    /// Times of all rows.
    pub(super) fn times(&self) -> Times<'v> {
        self.segment.ask(|sidecar| sidecar.times(self.kind))
    }

    /// Codes of all rows; [`View::numbers`] makes numbers of them.
    pub(super) fn codes(&self, set: NameSet) -> Codes<'v> {
        self.segment.ask(|sidecar| sidecar.codes(self.kind, set))
    }

    /// Places of all rows, for [`View::record`] and [`View::text`]; also their order in the segment
    /// across tables.
    pub(super) fn offs(&self) -> &'v [u32_le] {
        self.segment.ask(|sidecar| sidecar.u32s(self.kind, Column::Off))
    }

    /// Positions in the room; of messages only.
    pub(super) fn positions(&self) -> Wide<'v> {
        self.segment.ask(|sidecar: &'v Sidecar| sidecar.positions(self.kind))
    }

    /// A column of bytes: source, direction, status, outcome, action.
    pub(super) fn bytes(&self, column: Column) -> &'v [u8] {
        self.segment.ask(|sidecar| sidecar.bytes(self.kind, column))
    }

    /// A column of 16-bit numbers: size, close code, tag.
    pub(super) fn u16s(&self, column: Column) -> &'v [u16_le] {
        self.segment.ask(|sidecar| sidecar.u16s(self.kind, column))
    }

    /// A column of 32-bit numbers: error, duration.
    pub(super) fn u32s(&self, column: Column) -> &'v [u32_le] {
        self.segment.ask(|sidecar| sidecar.u32s(self.kind, column))
    }
}
