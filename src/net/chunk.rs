//! Outgoing bytes: written once, shared by every socket that sends them, recycled when the last one
//! is done.
//!
//! A [`Chunk`] only ever grows within the capacity it was made with, so bytes that a [`Slice`]
//! names never move and never change: the kernel may read them at any time until the last slice is
//! gone. In steady state neither a chunk nor a slice allocates.

use crate::base::limits::SEND_CHUNK_BYTES;
use std::cell::{Ref, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

/// Memory that an idle pool keeps, bytes.
const SPARE_BYTES_MAX: usize = 4 << 20;
/// Memory blocks that an idle pool keeps.
const SPARES_MAX: usize = 1_024;

/// Bytes on their way out, counted by reference within one shard.
#[derive(Clone)]
pub struct Chunk {
    /// `None` only while dropping.
    block: Option<Rc<Block>>,
}

/// Invariant: `bytes` grows only within its capacity while more than one reference exists.
struct Block {
    bytes: RefCell<Vec<u8>>,
    pool: Weak<Pool>,
}

impl Chunk {
    /// Everything written so far. Bounded by 4 GiB.
    pub fn all(&self) -> Slice {
        self.slice(0, self.len())
    }

    /// The bytes from `begin` to before `end`.
    pub fn slice(&self, begin: usize, end: usize) -> Slice {
        assert!(begin <= end);
        assert!(end <= self.len());
        assert!(end <= u32::MAX as usize);
        Slice { chunk: self.clone(), begin: begin as u32, end: end as u32 }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.block().bytes.borrow().len()
    }

    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds `bytes` at the end, or `None` when the capacity does not suffice.
    pub fn append(&self, bytes: &[u8]) -> Option<Slice> {
        let mut written = self.block().bytes.borrow_mut();
        if written.capacity() - written.len() < bytes.len() {
            return None;
        }
        let begin = written.len();
        written.extend_from_slice(bytes);
        let end = written.len();
        drop(written);
        Some(self.slice(begin, end))
    }

    fn block(&self) -> &Rc<Block> {
        self.block.as_ref().expect("only drop takes the block")
    }

    fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(self.block(), other.block())
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let Some(mut block) = self.block.take() else { return };
        let Some(sole) = Rc::get_mut(&mut block) else { return };
        if let Some(pool) = sole.pool.upgrade() {
            sole.bytes.get_mut().clear();
            pool.keep(block);
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Chunk({} bytes)", self.len())
    }
}

/// A part of a chunk.
///
/// Invariant: `begin <= end <= chunk.len()`.
#[derive(Clone, Debug)]
pub struct Slice {
    chunk: Chunk,
    begin: u32,
    end: u32,
}

impl Slice {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        (self.end - self.begin) as usize
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// The bytes. Drop the answer before anything is appended to the chunk.
    pub fn bytes(&self) -> Ref<'_, [u8]> {
        let (begin, end) = (self.begin as usize, self.end as usize);
        Ref::map(self.chunk.block().bytes.borrow(), |bytes| &bytes[begin..end])
    }

    /// Where the bytes are, for as long as this slice or a clone of it lives.
    pub(super) fn as_ptr(&self) -> *const u8 {
        self.bytes().as_ptr()
    }

    /// Takes `next` in when it begins where this one ends; gives it back otherwise.
    pub(super) fn merge(&mut self, next: Self) -> Result<(), Self> {
        if self.end != next.begin || !self.chunk.is(&next.chunk) {
            return Err(next);
        }
        self.end = next.end;
        Ok(())
    }

    /// Drops the first `count` bytes.
    pub(super) fn advance(&mut self, count: usize) {
        assert!(count <= self.len());
        self.begin += count as u32;
    }
}

/// Makes chunks and takes their memory back. One per shard; a clone is another handle.
#[derive(Clone)]
pub struct ChunkPool {
    pool: Rc<Pool>,
}

struct Pool {
    spare: RefCell<Spare>,
    /// Where small messages are packed; replaced when full.
    current: RefCell<Option<Chunk>>,
}

/// Invariant: `bytes` is the sum of the capacities in `vecs`.
#[derive(Default)]
struct Spare {
    blocks: Vec<Rc<Block>>,
    vecs: Vec<Vec<u8>>,
    bytes: usize,
}

impl ChunkPool {
    /// An empty pool.
    pub fn new() -> Self {
        let pool = Pool { spare: RefCell::default(), current: RefCell::new(None) };
        Self { pool: Rc::new(pool) }
    }

    /// An empty vector, with the memory of an earlier chunk when there is one. Fill it and make it
    /// a chunk with [`ChunkPool::chunk`]: this is how a room encodes a turn for all its members.
    pub fn vec(&self) -> Vec<u8> {
        let mut spare = self.pool.spare.borrow_mut();
        let vec = spare.vecs.pop().unwrap_or_else(|| Vec::with_capacity(SEND_CHUNK_BYTES));
        spare.bytes = spare.bytes.saturating_sub(vec.capacity());
        vec
    }

    /// A chunk of these bytes, without a copy.
    pub fn chunk(&self, bytes: Vec<u8>) -> Chunk {
        let block = match self.pool.spare.borrow_mut().blocks.pop() {
            Some(mut block) => {
                let sole = Rc::get_mut(&mut block).expect("spare blocks are unshared");
                *sole.bytes.get_mut() = bytes;
                block
            }
            None => Rc::new(Block { bytes: RefCell::new(bytes), pool: Rc::downgrade(&self.pool) }),
        };
        Chunk { block: Some(block) }
    }

    /// Copies `bytes` behind those of the last call, so that replies of one turn share a chunk and
    /// merge in the queue. A slow peer therefore pins up to [`SEND_CHUNK_BYTES`] with one byte.
    pub fn append(&self, bytes: &[u8]) -> Slice {
        if bytes.len() > SEND_CHUNK_BYTES / 2 {
            let mut own = self.vec();
            own.extend_from_slice(bytes);
            return self.chunk(own).all();
        }
        let mut current = self.pool.current.borrow_mut();
        if let Some(slice) = current.as_ref().and_then(|chunk| chunk.append(bytes)) {
            return slice;
        }
        // The old chunk may come back to the pool right here, so it goes before the new one is
        // made.
        *current = None;
        let chunk = self.chunk(self.vec());
        let slice = chunk.append(bytes).expect("a fresh vector holds a small message");
        *current = Some(chunk);
        slice
    }

    /// Memory that waits for reuse, bytes.
    pub fn spare_bytes(&self) -> usize {
        self.pool.spare.borrow().bytes
    }
}

impl Default for ChunkPool {
    fn default() -> Self {
        Self::new()
    }
}

impl Pool {
    fn keep(&self, mut block: Rc<Block>) {
        let sole = Rc::get_mut(&mut block).expect("the last reference gives the block back");
        let vec = std::mem::take(sole.bytes.get_mut());
        let mut spare = self.spare.borrow_mut();
        let fits = spare.bytes + vec.capacity() <= SPARE_BYTES_MAX;
        // Smaller ones would break `append`, which relies on room for a small message.
        if fits && vec.capacity() >= SEND_CHUNK_BYTES && spare.vecs.len() < SPARES_MAX {
            spare.bytes += vec.capacity();
            spare.vecs.push(vec);
        }
        if spare.blocks.len() < SPARES_MAX {
            spare.blocks.push(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_share_a_chunk_and_merge() {
        let pool = ChunkPool::new();
        let mut first = pool.append(b"one ");
        let second = pool.append(b"two");
        assert!(first.merge(second).is_ok());
        assert_eq!(&*first.bytes(), b"one two");
        let other = pool.chunk(b"three".to_vec()).all();
        let back = first.merge(other).expect_err("another chunk");
        assert_eq!(&*back.bytes(), b"three");
        first.advance(4);
        assert_eq!(&*first.bytes(), b"two");
    }

    #[test]
    fn appending_never_moves_earlier_bytes() {
        let pool = ChunkPool::new();
        let mut slices = Vec::new();
        for number in 0..5_000_u32 {
            let slice = pool.append(&number.to_le_bytes());
            let address = slice.as_ptr();
            slices.push((number, slice, address));
        }
        for (number, slice, address) in slices {
            assert_eq!(&*slice.bytes(), &number.to_le_bytes());
            assert_eq!(slice.as_ptr(), address);
        }
    }

    #[test]
    fn memory_returns_with_the_last_reference() {
        let pool = ChunkPool::new();
        let mut bytes = pool.vec();
        bytes.extend_from_slice(b"turn");
        let address = bytes.as_ptr();
        let chunk = pool.chunk(bytes);
        let members: Vec<_> = (0..10).map(|_| chunk.all()).collect();
        drop(chunk);
        assert_eq!(pool.spare_bytes(), 0, "ten slices still hold it");
        drop(members);
        assert_eq!(pool.spare_bytes(), SEND_CHUNK_BYTES);
        let again = pool.vec();
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
    }

    #[test]
    fn a_pool_keeps_a_bounded_amount() {
        let pool = ChunkPool::new();
        let chunks: Vec<_> =
            (0..40).map(|_| pool.chunk(Vec::with_capacity(SPARE_BYTES_MAX / 8))).collect();
        drop(chunks);
        assert!(pool.spare_bytes() <= SPARE_BYTES_MAX);
        let outlived = pool.append(b"x");
        drop(pool);
        assert_eq!(&*outlived.bytes(), b"x");
    }

    #[test]
    fn large_messages_get_their_own_chunk() {
        let pool = ChunkPool::new();
        let large = vec![7; 3 * SEND_CHUNK_BYTES];
        let slice = pool.append(&large);
        assert_eq!(&*slice.bytes(), &large[..]);
    }
}
