//! Modules: what they can do, and what they cannot.

use crate::commands::Limits;
use crate::commands::module::{Modules, SLICE_FUEL};
use crate::commands::program::{Failed, Input, Reply};
use std::sync::Arc;

/// A module with a page of memory, an `alloc` that always gives the same place, and `body`.
pub fn module(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module (memory (export "memory") 1 {MEMORY_MAX})
            (func (export "alloc") (param i32) (result i32) (i32.const 1024))
            {body})"#
    );
    wat::parse_str(text).expect("a module")
}

const MEMORY_MAX: u32 = 65_536;

/// Says what is at a place in the memory.
fn says(text: &str) -> String {
    let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let len = text.len();
    format!(
        r#"(data (i32.const 8) "{escaped}")
        (func (export "run") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.const 8) (i64.const 32)) (i64.const {len})))"#
    )
}

/// Runs it to the end: what it says or why not, its slices, its fuel.
fn run(bytes: &[u8], limits: Limits, input: &Input) -> (Result<String, Failed>, u32, u64) {
    let key: Arc<str> = "m".into();
    let (mut slices, mut cost) = (0, 0);
    let mut run = match Modules::default().begin((&key, 1), bytes, &limits, input) {
        Ok(run) => run,
        Err(failed) => return (Err(failed), 0, 0),
    };
    loop {
        slices += 1;
        if let Some(ended) = run.slice(&mut cost) {
            return (ended.map(|output| output.text), slices, cost);
        }
    }
}

fn tell(bytes: &[u8]) -> String {
    match run(bytes, Limits::default(), &Input { text: "tea".into(), ..Input::default() }).0 {
        Ok(text) => text,
        Err(Failed::Broken(why)) => format!("broken: {why}"),
        Err(Failed::Spent(why)) => format!("spent: {why}"),
    }
}

#[test]
fn a_module_answers() {
    assert_eq!(tell(&module(&says("hello"))), "hello");
    assert_eq!(tell(&module(&says(r#"{"text": "hello", "keep": {"a": "b"}}"#))), "hello");
    // The text of a call begins behind `{"text":"`.
    let echo = r#"(func (export "run") (param $at i32) (param $len i32) (result i64)
        (i64.or (i64.shl (i64.extend_i32_u (i32.add (local.get $at) (i32.const 9)))
            (i64.const 32)) (i64.const 3)))"#;
    assert_eq!(tell(&module(echo)), "tea");
    let (_, slices, cost) = run(&module(echo), Limits::default(), &Input::default());
    assert_eq!(slices, 1);
    assert!((1..1_000).contains(&cost), "{cost}");
}

#[test]
fn modules_that_do_not_fit_are_named() {
    let raw = |text: &str| wat::parse_str(text).expect("a module");
    let start = format!("(func $f) (start $f) {}", says("x"));
    let grown = raw(&format!(
        r#"(module (memory (export "memory") 2000)
        (func (export "alloc") (param i32) (result i32) (i32.const 0)) {})"#,
        says("x").replace("i32.const 8", "i32.const 9")
    ));
    for (bytes, want) in [
        (
            raw(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#),
            "broken: it imports wasi_snapshot_preview1.fd_write; a module here imports nothing",
        ),
        (raw("(module)"), "broken: it does not export its memory"),
        (raw(r#"(module (memory (export "memory") 1))"#), "broken: it does not export alloc("),
        (module(""), "broken: it does not export run("),
        (
            module(r#"(func (export "run") (param i32) (result i32) (i32.const 0))"#),
            "broken: its export `run` is not (i32, i32) -> i64",
        ),
        (module(&start), "broken: "),
        (grown, "broken: it does not fit limits.memory_kb (16384): "),
        (b"\0asm\x01\0\0\0garbage".to_vec(), "broken: "),
        (b"\0asm".to_vec(), "broken: "),
    ] {
        let got = tell(&bytes);
        assert!(got.starts_with(want), "{got}\n{want}");
    }
}

#[test]
fn modules_that_break_down_end() {
    let main = |body: &str| {
        module(&format!(r#"(func $f (export "run") (param i32 i32) (result i64) {body})"#))
    };
    let place =
        |at: u64, len: u64| main(&format!("(i64.const {})", (at << 32 | len).cast_signed()));
    for (bytes, want) in [
        (main("unreachable"), "broken: wasm `unreachable` instruction executed"),
        (main("(i64.div_s (i64.const 1) (i64.const 0))"), "broken: integer divide by zero"),
        (main("(i64.load (i32.const 70000))"), "broken: out of bounds memory access"),
        (main("(call $f (i32.const 0) (i32.const 0))"), "broken: its calls go too deep"),
        (place(65_536, 1), "broken: its answer of 1 bytes at 65536 is outside its memory"),
        (place(u64::from(u32::MAX), 9), "broken: its answer of 9 bytes at 4294967295 is outside"),
        (place(0, u64::from(u32::MAX)), "broken: it said 4294967295 bytes, of at most 131072"),
        (place(0, 60_000), "broken: it said 60000 bytes, of limits.output_bytes 4096"),
        (place(1_024, 9_999), "broken: its answer is no JSON: trailing characters"),
        (module(&says("x").replace("\"\\78\"", "\"\\ff\"")), "broken: it did not answer in UTF-8"),
        (main("(loop $l (br $l)) (i64.const 0)"), "spent: it used up its fuel of 10000000"),
        (
            main(
                "(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))
                (drop (memory.grow (i32.const 16)))
                (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 999999)) (br $l))
                (i64.const 0)",
            ),
            "spent: it used up its fuel of 10000000",
        ),
        (
            main("(drop (memory.grow (i32.const 200))) (i64.const 0)"),
            "broken: it grows, fills or copies more than 3200000 bytes at once",
        ),
        (
            // Page by page until it is refused, which it is told as -1.
            main(
                "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
                (i64.const 0)",
            ),
            "",
        ),
    ] {
        let got = tell(&bytes);
        assert!(
            if want.is_empty() { got.is_empty() } else { got.starts_with(want) },
            "{got}\n{want}"
        );
    }
    let far = wat::parse_str(format!(
        r#"(module (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const -1)) {})"#,
        says("x")
    ));
    let got = tell(&far.expect("a module"));
    assert!(got.contains("gave 4294967295, outside its memory"), "{got}");
}

#[test]
fn a_long_run_comes_in_slices() {
    // Counts down from 100,000: some instructions for each.
    let long = module(
        r#"(func (export "run") (param i32 i32) (result i64) (local $n i32)
            (local.set $n (i32.const 100000))
            (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if $l (local.get $n)))
            (i64.const 0))"#,
    );
    let (done, slices, cost) = run(&long, Limits::default(), &Input::default());
    assert_eq!(done, Ok(String::new()));
    assert!((cost / SLICE_FUEL..=cost / SLICE_FUEL + 2).contains(&u64::from(slices)), "{slices}");
    assert!(slices >= 3, "{slices} slices of {cost}");
    let limits = Limits { fuel: cost - 1, ..Limits::default() };
    let (done, ..) = run(&long, limits, &Input::default());
    assert!(matches!(done, Err(Failed::Spent(_))), "{done:?}");
    let exact = Limits { fuel: cost + SLICE_FUEL, ..Limits::default() };
    assert_eq!(run(&long, exact, &Input::default()).0, Ok(String::new()));
}

#[test]
fn a_reply_goes_to_its_own_function_if_there_is_one() {
    let reply = Some(Reply::Answer { status: 200, body: "x".into() });
    let input = Input { reply, ..Input::default() };
    let plain = module(&says("run"));
    assert_eq!(run(&plain, Limits::default(), &input).0, Ok("run".to_owned()));
    let both = format!(
        r#"{} (data (i32.const 64) "reply")
        (func (export "on_reply") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.const 64) (i64.const 32)) (i64.const 5)))"#,
        says("run")
    );
    assert_eq!(run(&module(&both), Limits::default(), &input).0, Ok("reply".to_owned()));
    assert_eq!(run(&module(&both), Limits::default(), &Input::default()).0, Ok("run".to_owned()));
}
