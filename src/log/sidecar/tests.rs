//! Sidecars against the rows they were made from.

use super::*;
use crate::log::catalog::{Catalog, SidecarState};
use crate::log::reader::{Log, Segment, Trust};
use crate::log::record::{
    CommandV1, Delivery, Direction, Kind, MessageV1, NameKind, Outcome, SessionV1,
    Source as MessageSource, StatusV1,
};
use crate::log::scratch::Scratch;
use crate::log::{AckPolicy, DataDir, LogOptions, LogWriter, NameId, Recovered};
use std::path::PathBuf;

/// Microseconds between two rows, by row: dense, then a clock that jumps back and far ahead.
type Steps = fn(u64) -> i64;

const DENSE: Steps = |row| 1_700_000_000_000_000 + row as i64 * 1_500;
const JUMPY: Steps = |row| match row % 1_000 {
    500 => 5,
    999 => i64::MAX - row as i64,
    _ => 1_700_000_000_000_000 - row as i64,
};

/// Fills a log with `count` messages and some of everything else.
fn fill(scratch: &Scratch, count: u64, steps: Steps) {
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let options = LogOptions {
        policy: AckPolicy::Os,
        segment_bytes: 192 * 1_024,
        ring_bytes: 256 * 1_024,
        ..LogOptions::new(1, 7, || 1_700_000_000_000_000)
    };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).unwrap();
    let producer = &mut producers[0];
    let users: Vec<_> =
        (0..50).map(|n| producer.intern(NameKind::User, &format!("user {n}")).unwrap()).collect();
    let room = producer.intern(NameKind::Room, "lobby").unwrap();
    let dice = producer.intern(NameKind::Command, "dice").unwrap();
    for row in 1..=count {
        let text = format!("message {row} {}", "x".repeat(row as usize % 90));
        let message = MessageV1 {
            o: row,
            ts_us: steps(row),
            reply: 0,
            cid: "",
            text: &text,
            display: "",
            external: "",
            extra: "",
            source: MessageSource::Ws as u8,
            direction: Direction::Internal as u8,
        };
        let user = users[(row * row % 50) as usize];
        let mut appended = producer.append(user, room, &message);
        while appended.is_err() {
            std::thread::yield_now();
            appended = producer.append(user, room, &message);
        }
        if row % 10 == 0 {
            let ts_us = steps(row);
            let (external, recipient, extra) = ("wamid", "49", "");
            let status = Delivery::Failed as u8;
            let status = StatusV1 { ts_us, external, recipient, extra, error: 131_026, status };
            let _ = producer.append(NameId::NONE, room, &status);
            let outcome = Outcome::Ok as u8;
            let (args, command, duration_us) = ("2d6", dice.0, row as u32);
            let _ = producer.append(
                user,
                room,
                &CommandV1 { ts_us, args, command, duration_us, outcome },
            );
            let (sid, device, client) = ("s", "", "");
            let _ = producer.append(
                user,
                NameId::NONE,
                &SessionV1 { ts_us, sid, device, client, code: 4_101, action: 2 },
            );
        }
        producer.wake();
    }
    writer.stop().unwrap();
}

fn segment_paths(scratch: &Scratch) -> Vec<PathBuf> {
    let catalog = Catalog::open(&scratch.path().join("log")).unwrap();
    catalog.segments().iter().map(|segment| segment.path.clone()).collect()
}

/// Every row of every table, as text, by asking the columns.
fn by_columns(sidecar: &Sidecar) -> Result<Vec<String>, Damaged> {
    let mut rows = Vec::new();
    for table in TableKind::ALL {
        let times = sidecar.times(table)?;
        let (users, rooms) =
            (sidecar.codes(table, NameSet::Users)?, sidecar.codes(table, NameSet::Rooms)?);
        let (user_names, room_names) =
            (sidecar.names(NameSet::Users)?, sidecar.names(NameSet::Rooms)?);
        let offs = sidecar.u32s(table, Column::Off)?;
        assert_eq!(offs.len(), sidecar.row_count(table)?);
        for (row, off) in offs.iter().enumerate() {
            let more = match table {
                TableKind::Messages => format!(
                    "o {} size {} source {} direction {}",
                    sidecar.positions(table)?.at(row),
                    sidecar.u16s(table, Column::Size)?[row],
                    sidecar.bytes(table, Column::Source)?[row],
                    sidecar.bytes(table, Column::Direction)?[row],
                ),
                TableKind::Statuses => format!(
                    "status {} error {}",
                    sidecar.bytes(table, Column::Status)?[row],
                    sidecar.u32s(table, Column::Error)?[row],
                ),
                TableKind::Commands => format!(
                    "command {} took {} outcome {}",
                    sidecar
                        .names(NameSet::Commands)?
                        .text(sidecar.codes(table, NameSet::Commands)?.at(row)),
                    sidecar.u32s(table, Column::Duration)?[row],
                    sidecar.bytes(table, Column::Outcome)?[row],
                ),
                TableKind::Sessions => format!(
                    "action {} code {}",
                    sidecar.bytes(table, Column::Action)?[row],
                    sidecar.u16s(table, Column::CloseCode)?[row],
                ),
                TableKind::Metrics => String::new(),
                TableKind::Others => format!("tag {}", sidecar.u16s(table, Column::Tag)?[row]),
            };
            rows.push(format!(
                "{:08} {:?} at {} user {:?} room {:?} {more}",
                off,
                table,
                times.at(row),
                user_names.text(users.at(row)),
                room_names.text(rooms.at(row)),
            ));
        }
    }
    rows.sort();
    Ok(rows)
}

/// The same by reading the records.
fn by_rows(segment: &Segment) -> Vec<String> {
    let name = |id| match id {
        NameId::NONE => "",
        id => segment.name_of(id).unwrap(),
    };
    let mut rows = Vec::new();
    for (_, offset, record) in segment.records() {
        let view = crate::log::RecordView::check(record.kind().unwrap(), record.payload).unwrap();
        let more = match view {
            crate::log::RecordView::Name(_) => continue,
            crate::log::RecordView::Message(message) => {
                assert_eq!(record.message_text(), Some(message.text.as_bytes()));
                assert_eq!(record.message_text_len(), Some(message.text.len() as u32));
                let (o, size) = (message.o, message.text.len());
                let (source, direction) = (message.source, message.direction);
                format!("o {o} size {size} source {source} direction {direction}")
            }
            crate::log::RecordView::Status(status) => {
                format!("status {} error {}", status.status, status.error)
            }
            crate::log::RecordView::Command(command) => {
                let called = name(NameId(command.command.to_native()));
                let (took, outcome) = (command.duration_us, command.outcome);
                format!("command {called} took {took} outcome {outcome}")
            }
            crate::log::RecordView::Session(session) => {
                format!("action {} code {}", session.action, session.code)
            }
            _ => format!("tag {}", record.header.tag),
        };
        rows.push(format!(
            "{offset:08} {:?} at {} user {:?} room {:?} {more}",
            TableKind::of(record.kind()).unwrap(),
            record.ts_us().unwrap(),
            name(record.header.user),
            name(record.header.room),
        ));
    }
    rows.sort();
    rows
}

#[test]
fn columns_say_what_the_rows_say() {
    for steps in [DENSE, JUMPY] {
        let scratch = Scratch::new("sidecar");
        fill(&scratch, 3_000, steps);
        let paths = segment_paths(&scratch);
        assert!(paths.len() > 1);
        for path in paths {
            let segment = Segment::open_alone(&path, Trust::Validate).unwrap();
            let idx = write(&path, u64::MAX).unwrap().unwrap();
            let sidecar = Sidecar::open(&idx).unwrap();
            assert_eq!(*sidecar.key(), SegmentKey::of(segment.scan(), u64::MAX));
            sidecar.check().unwrap();
            assert_eq!(by_columns(&sidecar).unwrap(), by_rows(&segment));
            check_rollup(&sidecar, &segment);
        }
    }
}

fn check_rollup(sidecar: &Sidecar, segment: &Segment) {
    let rollup = sidecar.rollup().unwrap();
    let records: Vec<_> =
        segment.records().filter(|(_, _, record)| record.kind() != Some(Kind::Name)).collect();
    assert_eq!(rollup.record_count.to_native(), records.len() as u64);
    let messages = || records.iter().filter(|one| one.2.kind() == Some(Kind::Message));
    let count = messages().count() as u32;
    let sum = |counts: &rkyv::vec::ArchivedVec<rkyv::rend::u32_le>| {
        counts.iter().map(|count| count.to_native()).sum::<u32>()
    };
    for counts in [
        &rollup.user_messages,
        &rollup.room_messages,
        &rollup.minute_counts,
        &rollup.size_counts,
        &rollup.direction_counts,
    ] {
        assert_eq!(sum(counts), count);
    }
    let mut minutes: Vec<_> =
        messages().map(|one| one.2.ts_us().unwrap().div_euclid(60_000_000)).collect();
    minutes.sort_unstable();
    minutes.dedup();
    let kept: Vec<_> = rollup.minutes.iter().map(|minute| minute.to_native()).collect();
    assert_eq!(kept, minutes);
    let times = || records.iter().map(|one| one.2.ts_us().unwrap());
    assert_eq!(rollup.first_us.to_native(), times().min().unwrap());
    assert_eq!(rollup.last_us.to_native(), times().max().unwrap());
}

#[test]
fn size_buckets_follow_each_other() {
    let mut last = 0;
    for size in 0..=u16::MAX {
        let bucket = size_bucket(size);
        assert!(bucket == last || bucket == last + 1, "{size}");
        assert!(size_bucket_floor(bucket) <= usize::from(size));
        if bucket != last {
            assert_eq!(size_bucket_floor(bucket), usize::from(size));
        }
        last = bucket;
    }
}

#[test]
fn no_flipped_byte_changes_an_answer() {
    let scratch = Scratch::new("sidecar-flips");
    fill(&scratch, 60, DENSE);
    let path = segment_paths(&scratch).remove(0);
    let segment = Segment::open_alone(&path, Trust::Validate).unwrap();
    let want = by_rows(&segment);
    let idx = write(&path, u64::MAX).unwrap().unwrap();
    let intact = std::fs::read(&idx).unwrap();
    let mut caught_count = 0;
    for at in 0..intact.len() {
        let mut bytes = rkyv::util::AlignedVec::<SECTION_ALIGN>::new();
        bytes.extend_from_slice(&intact);
        bytes[at] ^= 1 << (at % 8);
        // A header that is none is as good as no sidecar; so is a damaged section.
        match Sidecar::parse(Bytes::Made(bytes), UNSEEN) {
            None => caught_count += 1,
            Some(sidecar) => match by_columns(&sidecar) {
                Ok(rows) => assert_eq!(rows, want, "byte {at}"),
                Err(Damaged) => caught_count += 1,
            },
        }
    }
    assert!(caught_count > intact.len() / 4, "{caught_count} of {}", intact.len());
    for len in (0..intact.len()).step_by(61) {
        let mut bytes = rkyv::util::AlignedVec::<SECTION_ALIGN>::new();
        bytes.extend_from_slice(&intact[..len]);
        assert!(Sidecar::parse(Bytes::Made(bytes), UNSEEN).is_none(), "cut to {len}");
    }
}

#[test]
fn a_view_falls_back_to_the_rows() {
    let scratch = Scratch::new("sidecar-view");
    fill(&scratch, 2_000, DENSE);
    let log_dir = scratch.path().join("log");
    let log = Log::open(&log_dir, Trust::Validate).unwrap();
    let catalog = Catalog::open(&log_dir).unwrap();
    let first = &catalog.segments()[0];
    let want = by_rows(&log.segments()[0]);
    let rows = |info| {
        let view = catalog.view(info);
        let rows = view.ask(by_columns);
        let off = view.ask(|sidecar| Ok(sidecar.u32s(TableKind::Messages, Column::Off)?[7]));
        let record = view.record(off.to_native()).unwrap();
        assert_eq!(record.message_position(), Some(8));
        assert_eq!(
            view.seq(off.to_native()),
            log.segments()[0]
                .records()
                .find_map(|(seq, offset, _)| (offset == off.to_native()).then_some(seq))
        );
        assert_eq!(view.record(off.to_native() + 8), None.or(view.record(off.to_native() + 8)));
        (rows, view.has_sidecar())
    };
    assert_eq!(first.sidecar_state(), SidecarState::Missing);
    assert_eq!(rows(first), (want.clone(), false));
    let idx = write(log.segments()[0].path(), u64::MAX).unwrap().unwrap();
    assert_eq!(first.sidecar_state(), SidecarState::Fits);
    assert_eq!(rows(first), (want.clone(), true));
    // A damaged section is read from the rows, the others from the file.
    let mut bytes = std::fs::read(&idx).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    std::fs::write(&idx, &bytes).unwrap();
    assert_eq!(rows(first), (want.clone(), true));
    // The sidecar of another segment is stale.
    write(log.segments()[1].path(), u64::MAX).unwrap();
    std::fs::rename(log_dir.join(Sidecar::file_name(catalog.segments()[1].header.base_seq)), &idx)
        .unwrap();
    assert_eq!(first.sidecar_state(), SidecarState::Stale);
    assert_eq!(rows(first), (want, false));
}

#[test]
fn the_seal_thread_makes_what_is_missing_and_sweeps_what_is_left_over() {
    let scratch = Scratch::new("sidecar-job");
    fill(&scratch, 2_000, DENSE);
    let log_dir = scratch.path().join("log");
    let leftovers = [Sidecar::file_name(77_777), format!("{:020}.idx.tmp", 0)];
    for name in &leftovers {
        std::fs::write(log_dir.join(name), "x").unwrap();
    }
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let options = LogOptions { segment_bytes: 192 * 1_024, ..LogOptions::new(1, 7, || 0) };
    let (writer, _producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).unwrap();
    writer.add_job(Box::new(SidecarJob));
    let begin = std::time::Instant::now();
    let done = || {
        let catalog = Catalog::open(&log_dir).unwrap();
        let mut finished = catalog.segments().iter().filter(|segment| segment.is_final());
        finished.all(|segment| segment.check_sidecar() == SidecarState::Fits)
    };
    while !done() {
        assert!(begin.elapsed().as_secs() < 20, "no sidecars");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    writer.stop().unwrap();
    for name in leftovers {
        assert!(!log_dir.join(&name).exists(), "{name}");
    }
}
