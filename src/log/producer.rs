//! A shard's end of the log: appending never allocates, never waits, never makes a system call.

use super::handle::{AckPolicy, LogState, Shared};
use super::record::{
    ALIGN, NameId, NameKind, NameV1, RECORD_HEADER_BYTES, Record, RecordHeader, serialize_into,
};
use super::ring::RingWriter;
use crate::base::hash::Map;
use crate::base::ids::{LogPosition, ShardId};
use crate::base::limits::RECORD_BYTES_MAX;
use std::fmt;
use std::sync::Arc;

/// The log takes nothing now: the ring is full, or the log is (see [`Producer::state`]). The caller
/// answers `log_full`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingFull;

impl fmt::Display for RingFull {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the log takes nothing now")
    }
}

impl std::error::Error for RingFull {}

/// Appends records of one shard.
///
/// The ring keeps a record until its policy holds for it, so a full ring means that the disk is
/// behind by [`LOG_RING_BYTES`](crate::base::limits::LOG_RING_BYTES).
pub struct Producer {
    shard: ShardId,
    ring: RingWriter,
    shared: Arc<Shared>,
    interned: [Map<Box<str>, NameId>; NameKind::ALL.len()],
    interned_count: u32,
    /// Appends up to here were announced by [`Producer::wake`].
    woken: LogPosition,
}

impl Producer {
    pub(super) fn new(shard: ShardId, ring: RingWriter, shared: Arc<Shared>) -> Self {
        let interned = std::array::from_fn(|_| Map::default());
        Self { shard, ring, shared, interned, interned_count: 0, woken: LogPosition(0) }
    }

    /// The shard it belongs to.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Appends `record`. The position says when it is safe: when [`Producer::acked`] reaches it.
    ///
    /// `user` and `room` come from [`Producer::intern`] of this producer, or are
    /// [`NameId::NONE`].
    ///
    /// # Panics
    ///
    /// When the record is larger than [`RECORD_BYTES_MAX`]: its maker must bound or split it.
    pub fn append<R: Record>(
        &mut self,
        user: NameId,
        room: NameId,
        record: &R,
    ) -> Result<LogPosition, RingFull> {
        if self.shared.state() != LogState::Ok {
            return Err(RingFull);
        }
        let slot = self.ring.free(RECORD_BYTES_MAX);
        let Some((head, body)) = slot.split_first_chunk_mut::<RECORD_HEADER_BYTES>() else {
            return Err(RingFull);
        };
        let Some(payload_len) = serialize_into(record, body) else {
            let fits_never = slot.len() == RECORD_BYTES_MAX;
            assert!(!fits_never, "a {} record is too large for the log", R::KIND.name());
            return Err(RingFull);
        };
        let header = RecordHeader {
            payload_len: payload_len as u32,
            tag: R::KIND.tag(),
            flags: 0,
            user,
            room,
        };
        *head = header.encode();
        // The place held older records: what stands behind the payload must be zeros.
        body[payload_len..payload_len.next_multiple_of(ALIGN)].fill(0);
        Ok(self.ring.append(header.stride()))
    }

    /// The number of a name, for headers and [`CommandV1`](super::record::CommandV1). The first
    /// time it appends a record that gives the number its name.
    pub fn intern(&mut self, kind: NameKind, name: &str) -> Result<NameId, RingFull> {
        let map = kind as usize - 1;
        if let Some(id) = self.interned[map].get(name) {
            return Ok(*id);
        }
        // Every producer counts in steps, so that no two give out the same number.
        let step = self.shared.watermarks.len() as u32;
        let id = NameId(1 + self.interned_count * step + u32::from(self.shard.0));
        let record = NameV1 { id: id.0, text: name, kind: kind as u8 };
        self.append(NameId::NONE, NameId::NONE, &record)?;
        self.interned_count += 1;
        self.interned[map].insert(name.into(), id);
        Ok(id)
    }

    /// Wakes the log thread if something was appended since the last call. Call once per turn.
    pub fn wake(&mut self) {
        if self.woken != self.ring.appended() {
            self.woken = self.ring.appended();
            self.shared.wake();
        }
    }

    /// Bytes that can be appended now: 0 when the log takes nothing.
    pub fn free_bytes(&mut self) -> usize {
        if self.shared.state() != LogState::Ok {
            return 0;
        }
        self.ring.free(usize::MAX).len()
    }

    /// Bytes ever appended.
    pub fn appended(&self) -> LogPosition {
        self.ring.appended()
    }

    /// Records up to here may be acknowledged, by the policy of the log.
    pub fn acked(&self) -> LogPosition {
        match self.shared.policy {
            AckPolicy::Memory => self.ring.appended(),
            AckPolicy::Os => self.committed(),
            AckPolicy::Fsync => self.durable(),
        }
    }

    /// Records up to here are in the kernel: readers of the files see them.
    pub fn committed(&self) -> LogPosition {
        self.shared.committed(usize::from(self.shard.0))
    }

    /// Records up to here are on the disk.
    pub fn durable(&self) -> LogPosition {
        self.shared.durable(usize::from(self.shard.0))
    }

    /// Whether the log takes records.
    pub fn state(&self) -> LogState {
        self.shared.state()
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Producer").field("shard", &self.shard).finish_non_exhaustive()
    }
}
