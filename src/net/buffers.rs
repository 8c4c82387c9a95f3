//! The receive buffers that all connections of a shard share.
//!
//! The kernel takes a buffer from the ring when bytes have arrived, never before, so an idle
//! connection owns none. A [`Buffer`] is the exclusive owner of one until it is dropped, which puts
//! it back: no buffer can be lost or returned twice.

use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

/// The kernel asks for page alignment of the entries.
const PAGE_BYTES: usize = 4_096;

/// The ring of free buffers, shared with the kernel.
pub(super) struct BufferRing {
    shared: Rc<Shared>,
}

/// Invariant: each buffer is either in the kernel's ring or owned by exactly one [`Buffer`];
/// `free_count` counts the former.
struct Shared {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    buffer_count: u16,
    buffer_bytes: u32,
    /// Next entry to write; wraps. The kernel sees it through the ring's tail field.
    tail: Cell<u16>,
    free_count: Cell<u16>,
}

impl BufferRing {
    /// Memory for `count` buffers (a power of two) of `bytes` each, all free.
    pub(super) fn new(count: u16, bytes: usize) -> Self {
        assert!(count.is_power_of_two());
        assert!(bytes > 0 && bytes <= 1 << 20);
        let shared = Shared {
            entries: allocate(entries_layout(count)).cast(),
            memory: allocate(memory_layout(count, bytes as u32)),
            buffer_count: count,
            buffer_bytes: bytes as u32,
            tail: Cell::new(0),
            free_count: Cell::new(0),
        };
        for id in 0..count {
            shared.put(id);
        }
        Self { shared: Rc::new(shared) }
    }

    /// Address of the entries, for registration.
    pub(super) fn address(&self) -> u64 {
        self.shared.entries.as_ptr() as u64
    }

    /// Buffers that the kernel can take now.
    pub(super) fn free_count(&self) -> u16 {
        self.shared.free_count.get()
    }

    /// Buffers in all.
    pub(super) fn count(&self) -> u16 {
        self.shared.buffer_count
    }

    /// Takes over buffer `id`, of which a completion said that it holds `len` bytes.
    pub(super) fn take(&self, id: u16, len: usize) -> Buffer {
        let shared = &self.shared;
        assert!(id < shared.buffer_count);
        assert!(len <= shared.buffer_bytes as usize);
        shared.free_count.set(shared.free_count.get().checked_sub(1).expect("one was free"));
        Buffer { shared: Rc::clone(shared), id, len: len as u32 }
    }
}

impl Shared {
    fn at(&self, id: u16) -> NonNull<u8> {
        assert!(id < self.buffer_count);
        // SAFETY: `id` is below the number of buffers that `memory` was allocated for.
        unsafe { self.memory.add(id as usize * self.buffer_bytes as usize) }
    }

    fn put(&self, id: u16) {
        let address = self.at(id).as_ptr() as u64;
        let tail = self.tail.get();
        let index = (tail & (self.buffer_count - 1)) as usize;
        // SAFETY: `index` is within the entries. The kernel reads entries only before the tail, and
        // since every buffer is in the ring at most once, the one written here is behind its head.
        // Field writes go through the crate's setters, which leave the tail (in entry 0) alone.
        let entry = unsafe { &mut *self.entries.as_ptr().add(index) };
        entry.set_addr(address);
        entry.set_len(self.buffer_bytes);
        entry.set_bid(id);
        let tail = tail.wrapping_add(1);
        self.tail.set(tail);
        self.free_count.set(self.free_count.get() + 1);
        // SAFETY: the tail field is 2-aligned and lives as long as the entries.
        let shared_tail =
            unsafe { &*BufRingEntry::tail(self.entries.as_ptr().cast_const()).cast::<AtomicU16>() };
        // Release: the kernel must see the entry before it sees the tail.
        shared_tail.store(tail, Ordering::Release);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: both came from `allocate` with the same layouts; the driver has unregistered the
        // ring and drained its receives before it let go of this.
        unsafe {
            dealloc(self.entries.as_ptr().cast(), entries_layout(self.buffer_count));
            let layout = memory_layout(self.buffer_count, self.buffer_bytes);
            dealloc(self.memory.as_ptr(), layout);
        }
    }
}

fn entries_layout(count: u16) -> Layout {
    let bytes = size_of::<BufRingEntry>() * count as usize;
    Layout::from_size_align(bytes, PAGE_BYTES).expect("bounded")
}

fn memory_layout(count: u16, bytes: u32) -> Layout {
    Layout::from_size_align(count as usize * bytes as usize, PAGE_BYTES).expect("bounded")
}

fn allocate(layout: Layout) -> NonNull<u8> {
    assert!(layout.size() > 0);
    // SAFETY: the size is not zero.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Received bytes. Goes back to the shard's ring on drop; hold it no longer than the turn, for when
/// all are held nobody receives.
pub struct Buffer {
    shared: Rc<Shared>,
    id: u16,
    len: u32,
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the kernel gave this buffer up with its completion, only this value names it
        // until drop, and `len` is within it.
        unsafe { std::slice::from_raw_parts(self.shared.at(self.id).as_ptr(), self.len as usize) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let address = self.shared.at(self.id).as_ptr();
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(address, self.len as usize) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.shared.put(self.id);
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Buffer({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_on_drop() {
        let ring = BufferRing::new(4, 64);
        assert_eq!(ring.free_count(), 4);
        let mut first = ring.take(2, 5);
        first.copy_from_slice(b"hello");
        let second = ring.take(0, 64);
        assert_eq!(ring.free_count(), 2);
        assert_eq!((&*first, second.len()), (&b"hello"[..], 64));
        drop(second);
        drop(first);
        assert_eq!(ring.free_count(), 4);
    }

    #[test]
    fn a_buffer_outlives_its_ring() {
        let ring = BufferRing::new(2, 64);
        let mut kept = ring.take(1, 3);
        drop(ring);
        kept.copy_from_slice(b"abc");
        assert_eq!(&*kept, b"abc");
    }

    #[test]
    fn the_tail_wraps() {
        let ring = BufferRing::new(2, 64);
        for _ in 0..70_000 {
            drop(ring.take(1, 1));
        }
        assert_eq!(ring.free_count(), 2);
    }
}
