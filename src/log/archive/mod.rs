//! Cold history of any age: where in the log each event of each room stands. Owned by a plain
//! thread.
//!
//! ```text
//!   question ─▶ segments, newest first ─▶ which hold the room? ─▶ places ─▶ rows, batch by batch
//!                 sealed: section `history` of the sidecar, mapped
//!                 open:   an index in memory, growing with it
//! ```
//!
//! Nothing is read at start. A segment's index is opened when a question first needs it, its rows
//! when a record of it is read; both are let go of again when others are needed more. A sealed
//! segment without a sidecar gets its index made once, in memory.
//!
//! Files may go (retention) or be replaced (erasure) meanwhile: [`Archive::refresh`] sees that by
//! their inodes, and until then the old maps answer.

mod index;
mod segment;

#[cfg(test)]
mod tests;

pub use index::{Amendment, ArchivedHistory, History, HistoryMade, HistoryRoom, HistoryUser};
pub use segment::{Told, history_of};

use super::catalog::{SegmentInfo, read_header};
use super::directory::{Listed, LogError, list_files};
use super::format::{HeaderError, SegmentHeader};
use super::reader::ProblemKind;
use super::sidecar::{SectionId, Sidecar};
use crate::base::ids::Offset;
use index::RoomRef;
use rkyv::rancor::Failure;
use rkyv::util::AlignedVec;
use segment::{Growing, Rows};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Segments whose rows stay mapped between questions.
const ROWS_MAX: usize = 64;
/// Indexes made in memory, 4 MiB each, that are kept between questions.
const MADE_MAX: usize = 16;
/// Positions that one question looks at; who wants more asks again.
pub const WALK_EVENTS_MAX: u64 = 1_024;

/// The history of all rooms of a log that a server may be writing.
#[derive(Debug)]
pub struct Archive {
    log_dir: PathBuf,
    /// Oldest first.
    segments: Vec<Held>,
    /// Counts uses, to find the least recent one.
    uses: u64,
    /// Another file was met in the place of one that was listed.
    met_other: bool,
}

/// A segment, opened as far as questions needed it.
#[derive(Debug)]
struct Held {
    base_seq: u64,
    /// Records from this number on stand in the next segment; 2^64-1 for the newest.
    until_seq: u64,
    inode: u64,
    path: PathBuf,
    state: State,
    /// Of the file that the index is of; an erasure puts another in its place.
    salt: u64,
    rows: Option<Rows>,
    used: u64,
}

#[derive(Debug)]
enum State {
    /// Not looked at.
    Closed,
    /// The newest segment.
    Growing(Box<Growing>),
    /// A whole segment whose sidecar fits.
    Sealed(Sidecar),
    /// A whole segment without a sidecar; the index was made here.
    Made(Box<AlignedVec>),
    /// It cannot be read, or none of it counts.
    Bad,
}

/// An event of a room's history.
#[derive(Clone, Copy)]
pub struct HistoryEvent<'a> {
    /// Its position in the room.
    pub o: Offset,
    /// The event.
    pub event: Told<'a>,
    /// The latest edit or deletion of it, if there is one.
    pub amendment: Option<Told<'a>>,
}

/// Where an event stands: index of the segment, and place in it.
type Place = (usize, u32);

impl Archive {
    /// Lists the segments of `log_dir`, and opens none of them.
    pub fn open(log_dir: &Path) -> Result<Self, LogError> {
        let (log_dir, segments) = (log_dir.to_path_buf(), Vec::new());
        let mut archive = Self { log_dir, segments, uses: 0, met_other: false };
        archive.refresh()?;
        Ok(archive)
    }

    /// Looks for new records, and for files that came, went or were replaced.
    pub fn refresh(&mut self) -> Result<(), LogError> {
        let listed = list_files(&self.log_dir)?;
        let ends: Vec<u64> = listed.iter().map(|file| file.base_seq).collect();
        let mut before: BTreeMap<u64, Held> =
            self.segments.drain(..).map(|held| (held.base_seq, held)).collect();
        for (index, file) in listed.into_iter().enumerate() {
            let until_seq = ends.get(index + 1).copied().unwrap_or(u64::MAX);
            let known = before.remove(&file.base_seq).filter(|held| held.inode == file.inode);
            let mut held = known.unwrap_or_else(|| Held::new(file));
            held.refresh(until_seq);
            self.segments.push(held);
        }
        Ok(())
    }

    /// Whether answers since the last call may lack events, because an erasure put another file in
    /// the place of one: then [`Archive::refresh`] and ask again.
    pub fn take_met_other(&mut self) -> bool {
        std::mem::take(&mut self.met_other)
    }

    /// Position of the room's newest event; [`Offset`] 0 for a room without events.
    pub fn newest(&mut self, room: &str) -> Offset {
        for index in (0..self.segments.len()).rev() {
            if let Some(found) = self.room(index, room) {
                return Offset(found.end() - 1);
            }
        }
        Offset(0)
    }

    /// Position of the oldest event that is still in the log; 0 for a room without events.
    pub fn oldest(&mut self, room: &str) -> Offset {
        for index in 0..self.segments.len() {
            if let Some(found) = self.room(index, room) {
                return Offset(found.first());
            }
        }
        Offset(0)
    }

    /// Shows the room's events at `range`, ascending or (`back`) descending, until `see` says
    /// `false`. Positions that the log does not hold are passed over. Gives the position it came
    /// to: all of the range up to there was shown. At most [`WALK_EVENTS_MAX`] positions.
    pub fn walk(
        &mut self,
        room: &str,
        range: RangeInclusive<Offset>,
        back: bool,
        mut see: impl FnMut(HistoryEvent<'_>) -> bool,
    ) -> Offset {
        let (mut first, mut last) = (range.start().0, range.end().0);
        if back {
            first = first.max(last.saturating_sub(WALK_EVENTS_MAX - 1));
        } else {
            last = last.min(first.saturating_add(WALK_EVENTS_MAX - 1));
        }
        let found = self.find(room, first, last);
        let mut reached = Offset(if back { first } else { last });
        if found.is_empty() {
            let range = (range.start().0, range.end().0);
            reached = Offset(self.over_gap(room, range, (first, last), back));
        }
        let mut show = |(o, (place, amendment)): (u64, (Place, Option<Place>))| {
            self.open_rows(place.0);
            amendment.iter().for_each(|place| self.open_rows(place.0));
            let Some(event) = self.told(place) else {
                return true;
            };
            let amendment = amendment.and_then(|place| self.told(place));
            let more = see(HistoryEvent { o: Offset(o), event, amendment });
            if !more {
                reached = Offset(o);
            }
            more
        };
        if back {
            found.into_iter().rev().all(&mut show);
        } else {
            found.into_iter().all(&mut show);
        }
        self.let_go();
        reached
    }

    /// Nothing is at `looked` of `range`: the position before the next event, so that a gap of any
    /// size is one question.
    fn over_gap(&mut self, room: &str, range: (u64, u64), looked: (u64, u64), back: bool) -> u64 {
        let (first, last) = looked;
        let mut reached = if back { range.0 } else { range.1 };
        for index in 0..self.segments.len() {
            let Some(there) = self.room(index, room) else {
                continue;
            };
            reached = if back {
                let next = first.checked_sub(1).and_then(|o| there.last_at(o));
                next.map_or(reached, |o| reached.max((o + 1).min(first)))
            } else {
                let next = there.next_at(last.saturating_add(1));
                next.map_or(reached, |o| reached.min((o - 1).max(last)))
            };
        }
        reached
    }

    /// The room's first event at or after a moment, microseconds; `None` when there is none yet.
    pub fn first_since(&mut self, room: &str, since_us: i64) -> Option<Offset> {
        let mut found = None;
        for index in 0..self.segments.len() {
            if self.room(index, room).is_some_and(|room| room.max_us() >= since_us) {
                self.open_rows(index);
                found = self.first_since_in(index, room, since_us);
                if found.is_some() {
                    break;
                }
            }
        }
        self.let_go();
        found
    }

    fn first_since_in(&self, index: usize, name: &str, since_us: i64) -> Option<Offset> {
        let room = self.segments[index].room(name)?;
        let (first, end) = (room.first(), room.end());
        // The first event at or behind `o` that can be read, and whether it is late enough.
        let at = |o: u64| {
            let mut next = room.next_at(o);
            while let Some(o) = next {
                let told = room.place(o).and_then(|place| self.told((index, place)));
                if let Some(ts_us) = told.and_then(|told| told.record.ts_us()) {
                    return Some((o, ts_us >= since_us));
                }
                next = room.next_at(o + 1);
            }
            None
        };
        if !room.rises() {
            let mut o = first;
            while let Some((there, late)) = at(o) {
                if late {
                    return Some(Offset(there));
                }
                o = there + 1;
            }
            return None;
        }
        let (mut low, mut high) = (first, end);
        while low < high {
            let middle = low + (high - low) / 2;
            match at(middle) {
                Some((o, false)) => low = o + 1,
                _ => high = middle,
            }
        }
        at(low).map(|(o, _)| Offset(o))
    }

    /// Places of the events at `first..=last` and of what amends them last.
    fn find(&mut self, room: &str, first: u64, last: u64) -> BTreeMap<u64, (Place, Option<Place>)> {
        let mut found: BTreeMap<u64, (Place, Option<Place>)> = BTreeMap::new();
        let mut amending = Vec::new();
        for index in (0..self.segments.len()).rev() {
            let Some(there) = self.room(index, room) else {
                continue;
            };
            if there.amends() {
                amending.push(index);
            }
            for o in first.max(there.first())..=last.min(there.end() - 1) {
                // Of two records with one position the later holds.
                if let (Some(place), Slot::Vacant(slot)) = (there.place(o), found.entry(o)) {
                    slot.insert(((index, place), None));
                }
            }
            if there.is_whole_from(first) {
                break;
            }
        }
        for (o, (_, amendment)) in &mut found {
            *amendment = amending
                .iter()
                .find_map(|index| Some((*index, self.segments[*index].room(room)?.amendment(*o)?)));
        }
        found
    }

    /// What the segment at `index` says of a room.
    fn room(&mut self, index: usize, room: &str) -> Option<RoomRef<'_>> {
        if matches!(self.segments[index].state, State::Closed) {
            let next = self.segments.get(index + 1).map(|held| held.path.clone());
            let next = next.and_then(|path| Some(read_header(&path).ok()?.0));
            self.segments[index].open(next.as_ref());
            let held = &self.segments[index];
            self.met_other |= held.until_seq != u64::MAX && matches!(held.state, State::Closed);
        }
        self.uses += 1;
        let held = &mut self.segments[index];
        held.used = self.uses;
        held.room(room)
    }

    fn open_rows(&mut self, index: usize) {
        self.met_other |= !self.segments[index].open_rows();
    }

    fn told(&self, (index, place): Place) -> Option<Told<'_>> {
        self.segments[index].told(place)
    }

    /// Closes what was not used for the longest time.
    fn let_go(&mut self) {
        let with_rows = |held: &Held| held.rows.is_some();
        while let Some(held) = self.least_used(with_rows, ROWS_MAX) {
            held.rows = None;
        }
        let made = |held: &Held| matches!(held.state, State::Made(_));
        while let Some(held) = self.least_used(made, MADE_MAX) {
            held.state = State::Closed;
        }
    }

    fn least_used(&mut self, of: impl Fn(&Held) -> bool, kept: usize) -> Option<&mut Held> {
        let count = self.segments.iter().filter(|held| of(held)).count();
        let candidates = self.segments.iter_mut().filter(|held| of(held));
        candidates.min_by_key(|held| held.used).filter(|_| count > kept)
    }
}

impl Held {
    fn new(file: Listed) -> Self {
        let Listed { base_seq, inode, path } = file;
        let (until_seq, state, rows) = (u64::MAX, State::Closed, None);
        Self { base_seq, until_seq, inode, path, state, salt: 0, rows, used: 0 }
    }

    fn refresh(&mut self, until_seq: u64) {
        let has_successor = until_seq != u64::MAX;
        let has_sidecar = matches!(self.state, State::Made(_)) && self.sidecar_path().exists();
        self.until_seq = until_seq;
        match &mut self.state {
            State::Growing(growing) if !has_successor => growing.refresh(),
            // It is read once more as a whole: its successor may have some of it again.
            State::Growing(_) | State::Bad => self.state = State::Closed,
            State::Made(_) if has_sidecar => self.state = State::Closed,
            State::Closed | State::Sealed(_) | State::Made(_) => {}
        }
    }

    fn sidecar_path(&self) -> PathBuf {
        self.path.with_file_name(Sidecar::file_name(self.base_seq))
    }

    /// Makes the index usable. `next` is the header of the segment behind this one.
    fn open(&mut self, next: Option<&SegmentHeader>) {
        let newest = self.until_seq == u64::MAX;
        self.state = match read_header(&self.path) {
            Ok((header, size_bytes)) if header.base_seq == self.base_seq => {
                self.salt = header.salt;
                // A successor that follows an older one says that nothing of this one counts.
                let counts =
                    next.is_none_or(|next| next.prev_base_seq.is_some_and(|p| p >= self.base_seq));
                let (path, until_seq) = (self.path.clone(), self.until_seq);
                let has_successor = next.is_some_and(|n| n.prev_base_seq == Some(self.base_seq));
                let info = SegmentInfo { path, header, until_seq, has_successor, size_bytes };
                match info.sidecar().filter(|_| !newest && counts) {
                    Some(sidecar) if history(&sidecar).is_some() => State::Sealed(sidecar),
                    _ if counts => self.read_whole(next),
                    _ => State::Bad,
                }
            }
            // Its writer is about to fill it.
            Err(ProblemKind::Header(HeaderError::Unborn)) if newest => State::Closed,
            _ => State::Bad,
        };
    }

    fn read_whole(&self, next: Option<&SegmentHeader>) -> State {
        let newest = self.until_seq == u64::MAX;
        match Growing::open(&self.path) {
            Ok(growing) if growing.header().salt != self.salt => State::Closed,
            Ok(mut growing) if newest => {
                growing.refresh();
                State::Growing(Box::new(growing))
            }
            Ok(mut growing) => {
                growing.finish(next);
                State::Made(growing.pack())
            }
            Err(_) => State::Bad,
        }
    }

    fn index(&self) -> Option<&ArchivedHistory> {
        match &self.state {
            State::Made(bytes) => rkyv::api::low::access::<_, Failure>(bytes).ok(),
            State::Sealed(sidecar) => history(sidecar),
            State::Closed | State::Growing(_) | State::Bad => None,
        }
    }

    fn room(&self, name: &str) -> Option<RoomRef<'_>> {
        match &self.state {
            State::Growing(growing) => growing.room(name),
            _ => self.index()?.room(name),
        }
    }

    /// Maps the rows, when they are those that the index is of. `false`: they are of another file.
    fn open_rows(&mut self) -> bool {
        if self.rows.is_some() || matches!(self.state, State::Growing(_)) {
            return true;
        }
        let Ok(rows) = Rows::open(&self.path) else { return true };
        let is_same = rows.header().salt == self.salt;
        self.rows = is_same.then_some(rows);
        is_same
    }

    fn told(&self, place: u32) -> Option<Told<'_>> {
        match &self.state {
            State::Growing(growing) => growing.at(place),
            _ => self.rows.as_ref()?.at(self.index()?, place),
        }
    }
}

fn history(sidecar: &Sidecar) -> Option<&ArchivedHistory> {
    sidecar.section(SectionId::HISTORY).ok().flatten()
}
