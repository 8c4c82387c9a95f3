//! Commands that are scripts and modules: what ends at once, what takes turns, and what is known of
//! both when the server dies.

use super::commanding::stage;
use super::*;
use data_encoding::BASE64;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

impl Stage {
    fn put_script(&mut self, name: &str, more: serde_json::Value, script: &str) {
        let mut body = json!({"script": script});
        let more = more.as_object().expect("fields").clone();
        body.as_object_mut().expect("an object").extend(more);
        self.put(name, &body.to_string());
    }

    fn put_module(&mut self, name: &str, more: serde_json::Value, body: &str) {
        let text = format!(
            r#"(module (memory (export "memory") 1) (data (i32.const 8) "done")
            (func (export "alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "run") (param i32 i32) (result i64) (local $n i32) {body}
                (i64.or (i64.shl (i64.const 8) (i64.const 32)) (i64.const 4))))"#
        );
        let bytes = wat::parse_str(text).expect("a module");
        let mut body = json!({"wasm": BASE64.encode(&bytes)});
        let more = more.as_object().expect("fields").clone();
        body.as_object_mut().expect("an object").extend(more);
        self.put(name, &body.to_string());
    }

    fn call(&mut self, index: u32, name: &str, cid: &str) {
        let d = json!({"name": name, "text": "", "cid": cid});
        let frame = json!({"t": "cmd", "id": 5, "room": "general", "d": d});
        self.say(index, &frame.to_string());
    }

    /// Lets programs run until none wants to; gives how many slices that took.
    fn work(&mut self) -> usize {
        let mut slices = 0;
        while self.hub.work_due_us().is_some() {
            self.event(Event::Work);
            slices += 1;
            assert!(slices < 100_000, "they never end");
        }
        slices
    }

    /// What the newest call has cost.
    fn cost(&self) -> u64 {
        let costs = self.records.iter().rev().find_map(|record| match &record.fact {
            Fact::Command { cost, .. } => Some(*cost),
            _ => None,
        });
        costs.expect("a call")
    }
}

/// A million instructions, more or less.
const LONG: &str = "(local.set $n (i32.const 300000))
    (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n)))";
const ENDLESS: &str = "(loop $l (br $l))";

#[test]
fn what_a_script_keeps_is_there_again_after_a_start() {
    let mut stage = stage();
    let count = r#"let n = parse_int(get("n") ?? "0") + 1; set("n", n);
        whisper(`you are ${role}`); `${display} is number ${n} in ${room}`"#;
    stage.put_script("count", json!({}), count);
    stage.types(1, "/nick Al");
    let want = [
        "1 sees ephemeral: you are owner",
        "1: command:count Al is number 1 in general",
        "2: command:count Al is number 1 in general",
    ];
    assert_eq!(stage.types(1, "/count"), want);
    assert!(stage.cost() > 0);
    assert_eq!(stage.types(2, "/count")[1], "1: command:count bob is number 2 in general");
    let mut again = stage.restarted_stage();
    again.enter(2, "bob", "general");
    assert_eq!(again.types(2, "/count")[1], "2: command:count bob is number 3 in general");
    assert_eq!(again.calls().last().map(String::as_str), Some("bob /count  Ok"));
}

#[test]
fn a_script_asks_somebody_and_goes_on_with_the_answer() {
    let mut stage = stage();
    let script = r#"set("asked", text); fetch("https://wx.example/v1/?q=" + text);
        fn on_reply(status, body) {
            if status == 302 { fetch("https://wx.example/v1/again", "again") }
            `${get("asked")}: ${body} (${status})`
        }"#;
    stage.put_script("wx", json!({"fetch": ["https://wx.example/v1/"]}), script);
    let line = r#"{"t":"cmd","id":5,"room":"general","d":{"name":"wx","text":"Oslo","cid":"q"}}"#;
    stage.say(2, line);
    assert!(stage.fetches.is_empty() && stage.log.is_empty(), "not before it is written down");
    stage.sync();
    assert!(stage.log[0].contains(r#""state":"pending""#), "{:?}", stage.log);
    let (first, asked) = stage.fetches.pop().expect("a fetch");
    assert_eq!(asked, "https://wx.example/v1/?q=Oslo ");
    stage.event(Event::Fetched { ticket: first, result: Ok((302, Vec::new())) });
    stage.sync();
    let (second, asked) = stage.fetches.pop().expect("another fetch");
    assert_eq!(asked, "https://wx.example/v1/again again");
    stage.log.clear();
    stage.event(Event::Fetched { ticket: first, result: Ok((200, Vec::new())) });
    assert_eq!(stage.shown(), [""; 0], "that was answered before");
    stage.event(Event::Fetched { ticket: second, result: Ok((200, b"sun".to_vec())) });
    assert_eq!(stage.shown()[0], "1: command:wx Oslo: sun (200)");
    assert_eq!(stage.calls(), ["bob /wx Oslo Ok"]);
    let mut again = stage.restarted_stage();
    again.event(Event::Tick);
    assert_eq!(again.calls().len(), 1, "nothing was lost");
}

#[test]
fn what_nobody_answers_is_given_up() {
    let mut stage = stage();
    let script = "fetch(`https://wx.example/`); fn on_reply(status, body) { body }";
    let more = json!({"fetch": ["https://wx.example/"], "limits": {"time_ms": 1_000}});
    stage.put_script("wx", more, script);
    stage.types(2, "/wx");
    stage.now_ms += 1_300;
    stage.event(Event::Tick);
    let shown = stage.shown();
    assert_eq!(shown, ["2 sees error: /wx was stopped: its 1000 ms were over"]);
    stage.types(2, "/wx");
    let (ticket, _) = stage.fetches.pop().expect("a fetch");
    stage.event(Event::Fetched { ticket, result: Err("nobody there".into()) });
    assert_eq!(stage.shown()[0], "1: command:wx nobody there");
    assert_eq!(stage.calls(), ["bob /wx  Timeout", "bob /wx  Ok"]);
    stage.put_script("bad", json!({}), script);
    let refused = stage.types(2, "/bad");
    assert!(refused[0].contains("it is not below an address in `fetch`"), "{refused:?}");
}

#[test]
fn what_fails_again_and_again_is_switched_off() {
    let mut stage = stage();
    stage.put_script("spin", json!({}), "\n  loop {}");
    let why = "it used up its 100000 operations";
    let want = format!("2 refused: /spin was stopped: line 2, column 8: {why}");
    for _ in 0..3 {
        let shown = stage.types(2, "/spin");
        assert_eq!(shown[0], want);
        assert!(stage.cost() >= 100_000);
    }
    let refused = stage.types(2, "/spin");
    assert!(refused[0].starts_with("2 refused: /spin is off: it failed 3 times"), "{refused:?}");
    let calls = ["bob /spin  Timeout"; 3].into_iter().chain(["bob /spin  Failed"]);
    assert_eq!(stage.calls(), calls.collect::<Vec<_>>());
    stage.put_script("oops", json!({}), "nope()");
    let refused = stage.types(2, "/oops");
    let want = "2 refused: /oops failed: line 1, column 1: Function not found: nope";
    assert!(refused[0].starts_with(want), "{refused:?}");
    stage.put_module("trap", json!({}), "unreachable");
    let want = "2 refused: /trap failed: wasm `unreachable` instruction executed";
    assert_eq!(stage.types(2, "/trap"), [want]);
}

#[test]
fn what_failed_has_kept_nothing() {
    let mut stage = stage();
    stage.put_script("a", json!({}), r#"set("x", "1"); if text == "bad" { throw "no" } get("x")"#);
    stage.put_script("b", json!({}), r#"for n in 0..200 { set(`${n}`, "x") } "kept""#);
    stage.put_script(
        "c",
        json!({}),
        r#"let long = `x`; long.pad(4000, `x`);
        for n in 0..20 { set(`${n}`, long) } "kept""#,
    );
    stage.types(2, "/a bad");
    assert_eq!(stage.hub.room("general").expect("a room").kept("a x"), None);
    stage.types(2, "/a good");
    assert_eq!(stage.hub.room("general").expect("a room").kept("a x"), Some("1"));
    assert_eq!(stage.types(2, "/b")[0], "1: command:b kept");
    let refused = stage.types(2, "/c");
    assert!(refused[0].contains("it keeps more than 240 values, or 65536 bytes"), "{refused:?}");
}

#[test]
fn a_short_module_answers_at_once_and_a_long_one_between_others() {
    let mut stage = stage();
    stage.put_module("short", json!({}), "");
    stage.put_module("long", json!({"reply": "ephemeral"}), LONG);
    assert_eq!(stage.types(2, "/short")[0], "1: command:short done");
    assert!((1..1_000).contains(&stage.cost()));
    stage.call(2, "long", "x");
    assert!(stage.log.is_empty());
    stage.sync();
    assert!(stage.log[0].contains(r#""state":"pending""#), "{:?}", stage.log);
    stage.call(2, "long", "x");
    assert!(stage.log[1].contains(r#""dup":true,"state":"pending""#), "{:?}", stage.log);
    stage.log.clear();
    stage.event(Event::Work);
    assert_eq!(stage.types(1, "hello")[0], "1: alice hello", "others are served between slices");
    let slices = stage.work();
    assert!(slices > 5, "{slices}");
    assert_eq!(stage.shown(), ["2 sees ephemeral: done"]);
    assert_eq!(stage.calls(), ["bob /short  Ok", "bob /long  Ok"]);
    assert!(stage.cost() > 500_000, "{}", stage.cost());
    assert_eq!(stage.hub.work_due_us(), None, "nothing keeps the shard awake");
    // Asked for again it is not run again.
    stage.call(2, "long", "x");
    stage.sync();
    let answer = stage.log.last().expect("an answer");
    assert!(answer.contains(r#""dup":true,"state":"done""#), "{answer}");
    assert_eq!(stage.work(), 0);
}

#[test]
fn a_module_without_an_end_is_stopped_and_switched_off() {
    let mut stage = stage();
    stage.put_module("spin", json!({"limits": {"fuel": 1_000_000}}), ENDLESS);
    for _ in 0..3 {
        stage.types(2, "/spin");
        stage.work();
        stage.sync();
        let shown = stage.shown();
        assert_eq!(shown[0], "2 sees error: /spin was stopped: it used up its fuel of 1000000");
    }
    assert!(stage.types(2, "/spin")[0].contains("is off: it failed 3 times"));
    stage.put_module("slow", json!({"limits": {"time_ms": 50}}), ENDLESS);
    stage.types(2, "/slow");
    stage.event(Event::Work);
    stage.now_ms += 50;
    stage.work();
    assert_eq!(stage.shown(), ["2 sees error: /slow was stopped: its 50 ms were over"]);
}

#[test]
fn a_call_that_waits_when_the_server_dies_is_lost() {
    let mut stage = stage();
    stage.put_module("long", json!({}), LONG);
    stage.call(2, "long", "x");
    stage.sync();
    let mut again = stage.restarted_stage();
    again.event(Event::Tick);
    again.sync();
    assert_eq!(again.calls(), ["bob /long  Lost"]);
    again.enter(2, "bob", "general");
    again.call(2, "long", "x");
    again.sync();
    assert!(again.log.last().expect("an answer").contains(r#""dup":true"#));
    assert_eq!(again.hub.work_due_us(), None);
}

#[test]
fn calls_beyond_what_a_command_may_are_refused_and_the_others_have_their_turn() {
    let mut stage = stage();
    stage.put_module("long", json!({"limits": {"at_once": 3}}), LONG);
    stage.put_module("other", json!({}), LONG);
    for n in 0..4 {
        stage.call(2, "long", &format!("l{n}"));
    }
    stage.call(1, "other", "o");
    stage.sync();
    let shown = stage.shown();
    assert_eq!(shown, ["2 refused: /long is busy with 3 calls"]);
    stage.work();
    let calls = stage.calls();
    assert_eq!(calls.iter().filter(|call| *call == "bob /long  Ok").count(), 3);
    // It need not wait for all three, which share their state and so follow each other.
    let other = calls.iter().position(|call| call == "alice /other  Ok").expect("it ran");
    assert!(other < calls.len() - 1, "{calls:?}");
}

#[test]
fn calls_in_one_room_share_their_state_one_after_the_other() {
    fn slow() -> u64 {
        static NOW: AtomicU64 = AtomicU64::new(0);
        NOW.fetch_add(150, Ordering::Relaxed)
    }
    let options = HubOptions { room_sends: Rate::UNLIMITED, clock: slow, ..options() };
    let mut stage = Stage::with(options);
    stage.enter(1, "alice", "general");
    stage.put_script("count", json!({}), r#"set("n", parse_int(get("n") ?? "0") + 1); get("n")"#);
    for n in 0..50 {
        stage.call(1, "count", &format!("{n}"));
    }
    let shown = stage.shown();
    let answers = shown.iter().filter(|line| line.contains("command:count")).count();
    assert_eq!(answers, 2, "no more than their share of the time");
    let busy = shown.iter().filter(|line| line.contains("is busy with 16 calls")).count();
    assert_eq!(busy, 32);
    stage.sync();
    assert_eq!(stage.shown(), [""; 0]);
    stage.work();
    stage.sync();
    assert_eq!(stage.hub.room("general").expect("a room").kept("count n"), Some("18"));
    // When time has passed they may again.
    stage.now_ms += 10;
    stage.call(1, "count", "again");
    stage.sync();
    assert!(stage.shown().contains(&"1: command:count 19".to_owned()));
}

#[test]
fn a_thousand_calls_are_one_slice_at_a_time() {
    let mut stage = stage();
    for n in 0..10 {
        let more = json!({"limits": {"at_once": 256}, "reply": "ephemeral"});
        stage.put_module(&format!("long{n}"), more, LONG);
    }
    for n in 0..1_030 {
        stage.call(2, &format!("long{}", n % 10), &format!("{n}"));
    }
    stage.sync();
    let refused = stage.shown().iter().filter(|line| line.contains("too many calls")).count();
    assert_eq!(refused, 1_030 - 1_024);
    for n in 0..20 {
        stage.event(Event::Work);
        let text = format!("hello {n}");
        assert_eq!(stage.types(1, &text)[0], format!("1: alice {text}"));
    }
    stage.now_ms += 3_000;
    stage.event(Event::Tick);
    stage.event(Event::Tick);
    stage.work();
    let late = "2 sees error: /long0 did not get its turn in time; try again";
    assert!(stage.shown().iter().filter(|line| *line == late).count() > 50);
    let ended = stage.calls().len();
    assert_eq!(ended, 1_030, "each call has its record");
}

#[test]
fn calls_of_somebody_who_is_erased_end_without_a_word() {
    let mut stage = stage();
    let script = "fetch(`https://a.example/`); fn on_reply(status, body) { body }";
    stage.put_script("wx", json!({"fetch": ["https://a.example/"]}), script);
    stage.put_module("long", json!({}), LONG);
    stage.put("far", r#"{"http": {"url": "https://a.example/"}}"#);
    for name in ["wx", "long", "far"] {
        stage.call(2, name, name);
        stage.call(1, name, name);
    }
    stage.sync();
    assert_eq!(stage.fetches.len(), 3, "one of them waits, for the state that both share");
    let (user, alias) = ("bob".into(), "erased-1".into());
    let what = Forget::User { user, alias, contact: None };
    let mut effects = Vec::new();
    while stage.hub.forget(&what, &mut effects) != Forgetting::Done {
        stage.event(Event::Closed { conn: conn(2), code: CloseReason::Erased.code() });
    }
    stage.hub.forgotten();
    stage.log.clear();
    for _ in 0..2 {
        for (ticket, _) in std::mem::take(&mut stage.fetches) {
            stage.event(Event::Fetched { ticket, result: Ok((200, b"done".to_vec())) });
        }
        stage.work();
        stage.sync();
    }
    let mut calls = stage.calls();
    calls.sort();
    assert_eq!(calls, ["alice /far  Ok", "alice /long  Ok", "alice /wx  Ok"]);
    assert_eq!(stage.shown().iter().filter(|line| line.contains("done")).count(), 3);
}
