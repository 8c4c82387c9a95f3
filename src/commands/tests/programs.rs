//! What every program is told and may say.

use crate::commands::program::{Failed, Fetch, Input, Names, Output, Reply, State, guarded};
use crate::commands::{Entry, Shown};
use data_encoding::BASE64;
use serde_json::json;

#[test]
fn a_program_is_told_all_of_its_call() {
    let input = Input {
        text: "Oslo \"3\"".into(),
        user: "ann".into(),
        role: "member",
        present: Names(vec!["ann".into(), "bob".into()]),
        state: State(vec![("a".into(), "1".into()), ("b c".into(), "2".into())]),
        reply: Some(Reply::Answer { status: 200, body: "hi".into() }),
        ..Input::default()
    };
    let json = serde_json::to_string(&input).expect("JSON");
    assert!(json.starts_with(r#"{"text":"Oslo \"3\"","call":"","name":"","words":[],"args":{},"#));
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["state"], json!({"a": "1", "b c": "2"}));
    assert_eq!(value["present"], json!(["ann", "bob"]));
    assert_eq!(value["reply"], json!({"status": 200, "body": "hi"}));
    assert!(value["number"].is_null());
    assert_eq!(input.state.get("b c"), Some("2"));
    assert_eq!(input.state.get("b"), None);
    let failed = Reply::Failed { error: "nobody there".into() };
    assert_eq!(json!(failed), json!({"error": "nobody there"}));
}

#[test]
fn a_program_says_words_or_a_message() {
    let (own, all) = (Some(Shown::Ephemeral), Some(Shown::InChannel));
    for (said, text, shown) in [
        ("", "", None),
        ("  plain words \n", "plain words", None),
        ("[1]", "[1]", None),
        (r#"{"text": "a", "response_type": "ephemeral"}"#, "a", own),
        (r#"{"text": "a", "response_type": "in_channel", "progress": [], "x": 1}"#, "a", all),
    ] {
        let output = Output::read(said.as_bytes(), 100).expect(said);
        assert_eq!((&*output.text, output.shown), (text, shown), "{said}");
    }
    let whole = r#"{"progress": ["half"], "text": "wait", "keep": {"a": "1", "b": null},
        "fetch": {"url": "https://a.example/x", "body": {"q": 1}, "headers": {"x-k": "v"}}}"#;
    let output = Output::read(whole.as_bytes(), 100).expect("good");
    assert_eq!(output.progress, ["half", "wait"], "what it says before it fetches is no answer");
    assert_eq!(output.keep, [("a".into(), Some("1".into())), ("b".into(), None)]);
    let fetch = output.fetch.expect("a fetch");
    assert_eq!(fetch.body.as_deref(), Some(r#"{"q":1}"#));
    assert_eq!(fetch.mime(), "application/json");
    assert_eq!(fetch.headers, [("x-k".into(), "v".into())]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let many = format!("{{\"progress\": [{}]}}", ["\"x\""; 17].join(","));
    let (huge, long) = ("x".repeat(200 << 10), "x".repeat(101));
    let key = json!({"keep": {"k".repeat(101): "x"}}).to_string();
    let value = json!({"keep": {"k": "x".repeat(5_000)}}).to_string();
    for (said, want) in [
        (&b"\xff\xfe"[..], "it did not answer in UTF-8: byte 0 is none"),
        (b"ok \xc3", "it did not answer in UTF-8: byte 3 is none"),
        (huge.as_bytes(), "it said 204800 bytes, of at most 131072"),
        (long.as_bytes(), "it said 101 bytes, of limits.output_bytes 100"),
        (b"{", "its answer is no JSON: EOF while parsing an object"),
        (br#"{"text": 1}"#, "`text` wants a text"),
        (br#"{"response_type": []}"#, "`response_type` wants a text"),
        (br#"{"progress": {}}"#, "`progress` wants texts"),
        (br#"{"progress": [1]}"#, "`progress` wants texts"),
        (many.as_bytes(), "it says how far it is more than 16 times"),
        (br#"{"keep": []}"#, "`keep` wants an object"),
        (br#"{"keep": {"a": 1}}"#, "`keep.a` wants a text or null"),
        (br#"{"keep": {"": "1"}}"#, "a key has 1 to 100 bytes"),
        (br#"{"keep": {"call:1": "1"}}"#, "a key cannot begin with call:"),
        (key.as_bytes(), "a key has 1 to 100 bytes"),
        (value.as_bytes(), "a value has at most 4096 bytes"),
        (br#"{"fetch": "https://a.example"}"#, "`fetch` wants an object"),
        (br#"{"fetch": {}}"#, "`fetch.url` wants an address"),
        (br#"{"fetch": {"url": "x", "headers": [1]}}"#, "`fetch.headers` wants an object"),
    ] {
        let why = Output::read(said, 100).expect_err(want);
        assert!(why.starts_with(want), "{why}\n{want}");
    }
}

#[test]
fn a_program_fetches_only_what_its_manifest_names() {
    let body =
        json!({"template": "x", "fetch": ["https://api.example/v1/", "http://10.0.0.1:80/"]});
    let entry = super::entry("x", &body.to_string()).expect("good");
    for (url, allowed) in [
        ("https://api.example/v1/now?q=../a", true),
        ("http://10.0.0.1:80/", true),
        ("https://api.example/v2/now", false),
        ("https://api.example.evil.example/v1/", false),
        ("https://api.example/v1/../v2", false),
        ("https://api.example/v1/%2E%2e/v2", false),
        ("https://api.example/v1/..%2fv2", false),
        ("https://api.example/v1/..\\v2", false),
        ("https://api.example/v1/a b", false),
        ("file:///etc/passwd", false),
        ("", false),
    ] {
        let fetch = Fetch { url: url.into(), body: None, headers: Vec::new() };
        assert_eq!(fetch.check(&entry.manifest).is_ok(), allowed, "{url}");
    }
    for (name, value, allowed) in [
        ("authorization", "Bearer x", true),
        ("Host", "internal", false),
        ("content-length", "1", false),
        ("x\r\ny", "1", false),
        ("x", "1\r\ny: 2", false),
    ] {
        let headers = vec![(name.into(), value.into())];
        let fetch = Fetch { url: "https://api.example/v1/".into(), body: None, headers };
        assert_eq!(fetch.check(&entry.manifest).is_ok(), allowed, "{name}");
    }
    for begin in ["https://api.example", "api.example/", "https:///x", "https://a@b/", "ftp://a/"] {
        let body = json!({"template": "x", "fetch": [begin]}).to_string();
        let fault = super::entry("x", &body).expect_err(begin).to_string();
        assert!(fault.contains("wants the beginning of an address"), "{fault}");
    }
}

#[test]
fn a_panic_ends_one_program_only() {
    let failed: Result<(), Failed> = guarded(|| panic!("as it happens"));
    assert!(matches!(failed, Err(Failed::Broken(_))));
    assert!(!crate::commands::program::is_guarded());
}

#[test]
fn code_is_looked_at_when_it_is_put() {
    let check = |field: &str, code: &str| {
        let body = json!({"help": "x", field: code}).to_string();
        Entry::draft("x", &body).map(drop).map_err(|fault| fault.to_string())
    };
    let no_module = BASE64.encode(b"\0asm\x01\0\0\0");
    for (field, code, is_built, want) in [
        ("script", "reply(text);", true, ""),
        ("script", "let a = 1;\nlet b = (2;", cfg!(feature = "script"), "line 2, column 11: "),
        ("wasm", &no_module, cfg!(feature = "wasm"), "it does not export its memory"),
    ] {
        let found = check(field, code).err().unwrap_or_default();
        let place =
            format!("line 1, column {}: `{field}`: ", if field == "wasm" { 20 } else { 22 });
        let want = if want.is_empty() || !is_built { want.to_owned() } else { place + want };
        assert!(found.starts_with(&want) && found.is_empty() == want.is_empty(), "{code}: {found}");
    }
}
