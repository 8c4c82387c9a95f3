//! Doors for others: what is posted to a hook stands in its room.

use super::client::Client;
use super::desk::{call, granted, post};
use super::process::{Plan, Server};
use serde_json::{Value, json};

const KEY: &str = "Authorization: Bearer swordfish\r\n";

fn knock(server: &Server, path: &str, lines: &str, body: &str) -> (u16, Value) {
    let response = post(server, "POST", path, lines, body.as_bytes());
    (response.status, serde_json::from_slice(&response.body).expect("JSON"))
}

fn define(server: &Server, name: &str, body: &Value) {
    granted(server, "PUT", &format!("hooks/{name}"), &body.to_string());
}

#[test]
fn what_others_post_stands_in_the_room() {
    let mut server = Plan::new().shards(2).start();
    let mut ann = Client::member(&server, "ann", "ops");
    define(
        &server,
        "ci",
        &json!({"room": "ops", "secret": "swordfish",
        "text": "{{repo}}: {{commits.0.message|nothing}}", "id": "{{build}}",
        "when": {"state": ["failed", "fixed"]}}),
    );
    define(&server, "slack", &json!({"room": "ops", "secret": "swordfish", "user": "alerts"}));
    let build =
        r#"{"repo": "site", "build": 7, "state": "failed", "commits": [{"message": "fix"}]}"#;
    let (status, answer) = knock(&server, "/hook/ci", KEY, build);
    assert_eq!((status, &answer["o"]), (200, &json!(1)), "{answer}");
    let msg = ann.expect("msg");
    assert_eq!((&msg["d"]["from"], &msg["d"]["text"]), (&json!("ci"), &json!("site: fix")));
    assert_eq!(knock(&server, "/hook/ci", KEY, build).1["o"], 1, "told twice, said once");
    let other = build.replace("failed", "running");
    assert_eq!(knock(&server, "/hook/ci", KEY, &other), (200, json!({"ignored": true})));
    // Slack's form, and the secret where senders that know only an address can put it.
    let form = "payload=%7B%22text%22%3A%22%3Chttps%3A%2F%2Fa.example%7Cdisk%3E%20is%20full%22%7D";
    assert_eq!(knock(&server, "/hook/slack/swordfish", "", form).0, 200);
    let msg = ann.expect("msg");
    let want = (&json!("alerts"), &json!("disk (https://a.example) is full"));
    assert_eq!((&msg["d"]["from"], &msg["d"]["text"]), want);
    // Another door on the same name holds at once, and after a start.
    define(&server, "ci", &json!({"room": "ops", "secret": "new-secret", "text": "{{x}}"}));
    server.kill9();
    server.restart();
    let new = "X-Hook-Secret: new-secret\r\n";
    for (path, lines, body, status, reason) in [
        ("/hook/ci", KEY, r#"{"x": 1}"#, 401, "unauthorized"),
        ("/hook/ci", "", r#"{"x": 1}"#, 401, "unauthorized"),
        ("/hook/ci/swordfish", "", r#"{"x": 1}"#, 401, "unauthorized"),
        ("/hook/ci", &format!("{new}{new}"), r#"{"x": 1}"#, 401, "unauthorized"),
        ("/hook/ci", new, "{", 400, "bad_json"),
        ("/hook/ci", new, "{}", 422, "no_text"),
        ("/hook/none", new, r#"{"x": 1}"#, 404, "not_found"),
    ] {
        let (got, answer) = knock(&server, path, lines, body);
        assert_eq!((got, &answer["error"]["reason"]), (status, &json!(reason)), "{path} {body}");
    }
    assert_eq!(knock(&server, "/hook/ci", new, r#"{"x": 1}"#).0, 200);
    let response = post(&server, "GET", "/hook/ci", "", b"");
    assert_eq!((response.status, response.field("allow")), (405, Some("POST")));
    let long = format!(r#"{{"x": "{}"}}"#, "a".repeat(300_000));
    assert_eq!(post(&server, "POST", "/hook/ci", new, long.as_bytes()).status, 413);
    granted(&server, "DELETE", "hooks/ci", "");
    assert_eq!(knock(&server, "/hook/ci", new, r#"{"x": 1}"#).0, 404);
    assert_eq!(call(&server, "GET", "hooks/slack", "").1["definition"]["secret"], "…");
    assert_eq!(server.terminate(), 0);
}
