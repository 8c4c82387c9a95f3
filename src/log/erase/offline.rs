//! An erasure without a server: the tool holds the lock and writes the tombstone itself.

use super::Request;
use super::run::{EraseError, Host, Step, salt, swap};
use super::target::Target;
use crate::log::batch::{FLAG_SEAL, Framer, SYNC_ALIGN};
use crate::log::directory::DataDir;
use crate::log::format::{SEGMENT_BYTES_MIN, SegmentHeader};
use crate::log::record::{
    EraseV1, NameId, RawRecord, Record, RecordHeader, StopV1, serialize_into,
};
use crate::log::recovered::Recovered;
use crate::log::rewrite::{Payload, Rewritten};

/// The host of an erasure when no server runs.
pub struct Offline<'a> {
    dir: DataDir,
    now_us: i64,
    /// Told how far it is.
    pass: &'a mut dyn FnMut(Step, &Request) -> Result<(), EraseError>,
}

impl<'a> Offline<'a> {
    /// `now_us` is the wall clock.
    pub fn new(
        dir: DataDir,
        now_us: i64,
        pass: &'a mut dyn FnMut(Step, &Request) -> Result<(), EraseError>,
    ) -> Self {
        Self { dir, now_us, pass }
    }
}

impl Host for Offline<'_> {
    /// Nobody writes while this value holds the lock, and nobody remembers.
    fn forget(&mut self, _: &Target, _: &str) -> Result<u64, EraseError> {
        Ok(u64::MAX)
    }

    fn pass(&mut self, step: Step, request: &Request) -> Result<(), EraseError> {
        (self.pass)(step, request)
    }

    /// A segment of its own, which says that the server stopped in order exactly if it did.
    fn bury(&mut self, tombstone: &EraseV1<'_>) -> Result<(), EraseError> {
        let recovered = Recovered::read(&self.dir)?;
        let header = SegmentHeader {
            base_seq: recovered.base_seq,
            prev_base_seq: recovered.followed_seq,
            created_us: self.now_us,
            salt: salt(recovered.base_seq, tombstone.id),
            segment_bytes: SEGMENT_BYTES_MIN,
            start: recovered.start,
        };
        let mut framer = Framer::new(&header);
        push(&mut framer, tombstone);
        if recovered.clean_stop {
            push(&mut framer, &StopV1 { ts_us: self.now_us });
        }
        let mut bytes = header.encode().to_vec();
        for flags in [0, FLAG_SEAL] {
            if flags == 0 {
                framer.finish(SYNC_ALIGN)
            } else {
                framer.mark(flags)
            }
            bytes.extend_from_slice(framer.pending().1);
            framer.written();
            framer.synced();
        }
        let record_count = framer.next_seq() - header.base_seq;
        let whole = Rewritten { bytes, header, record_count, changed_count: 0, lost_count: 0 };
        let log_dir = self.dir.log_dir();
        let path = log_dir.join(SegmentHeader::file_name(header.base_seq));
        swap(&log_dir, &path, &whole, &mut |_| Ok(()))
    }

    fn done(&mut self, _: &Target) {}

    fn now_us(&self) -> i64 {
        self.now_us
    }
}

fn push<R: Record>(framer: &mut Framer, record: &R) {
    let mut space = Payload::new();
    let payload_len = serialize_into(record, space.bytes()).expect("names are bounded");
    let header = RecordHeader {
        payload_len: payload_len as u32,
        tag: R::KIND.tag(),
        flags: 0,
        user: NameId::NONE,
        room: NameId::NONE,
    };
    framer.push(&RawRecord { header, payload: &space.bytes()[..payload_len] });
}
