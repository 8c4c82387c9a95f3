//! Scripts: what they can do, and what they cannot.

use crate::commands::Limits;
use crate::commands::program::{Failed, Input, Names, Output, Reply, State};
use crate::commands::script::Scripts;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn input() -> Input {
    let args = json!({"city": "Oslo", "days": 3, "sure": true});
    let serde_json::Value::Object(args) = args else { panic!() };
    Input {
        text: "Oslo 3".into(),
        call: "c-1".into(),
        name: "wx".into(),
        words: vec!["Oslo".into(), "3".into()],
        args,
        user: "ann".into(),
        display: "Ann".into(),
        role: "member",
        room: "lobby".into(),
        present: Names(vec!["ann".into(), "bob".into()]),
        present_count: 2,
        now_ms: 1_795_413_900_000,
        random: 5,
        state: State(vec![("n".into(), "41".into())]),
        ..Input::default()
    }
}

fn run_with(source: &str, input: Input, clock: fn() -> u64) -> (Result<Output, Failed>, u64) {
    let key: Arc<str> = "wx".into();
    let (limits, mut cost) = (Limits::default(), 0);
    let done = Scripts::new(clock).run((&key, 1), source, &limits, input, &mut cost);
    (done, cost)
}

/// What a script says: its answer, `| private`, `> progress`, `key=value`.
fn run(source: &str) -> String {
    match run_with(source, input(), || 0).0 {
        Ok(Output { text, privately, progress, keep, fetch, .. }) => {
            let mut all = vec![text];
            all.extend((!privately.is_empty()).then(|| format!("| {privately}")));
            all.extend(progress.iter().map(|text| format!("> {text}")));
            all.extend(
                keep.iter()
                    .map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("nothing"))),
            );
            all.extend(fetch.map(|fetch| format!("GET {}", fetch.url)));
            all.retain(|part| !part.is_empty());
            all.join("; ")
        }
        Err(Failed::Broken(why)) => format!("broken: {why}"),
        Err(Failed::Spent(why)) => format!("spent: {why}"),
    }
}

#[test]
fn scripts_answer_keep_and_ask() {
    let mut wrong = Vec::new();
    for (source, want) in [
        (r#""Hello " + user"#, "Hello ann"),
        ("1 + 1", ""),
        ("`${args.city} for ${args.days + 1} days, ${args.sure}`", "Oslo for 4 days, true"),
        ("reply(words[1]); reply(input.display); ()", "3\nAnn"),
        ("reply(1 + 2.5)", "3.5"),
        ("whisper(`psst ${role}`); `in ${room}`", "in lobby; | psst member"),
        ("progress(1); progress(`2`)", "> 1; > 2"),
        (r#"let n = parse_int(get("n")) + 1; set("n", n); `${get("n")} ${get("m")}`"#, "42 ; n=42"),
        (r#"set("n", ()); type_of(get("n"))"#, "(); n=nothing"),
        ("state.n + present.len() + present_count + number", "4122"),
        ("fn twice(x) { x + x } twice(user)", "annann"),
        ("fn who() { user + input.room } who()", "annlobby"),
        ("[3, 1, 2].filter(|x| x > 1).len().to_string()", "2"),
        ("let user = `me`; user", "me"),
        (r#"if random(1, 6) in 1..=6 { "rolled" } else { "lost" }"#, "rolled"),
        (
            r#"reply("wait"); fetch("https://a.example/"); reply("never")"#,
            "> wait; GET https://a.example/",
        ),
        (
            r#"try { fetch("https://a.example/") } catch { reply("caught") }"#,
            "GET https://a.example/",
        ),
        ("exit(`done`)", "done"),
        ("return `done`;", "done"),
    ] {
        let got = run(source);
        if got != want {
            wrong.push(format!("{source}\n  {got}\n  {want}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mistakes_are_told_with_their_place() {
    let mut wrong = Vec::new();
    for (source, want) in [
        ("let a = 1;\n  b + a", "broken: line 2, column 3: Variable not found: b"),
        ("fn f(x) {\n  x.nope()\n}\nf(1)", "broken: line 2, column 5: Function not found: nope"),
        ("1 / 0", "broken: line 1, column 3: Division by zero"),
        ("throw `no ${user}`", "broken: line 1, column 1: no ann"),
        ("let a = (1;", "broken: line 1, column 11: "),
        ("random(6, 1)", "broken: line 1, column 1: random(low, high) wants low first"),
        (r#"set("call:x", 1)"#, "broken: line 1, column 1: a key cannot begin with call:"),
        ("sleep(10)", "broken: line 1, column 1: a script cannot wait"),
        ("sleep(0.5)", "broken: line 1, column 1: a script cannot wait"),
        (r#"Fn("sleep").call(10)"#, "broken: line 1, column 13: a script cannot wait"),
        (r#"eval("1")"#, "broken: line 1, column 1: "),
        (r#"import "x" as y;"#, "broken: line 1, column "),
        ("timestamp()", "broken: line 1, column 1: Function not found: timestamp"),
        ("let f = Fn(`x`); f.curry(f)", "broken: line 1, column 2"),
        (r#"open("/etc/passwd")"#, "broken: line 1, column 1: Function not found: open"),
    ] {
        let got = run(source);
        if !got.starts_with(want) {
            wrong.push(format!("{source}\n  {got}\n  {want}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_script_takes_more_than_its_budget() {
    let long = format!("`{}`", "x".repeat(5_000));
    let nested = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    let mut wrong = Vec::new();
    for (source, want) in [
        ("loop {}", "spent: line 1, column 6: it used up its 100000 operations"),
        ("while true { let x = 1; }", "spent: line 1, column "),
        ("try { loop {} } catch { reply(`caught`) }", "spent: "),
        ("fn f() { f() } f()", "broken: line 1, column 16: Stack overflow"),
        ("fn f(n) { f(n + 1) + f(n + 1) } f(0)", "broken: "),
        ("let s = `x`; loop { s += s; }", "broken: line 1, column "),
        ("let a = [1]; loop { a += a; }", "broken: line 1, column "),
        ("let a = []; loop { a = [a, a]; }", "broken: line 1, column "),
        ("let m = #{}; for n in 0..99_999 { m[`${n}`] = 1; }", "spent: line 1, column "),
        ("let m = #{}; for n in 0..999 { m = #{a: m, b: m}; }", "broken: "),
        ("let a = []; a.pad(1_000_000_000, 1)", "broken: line 1, column "),
        ("let s = ``; s.pad(1_000_000_000, `x`)", "broken: line 1, column "),
        ("let b = blob(1_000_000_000)", "broken: line 1, column "),
        ("for n in 0..99 { reply(`0123456789`.repeat(9)) }", "broken: "),
        ("for n in 0..99 { progress(n) }", "broken: line 1, column 18: it says how far"),
        ("for n in 0..999 { set(`${n}`, n) }", "broken: line 1, column 19: a command keeps"),
        (&long, "broken: it said 5000 bytes, of limits.output_bytes 4096"),
        (&nested, "broken: line 1, column "),
    ] {
        let got = run(source);
        if !got.starts_with(want) {
            wrong.push(format!("{source}\n  {got}\n  {want}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_script_that_takes_too_long_is_stopped() {
    fn ticking() -> u64 {
        static NOW: AtomicU64 = AtomicU64::new(0);
        NOW.fetch_add(100, Ordering::Relaxed)
    }
    let (done, cost) = run_with("let n = 0; loop { n += 1; }", input(), ticking);
    let want = Failed::Spent("line 1, column 19: it ran for more than 500 µs".to_owned());
    assert_eq!(done.map_err(|failed| failed.why().to_owned()), Err(want.why().to_owned()));
    assert!((16..200).contains(&cost), "{cost}");
    // A machine that stood still for an hour is not the script's fault.
    fn jumping() -> u64 {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let number = NOW.fetch_add(1, Ordering::Relaxed);
        if number > 1 { 3_600_000_000 } else { 0 }
    }
    let (done, _) = run_with("for n in 0..50 { n; } `ok`", input(), jumping);
    assert_eq!(done.map(|output| output.text), Ok("ok".to_owned()));
}

#[test]
fn the_answer_to_a_fetch_begins_another_run() {
    let source = "fetch(`https://a.example/`);\n\
        fn on_reply(status, body) { `${status}: ${body} for ${user}` }";
    for (reply, want) in [
        (Reply::Answer { status: 200, body: "sun".into() }, "200: sun for ann"),
        (Reply::Failed { error: "late".into() }, "0: late for ann"),
    ] {
        let input = Input { reply: Some(reply), ..input() };
        let (done, cost) = run_with(source, input, || 0);
        assert_eq!(done.map(|output| output.text), Ok(want.to_owned()));
        assert!(cost > 0);
    }
    let reply = Some(Reply::Answer { status: 200, body: "sun".into() });
    let (done, _) = run_with("fetch(`https://a.example/`)", Input { reply, ..input() }, || 0);
    let why = done.expect_err("there is no such function");
    assert_eq!(why.why(), "it fetches, but has no fn on_reply(status, body)");
}

#[test]
fn runs_share_nothing_and_new_versions_hold() {
    let mut scripts = Scripts::new(|| 0);
    let key: Arc<str> = "wx".into();
    let mut run = |version: u64, source: &str| {
        let done = scripts.run((&key, version), source, &Limits::default(), input(), &mut 0);
        done.map(|output| output.text).map_err(|failed| failed.why().to_owned())
    };
    assert_eq!(run(1, "let x = `one`; x"), Ok("one".to_owned()));
    assert_eq!(run(1, "never looked at"), Ok("one".to_owned()));
    assert!(run(2, "x").is_err(), "it finds nothing of another run");
    assert_eq!(run(3, "`three`"), Ok("three".to_owned()));
}
