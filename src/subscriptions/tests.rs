//! The state under a made-up log and receiver, and the source on a real log.

use super::*;
use crate::base::clock::Now;
use crate::base::ids::ShardId;
use crate::base::limits::SUBSCRIPTION_FLIGHTS_MAX;
use crate::egress::{Got, Miss, Request};
use crate::log::record::{Direction, MessageV1, NameId, NameKind, Source as From};
use crate::log::scratch::Scratch;
use crate::log::{DataDir, LogOptions, LogWriter, Producer, Recovered};
use crate::registry::sign::{SigningKey, is_signed};
use crate::registry::{Definition, Kind};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One event a record, all wanted; the ids are the numbers.
struct Made {
    end: u64,
    gone_before: u64,
    /// Events that were given, each time they were.
    given: u64,
    /// The system refuses to give what stands before this.
    unreadable_before: u64,
}

impl Source for Made {
    fn end(&self) -> u64 {
        self.end
    }

    fn read(
        &mut self,
        from: u64,
        until: u64,
        _: &Wanted,
        each: &mut dyn FnMut(Found) -> bool,
    ) -> u64 {
        let mut at = from;
        if from < self.unreadable_before {
            return from;
        }
        while at < until.min(self.end) {
            let (seq, is_gone) = (at, at < self.gone_before);
            at = if is_gone { self.gone_before } else { at + 1 };
            let json = if is_gone { format!("{{\"gap\":{seq}}}") } else { seq.to_string() };
            let ts_ms = (!is_gone).then_some(seq as i64);
            self.given += 1;
            if !each(Found { seq, next: at, ts_ms, json }) {
                break;
            }
        }
        at
    }

    fn since(&mut self, _: i64) -> u64 {
        self.end
    }

    fn begin(&mut self) -> u64 {
        self.gone_before
    }
}

/// The state with its files, and calls that wait for an answer.
struct Bench {
    state: Subscriptions,
    source: Made,
    files: BTreeMap<(String, &'static str), String>,
    calls: Vec<(u64, Request)>,
    remarks: Vec<String>,
    now_ms: u64,
    version: u64,
    /// What the next start of the process finds written.
    begin_seq: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            state: Subscriptions::new(Vec::new(), 7, 0),
            source: Made { end: 0, gone_before: 0, given: 0, unreadable_before: 0 },
            files: BTreeMap::new(),
            calls: Vec::new(),
            remarks: Vec::new(),
            now_ms: 10_000,
            version: 0,
            begin_seq: 0,
        }
    }

    fn now(&self) -> Now {
        Now { wall_us: self.now_ms as i64 * 1_000, mono_us: self.now_ms * 1_000 }
    }

    fn define(&mut self, name: &str, rest: &str) {
        self.version += 1;
        let body = match rest {
            "" => String::new(),
            rest => format!(r#"{{"url":"https://a.example/x","secret":"{KEY}",{rest}}}"#),
        };
        self.put(name, &body);
    }

    fn put(&mut self, name: &str, body: &str) {
        let definition = Definition {
            kind: Kind::Subscription,
            name: name.into(),
            version: self.version,
            by: "ann".into(),
            ts_us: 0,
            body: body.into(),
        };
        let (mut out, files) = (Vec::new(), &self.files);
        let saved = |name: &str, file: File| files.get(&(name.to_owned(), text(file))).cloned();
        let now = self.now();
        self.state.define(now, &definition, &mut self.source, &saved, &mut out);
        self.perform(out);
    }

    fn turn(&mut self) {
        let mut out = Vec::new();
        self.state.turn(self.now(), &mut self.source, &mut out);
        self.perform(out);
    }

    fn later(&mut self, ms: u64) {
        self.now_ms += ms;
        self.turn();
    }

    fn answer(&mut self, result: Result<Got, Miss>) {
        let (ticket, _) = self.calls.remove(0);
        let mut out = Vec::new();
        self.state.answered(self.now(), ticket, &result, &mut out);
        self.perform(out);
        self.turn();
    }

    fn perform(&mut self, deeds: Vec<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Call { ticket, request } => self.calls.push((ticket, request)),
                Deed::Save { name, file, text: saved } => {
                    self.files.insert((name.to_string(), text(file)), saved);
                }
                Deed::Remove { name } => self.files.retain(|(known, _), _| **known != *name),
                Deed::Remark(words) => self.remarks.push(words),
            }
        }
    }

    /// The process dies and comes back; files and log stay.
    fn crash(&mut self, name: &str, rest: &str) {
        self.begin_seq = self.source.end;
        self.restart(name, rest);
    }

    /// The machine dies with the log behind `begin` that was not synced; when the process has its
    /// definition again, the log ends at `end`.
    fn lose_power(&mut self, begin: u64, end: u64, name: &str, rest: &str) {
        (self.begin_seq, self.source.end) = (begin, end);
        self.restart(name, rest);
    }

    fn restart(&mut self, name: &str, rest: &str) {
        self.state = Subscriptions::new(Vec::new(), 9, self.begin_seq);
        self.calls.clear();
        self.version -= 1;
        self.define(name, rest);
        self.turn();
    }

    /// The events of the calls under way.
    fn told(&self) -> Vec<String> {
        self.calls.iter().map(|(_, request)| events(request)).collect()
    }

    fn standing(&self, name: &str) -> Standing {
        let all = self.state.standings(self.now(), self.source.end);
        all.into_iter().find(|standing| standing.name == name).expect("defined")
    }
}

fn text(file: File) -> &'static str {
    File::ALL.iter().find(|(known, _)| *known == file).expect("listed").1
}

fn events(request: &Request) -> String {
    let Request::Post { body, .. } = request else { panic!("{request:?}") };
    let body: Value = serde_json::from_slice(body).expect("JSON");
    match body.get("events") {
        Some(events) => events.to_string(),
        None => body.to_string(),
    }
}

fn got(status: u16) -> Result<Got, Miss> {
    Ok(Got { status, body: Vec::new(), bytes: 0, retry_after_s: None })
}

fn busy(after_s: u32) -> Result<Got, Miss> {
    Ok(Got { status: 429, body: Vec::new(), bytes: 0, retry_after_s: Some(after_s) })
}

#[test]
fn everything_is_told_in_order_one_batch_at_a_time() {
    let mut bench = Bench::new();
    bench.source.end = 3;
    bench.define("crm", r#""batch":{"max":2}"#);
    bench.turn();
    assert!(bench.calls.is_empty(), "it begins with what comes");
    bench.source.end = 8;
    bench.turn();
    assert_eq!(bench.told(), ["[3,4]"]);
    bench.turn();
    assert_eq!(bench.told(), ["[3,4]"]);
    for want in ["[5,6]", "[7]"] {
        bench.answer(got(200));
        assert_eq!(bench.told(), [want]);
    }
    bench.answer(got(204));
    assert!(bench.calls.is_empty());
    let standing = bench.standing("crm");
    assert_eq!((standing.state, standing.cursor, standing.event_count), ("active", 8, 5));
    assert_eq!((standing.lag_records, standing.lag_ms), (0, 0));
}

#[test]
fn a_post_is_signed_and_repeated_under_the_same_number() {
    let mut bench = Bench::new();
    bench.define("crm", r#""headers":{"X-Key":"swordfish"},"retry_s":[5,5]"#);
    bench.source.end = 1;
    bench.turn();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (_, Request::Post { headers, body, .. }) = &bench.calls[0] else { panic!() };
        let value = |name: &str| &*headers.iter().find(|(known, _)| &**known == name).unwrap().1;
        let at_s: i64 = value("webhook-timestamp").parse().expect("seconds");
        assert_eq!(at_s, bench.now().wall_ms() / 1_000);
        let key = SigningKey::parse(KEY).expect("a key");
        let id = value("webhook-id");
        assert!(is_signed((id, at_s, body), value("webhook-signature"), &[key]));
        assert_eq!(value("X-Key"), "swordfish");
        ids.push(id.to_owned());
        bench.answer(got(500));
        bench.source.end = 5;
        bench.later(7_000);
        assert_eq!(bench.told(), ["[0]"], "as it was, whatever came meanwhile");
    }
    assert_eq!(ids[0], ids[1]);
    assert!(!format!("{:?}", bench.state).contains("swordfish"));
    assert!(!format!("{:?}", bench.state).contains("a.example"));
}

#[test]
fn failures_follow_the_schedule_and_hold_up_nobody_else() {
    let mut bench = Bench::new();
    bench.define("bad", r#""retry_s":[5,300]"#);
    bench.define("good", r#""rooms":"*""#);
    bench.source.end = 1;
    bench.turn();
    assert_eq!(bench.calls.len(), 2);
    bench.answer(Err(Miss::NotSent("refused".to_owned())));
    bench.answer(got(200));
    bench.source.end = 2;
    bench.turn();
    assert_eq!(bench.told(), ["[1]"], "the good one goes on");
    bench.answer(got(200));
    bench.later(4_999);
    assert!(bench.calls.is_empty());
    bench.later(1_001);
    assert_eq!(bench.told(), ["[0]"]);
    bench.answer(got(302));
    assert_eq!(bench.standing("bad").state, "retrying");
    bench.later(299_000);
    assert!(bench.calls.is_empty());
    bench.later(61_000);
    bench.answer(Err(Miss::Lost("silence".to_owned())));
    // The schedule is used up.
    assert_eq!(bench.told(), ["[1]"], "the next one has its turn");
    bench.answer(got(200));
    let standing = bench.standing("bad");
    assert_eq!((standing.dead_count, standing.cursor), (1, 2));
    assert!(standing.last_error.expect("told").contains("silence"));
}

#[test]
fn many_that_hang_leave_room_and_take_turns() {
    let mut bench = Bench::new();
    for n in 0..SUBSCRIPTION_FLIGHTS_MAX + 2 {
        bench.define(&format!("s{n:04}"), r#""batch":{"max":9}"#);
    }
    bench.source.end = 1;
    bench.turn();
    assert_eq!(bench.calls.len(), SUBSCRIPTION_FLIGHTS_MAX);
    bench.source.end = 2;
    for _ in 0..2 {
        bench.answer(got(200));
        assert_eq!(bench.calls.len(), SUBSCRIPTION_FLIGHTS_MAX);
        let last = bench.told().pop();
        assert_eq!(last.as_deref(), Some("[0,1]"), "whoever waited, and not who was told already");
    }
    bench.answer(got(200));
    assert_eq!(bench.told().pop().as_deref(), Some("[1]"));
}

#[test]
fn a_receiver_may_ask_for_patience_or_to_be_left_alone() {
    let mut bench = Bench::new();
    bench.define("crm", r#""rooms":"*""#);
    bench.source.end = 1;
    bench.turn();
    bench.answer(busy(100));
    bench.later(99_000);
    assert!(bench.calls.is_empty());
    bench.later(22_000);
    bench.answer(got(410));
    assert_eq!(bench.standing("crm").state, "gone");
    assert!(bench.remarks[0].contains("410"));
    bench.later(1_000_000);
    assert!(bench.calls.is_empty());
    bench.crash("crm", r#""rooms":"*""#);
    assert!(bench.calls.is_empty(), "it stays off");
    bench.define("crm", r#""rooms":"a*""#);
    bench.turn();
    assert_eq!(bench.told(), ["[0]"], "a change puts it on, and nothing is lost");
}

#[test]
fn a_crash_repeats_and_never_skips() {
    let mut bench = Bench::new();
    let rest = r#""batch":{"max":1},"retry_s":[5]"#;
    bench.define("crm", rest);
    bench.turn();
    bench.source.end = 4;
    bench.turn();
    bench.answer(got(200));
    bench.crash("crm", rest);
    assert_eq!(bench.told(), ["[0]"], "the cursor was not written yet");
    bench.answer(got(200));
    bench.later(1_000);
    bench.crash("crm", rest);
    assert_eq!(bench.told(), ["[1]"]);
    bench.answer(got(500));
    bench.crash("crm", rest);
    assert!(bench.calls.is_empty(), "the wait is kept");
    bench.later(7_000);
    bench.answer(got(500));
    assert_eq!(bench.told(), ["[2]"]);
    // Between the letter and the cursor.
    bench.files.insert(("crm".to_owned(), "cursor.json"), r#"{"cursor":1,"version":1}"#.to_owned());
    bench.crash("crm", rest);
    assert_eq!(bench.told(), ["[2]"], "what is dead is not told as if it lived");
    assert_eq!(bench.standing("crm").dead_count, 1);
}

#[test]
fn numbers_that_are_given_again_are_not_skipped() {
    for end in [6, 9, 12] {
        let mut bench = Bench::new();
        let rest = r#""batch":{"max":9},"retry_s":[1]"#;
        bench.define("crm", rest);
        for (end, dead) in [(4, "[0,1,2,3]"), (7, "[4,5,6]")] {
            bench.source.end = end;
            bench.turn();
            assert_eq!(bench.told(), [dead]);
            bench.answer(got(500));
            bench.later(2_000);
            bench.answer(got(500));
        }
        bench.source.end = 9;
        bench.turn();
        bench.answer(got(200));
        bench.later(2_000);
        assert_eq!(bench.standing("crm").cursor, 9);
        bench.lose_power(5, end, "crm", rest);
        let want: Vec<u64> = (5..end).collect();
        assert_eq!(bench.told(), [serde_json::json!(want).to_string()], "the log ends at {end}");
        assert!(bench.remarks.last().expect("said").contains("lost"));
        bench.answer(got(200));
        let dead = bench.state.dead("crm").expect("defined");
        let places: Vec<_> = dead.iter().map(|dead| (dead.from, dead.next)).collect();
        assert_eq!(places, [(0, 4), (4, 5)], "new events are no dead letters");
        assert!(bench.files[&("crm".to_owned(), "cursor.json")].contains(r#""cursor":"#));
        bench.crash("crm", rest);
        assert_eq!(bench.standing("crm").dead_count, 2);
    }
}

#[test]
fn a_batch_that_failed_with_a_part_of_the_log_that_is_gone_is_made_anew() {
    let mut bench = Bench::new();
    let rest = r#""batch":{"max":9},"retry_s":[5]"#;
    bench.define("crm", rest);
    bench.source.end = 9;
    bench.turn();
    bench.answer(got(500));
    bench.lose_power(5, 7, "crm", rest);
    assert_eq!(bench.told(), ["[0,1,2,3,4,5,6]"]);
}

#[test]
fn dead_letters_are_told_again_when_asked_for() {
    let mut bench = Bench::new();
    bench.define("crm", r#""batch":{"max":1},"retry_s":[1]"#);
    bench.source.end = 2;
    bench.turn();
    for _ in 0..2 {
        bench.answer(got(500));
        bench.later(2_000);
        bench.answer(got(500));
    }
    let dead = bench.state.dead("crm").expect("defined");
    assert_eq!(dead.iter().map(|dead| (dead.id, dead.from)).collect::<Vec<_>>(), [(1, 0), (2, 1)]);
    assert_eq!(bench.state.replay("crm", &[2]), Some(1));
    assert_eq!(bench.state.replay("crm", &[2]), Some(0), "once is enough");
    assert_eq!(bench.state.replay("no", &[]), None);
    bench.turn();
    assert_eq!(bench.told(), ["[1]"]);
    bench.answer(got(500));
    assert_eq!(bench.standing("crm").dead_count, 2, "it stays");
    assert_eq!(bench.state.replay("crm", &[]), Some(2));
    bench.turn();
    for want in ["[0]", "[1]"] {
        assert_eq!(bench.told(), [want]);
        bench.answer(got(200));
    }
    assert_eq!(bench.state.dead("crm"), Some(Vec::new()));
    assert_eq!(bench.files[&("crm".to_owned(), "dead.json")], "[]");
}

#[test]
fn a_replay_that_fails_is_not_tried_again_nor_what_was_asked_for_behind_it() {
    let mut bench = Bench::new();
    bench.define("crm", r#""batch":{"max":1},"retry_s":[1]"#);
    bench.source.end = 2;
    bench.turn();
    for _ in 0..2 {
        bench.answer(got(500));
        bench.later(2_000);
        bench.answer(got(500));
    }
    assert_eq!(bench.state.replay("crm", &[]), Some(2));
    bench.turn();
    bench.answer(got(503));
    for _ in 0..3 {
        assert!(bench.calls.is_empty(), "{:?}", bench.told());
        bench.later(100_000);
    }
    let errors: Vec<_> = bench.state.dead("crm").expect("defined");
    let errors: Vec<_> = errors.iter().map(|dead| &*dead.error).collect();
    assert_eq!(errors, ["HTTP 503", "HTTP 500"]);
    assert_eq!(bench.state.replay("crm", &[]), Some(2), "whoever wants asks again");
}

#[test]
fn a_dead_letter_that_cannot_be_read_ends_its_replay_and_says_why() {
    let mut bench = Bench::new();
    bench.define("crm", r#""batch":{"max":1},"retry_s":[1]"#);
    bench.source.end = 2;
    bench.turn();
    for _ in 0..2 {
        bench.answer(got(500));
        bench.later(2_000);
        bench.answer(got(500));
    }
    bench.source.unreadable_before = 2;
    assert_eq!(bench.state.replay("crm", &[]), Some(2));
    bench.turn();
    assert!(bench.calls.is_empty());
    assert!(!bench.state.have_work(2), "it would be looked at all the time");
    let standing = bench.standing("crm");
    let error = standing.last_error.expect("told");
    assert!(error.contains("cannot be read"), "{error}");
    assert_eq!(standing.dead_count, 2, "both stay");
    assert_eq!(bench.state.dead("crm").expect("defined")[0].error, error);
    assert!(bench.files[&("crm".to_owned(), "dead.json")].contains(&error));
    bench.source.unreadable_before = 0;
    assert_eq!(bench.state.replay("crm", &[]), Some(2));
    bench.turn();
    assert_eq!(bench.told(), ["[0]"]);
}

#[test]
fn a_dead_letter_that_is_longer_than_a_post_of_today_is_told_in_pieces() {
    let mut bench = Bench::new();
    bench.define("crm", r#""retry_s":[1]"#);
    bench.source.end = 5;
    bench.turn();
    bench.answer(got(500));
    bench.later(2_000);
    bench.answer(got(500));
    bench.define("crm", r#""batch":{"max":2},"retry_s":[1]"#);
    assert_eq!(bench.state.replay("crm", &[]), Some(1));
    bench.turn();
    for want in ["[0,1]", "[2,3]", "[4]"] {
        assert_eq!(bench.told(), [want]);
        bench.answer(got(200));
    }
    assert_eq!(bench.state.dead("crm"), Some(Vec::new()));
}

#[test]
fn batches_wait_to_fill_and_holes_are_told() {
    let mut bench = Bench::new();
    bench.define("crm", r#""batch":{"max":3,"wait_ms":500},"from":"start""#);
    bench.source.end = 2;
    bench.turn();
    bench.later(499);
    assert!(bench.calls.is_empty());
    assert_eq!(bench.state.deadline_ms(), Some(10_500));
    bench.later(1);
    assert_eq!(bench.told(), ["[0,1]"]);
    bench.source.end = 9;
    bench.answer(got(200));
    assert_eq!(bench.told(), ["[2,3,4]"], "full");
    bench.answer(got(500));
    bench.source.gone_before = 4;
    bench.later(7_000);
    assert_eq!(bench.told(), [r#"[{"gap":2},4]"#], "read again: some of it is gone meanwhile");
}

#[test]
fn what_waits_for_more_is_read_once_while_it_waits_and_once_when_it_goes() {
    let mut bench = Bench::new();
    bench.define("crm", r#""batch":{"max":3,"wait_ms":500},"from":"start""#);
    bench.source.end = 1;
    bench.turn();
    for _ in 0..50 {
        bench.later(5);
    }
    bench.source.end = 2;
    for _ in 0..49 {
        bench.later(5);
    }
    assert!(bench.calls.is_empty());
    assert_eq!(bench.source.given, 2);
    bench.source.end = 3;
    bench.later(1);
    assert_eq!(bench.told(), ["[0,1,2]"], "it is full before its time");
    assert_eq!(bench.source.given, 6);
}

#[test]
fn removed_and_invalid_ones_are_silent() {
    let mut bench = Bench::new();
    bench.define("crm", r#""rooms":"*""#);
    bench.source.end = 1;
    bench.turn();
    bench.define("crm", "");
    assert!(bench.files.is_empty());
    bench.answer(got(200));
    assert_eq!(bench.state.count(), 0);
    bench.define("odd", r#""evnts":["message"]"#);
    bench.define("off", r#""enabled":false"#);
    bench.source.end = 2;
    bench.turn();
    assert!(bench.calls.is_empty() && !bench.state.are_listening());
    let odd = bench.standing("odd");
    assert_eq!(odd.state, "invalid");
    assert!(odd.last_error.expect("told").contains("did you mean \"events\"?"));
    assert_eq!(bench.standing("off").state, "disabled");
}

#[test]
fn definitions() {
    let base = format!(r#""url":"https://a.example/x","secret":"{KEY}""#);
    for (rest, want) in [
        ("", ""),
        (r#","events":["message","delivery"],"rooms":["wa:*"],"directions":["in"]"#, ""),
        (r#","format":"event","batch":{"max":1}"#, ""),
        (r#","format":"event""#, "wants `batch`"),
        (r#","events":["massage"]"#, "did you mean \"message\"?"),
        (r#","batch":{"max":101}"#, "from 1 to 100"),
        (r#","retry_s":[0]"#, "from 1 to"),
        (r#","headers":{"Host":"x"}"#, "set by the server"),
        (r#","headers":{"webhook-id":"x"}"#, "set by the server"),
        (r#","headers":{"a":"b\r\nc"}"#, "printable"),
        (r#","headers":{"a b":"c"}"#, "no name of a header"),
    ] {
        check(&format!("{{{base}{rest}}}"), want);
    }
    for url in ["http://a.example/", "https://127.0.0.1/", "https://u:p@a.example/", "ftp://x"] {
        let json = format!(r#"{{"url":"{url}","secret":"{KEY}"}}"#);
        check(&json, "`url`");
    }
    check(r#"{"url":"https://a.example/","secret":"short"}"#, "`secret`");
    check(r#"{"secret":"x"}"#, "`url` is missing");
}

#[track_caller]
fn check(json: &str, want: &str) {
    let told = Spec::parse(json, &[]).err().map_or(String::new(), |fault| fault.to_string());
    assert_eq!(told.is_empty(), want.is_empty(), "{json}: {told}");
    assert!(told.contains(want), "{json}: {told}");
    assert!(!told.contains(KEY));
}

/// A log of small segments with `count` messages in it.
fn write_log(dir: &Scratch, count: u64) {
    let data = DataDir::lock(dir.path()).expect("free");
    let recovered = Recovered::read(&data).expect("a log");
    let options = LogOptions { segment_bytes: 256 << 10, ..LogOptions::new(1, 3, || 1_000_000) };
    let (writer, mut producers) =
        LogWriter::start(data, &recovered, options, Box::new(|_: ShardId| {})).expect("a writer");
    let producer = &mut producers[0];
    let room = producer.intern(NameKind::Room, "wa:1102:5511").expect("room");
    let user = producer.intern(NameKind::User, "wa:5511").expect("room");
    for o in 1..=count {
        say(producer, (user, room), o);
    }
    writer.stop().expect("no error");
}

fn say(producer: &mut Producer, (user, room): (NameId, NameId), o: u64) {
    let text = format!("{o} {}", "x".repeat(1_000));
    let direction = if o.is_multiple_of(2) { Direction::Out } else { Direction::In };
    let message = MessageV1 {
        o,
        ts_us: o as i64 * 1_000,
        reply: 0,
        cid: "",
        text: &text,
        display: "Ann",
        external: "wamid.1",
        extra: r#"{"content":{"type":"text"},"about":"x"}"#,
        source: From::Whatsapp as u8,
        direction: direction as u8,
    };
    while producer.append(user, room, &message).is_err() {
        producer.wake();
        std::thread::sleep(Duration::from_millis(1));
    }
    producer.wake();
}

/// All that is wanted from `from` on, as (number, `o` or `gap`).
fn walk(source: &mut LogSource, from: u64, wanted: &Wanted) -> Vec<(u64, String)> {
    let (mut at, mut found) = (from, Vec::new());
    while at < source.end() {
        let next = source.read(at, u64::MAX, wanted, &mut |event| {
            let json: Value = serde_json::from_str(&event.json).expect("JSON");
            found.push((event.seq, json.get("o").map_or("gap".to_owned(), Value::to_string)));
            found.len() % 7 != 0
        });
        assert!(next > at, "it goes on");
        at = next;
    }
    found
}

#[test]
fn a_real_log_is_read_from_any_place_and_its_holes_are_told() {
    let dir = Scratch::new("subscriptions");
    const COUNT: u64 = 1_000;
    write_log(&dir, COUNT);
    let log_dir = dir.path().join("log");
    let mut source = LogSource::open(&log_dir).expect("a log");
    source.refresh(None).expect("a log");
    let all = walk(&mut source, 0, &Wanted::default());
    assert_eq!(all.len() as u64, COUNT);
    assert!(all.iter().map(|(_, o)| o.parse::<u64>().expect("no gap")).eq(1..=COUNT));
    for (index, (seq, _)) in all.iter().enumerate().step_by(83) {
        assert_eq!(walk(&mut source, *seq, &Wanted::default()), all[index..]);
    }
    let outgoing = Wanted { directions: vec![Direction::Out], ..Wanted::default() };
    assert_eq!(walk(&mut source, 0, &outgoing).len() as u64, COUNT / 2);
    let elsewhere = Wanted { rooms: vec!["wa:1103:*".into()], ..Wanted::default() };
    assert!(walk(&mut source, 0, &elsewhere).is_empty());
    assert_eq!(source.since(500_000), all[499].0);
    assert_eq!(source.since(0), source.begin().max(source.since(0)));
    source.refresh(Some(all[10].0)).expect("a log");
    assert_eq!(walk(&mut source, 0, &Wanted::default()), all[..10], "only what is durable");
    // Retention takes the oldest file, and a fault one in the middle.
    let mut files: Vec<_> = std::fs::read_dir(&log_dir)
        .expect("listed")
        .map(|file| file.expect("listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    files.sort();
    assert!(files.len() > 4, "{files:?}");
    std::fs::remove_file(&files[0]).expect("removed");
    std::fs::remove_file(&files[2]).expect("removed");
    source.forget_old();
    source.refresh(None).expect("a log");
    let left = walk(&mut source, 0, &Wanted::default());
    assert_eq!(left.iter().filter(|(_, o)| o == "gap").count(), 2);
    assert_eq!(left[0], (0, "gap".to_owned()));
    assert_eq!(left.last(), all.last());
}

#[test]
fn events_have_the_shapes_of_the_protocol() {
    let dir = Scratch::new("subscriptions");
    write_log(&dir, 2);
    let mut source = LogSource::open(&dir.path().join("log")).expect("a log");
    source.refresh(None).expect("a log");
    let mut events = Vec::new();
    source.read(0, u64::MAX, &Wanted::default(), &mut |found| {
        events.push((found.seq, found.json));
        true
    });
    let (seq, json) = &events[0];
    let event: Value = serde_json::from_str(json).expect("JSON");
    let text = format!("1 {}", "x".repeat(1_000));
    let want = serde_json::json!({
        "id": format!("evt_{seq}"), "t": "msg", "room": "wa:1102:5511", "o": 1, "ts": 1,
        "d": {
            "from": "wa:5511", "name": "Ann", "ext": "wamid.1", "dir": "in", "src": "whatsapp",
            "text": text, "content": {"type": "text"},
        },
    });
    assert_eq!(event, want);
}
