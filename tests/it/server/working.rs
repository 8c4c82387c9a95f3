//! Scripts and modules on a server that runs: they answer, and others do not wait for them.

use super::client::Client;
use super::desk::{call, granted};
use super::process::Server;
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Says "done" when it has counted to three million: some ten million units of fuel.
const LONG: &str = r#"(module (memory (export "memory") 1) (data (i32.const 8) "done")
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i64) (local $n i32)
        (local.set $n (i32.const 3000000))
        (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i64.const 34359738372)))"#;

fn put(server: &Server, name: &str, body: &Value) {
    granted(server, "PUT", &format!("commands/{name}"), &body.to_string());
}

fn ask(client: &mut Client, room: &str, name: &str, number: u32) {
    client.post("cmd", room, json!({"name": name, "text": "", "cid": format!("{number}")}));
}

/// The next thing that a command says to whoever asked.
fn said(client: &mut Client) -> String {
    loop {
        let frame = client.next();
        if frame["t"] == "cmd" {
            let text = |name: &str| frame["d"][name].as_str().unwrap_or_default().to_owned();
            return format!("{}: {}", text("kind"), text("text"));
        }
    }
}

#[test]
fn long_modules_end_and_nobody_waits_for_them() {
    let server = Server::start_default();
    let wasm = BASE64.encode(&wat::parse_str(LONG).expect("a module"));
    let limits = json!({"fuel": 100_000_000, "time_ms": 30_000});
    put(&server, "long", &json!({"wasm": wasm, "reply": "ephemeral", "limits": limits}));
    put(&server, "twice", &json!({"script": "whisper(text + text); ()"}));
    let mut ann = Client::member(&server, "ann", "work");
    let mut bob = Client::member(&server, "bob", "talk");
    for number in 0..4 {
        ask(&mut ann, "work", "long", number);
    }
    let mut slowest = Duration::ZERO;
    for number in 0..15 {
        let since = Instant::now();
        bob.granted("send", "talk", json!({"cid": format!("{number}"), "text": "hello"}));
        slowest = slowest.max(since.elapsed());
    }
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    for _ in 0..4 {
        assert_eq!(said(&mut ann), "ephemeral: done");
    }
    ann.post("send", "work", json!({"cid": "t", "text": "/twice ha"}));
    assert_eq!(said(&mut ann), "ephemeral: haha");
}

#[test]
fn a_mistake_in_a_script_is_told_when_it_is_put() {
    let server = Server::start_default();
    let body = json!({"script": "let a = 1;\nlet b = (2;"}).to_string();
    let (status, wrong) = call(&server, "PUT", "commands/x", &body);
    assert_eq!(status, 400, "{wrong}");
    assert!(wrong.to_string().contains("line 2, column 11: "), "{wrong}");
    let body = json!({"script": "1", "fetch": ["https://127.0.0.1/"]}).to_string();
    let (status, wrong) = call(&server, "PUT", "commands/x", &body);
    assert_eq!(status, 400, "{wrong}");
}
