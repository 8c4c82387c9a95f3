//! Whole command lines against a log of two rooms: rows, words and exit status.

use super::*;
use crate::base::letters::is_unsafe;
use crate::log::record::{
    CommandV1, Delivery, Direction, MessageV1, NameKind, Outcome, SessionV1, Source, StatusV1,
};
use crate::log::scratch::Scratch;
use crate::log::{AckPolicy, DataDir, LogOptions, LogWriter, NameId, Producer, Recovered};

mod columns;
mod deliveries;
mod live;
mod people;

/// 2026-11-22T18:00:00Z.
const BEGIN_US: i64 = 1_795_370_400_000_000;

fn start(scratch: &Scratch) -> (LogWriter, Producer) {
    start_with(scratch, AckPolicy::Os)
}

fn start_with(scratch: &Scratch, policy: AckPolicy) -> (LogWriter, Producer) {
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let options = LogOptions {
        policy,
        segment_bytes: 192 * 1_024,
        ring_bytes: 256 * 1_024,
        ..LogOptions::new(1, 7, || BEGIN_US + 60_000_000)
    };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).unwrap();
    (writer, producers.remove(0))
}

fn message(o: u64, text: &str, source: Source, direction: Direction) -> MessageV1<'_> {
    MessageV1 {
        o,
        ts_us: BEGIN_US + o as i64 * 1_000_000,
        reply: 0,
        cid: "",
        text,
        display: "",
        external: "",
        extra: "",
        source: source as u8,
        direction: direction as u8,
    }
}

/// Six records of an evening, and the stop.
pub(super) fn evening(scratch: &Scratch) {
    let (writer, mut producer) = start(scratch);
    let ann = producer.intern(NameKind::User, "ann").unwrap();
    let bob = producer.intern(NameKind::User, "bob").unwrap();
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    let phone = producer.intern(NameKind::Room, "wa:49").unwrap();
    let dice = producer.intern(NameKind::Command, "dice").unwrap();
    let session =
        SessionV1 { ts_us: BEGIN_US, sid: "s1", device: "", client: "web", code: 0, action: 1 };
    producer.append(ann, NameId::NONE, &session).unwrap();
    let hello = message(1, "hello", Source::Ws, Direction::Internal);
    producer.append(ann, lobby, &hello).unwrap();
    let evil = message(2, "\u{1b}]0;pwned\u{7}\u{202e}", Source::Whatsapp, Direction::In);
    producer.append(bob, phone, &evil).unwrap();
    let answer = message(3, "say \"hi\", bob", Source::Ws, Direction::Out);
    producer.append(ann, phone, &answer).unwrap();
    let status = StatusV1 {
        ts_us: BEGIN_US + 4_000_000,
        external: "wamid.1",
        recipient: "49",
        extra: "",
        error: 0,
        status: Delivery::Read as u8,
    };
    producer.append(NameId::NONE, phone, &status).unwrap();
    let command = CommandV1 {
        ts_us: BEGIN_US + 5_000_000,
        args: "2d6",
        command: dice.0,
        duration_us: 120,
        outcome: Outcome::Ok as u8,
    };
    producer.append(bob, lobby, &command).unwrap();
    writer.stop().unwrap();
}

/// Runs a command line on the scratch directory: status, stdout, stderr.
pub(super) fn scan(scratch: &Scratch, line: &str) -> (u8, String, String) {
    let mut arguments = vec!["--data".into(), scratch.path().as_os_str().to_owned()];
    arguments.extend(line.split_whitespace().map(OsString::from));
    run_with(&arguments, &mut || false)
}

fn run_with(arguments: &[OsString], wait: &mut dyn FnMut() -> bool) -> (u8, String, String) {
    run_at(arguments, BEGIN_US + 10_000_000, wait)
}

fn run_at(
    arguments: &[OsString],
    now_us: i64,
    wait: &mut dyn FnMut() -> bool,
) -> (u8, String, String) {
    let (mut out, mut words) = (Vec::new(), Vec::new());
    let surroundings =
        Surroundings { now_us, terminal: false, colour: false, wait, progress: &mut |_| () };
    let status = run(arguments, &mut out, &mut words, surroundings);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status, text(out), text(words))
}

#[test]
fn tail_shows_what_was_said_and_nothing_of_what_was_meant_for_the_terminal() {
    let scratch = Scratch::new("tail");
    evening(&scratch);
    let (status, out, words) = scan(&scratch, "tail -n 6");
    assert_eq!((status, words.as_str()), (0, ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 7);
    assert!(lines[0].starts_with("seq  time"), "{}", lines[0]);
    assert!(lines[1].contains("hello") && lines[1].contains("source=ws direction=internal"));
    assert!(lines[2].contains("\\u{1b}]0;pwned\\u{7}\\u{202e}"), "{}", lines[2]);
    assert!(lines[4].contains("status=read external=wamid.1 recipient=49"), "{}", lines[4]);
    assert!(lines[5].contains("/dice 2d6") && lines[5].contains("outcome=ok duration_us=120"));
    assert!(lines[6].contains("stop"));
    assert!(!out.chars().any(|c| c != '\n' && is_unsafe(c)));
}

#[test]
fn filters_and_formats() {
    let scratch = Scratch::new("filters");
    evening(&scratch);
    let seqs = |line: &str| {
        let (_, out, words) = scan(&scratch, line);
        assert_eq!(words, "");
        out.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(seqs("tail --format csv --room lobby"), ["3", "10"]);
    assert_eq!(seqs("--format csv --user bob tail"), ["6", "10"]);
    assert_eq!(seqs("tail --format csv --kind message,command -n 2"), ["7", "10"]);
    assert_eq!(seqs("tail --format csv --since 2026-11-22T18:00:03Z --kind message"), ["7"]);
    assert_eq!(seqs("tail --format csv --since 6s --until 2026-11-22T18:00:06Z"), ["8", "10"]);
    let (status, out, _) = scan(&scratch, "tail --format csv --room nowhere");
    assert_eq!((status, out.lines().count()), (1, 1));
    let (_, out, _) = scan(&scratch, "tail --format csv --user ann --room wa:49");
    assert!(out.ends_with("\"say \"\"hi\"\", bob\",source=ws direction=out\r\n"), "{out}");
    let (_, out, _) = scan(&scratch, "tail --format jsonl --kind session");
    let want = concat!(
        r#"{"seq":1,"time":"2026-11-22T18:00:00.000000Z","kind":"session","room":null,"#,
        r#""user":"ann","o":null,"text":null,"detail":"action=start sid=s1 client=web"}"#,
        "\n"
    );
    assert_eq!(out, want);
    let (_, out, _) = scan(&scratch, "tail --format json");
    let rows: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(7));
    assert_eq!(rows[2]["text"], "\u{1b}]0;pwned\u{7}\u{202e}");
    let (_, out, _) = scan(&scratch, "tail --format json --room nowhere");
    assert_eq!(out, "[]\n");
}

#[test]
fn tail_follows_a_live_log() {
    let scratch = Scratch::new("follow");
    evening(&scratch);
    let (writer, mut producer) = start(&scratch);
    let mut turns = 0;
    let mut wait = || {
        turns += 1;
        if turns == 1 {
            let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
            let late = message(4, "late", Source::Ws, Direction::Internal);
            producer.append(NameId::NONE, lobby, &late).unwrap();
            producer.wake();
        }
        while producer.committed() < producer.appended() {
            std::thread::yield_now();
        }
        turns < 3
    };
    let data = scratch.path().as_os_str().to_owned();
    let line = ["--data".into(), data, "tail".into(), "-f".into(), "-n0".into()];
    let (status, out, _) = run_with(&line, &mut wait);
    assert_eq!(status, 0);
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.contains("late"));
    writer.stop().unwrap();
}

#[test]
fn tail_reads_from_the_end_and_waits_for_the_disk() {
    let scratch = Scratch::new("tail-end");
    evening(&scratch);
    evening(&scratch);
    let seqs = |line: &str| {
        let (_, out, words) = scan(&scratch, &format!("--format csv {line}"));
        assert_eq!(words, "", "{line}");
        out.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = seqs("tail -n 100");
    assert_eq!(all.len(), 14);
    for number in 1..14 {
        assert_eq!(seqs(&format!("tail -n {number}")), all[14 - number..], "{number}");
    }
    assert_eq!(seqs("tail -n 3 --kind status").len(), 2);
    // A server that lives for less than two milliseconds may end before its first note.
    let (writer, mut producer) = start(&scratch);
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    while crate::log::ctl::read(scratch.path()).is_none() {
        let again = message(9, "again", Source::Ws, Direction::Internal);
        producer.append(NameId::NONE, lobby, &again).unwrap();
        producer.wake();
        while producer.committed() < producer.appended() {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    writer.stop().unwrap();
    // A log that was closed in order is on the disk.
    assert_eq!(seqs("tail -n 1000 --durable"), seqs("tail -n 1000"));
    std::fs::remove_file(scratch.path().join("ctl")).unwrap();
    check(&scratch, "tail --durable", 2, "ctl file");
}

#[test]
fn summary_counts() {
    let scratch = Scratch::new("summary");
    evening(&scratch);
    let (status, out, words) = scan(&scratch, "summary --format csv");
    assert_eq!((status, words.as_str()), (0, ""));
    let want = "measure,value\r\nsegments,1\r\nrecords,7\r\nbytes,520\r\n\
        first,2026-11-22T18:00:00.000000Z\r\nlast,2026-11-22T18:01:00.000000Z\r\n\
        users,2\r\nrooms,2\r\ntext p50,13\r\ntext p95,13\r\ntext max,13\r\n\
        messages in,1\r\nmessages out,1\r\nmessages internal,1\r\n\
        kind message,3\r\nkind session,1\r\nkind command,1\r\nkind status,1\r\nkind stop,1\r\n";
    assert_eq!(out, want);
    let (status, out, _) = scan(&scratch, "summary --user nobody --format csv");
    assert_eq!(status, 1);
    assert!(out.contains("records,0\r\n"));
}

#[test]
fn verify_finds_damage_and_says_where() {
    let scratch = Scratch::new("verify");
    evening(&scratch);
    evening(&scratch);
    let (status, out, words) = scan(&scratch, "verify --format csv");
    assert_eq!(
        (status, words.as_str()),
        (0, "segments: 2, records: 24, torn tails: 0, damaged: 0\n")
    );
    assert_eq!(out.lines().filter(|line| line.contains(",sealed,")).count(), 2, "{out}");

    let path = scratch.path().join("log").join("00000000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4_200] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (status, out, words) = scan(&scratch, "verify --format csv");
    assert_eq!(status, 2);
    assert!(out.contains("00000000000000000000.seg,corrupt,4096,"), "{out}");
    assert!(words.ends_with("damaged: 1\n"), "{words}");
    let (status, _, words) = scan(&scratch, "summary");
    assert_eq!(status, 0);
    assert!(words.contains("parts of the log are damaged"), "{words}");
    let (status, _, words) = scan(&scratch, "verify --room lobby");
    assert_eq!((status, words.contains("filters do not apply")), (2, true));
}

/// A power cut may leave a segment whose making was never finished. The next start leaves its
/// number out, and nothing is missing.
#[test]
fn a_file_that_was_never_finished_is_no_hole() {
    let scratch = Scratch::new("verify-unborn");
    evening(&scratch);
    let unborn = scratch.path().join("log").join("00000000000000000012.seg");
    std::fs::write(&unborn, [0; 8_192]).unwrap();
    evening(&scratch);
    let (status, out, words) = scan(&scratch, "verify --format csv");
    assert_eq!((status, words.ends_with("damaged: 0\n")), (0, true), "{out}{words}");
    assert!(out.contains("00000000000000000012.seg,unborn,"), "{out}");
    assert!(out.contains("00000000000000000013.seg,sealed,"), "{out}");
}

#[test]
fn bad_command_lines_and_missing_logs() {
    let scratch = Scratch::new("bad");
    check(&scratch, "tail", 2, "hint: --data DIR names the data directory");
    check(&scratch, "", 2, "Usage: ringpost-scan");
    check(&scratch, "nonsense", 2, "unrecognized subcommand");
    check(&scratch, "tail --kind nonsense", 2, "possible values");
    evening(&scratch);
    let copied = ["--data".into(), scratch.path().join("log").into(), "tail".into()];
    assert_eq!(run_with(&copied, &mut || false).0, 0, "a copy of the segments alone");
    check(&scratch, "tail --since yesterday", 2, "--since \"yesterday\" is no time");
    let (status, out, _) = scan(&scratch, "--help");
    assert_eq!(status, 0);
    for report in REPORTS {
        assert!(out.contains(report.name) && out.contains(report.about), "{out}");
    }
    assert!(out.lines().all(|line| line.len() <= 100), "{out}");
}

#[track_caller]
fn check(scratch: &Scratch, line: &str, want_status: u8, want: &str) {
    let (status, _, words) = scan(scratch, line);
    assert_eq!(status, want_status, "{line}: {words}");
    assert!(words.contains(want), "{line}: {words}");
}

#[test]
fn a_closed_pipe_is_success() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let scratch = Scratch::new("pipe");
    evening(&scratch);
    let data = scratch.path().as_os_str().to_owned();
    let surroundings = Surroundings {
        now_us: 0,
        terminal: false,
        colour: false,
        wait: &mut || false,
        progress: &mut |_| (),
    };
    let mut words = Vec::new();
    let line = ["--data".into(), data, "tail".into()];
    assert_eq!(run(&line, &mut Closed, &mut words, surroundings), 0);
}

#[test]
fn a_table_cuts_what_is_long_and_other_formats_do_not() {
    let scratch = Scratch::new("scan-long");
    let (writer, mut producer) = start(&scratch);
    let ann = producer.intern(NameKind::User, "ann").unwrap();
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    let long = "ä".repeat(500);
    let record = message(1, &long, Source::Ws, Direction::In);
    producer.append(ann, lobby, &record).unwrap();
    writer.stop().unwrap();
    let (_, rows, _) = scan(&scratch, "tail --kind message");
    assert!(rows.contains(&format!(" {}…  source=ws", "ä".repeat(100))), "{rows}");
    let (_, rows, _) = scan(&scratch, "tail --kind message --format jsonl");
    assert!(rows.contains(&long));
}
