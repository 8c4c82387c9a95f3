//! Cold history: where in the log each event of each room stands. Owned by a plain thread.
//!
//! Costs 8 bytes an event: one place per position of a room, in a dense vector. The events
//! themselves are read from the maps.

use super::directory::LogError;
use super::reader::{Cursor, Entry, Log, RecordPosition};
use super::record::RecordView;
use crate::base::hash::Map;
use crate::base::ids::Offset;
use std::ops::RangeInclusive;

/// A jump of positions beyond this is not believed: no server skips that many.
const GAP_EVENTS_MAX: u64 = 1 << 20;

const NOWHERE: RecordPosition = RecordPosition { segment: u32::MAX, offset: u32::MAX };

const _: () = assert!(size_of::<RecordPosition>() == 8);

/// The index of all rooms over a [`Log`], both growing with it.
#[derive(Debug)]
pub struct Archive {
    log: Log,
    cursor: Cursor,
    rooms: Map<Box<str>, RoomIndex>,
    /// Events whose position made no sense.
    misplaced_count: u64,
}

/// Invariant: `places[i]` is the event at `first + i`, or [`NOWHERE`].
#[derive(Debug)]
struct RoomIndex {
    first: u64,
    places: Vec<RecordPosition>,
    /// Position of a message -> position of its latest edit or deletion.
    amended: Map<u64, u64>,
}

/// An event of a room's history.
#[derive(Clone, Copy)]
pub struct HistoryEvent<'a> {
    /// Its position in the room.
    pub o: Offset,
    /// The event.
    pub entry: Entry<'a>,
    /// The latest edit or deletion of it, if there is one.
    pub amendment: Option<Entry<'a>>,
}

impl Archive {
    /// Indexes all that `log` holds now.
    pub fn new(log: Log) -> Self {
        let mut archive =
            Self { log, cursor: Cursor::default(), rooms: Map::default(), misplaced_count: 0 };
        archive.absorb();
        archive
    }

    /// Looks for new records and indexes them.
    pub fn refresh(&mut self) -> Result<(), LogError> {
        if self.log.refresh()? {
            self.absorb();
        }
        Ok(())
    }

    /// The log under the index.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Position of the room's newest event; [`Offset`] 0 for a room without events.
    pub fn newest(&self, room: &str) -> Offset {
        self.rooms.get(room).map_or(Offset(0), |index| Offset(index.end() - 1))
    }

    /// Position of the oldest event that is still in the log; 0 for a room without events.
    pub fn oldest(&self, room: &str) -> Offset {
        self.rooms.get(room).map_or(Offset(0), |index| Offset(index.first))
    }

    /// Events whose position made no sense: 0 unless the log was written by something else.
    pub fn misplaced_count(&self) -> u64 {
        self.misplaced_count
    }

    /// Shows the room's events at `range`, ascending. Positions that the log does not hold are
    /// passed over.
    pub fn visit(
        &self,
        room: &str,
        range: RangeInclusive<Offset>,
        mut see: impl FnMut(HistoryEvent<'_>),
    ) {
        let Some(index) = self.rooms.get(room) else {
            return;
        };
        let first = range.start().0.max(index.first);
        let last = range.end().0.min(index.end() - 1);
        for o in first..=last {
            if let Some(event) = self.event(index, o) {
                see(event);
            }
        }
    }

    fn event<'a>(&'a self, index: &RoomIndex, o: u64) -> Option<HistoryEvent<'a>> {
        let entry = self.log.at(index.place(o)?)?;
        let amendment = index.amended.get(&o).and_then(|o| self.log.at(index.place(*o)?));
        Some(HistoryEvent { o: Offset(o), entry, amendment })
    }

    fn absorb(&mut self) {
        let Self { log, cursor, rooms, misplaced_count } = self;
        for entry in log.entries_from(*cursor) {
            let Some((o, target)) = placed(&entry) else {
                continue;
            };
            // A look-up per event, an allocation only per room.
            let index = match rooms.get_mut(entry.room()) {
                Some(index) => index,
                None => rooms.entry(entry.room().into()).or_insert_with(|| RoomIndex {
                    first: o.max(1),
                    places: Vec::new(),
                    amended: Map::default(),
                }),
            };
            if !index.put(o, target, entry.position) {
                *misplaced_count += 1;
            }
        }
        *cursor = log.end();
    }
}

impl RoomIndex {
    /// The position behind the newest event.
    fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    fn place(&self, o: u64) -> Option<RecordPosition> {
        let at = o.checked_sub(self.first)?;
        self.places.get(at as usize).copied().filter(|place| *place != NOWHERE)
    }

    /// `false`: the position cannot be meant.
    fn put(&mut self, o: u64, target: Option<u64>, place: RecordPosition) -> bool {
        let Some(at) = o.checked_sub(self.first) else {
            return false;
        };
        let count = self.places.len() as u64;
        if at > count + GAP_EVENTS_MAX || o > Offset::MAX.0 || o == 0 {
            return false;
        }
        if at >= count {
            self.places.resize(at as usize, NOWHERE);
            self.places.push(place);
        } else {
            // A position is given once, so the same one again follows damage: the later holds.
            self.places[at as usize] = place;
        }
        if let Some(target) = target {
            self.amended.insert(target, o);
        }
        true
    }
}

/// The position of an event of a room, and of the message it amends.
fn placed(entry: &Entry<'_>) -> Option<(u64, Option<u64>)> {
    match entry.view()? {
        RecordView::Message(message) => Some((message.o.to_native(), None)),
        RecordView::Edit(edit) => Some((edit.o.to_native(), Some(edit.target.to_native()))),
        RecordView::Delete(delete) => Some((delete.o.to_native(), Some(delete.target.to_native()))),
        RecordView::Member(member) => Some((member.o.to_native(), None)),
        RecordView::Room(room) => Some((room.o.to_native(), None)),
        _ => None,
    }
}
