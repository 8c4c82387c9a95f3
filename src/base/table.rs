//! Side data of connections whose ids another slab gives out.

use super::ids::ConnId;

const PAGE_SLOTS: usize = 128;

/// Values keyed by a foreign [`ConnId`]. Grows by pages; a stale id finds nothing.
#[derive(Debug)]
pub struct Table<T> {
    pages: Vec<Option<Box<Page<T>>>>,
    len: usize,
}

type Page<T> = [Option<(u32, T)>; PAGE_SLOTS];

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T> Table<T> {
    /// Number of live values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no value is live.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Files `value` under `id`, whose slot must be empty: its last tenant was removed first.
    pub fn insert(&mut self, id: ConnId, value: T) {
        let page_index = id.index as usize / PAGE_SLOTS;
        if self.pages.len() <= page_index {
            self.pages.resize_with(page_index + 1, || None);
        }
        let page = self.pages[page_index].get_or_insert_with(|| Box::new([const { None }; _]));
        let slot = &mut page[id.index as usize % PAGE_SLOTS];
        assert!(slot.is_none());
        *slot = Some((id.generation, value));
        self.len += 1;
    }

    /// The value of `id`, if that very connection has one.
    pub fn get(&self, id: ConnId) -> Option<&T> {
        let page = self.pages.get(id.index as usize / PAGE_SLOTS)?.as_ref()?;
        match &page[id.index as usize % PAGE_SLOTS] {
            Some((generation, value)) if *generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// The value of `id`, to change.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        match self.slot(id)? {
            Some((generation, value)) if *generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// Takes the value of `id` out.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        let slot = self.slot(id)?;
        if slot.as_ref()?.0 != id.generation {
            return None;
        }
        let (_, value) = slot.take()?;
        self.len -= 1;
        Some(value)
    }

    /// All ids with a value, in index order.
    pub fn ids(&self) -> Vec<ConnId> {
        let pages = self.pages.iter().enumerate();
        let slots = pages.flat_map(|(page_index, page)| {
            page.iter().flat_map(|page| page.iter().enumerate()).filter_map(move |(n, slot)| {
                let (generation, _) = slot.as_ref()?;
                let index = (page_index * PAGE_SLOTS + n) as u32;
                Some(ConnId { index, generation: *generation })
            })
        });
        slots.collect()
    }

    fn slot(&mut self, id: ConnId) -> Option<&mut Option<(u32, T)>> {
        let page = self.pages.get_mut(id.index as usize / PAGE_SLOTS)?.as_mut()?;
        Some(&mut page[id.index as usize % PAGE_SLOTS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_connection_finds_its_value() {
        let mut table = Table::default();
        let old = ConnId { index: 300, generation: 1 };
        let new = ConnId { index: 300, generation: 2 };
        table.insert(old, "old");
        assert_eq!(table.get(new), None);
        assert_eq!(table.remove(new), None);
        assert_eq!(table.remove(old), Some("old"));
        table.insert(new, "new");
        assert_eq!(table.get_mut(old), None);
        assert_eq!(table.get(new), Some(&"new"));
        assert_eq!(table.ids(), [new]);
        assert_eq!(table.len(), 1);
    }
}
