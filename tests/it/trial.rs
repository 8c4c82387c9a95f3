//! `ringpost command test`: commands without a server, and with it every example of the documents.

use crate::server::process::Folder;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn ringpost(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost"));
    let Output { status, stdout, stderr } =
        command.args(["command", "test"]).args(args).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

/// What calls say, one after the other: `to whom: what`.
fn said(args: &[&str], calls: &[&str]) -> Vec<String> {
    let mut all = args.to_vec();
    calls.iter().for_each(|line| all.extend(["--call", *line]));
    all.push("--json");
    let (_, out, words) = ringpost(&all);
    assert_eq!(words, "");
    let told = |line: &str| {
        let told: Value = serde_json::from_str(line).expect("JSON");
        let said = told["said"].as_array().expect("a list").iter().map(|one| {
            format!("{}: {}", one["to"].as_str().unwrap(), one["text"].as_str().unwrap())
        });
        let fault = told["fault"].as_str().map(|why| format!("fails: {why}"));
        said.chain(fault).collect::<Vec<_>>().join("; ")
    };
    out.lines().map(told).collect()
}

#[test]
fn the_scripts_of_the_documents_do_what_they_say() {
    let karma = example("commands/karma.rhai");
    let lines = said(&[&karma], &["bob", "bob", "ann", ""]);
    let want = [
        "keeps: bob = 1; everybody: bob has 1 now",
        "keeps: bob = 2; everybody: bob has 2 now",
        "the caller: not for yourself",
        "the caller: bob: 2",
    ];
    assert_eq!(lines, want);
    let ballot = example("commands/ballot.rhai");
    let calls = ["1", "Lunch? | Pizza | Soup", "bob: 1", "cleo: 1", "2", "bob: 2", "dan: 3", ""];
    let lines = said(&[&ballot], &calls);
    let want = [
        "the caller: nobody asks anything; /ballot Lunch? | Pizza | Soup does",
        "keeps: question = Lunch?; keeps: options = Pizza|Soup; \
         everybody: Lunch? Vote with /ballot 1 to 2",
        "keeps: by bob = 1; the caller: your vote: Pizza",
        "keeps: by cleo = 1; the caller: your vote: Pizza",
        "keeps: by ann = 2; the caller: your vote: Soup",
        "keeps: by bob = 2; the caller: your vote: Soup",
        "the caller: vote with a number from 1 to 2",
        "everybody: Lunch?\nPizza: 1\nSoup: 2",
    ];
    assert_eq!(lines, want);
    let dice = example("commands/dice.rhai");
    let lines = said(&[&dice], &["", "20 3", "1"]);
    let numbers = |line: &str| -> Vec<u32> {
        let list = line.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        let list = list.expect("a list").0.split(", ");
        list.map(|number| number.parse().expect("a number")).collect()
    };
    assert!(matches!(numbers(&lines[0])[..], [1..=6]), "{lines:?}");
    assert!(matches!(numbers(&lines[1])[..], [1..=20, 1..=20, 1..=20]), "{lines:?}");
    assert_eq!(lines[2], "the caller: I have dice of 2 to 1000 sides, and 20 of them");
}

/// The module of the documents, compiled where that can be done.
fn module(folder: &Path, source: &str) -> Option<PathBuf> {
    std::fs::create_dir_all(folder).expect("a folder");
    let module = folder.join("shout.wasm");
    if source.ends_with(".wat") {
        let bytes = wat::parse_file(example(source)).expect("a module");
        std::fs::write(&module, bytes).expect("a file");
        return Some(module);
    }
    let output = Command::new("rustc")
        .args(["--edition", "2021", "--crate-type", "cdylib"])
        .args(["--target", "wasm32-unknown-unknown"])
        .args(["-C", "opt-level=s", "-C", "panic=abort", "-C", "strip=symbols", "-o"])
        .args([module.as_os_str(), example(source).as_ref()])
        .output();
    let why = match output {
        Ok(output) if output.status.success() => return Some(module),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(
        why.contains("target may not be installed") || why.contains("can't find crate"),
        "{why}"
    );
    println!("skipped: {source}: the target wasm32-unknown-unknown is not installed");
    None
}

#[test]
fn the_modules_of_the_documents_do_what_they_say() {
    let folder = Folder::new();
    for source in ["modules/shout.rs", "modules/shout.wat"] {
        let Some(module) = module(folder.path(), source) else { continue };
        let module = module.to_str().expect("UTF-8");
        let lines = said(&[module], &["hello \"you\"", "a\\nb", ""]);
        let want = ["everybody: HELLO \"YOU\"!", "everybody: A\\NB!", "everybody: !"];
        assert_eq!(lines, want, "{source}");
    }
}

#[test]
fn the_other_examples_do_what_they_say() {
    let lines = said(&[&example("commands/hi.json")], &["", "bob: x"]);
    assert!(lines[0].starts_with("everybody: Hello ann, it is "), "{lines:?}");
    assert!(lines[1].ends_with("You are number 2 today."), "{lines:?}");
    let lines = said(&[&example("commands/weather.json")], &["Oslo 3", "Oslo many"]);
    let post = "would be posted to: http://127.0.0.1:8099/weather; with: X-Slack-";
    assert!(lines[0].starts_with(post) && lines[0].contains("text=Oslo+3&"), "{lines:?}");
    assert!(lines[1].starts_with("fails: `days` is a whole number from 1 to 14"), "{lines:?}");
    let lines = said(&[&example("programs/disk")], &["/tmp", "/disk /tmp"]);
    assert!(lines.iter().all(|line| line.ends_with(" are used")), "{lines:?}");
}

#[test]
fn a_trial_says_what_a_server_would() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let fetch = file("wx.json", r#"{"fetch": ["https://wx.example/"]}"#);
    let asks =
        file("wx.rhai", "fetch(`https://wx.example/` + text); fn on_reply(s, b) { `${s}: ${b}` }");
    let (asks, fetch): (&str, &str) = (&asks, &fetch);
    let bad = file("bad.rhai", "let a = 1;\nlet b = (2;");
    let spin = file("spin.rhai", "loop { }");
    let bidi = file("bidi.rhai", "whisper(\"a\\u202eb\"); ``");
    for (args, status, out, words) in [
        (
            &["--template", "$usr"][..],
            1,
            "",
            "error: line 1, column 13: `template`: $usr is not known",
        ),
        (&[&bad], 1, "", "error: line 1, column 11: `script`: line 2, column 11: "),
        (&["none.rhai"], 2, "", "error: cannot read none.rhai"),
        (&["none"], 2, "", "error: "),
        (&["--template", "x", "--about", "Says x"], 0, "/it — Says x\n", ""),
        (
            &["--template", "$user: $*", "-c", "bob: a b"],
            0,
            "bob: /it a b\n  everybody: bob: a b\n",
            "",
        ),
        (&["--alias", "/hi $*", "-c", "a"], 0, "ann: /it a\n  goes on as: /hi a\n", ""),
        (&[&spin, "-c", ""], 1, "ann: /spin\n  it fails: line 1, column 6: it ", ""),
        (&[&bidi, "-c", ""], 0, "ann: /bidi\n  the caller: a\\u{202e}b\n", ""),
        (
            &[asks, fetch, "-c", "a", "--reply", "200 sun"],
            0,
            "ann: /wx a\n  fetches: https://wx.example/a\n  everybody: 200: sun\n",
            "",
        ),
        (
            &[asks, fetch, "-c", "a"],
            1,
            "ann: /wx a\n  fetches: https://wx.example/a\n  it fails: it would wait",
            "",
        ),
        (&[asks, "-c", "a"], 1, "ann: /wx a\n  it fails: cannot fetch https://wx.example/a", ""),
    ] {
        let (got, said, complaint) = ringpost(args);
        assert_eq!(got, status, "{args:?}: {said}{complaint}");
        assert!(said.starts_with(out), "{args:?}: {said}");
        assert!(complaint.starts_with(words), "{args:?}: {complaint}");
    }
}
