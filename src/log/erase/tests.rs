//! Nothing of the subject is found anywhere, and nothing else has moved, wherever it was cut off.

use super::*;
use crate::base::ids::Offset;
use crate::log::archive::Archive;
use crate::log::catalog::Catalog;
use crate::log::directory::{DataDir, log_dir};
use crate::log::producer::Producer;
use crate::log::reader::{Log, Trust};
use crate::log::record::*;
use crate::log::recovered::Recovered;
use crate::log::recovery::Ending;
use crate::log::scratch::Scratch;
use crate::log::writer::{AckPolicy, LogOptions, LogWriter};
use std::path::Path;

const SECRETS: [&str; 9] = [
    "Zoe-Zimmer",
    "zulu-text",
    "zulu-edited",
    "zulu-device",
    "zulu-args",
    "zulu-topic",
    "zulu-mood",
    "zulu-cid",
    "zulu-seen",
];

fn with_log(scratch: &Scratch, write: impl FnOnce(&mut Producer)) {
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let options = LogOptions {
        policy: AckPolicy::Os,
        segment_bytes: 192 * 1_024,
        ring_bytes: 512 * 1_024,
        ..LogOptions::new(1, 7, || 1)
    };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).unwrap();
    write(&mut producers[0]);
    writer.stop().unwrap();
}

fn message<'a>(o: u64, text: &'a str, cid: &'a str, external: &'a str) -> MessageV1<'a> {
    let (ts_us, display, extra) = (o as i64 * 1_000, "", "");
    MessageV1 { o, ts_us, reply: 0, cid, text, display, external, extra, source: 1, direction: 3 }
}

/// Everything that a user leaves in a log, between what others leave.
fn write_life(producer: &mut Producer) {
    let zoe = producer.intern(NameKind::User, "Zoe-Zimmer").unwrap();
    let ann = producer.intern(NameKind::User, "ann").unwrap();
    let hall = producer.intern(NameKind::Room, "hall").unwrap();
    let call = producer.intern(NameKind::Command, "role").unwrap();
    let none = NameId::NONE;
    let ts_us = 5;
    let mut put = |user, o: u64| {
        let (text, cid) = if user == zoe { ("zulu-text", "zulu-cid") } else { ("kept", "c") };
        producer.append(user, hall, &message(o, text, cid, "")).unwrap();
    };
    put(ann, 1);
    put(zoe, 2);
    put(ann, 3);
    let edit = EditV1 { o: 4, target: 2, ts_us, text: "zulu-edited", version: 1 };
    producer.append(zoe, hall, &edit).unwrap();
    let member = MemberV1 { o: 5, ts_us, subject: "Zoe-Zimmer", role: 1, action: 1 };
    producer.append(ann, hall, &member).unwrap();
    let topic = RoomV1 { o: 6, ts_us, text: "zulu-topic", action: RoomAction::Topic as u8 };
    producer.append(zoe, hall, &topic).unwrap();
    let session = SessionV1 {
        ts_us,
        sid: "0-1",
        device: "zulu-device",
        client: "zulu-device",
        code: 0,
        action: SessionAction::Start as u8,
    };
    producer.append(zoe, none, &session).unwrap();
    let command = |args| CommandV1 { ts_us, args, command: call.0, duration_us: 1, outcome: 1 };
    producer.append(zoe, hall, &command("zulu-args")).unwrap();
    producer.append(ann, hall, &command("@Zoe-Zimmer moderator")).unwrap();
    producer.append(ann, hall, &command("@bob moderator")).unwrap();
    producer.append(zoe, none, &UserStatusV1 { ts_us, text: "zulu-mood", state: 1 }).unwrap();
    producer.append(zoe, hall, &MarkV1 { ts_us, recv: 3, read: 3 }).unwrap();
    let seen = SeenV1 { ts_us, o: 2, print_high: 1, print_low: 2, cid: "zulu-seen" };
    producer.append(zoe, hall, &seen).unwrap();
}

fn write_contact(producer: &mut Producer) {
    let zoe = producer.intern(NameKind::User, "wa:447700900123").unwrap();
    let room = producer.intern(NameKind::Room, "wa:1102:447700900123").unwrap();
    let ann = producer.intern(NameKind::User, "ann").unwrap();
    let none = NameId::NONE;
    // The number stands across the border of the two parts.
    let parts: [&[u8]; 2] = [br#"{"text":"zulu-raw","from":"44770"#, br#"0900123"}"#];
    for (part, bytes) in parts.into_iter().enumerate() {
        let raw = RawV1 { ts_us: 1, id: 7, bytes, part: part as u16, parts: 2 };
        producer.append(none, none, &raw).unwrap();
    }
    let other = RawV1 { ts_us: 1, id: 8, bytes: br#"{"from":"447700900124"}"#, part: 0, parts: 1 };
    producer.append(none, none, &other).unwrap();
    let (display, extra) = ("Zulu Zimmer", r#"{"zulu":1}"#);
    let said = MessageV1 { display, extra, ..message(1, "zulu-text", "", "wamid.Z") };
    producer.append(zoe, room, &said).unwrap();
    producer.append(ann, room, &message(2, "answer to zulu", "", "wamid.A")).unwrap();
    let (recipient, extra) = ("447700900123", "");
    let external = "wamid.A";
    let status = StatusV1 { ts_us: 1, external, recipient, extra, error: 0, status: 3 };
    producer.append(ann, room, &status).unwrap();
}

fn request(target: Target) -> Request {
    Request::new(0xabc, target, "op", "asked by letter", 9)
}

fn zoe() -> Target {
    Target::User { user: "Zoe-Zimmer".into() }
}

/// Does all that is left, cut off at the `cut`-th step from here on. Gives the steps passed.
fn run(scratch: &Scratch, request: &mut Request, cut: Option<usize>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut pass = |step, _: &Request| {
        steps.push(step);
        if cut == Some(steps.len()) { Err(EraseError::Stopped) } else { Ok(()) }
    };
    let dir = DataDir::lock(scratch.path()).unwrap();
    let ended = carry_out(scratch.path(), request, &mut Offline::new(dir, 77, &mut pass));
    assert_eq!(ended.is_err(), cut.is_some(), "{ended:?}");
    steps
}

/// A record as the log has it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Stood {
    seq: u64,
    tag: u16,
    ts_us: Option<i64>,
    /// Numbers of user and room.
    names: (u32, u32),
    is_erased: bool,
    payload: Vec<u8>,
}

/// Every record of the log; names too, which tell the numbers apart.
fn records(scratch: &Scratch) -> Vec<Stood> {
    let log = Log::open(&log_dir(scratch.path()), Trust::Validate).unwrap();
    assert!(log.problems().is_empty(), "{:?}", log.problems());
    for segment in log.segments() {
        assert_eq!(segment.scan().ending, Ending::Sealed);
        assert!(segment.scan().corrupt.is_empty());
    }
    let mut stood = Vec::new();
    for (seq, _, record) in log.segments().iter().flat_map(|segment| segment.records()) {
        let RecordHeader { tag, flags, user, room, .. } = record.header;
        let payload = record.payload.to_vec();
        let (names, is_erased) = ((user.0, room.0), flags & FLAG_ERASED != 0);
        stood.push(Stood { seq, tag, ts_us: record.ts_us(), names, is_erased, payload });
    }
    stood
}

/// The same, with what an erasure may change left out where it did.
fn kept(stood: &[Stood], erased: &[Stood]) -> Vec<Stood> {
    let kept = stood.iter().zip(erased).map(|(stood, now)| Stood {
        is_erased: false,
        payload: if now.is_erased { Vec::new() } else { stood.payload.clone() },
        ..stood.clone()
    });
    kept.collect()
}

/// Every file below `dir` that has these bytes somewhere.
fn grep(dir: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(grep(&path, needle));
        } else if memchr::memmem::find(&std::fs::read(&path).unwrap(), needle.as_bytes()).is_some()
        {
            found.push(path.display().to_string());
        }
    }
    found
}

fn assert_gone(scratch: &Scratch, secrets: &[&str]) {
    for secret in secrets {
        assert_eq!(grep(scratch.path(), secret), Vec::<String>::new(), "{secret}");
    }
}

fn life(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    with_log(&scratch, write_life);
    with_log(&scratch, |producer| {
        let ann = producer.intern(NameKind::User, "ann").unwrap();
        let hall = producer.intern(NameKind::Room, "hall").unwrap();
        producer.append(ann, hall, &message(7, "kept too", "", "")).unwrap();
    });
    with_log(&scratch, write_life);
    // What older or newer parts of the program may leave beside the segments.
    let log = log_dir(scratch.path());
    let first = log.join("00000000000000000000.seg");
    std::fs::copy(&first, log.join("00000000000000000010.snap")).unwrap();
    std::fs::copy(&first, log.join("00000000000000000003.seg.abandoned")).unwrap();
    std::fs::write(log.join("00000000000000000000.idx"), "Zoe-Zimmer").unwrap();
    std::fs::write(log.join("00000000000000000010.snap.tmp"), "Zoe-Zimmer").unwrap();
    scratch
}

#[test]
fn a_user_is_found_nowhere_whatever_step_it_is_cut_off_at() {
    let whole = life("erase-steps");
    let before = records(&whole);
    for secret in SECRETS {
        assert!(!grep(whole.path(), secret).is_empty(), "{secret} must be there to be erased");
    }
    let steps = run(&whole, &mut saved(&whole, request(zoe())), None);
    assert_gone(&whole, &SECRETS);
    assert!(steps.contains(&Step::Looked) && steps.contains(&Step::Buried), "{steps:?}");
    for cut in 1..=steps.len() {
        let scratch = life("erase-cut");
        let mut request = saved(&scratch, request(zoe()));
        run(&scratch, &mut request, Some(cut));
        let mut left = request::unsettled(scratch.path()).unwrap().requests;
        assert_eq!(left.len(), 1, "cut at {:?}", steps[cut - 1]);
        run(&scratch, &mut left[0], None);
        assert_gone(&scratch, &SECRETS);
        check_outcome(&scratch, &before, cut);
    }
}

fn saved(scratch: &Scratch, request: Request) -> Request {
    request.save(scratch.path()).unwrap();
    request
}

/// Everything stands where it stood, and one tombstone behind it.
fn check_outcome(scratch: &Scratch, before: &[Stood], cut: usize) {
    let after = records(scratch);
    assert_eq!(kept(&after, &after)[..before.len()], kept(before, &after), "cut {cut}");
    // Each life has ten: the name, the message, its edit, the member, the topic, the session, two
    // commands, the mood, and what was seen. The mark has no words.
    let changed_count = after.iter().filter(|stood| stood.is_erased).count();
    assert_eq!(changed_count, 2 * (1 + 8 + 1), "cut {cut}");
    let tail: Vec<_> = after[before.len()..].iter().map(|stood| stood.tag).collect();
    assert_eq!(tail, [Kind::Erasure.tag(), Kind::Stop.tag()], "cut {cut}");
    let request = Request::load(&request(zoe()).path(scratch.path())).unwrap();
    let counts = (request.stage, request.segment_count, request.record_count);
    assert_eq!(counts, (Stage::Done, 2, 20), "cut {cut}: told whatever came between");
    assert_eq!(request.target, Target::User { user: "erased-0000000000000abc".into() });
    let log = Log::open(&log_dir(scratch.path()), Trust::Validate).unwrap();
    let count = |user: &str| log.entries().filter(|entry| entry.user() == user).count();
    assert_eq!(count("erased-0000000000000abc"), 16);
    assert_eq!(count("ann"), 11);
    let dir = DataDir::lock(scratch.path()).unwrap();
    assert!(Recovered::read(&dir).unwrap().clean_stop, "no new epoch for it");
}

#[test]
fn others_keep_their_words() {
    let scratch = life("erase-others");
    run(&scratch, &mut saved(&scratch, request(zoe())), None);
    let log = Log::open(&log_dir(scratch.path()), Trust::Validate).unwrap();
    let mut texts = Vec::new();
    let mut args = Vec::new();
    for entry in log.entries() {
        let erased = entry.record.header.flags & FLAG_ERASED != 0;
        match entry.view() {
            Some(RecordView::Message(message)) => {
                assert_eq!(erased, entry.user() != "ann");
                texts.push(message.text.to_string());
            }
            Some(RecordView::Command(command)) => args.push(command.args.to_string()),
            Some(RecordView::Member(member)) => {
                assert_eq!(&*member.subject, "erased-0000000000000abc");
            }
            _ => {}
        }
    }
    assert_eq!(texts, ["kept", "", "kept", "kept too", "kept", "", "kept"]);
    assert_eq!(args, ["", "", "@bob moderator", "", "", "@bob moderator"]);
}

#[test]
fn a_contact_goes_with_the_conversation_and_its_webhooks() {
    let scratch = Scratch::new("erase-contact");
    with_log(&scratch, write_contact);
    let user = "wa:447700900123".to_owned();
    run(&scratch, &mut saved(&scratch, request(Target::User { user })), None);
    assert_gone(&scratch, &["447700900123", "0900123", "zulu", "Zulu", "wamid"]);
    assert!(!grep(scratch.path(), "447700900124").is_empty(), "another contact's body stays");
    let log = Log::open(&log_dir(scratch.path()), Trust::Validate).unwrap();
    let rooms: Vec<_> = log.entries().map(|entry| entry.room()).filter(|r| !r.is_empty()).collect();
    assert_eq!(rooms, ["wa:1102:erased-0000000000000abc"; 3]);
}

#[test]
fn one_message_goes_with_its_edits_and_its_webhook() {
    let scratch = Scratch::new("erase-message");
    with_log(&scratch, |producer| {
        write_life(producer);
        let hall = producer.intern(NameKind::Room, "hall").unwrap();
        let bytes = br#"{"id":"wamid.Q","body":"quirk"}"#;
        let raw = RawV1 { ts_us: 1, id: 7, bytes, part: 0, parts: 1 };
        producer.append(NameId::NONE, NameId::NONE, &raw).unwrap();
        producer.append(NameId::NONE, hall, &message(8, "quirk", "", "wamid.Q")).unwrap();
        let edit = EditV1 { o: 9, target: 8, ts_us: 1, text: "quirky", version: 1 };
        producer.append(NameId::NONE, hall, &edit).unwrap();
    });
    let target = Target::Message { room: "hall".into(), o: 8 };
    run(&scratch, &mut saved(&scratch, request(target)), None);
    assert_gone(&scratch, &["quirk", "wamid.Q"]);
    assert!(!grep(scratch.path(), "zulu-edited").is_empty());
}

#[test]
fn a_room_goes_with_its_texts_and_keeps_its_people() {
    let scratch = life("erase-room");
    let target = Target::Room { room: "hall".into() };
    run(&scratch, &mut saved(&scratch, request(target)), None);
    assert_gone(&scratch, &["kept", "zulu-text", "zulu-topic", "zulu-edited", "zulu-args"]);
    for stays in ["Zoe-Zimmer", "zulu-mood", "hall"] {
        assert!(!grep(scratch.path(), stays).is_empty(), "{stays}");
    }
}

#[test]
fn damage_is_refused_with_its_place_or_given_up_by_force() {
    let scratch = life("erase-damage");
    let path = log_dir(scratch.path()).join("00000000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4_096 + 100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let mut refused = saved(&scratch, request(zoe()));
    let dir = DataDir::lock(scratch.path()).unwrap();
    let error =
        carry_out(scratch.path(), &mut refused, &mut Offline::new(dir, 77, &mut |_, _| Ok(())));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("00000000000000000000.seg: bytes 4096.."), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing was touched");
    assert!(request::unsettled(scratch.path()).unwrap().requests.is_empty());
    assert_eq!(grep(&request::dir(scratch.path()), "Zoe-Zimmer"), Vec::<String>::new());
    let mut forced = saved(&scratch, Request { force: true, ..request(zoe()) });
    run(&scratch, &mut forced, None);
    assert!(forced.lost_count > 0);
    assert_gone(&scratch, &SECRETS);
}

#[test]
fn who_demands_to_be_forgotten_is_not_named_by_the_tombstone() {
    let scratch = life("erase-self");
    let request = Request::new(0xabc, zoe(), "Zoe-Zimmer", "asked by letter", 9);
    run(&scratch, &mut saved(&scratch, request), None);
    assert_gone(&scratch, &SECRETS);
    let log = Log::open(&log_dir(scratch.path()), Trust::Validate).unwrap();
    let found = log.entries().find_map(|entry| match entry.view()? {
        RecordView::Erasure(erasure) => Some((erasure.by.to_string(), erasure.subject.to_string())),
        _ => None,
    });
    let alias = "erased-0000000000000abc".to_owned();
    assert_eq!(found, Some((alias.clone(), alias)));
}

#[test]
fn who_comes_back_under_the_name_can_be_erased_again() {
    let scratch = life("erase-again");
    run(&scratch, &mut saved(&scratch, request(zoe())), None);
    with_log(&scratch, write_life);
    let again = Request::new(0xdef, zoe(), "op", "", 10);
    run(&scratch, &mut saved(&scratch, again), None);
    assert_gone(&scratch, &SECRETS);
    let log = Log::open(&log_dir(scratch.path()), Trust::Validate).unwrap();
    let count = |user: &str| log.entries().filter(|entry| entry.user() == user).count();
    assert_eq!((count("erased-0000000000000abc"), count("erased-0000000000000def")), (16, 8));
}

#[test]
fn a_file_that_nobody_can_read_is_refused_or_given_up() {
    let scratch = life("erase-unreadable");
    let log = log_dir(scratch.path());
    let first = log.join("00000000000000000000.seg");
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[..4_096].fill(0xff);
    std::fs::write(&first, &bytes).unwrap();
    // A snapshot that is not whole is of no use to anybody.
    let snapshot = log.join("00000000000000000010.snap");
    let mut rotten = std::fs::read(&snapshot).unwrap();
    rotten[4_096 + 100] ^= 1;
    std::fs::write(&snapshot, &rotten).unwrap();
    let mut refused = saved(&scratch, request(zoe()));
    let dir = DataDir::lock(scratch.path()).unwrap();
    let mut pass = |_: Step, _: &Request| Ok(());
    let error = carry_out(scratch.path(), &mut refused, &mut Offline::new(dir, 77, &mut pass));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("00000000000000000000.seg cannot be read"), "{error}");
    assert!(snapshot.exists() && first.exists(), "nothing was touched");
    let mut forced = saved(&scratch, Request { force: true, ..request(zoe()) });
    run(&scratch, &mut forced, None);
    assert!(!snapshot.exists() && !first.exists());
    assert_gone(&scratch, &SECRETS);
}

#[test]
fn a_scan_that_began_before_reads_one_file_to_its_end() {
    let scratch = life("erase-scan");
    let dir = log_dir(scratch.path());
    let catalog = Catalog::open(&dir).unwrap();
    let views: Vec<_> = catalog.segments().iter().map(|info| catalog.view(info)).collect();
    run(&scratch, &mut saved(&scratch, request(zoe())), None);
    let read = |view: &crate::log::catalog::SegmentView<'_>| {
        let offs = view.ask(|sidecar| {
            use crate::log::sidecar::{Column, TableKind};
            let offs = sidecar.u32s(TableKind::Messages, Column::Off)?;
            Ok(offs.iter().map(|off| off.to_native()).collect::<Vec<_>>())
        });
        let records = offs.iter().map(|off| view.record(*off).expect("it is whole"));
        let texts = records.map(|record| record.message_text().expect("a message").to_vec());
        texts.map(|text| String::from_utf8(text).unwrap()).collect::<Vec<_>>()
    };
    let texts = |views: &[_]| views.iter().flat_map(read).collect::<Vec<_>>();
    let before = ["kept", "zulu-text", "kept", "kept too", "kept", "zulu-text", "kept"];
    assert_eq!(texts(&views), before, "what was open stays open");
    // The catalog is older than the files, too.
    let views: Vec<_> = catalog.segments().iter().map(|info| catalog.view(info)).collect();
    assert_eq!(texts(&views), ["kept", "", "kept", "kept too", "kept", "", "kept"]);
}

#[test]
fn demands_that_are_none_are_named_and_old_drafts_go() {
    let scratch = life("erase-demands");
    saved(&scratch, request(zoe()));
    let dir = request::dir(scratch.path());
    for (name, text) in [("x.json", "{"), ("00000000000000ff.json", ""), ("y.txt", "{")] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    // Under another name than its own it would be done twice.
    std::fs::copy(request(zoe()).path(scratch.path()), dir.join("z.json")).unwrap();
    let mut found = request::unsettled(scratch.path()).unwrap();
    found.unreadable.sort();
    assert_eq!(found.requests, [request(zoe())]);
    let names = ["00000000000000ff.json", "x.json", "z.json"].map(|name| dir.join(name));
    assert_eq!(found.unreadable, names);
    let drafts = ["old.tmp", "young.tmp"].map(|name| dir.join(name));
    for draft in &drafts {
        std::fs::write(draft, "Zoe-Zimmer").unwrap();
    }
    let long_ago = std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    std::fs::File::options().write(true).open(&drafts[0]).unwrap().set_times(long_ago).unwrap();
    request::remove_drafts(scratch.path(), 100_000_000);
    assert_eq!(drafts.map(|draft| draft.exists()), [false, true]);
}

#[test]
fn an_archive_that_knew_the_old_files_says_so_and_then_lacks_nothing() {
    let scratch = Scratch::new("erase-archive");
    with_log(&scratch, write_life);
    with_log(&scratch, |producer| {
        let ann = producer.intern(NameKind::User, "ann").unwrap();
        let hall = producer.intern(NameKind::Room, "hall").unwrap();
        producer.append(ann, hall, &message(7, "kept too", "", "")).unwrap();
    });
    let dir = log_dir(scratch.path());
    let mut archive = Archive::open(&dir).unwrap();
    // What is known of a room, and not yet its rows.
    assert_eq!((archive.oldest("hall"), archive.newest("hall")), (Offset(1), Offset(7)));
    run(&scratch, &mut saved(&scratch, request(zoe())), None);
    let count = |archive: &mut Archive| {
        let mut count = 0;
        archive.walk("hall", Offset(1)..=Offset(9), false, |_| {
            count += 1;
            true
        });
        count
    };
    assert!(count(&mut archive) < 7 && archive.take_met_other());
    archive.refresh().unwrap();
    assert_eq!((count(&mut archive), archive.take_met_other()), (7, false));
}
