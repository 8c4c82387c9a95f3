//! Where in one segment each event of each room stands.
//!
//! Made record by record while a segment grows, and packed into one archive when it is sealed: the
//! section `history` of its sidecar. Both answer the same questions.

use crate::base::hash::Map;
use crate::base::ids::Offset;
use crate::log::reader::Entry;
use crate::log::record::{NameId, RecordView};
use rkyv::{Archive, Serialize};
use std::collections::hash_map::Entry as Slot;

/// Missing positions that get a place each; more of them end a run, and cost nothing.
const GAP_EVENTS_MAX: u64 = 64;
/// Runs of one room behind which a position that goes back opens no further one: only damage makes
/// positions go back, and putting runs before others takes time.
const RUNS_BACK_MAX: usize = 1_024;
/// Stands for the place of an event that the segment does not hold.
const NOWHERE: u32 = u32::MAX;

/// The index of a sealed segment. Flat columns, so that reading it in place checks no more than
/// their bounds; places are offsets in the segment's file.
#[derive(Archive, Serialize, Debug, Default)]
pub struct History {
    /// The runs of the rooms, by name and first position.
    pub rooms: Vec<HistoryRoom>,
    /// The names of the rooms behind one another.
    pub room_names: Vec<u8>,
    /// Of each room in turn: where its events stand, by position; 2^32-1 for none.
    pub places: Vec<u32>,
    /// Of each room in turn: the latest edit or deletion of each message, by its position.
    pub amendments: Vec<Amendment>,
    /// The users of events, by number.
    pub users: Vec<HistoryUser>,
    /// Where the batches begin.
    pub batches: Vec<u32>,
}

/// A run of positions of a room of [`History`]: most rooms have one. What is said of times and
/// amendments is that of the whole room, in each of its runs.
#[derive(Archive, Serialize, Clone, Copy, Debug)]
pub struct HistoryRoom {
    /// Position of its first event.
    pub first: u64,
    /// Earliest time of its events, microseconds.
    pub min_us: i64,
    /// Latest time of its events.
    pub max_us: i64,
    /// Its name in [`History::room_names`].
    pub name_begin: u32,
    /// Bytes of its name.
    pub name_len: u32,
    /// Its part of [`History::places`].
    pub places_begin: u32,
    /// Positions from the run's first to its last.
    pub place_count: u32,
    /// Its part of [`History::amendments`].
    pub amendments_begin: u32,
    /// Number of its amended messages.
    pub amendment_count: u32,
    /// 1 when its times never go back.
    pub rises: u32,
}

/// An edit or a deletion.
#[derive(Archive, Serialize, Clone, Copy, Debug)]
pub struct Amendment {
    /// Position of the message.
    pub target: u64,
    /// Place of the record that amends it.
    pub place: u32,
}

/// The name of a user.
#[derive(Archive, Serialize, Clone, Copy, Debug)]
pub struct HistoryUser {
    /// The number that headers use.
    pub id: u32,
    /// Where the text stands in the segment.
    pub offset: u32,
    /// Its bytes.
    pub len: u32,
}

/// What an index says of one room.
#[derive(Clone, Copy)]
pub(super) enum RoomRef<'a> {
    Made(&'a RoomMade),
    Packed(&'a ArchivedHistory, &'a [ArchivedHistoryRoom]),
}

/// The index of a segment that may still grow.
#[derive(Debug, Default)]
pub struct HistoryMade {
    rooms: Vec<RoomMade>,
    by_name: Map<Box<str>, usize>,
    by_id: Map<NameId, usize>,
    /// Where the name of each user of an event stands.
    users: Map<NameId, (u32, u32)>,
}

/// Invariant: the runs ascend and do not touch; none is empty.
#[derive(Debug)]
pub(super) struct RoomMade {
    runs: Vec<Run>,
    amended: Map<u64, u32>,
    min_us: i64,
    max_us: i64,
    rises: bool,
}

/// Invariant: `places[i]` is the event at `first + i`, or [`NOWHERE`].
#[derive(Debug)]
struct Run {
    first: u64,
    places: Vec<u32>,
}

impl HistoryMade {
    /// Takes in the next record of the segment.
    pub fn absorb(&mut self, entry: &Entry<'_>) {
        let Some((o, target)) = placed(entry) else {
            return;
        };
        let (header, place) = (entry.record.header, entry.position.offset);
        let ts_us = entry.ts_us().unwrap_or(0);
        let index = match self.by_id.get(&header.room) {
            Some(index) => *index,
            None if entry.room().is_empty() => return,
            None => self.open_room(header.room, entry.room()),
        };
        self.rooms[index].put(o, target, place, ts_us);
        if let Slot::Vacant(slot) = self.users.entry(header.user)
            && let Some(place) = entry.user_place()
        {
            slot.insert(place);
        }
    }

    /// Two numbers may have the same name.
    fn open_room(&mut self, id: NameId, name: &str) -> usize {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                self.rooms.push(RoomMade {
                    runs: Vec::new(),
                    amended: Map::default(),
                    min_us: i64::MAX,
                    max_us: i64::MIN,
                    rises: true,
                });
                self.by_name.insert(name.into(), self.rooms.len() - 1);
                self.rooms.len() - 1
            }
        };
        self.by_id.insert(id, index);
        index
    }

    pub(super) fn room(&self, name: &str) -> Option<RoomRef<'_>> {
        let room = &self.rooms[*self.by_name.get(name)?];
        (!room.runs.is_empty()).then_some(RoomRef::Made(room))
    }

    /// The index of a segment that is whole now; `batches` are where its batches begin.
    pub fn pack(&self, batches: impl Iterator<Item = u32>) -> History {
        let mut names: Vec<_> = self.by_name.iter().collect();
        names.sort_unstable();
        let mut packed = History { batches: batches.collect(), ..History::default() };
        for (name, index) in names {
            let room = &self.rooms[*index];
            let (name_begin, begin) = (packed.room_names.len(), packed.amendments.len());
            packed.room_names.extend_from_slice(name.as_bytes());
            let amended = room.amended.iter();
            packed.amendments.extend(
                amended.map(|(target, place)| Amendment { target: *target, place: *place }),
            );
            packed.amendments[begin..].sort_unstable_by_key(|amendment| amendment.target);
            for run in &room.runs {
                packed.rooms.push(HistoryRoom {
                    first: run.first,
                    min_us: room.min_us,
                    max_us: room.max_us,
                    name_begin: name_begin as u32,
                    name_len: name.len() as u32,
                    places_begin: packed.places.len() as u32,
                    place_count: run.places.len() as u32,
                    amendments_begin: begin as u32,
                    amendment_count: room.amended.len() as u32,
                    rises: u32::from(room.rises),
                });
                packed.places.extend_from_slice(&run.places);
            }
        }
        let users = self.users.iter();
        packed.users = users
            .map(|(id, (offset, len))| HistoryUser { id: id.0, offset: *offset, len: *len })
            .collect();
        packed.users.sort_unstable_by_key(|user| user.id);
        packed
    }
}

impl RoomMade {
    /// A position that cannot be meant is passed over: no server gave it out.
    fn put(&mut self, o: u64, target: Option<u64>, place: u32, ts_us: i64) {
        if o > Offset::MAX.0 || o == 0 || !self.set_place(o, place) {
            return;
        }
        self.rises &= ts_us >= self.max_us;
        self.min_us = self.min_us.min(ts_us);
        self.max_us = self.max_us.max(ts_us);
        if let Some(target) = target {
            self.amended.insert(target, place);
        }
    }

    fn set_place(&mut self, o: u64, place: u32) -> bool {
        let behind = match self.runs.last() {
            Some(last) if o < last.first => self.runs.partition_point(|run| run.first <= o),
            _ => self.runs.len(),
        };
        let is_back = behind < self.runs.len();
        if let Some(run) = behind.checked_sub(1).map(|index| &mut self.runs[index]) {
            let (at, count) = (o - run.first, run.places.len() as u64);
            if at < count {
                // A position is given once, so the same one again follows damage: the later holds.
                run.places[at as usize] = place;
                self.rises = false;
                return true;
            }
            if at <= count + GAP_EVENTS_MAX {
                run.places.resize(at as usize, NOWHERE);
                run.places.push(place);
                self.rises &= !is_back;
                return true;
            }
        }
        if is_back && self.runs.len() >= RUNS_BACK_MAX {
            return false;
        }
        self.runs.insert(behind, Run { first: o, places: vec![place] });
        self.rises &= !is_back;
        true
    }
}

impl ArchivedHistory {
    pub(super) fn room(&self, name: &str) -> Option<RoomRef<'_>> {
        let name_of = |room: &ArchivedHistoryRoom| {
            let begin = room.name_begin.to_native() as usize;
            self.room_names.get(begin..begin + room.name_len.to_native() as usize)
        };
        let begin = self.rooms.partition_point(|room| name_of(room) < Some(name.as_bytes()));
        let there = &self.rooms[begin..];
        let count = there.partition_point(|room| name_of(room) == Some(name.as_bytes()));
        (count > 0).then_some(RoomRef::Packed(self, &there[..count]))
    }

    /// Where the name of a user stands in the segment.
    pub(super) fn user(&self, id: NameId) -> Option<(u32, u32)> {
        let at = self.users.binary_search_by_key(&id.0, |user| user.id.to_native()).ok()?;
        let user = &self.users[at];
        Some((user.offset.to_native(), user.len.to_native()))
    }
}

impl RoomRef<'_> {
    fn run_count(&self) -> usize {
        match self {
            Self::Made(room) => room.runs.len(),
            Self::Packed(_, runs) => runs.len(),
        }
    }

    /// First position of a run, and the one behind its last.
    fn run(&self, index: usize) -> (u64, u64) {
        let (first, count) = match self {
            Self::Made(room) => {
                let run = &room.runs[index];
                (run.first, run.places.len() as u64)
            }
            Self::Packed(_, runs) => {
                let run = &runs[index];
                (run.first.to_native(), u64::from(run.place_count.to_native()))
            }
        };
        (first, first.saturating_add(count))
    }

    /// The runs that begin at or before `o`.
    fn runs_until(&self, o: u64) -> usize {
        match self {
            Self::Made(room) => room.runs.partition_point(|run| run.first <= o),
            Self::Packed(_, runs) => runs.partition_point(|run| run.first.to_native() <= o),
        }
    }

    /// Position of the room's first event in the segment.
    pub fn first(&self) -> u64 {
        self.run(0).0
    }

    /// Position behind its last event.
    pub fn end(&self) -> u64 {
        self.run(self.run_count() - 1).1
    }

    /// Whether no older segment can have a position from `o` on: not so sure when positions jump.
    pub fn is_whole_from(&self, o: u64) -> bool {
        self.run_count() == 1 && self.first() <= o
    }

    /// The first position at or behind `o` that may have a place.
    pub fn next_at(&self, o: u64) -> Option<u64> {
        let behind = self.runs_until(o);
        if behind > 0 && o < self.run(behind - 1).1 {
            return Some(o);
        }
        (behind < self.run_count()).then(|| self.run(behind).0)
    }

    /// The last position at or before `o` that may have a place.
    pub fn last_at(&self, o: u64) -> Option<u64> {
        let behind = self.runs_until(o);
        (behind > 0).then(|| o.min(self.run(behind - 1).1 - 1))
    }

    pub fn max_us(&self) -> i64 {
        match self {
            Self::Made(room) => room.max_us,
            Self::Packed(_, runs) => runs[0].max_us.to_native(),
        }
    }

    /// Whether its times never go back.
    pub fn rises(&self) -> bool {
        match self {
            Self::Made(room) => room.rises,
            Self::Packed(_, runs) => runs[0].rises.to_native() == 1,
        }
    }

    /// Where the event at `o` stands.
    pub fn place(&self, o: u64) -> Option<u32> {
        let index = self.runs_until(o).checked_sub(1)?;
        let (first, end) = self.run(index);
        if o >= end {
            return None;
        }
        let at = (o - first) as usize;
        let place = match self {
            Self::Made(room) => room.runs[index].places[at],
            Self::Packed(history, runs) => {
                let begin = runs[index].places_begin.to_native() as usize;
                history.places.get(begin + at)?.to_native()
            }
        };
        (place != NOWHERE).then_some(place)
    }

    /// Whether it amends any message.
    pub fn amends(&self) -> bool {
        match self {
            Self::Made(room) => !room.amended.is_empty(),
            Self::Packed(_, runs) => runs[0].amendment_count.to_native() > 0,
        }
    }

    /// Where the latest edit or deletion of the message at `target` stands.
    pub fn amendment(&self, target: u64) -> Option<u32> {
        match self {
            Self::Made(room) => room.amended.get(&target).copied(),
            Self::Packed(history, runs) => {
                let begin = runs[0].amendments_begin.to_native() as usize;
                let end = begin + runs[0].amendment_count.to_native() as usize;
                let all = history.amendments.get(begin..end)?;
                let at = all.binary_search_by_key(&target, |one| one.target.to_native()).ok()?;
                Some(all[at].place.to_native())
            }
        }
    }
}

/// The position of an event of a room, and of the message it amends.
fn placed(entry: &Entry<'_>) -> Option<(u64, Option<u64>)> {
    let (o, target) = match entry.view()? {
        RecordView::Message(message) => (message.o.to_native(), None),
        RecordView::Edit(edit) => (edit.o.to_native(), Some(edit.target.to_native())),
        RecordView::Delete(delete) => (delete.o.to_native(), Some(delete.target.to_native())),
        RecordView::Member(member) => (member.o.to_native(), None),
        RecordView::Room(room) => (room.o.to_native(), None),
        RecordView::Conversation(change) => (change.o.to_native(), None),
        _ => return None,
    };
    // The making of a room has no position.
    (o > 0).then_some((o, target))
}
