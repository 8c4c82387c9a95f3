//! The end of a room's history that is kept in memory: enough for every resume and for the pages
//! people look at; older events are read from the log.

use super::event::{Frame, Name, Recalled};
use crate::base::ids::Offset;
use crate::base::limits::{ROOM_TAIL_BYTES_MAX, ROOM_TAIL_EVENTS_MAX};
use std::collections::VecDeque;

/// One durable event of a room.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it was sent.
    pub frame: Frame,
    /// For a message: its author.
    pub author: Option<Name>,
    /// For a message that was changed: its latest form.
    pub latest: Option<Frame>,
    /// For a message: 1 when new, one more for each edit.
    pub version: u32,
    /// Whether it was taken back.
    pub deleted: bool,
}

/// The last events of a room, without holes.
///
/// Invariant: `entries` are the offsets `top - len + 1 ..= top`.
#[derive(Debug, Default)]
pub struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
    top: Offset,
}

impl Tail {
    /// The newest offset of the room, 0 when it has none.
    pub fn top(&self) -> Offset {
        self.top
    }

    /// The oldest offset in memory; `top + 1` when there is none.
    pub fn first(&self) -> Offset {
        Offset(self.top.0 + 1 - self.entries.len() as u64)
    }

    /// Adds the event at `o`. A hole before `o` (a holed log at start) empties the tail first.
    pub fn push(&mut self, o: Offset, entry: Entry) {
        assert!(o > self.top);
        if o.0 != self.top.0 + 1 {
            self.entries.clear();
            self.bytes = 0;
        }
        self.bytes += entry.frame.len();
        self.top = o;
        // Before it is added: one above the bound would double the room that the entries take.
        while self.entries.len() >= ROOM_TAIL_EVENTS_MAX || self.bytes > ROOM_TAIL_BYTES_MAX {
            let Some(old) = self.entries.pop_front() else { break };
            self.bytes -= old.frame.len();
        }
        self.entries.push_back(entry);
        assert!(self.entries.len() <= ROOM_TAIL_EVENTS_MAX);
    }

    /// The room has events up to `top`, of which none is in memory.
    pub fn skip_to(&mut self, top: Offset) {
        if top > self.top {
            *self = Self { top, ..Self::default() };
        }
    }

    /// The event at `o`, if it is in memory.
    pub fn get(&self, o: Offset) -> Option<&Entry> {
        self.entries.get(o.0.checked_sub(self.first().0)? as usize)
    }

    /// The event at `o`, to change.
    pub fn get_mut(&mut self, o: Offset) -> Option<&mut Entry> {
        let first = self.first();
        self.entries.get_mut(o.0.checked_sub(first.0)? as usize)
    }

    /// Shows every event in memory, oldest first, to be changed.
    pub fn update(&mut self, mut change: impl FnMut(Offset, &mut Entry)) {
        let first = self.first();
        for (n, entry) in self.entries.iter_mut().enumerate() {
            let before = entry.frame.len();
            change(Offset(first.0 + n as u64), entry);
            self.bytes = self.bytes - before + entry.frame.len();
        }
    }

    /// Forgets the events; the next one still gets the position behind them.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// The events from `from` on that are in memory, with their offsets.
    pub fn since(&self, from: Offset) -> impl DoubleEndedIterator<Item = (Offset, &Entry)> + '_ {
        let first = self.first();
        let skip = (from.0.saturating_sub(first.0) as usize).min(self.entries.len());
        let begin = first.0 + skip as u64;
        let entries = self.entries.range(skip..).enumerate();
        entries.map(move |(n, entry)| (Offset(begin + n as u64), entry))
    }

    /// The events of `first..=last` that are in memory, as if they had been read from the log.
    pub fn recall(&self, first: Offset, last: Offset) -> Vec<Recalled> {
        let events = self.since(first).take_while(|(o, _)| *o <= last);
        let recalled = events.map(|(o, entry)| Recalled {
            o,
            frame: entry.frame.clone(),
            latest: entry.latest.clone(),
            is_message: entry.author.is_some(),
        });
        recalled.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(size: usize) -> Entry {
        let frame = "x".repeat(size).into();
        Entry { frame, author: None, latest: None, version: 1, deleted: false }
    }

    #[test]
    fn keeps_the_newest_within_both_bounds() {
        let mut tail = Tail::default();
        assert_eq!((tail.first(), tail.top()), (Offset(1), Offset(0)));
        for o in 1..=1_000 {
            tail.push(Offset(o), entry(10));
        }
        assert_eq!(tail.entries.capacity(), ROOM_TAIL_EVENTS_MAX, "no room for more is kept");
        assert_eq!(tail.top(), Offset(1_000));
        assert_eq!(tail.first().0, 1_001 - ROOM_TAIL_EVENTS_MAX as u64);
        assert!(tail.get(Offset(1)).is_none());
        assert!(tail.get(Offset(1_001)).is_none());
        assert!(tail.get(Offset(1_000)).is_some());
        assert_eq!(tail.recall(Offset(998), Offset(999)).len(), 2);
        for o in 1_001..=1_100 {
            tail.push(Offset(o), entry(ROOM_TAIL_BYTES_MAX / 4));
        }
        assert!(tail.entries.len() <= 4);
        tail.push(Offset(1_101), entry(ROOM_TAIL_BYTES_MAX * 2));
        assert_eq!(tail.entries.len(), 1);
    }

    #[test]
    fn a_hole_starts_afresh() {
        let mut tail = Tail::default();
        tail.push(Offset(1), entry(1));
        tail.push(Offset(5), entry(1));
        assert_eq!((tail.first(), tail.top()), (Offset(5), Offset(5)));
        assert_eq!(tail.since(Offset(1)).next().map(|(o, _)| o), Some(Offset(5)));
    }
}
