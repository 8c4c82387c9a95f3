//! The names of one segment, by number, without copying their text.

use super::record::{NameId, NameKind};

const PAGE_NAMES: usize = 256;

/// Where a name stands in its segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NamePlace {
    pub(super) offset: u32,
    pub(super) len: u32,
    pub(super) kind: NameKind,
}

/// Number -> place. Numbers are dense over the life of a process, not over a segment, and a damaged
/// file may claim any; so pages are made only where a number falls.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    pages: Vec<Option<Box<[Option<NamePlace>; PAGE_NAMES]>>>,
}

impl NameTable {
    /// Keeps the first place: a number never changes its name within a segment.
    pub(super) fn insert(&mut self, id: NameId, place: NamePlace) {
        let page = id.0 as usize / PAGE_NAMES;
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| Box::new([None; PAGE_NAMES]));
        page[id.0 as usize % PAGE_NAMES].get_or_insert(place);
    }

    pub(super) fn get(&self, id: NameId) -> Option<NamePlace> {
        let page = self.pages.get(id.0 as usize / PAGE_NAMES)?.as_ref()?;
        page[id.0 as usize % PAGE_NAMES]
    }

    /// Every number that has a place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NameId, NamePlace)> + '_ {
        self.pages.iter().enumerate().flat_map(|(page, places)| {
            let places = places.as_ref().map_or(&[][..], |places| &places[..]);
            places.iter().enumerate().filter_map(move |(index, place)| {
                let id = NameId((page * PAGE_NAMES + index) as u32);
                place.map(|place| (id, place))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_numbers_cost_one_page() {
        let mut table = NameTable::default();
        let place = NamePlace { offset: 8, len: 2, kind: NameKind::Room };
        table.insert(NameId(u32::MAX), place);
        table.insert(NameId(u32::MAX), NamePlace { offset: 16, ..place });
        assert_eq!(table.get(NameId(u32::MAX)), Some(place));
        assert_eq!(table.get(NameId(u32::MAX - 1)), None);
        assert_eq!(table.get(NameId(7)), None);
        assert_eq!(table.iter().collect::<Vec<_>>(), [(NameId(u32::MAX), place)]);
    }
}
