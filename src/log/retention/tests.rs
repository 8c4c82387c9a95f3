//! What goes, what is held back, and what is left afterwards.

use super::*;
use crate::base::clock::DAY_US;
use crate::log::directory::{DataDir, log_dir};
use crate::log::erase::Target;
use crate::log::producer::Producer;
use crate::log::reader::{Log, Trust};
use crate::log::record::{FLAG_ERASED, Kind, MessageV1, NameKind, RecordView};
use crate::log::recovered::Recovered;
use crate::log::scratch::Scratch;
use crate::log::snapshot::{FoldOptions, fold};
use crate::log::writer::{AckPolicy, LogOptions, LogWriter};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The wall clock of the writers here. One test at a time has it.
static NOW_US: AtomicI64 = AtomicI64::new(0);
static CLOCK: Mutex<()> = Mutex::new(());

fn with_log(scratch: &Scratch, now_us: i64, write: impl FnOnce(&mut Producer)) {
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let _clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    NOW_US.store(now_us, Ordering::Relaxed);
    let options = LogOptions {
        policy: AckPolicy::Os,
        segment_bytes: 192 * 1_024,
        ring_bytes: 256 * 1_024,
        ..LogOptions::new(1, 7, || NOW_US.load(Ordering::Relaxed))
    };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).unwrap();
    write(&mut producers[0]);
    writer.stop().unwrap();
}

fn put(producer: &mut Producer, room: &str, o: u64, ts_us: i64, text: &str) {
    let ann = producer.intern(NameKind::User, "ann").unwrap();
    let room = producer.intern(NameKind::Room, room).unwrap();
    let (cid, display, external, extra) = ("", "", "", "");
    let (source, direction, reply) = (1, 3, 0);
    let message =
        MessageV1 { o, ts_us, reply, cid, text, display, external, extra, source, direction };
    producer.append(ann, room, &message).unwrap();
}

/// One segment a day, six of them.
fn six_days(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    for day in 0..6 {
        with_log(&scratch, day * DAY_US, |producer| {
            put(producer, "hall", day as u64 + 1, day * DAY_US, "hello");
        });
    }
    scratch
}

fn fold_once(dir: &Path) {
    let stop = || false;
    let options = FoldOptions { now_us: 0, print: |_| None, always: true, stop: &stop };
    fold(dir, &options).unwrap().expect("something to fold");
}

fn bases(dir: &Path) -> Vec<u64> {
    list_segments(dir).unwrap().into_iter().map(|(base_seq, _)| base_seq).collect()
}

#[test]
fn nothing_goes_that_no_snapshot_knows() {
    let scratch = six_days("keep-all");
    let dir = log_dir(scratch.path());
    let keep = Keep { age_us: Some(DAY_US), bytes: None };
    let swept = sweep(&dir, keep, 6 * DAY_US).unwrap();
    assert_eq!((swept.segment_count, swept.held_count), (0, 4));
    assert_eq!(sweep(&dir, Keep::default(), i64::MAX).unwrap(), Swept::default());
    assert_eq!(bases(&dir).len(), 6);
}

#[test]
fn the_oldest_go_by_age_and_rooms_keep_their_positions() {
    let scratch = six_days("keep-age");
    let dir = log_dir(scratch.path());
    let before = bases(&dir);
    fold_once(&dir);
    std::fs::write(dir.join(SegmentHeader::file_name(0)).with_extension("idx"), "x").unwrap();
    // The fold took four segments; the third of them ended four days before the sixth day's end.
    let keep = Keep { age_us: Some(3 * DAY_US), bytes: None };
    let swept = sweep(&dir, keep, 6 * DAY_US + 1).unwrap();
    assert_eq!((swept.segment_count, swept.held_count), (3, 0));
    assert_eq!(bases(&dir), before[3..]);
    assert!(list_extension(&dir, "idx").unwrap().is_empty());
    let log = Log::open(&dir, Trust::Validate).unwrap();
    assert!(log.problems().is_empty(), "a missing oldest file is no damage");
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    assert!(recovered.clean_stop);
    assert_eq!(recovered.base_seq, log.next_seq());
    let (_, newest) = &snapshot::list(&log_dir(scratch.path())).unwrap()[0];
    let newest = snapshot::Snapshot::open(newest).unwrap();
    let runs = newest.entries().filter_map(|entry| match entry.view()? {
        RecordView::Run(run) => Some((run.first.to_native(), run.last.to_native())),
        _ => None,
    });
    assert_eq!(runs.collect::<Vec<_>>(), [(1, 4)]);
}

#[test]
fn the_oldest_go_by_size_and_never_the_open_one() {
    let scratch = six_days("keep-size");
    let dir = log_dir(scratch.path());
    fold_once(&dir);
    fold_once(&dir);
    let all = bytes_on_disk(&dir).unwrap();
    let one = blocks(&list_segments(&dir).unwrap()[0].1);
    assert!(one > 0);
    let keep = |bytes| Keep { age_us: None, bytes: Some(bytes) };
    assert_eq!(sweep(&dir, keep(all), 0).unwrap().segment_count, 0);
    assert_eq!(sweep(&dir, keep(all - 1), 0).unwrap().segment_count, 1);
    // What only the newer of two snapshots knows is held: a start may need the older.
    let swept = sweep(&dir, keep(0), 0).unwrap();
    assert_eq!((swept.segment_count, swept.held_count), (3, 1));
    assert_eq!(bases(&dir).len(), 2);
}

#[test]
fn a_damaged_header_does_not_keep_what_is_older() {
    let scratch = six_days("keep-damaged");
    let dir = log_dir(scratch.path());
    fold_once(&dir);
    let path = &list_segments(&dir).unwrap()[2].1;
    let mut bytes = std::fs::read(path).unwrap();
    bytes[..4_096].fill(0xff);
    std::fs::write(path, bytes).unwrap();
    let keep = Keep { age_us: Some(2 * DAY_US), bytes: None };
    assert_eq!(sweep(&dir, keep, 6 * DAY_US + 1).unwrap().segment_count, 4);
}

#[test]
fn texts_of_a_room_go_after_their_days_and_others_stay() {
    let scratch = Scratch::new("keep-rooms");
    for (day, room) in [(0, "support/a"), (0, "sales"), (5, "support/a")] {
        with_log(&scratch, day * DAY_US, |producer| {
            put(producer, room, day as u64 + 1, day * DAY_US, "words");
        });
    }
    let dir = log_dir(scratch.path());
    let rules = vec![RoomKeep { rooms: "support/*".into(), age_us: 3 * DAY_US }];
    let mut sweep = RoomSweep::new(rules);
    assert!(sweep.begins_day(6 * DAY_US + 5) && !sweep.begins_day(6 * DAY_US + 6));
    let Target::Aged { rules } = sweep.target() else { panic!() };
    assert_eq!(rules[0].before_us, 3 * DAY_US);
    let steps: Vec<_> = (0..3).map(|_| sweep.step(&dir, u64::MAX).unwrap()).collect();
    let changed: Vec<_> = steps.iter().map(|s| (s.segment_count, s.record_count)).collect();
    assert_eq!(changed, [(1, 1), (0, 0), (0, 0)]);
    let log = Log::open(&dir, Trust::Validate).unwrap();
    let texts: Vec<_> = log
        .entries()
        .filter(|entry| entry.kind() == Some(Kind::Message))
        .map(|entry| {
            let Some(RecordView::Message(message)) = entry.view() else { panic!() };
            let erased = entry.record.header.flags & FLAG_ERASED != 0;
            (entry.room().to_owned(), message.text.to_string(), erased)
        })
        .collect();
    let want = |room: &str, text: &str, erased| (room.to_owned(), text.to_owned(), erased);
    assert_eq!(
        texts,
        [
            want("support/a", "", true),
            want("sales", "words", false),
            want("support/a", "words", false)
        ]
    );
    assert!(sweep.begins_day(9 * DAY_US), "three days on, the last one goes too");
    let steps: u32 = (0..3).map(|_| sweep.step(&dir, u64::MAX).unwrap().segment_count).sum();
    assert_eq!(steps, 1);
}
