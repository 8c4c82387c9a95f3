//! Files that are wrong as a whole, places, and ranges.

mod overlap;

use super::*;
use crate::log::directory::list_segments;
use crate::log::directory::{DataDir, log_dir};
use crate::log::format::SegmentHeader;
use crate::log::producer::Producer;
use crate::log::record::MessageV1;
use crate::log::recovered::Recovered;
use crate::log::scratch::Scratch;
use crate::log::writer::{AckPolicy, LogOptions, LogWriter};

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

fn message(o: u64, text: &str) -> MessageV1<'_> {
    let (cid, display, external, extra) = ("", "", "", "");
    let ts_us = o as i64 * 1_000_000;
    MessageV1 { o, ts_us, reply: 0, cid, text, display, external, extra, source: 1, direction: 3 }
}

/// Three starts of two messages each.
fn three_segments(scratch: &Scratch) -> Vec<PathBuf> {
    for start_index in 0..3 {
        let (writer, mut producer) = start(scratch);
        let room = producer.intern(NameKind::Room, "lobby").unwrap();
        for o in [1, 2] {
            let record = message(start_index * 2 + o, "hi");
            producer.append(NameId::NONE, room, &record).unwrap();
        }
        writer.stop().unwrap();
    }
    let listed = list_segments(&log_dir(scratch.path())).unwrap();
    listed.into_iter().map(|(_, path)| path).collect()
}

fn open(scratch: &Scratch) -> Log {
    Log::open(&log_dir(scratch.path()), Trust::Validate).unwrap()
}

fn message_count(log: &Log) -> usize {
    log.entries().filter(|entry| entry.kind() == Some(Kind::Message)).count()
}

#[test]
fn a_bad_file_costs_only_itself() {
    let scratch = Scratch::new("bad-file");
    let paths = three_segments(&scratch);
    assert_eq!((message_count(&open(&scratch)), open(&scratch).problems().len()), (6, 0));

    let mut bytes = std::fs::read(&paths[1]).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&paths[1], &bytes).unwrap();
    assert_eq!((message_count(&open(&scratch)), open(&scratch).problems().len()), (6, 0));
    bytes[2_048 + 20] ^= 1;
    std::fs::write(&paths[1], &bytes).unwrap();
    let log = open(&scratch);
    assert_eq!(message_count(&log), 4);
    let problem = log.problems()[0].to_string();
    assert!(problem.ends_with("both copies of the segment header are damaged"), "{problem}");

    std::fs::remove_file(&paths[1]).unwrap();
    let log = open(&scratch);
    assert_eq!(message_count(&log), 4);
    assert!(log.problems()[0].to_string().ends_with("the file is missing"));

    std::fs::remove_file(&paths[0]).unwrap();
    let log = open(&scratch);
    assert_eq!((message_count(&log), log.problems().len()), (2, 0), "retention is no hole");
}

#[test]
fn files_that_are_short_empty_or_misnamed() {
    let scratch = Scratch::new("short");
    let paths = three_segments(&scratch);
    let bytes = std::fs::read(&paths[0]).unwrap();
    let misnamed = scratch.path().join("log").join(SegmentHeader::file_name(500));
    std::fs::write(&misnamed, &bytes).unwrap();
    let log = open(&scratch);
    assert!(log.problems()[0].to_string().ends_with("its header says it begins at 0"));
    std::fs::write(&misnamed, b"RINGPOST").unwrap();
    let log = open(&scratch);
    assert!(log.problems()[0].what.is_loss(), "the newest one too: {}", log.problems()[0]);
    std::fs::write(&misnamed, b"").unwrap();
    assert_eq!(message_count(&open(&scratch)), 6);
    // The next start must not stumble over the unborn file.
    let (writer, _producer) = start(&scratch);
    writer.stop().unwrap();
    let log = open(&scratch);
    assert_eq!((log.segments().len(), log.problems().len()), (4, 1));
    assert!(!log.problems()[0].what.is_loss());
    // Cut behind its first batch, a segment still gives what is whole.
    std::fs::write(&paths[0], &bytes[..5_000]).unwrap();
    assert!(message_count(&open(&scratch)) >= 4);
}

#[test]
fn a_tail_of_zeros_is_no_end_when_the_next_segment_follows_more() {
    let scratch = Scratch::new("zeros");
    let paths = three_segments(&scratch);
    let newest = std::fs::read(&paths[2]).unwrap();
    let header_only =
        [&newest[..SEGMENT_HEADER_BYTES], &vec![0; newest.len()][SEGMENT_HEADER_BYTES..]];
    std::fs::write(&paths[2], header_only.concat()).unwrap();
    assert!(open(&scratch).problems().is_empty(), "nobody can tell");
    let middle = std::fs::read(&paths[1]).unwrap();
    let header_only =
        [&middle[..SEGMENT_HEADER_BYTES], &vec![0; middle.len()][SEGMENT_HEADER_BYTES..]];
    std::fs::write(&paths[1], header_only.concat()).unwrap();
    let log = open(&scratch);
    let [problem] = log.problems() else { panic!("{:?}", log.problems()) };
    assert!(problem.what.is_loss() && problem.path == paths[1], "{problem}");
    assert!(matches!(problem.what, ProblemKind::Short(2..)), "{problem}");
}

#[test]
fn places_give_their_record_and_no_other_place_does() {
    let scratch = Scratch::new("places");
    three_segments(&scratch);
    let log = open(&scratch);
    for entry in log.entries() {
        let found = log.at(entry.position).expect("its own place");
        assert_eq!((found.seq, found.record), (entry.seq, entry.record));
        for wrong in [1, 8] {
            let position =
                RecordPosition { offset: entry.position.offset + wrong, ..entry.position };
            assert!(log.at(position).is_none());
        }
    }
    assert!(log.at(RecordPosition { segment: 9, offset: 4_096 }).is_none());
    assert!(log.at(RecordPosition { segment: 0, offset: 0 }).is_none());
}

#[test]
fn ranges_leave_out_whole_batches() {
    let scratch = Scratch::new("ranges");
    three_segments(&scratch);
    let log = open(&scratch);
    let near = |since_us, until_us| {
        let entries = log.entries().near(since_us, until_us);
        entries.filter(|entry| entry.kind() == Some(Kind::Message)).count()
    };
    assert_eq!(near(i64::MIN, i64::MAX), 6);
    assert_eq!(near(7_000_000, i64::MAX), 0);
    assert!(near(5_500_000, i64::MAX) >= 1);
    assert_eq!(log.entries_from(log.end()).count(), 0);
}

#[test]
fn a_lost_name_is_a_question_mark() {
    let scratch = Scratch::new("lost-name");
    let (writer, mut producer) = start(&scratch);
    let room = producer.intern(NameKind::Room, "lobby").unwrap();
    producer.append(room, room, &message(1, "hi")).unwrap();
    writer.stop().unwrap();
    let log = open(&scratch);
    let entry = log.entries().find(|entry| entry.kind() == Some(Kind::Message)).unwrap();
    assert_eq!((entry.room(), entry.command()), ("lobby", ""));
    assert_eq!(log.segments()[0].name(NameId(77)), UNKNOWN_NAME);
}
