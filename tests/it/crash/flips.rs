//! Rotten bits and cut files: each is reported, and every record it did not hit is still served.

use super::rounds_of;
use crate::server::process::Folder;
use crate::sim::prng::Rng;
use ringpost::log::batch::{BATCH_HEADER_BYTES, BatchHeader, records};
use ringpost::log::record::{Direction, MessageV1, NameId, NameKind, Source};
use ringpost::log::recovery::Ending;
use ringpost::log::{
    AckPolicy, DataDir, Log, LogOptions, LogWriter, Producer, Recovered, Trust, directory,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SEGMENT_BYTES: usize = 256 << 10;
const PAGE: u64 = 4_096;
/// Bytes of one copy of the segment header that are looked at; the second copy stands at 2048.
const HEADER_BYTES: u64 = 64;
/// Every so many cases the real program has the word.
const PROGRAM_EVERY: usize = 200;

/// By sequence number: header and payload.
type Records = BTreeMap<u64, Vec<u8>>;

/// What is done to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Harm {
    /// One bit is another.
    Flip { at: u64, bit: u8 },
    /// A sector reads as zeros.
    Zero { at: u64, len: u64 },
    /// The file ends here.
    Cut { at: u64 },
}

/// One file of the log as it was written.
struct Original {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Begin, end, and the records of each batch that has some.
    batches: Vec<(u64, u64, Records)>,
    /// Behind the last batch.
    end: u64,
    /// How far a later batch vouches for the bytes.
    vouched: u64,
}

fn append(producer: &mut Producer, names: (NameId, NameId), o: u64) {
    let text = "seven bits make a byte of sorrow ".repeat(1 + o as usize % 9);
    let message = MessageV1 {
        o,
        ts_us: o as i64 * 1_000,
        reply: 0,
        cid: "cid",
        text: &text,
        display: "",
        external: "",
        extra: "",
        source: Source::Ws as u8,
        direction: Direction::In as u8,
    };
    producer.append(names.0, names.1, &message).expect("the ring has room");
    // Small groups, as people make them.
    if o.is_multiple_of(17) {
        wait(producer);
    }
}

fn wait(producer: &mut Producer) {
    producer.wake();
    while producer.acked() < producer.appended() {
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// A log of sealed segments and an open one, copied while its writer lives.
pub fn make(folder: &Folder) -> PathBuf {
    let (live, copy) = (folder.path().join("live"), folder.path().join("copy"));
    let dir = DataDir::lock(&live).expect("a fresh directory");
    let recovered = Recovered::read(&dir).expect("an empty log");
    let options = LogOptions {
        policy: AckPolicy::Fsync,
        segment_bytes: SEGMENT_BYTES,
        ..LogOptions::new(1, 11, || 1_795_000_000_000_000)
    };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).expect("room");
    let producer = &mut producers[0];
    let user = producer.intern(NameKind::User, "ann").expect("room");
    let room = producer.intern(NameKind::Room, "lobby").expect("room");
    for o in 1..=3_400 {
        append(producer, (user, room), o);
    }
    wait(producer);
    // Time for the batch that vouches for the last sync.
    std::thread::sleep(Duration::from_millis(200));
    fs::create_dir_all(directory::log_dir(&copy)).expect("writable");
    for entry in fs::read_dir(directory::log_dir(&live)).expect("it is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|ext| ext == "seg") {
            let name = path.file_name().expect("a name");
            fs::copy(&path, directory::log_dir(&copy).join(name)).expect("room");
        }
    }
    writer.stop().expect("a healthy disk");
    copy
}

fn originals(data: &Path) -> Vec<Original> {
    let log = Log::open(&directory::log_dir(data), Trust::Validate).expect("a log");
    let segments = log.segments().iter().map(|segment| {
        let bytes = fs::read(segment.path()).expect("readable");
        let scan = segment.scan();
        let batches = scan.batches.iter().map(|place| {
            let (begin, end) = (place.offset as usize, (place.offset + place.len) as usize);
            let raw = records(&bytes[begin..end], place.count);
            let numbered = (place.base_seq..)
                .zip(raw.map(|record| [&record.header.encode()[..], record.payload].concat()));
            (begin as u64, end as u64, numbered.collect())
        });
        let batches = batches.collect();
        let vouched = vouched(&bytes, scan.end);
        let (path, end) = (segment.path().to_owned(), u64::from(scan.end));
        Original { path, bytes, batches, end, vouched }
    });
    segments.collect()
}

/// The highest watermark of the batches.
fn vouched(bytes: &[u8], end: u32) -> u64 {
    let (mut at, mut highest) = (PAGE as usize, 0);
    while at < end as usize {
        let header = BatchHeader::peek(&bytes[at..]).expect("a batch");
        highest = highest.max(u64::from(header.durable_off));
        at += header.len as usize;
    }
    highest
}

/// All that can be read, and whether anything was reported.
fn read(data: &Path) -> (Records, bool) {
    let log = Log::open(&directory::log_dir(data), Trust::Validate).expect("a directory");
    let mut reported = !log.problems().is_empty();
    for segment in log.segments() {
        let scan = segment.scan();
        reported |= !scan.corrupt.is_empty() || matches!(scan.ending, Ending::Torn(_));
        reported |= segment.faults().next().is_some();
    }
    let mut all = Records::new();
    for entry in log.entries() {
        reported |= entry.kind().is_some() && entry.view().is_none();
        let bytes = [&entry.record.header.encode()[..], entry.record.payload].concat();
        all.insert(entry.seq, bytes);
    }
    (all, reported)
}

/// A reader that believes the lengths and checks nothing else: what it would serve.
fn read_unchecked(bytes: &[u8]) -> Option<Records> {
    let mut all = Records::new();
    let mut at = PAGE as usize;
    while let Some(header) = BatchHeader::peek(bytes.get(at..)?) {
        let batch = bytes.get(at..at + header.len as usize)?;
        let raw: Vec<_> = records(batch, header.count).collect();
        if raw.len() != header.count as usize || batch.len() < BATCH_HEADER_BYTES {
            return None;
        }
        for (seq, record) in (header.base_seq..).zip(raw) {
            all.insert(seq, [&record.header.encode()[..], record.payload].concat());
        }
        at += header.len as usize;
    }
    Some(all)
}

impl Harm {
    fn draw(original: &Original, rng: &mut Rng) -> Self {
        // One in forty hits a header, which is small; bits of both copies.
        let at = match rng.below(40) {
            0 => rng.below(HEADER_BYTES as usize) as u64 + 2_048 * rng.below(2) as u64,
            _ => return Self::draw_within(PAGE, original.end, rng),
        };
        Self::draw_within(at, at + 1, rng)
    }

    /// Begins at a random place of these.
    pub fn draw_within(begin: u64, end: u64, rng: &mut Rng) -> Self {
        let at = begin + rng.below((end - begin) as usize) as u64;
        match rng.below(10) {
            // A file without a byte was never begun.
            0 => Self::Cut { at: at.max(1) },
            1 => {
                let at = at / 512 * 512;
                Self::Zero { at, len: 512.min(end.max(at + 1) - at) }
            }
            _ => Self::Flip { at, bit: rng.below(8) as u8 },
        }
    }

    /// Does it.
    pub fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip { at, bit } => bytes[at as usize] ^= 1 << bit,
            Self::Zero { at, len } => bytes[at as usize..(at + len) as usize].fill(0),
            Self::Cut { at } => bytes.truncate(at as usize),
        }
    }

    /// The bytes that are not what they were.
    fn region(self) -> (u64, u64) {
        match self {
            Self::Flip { at, .. } => (at, at + 1),
            Self::Zero { at, len } => (at, at + len),
            Self::Cut { at } => (at, u64::MAX),
        }
    }
}

/// Counts over all cases.
#[derive(Debug, Default)]
struct Verdicts {
    unseen: Vec<String>,
    unserved: Vec<String>,
    invented: Vec<String>,
    behind_watermark: usize,
    control_missed: usize,
}

/// One case: was an intact record not served, was a wrong one, is the loss one that looks like a
/// torn tail? `served` is what the readers gave, `all` what there was.
fn judge(original: &Original, harm: Harm, served: &Records, all: &Records) -> [bool; 3] {
    let (begin, end) = harm.region();
    let hit = |batch: &(u64, u64, Records)| batch.0 < end && begin < batch.1;
    // The header page gone means the file gone; that much is reported.
    let headless = matches!(harm, Harm::Cut { at } if at < PAGE);
    // Nobody vouches for the bytes from here on: it looks like a tail that was never synced.
    let tail = if begin >= original.vouched || matches!(harm, Harm::Cut { .. }) {
        begin
    } else {
        u64::MAX
    };
    let mut unserved = false;
    let mut behind = false;
    for batch in original.batches.iter().filter(|batch| !hit(batch) && !headless) {
        let intact = batch.2.iter().all(|(seq, bytes)| served.get(seq) == Some(bytes));
        if !intact && batch.0 >= tail {
            behind = true;
        } else {
            unserved |= !intact;
        }
    }
    let own: BTreeSet<u64> =
        original.batches.iter().flat_map(|batch| batch.2.keys().copied()).collect();
    let others = all.iter().filter(|(seq, _)| !own.contains(seq));
    unserved |= others.clone().any(|(seq, bytes)| served.get(seq) != Some(bytes));
    let invented = served.iter().any(|(seq, bytes)| all.get(seq) != Some(bytes));
    [unserved, invented, behind]
}

#[test]
fn no_rotten_bit_is_served_or_hides_its_neighbours() {
    let folder = Folder::new();
    let data = make(&folder);
    let files = originals(&data);
    assert!(files.len() > 3, "sealed segments and an open one");
    let (all, reported) = read(&data);
    assert!(!reported && all.len() > 3_400);
    let mut rng = Rng::new(8);
    let mut verdicts = Verdicts::default();
    let Some(count) = rounds_of("flips", 300) else { return };
    for number in 0..count {
        let original = &files[rng.below(files.len())];
        let harm = Harm::draw(original, &mut rng);
        let case = format!("{number}: {harm:?} of {}", original.path.display());
        let mut bytes = original.bytes.clone();
        harm.apply(&mut bytes);
        if bytes == original.bytes {
            continue;
        }
        write(&original.path, &bytes);
        let (served, mut reported) = read(&data);
        if number % PROGRAM_EVERY == 0 {
            reported &= program_reports(&data);
        }
        let [unserved, invented, behind] = judge(original, harm, &served, &all);
        verdicts.behind_watermark += usize::from(behind);
        if !reported {
            verdicts.unseen.push(case.clone());
        }
        if unserved {
            verdicts.unserved.push(case.clone());
        }
        if invented {
            verdicts.invented.push(case);
        }
        let before = read_unchecked(&original.bytes).expect("it is whole");
        let missed = read_unchecked(&bytes).is_some_and(|after| after != before);
        verdicts.control_missed += usize::from(missed);
        write(&original.path, &original.bytes);
    }
    println!(
        "crash: rotten bits: cases {count}, unseen {}, intact but not served {}, wrong served {}, \
         taken for a torn tail {}, control without checksums: wrong served {}",
        verdicts.unseen.len(),
        verdicts.unserved.len(),
        verdicts.invented.len(),
        verdicts.behind_watermark,
        verdicts.control_missed,
    );
    for (what, cases) in [
        ("unseen", &verdicts.unseen),
        ("intact but not served", &verdicts.unserved),
        ("wrong served", &verdicts.invented),
    ] {
        assert!(cases.is_empty(), "{what}:\n{}", cases[..cases.len().min(20)].join("\n"));
    }
    assert!(count < 100 || verdicts.control_missed > 0, "the control missed nothing");
}

/// Makes the file these bytes, in place.
pub fn write(path: &Path, bytes: &[u8]) {
    let file = File::options().write(true).open(path).expect("it is there");
    file.write_all_at(bytes, 0).expect("room");
    file.set_len(bytes.len() as u64).expect("writable");
}

/// Whether the program that people run says that something is wrong.
fn program_reports(data: &Path) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost-scan"));
    let output = command.args(["verify", "--format", "jsonl", "--data"]).arg(data).output();
    let output = output.expect("it runs");
    let rows = String::from_utf8_lossy(&output.stdout);
    output.status.code() == Some(2) || rows.contains("torn tail") || rows.contains("unborn")
}
