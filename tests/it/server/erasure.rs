//! The right to be forgotten, asked of a running server, of one that is killed meanwhile, and of a
//! directory without one: nothing of the person is found in any file, and everything else stands.

use super::client::Client;
use super::outgoing::webhook as webhook_of;
use super::process::{Plan, Server};
use super::webhook;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The program that erases.
const SCAN: &str = env!("CARGO_BIN_EXE_ringpost-scan");
/// Who is erased.
pub const ZOE: &str = "Zoe-Zimmer";
/// What Zoe leaves: a name, texts, an edited text, a topic, a status, a device.
pub const SECRETS: [&str; 6] =
    [ZOE, "zulu text", "zulu edited", "zulu topic", "zulu status", "zulu device"];

/// Files below `dir` that hold these bytes, whatever they are.
fn holding(dir: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
            continue;
        }
        // A file may be taken away between the listing and the look.
        let bytes = std::fs::read(&path).unwrap_or_default();
        if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// None of it is in any file of the data directory.
#[track_caller]
pub fn assert_gone(server: &Server, secrets: &[&str]) {
    for secret in secrets {
        assert_eq!(holding(server.data(), secret), Vec::<String>::new(), "{secret}");
    }
}

/// Ann and Zoe talk; Zoe does everything that leaves a trace.
pub fn talk(server: &Server, round: u64) -> Client {
    let hello = json!({
        "user": ZOE,
        "device": "zulu device",
        "rooms": {"hall": {"member": true, "replay": {"last": 0}}},
    });
    let mut ann = Client::member(server, "ann", "hall");
    ann.send("hall", &format!("a{round}"), &format!("ann stays {round}"));
    let mut zoe = Client::greet(server, hello);
    let o = zoe.send("hall", &format!("z{round}"), "zulu text");
    zoe.granted("edit", "hall", json!({"o": o, "text": "zulu edited"}));
    zoe.granted("status", "", json!({"state": "away", "text": "zulu status"}));
    zoe.granted("mark", "hall", json!({"recv": o, "read": o}));
    ann.granted("cmd", "hall", json!({"name": "role", "text": format!("{ZOE} moderator")}));
    zoe.granted("cmd", "hall", json!({"name": "topic", "text": "zulu topic"}));
    zoe
}

/// The tool at work on the data of a server.
pub fn erase(server: &Server, args: &[&str]) -> Child {
    let mut command = Command::new(SCAN);
    command.arg("erase").args(args).args(["--yes", "--by", "the operator"]);
    command.args(["--format", "jsonl", "--data"]).arg(server.data());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the scanner runs")
}

/// What the tool says at its end.
#[track_caller]
pub fn finished(child: Child) -> String {
    let output = child.wait_with_output().expect("our child");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Nothing in the log is damaged.
#[track_caller]
pub fn verify(server: &Server) {
    let (code, rows) = server.scan(&["verify"]);
    assert_eq!(code, 0, "{rows}");
}

/// What the room shows to somebody who pages through all of it.
pub fn history(server: &Server) -> Vec<(u64, String, String)> {
    let mut reader = Client::member(server, "reader", "hall");
    let page = reader.granted("history", "hall", json!({"limit": 300}));
    let msgs = page["msgs"].as_array().expect("a list").iter();
    msgs.map(|msg| {
        let text = |name: &str| msg["d"][name].as_str().unwrap_or("").to_owned();
        (msg["o"].as_u64().expect("an offset"), text("from"), text("text"))
    })
    .collect()
}

#[track_caller]
fn assert_forgotten(server: &Server, before: &[(u64, String, String)]) {
    let after = history(server);
    assert!(after.len() >= before.len());
    for ((o, from, text), (was_o, was_from, was_text)) in after.iter().zip(before) {
        assert_eq!(o, was_o);
        if was_from == ZOE {
            assert!(from.starts_with("erased-") && text.is_empty(), "{from}: {text}");
        } else {
            assert_eq!((from, text), (was_from, was_text));
        }
    }
}

#[test]
fn a_user_is_forgotten_while_the_server_goes_on() {
    let mut server = Plan::new().unlimited().shards(2).start();
    drop(talk(&server, 1));
    assert_eq!(server.terminate(), 0);
    server.restart();
    let mut zoe = talk(&server, 2);
    let mut ann = Client::member(&server, "ann", "hall");
    let before = history(&server);
    assert_eq!(before.iter().filter(|(_, from, _)| from == ZOE).count(), 2);
    let tool = erase(&server, &["--user", ZOE, "--reason", "by letter of the 3rd"]);
    assert_eq!(zoe.ending().1, 4411, "the session is told to go");
    let receipt = finished(tool);
    assert!(receipt.contains("\"now called\""), "{receipt}");
    // Others go on as if nothing had been.
    let o = ann.send("hall", "after", "ann goes on");
    assert_gone(&server, &SECRETS);
    assert_forgotten(&server, &before);
    let page = ann.granted("history", "hall", json!({"limit": 1}));
    assert_eq!(page["msgs"][0]["o"], o);
    let room = come(&server, "late").welcome["rooms"]["hall"].clone();
    assert!(!room.to_string().contains("zulu"), "{room}");
    verify(&server);
    let (code, rows) = server.scan(&["tail", "--kind", "erasure", "--format", "jsonl", "-n", "9"]);
    assert_eq!((code, rows.lines().count()), (0, 1), "{rows}");
    assert!(rows.contains("the operator") && rows.contains("by letter"), "{rows}");
    // The same from the log as from memory, and nothing comes back with a start.
    assert_eq!(server.terminate(), 0);
    server.restart();
    assert_gone(&server, &SECRETS);
    let whole = history(&server);
    assert_eq!(whole.last().expect("messages").2, "ann goes on");
    assert_forgotten_in(&whole, &before);
    // Whoever comes by the name now is somebody new.
    let mut again = Client::member(&server, ZOE, "hall");
    again.send("hall", "new", "a new life");
    assert_eq!(history(&server).last().expect("messages").1, ZOE);
}

#[track_caller]
fn assert_forgotten_in(after: &[(u64, String, String)], before: &[(u64, String, String)]) {
    for ((o, from, text), (was_o, was_from, was_text)) in after.iter().zip(before) {
        assert_eq!(o, was_o);
        let kept = (from, text) == (was_from, was_text);
        assert!(kept || (was_from == ZOE && text.is_empty()), "{o}: {from}: {text}");
    }
}

#[test]
fn without_a_server_the_tool_does_it_alone() {
    let mut server = Plan::new().unlimited().start();
    drop(talk(&server, 1));
    let before = history(&server);
    server.kill9();
    let (code, rows) = server.scan(&["erase", "--user", ZOE, "--format", "jsonl"]);
    assert_eq!(code, 0, "{rows}");
    assert!(!holding(server.data(), "zulu text").is_empty(), "without --yes nothing happens");
    finished(erase(&server, &["--user", ZOE]));
    assert_gone(&server, &SECRETS);
    verify(&server);
    server.restart();
    assert_forgotten(&server, &before);
    assert_eq!(server.terminate(), 0);
    let (code, _) = server.scan(&["erase", "--user", "nobody-at-all", "--dry-run"]);
    assert_eq!(code, 1, "nobody to erase");
    for refused in
        [&["erase"][..], &["erase", "--user", "a", "--room", "b"], &["erase", "--message", "x"]]
    {
        assert_eq!(server.scan(refused).0, 2, "{refused:?}");
    }
}

#[test]
fn a_contact_goes_with_conversation_and_webhooks_and_one_message_alone() {
    let server = webhook::plan().unlimited().start();
    assert_eq!(webhook::post(&server, "01_text.json").status, 200);
    let mut agent = Client::member(&server, "agent", webhook::ROOM);
    agent.send(webhook::ROOM, "1", "quokka secret");
    agent.send(webhook::ROOM, "2", "stays for now");
    let message = format!("{}/3", webhook::ROOM);
    let history = agent.granted("history", webhook::ROOM, json!({"limit": 300}));
    let o = history["msgs"].as_array().expect("a list").iter();
    let o =
        o.filter(|msg| msg["d"]["text"] == "quokka secret").map(|msg| msg["o"].clone()).next_back();
    let message = message.replace("/3", &format!("/{}", o.expect("sent")));
    finished(erase(&server, &["--message", &message]));
    assert_gone(&server, &["quokka secret"]);
    assert!(!holding(server.data(), "stays for now").is_empty());
    let contact = webhook::ROOM.rsplit_once(':').expect("a conversation").1;
    finished(erase(&server, &["--user", &format!("wa:{contact}")]));
    assert_gone(&server, &[contact, "bay 4", "stays for now"]);
    verify(&server);
}

/// (what is asked for, who goes, who stays); with the server and without it.
#[test]
fn a_contact_goes_under_all_ids_that_lead_to_its_conversation() {
    const NUMBER: &str = "447700900123";
    const ID: &str = "GB.70011223344";
    for (args, ids, gone, kept) in [
        (
            &["--user", "wa:447700900123"][..],
            2,
            &[NUMBER, ID, "zulu"][..],
            &["wa:447700900999"][..],
        ),
        (&["--user", "wa:GB.70011223344"], 2, &[NUMBER, ID, "zulu"], &["wa:447700900999"]),
        (&["--user", "wa:GB.70011223344", "--only"], 0, &[], &[NUMBER, "zulu number"]),
    ] {
        for is_running in [true, false] {
            let mut server = webhook::plan().start();
            let said = |wamid: &str, from: &[(&str, &str)], text: &str| {
                let mut message = json!({"id": wamid, "type": "text", "text": {"body": text}});
                let mut contact = json!({"profile": {"name": "Zulu Zimmer"}});
                for (key, id) in from {
                    let is_number = *key == "wa_id";
                    message[if is_number { "from" } else { "from_user_id" }] = json!(id);
                    contact[key] = json!(id);
                }
                webhook_of(&server, json!({"messages": [message], "contacts": [contact]}));
            };
            said("wamid.1", &[("wa_id", NUMBER)], "zulu number");
            said("wamid.2", &[("wa_id", NUMBER), ("user_id", ID)], "zulu both");
            said("wamid.3", &[("wa_id", "447700900999")], "stays");
            if !is_running {
                assert_eq!(server.terminate(), 0);
            }
            let (code, plan) = server.scan(&[&["erase", "--format", "jsonl"], args].concat());
            assert_eq!(code, 0, "{plan}");
            let shown = plan.lines().filter(|row| row.contains(r#""user""#)).count();
            assert_eq!(shown, ids, "{plan}");
            finished(erase(&server, args));
            assert_gone(&server, gone);
            for kept in kept {
                assert!(!holding(server.data(), kept).is_empty(), "{args:?} keeps {kept}");
            }
            verify(&server);
        }
    }
}

/// A member who comes in with a greeting that says what the room is like.
fn come(server: &Server, user: &str) -> Client {
    let room = json!({"member": true, "replay": {"last": 0}});
    Client::greet(server, json!({"user": user, "rooms": {"hall": room}}))
}

/// Segments of the log, oldest first.
fn segments(server: &Server) -> Vec<String> {
    let listing = std::fs::read_dir(server.data().join("log")).expect("a log");
    let names = listing.map(|entry| entry.expect("an entry").file_name());
    let names = names.filter_map(|name| name.into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".seg")).collect();
    names.sort();
    names
}

#[test]
fn a_room_keeps_positions_and_members_when_its_first_files_are_gone() {
    // The open file alone is larger, so all goes that snapshots know.
    let mut server = Plan::new().unlimited().set("log.keep_mib", "1").start();
    for round in 0..14 {
        let mut ann = come(&server, "ann");
        ann.send("hall", &format!("c{round}"), "words");
        if round == 0 {
            ann.granted("cmd", "hall", json!({"name": "topic", "text": "the topic"}));
        }
        drop(ann);
        assert_eq!(server.terminate(), 0);
        server.restart();
    }
    let begin = Instant::now();
    let first = "00000000000000000000.seg".to_owned();
    while segments(&server).contains(&first) {
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", segments(&server));
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut ann = come(&server, "ann");
    let room = ann.welcome["rooms"]["hall"].clone();
    assert_eq!((room["topic"].as_str(), room["role"].as_str()), (Some("the topic"), Some("owner")));
    let top = room["o"].as_u64().expect("a number");
    assert!(top >= 15, "{room}");
    assert_eq!(ann.send("hall", "next", "more words"), top + 1);
    let page = ann.granted("history", "hall", json!({"limit": 300}));
    let oldest = page["msgs"][0]["o"].as_u64().expect("a number");
    assert!(oldest > 1, "what was in the files is gone: {page}");
    verify(&server);
    reports_agree_with_what_is_left(&server, &page);
}

/// The reports count what history still has, and the summary begins where it begins.
fn reports_agree_with_what_is_left(server: &Server, page: &Value) {
    let msgs = page["msgs"].as_array().expect("a list");
    let is_message = |msg: &&Value| msg["t"] == "msg";
    let rows = |args: &[&str]| {
        let (code, rows) = server.scan(&[args, &["--format", "jsonl"]].concat());
        assert_eq!(code, 0, "{args:?}");
        let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).expect("JSON"));
        rows.collect::<Vec<_>>()
    };
    let said_count = msgs.iter().filter(is_message).count();
    assert_eq!(rows(&["export", "--kind", "message"]).len(), said_count);
    assert_eq!(rows(&["grep", "-c", "words"])[0]["messages"], said_count);
    let top = rows(&["top", "users"]);
    assert_eq!((&top[0]["name"], &top[0]["messages"]), (&json!("ann"), &json!(said_count)));
    let all = rows(&["export"]);
    let summary = rows(&["summary"]);
    let of =
        |measure: &str| &summary.iter().find(|row| row["measure"] == measure).unwrap()["value"];
    let oldest = all.iter().filter_map(|row| row["ts"].as_str()).min();
    assert_eq!(of("first").as_str(), oldest, "the oldest record that is left");
    assert_eq!(of("records"), all.len());
}

/// A `tail -f` of Ann's messages; gives their texts when it is killed.
fn follow(server: &Server) -> (Child, std::thread::JoinHandle<Vec<String>>) {
    let mut command = Command::new(SCAN);
    let which = ["--user", "ann", "--kind", "message", "-n", "1000", "--format", "jsonl"];
    command.args(["tail", "-f"]).args(which).arg("--data").arg(server.data());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the scanner runs");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let rows = std::thread::spawn(move || {
        let rows = out.lines().map_while(Result::ok);
        rows.filter_map(|row| {
            let row = serde_json::from_str::<Value>(&row).ok()?;
            Some(row["text"].as_str()?.to_owned())
        })
        .collect()
    });
    (child, rows)
}

#[test]
fn readers_go_through_erasures_without_a_wrong_answer() {
    const ROUNDS: u64 = 4;
    const EACH: u64 = 40;
    let mut server = Plan::new().unlimited().start();
    for round in 0..ROUNDS {
        let mut ann = Client::member(&server, "ann", "hall");
        let mut other = Client::member(&server, &format!("user{round}"), "hall");
        for n in 0..EACH {
            ann.send("hall", &format!("{round}.{n}"), &format!("ann stays {round}.{n}"));
            other.send("hall", &format!("{n}"), "others go");
        }
        drop((ann, other));
        assert_eq!(server.terminate(), 0);
        server.restart();
    }
    let said = ROUNDS * EACH;
    let (mut tail, followed) = follow(&server);
    let is_over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let look = || {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                let (code, count) = server.scan(&["grep", "-c", "ann stays", "--format", "jsonl"]);
                assert_eq!((code, count.trim()), (0, &*format!("{{\"messages\":{said}}}")));
                let (_, rows) = server.scan(&["export", "--user", "ann", "--kind", "message"]);
                let count = rows.lines().filter(|row| row.contains("ann stays")).count();
                assert_eq!(count as u64, said, "{rows}");
                let (_, rows) = server.scan(&["grep", "ann stays", "--format", "jsonl"]);
                assert_eq!(rows.lines().count() as u64, said, "{rows}");
                looks += 1;
            }
            looks
        };
        let looking = scope.spawn(look);
        let mut ann = Client::member(&server, "ann", "hall");
        for round in 0..ROUNDS {
            let tool = erase(&server, &["--user", &format!("user{round}")]);
            ann.send("hall", &format!("e{round}"), &format!("ann goes on {round}"));
            finished(tool);
            let page = ann.granted("history", "hall", json!({"limit": 300, "before": 150}));
            let texts = page["msgs"].as_array().expect("a list").iter();
            let count = texts.filter(|msg| msg["d"]["from"] == "ann").count();
            assert!(count > 60, "{page}");
        }
        is_over.store(true, Ordering::Relaxed);
        looking.join().expect("the reports were right")
    });
    assert!(looks > 0);
    std::thread::sleep(Duration::from_millis(300));
    tail.kill().expect("our child");
    tail.wait().expect("our child");
    let texts = followed.join().expect("lines");
    let before = (0..said).map(|n| format!("ann stays {}.{}", n / EACH, n % EACH));
    let behind = (0..ROUNDS).map(|round| format!("ann goes on {round}"));
    assert_eq!(texts, before.chain(behind).collect::<Vec<_>>());
    verify(&server);
}

#[test]
fn what_the_tool_says_of_demands_that_change_nothing() {
    let mut server = Plan::new().unlimited().start();
    let mut ann = Client::member(&server, "ann", "hall");
    let o = ann.send("hall", "1", "hello");
    ann.send("hall", "2", "hello again");
    drop(ann);
    assert_eq!(server.terminate(), 0);
    let before = bytes_of(server.data());
    for args in [&["--user", "ann", "--dry-run"][..], &["--room", "hall"], &["--user", "nobody"]] {
        let (code, _) = server.scan(&[&["erase"], args].concat());
        assert_eq!(code, i32::from(args[1] == "nobody"), "{args:?}");
        assert_eq!(bytes_of(server.data()), before, "{args:?} changes nothing");
    }
    let message = format!("hall/{o}");
    finished(erase(&server, &["--message", &message, "--reason", "by law"]));
    for subject in [&*message, "hall"] {
        let (code, rows) = server.scan(&["audit", subject, "--format", "jsonl"]);
        assert_eq!(code, 0);
        let says_why = rows.lines().filter(|row| row.contains("by law")).count();
        assert_eq!(says_why, usize::from(subject == message), "{rows}");
        assert!(rows.lines().any(|row| row.contains("\"message\"")), "{rows}");
    }
    finished(erase(&server, &["--room", "hall", "--reason", "closed"]));
    let (code, rows) = server.scan(&["audit", "hall", "--format", "jsonl"]);
    assert!(code == 0 && rows.contains("closed"), "{rows}");
}

/// Every file below `dir` with its bytes.
fn bytes_of(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(bytes_of(&path));
        } else {
            let bytes = std::fs::read(&path).expect("readable");
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}
