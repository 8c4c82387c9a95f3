//! What is kept, what is dropped, and what becomes of a snapshot that is damaged.

use super::*;
use crate::log::directory::{DataDir, log_dir};
use crate::log::producer::Producer;
use crate::log::reader::Entry;
use crate::log::record::{
    CallV1, EpochV1, Kind, MarkV1, MemberAction, MemberV1, MessageV1, NameId, NameKind, RecordView,
    RoomAction, RoomV1,
};
use crate::log::recovered::Recovered;
use crate::log::scratch::Scratch;
use crate::log::writer::{AckPolicy, LogOptions, LogWriter};
use std::path::Path;

const MINUTE_US: i64 = 60_000_000;

fn print(entry: &Entry<'_>) -> Option<u128> {
    match entry.view()? {
        RecordView::Message(message) => (*message.external).parse().ok(),
        _ => None,
    }
}

fn message<'a>(o: u64, minute: i64, cid: &'a str, external: &'a str) -> MessageV1<'a> {
    let (text, display, extra, ts_us) = ("hi", "", "", minute * MINUTE_US);
    MessageV1 { o, ts_us, reply: 0, cid, text, display, external, extra, source: 1, direction: 1 }
}

/// One life of a server.
fn life(scratch: &Scratch, write: impl FnOnce(&mut Producer)) -> Recovered {
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
    write(&mut producers[0]);
    writer.stop().unwrap();
    recovered
}

fn fold_at(scratch: &Scratch, minute: i64) -> Option<Folded> {
    let options = FoldOptions { now_us: minute * MINUTE_US, print, always: true, stop: &|| false };
    fold(&log_dir(scratch.path()), &options).unwrap()
}

/// Every record but names, as `kind room user details`.
fn told(snapshot: &Snapshot) -> Vec<String> {
    let line = |entry: Entry<'_>| {
        let details = match entry.view()? {
            RecordView::Run(run) => format!("{} {}-{}", run.epoch, run.first, run.last),
            RecordView::Seen(seen) => format!("{} {} {}", seen.o, &*seen.cid, seen.print_low),
            RecordView::Member(member) => format!("{} {}", &*member.subject, member.role),
            RecordView::Mark(mark) => format!("{}", mark.read),
            RecordView::Room(room) => (*room.text).to_owned(),
            RecordView::Epoch(epoch) => epoch.epoch.to_string(),
            RecordView::Name(_) => return None,
            _ => String::new(),
        };
        let (room, user) = (entry.room(), entry.user());
        Some(format!("{} {room} {user} {details}", entry.kind()?.name()))
    };
    snapshot.entries().filter_map(line).collect()
}

fn newest(dir: &Path) -> Snapshot {
    Snapshot::open(&list(dir).unwrap()[0].1).unwrap()
}

fn first_life(producer: &mut Producer) {
    let none = NameId::NONE;
    let ann = producer.intern(NameKind::User, "ann").unwrap();
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    producer.append(none, none, &EpochV1 { ts_us: 0, epoch: 5 }).unwrap();
    let created = RoomV1 { o: 0, ts_us: 0, text: "", action: RoomAction::Created as u8 };
    producer.append(ann, lobby, &created).unwrap();
    for (o, text) in [(1, "old"), (2, "new")] {
        let topic = RoomV1 { o, ts_us: 0, text, action: RoomAction::Topic as u8 };
        producer.append(ann, lobby, &topic).unwrap();
    }
    for (o, role, action) in [(3, 1, MemberAction::Join), (4, 2, MemberAction::Role)] {
        let (ts_us, action) = (0, action as u8);
        producer.append(ann, lobby, &MemberV1 { o, ts_us, subject: "bob", role, action }).unwrap();
    }
    for read in [1, 3] {
        producer.append(ann, lobby, &MarkV1 { ts_us: 0, recv: 4, read }).unwrap();
    }
    producer.append(ann, lobby, &message(5, 1, "c5", "")).unwrap();
    producer.append(ann, lobby, &message(6, 9, "c6", "66")).unwrap();
}

const FIRST: [&str; 8] = [
    "epoch   5",
    "room lobby ann ",
    "room lobby ann new",
    "member lobby  bob 2",
    "mark lobby ann 3",
    "run lobby  5 1-6",
    // c5 is older than five minutes at minute ten.
    "seen lobby ann 6 c6 0",
    "seen lobby  6  66",
];

#[test]
fn the_newest_of_each_key_stays_and_old_ids_go() {
    let scratch = Scratch::new("fold");
    life(&scratch, first_life);
    assert!(fold_at(&scratch, 10).is_none(), "the newest segment may still grow");
    life(&scratch, |producer| {
        let none = NameId::NONE;
        let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
        let attic = producer.intern(NameKind::Room, "attic").unwrap();
        producer.append(none, none, &EpochV1 { ts_us: 0, epoch: 4 }).unwrap();
        producer.append(none, lobby, &message(7, 11, "", "77")).unwrap();
        producer.append(none, attic, &message(1, 12, "", "66")).unwrap();
        let (ts_us, action) = (0, MemberAction::Leave as u8);
        let gone = MemberV1 { o: 8, ts_us, subject: "bob", role: 0, action };
        producer.append(none, lobby, &gone).unwrap();
    });
    let folded = fold_at(&scratch, 10).unwrap();
    let dir = log_dir(scratch.path());
    assert_eq!((folded.segment_count, folded.record_count), (1, 8));
    assert_eq!(told(&newest(&dir)), FIRST);
    life(&scratch, |_| ());
    fold_at(&scratch, 15).unwrap();
    let want = [
        "epoch   5",
        "epoch   4",
        "run attic  4 1-1",
        "room lobby ann ",
        "room lobby ann new",
        "mark lobby ann 3",
        "run lobby  5 1-6",
        "run lobby  4 7-8",
        "seen lobby  6  66",
        "seen lobby  7  77",
        "seen attic  1  66",
    ];
    assert_eq!(told(&newest(&dir)), want);
    let bases: Vec<_> = list(&dir).unwrap().into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(bases.len(), 2);
    assert_eq!(covered_seq(&dir).unwrap(), Some(bases[1]));
}

#[test]
fn calls_of_one_moment_are_all_remembered() {
    let scratch = Scratch::new("calls");
    life(&scratch, |producer| {
        let ann = producer.intern(NameKind::User, "ann").unwrap();
        let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
        let command = producer.intern(NameKind::Command, "roll").unwrap().0;
        for cid in ["c1", "c2", "c3"] {
            let (ts_us, cost, duration_us, outcome) = (9 * MINUTE_US, 0, 1, 1);
            let (args, call) = ("", "c-1");
            let call = CallV1 { ts_us, cost, args, call, cid, command, duration_us, outcome };
            producer.append(ann, lobby, &call).unwrap();
        }
    });
    life(&scratch, |_| ());
    let dir = log_dir(scratch.path());
    // From the log, and from the snapshot before.
    for minute in [10, 11] {
        fold_at(&scratch, minute).unwrap();
        let mut all = told(&newest(&dir));
        all.retain(|line| line.starts_with("seen"));
        all.sort_unstable();
        assert_eq!(
            all,
            ["seen lobby ann 0 c1 0", "seen lobby ann 0 c2 0", "seen lobby ann 0 c3 0"]
        );
        life(&scratch, |_| ());
    }
}

#[test]
fn a_damaged_snapshot_falls_back_to_the_older_one_and_to_the_log() {
    let scratch = Scratch::new("fallback");
    let dir = log_dir(scratch.path());
    life(&scratch, first_life);
    life(&scratch, |_| ());
    fold_at(&scratch, 0).unwrap();
    life(&scratch, |_| ());
    fold_at(&scratch, 0).unwrap();
    let paths: Vec<_> = list(&dir).unwrap().into_iter().map(|(_, path)| path).collect();
    let read = || {
        let recovered = Recovered::read(&DataDir::lock(scratch.path()).unwrap()).unwrap();
        assert!(recovered.clean_stop);
        assert_eq!(recovered.epochs.len(), 1);
        let from = recovered.snapshot.as_ref().map(Snapshot::seq);
        (from, recovered.refused.len(), recovered.log.segments().len())
    };
    let (newer, older) = (newest(&dir).seq(), Snapshot::open(&paths[1]).unwrap().seq());
    assert_eq!(read(), (Some(newer), 0, 1));
    let bytes = std::fs::read(&paths[0]).unwrap();
    for at in (0..bytes.len()).step_by(131) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        std::fs::write(&paths[0], &damaged).unwrap();
        // The second copy of the header, and what nobody reads, may be damaged.
        let harmless = Snapshot::open(&paths[0]).is_ok();
        assert!(!harmless || at < 4_096, "byte {at}");
    }
    std::fs::write(&paths[0], &bytes[..bytes.len() - 8]).unwrap();
    assert_eq!(read(), (Some(older), 1, 2));
    std::fs::write(&paths[1], b"").unwrap();
    assert_eq!(read(), (None, 2, 3));
}

#[test]
fn what_retention_took_lives_on() {
    let scratch = Scratch::new("retained");
    life(&scratch, first_life);
    life(&scratch, |_| ());
    fold_at(&scratch, 0).unwrap();
    let dir = log_dir(scratch.path());
    let first = crate::log::format::SegmentHeader::file_name(0);
    std::fs::remove_file(dir.join(first)).unwrap();
    let recovered = life(&scratch, |_| ());
    assert!(recovered.log.problems().is_empty(), "{:?}", recovered.log.problems());
    let runs = recovered.snapshot.iter().flat_map(Snapshot::entries);
    assert_eq!(runs.filter(|entry| entry.kind() == Some(Kind::Run)).count(), 1);
    fold_at(&scratch, 0).unwrap();
    assert!(told(&newest(&dir)).contains(&"run lobby  5 1-6".to_owned()));
}
