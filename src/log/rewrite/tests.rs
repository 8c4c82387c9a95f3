//! What a rewritten segment keeps, and when it is refused.

use super::*;
use crate::log::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::log::record::{Kind, MessageV1, NameKind, NameV1, RecordView, serialize_into};
use crate::log::recovery::{Ending, scan};

const SIZE: usize = 192 * 1_024;

const HEADER: SegmentHeader = SegmentHeader {
    base_seq: 70,
    prev_base_seq: Some(3),
    created_us: 5,
    salt: 1,
    segment_bytes: SIZE as u32,
    start: 2,
};

fn push<R: crate::log::record::Record>(framer: &mut Framer, room: NameId, record: &R) {
    let mut space = Payload::new();
    let payload_len = serialize_into(record, space.bytes()).unwrap();
    let header = RecordHeader {
        payload_len: payload_len as u32,
        tag: R::KIND.tag(),
        flags: 0,
        user: NameId::NONE,
        room,
    };
    framer.push(&RawRecord { header, payload: &space.0[..payload_len] });
}

fn message(o: u64, text: &str) -> MessageV1<'_> {
    let (cid, display, external, extra) = ("", "", "", "");
    let ts_us = 1_000 - o as i64;
    MessageV1 { o, ts_us, reply: 0, cid, text, display, external, extra, source: 1, direction: 3 }
}

/// A name and `count` messages in batches of three, each synced, the last one followed by `tail`.
fn image(count: u64, tail: &[u8]) -> Vec<u8> {
    let mut image = HEADER.encode().to_vec();
    image.resize(SIZE, 0);
    let mut framer = Framer::new(&HEADER);
    push(&mut framer, NameId::NONE, &NameV1 { id: 1, text: "hall", kind: NameKind::Room as u8 });
    let flush = |framer: &mut Framer, image: &mut Vec<u8>| {
        framer.finish(1);
        let (offset, bytes) = framer.pending();
        image[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        framer.written();
        framer.synced();
    };
    for o in 1..=count {
        push(&mut framer, NameId(1), &message(o, &format!("text {o}")));
        if o % 3 == 0 {
            flush(&mut framer, &mut image);
        }
    }
    flush(&mut framer, &mut image);
    let end = framer.end();
    image[end..end + tail.len()].copy_from_slice(tail);
    image
}

/// Sequence number, type, time and text of every record.
fn read(bytes: &[u8]) -> Vec<(u64, u16, Option<i64>, String)> {
    let scan = scan(bytes).unwrap();
    let mut found = Vec::new();
    for batch in &scan.batches {
        let inside = &bytes[batch.offset as usize..(batch.offset + batch.len) as usize];
        for (seq, record) in (batch.base_seq..).zip(records(inside, batch.count)) {
            let text = match record.kind().and_then(|kind| RecordView::check(kind, record.payload))
            {
                Some(RecordView::Message(message)) => message.text.to_string(),
                Some(RecordView::Name(name)) => name.text.to_string(),
                _ => String::new(),
            };
            found.push((seq, record.header.tag, record.ts_us(), text));
        }
    }
    found
}

fn keep(_: u64, _: &RawRecord<'_>, _: &mut Payload) -> Change {
    Change::Keep
}

#[test]
fn keeps_numbers_times_and_order_under_a_new_salt() {
    let image = image(10, b"half a batch that was never synced");
    let before = scan(&image).unwrap();
    assert!(matches!(before.ending, Ending::Torn(_)));
    let again = rewrite(&image, &before, 99, Damage::Refuse, &mut keep).unwrap();
    let after = scan(&again.bytes).unwrap();
    assert_eq!(read(&again.bytes), read(&image));
    assert_eq!(after.header, SegmentHeader { salt: 99, ..HEADER });
    assert_eq!((after.ending, after.corrupt.len()), (Ending::Sealed, 0));
    assert_eq!(after.batches.len(), before.batches.len());
    assert_eq!((again.record_count, again.changed_count, again.lost_count), (11, 0, 0));
    assert!(!again.bytes.windows(6).any(|six| six == b"half a"), "the torn tail is gone");
    // Whoever damages it from now on is noticed.
    let mut rotten = again.bytes.clone();
    rotten[SEGMENT_HEADER_BYTES + 80] ^= 1;
    assert_eq!(scan(&rotten).unwrap().corrupt.len(), 1);
}

#[test]
fn a_changed_record_is_marked_and_its_bytes_are_gone() {
    let image = image(10, b"");
    let before = scan(&image).unwrap();
    let mut change = |seq: u64, record: &RawRecord<'_>, space: &mut Payload| {
        if seq != 74 {
            return Change::Keep;
        }
        assert_eq!(record.kind(), Some(Kind::Message));
        let payload_len = serialize_into(&message(4, ""), space.bytes()).unwrap();
        Change::Replace { payload_len }
    };
    let again = rewrite(&image, &before, 99, Damage::Refuse, &mut change).unwrap();
    let mut want = read(&image);
    want[4].3.clear();
    assert_eq!(read(&again.bytes), want);
    assert_eq!(again.changed_count, 1);
    assert!(!again.bytes.windows(6).any(|six| six == b"text 4"));
    let scan = scan(&again.bytes).unwrap();
    let marked = scan.batches.iter().flat_map(|batch| {
        let bytes = &again.bytes[batch.offset as usize..(batch.offset + batch.len) as usize];
        records(bytes, batch.count).map(|record| record.header.flags)
    });
    assert_eq!(marked.filter(|flags| *flags == FLAG_ERASED).count(), 1);
}

#[test]
fn grows_when_it_must() {
    let image = image(600, b"");
    let before = scan(&image).unwrap();
    let long = "x".repeat(1_000);
    let mut change = |_: u64, record: &RawRecord<'_>, space: &mut Payload| {
        if record.kind() != Some(Kind::Message) {
            return Change::Keep;
        }
        let payload_len = serialize_into(&message(1, &long), space.bytes()).unwrap();
        Change::Replace { payload_len }
    };
    let again = rewrite(&image, &before, 99, Damage::Refuse, &mut change).unwrap();
    assert!(again.bytes.len() > SIZE && again.bytes.len() <= again.header.segment_bytes as usize);
    assert_eq!(read(&again.bytes).len(), 601);
    assert_eq!(scan(&again.bytes).unwrap().ending, Ending::Sealed);
}

#[test]
fn damage_is_refused_or_its_numbers_are_kept() {
    let mut image = image(12, b"");
    let second = scan(&image).unwrap().batches[1];
    image[second.offset as usize + 70] ^= 1;
    let before = scan(&image).unwrap();
    let refused = rewrite(&image, &before, 99, Damage::Refuse, &mut keep).unwrap_err();
    assert_eq!(refused, RewriteError::Damaged(before.corrupt[0]));
    let again = rewrite(&image, &before, 99, Damage::Drop, &mut keep).unwrap();
    let after = scan(&again.bytes).unwrap();
    assert_eq!((after.corrupt.len(), after.next_seq), (0, before.next_seq));
    assert_eq!((again.lost_count, again.record_count), (u64::from(second.count), 13));
    let found = read(&again.bytes);
    let lost = found.iter().filter(|(_, tag, ..)| *tag == LOST_TAG).count();
    assert_eq!(lost, second.count as usize);
    let kept: Vec<_> = found.into_iter().filter(|(_, tag, ..)| *tag != LOST_TAG).collect();
    assert_eq!(kept, read(&image));
}
