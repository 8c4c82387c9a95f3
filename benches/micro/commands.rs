//! Calls of commands: the back-ends by themselves, and whole calls through a hub, beside which
//! "say the same" is what the message alone costs.

use ringpost::base::clock::Now;
use ringpost::base::ids::{ConnId, EpochId, ShardId};
use ringpost::chat::api::ApiRequest;
use ringpost::chat::event::{Effect, Event};
use ringpost::chat::hub::{Hub, HubOptions};
use ringpost::commands::program::Input;
use ringpost::commands::{Engines, Entry, Step};
use ringpost::registry::{Definition, Kind};
use serde_json::json;
use std::time::Instant;

/// A call with JSON of ninety bytes.
pub const ECHO: &str = concat!(
    r#"/echo ["alice","general",1795000000000,"a text as people write it, "#,
    r#"in capitals, after that.",""]"#,
);

/// Gives the text of its call in capitals: what stands behind `{"text":"`, without its escapes.
const MODULE: &str = r#"(module (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "run") (param $at i32) (param $len i32) (result i64)
        (local $out i32) (local $c i32)
        (local.set $at (i32.add (local.get $at) (i32.const 9)))
        (local.set $out (i32.const 32768))
        (block $end (loop $next
            (local.set $c (i32.load8_u (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $end (i32.eq (local.get $c) (i32.const 34)))
            (if (i32.eq (local.get $c) (i32.const 92)) (then
                (local.set $c (i32.load8_u (local.get $at)))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))))
            (if (i32.lt_u (i32.sub (local.get $c) (i32.const 97)) (i32.const 26)) (then
                (local.set $c (i32.sub (local.get $c) (i32.const 32)))))
            (i32.store8 (local.get $out) (local.get $c))
            (local.set $out (i32.add (local.get $out) (i32.const 1)))
            (br $next)))
        (i64.or (i64.const 140737488355328)
            (i64.extend_i32_u (i32.sub (local.get $out) (i32.const 32768))))))"#;

/// The manifest of a script that gives the text of its call in capitals.
pub fn script() -> String {
    json!({"script": "text.to_upper()"}).to_string()
}

/// The manifest of a module that does the same.
pub fn module() -> String {
    let bytes = wat::parse_str(MODULE).expect("a module");
    json!({"wasm": data_encoding::BASE64.encode(&bytes)}).to_string()
}

fn stopwatch_us() -> u64 {
    static ORIGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    ORIGIN.elapsed().as_micros() as u64
}

/// The back-end of a command by itself: from what it is told to what it says.
pub fn engine(body: &str) -> Box<dyn FnMut() -> u64> {
    let (kind, name, version) = (Kind::Command, "echo".into(), 1);
    let definition = Definition { kind, name, version, by: "".into(), ts_us: 0, body: body.into() };
    let entry = Entry::read(&definition).expect("a good manifest");
    let mut engines = Engines::new(stopwatch_us);
    let input = Input {
        text: ECHO["/echo ".len()..].into(),
        call: "c-1-0-1".into(),
        name: "echo".into(),
        user: "alice".into(),
        display: "alice".into(),
        role: "owner",
        room: "general".into(),
        now_ms: 1_795_000_000_000,
        random: 7,
        ..Input::default()
    };
    Box::new(move || match engines.begin(&entry, input.clone(), &mut 0) {
        Step::Ended(Ok(output)) => output.text.len() as u64,
        other => panic!("{other:?}"),
    })
}

/// What a member types goes through a hub that knows `count` commands, to the message that all see
/// and its `ok`; of a command, its record too.
pub fn typed(count: usize, text: &str, body: &str) -> Box<dyn FnMut() -> u64> {
    let now = Now { wall_us: 1_795_000_000_000_000, mono_us: 1_000_000 };
    let options = HubOptions { clock: || 0, ..HubOptions::unlimited(ShardId(0), 1) };
    let mut hub = Hub::new(options, now);
    hub.begin_epoch(EpochId(1));
    let (mut effects, mut appends) = (Vec::new(), 0);
    let mut tell = move |event: Event<'_>| {
        hub.grant(1 << 20);
        hub.handle(now, event, &mut effects);
        appends += effects.iter().filter(|it| matches!(it, Effect::Append(_))).count() as u64;
        let shown = effects.drain(..).filter(|it| matches!(it, Effect::Publish { .. })).count();
        (shown as u64, appends)
    };
    let other = r#"{"template": "x"}"#;
    let others = (1..count).map(|n| (format!("other{n}"), other));
    for (name, body) in others.chain([("echo".to_owned(), body)]) {
        let (kind, name, body) = (Kind::Command, name.into(), body.into());
        let request = ApiRequest::Define { kind, name, body, dry_run: false };
        let conn = ConnId { index: 9, generation: 1 };
        let (_, appends) = tell(Event::Api { conn, user: "boss".into(), request });
        tell(Event::Durable { appends });
    }
    let conn = ConnId { index: 0, generation: 1 };
    tell(Event::Opened { conn });
    let hello = r#"{"t":"hello","id":1,"d":{"user":"alice","rooms":{"general":{}}}}"#;
    let (_, appends) = tell(Event::Text { conn, text: hello });
    tell(Event::Durable { appends });
    let frame = |number: usize| {
        let d = json!({"cid": format!("c{number:08}"), "text": text});
        json!({"t": "send", "id": number, "room": "general", "d": d}).to_string()
    };
    // More than a room remembers, so that none is a repetition.
    let frames: Vec<String> = (0..8_192).map(frame).collect();
    let mut turn = 0;
    Box::new(move || {
        turn = (turn + 1) % frames.len();
        let (shown, appends) = tell(Event::Text { conn, text: &frames[turn] });
        shown + tell(Event::Durable { appends }).0
    })
}
