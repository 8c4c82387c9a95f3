//! History over many segments: of any age, while the log grows, shrinks and is replaced.

use super::*;
use crate::log::directory::{DataDir, list_segments, log_dir};
use crate::log::producer::Producer;
use crate::log::record::{DeleteV1, EditV1, MessageV1, NameId, NameKind, RecordView};
use crate::log::recovered::Recovered;
use crate::log::scratch::Scratch;
use crate::log::writer::{AckPolicy, LogOptions, LogWriter};
use std::time::Duration;

fn start(scratch: &Scratch) -> (LogWriter, Producer) {
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let options = LogOptions {
        policy: AckPolicy::Os,
        segment_bytes: 192 * 1_024,
        ring_bytes: 256 * 1_024,
        ..LogOptions::new(1, 7, || 1)
    };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).unwrap();
    (writer, producers.remove(0))
}

/// A message of the second `second`.
fn message(o: u64, second: i64, text: &str) -> MessageV1<'_> {
    let (cid, display, external, extra) = ("", "", "", "");
    let ts_us = second * 1_000_000;
    MessageV1 { o, ts_us, reply: 0, cid, text, display, external, extra, source: 1, direction: 3 }
}

fn archive(scratch: &Scratch) -> Archive {
    Archive::open(&log_dir(scratch.path())).unwrap()
}

/// The events of a range as `o`, text, user, and what became of them.
fn told(archive: &mut Archive, room: &str, range: (u64, u64), back: bool) -> String {
    let mut seen = String::new();
    let range = Offset(range.0)..=Offset(range.1);
    archive.walk(room, range, back, |event| {
        let text = match event.event.view() {
            Some(RecordView::Message(message)) => (*message.text).to_owned(),
            Some(view) => view.kind().name().to_owned(),
            None => "?".to_owned(),
        };
        let amended = event.amendment.map_or("", |told| told.record.kind().unwrap().name());
        seen += &format!("{}{text}{}{amended} ", event.o.0, event.event.user);
        true
    });
    seen
}

fn wait_committed(producer: &mut Producer) {
    producer.wake();
    for _ in 0..5_000 {
        if producer.committed() == producer.appended() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("not committed within five seconds");
}

/// Four lives of a server: three sealed segments, and one that `keep` still writes.
fn four_lives(scratch: &Scratch) -> (LogWriter, Producer) {
    let none = NameId::NONE;
    for life in 0..3 {
        let (writer, mut producer) = start(scratch);
        let ann = producer.intern(NameKind::User, "ann").unwrap();
        let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
        for n in 1..=3 {
            let o = life * 3 + n;
            producer.append(ann, lobby, &message(o, 10 * o as i64, "m")).unwrap();
        }
        if life == 1 {
            let other = producer.intern(NameKind::Room, "other").unwrap();
            producer.append(none, other, &message(1, 7, "x")).unwrap();
        }
        writer.stop().unwrap();
    }
    let (writer, mut producer) = start(scratch);
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    let edit = EditV1 { o: 10, target: 2, ts_us: 100_000_000, text: "uno", version: 1 };
    producer.append(none, lobby, &edit).unwrap();
    let delete = DeleteV1 { o: 11, target: 9, ts_us: 110_000_000 };
    producer.append(none, lobby, &delete).unwrap();
    wait_committed(&mut producer);
    (writer, producer)
}

#[test]
fn pages_cross_segments_in_both_directions() {
    let scratch = Scratch::new("pages");
    let (writer, mut producer) = four_lives(&scratch);
    let mut archive = archive(&scratch);
    let all = "1mann 2mannedit 3mann 4mann 5mann 6mann 7mann 8mann 9manndelete 10edit 11delete ";
    assert_eq!(told(&mut archive, "lobby", (1, 99), false), all);
    assert_eq!(told(&mut archive, "lobby", (3, 4), false), "3mann 4mann ");
    assert_eq!(
        told(&mut archive, "lobby", (2, 7), true),
        "7mann 6mann 5mann 4mann 3mann 2mannedit "
    );
    assert_eq!(told(&mut archive, "other", (0, 9), false), "1x ");
    assert_eq!(told(&mut archive, "nowhere", (1, 9), false), "");
    assert_eq!((archive.newest("lobby"), archive.oldest("lobby")), (Offset(11), Offset(1)));
    assert_eq!((archive.newest("nowhere"), archive.oldest("nowhere")), (Offset(0), Offset(0)));

    let mut count = 0;
    let reached = archive.walk("lobby", Offset(2)..=Offset(9), true, |_| {
        count += 1;
        count < 3
    });
    assert_eq!((reached, count), (Offset(7), 3), "whoever has enough says so");
    let reached = archive.walk("lobby", Offset(50)..=Offset(90), false, |_| true);
    assert_eq!(reached, Offset(90), "nothing is there, and all was looked at");

    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    producer.append(NameId::NONE, lobby, &message(13, 120, "later")).unwrap();
    wait_committed(&mut producer);
    assert_eq!(archive.newest("lobby"), Offset(11), "not looked at yet");
    archive.refresh().unwrap();
    assert_eq!(told(&mut archive, "lobby", (11, 99), false), "11delete 13later ");
    writer.stop().unwrap();
    let (writer, _producer) = start(&scratch);
    archive.refresh().unwrap();
    assert_eq!(told(&mut archive, "lobby", (9, 99), false), "9manndelete 10edit 11delete 13later ");
    writer.stop().unwrap();
}

/// What damage can leave: the runs of a room far apart, and positions that go back.
#[test]
fn a_gap_of_any_size_costs_nothing() {
    const FAR: u64 = 1 << 40;
    let scratch = Scratch::new("gap");
    let (writer, mut producer) = four_lives(&scratch);
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    for (o, second, text) in [
        (12, 120, "a"),
        (FAR, 130, "b"),
        (FAR + 1, 140, "c"),
        (2 * FAR, 150, "d"),
        (FAR / 2, 160, "back"),
        (FAR + 1, 170, "again"),
        (Offset::MAX.0 + 1, 180, "none"),
    ] {
        producer.append(NameId::NONE, lobby, &message(o, second, text)).unwrap();
    }
    wait_committed(&mut producer);
    let mut archive = archive(&scratch);
    let check = |archive: &mut Archive| {
        let all = |archive: &mut Archive, back: bool| {
            let (mut seen, mut question_count) = (Vec::new(), 0);
            let (mut first, mut last) = (11, 3 * FAR);
            while first <= last {
                question_count += 1;
                let range = Offset(first)..=Offset(last);
                let reached = archive.walk("lobby", range, back, |event| {
                    seen.push(event.o.0);
                    true
                });
                if back { last = reached.0 - 1 } else { first = reached.0 + 1 }
            }
            assert!(question_count <= 9, "{question_count} questions");
            seen
        };
        let mut want = vec![11, 12, FAR / 2, FAR, FAR + 1, 2 * FAR];
        assert_eq!(all(archive, false), want);
        want.reverse();
        assert_eq!(all(archive, true), want);
        assert_eq!(told(archive, "lobby", (FAR + 1, FAR + 9), false), format!("{}again ", FAR + 1));
        assert_eq!(
            (archive.newest("lobby"), archive.oldest("lobby")),
            (Offset(2 * FAR), Offset(1))
        );
        for (second, want) in [(119, 12), (121, FAR / 2), (161, FAR + 1)] {
            let found = archive.first_since("lobby", second * 1_000_000);
            assert_eq!(found, Some(Offset(want)), "second {second}");
        }
    };
    check(&mut archive);
    writer.stop().unwrap();
    let (writer, _producer) = start(&scratch);
    archive.refresh().unwrap();
    check(&mut archive);
    writer.stop().unwrap();
}

#[test]
fn moments_are_found_also_when_the_clock_went_back() {
    let scratch = Scratch::new("moments");
    let (writer, mut producer) = four_lives(&scratch);
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    for (o, second) in [(12, 50), (13, 60), (14, 200)] {
        producer.append(NameId::NONE, lobby, &message(o, second, "m")).unwrap();
    }
    wait_committed(&mut producer);
    let mut archive = archive(&scratch);
    for (second, want) in [
        (-1, Some(1)),
        (0, Some(1)),
        (10, Some(1)),
        (11, Some(2)),
        (60, Some(6)),
        (90, Some(9)),
        (91, Some(10)),
        (111, Some(14)),
        (200, Some(14)),
        (201, None),
    ] {
        let found = archive.first_since("lobby", second * 1_000_000);
        assert_eq!(found, want.map(Offset), "second {second}");
    }
    assert_eq!(archive.first_since("lobby", i64::MIN), Some(Offset(1)));
    assert_eq!(archive.first_since("nowhere", 0), None);
    writer.stop().unwrap();
}

#[test]
fn files_go_and_are_replaced() {
    let scratch = Scratch::new("replaced");
    let (writer, _producer) = four_lives(&scratch);
    let mut archive = archive(&scratch);
    let paths: Vec<_> = list_segments(&log_dir(scratch.path()))
        .unwrap()
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    assert_eq!(told(&mut archive, "lobby", (1, 2), false), "1mann 2mannedit ");
    std::fs::remove_file(&paths[0]).unwrap();
    assert_eq!(told(&mut archive, "lobby", (1, 2), false), "1mann 2mannedit ", "still mapped");
    archive.refresh().unwrap();
    assert_eq!(told(&mut archive, "lobby", (1, 4), false), "4mann ");
    assert_eq!(archive.oldest("lobby"), Offset(4));
    assert_eq!(archive.first_since("lobby", 0), Some(Offset(4)));

    // As an erasure does it: another file under the same name.
    let mut bytes = std::fs::read(&paths[1]).unwrap();
    let draft = paths[1].with_extension("tmp");
    std::fs::write(&draft, &bytes).unwrap();
    std::fs::rename(&draft, &paths[1]).unwrap();
    archive.refresh().unwrap();
    assert_eq!(told(&mut archive, "lobby", (4, 5), false), "4mann 5mann ");

    // A batch that is damaged after its index was made is not served.
    let at = crate::log::format::SEGMENT_HEADER_BYTES + 100;
    bytes[at] ^= 1;
    std::fs::write(&paths[1], &bytes).unwrap();
    let mut fresh = Archive::open(&log_dir(scratch.path())).unwrap();
    assert_eq!(told(&mut fresh, "lobby", (4, 8), false), "7mann 8mann ");
    std::fs::write(&paths[1], b"not a segment").unwrap();
    let mut fresh = Archive::open(&log_dir(scratch.path())).unwrap();
    assert_eq!(told(&mut fresh, "lobby", (4, 8), false), "7mann 8mann ");
    writer.stop().unwrap();
}
