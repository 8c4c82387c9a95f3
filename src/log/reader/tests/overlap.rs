//! Segments that were given up, and files put in the place of others.

use super::super::*;
use crate::log::batch::Framer;
use crate::log::directory::{DataDir, log_dir};
use crate::log::record::{MessageV1, RecordHeader, serialize_into};
use crate::log::scratch::Scratch;

/// Room for an archive, aligned as archives are.
#[repr(align(8))]
struct Payload([u8; 256]);

/// Puts a segment in place of whatever has its name: one message per batch, no seal.
fn put(dir: &Path, base_seq: u64, prev: Option<u64>, created_us: i64, texts: &[&str]) {
    let header = SegmentHeader {
        base_seq,
        prev_base_seq: prev,
        created_us,
        salt: base_seq ^ created_us as u64,
        segment_bytes: 65_536,
        start: 1,
    };
    let mut framer = Framer::new(&header);
    for text in texts {
        let (cid, display, external, extra) = ("", "", "", "");
        let (o, ts_us, reply, source, direction) = (1, 1, 0, 1, 3);
        let message =
            MessageV1 { o, ts_us, reply, cid, text, display, external, extra, source, direction };
        let mut payload = Payload([0; 256]);
        let len = serialize_into(&message, &mut payload.0).unwrap();
        let head = RecordHeader {
            payload_len: len as u32,
            tag: Kind::Message.tag(),
            flags: 0,
            user: NameId::NONE,
            room: NameId::NONE,
        };
        framer.push(&RawRecord { header: head, payload: &payload.0[..len] });
        framer.finish(1);
    }
    let bytes = [&header.encode()[..], framer.pending().1, &[0; 64]].concat();
    let fresh = dir.join("fresh.tmp");
    std::fs::write(&fresh, bytes).unwrap();
    std::fs::rename(&fresh, dir.join(SegmentHeader::file_name(base_seq))).unwrap();
}

/// `seq text` of every message behind `cursor`.
fn read(log: &Log, cursor: Cursor) -> Vec<String> {
    let text = |entry: Entry<'_>| match entry.view() {
        Some(RecordView::Message(message)) => format!("{} {}", entry.seq, &*message.text),
        _ => unreachable!("only messages here"),
    };
    log.entries_from(cursor).map(text).collect()
}

fn fresh(dir: &Path) -> Vec<String> {
    read(&Log::open(dir, Trust::Validate).unwrap(), Cursor::default())
}

fn scratch_log(name: &str) -> (Scratch, PathBuf) {
    let scratch = Scratch::new(name);
    let dir = DataDir::lock(scratch.path()).unwrap().log_dir();
    assert_eq!(dir, log_dir(scratch.path()));
    (scratch, dir)
}

#[test]
fn the_newest_segment_that_has_a_record_counts() {
    let (_scratch, dir) = scratch_log("overlap");
    put(&dir, 0, None, 1, &["a", "b", "in doubt", "in doubt too"]);
    let mut live = Log::open(&dir, Trust::Validate).unwrap();
    assert_eq!(read(&live, Cursor::default()).len(), 4);
    put(&dir, 2, Some(0), 2, &["c", "d"]);
    let expected = ["0 a", "1 b", "2 c", "3 d"];
    assert_eq!(fresh(&dir), expected);
    let cursor = live.end();
    assert!(live.refresh().unwrap());
    assert_eq!(read(&live, Cursor::default()), expected);
    assert_eq!(read(&live, cursor), ["2 c", "3 d"], "what was read too early comes again");
    assert!(live.problems().is_empty());
    let scan = live.segments()[0].scan();
    assert_eq!((scan.record_count, scan.superseded_count, scan.next_seq), (2, 2, 2));
}

#[test]
fn a_segment_that_nobody_follows_does_not_count() {
    let (_scratch, dir) = scratch_log("unfollowed");
    put(&dir, 0, None, 1, &["a", "b"]);
    put(&dir, 2, Some(0), 2, &["in doubt"]);
    put(&dir, 3, Some(0), 3, &["c"]);
    assert_eq!(fresh(&dir), ["0 a", "1 b", "3 c"]);
    assert!(Log::open(&dir, Trust::Validate).unwrap().problems().is_empty());
}

#[test]
fn another_file_of_the_same_name_is_read_in_its_place() {
    let (_scratch, dir) = scratch_log("replaced");
    put(&dir, 0, None, 1, &["a", "secret"]);
    put(&dir, 2, Some(0), 2, &["in doubt"]);
    let mut live = Log::open(&dir, Trust::Validate).unwrap();
    let cursor = live.end();
    // Erasure keeps what a header says of the past; a writer that begins again does not.
    put(&dir, 0, None, 1, &["a", "erased"]);
    put(&dir, 2, Some(0), 3, &["c", "d"]);
    live.refresh().unwrap();
    let expected = ["0 a", "1 erased", "2 c", "3 d"];
    assert_eq!(read(&live, Cursor::default()), expected);
    assert_eq!(fresh(&dir), expected);
    assert_eq!(read(&live, cursor), ["2 c", "3 d"], "another segment is read from its begin");
    assert_eq!(live.replaced_count(), 2);
    let cursor = live.end();
    put(&dir, 2, Some(0), 3, &["c", "erased"]);
    live.refresh().unwrap();
    assert!(read(&live, cursor).is_empty(), "a rewrite has nothing new");
    assert_eq!(read(&live, live.cursor_at(3)), ["3 erased"]);
}
