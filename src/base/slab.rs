//! A slab of generations: stable indices, reused slots, and no way to reach a slot's next tenant
//! with its last tenant's id.
//!
//! Storage grows in fixed pages instead of doubling, so that ten thousand idle connections cost ten
//! thousand slots and not sixteen thousand.

use super::ids::ConnId;

const PAGE_SLOTS: usize = 128;

/// Values addressed by [`ConnId`].
///
/// Invariant: a slot is in `free` exactly when its value is `None`; generations only grow.
#[derive(Debug)]
pub struct Slab<T> {
    pages: Vec<Box<[Slot<T>]>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    /// Number of live values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no value is live.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `value` in and gives its id, which no value of this slab has had before.
    pub fn insert(&mut self, value: T) -> ConnId {
        if self.free.is_empty() {
            self.grow();
        }
        let index = self.free.pop().expect("a grown slab has free slots");
        let slot = self.slot_mut(index).expect("free indices exist");
        assert!(slot.value.is_none());
        slot.value = Some(value);
        let generation = slot.generation;
        self.len += 1;
        ConnId { index, generation }
    }

    /// The value with this id, unless it was removed.
    pub fn get(&self, id: ConnId) -> Option<&T> {
        let index = id.index as usize;
        let slot = self.pages.get(index / PAGE_SLOTS)?.get(index % PAGE_SLOTS)?;
        if slot.generation == id.generation { slot.value.as_ref() } else { None }
    }

    /// The value with this id, to change, unless it was removed.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        let slot = self.slot_mut(id.index)?;
        if slot.generation == id.generation { slot.value.as_mut() } else { None }
    }

    /// Takes the value out; its id is dead from now on.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        let slot = self.slot_mut(id.index)?;
        if slot.generation != id.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.checked_add(1).unwrap_or(1);
        self.free.push(id.index);
        self.len -= 1;
        Some(value)
    }

    /// All live ids, in index order.
    pub fn ids(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.iter().map(|(id, _)| id)
    }

    /// All live values with their ids, in index order.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> + '_ {
        self.pages.iter().flat_map(|page| page.iter()).enumerate().filter_map(|(index, slot)| {
            let id = ConnId { index: index as u32, generation: slot.generation };
            slot.value.as_ref().map(|value| (id, value))
        })
    }

    fn grow(&mut self) {
        let begin = self.pages.len() * PAGE_SLOTS;
        assert!(begin + PAGE_SLOTS <= u32::MAX as usize);
        let page = (0..PAGE_SLOTS).map(|_| Slot { generation: 1, value: None }).collect();
        self.pages.push(page);
        self.free.extend((begin..begin + PAGE_SLOTS).rev().map(|index| index as u32));
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        self.pages.get_mut(index as usize / PAGE_SLOTS)?.get_mut(index as usize % PAGE_SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_id_never_reaches_the_next_tenant() {
        let mut slab = Slab::default();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(first.index, second.index);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn grows_by_pages_and_reuses() {
        let mut slab = Slab::default();
        let ids: Vec<_> = (0..1_000).map(|n| slab.insert(n)).collect();
        assert_eq!(slab.len(), 1_000);
        assert_eq!(slab.ids().count(), 1_000);
        for &id in &ids {
            assert!(slab.remove(id).is_some());
        }
        assert!(slab.is_empty());
        let again: Vec<_> = (0..1_000).map(|n| slab.insert(n)).collect();
        assert!(again.iter().all(|id| id.index < 1_024));
        assert_eq!(slab.get(ConnId { index: 9_999, generation: 1 }), None);
    }
}
