//! Names that the producers gave numbers, repeated in each segment that uses them.

use crate::log::batch::Framer;
use crate::log::record::{Kind, NameId, RawRecord, RecordHeader, RecordView};

/// Names that the producers gave numbers, and whether the open segment has them.
pub(super) struct Names {
    /// By producer: payload of the name record, and the number of the last segment that holds it.
    known: Vec<Vec<(Box<[u8]>, u64)>>,
    /// Counts segments, from 1.
    segment: u64,
}

impl Names {
    pub(super) fn new(producer_count: usize) -> Self {
        Self { known: vec![Vec::new(); producer_count], segment: 0 }
    }

    /// The next segment has none of them yet.
    pub(super) fn begin_segment(&mut self) {
        self.segment += 1;
    }

    /// Which producer gave out `id`, and how many it gave out before: see [`Producer::intern`].
    ///
    /// [`Producer::intern`]: crate::log::Producer::intern
    fn place(&self, id: NameId) -> (usize, usize) {
        let number = id.0 as usize - 1;
        (number % self.known.len(), number / self.known.len())
    }

    /// Frames `record` behind the names it needs. Returns the number of records framed.
    pub(super) fn frame(&mut self, record: &RawRecord<'_>, framer: &mut Framer) -> u64 {
        if record.kind() == Some(Kind::Name) {
            self.learn(record);
            return 0;
        }
        let mut count = 1;
        let used = [record.header.user, record.header.room];
        for id in used.into_iter().chain(record.command()) {
            count += self.repeat(id, framer);
        }
        framer.push(record);
        count
    }

    fn learn(&mut self, record: &RawRecord<'_>) {
        // SAFETY: a ring holds what `Producer::append` serialised for this kind, 8-aligned.
        let RecordView::Name(name) = (unsafe { RecordView::trust(Kind::Name, record.payload) })
        else {
            unreachable!("the view has the kind that was asked for");
        };
        let (producer, index) = self.place(NameId(name.id.to_native()));
        let known = &mut self.known[producer];
        assert!(index <= known.len(), "a producer counts its names one by one");
        // What comes a second time was taken before its segment failed.
        if index == known.len() {
            known.push((record.payload.into(), 0));
        }
    }

    /// Frames the name of `id` unless the open segment has it.
    fn repeat(&mut self, id: NameId, framer: &mut Framer) -> u64 {
        if id == NameId::NONE {
            return 0;
        }
        let (producer, index) = self.place(id);
        let known = self.known[producer].get_mut(index);
        let (payload, segment) = known.expect("a number is interned before it is used");
        if *segment == self.segment {
            return 0;
        }
        *segment = self.segment;
        let header = RecordHeader {
            payload_len: payload.len() as u32,
            tag: Kind::Name.tag(),
            flags: 0,
            user: NameId::NONE,
            room: NameId::NONE,
        };
        framer.push(&RawRecord { header, payload });
        1
    }
}
