//! Logs stay readable for ever: a segment that an earlier version wrote, byte for byte in the tree,
//! must give the same rows. And what is written today must give those rows too.
//!
//! A new type of record, or a new format of the file, gets a fixture of its own beside the old
//! ones: add the record to [`write_every_kind`], add a row to [`FIXTURES`], and run this module
//! once with `RINGPOST_WRITE_FIXTURE=1`. A fixture that is there is never written again.

use ringpost::log::record::*;
use ringpost::log::{AckPolicy, DataDir, LogOptions, LogWriter, NameId, Producer, Recovered};
use ringpost::scan::{Surroundings, run};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Folders below `fixtures/log`, oldest first: `segment` as it was on disk, without the zeros at
/// its end, and the rows in it as `rows.jsonl`.
const FIXTURES: &[&str] = &["v1", "v2", "v3"];

/// 2026-11-22T18:00:00Z.
const BEGIN_US: i64 = 1_795_370_400_000_000;
/// The smallest that the writer takes.
const SEGMENT_BYTES: usize = 192 * 1_024;

/// A directory of its own for a test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringpost-it-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("temporary directory");
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/log").join(name)
}

fn at(second: i64) -> i64 {
    BEGIN_US + second * 1_000_000
}

/// At least one record of each type, with texts that are hard to write and times out of order.
fn write_every_kind(data: &Path) {
    let dir = DataDir::lock(data).expect("a fresh directory");
    let recovered = Recovered::read(&dir).expect("an empty log");
    let options = LogOptions {
        policy: AckPolicy::Os,
        segment_bytes: SEGMENT_BYTES,
        ring_bytes: 256 * 1_024,
        ..LogOptions::new(1, 7, || BEGIN_US + 60_000_000)
    };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).expect("a writer");
    let mut producer = producers.remove(0);
    let producer = &mut producer;
    let user = |producer: &mut Producer, name| producer.intern(NameKind::User, name).unwrap();
    let ann = user(producer, "ann");
    let odd = user(producer, "O'Brien, \"Zoë\"\n\u{202e}\\ 🦀");
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    let phone = producer.intern(NameKind::Room, "wa:4915112345678").unwrap();
    let dice = producer.intern(NameKind::Command, "dice").unwrap();
    write_placed(producer, ann, odd, lobby, phone);
    write_unplaced(producer, ann, phone, lobby, dice);
    write_own(producer, ann, lobby);
    writer.stop().expect("a stop");
}

fn write_placed(p: &mut Producer, ann: NameId, odd: NameId, lobby: NameId, phone: NameId) {
    let room = RoomV1 { o: 1, ts_us: at(1), text: "A topic", action: RoomAction::Topic as u8 };
    p.append(ann, lobby, &room).unwrap();
    let (role, action) = (2, MemberAction::Ban as u8);
    let member = MemberV1 { o: 2, ts_us: at(2), subject: "bob", role, action };
    p.append(ann, lobby, &member).unwrap();
    let plain = MessageV1 {
        o: 3,
        ts_us: at(3),
        reply: 0,
        cid: "c-1",
        text: "hello, \"world\"",
        display: "",
        external: "",
        extra: "",
        source: Source::Ws as u8,
        direction: Direction::Internal as u8,
    };
    p.append(ann, lobby, &plain).unwrap();
    let full = MessageV1 {
        o: 1,
        // The clock went back.
        ts_us: at(-86_400),
        reply: 7,
        cid: "",
        text: "\u{1b}[31mred\u{7}\r\n\ttab\u{0}, עברית, 日本, \\",
        display: "Zoë",
        external: "wamid.HBg=",
        extra: r#"{"type":"image","id":18446744073709551615}"#,
        source: Source::Whatsapp as u8,
        direction: Direction::In as u8,
    };
    p.append(odd, phone, &full).unwrap();
    // A later version's codes, and the end of time.
    let late = MessageV1 { o: u64::MAX, ts_us: i64::MAX, source: 99, direction: 0, ..plain };
    p.append(NameId::NONE, lobby, &late).unwrap();
    let long = "ä".repeat(2_000);
    let edit = EditV1 { o: 4, target: 3, ts_us: at(4), text: &long, version: 1 };
    p.append(ann, lobby, &edit).unwrap();
    p.append(ann, lobby, &DeleteV1 { o: 5, target: 3, ts_us: at(5) }).unwrap();
}

fn write_unplaced(p: &mut Producer, ann: NameId, phone: NameId, lobby: NameId, dice: NameId) {
    let start = SessionV1 {
        ts_us: at(6),
        sid: "s1",
        device: "phone",
        client: "web/1",
        code: 0,
        action: SessionAction::Start as u8,
    };
    p.append(ann, NameId::NONE, &start).unwrap();
    let end = SessionV1 { code: 1_001, action: SessionAction::End as u8, ..start };
    p.append(ann, NameId::NONE, &end).unwrap();
    let command = CommandV1 {
        ts_us: at(7),
        args: "2d6",
        command: dice.0,
        duration_us: 120,
        outcome: Outcome::BadArguments as u8,
    };
    p.append(ann, lobby, &command).unwrap();
    let call = CallV1 {
        ts_us: at(19),
        cost: 1 << 40,
        args: "3d8 \u{1b}[0m",
        call: "c-6923-0-1",
        cid: "c-2",
        command: dice.0,
        duration_us: u32::MAX,
        outcome: Outcome::Lost as u8,
    };
    p.append(ann, lobby, &call).unwrap();
    let state = StateV1 { ts_us: at(20), key: "poll vote:ann", value: "1" };
    p.append(ann, lobby, &state).unwrap();
    p.append(ann, lobby, &StateV1 { value: "", ..state }).unwrap();
    let status = StatusV1 {
        ts_us: at(8),
        external: "wamid.HBg=",
        recipient: "4915112345678",
        extra: r#"{"pricing":{"category":"utility"}}"#,
        error: 131_047,
        status: Delivery::Failed as u8,
    };
    p.append(NameId::NONE, phone, &status).unwrap();
    p.append(ann, lobby, &MarkV1 { ts_us: at(9), recv: 5, read: 4 }).unwrap();
    p.append(NameId::NONE, NameId::NONE, &EpochV1 { ts_us: at(10), epoch: 9 }).unwrap();
    let text = RawV1 { ts_us: at(11), id: 1, bytes: br#"{"a":1}"#, part: 0, parts: 2 };
    p.append(NameId::NONE, NameId::NONE, &text).unwrap();
    let bytes = RawV1 { bytes: &[0, 0xff, 0x80], part: 1, ..text };
    p.append(NameId::NONE, NameId::NONE, &bytes).unwrap();
    let away = UserStatusV1 { ts_us: at(12), text: "away", state: 1 };
    p.append(ann, NameId::NONE, &away).unwrap();
}

fn write_own(p: &mut Producer, ann: NameId, lobby: NameId) {
    let metric = MetricV1 {
        ts_us: at(13),
        span_us: 60_000_000,
        count: 3,
        sum: 600,
        max: 400,
        name: "ack_us",
        buckets: &[1, 2, 3],
        shard: 1,
    };
    p.append(NameId::NONE, NameId::NONE, &metric).unwrap();
    let erasure = EraseV1 {
        ts_us: at(14),
        id: 1,
        record_count: 12,
        by: "admin",
        subject: "erased-1",
        reason: "asked on the phone",
        segment_count: 2,
        scope: EraseScope::User as u8,
    };
    p.append(NameId::NONE, NameId::NONE, &erasure).unwrap();
    p.append(NameId::NONE, lobby, &RunV1 { ts_us: at(15), epoch: 9, first: 1, last: 5 }).unwrap();
    let seen = SeenV1 { ts_us: at(16), o: 3, print_high: 1, print_low: 2, cid: "c-1" };
    p.append(ann, lobby, &seen).unwrap();
    let assigned = ConversationAction::Assign as u8;
    let assign = ConversationV1 { o: 6, ts_us: at(17), value: "bob", action: assigned };
    p.append(ann, lobby, &assign).unwrap();
    let untag =
        ConversationV1 { o: 0, value: "späť", action: ConversationAction::Untag as u8, ..assign };
    p.append(ann, lobby, &untag).unwrap();
    let body = r#"{"when": {}, "do": {"note": "…"}}"#;
    let definition = DefinitionV1 { ts_us: at(18), version: 2, name: "greet", body, kind: 0 };
    p.append(ann, NameId::NONE, &definition).unwrap();
}

/// Exit status, stdout, stderr of a scan of `data`.
fn scan(data: &Path, line: &str) -> (u8, String, String) {
    let mut arguments = vec![OsString::from("--data"), data.as_os_str().to_owned()];
    arguments.extend(line.split_whitespace().map(OsString::from));
    let (mut out, mut words) = (Vec::new(), Vec::new());
    let surroundings = Surroundings {
        now_us: BEGIN_US,
        colour: false,
        terminal: false,
        wait: &mut || false,
        progress: &mut |_| (),
    };
    let status = run(&arguments, &mut out, &mut words, surroundings);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status, text(out), text(words))
}

const EVERYTHING: &str = "export";
const NAMES: &str = "export --kind name";

fn rows(data: &Path) -> String {
    let (status, rows, words) = scan(data, EVERYTHING);
    assert_eq!(status, 0, "{words}");
    let (status, names, words) = scan(data, NAMES);
    assert_eq!(status, 0, "{words}");
    rows + &*names
}

/// Puts the segment of a fixture into `data` as it was on disk.
fn unpack(name: &str, data: &Path) {
    let segment = std::fs::read(fixture(name).join("segment")).expect("fixtures are in the tree");
    std::fs::create_dir_all(data.join("log")).expect("a folder");
    let path = data.join("log").join(format!("{:020}.seg", 0));
    std::fs::write(&path, segment).expect("a file");
    let file = std::fs::File::options().write(true).open(&path).expect("the file");
    file.set_len(SEGMENT_BYTES as u64).expect("zeros at its end");
}

fn pack(name: &str, data: &Path) {
    let folder = fixture(name);
    assert!(!folder.exists(), "{name} is there, and stays what it is");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut segment = std::fs::read(data.join("log").join(format!("{:020}.seg", 0))).unwrap();
    let len = segment.iter().rposition(|byte| *byte != 0).expect("a header") + 1;
    segment.truncate(len);
    std::fs::write(folder.join("segment"), segment).unwrap();
    std::fs::write(folder.join("rows.jsonl"), rows(data)).unwrap();
}

#[test]
fn what_is_written_today_reads_as_the_newest_fixture() {
    let folder = Folder::new("golden-today");
    write_every_kind(folder.path());
    let newest = FIXTURES.last().expect("fixtures");
    if std::env::var_os("RINGPOST_WRITE_FIXTURE").is_some() {
        pack(newest, folder.path());
    }
    let got = rows(folder.path());
    let want = std::fs::read_to_string(fixture(newest).join("rows.jsonl")).expect("rows");
    for (got, want) in got.lines().zip(want.lines()) {
        assert_eq!(got, want);
    }
    assert_eq!(got.lines().count(), want.lines().count());
    for kind in Kind::ALL {
        let name = kind.reported().name();
        let found = want.contains(&format!("\"kind\":\"{name}\""));
        assert!(found, "no fixture has a {} record: see the head of this file", kind.name());
    }
}

#[test]
fn every_old_segment_reads_as_on_the_day_it_was_written() {
    for name in FIXTURES {
        let folder = Folder::new(&format!("golden-{name}"));
        unpack(name, folder.path());
        let want = std::fs::read_to_string(fixture(name).join("rows.jsonl")).expect("rows");
        assert_eq!(rows(folder.path()), want, "{name}");
        let (status, _, words) = scan(folder.path(), "verify");
        assert_eq!(status, 0, "{name}: {words}");
    }
}

#[test]
fn exports_are_whole_and_right() {
    let folder = Folder::new("golden-tables");
    unpack("v1", folder.path());
    let (_, out, words) = scan(folder.path(), "export --table messages --to csv");
    assert_eq!(words, "exported 3 records\n");
    let lines: Vec<&str> = out.split_terminator("\r\n").collect();
    assert_eq!(
        lines[0],
        "seq,ts,room,user,erased,o,text,reply,cid,display,external,extra,source,direction"
    );
    let hello = "2026-11-22T18:00:03.000000Z,lobby,ann,false,3,\"hello, \"\"world\"\"\",,c-1,,,,";
    assert!(lines[1].ends_with(&format!("{hello}ws,internal")), "{}", lines[1]);
    let odd = "wa:4915112345678,\"O'Brien, \"\"Zoë\"\"\\n\\u{202e}\\\\ 🦀\",false,1,";
    assert!(lines[2].contains(odd), "{}", lines[2]);
    assert!(lines[3].contains("18446744073709551615") && lines[3].ends_with("unknown,unknown"));
    assert_eq!(lines.len(), 4);
    let (_, out, _) = scan(folder.path(), "export --table sessions");
    for line in out.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(row.as_object().expect("an object").len(), 9, "{line}");
    }
    let (status, out, words) = scan(folder.path(), "export --table commands --user nobody");
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(words.starts_with("exported 0 records\n"), "{words}");
    let (_, out, _) = scan(folder.path(), "export --room lobby --kind delete");
    assert!(out.contains(r#""o":5,"target":3"#), "{out}");
}

#[test]
fn a_file_has_its_name_only_when_it_is_whole() {
    let folder = Folder::new("golden-files");
    unpack("v1", folder.path());
    let path = folder.path().join("rows.jsonl");
    let to =
        |path: &Path, line: &str| scan(folder.path(), &format!("{line} --out {}", path.display()));
    let (status, out, words) = to(&path, EVERYTHING);
    assert_eq!((status, out.as_str()), (0, ""), "{words}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), scan(folder.path(), EVERYTHING).1);
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.ends_with(".part")));
    let (status, _, words) = to(&folder.path().join("no/where"), EVERYTHING);
    assert_eq!((status, words.contains("error: cannot write")), (2, true), "{words}");
    let (status, _, words) = to(Path::new("/dev/full"), EVERYTHING);
    assert_eq!((status, words.starts_with("error: ")), (2, true), "{words}");
    let (status, _, words) = scan(folder.path(), "export --to parquet");
    assert_eq!((status, words.as_str()), (2, "error: --to parquet needs --out FILE\n"));
}

#[cfg(not(feature = "export"))]
#[test]
fn a_build_without_parquet_says_how_to_get_one_with_it() {
    let folder = Folder::new("golden-without");
    unpack("v1", folder.path());
    for target in ["parquet", "arrow"] {
        let path = folder.path().join("rows");
        let line = format!("export --to {target} --out {}", path.display());
        let (status, _, words) = scan(folder.path(), &line);
        assert_eq!((status, words.contains("--features export")), (2, true), "{words}");
        assert!(!path.exists());
    }
}

#[cfg(feature = "export")]
#[test]
fn parquet_has_the_same_values_as_json() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let folder = Folder::new("golden-parquet");
    unpack("v1", folder.path());
    let path = folder.path().join("rows.parquet");
    let line = format!("export --to parquet --out {}", path.display());
    assert_eq!(scan(folder.path(), &line).0, 0);
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let (_, json, _) = scan(folder.path(), EVERYTHING);
    let mut row_count = 0;
    for (row, line) in reader.get_row_iter(None).unwrap().zip(json.lines()) {
        let want: serde_json::Value = serde_json::from_str(line).unwrap();
        for (name, field) in row.unwrap().get_column_iter() {
            check_field(field, want.get(name), name);
        }
        row_count += 1;
    }
    assert_eq!(row_count, json.lines().count());
}

#[cfg(feature = "export")]
#[track_caller]
fn check_field(got: &parquet::record::Field, want: Option<&serde_json::Value>, name: &str) {
    use parquet::record::Field;
    let Some(want) = want else {
        assert!(matches!(got, Field::Null | Field::Bool(false)), "{name}");
        return;
    };
    match got {
        Field::Str(text) => assert_eq!(want.as_str(), Some(text.as_str()), "{name}"),
        Field::ULong(count) => assert_eq!(want.as_u64(), Some(*count), "{name}"),
        Field::UInt(number) => assert_eq!(want.as_u64(), Some(u64::from(*number)), "{name}"),
        Field::Bool(flag) => assert_eq!(want.as_bool(), Some(*flag), "{name}"),
        Field::TimestampMicros(us) => {
            let text = want.as_str().expect("a time");
            let again = us.rem_euclid(1_000_000);
            assert!(text.ends_with(&format!(".{again:06}Z")), "{name}: {us} {text}");
        }
        Field::Bytes(bytes) => {
            let hex: String = bytes.data().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(want.as_str(), Some(hex.as_str()), "{name}");
        }
        other => panic!("{name}: {other:?}"),
    }
}
