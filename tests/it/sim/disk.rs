//! The log on a disk that loses power: the real framing and recovery over bytes in memory.
//!
//! ```text
//!  hub ─append─▶ ring ─drain─▶ framer ─write─▶ kernel (committed) ─sync─▶ platters (durable)
//! ```
//!
//! A killed process loses the rings. A power cut also loses any 512-byte sectors that were written
//! and not synced, each by itself. What a record says is kept beside the disk; the bytes on it hold
//! its number, so that only what recovery finds again is known after a crash.

use super::plan::{Plan, Plant, Policy};
use super::prng::Rng;
use ringpost::base::ids::EpochId;
use ringpost::base::limits::{LOG_RING_BYTES, SEGMENT_BYTES};
use ringpost::chat::event::Record;
use ringpost::log::batch::{self, FLAG_SEAL, Framer, SYNC_ALIGN};
use ringpost::log::format::SegmentHeader;
use ringpost::log::record::{NameId, RawRecord, RecordHeader};
use ringpost::log::recovery::{Ending, scan};
use std::collections::VecDeque;

/// What the disk does with power.
const SECTOR_BYTES: usize = 512;
/// A segment is closed beyond this, so that runs see many.
const ROTATE_BYTES: usize = 96 * 1_024;
/// A type of record that the format does not know: readers carry it and look no further.
const TAG: u16 = 30;

/// What stands in the log.
#[derive(Clone, PartialEq, Debug)]
pub enum Logged {
    /// A fact of the domain.
    Fact(Record),
    /// An epoch began.
    Epoch(EpochId),
    /// The server stopped in order.
    Stop,
}

/// How the server ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// In order.
    Stop,
    /// The process dies; the kernel lives.
    Kill,
    /// The machine dies.
    PowerCut,
}

/// What the log thread can do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// All.
    Ok,
    /// No space: appends wait in the rings.
    Full,
    /// A sync failed: nothing ever again.
    Failed,
}

/// The log of one node.
#[derive(Debug)]
pub struct Disk {
    /// See [`State`].
    pub state: State,
    policy: Policy,
    barrier: bool,
    stored: Vec<Logged>,
    rings: Vec<Ring>,
    segments: Vec<Segment>,
    framer: Framer,
    start: u32,
}

/// One shard's way into the log. Numbers count its appends.
#[derive(Clone, Debug, Default)]
struct Ring {
    waiting: VecDeque<(usize, usize)>,
    waiting_bytes: usize,
    appended: u64,
    framed: u64,
    committed: u64,
    durable: u64,
}

#[derive(Debug)]
struct Segment {
    header: SegmentHeader,
    bytes: Vec<u8>,
    synced: usize,
}

impl Disk {
    /// An empty disk with its first segment.
    pub fn new(plan: &Plan) -> Self {
        let header = header(0, None, 1);
        Self {
            state: State::Ok,
            policy: plan.policy,
            barrier: plan.plant != Plant::Barrier,
            stored: Vec::new(),
            rings: vec![Ring::default(); usize::from(plan.shard_count)],
            segments: vec![Segment::new(header)],
            framer: Framer::new(&header),
            start: 1,
        }
    }

    /// Takes a fact of a shard.
    pub fn append(&mut self, shard: usize, record: Record) {
        let cost = record.text_bytes() + 256;
        self.stored.push(Logged::Fact(record));
        let ring = &mut self.rings[shard];
        ring.waiting.push_back((self.stored.len() - 1, cost));
        ring.waiting_bytes += cost;
        ring.appended += 1;
        assert!(ring.waiting_bytes <= LOG_RING_BYTES, "the ring overflows");
    }

    /// Every fact that was ever appended.
    pub fn facts(&self) -> Vec<Record> {
        let facts = self.stored.iter().filter_map(|logged| match logged {
            Logged::Fact(record) => Some(record.clone()),
            _ => None,
        });
        facts.collect()
    }

    /// Bytes a shard may append.
    pub fn free_bytes(&self, shard: usize) -> usize {
        LOG_RING_BYTES - self.rings[shard].waiting_bytes
    }

    /// How many of a shard's appends its hub may call safe.
    pub fn promised(&self, shard: usize) -> u64 {
        let ring = &self.rings[shard];
        match self.policy {
            _ if !self.barrier => ring.appended,
            Policy::Memory => ring.appended,
            Policy::Os => ring.committed,
            Policy::Fsync => ring.durable,
        }
    }

    /// Whether all that was appended has reached the kernel.
    pub fn is_committed(&self) -> bool {
        self.rings.iter().all(|ring| ring.committed == ring.appended)
    }

    /// Frames up to `count_max` records of one shard.
    pub fn drain(&mut self, shard: usize, count_max: usize) {
        if self.state != State::Ok {
            return;
        }
        for _ in 0..count_max {
            let Some((number, cost)) = self.rings[shard].waiting.pop_front() else {
                return;
            };
            push(&mut self.framer, number, cost);
            let ring = &mut self.rings[shard];
            ring.waiting_bytes -= cost;
            ring.framed += 1;
        }
    }

    /// Writes what is framed.
    pub fn write(&mut self, align: usize) {
        if self.state != State::Ok {
            return;
        }
        self.framer.finish(align);
        let (offset, bytes) = self.framer.pending();
        let segment = self.segments.last_mut().expect("one is open");
        assert!(segment.bytes.len() == offset as usize, "batches leave no hole");
        segment.bytes.extend_from_slice(bytes);
        self.framer.written();
        for ring in &mut self.rings {
            ring.committed = ring.framed;
        }
    }

    /// Syncs what is written, and begins a new segment when this one is long enough.
    pub fn sync(&mut self) {
        if self.state != State::Ok {
            return;
        }
        self.write(SYNC_ALIGN);
        self.segments.last_mut().expect("one is open").sync();
        self.framer.synced();
        for ring in &mut self.rings {
            ring.durable = ring.committed;
        }
        if self.segments.last().expect("one is open").bytes.len() > ROTATE_BYTES {
            self.seal();
            self.begin_segment();
        }
    }

    /// Quiet for a while: an empty batch vouches for the last sync.
    pub fn vouch(&mut self) {
        if self.state == State::Ok && self.framer.pending_bytes() == 0 {
            self.framer.mark(0);
            self.write(1);
        }
    }

    /// The server ends. Nothing but [`Disk::recover`] may follow.
    pub fn end(&mut self, end: End, rng: &mut Rng) {
        match end {
            End::Stop => {
                assert!(self.state == State::Ok);
                for shard in 0..self.rings.len() {
                    self.drain(shard, usize::MAX);
                }
                self.stored.push(Logged::Stop);
                push(&mut self.framer, self.stored.len() - 1, 0);
                self.sync();
                self.seal();
            }
            End::Kill => {}
            End::PowerCut => self.segments.last_mut().expect("one is open").lose_power(rng),
        }
    }

    /// Reads what is left, as a starting server does. Gives it in order, and whether the last
    /// server stopped in order.
    pub fn recover(&mut self) -> (Vec<Logged>, bool) {
        let mut found = Vec::new();
        let mut sealed = true;
        for segment in &mut self.segments {
            // What the kernel holds must not be answered from and then lost with the power.
            segment.sync();
            let scan = scan(&segment.bytes).expect("its header was synced");
            sealed = scan.ending == Ending::Sealed && scan.corrupt.is_empty();
            assert!(scan.corrupt.is_empty(), "nothing synced is ever damaged here");
            for place in &scan.batches {
                let bytes = &segment.bytes[place.offset as usize..];
                for record in batch::records(bytes, place.count) {
                    let number = u64::from_le_bytes(record.payload[..8].try_into().expect("8"));
                    found.push(self.stored[number as usize].clone());
                }
            }
        }
        let clean = sealed && found.last().is_none_or(|last| *last == Logged::Stop);
        self.rings = vec![Ring::default(); self.rings.len()];
        self.state = State::Ok;
        self.start += 1;
        self.begin_segment();
        (found, clean)
    }

    /// Writes the begin of an epoch, before anything of it.
    pub fn begin_epoch(&mut self, epoch: EpochId) {
        self.stored.push(Logged::Epoch(epoch));
        push(&mut self.framer, self.stored.len() - 1, 0);
        self.sync();
    }

    fn seal(&mut self) {
        self.framer.mark(FLAG_SEAL);
        self.write(1);
        self.segments.last_mut().expect("one is open").sync();
    }

    fn begin_segment(&mut self) {
        let last = self.segments.last().expect("the first is never removed");
        let next_seq = scan(&last.bytes).expect("its header was synced").next_seq;
        let prev = last.header.base_seq;
        let header = header(next_seq.max(prev + 1), Some(prev), self.start);
        self.segments.push(Segment::new(header));
        self.framer = Framer::new(&header);
    }
}

impl Segment {
    fn new(header: SegmentHeader) -> Self {
        let bytes = header.encode().to_vec();
        Self { header, synced: bytes.len(), bytes }
    }

    fn sync(&mut self) {
        self.synced = self.bytes.len();
    }

    fn lose_power(&mut self, rng: &mut Rng) {
        let mut at = self.synced;
        let survive_percent = rng.pick(&[0, 30, 70, 95]);
        while at < self.bytes.len() {
            let end = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(self.bytes.len());
            if !rng.chance(survive_percent) {
                self.bytes[at..end].fill(0);
            }
            at = end;
        }
    }
}

fn header(base_seq: u64, prev_base_seq: Option<u64>, start: u32) -> SegmentHeader {
    SegmentHeader {
        base_seq,
        prev_base_seq,
        created_us: 0,
        salt: 0x5eed ^ (base_seq << 20) ^ u64::from(start),
        segment_bytes: SEGMENT_BYTES as u32,
        start,
    }
}

/// Frames record `number`, with a body that is shorter than the text it stands for.
fn push(framer: &mut Framer, number: usize, cost: usize) {
    let mut payload = vec![0x5a; 8 + cost % 700];
    payload[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let header = RecordHeader {
        payload_len: payload.len() as u32,
        tag: TAG,
        flags: 0,
        user: NameId::NONE,
        room: NameId::NONE,
    };
    framer.push(&RawRecord { header, payload: &payload });
}
