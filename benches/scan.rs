//! What questions over a log cost: of its rows, and of its sidecars.
//!
//! `cargo bench --bench scan` measures five million messages; `cargo test --benches` asks a few
//! thousand, so that it cannot rot. Every answer is checked. `cargo bench --bench scan -- DIR` asks
//! the log in `DIR` instead, without checks. One thread, warm, best of some rounds: look at CPU
//! time.

use memchr::memmem::Finder;
use ringpost::log::batch::BATCH_HEADER_BYTES;
use ringpost::log::catalog::{Catalog, SegmentView};
use ringpost::log::record::{Direction, MessageV1, RawRecords, Source};
use ringpost::log::sidecar::{self, Codes, Column, NameSet, TableKind};
use ringpost::log::{
    AckPolicy, DataDir, Kind, Log, LogOptions, LogWriter, NameId, NameKind, Producer, Recovered,
    Trust,
};
use ringpost::scan::{Surroundings, run};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

const USERS: u64 = 50_000;
const ROOMS: u64 = 500;
const NEEDLE: &str = "blue heron";
const MONTH_US: u64 = 30 * 86_400_000_000;
const BEGIN_US: i64 = 1_795_305_600_000_000;

/// Sizes of a run: small in tests.
struct Scale {
    message_count: u64,
    rounds: u32,
}

/// What the log was made to answer.
#[derive(Default)]
struct Truth {
    by_user: Vec<u64>,
    minutes: std::collections::BTreeSet<i64>,
    needle_count: u64,
    sizes: Vec<u32>,
}

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let scale = if full {
        Scale { message_count: 5_000_000, rounds: 7 }
    } else {
        Scale { message_count: 20_000, rounds: 1 }
    };
    if let Some(data) = given.filter(|_| full) {
        questions(Path::new(&data), &scale, None);
        return;
    }
    let root = std::env::temp_dir().join(format!("ringpost-bench-scan-{}", std::process::id()));
    let truth = fill(&root, &scale);
    questions(&root, &scale, Some(&truth));
    let _ = std::fs::remove_dir_all(&root);
}

fn questions(root: &Path, scale: &Scale, truth: Option<&Truth>) {
    let log_dir = root.join("log");
    rows(&log_dir, scale, truth);
    reports("no sidecars", root, &Scale { rounds: scale.rounds.min(2), ..*scale }, truth);
    let before = cpu();
    sidecar::refresh(&log_dir, &|| false).expect("sidecars");
    let made = cpu() - before;
    println!("make the sidecars       {:8.1} CPU ms", made.as_secs_f64() * 1e3);
    columns(&log_dir, scale, truth);
    reports("sidecars", root, scale, truth);
}

/// Kernels over the rows of a log that is open: what is left when there are no columns.
fn rows(log_dir: &Path, scale: &Scale, truth: Option<&Truth>) {
    let log = Log::open(log_dir, Trust::Checksum).expect("a log");
    let messages = || log.entries().filter(|entry| entry.record.header.tag == Kind::Message.tag());
    measure("rows: top users", scale, || {
        let mut counts = vec![0u64; 1 << 17];
        messages().for_each(|entry| counts[entry.record.header.user.0 as usize & 0x1_ffff] += 1);
        let most = counts.iter().copied().max().unwrap_or(0);
        if let Some(truth) = truth {
            assert_eq!(most, truth.by_user.iter().copied().max().unwrap_or(0));
        }
        most
    });
    measure("rows: per minute", scale, || {
        let mut counts = std::collections::HashMap::<i64, u64>::new();
        let (mut minute, mut here) = (i64::MIN, 0);
        for entry in messages() {
            let one = entry.ts_us().unwrap_or(0).div_euclid(60_000_000);
            if one != minute {
                *counts.entry(minute).or_default() += here;
                (minute, here) = (one, 0);
            }
            here += 1;
        }
        *counts.entry(minute).or_default() += here;
        counts.len() as u64
    });
    measure("rows: substring", scale, || {
        let count = substring(&log, &Finder::new(NEEDLE));
        if let Some(truth) = truth {
            assert_eq!(count, truth.needle_count);
        }
        count
    });
    measure("rows: p95 of size", scale, || {
        let mut counts = vec![0u64; 1 << 16];
        let sizes = messages().filter_map(|entry| entry.record.message_text_len());
        sizes.for_each(|size| counts[size as usize & 0xffff] += 1);
        quantile(&counts, 0.95)
    });
}

/// Messages with a text: batch by batch, since one long search is cheaper than many short ones; the
/// records of a batch are only looked at while there are hits.
fn substring(log: &Log, finder: &Finder<'_>) -> u64 {
    let mut count = 0;
    for segment in log.segments() {
        for place in &segment.scan().batches {
            let bytes = &segment.batch(place)[BATCH_HEADER_BYTES..];
            let mut hits = finder.find_iter(bytes);
            let Some(mut hit) = hits.next() else { continue };
            let mut records = RawRecords::new(bytes);
            'records: while let Some(record) = records.next() {
                let end = bytes.len() - records.rest().len();
                let text = record.message_text();
                let text = text.filter(|_| record.header.tag == Kind::Message.tag());
                let begin = text.map_or(0, |text| text.as_ptr().addr() - bytes.as_ptr().addr());
                let behind = begin + text.map_or(0, <[u8]>::len);
                let mut found = false;
                while hit < end {
                    found |= hit >= begin && hit + finder.needle().len() <= behind;
                    match hits.next() {
                        Some(next) => hit = next,
                        None => {
                            count += u64::from(found);
                            break 'records;
                        }
                    }
                }
                count += u64::from(found);
            }
        }
    }
    count
}

/// Kernels over the columns of a log that is open: what a report costs beside starting, listing
/// and joining names.
fn columns(log_dir: &Path, scale: &Scale, truth: Option<&Truth>) {
    let catalog = Catalog::open(log_dir).expect("a log");
    let views: Vec<_> = catalog.segments().iter().map(|info| catalog.view(info)).collect();
    let table = TableKind::Messages;
    let codes = |view: &SegmentView<'_>, counts: &mut [u64]| match view
        .ask(|sidecar| sidecar.codes(table, NameSet::Users))
    {
        Codes::Narrow(codes) => {
            codes.iter().for_each(|code| counts[usize::from(code.to_native())] += 1);
        }
        Codes::Wide(codes) => {
            codes.iter().for_each(|code| counts[code.to_native() as usize] += 1);
        }
    };
    measure("columns: top users", scale, || {
        // Numbers of one start of the server are the same in all its segments.
        let mut counts = vec![0u64; 1 << 17];
        for view in &views {
            let names = view.ask(|sidecar| sidecar.names(NameSet::Users));
            let mut here = vec![0; names.len()];
            codes(view, &mut here);
            for (code, count) in here.iter().enumerate() {
                counts[names.id(code).0 as usize & 0x1_ffff] += count;
            }
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        if let Some(truth) = truth {
            assert_eq!(most, truth.by_user.iter().copied().max().unwrap_or(0));
        }
        most
    });
    measure("columns: per minute", scale, || {
        let mut counts = vec![0u32; 1 << 17];
        let first_us = BEGIN_US.div_euclid(60_000_000) * 60_000_000;
        for view in &views {
            let times = view.ask(|sidecar| sidecar.times(table));
            times.each(0..times.len(), |_, ts_us| {
                counts[((ts_us - first_us) as u64 / 60_000_000) as usize & 0x1_ffff] += 1;
            });
        }
        counts.iter().filter(|count| **count > 0).count() as u64
    });
    measure("columns: p95 of size", scale, || {
        let mut counts = vec![0u64; 1 << 16];
        for view in &views {
            let sizes = view.ask(|sidecar| sidecar.u16s(table, Column::Size));
            sizes.iter().for_each(|size| counts[usize::from(size.to_native())] += 1);
        }
        quantile(&counts, 0.95)
    });
}

/// Whole command lines, from listing the directory to the last row.
fn reports(what: &str, root: &Path, scale: &Scale, truth: Option<&Truth>) {
    let ask = |line: &str| {
        let mut arguments = vec![OsString::from("--data"), root.as_os_str().to_owned()];
        arguments.extend("--threads 1 --format csv".split(' ').map(OsString::from));
        arguments.extend(line.split('|').map(OsString::from));
        let (mut out, mut words) = (Vec::new(), Vec::new());
        let surroundings = Surroundings {
            now_us: BEGIN_US,
            terminal: false,
            colour: false,
            wait: &mut || false,
            progress: &mut |_| (),
        };
        let status = run(&arguments, &mut out, &mut words, surroundings);
        assert!(status < 2, "{}", String::from_utf8_lossy(&words));
        String::from_utf8(out).expect("UTF-8")
    };
    let rows_of = |line: &str| ask(line).lines().count() as u64 - 1;
    for (name, line) in [
        ("top users", "top|users"),
        ("top users, by row", "top|users|--since|1970-01-01"),
        ("per minute", "volume|--by|minute"),
        ("per minute, by row", "volume|--by|minute|--since|1970-01-01"),
        ("substring, count", "grep|-c|blue heron"),
        ("substring, rows", "grep|blue heron"),
        ("sizes", "summary"),
        ("one hour", "volume|--since|2026-12-01T10:00Z|--until|2026-12-01T11:00Z"),
    ] {
        measure(&format!("{what}: {name}"), scale, || rows_of(line));
    }
    let Some(truth) = truth else { return };
    let best = truth.by_user.iter().copied().max().unwrap_or(0);
    let first = |line: &str| ask(line).lines().nth(1).unwrap_or_default().to_owned();
    assert!(first("top|users").contains(&format!(",{best},")));
    assert_eq!(first("top|users"), first("top|users|--since|1970-01-01"));
    assert_eq!(rows_of("volume|--by|minute"), truth.minutes.len() as u64);
    assert_eq!(rows_of("grep|blue heron"), truth.needle_count);
    let mut counts = vec![0; 1 << 16];
    truth.sizes.iter().for_each(|size| counts[*size as usize] += 1);
    let p95 = quantile(&counts, 0.95);
    assert!(ask("summary").contains(&format!("text p95,{p95}\r\n")));
}

fn quantile(counts: &[u64], share: f64) -> u64 {
    let rank = (counts.iter().sum::<u64>() as f64 * share).ceil() as u64;
    let mut below = 0;
    let found = counts.iter().position(|count| {
        below += count;
        below >= rank
    });
    found.unwrap_or(0) as u64
}

fn measure(what: &str, scale: &Scale, mut work: impl FnMut() -> u64) {
    let mut best = Duration::MAX;
    let mut answer = 0;
    for _ in 0..scale.rounds {
        let before = cpu();
        answer = work();
        best = best.min(cpu() - before);
    }
    println!("{what:34} {:8.2} CPU ms   answer {answer}", best.as_secs_f64() * 1e3);
}

/// A month of people who write unequally much, with words between 4 and some hundred bytes.
fn fill(root: &Path, scale: &Scale) -> Truth {
    let (writer, mut producer) = start(root);
    let mut truth = Truth { by_user: vec![0; USERS as usize], ..Truth::default() };
    let users: Vec<NameId> = (0..USERS)
        .map(|number| intern(&mut producer, NameKind::User, &format!("user-{number:05}")))
        .collect();
    let rooms: Vec<NameId> = (0..ROOMS)
        .map(|number| intern(&mut producer, NameKind::Room, &format!("room-{number:03}")))
        .collect();
    let mut chance = 7u64;
    let mut text = String::new();
    // Positions of a room have no gaps, as in every log that the server wrote.
    let mut positions = vec![0u64; ROOMS as usize];
    for o in 1..=scale.message_count {
        // Squaring a fair share twice makes a few users write most.
        let share = (next(&mut chance) >> 11) as f64 / (1u64 << 53) as f64;
        let user = ((share * share * share * share) * USERS as f64) as usize;
        let room = (next(&mut chance) % ROOMS) as usize;
        let ts_us =
            BEGIN_US + (o as u128 * u128::from(MONTH_US) / u128::from(scale.message_count)) as i64;
        positions[room] += 1;
        write_text(&mut text, &mut chance);
        truth.by_user[user] += 1;
        truth.minutes.insert(ts_us.div_euclid(60_000_000));
        truth.needle_count += u64::from(text.contains(NEEDLE));
        truth.sizes.push(text.len() as u32);
        let message = MessageV1 {
            o: positions[room],
            ts_us,
            reply: 0,
            cid: "",
            text: &text,
            display: "",
            external: "",
            extra: "",
            source: Source::Ws as u8,
            direction: Direction::Internal as u8,
        };
        while producer.append(users[user], rooms[room], &message).is_err() {
            producer.wake();
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    writer.stop().expect("a clean stop");
    truth
}

const WORDS: [&str; 32] = [
    "the", "order", "please", "thanks", "when", "is", "my", "parcel", "coming", "hello",
    "tomorrow", "we", "can", "not", "find", "your", "number", "blue", "heron", "invoice", "paid",
    "again", "ok", "see", "you", "at", "noon", "weather", "today", "good", "question", "answer",
];

fn write_text(text: &mut String, chance: &mut u64) {
    text.clear();
    let dice = next(chance);
    let word_count = 1 + dice % 12 + if dice >> 32 & 15 == 0 { 40 } else { 0 };
    for _ in 0..word_count {
        let word = WORDS[(next(chance) >> 40) as usize % WORDS.len()];
        text.push_str(word);
        text.push(' ');
    }
    text.push_str(&format!("{:x}", next(chance) >> 44));
}

/// splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn intern(producer: &mut Producer, kind: NameKind, text: &str) -> NameId {
    loop {
        match producer.intern(kind, text) {
            Ok(id) => return id,
            Err(_) => {
                producer.wake();
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }
}

fn start(root: &Path) -> (LogWriter, Producer) {
    let root: PathBuf = root.to_path_buf();
    let dir = DataDir::lock(&root).expect("a directory");
    let recovered = Recovered::read(&dir).expect("a readable log");
    let options = LogOptions { policy: AckPolicy::Memory, ..LogOptions::new(1, 7, || 1) };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).expect("a log thread");
    (writer, producers.remove(0))
}

/// What this thread has used of a CPU, to the nanosecond.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the structure.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert!(failed == 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
