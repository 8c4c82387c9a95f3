//! Whole command lines against files and against a log of one conversation.

use super::*;
use crate::handlers::Handler;
use crate::log::record::{
    ConversationAction, ConversationV1, DefinitionV1, Delivery, Direction, MessageV1, NameKind,
    Source, StatusV1,
};
use crate::log::scratch::Scratch;
use crate::log::{AckPolicy, DataDir, LogOptions, LogWriter, NameId, Producer, Recovered};
use std::path::{Path, PathBuf};

/// Monday, 2026-11-23T10:00:00Z.
const BEGIN_US: i64 = 1_795_428_000_000_000;
const MINUTE_US: i64 = 60_000_000;
const ROOM: &str = "wa:1102:447700900123";
const PRICE: &str = r#"{"when": {"text": {"keyword": "price"}}, "do": {"reply": "7 {{name}}"}}"#;

/// Runs `check`: status, stdout, stderr.
fn checked(paths: &[&Path]) -> (u8, String, String) {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    let (mut out, mut words) = (Vec::new(), Vec::new());
    let status = check(&paths, &mut out, &mut words).expect("memory takes everything");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status, text(out), text(words))
}

#[test]
fn a_fault_is_shown_where_it_is() {
    let scratch = Scratch::new("check");
    let file = scratch.path().join("menu.json");
    for (json, want) in [
        (
            "{\n  \"when\": {},\n  \"do\": [{\"replay\": \"Hi\"}]\n}\n",
            "menu.json:3:11: `do[0].replay`: \"replay\" is not known here; \
             did you mean \"reply\"?\n    3 |   \"do\": [{\"replay\": \"Hi\"}]\n\
             \x20     |           ^\n",
        ),
        (
            "{\"when\": {},\n\t\"do\": {\"reply\": \"\u{202e}{{nam}}\"}}",
            "menu.json:2:18: `do.reply`: `{{nam}}` is not known: did you mean `{{name}}`?\n\
             \x20   2 |  \"do\": {\"reply\": \"\\u{202e}{{nam}}\"}}\n      |                  ^\n",
        ),
        (
            r#"{"when": {}, "do": {"reply": {"type": "buttons", "text": "a", "buttons": []}}}"#,
            "menu.json:1:30: `do.reply`: ",
        ),
        ("{\"when\": {}", "menu.json:1:11: EOF while parsing an object\n"),
        ("", "menu.json:1:0: EOF while parsing a value\n"),
    ] {
        std::fs::write(&file, json).expect("writable");
        let (status, out, words) = checked(&[&file]);
        assert_eq!((status, &*words), (EXIT_NOT, ""), "{out}");
        assert!(out.contains(want), "got:\n{out}\nwant:\n{want}");
        assert!(out.starts_with("wrong  "), "{out}");
    }
    let text = format!("{}{{{{x}}}}", "y".repeat(300));
    let long = format!(r#"{{"when": {{}}, "do": {{"reply": "{text}"}}}}"#);
    std::fs::write(&file, long).expect("writable");
    let (_, out, _) = checked(&[&file]);
    let shown = out.lines().skip(1);
    assert!(shown.clone().all(|line| line.chars().count() < 160) && shown.count() > 1, "{out}");
}

#[test]
fn folders_are_checked_and_counted() {
    let scratch = Scratch::new("check-folder");
    let good = r#"{"when": {}, "do": [{"reply": "x"}, {"tag": "a"}, {"reply": "y"}]}"#;
    let folder = scratch.path().join("handlers");
    assert_eq!(checked(&[&folder]).0, EXIT_ERROR, "there is none");
    std::fs::create_dir(&folder).expect("writable");
    let (status, out, words) = checked(&[scratch.path()]);
    assert_eq!((status, &*out), (EXIT_ERROR, ""));
    assert!(words.contains("there is no .json file in"), "{words}");
    for (name, json) in [("b.json", good), ("A.json", good), ("notes.txt", "no")] {
        std::fs::write(folder.join(name), json).expect("writable");
    }
    // As `api.definitions` has it: a folder for each kind.
    let (status, out, words) = checked(&[scratch.path()]);
    assert_eq!((status, &*words), (EXIT_NOT, "1 good, 1 wrong\n"));
    assert!(out.contains("A.json: `name`: a name is 1 to 64"), "{out}");
    assert!(out.contains("b.json: on message: reply, tag\n"), "{out}");
    let (status, out, _) = checked(&[&folder.join("b.json")]);
    assert_eq!((status, out.lines().count()), (EXIT_FOUND, 1));
}

#[test]
fn the_examples_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/handlers");
    let (status, out, words) = checked(&[&folder]);
    assert_eq!(status, EXIT_FOUND, "{out}{words}");
}

/// What a placeholder stands for may be an address or a number.
#[test]
fn contents_are_what_the_platform_takes() {
    for (reply, want) in [
        (r#"{"type": "image", "link": "{{reply.picture}}"}"#, None),
        (r#"{"type": "text", "text": "{{reply.x}}"}"#, None),
        (r#"{"type": "buttons", "text": "a", "buttons": [{"title": "ok"}]}"#, None),
        (r#"{"type": "imag", "link": "https://a.example/b"}"#, Some("type")),
        (
            r#"{"type": "buttons", "text": "a", "buttons": [{"title": "123456789012345678901"}]}"#,
            Some("buttons[0].title"),
        ),
    ] {
        let call = format!(r#"{{"call": "https://a.example/", "then": {{"reply": {reply}}}}}"#);
        let json = format!(r#"{{"when": {{}}, "do": {call}}}"#);
        let fault = read("h", &json).err();
        match want {
            None => assert_eq!(fault, None, "{reply}"),
            Some(field) => {
                let fault = fault.expect(reply);
                assert_eq!((fault.line, &*fault.path), (1, "do.then.reply"));
                assert!(fault.problem.contains(field), "{fault}");
            }
        }
    }
}

fn start(scratch: &Scratch) -> (LogWriter, Producer) {
    let dir = DataDir::lock(scratch.path()).expect("free");
    let recovered = Recovered::read(&dir).expect("a log");
    let options = LogOptions {
        policy: AckPolicy::Os,
        segment_bytes: 192 * 1_024,
        ring_bytes: 256 * 1_024,
        ..LogOptions::new(1, 7, || BEGIN_US)
    };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).expect("a log");
    (writer, producers.remove(0))
}

fn message(minute: i64, text: &str, source: Source, direction: Direction) -> MessageV1<'_> {
    MessageV1 {
        o: minute as u64 + 1,
        ts_us: BEGIN_US + minute * MINUTE_US,
        reply: 0,
        cid: "",
        text,
        display: "Ada",
        external: "",
        extra: "",
        source: source as u8,
        direction: direction as u8,
    }
}

/// A contact asks, is answered after a while, taps a button; a message of ours fails.
fn conversation(scratch: &Scratch) {
    let (writer, mut log) = start(scratch);
    let ada = log.intern(NameKind::User, "wa:447700900123").expect("room");
    let bob = log.intern(NameKind::User, "bob").expect("room");
    let room = log.intern(NameKind::Room, ROOM).expect("room");
    let lobby = log.intern(NameKind::Room, "lobby").expect("room");
    let define =
        |version, name, body| DefinitionV1 { ts_us: BEGIN_US, version, name, body, kind: 0 };
    for definition in [
        define(1, "price", r#"{"when": {"text": {"equals": "never"}}, "do": {"end": true}}"#),
        define(2, "price", PRICE),
        define(1, "gone", r#"{"when": {}, "do": {"note": "x"}}"#),
        define(2, "gone", ""),
        define(1, "old", r#"{"when": {}, "do": {"dance": true}}"#),
    ] {
        log.append(bob, NameId::NONE, &definition).expect("room");
    }
    let (heard, said) = ((Source::Whatsapp, Direction::In), (Source::Ws, Direction::Out));
    let line = |minute, text, (source, direction)| message(minute, text, source, direction);
    log.append(ada, room, &line(0, "What is the price?\u{202e}", heard)).expect("room");
    log.append(bob, room, &line(20, "Seven. That is the price.", said)).expect("room");
    let change = |minute, action: ConversationAction, value| ConversationV1 {
        o: 0,
        ts_us: BEGIN_US + minute * MINUTE_US,
        value,
        action: action as u8,
    };
    log.append(bob, room, &change(21, ConversationAction::Tag, "vip")).expect("room");
    log.append(bob, room, &change(22, ConversationAction::State, "resolved")).expect("room");
    let extra = r#"{"content":{"type":"button_reply","id":"yes","title":"Price"}}"#;
    log.append(ada, room, &MessageV1 { extra, ..line(30, "Price", heard) }).expect("room");
    let status = StatusV1 {
        ts_us: BEGIN_US + 31 * MINUTE_US,
        external: "wamid.1",
        recipient: "",
        extra: "",
        error: 131_047,
        status: Delivery::Failed as u8,
    };
    log.append(ada, room, &status).expect("room");
    let internal = (Source::Ws, Direction::Internal);
    log.append(bob, lobby, &line(32, "the price", internal)).expect("room");
    writer.stop().expect("written");
}

fn options(scratch: &Scratch) -> Options {
    Options {
        data: scratch.path().to_path_buf(),
        since: "1d".to_owned(),
        until: None,
        handler: None,
        files: Vec::new(),
        room: None,
        shown_count: 0,
        is_json: false,
    }
}

/// Two hours after the begin: status, stdout, stderr.
fn replayed(options: &Options) -> (u8, String, String) {
    let (mut out, mut words) = (Vec::new(), Vec::new());
    let now_us = BEGIN_US + 120 * MINUTE_US;
    let status = replay(options, now_us, &mut out, &mut words).expect("memory takes everything");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status, text(out), text(words))
}

/// The firings of one definition, a line each: minute and actions.
fn firings(scratch: &Scratch, when: &str, actions: &str) -> Vec<String> {
    let file = scratch.path().join("h.json");
    let json = format!(r#"{{"when": {when}, "do": {actions}}}"#);
    Handler::parse("h", &json).expect(&json);
    std::fs::write(&file, json).expect("writable");
    let options = Options { files: vec![file], is_json: true, ..options(scratch) };
    let (_, out, words) = replayed(&options);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|error| {
        panic!("{error}: {out}{words}");
    });
    let row = |firing: &serde_json::Value| {
        let minute = (firing["ts"].as_i64().expect("a time") * 1_000 - BEGIN_US) / MINUTE_US;
        format!("{minute} {}", firing["actions"][0]["text"].as_str().unwrap_or("?"))
    };
    value["firings"].as_array().expect("a list").iter().map(row).collect()
}

#[test]
fn what_happened_is_shown_as_it_was_then() {
    let scratch = Scratch::new("replay");
    conversation(&scratch);
    for (when, note, want) in [
        (r#"{"first_contact": true}"#, "{{text}}", &["0 What is the price?\u{202e}"][..]),
        (r#"{"room": "wa:*"}"#, "{{state}}{{tags}}", &["0 open", "30 openvip"]),
        (
            r#"{"text": {"keyword": "price"}}"#,
            "{{sender}}",
            &["0 wa:447700900123", "30 wa:447700900123", "32 bob"],
        ),
        (r#"{"from": "person"}"#, "{{room}}", &["20 wa:1102:447700900123", "32 lobby"]),
        (r#"{"choice": "yes"}"#, "{{choice}}", &["30 yes"]),
        (r#"{"type": "button_reply"}"#, "{{text}}", &["30 Price"]),
        (r#"{"status": "failed"}"#, "{{error}}", &["31 131047"]),
        (r#"{"event": "tagged", "tag": "vip"}"#, "{{tags}}", &["21 vip"]),
        (r#"{"event": "state"}"#, "{{state}} by {{sender}}", &["22 resolved by bob"]),
        // Answered after twenty minutes, then never.
        (r#"{"unanswered_min": 15}"#, "{{unanswered_min}}", &["15 15", "45 15"]),
        (r#"{"unanswered_min": 25}"#, "{{unanswered_min}}", &["55 25"]),
        (r#"{"unanswered_min": 600}"#, "x", &[]),
        (r#"{"sender": "nobody"}"#, "x", &[]),
    ] {
        let got = firings(&scratch, when, &format!(r#"{{"note": "{note}"}}"#));
        assert_eq!(got, want, "{when}");
    }
}

#[test]
fn the_handlers_of_the_log_are_rehearsed() {
    let scratch = Scratch::new("replay-log");
    conversation(&scratch);
    let (status, out, words) = replayed(&options(&scratch));
    assert_eq!(status, EXIT_FOUND, "{words}");
    assert!(words.contains("warning: the handler old is left out: line 1"), "{words}");
    let want = "2026-11-23T10:00:00Z  price  wa:1102:447700900123  message of Ada: \
        \"What is the price?\\u{202e}\"\n    reply \"7 Ada\"\n";
    assert!(out.starts_with(want), "{out}");
    let table = "handler  matched    fired  limited  answered  unanswered   failed\n\
        price          3        3        0         0           0        0\n\
        7 events since 2026-11-22T12:00:00Z, 3 firings\n";
    assert!(out.ends_with(table), "{out}");
    let only = Options { shown_count: 1, ..options(&scratch) };
    assert!(replayed(&only).1.contains("\n… and 2 more; -n 0 shows all\n"));
    let room = Options { room: Some("lobby".to_owned()), ..options(&scratch) };
    assert!(replayed(&room).1.ends_with("1 event since 2026-11-22T12:00:00Z, 1 firing\n"));
    let late = Options { since: "2026-11-23T10:31Z".to_owned(), ..options(&scratch) };
    assert!(replayed(&late).1.contains("2 events since"));
    let early = Options { until: Some("2026-11-23T10:30Z".to_owned()), ..options(&scratch) };
    assert!(replayed(&early).1.ends_with(" 1 firing\n"));
}

#[test]
fn what_cannot_be_rehearsed_is_said() {
    let scratch = Scratch::new("replay-errors");
    conversation(&scratch);
    let bad = scratch.path().join("bad.json");
    std::fs::write(&bad, r#"{"when": {}, "do": {}}"#).expect("writable");
    let none = Scratch::new("replay-nothing");
    let handler = |name: &str| Options { handler: Some(name.to_owned()), ..options(&scratch) };
    for (options, want) in [
        (handler("pric"), "there is no handler \"pric\" in the log\nhint: did you mean price?"),
        (handler("old"), "the handler old: line 1, column "),
        (Options { since: "x".to_owned(), ..options(&scratch) }, "--since \"x\" is no time"),
        (Options { files: vec![bad], ..options(&scratch) }, "bad.json: line 1, column 20: `do`"),
        (Options { files: vec!["/none".into()], ..options(&scratch) }, "cannot read /none: "),
        (options(&none), "hint: --data DIR names the data directory"),
    ] {
        let (status, out, words) = replayed(&options);
        assert_eq!((status, &*out), (EXIT_ERROR, ""), "{words}");
        assert!(words.starts_with("error: ") && words.contains(want), "{words}");
    }
    let never = scratch.path().join("never.json");
    let json = r#"{"when": {"text": {"equals": "never"}}, "do": {"note": "x"}}"#;
    std::fs::write(&never, json).expect("writable");
    let (status, _, words) = replayed(&Options { files: vec![never], ..options(&scratch) });
    assert_eq!((status, &*words), (EXIT_NOT, "nothing fired\n"));
}
