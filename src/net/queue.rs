//! The bytes that one connection still has to send.

use super::chunk::Slice;
use std::collections::VecDeque;

/// Slices in the order in which they leave. The first ones may be in flight: they are not touched
/// until their completion, so the kernel never reads freed memory.
///
/// One slice, the usual case of a room's member, lives in the connection itself; only more than one
/// need the heap, and an emptied queue gives that back.
///
/// Invariant: `first` is `None` exactly when the queue is empty; then `rest` is `None` too. `bytes`
/// is the sum of the slices' lengths.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    first: Option<Slice>,
    #[expect(clippy::box_collection, reason = "24 bytes less in every idle connection")]
    rest: Option<Box<VecDeque<Slice>>>,
    bytes: usize,
}

impl SendQueue {
    /// Bytes queued, those in flight included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Number of slices.
    pub(super) fn slice_count(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// The slice, when there is exactly one.
    pub(super) fn only(&self) -> Option<&Slice> {
        if self.rest.as_ref().is_none_or(|rest| rest.is_empty()) {
            self.first.as_ref()
        } else {
            None
        }
    }

    /// The slices in order.
    pub(super) fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.first.iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    /// Adds `slice` at the end. Growing the last slice is safe even when it is in flight: its send
    /// has its length already.
    pub(super) fn push(&mut self, slice: Slice) {
        if slice.is_empty() {
            return;
        }
        self.bytes += slice.len();
        let Some(first) = &mut self.first else {
            self.first = Some(slice);
            return;
        };
        let last = match &mut self.rest {
            Some(rest) => rest.back_mut().unwrap_or(first),
            None => first,
        };
        if let Err(slice) = last.merge(slice) {
            self.rest.get_or_insert_default().push_back(slice);
        }
    }

    /// Drops the first `count` bytes: the kernel has them.
    pub(super) fn advance(&mut self, count: usize) {
        assert!(count <= self.bytes);
        self.bytes -= count;
        let mut left = count;
        while let Some(first) = &mut self.first {
            if left < first.len() {
                first.advance(left);
                return;
            }
            left -= first.len();
            self.first = self.rest.as_mut().and_then(|rest| rest.pop_front());
        }
        assert!(left == 0);
        self.rest = None;
    }

    /// Drops everything. Only when no send is in flight.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::ChunkPool;
    use super::*;

    #[test]
    fn merges_and_advances_over_slices() {
        let pool = ChunkPool::new();
        let mut queue = SendQueue::default();
        queue.push(pool.append(b"ab"));
        queue.push(pool.append(b"cd"));
        assert_eq!((queue.slice_count(), queue.bytes()), (1, 4));
        queue.push(pool.chunk(b"efg".to_vec()).all());
        queue.push(pool.chunk(b"h".to_vec()).all());
        queue.push(pool.append(b""));
        assert_eq!((queue.slice_count(), queue.bytes()), (3, 8));
        check(&mut queue, 1, "bcdefgh");
        check(&mut queue, 0, "bcdefgh");
        check(&mut queue, 3, "efgh");
        check(&mut queue, 2, "gh");
        queue.push(pool.append(b"ij"));
        check(&mut queue, 2, "ij");
        check(&mut queue, 2, "");
        assert!(queue.is_empty() && queue.rest.is_none());
    }

    #[test]
    fn every_way_to_advance_gives_the_same_bytes() {
        let whole: Vec<u8> = (0..60).collect();
        for step in 1..=60 {
            let pool = ChunkPool::new();
            let mut queue = SendQueue::default();
            for piece in whole.chunks(7) {
                queue.push(pool.chunk(piece.to_vec()).all());
            }
            let mut sent = Vec::new();
            while !queue.is_empty() {
                let now = contents(&queue);
                let count = step.min(now.len());
                sent.extend_from_slice(&now[..count]);
                queue.advance(count);
            }
            assert_eq!(sent, whole, "step {step}");
        }
    }

    #[track_caller]
    fn check(queue: &mut SendQueue, advance: usize, want: &str) {
        queue.advance(advance);
        assert_eq!(contents(queue), want.as_bytes());
        assert_eq!(queue.bytes(), want.len());
    }

    fn contents(queue: &SendQueue) -> Vec<u8> {
        queue.slices().flat_map(|slice| slice.bytes().to_vec()).collect()
    }
}
