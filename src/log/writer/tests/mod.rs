//! The log thread on real files: what was appended is read back, and what was acked is there.

mod faults;

use super::*;
use crate::base::ids::LogPosition;
use crate::log::format::SegmentHeader;
use crate::log::producer::RingFull;
use crate::log::reader::{Cursor, Log, Trust};
use crate::log::record::{
    CommandV1, Direction, EpochV1, Kind, MessageV1, NameId, NameKind, RecordView, Source,
};
use crate::log::scratch::Scratch;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) fn options(shard_count: u16, policy: AckPolicy) -> LogOptions {
    LogOptions {
        policy,
        segment_bytes: 192 * 1_024,
        ring_bytes: 256 * 1_024,
        ..LogOptions::new(shard_count, 7, || 1_000_000)
    }
}

pub(super) fn message(o: u64, text: &str) -> MessageV1<'_> {
    MessageV1 {
        o,
        ts_us: o as i64 * 1_000,
        reply: 0,
        cid: "c",
        text,
        display: "",
        external: "",
        extra: "",
        source: Source::Ws as u8,
        direction: Direction::Internal as u8,
    }
}

fn start(scratch: &Scratch, options: LogOptions) -> (LogWriter, Vec<Producer>) {
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    LogWriter::start(dir, &recovered, options, Box::new(|_| ())).unwrap()
}

fn open(scratch: &Scratch) -> Log {
    Log::open(&crate::log::directory::log_dir(scratch.path()), Trust::Validate).unwrap()
}

/// Every message as `user@room:o=text`.
pub(super) fn texts(log: &Log) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in log.entries() {
        if let Some(RecordView::Message(message)) = entry.view() {
            let (user, room, o) = (entry.user(), entry.room(), message.o.to_native());
            texts.push(format!("{user}@{room}:{o}={}", &*message.text));
        }
    }
    texts
}

fn wait_acked(producer: &mut Producer) {
    producer.wake();
    for _ in 0..5_000 {
        if producer.acked() >= producer.appended() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("not acked within five seconds");
}

#[test]
fn what_is_acked_is_read_back_and_the_stop_is_clean() {
    for policy in AckPolicy::ALL {
        let scratch = Scratch::new("acked");
        let (writer, mut producers) = start(&scratch, options(1, policy));
        let producer = &mut producers[0];
        let ann = producer.intern(NameKind::User, "ann").unwrap();
        let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
        assert_eq!(producer.intern(NameKind::User, "ann"), Ok(ann));
        let position = producer.append(ann, lobby, &message(1, "hello")).unwrap();
        assert_eq!(position, producer.appended());
        wait_acked(producer);
        if policy != AckPolicy::Memory {
            assert_eq!(texts(&open(&scratch)), ["ann@lobby:1=hello"], "{policy:?}");
        }
        writer.stop().unwrap();
        assert_eq!(producer.state(), LogState::Stopped);
        assert_eq!(producer.append(ann, lobby, &message(2, "late")), Err(RingFull));
        assert_eq!(texts(&open(&scratch)), ["ann@lobby:1=hello"], "{policy:?}");
        let dir = DataDir::lock(scratch.path()).unwrap();
        let recovered = Recovered::read(&dir).unwrap();
        assert!(recovered.clean_stop);
    }
}

#[test]
fn rotation_repeats_the_names_that_a_segment_uses() {
    let scratch = Scratch::new("rotation");
    let (writer, mut producers) = start(&scratch, options(1, AckPolicy::Os));
    let producer = &mut producers[0];
    let ann = producer.intern(NameKind::User, "ann").unwrap();
    let never = producer.intern(NameKind::User, "never used").unwrap();
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    let dice = producer.intern(NameKind::Command, "dice").unwrap();
    assert_ne!(never, ann);
    let long = "x".repeat(10_000);
    for o in 1..=100 {
        producer.append(ann, lobby, &message(o, &long)).unwrap();
        wait_acked(producer);
    }
    let command = CommandV1 { ts_us: 1, args: "", command: dice.0, duration_us: 1, outcome: 1 };
    producer.append(ann, NameId::NONE, &command).unwrap();
    writer.stop().unwrap();
    let log = open(&scratch);
    assert!(log.segments().len() > 5, "{} segments", log.segments().len());
    assert!(log.problems().is_empty());
    assert_eq!(texts(&log).len(), 100);
    let last = log.entries().filter(|entry| entry.kind() == Some(Kind::Command)).last().unwrap();
    assert_eq!((last.user(), last.room(), last.command()), ("ann", "", "dice"));
    for segment in log.segments() {
        let names: Vec<_> = segment.names().map(|(_, _, name)| name).collect();
        assert!(names.contains(&"ann") && !names.contains(&"never used"), "{names:?}");
        assert_eq!(segment.scan().ending, crate::log::recovery::Ending::Sealed);
    }
    let seqs: Vec<_> = log.entries().map(|entry| entry.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a + 1 == *b), "dense within one start");
}

#[test]
fn every_start_has_a_fresh_segment_and_never_an_old_number() {
    let scratch = Scratch::new("starts");
    for round in 0..4u64 {
        let (writer, mut producers) = start(&scratch, options(2, AckPolicy::Fsync));
        if round % 2 == 0 {
            let record = EpochV1 { ts_us: 5, epoch: round };
            producers[1].append(NameId::NONE, NameId::NONE, &record).unwrap();
        }
        writer.stop().unwrap();
    }
    let log = open(&scratch);
    assert_eq!(log.segments().len(), 4);
    let seqs: Vec<_> = log.entries().map(|entry| entry.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
    let dir = DataDir::lock(scratch.path()).unwrap();
    let epochs = Recovered::read(&dir).unwrap().epochs;
    assert_eq!(epochs.iter().map(|seen| seen.epoch).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn a_start_without_a_stop_is_not_clean() {
    let scratch = Scratch::new("unclean");
    let (writer, mut producers) = start(&scratch, options(1, AckPolicy::Fsync));
    producers[0].append(NameId::NONE, NameId::NONE, &EpochV1 { ts_us: 1, epoch: 1 }).unwrap();
    wait_acked(&mut producers[0]);
    // A copy taken now is what a crash would leave.
    let copy = Scratch::new("unclean-copy");
    let to = DataDir::lock(copy.path()).unwrap();
    for segment in open(&scratch).segments() {
        let name = segment.path().file_name().unwrap();
        std::fs::copy(segment.path(), to.log_dir().join(name)).unwrap();
    }
    let recovered = Recovered::read(&to).unwrap();
    assert!(!recovered.clean_stop);
    assert_eq!(recovered.epochs.len(), 1);
    writer.stop().unwrap();
}

#[test]
fn two_shards_and_a_live_reader_agree() {
    let scratch = Scratch::new("live");
    let told = Arc::new(AtomicU32::new(0));
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let notifier = Box::new({
        let told = Arc::clone(&told);
        move |_| {
            told.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (writer, producers) =
        LogWriter::start(dir, &recovered, options(2, AckPolicy::Fsync), notifier).unwrap();
    const EACH: u64 = 3_000;
    let mut threads = Vec::new();
    for mut producer in producers {
        threads.push(std::thread::spawn(move || {
            let user = producer.intern(NameKind::User, "u").unwrap();
            let room = format!("room-{}", producer.shard().0);
            let room = producer.intern(NameKind::Room, &room).unwrap();
            let text = "y".repeat(300);
            for o in 1..=EACH {
                while producer.append(user, room, &message(o, &text)) == Err(RingFull) {
                    producer.wake();
                    std::thread::yield_now();
                }
                if o % 64 == 0 {
                    producer.wake();
                }
            }
            wait_acked(&mut producer);
        }));
    }
    let mut log = open(&scratch);
    let mut cursor = Cursor::default();
    let mut next = [1u64; 2];
    while next != [EACH + 1; 2] {
        log.refresh().unwrap();
        for entry in log.entries_from(cursor) {
            let Some(RecordView::Message(message)) = entry.view() else { continue };
            let shard = usize::from(entry.room() == "room-1");
            assert_eq!(message.o.to_native(), next[shard], "order within a shard");
            next[shard] += 1;
        }
        cursor = log.end();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(told.load(Ordering::Relaxed) >= 2);
    let handle = writer.handle();
    writer.stop().unwrap();
    let counts = handle.counts();
    assert_eq!(counts.record_count, open(&scratch).entries().count() as u64);
    assert!(counts.segment_count > 3);
}

#[test]
fn a_full_ring_refuses_and_recovers() {
    let scratch = Scratch::new("ring-full");
    let (writer, mut producers) = start(&scratch, options(1, AckPolicy::Fsync));
    let producer = &mut producers[0];
    let text = "z".repeat(20_000);
    let mut refused = false;
    // Nobody wakes the thread, so nothing is released.
    for o in 1..=14 {
        refused |= producer.append(NameId::NONE, NameId::NONE, &message(o, &text)).is_err();
    }
    assert!(refused || producer.durable() > LogPosition(0));
    wait_acked(producer);
    producer.append(NameId::NONE, NameId::NONE, &message(99, &text)).unwrap();
    writer.stop().unwrap();
}

#[test]
#[should_panic(expected = "too large for the log")]
fn a_record_that_can_never_fit_is_our_own_fault() {
    let scratch = Scratch::new("too-large");
    let (_writer, mut producers) = start(&scratch, options(1, AckPolicy::Memory));
    let text = "z".repeat(50_000);
    let _ = producers[0].append(NameId::NONE, NameId::NONE, &message(1, &text));
}

#[test]
fn when_a_segment_cannot_be_made_nothing_more_is_acked() {
    let scratch = Scratch::new("failed");
    let (writer, mut producers) = start(&scratch, options(1, AckPolicy::Fsync));
    let producer = &mut producers[0];
    let log_dir = crate::log::directory::log_dir(scratch.path());
    let away = scratch.path().join("away");
    std::fs::rename(&log_dir, &away).unwrap();
    let text = "x".repeat(20_000);
    let mut o = 0;
    for _ in 0..5_000 {
        if producer.append(NameId::NONE, NameId::NONE, &message(o + 1, &text)).is_ok() {
            o += 1;
        }
        producer.wake();
        if producer.state() == LogState::Failed {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(producer.state(), LogState::Failed);
    assert!(producer.acked() < producer.appended(), "what found no segment is not acked");
    assert_eq!(producer.append(NameId::NONE, NameId::NONE, &message(1, "")), Err(RingFull));
    let why = writer.stop().unwrap_err().to_string();
    let expected = "the log gave up after several failures: cannot make ";
    assert!(why.starts_with(expected), "{why}");
    // What was acked is in the segment that was sealed before the failure.
    let log = Log::open(&away, Trust::Validate).unwrap();
    let stride = producer.appended().0 / o;
    assert_eq!(texts(&log).len() as u64, producer.acked().0 / stride);
}

/// Runs where `RINGPOST_SMALL_DISK` names a directory on a filesystem of 1 MiB: only an
/// administrator can mount one.
#[test]
fn a_full_disk_refuses_until_there_is_room_again() {
    let Some(root) = std::env::var_os("RINGPOST_SMALL_DISK") else {
        return;
    };
    let root = std::path::Path::new(&root);
    let ballast = root.join("ballast");
    std::fs::write(&ballast, vec![1; 600 * 1_024]).unwrap();
    let dir = DataDir::lock(root).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options(1, AckPolicy::Fsync), Box::new(|_| ())).unwrap();
    let producer = &mut producers[0];
    let text = "x".repeat(10_000);
    let mut o = 0;
    let mut push = |producer: &mut Producer, until: LogState| {
        for _ in 0..5_000 {
            if producer.state() == until {
                return o;
            }
            if producer.append(NameId::NONE, NameId::NONE, &message(o + 1, &text)).is_ok() {
                o += 1;
            }
            producer.wake();
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("never {until:?}");
    };
    push(producer, LogState::Full);
    assert_eq!(producer.append(NameId::NONE, NameId::NONE, &message(1, "")), Err(RingFull));
    std::fs::remove_file(&ballast).unwrap();
    let pushed = push(producer, LogState::Ok);
    wait_acked(producer);
    writer.stop().unwrap();
    let log = Log::open(&crate::log::directory::log_dir(root), Trust::Validate).unwrap();
    assert_eq!(texts(&log).len() as u64, pushed);
}

/// A server that is killed before it wrote anything leaves a file that nobody follows.
#[test]
fn a_segment_that_stayed_empty_is_no_hole() {
    let scratch = Scratch::new("vacant");
    let log_dir = crate::log::directory::log_dir(scratch.path());
    let say = |o: u64| {
        let (writer, mut producers) = start(&scratch, options(1, AckPolicy::Os));
        let ann = producers[0].intern(NameKind::User, "ann").unwrap();
        producers[0].append(ann, NameId::NONE, &message(o, "said")).unwrap();
        writer.stop().unwrap();
    };
    say(1);
    for _ in 0..2 {
        // What a start and a kill leave: a segment with a header, and nothing behind it.
        let before = open(&scratch);
        let dir = DataDir::lock(scratch.path()).unwrap();
        let recovered = Recovered::read(&dir).unwrap();
        let newest = before.segments().last().unwrap();
        let header = SegmentHeader {
            base_seq: recovered.base_seq,
            prev_base_seq: recovered.followed_seq,
            salt: 99,
            ..newest.scan().header
        };
        let mut bytes = header.encode().to_vec();
        bytes.resize(header.segment_bytes as usize, 0);
        std::fs::write(log_dir.join(SegmentHeader::file_name(header.base_seq)), bytes).unwrap();
    }
    say(2);
    let log = open(&scratch);
    assert!(log.problems().is_empty(), "{:?}", log.problems());
    assert_eq!((log.segments().len(), texts(&log).len()), (4, 2));
    assert_eq!(log.segments()[3].scan().header.prev_base_seq, Some(0));
    // And a file whose only record is gone is one.
    let path = log_dir.join(SegmentHeader::file_name(0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4_096..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(open(&scratch).problems().len(), 1);
}
