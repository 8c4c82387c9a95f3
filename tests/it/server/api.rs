//! The HTTP API from end to end.

use super::client::Client;
use super::desk::{call, granted, post};
use super::process::Plan;
use super::webhook;
use serde_json::{Value, json};

/// (method, path below the version, body, status, where in the answer, what stands there)
type Row<'a> = (&'a str, &'a str, &'a str, u16, &'a str, Value);

#[track_caller]
fn check(server: &super::process::Server, rows: &[Row<'_>]) {
    for (method, path, body, status, at, want) in rows {
        let (got, answer) = call(server, method, path, body);
        assert_eq!(got, *status, "{method} {path} {body}: {answer}");
        let found = answer.pointer(at).unwrap_or(&Value::Null);
        assert_eq!(found, want, "{method} {path} {body}: {at} of {answer}");
    }
}

#[test]
fn a_key_opens_it_and_nothing_else_does() {
    let plan = Plan::new().with_tokens(&"s".repeat(32));
    let closed = plan.clone().start();
    let open = plan.env("RINGPOST_API_KEY", "first-key,second-key").start();
    let dev = Plan::new().start();
    let foreign = "Origin: https://evil.example\r\n";
    for (server, lines, status) in [
        (&closed, "", 403),
        (&closed, "Authorization: Bearer first-key\r\n", 403),
        (&open, "", 401),
        (&open, "Authorization: Bearer third-key\r\n", 401),
        (&open, "Authorization: Basic first-key\r\n", 401),
        (&open, "Authorization: Bearer\r\n", 401),
        (&open, "Authorization: Bearer first-key\r\n", 200),
        (&open, "Authorization: bearer second-key\r\n", 200),
        (&dev, "", 200),
        (&dev, foreign, 403),
    ] {
        for path in ["hooks", "conversations"] {
            let response = post(server, "GET", &format!("/api/v1/{path}"), lines, b"");
            assert_eq!(response.status, status, "{path} {lines}: {}", response.text());
        }
        // Every kind of path is behind the same door.
        if status != 200 {
            for path in ["rooms/a/messages", "media/1/2", "subscriptions/a/replay", "none"] {
                let response = post(server, "POST", &format!("/api/v1/{path}"), lines, b"{}");
                assert_eq!(response.status, status, "{path} {lines}: {}", response.text());
            }
        }
    }
    let name = format!("X-Ringpost-User: wa:1\r\n{}", "Authorization: Bearer first-key\r\n");
    assert_eq!(post(&open, "GET", "/api/v1/hooks", &name, b"").status, 400);
}

#[test]
fn messages_are_posted_and_read() {
    let server = Plan::new().shards(2).start();
    let mut ann = Client::member(&server, "ann", "town hall");
    let room = "rooms/town%20hall/messages";
    let once = r#"{"cid": "1", "text": "hello"}"#;
    check(
        &server,
        &[
            ("POST", room, once, 200, "/o", json!(1)),
            ("POST", room, once, 200, "/o", json!(1)),
            ("POST", room, r#"{"text": "no cid"}"#, 200, "/o", json!(2)),
            ("POST", room, r#"{"text": "re", "reply": 1}"#, 200, "/o", json!(3)),
            ("POST", room, "", 400, "/error/code", json!(400)),
            ("POST", room, r#"{"text": ""}"#, 400, "/error/code", json!(400)),
            ("POST", room, r#"{"text": 1}"#, 400, "/error/code", json!(400)),
            ("GET", room, "", 200, "/msgs/0/d/text", json!("hello")),
            ("GET", &format!("{room}?limit=1"), "", 200, "/msgs/0/o", json!(3)),
            ("GET", &format!("{room}?after=1&limit=1"), "", 200, "/msgs/0/o", json!(2)),
            ("GET", &format!("{room}?before=2"), "", 200, "/msgs/0/o", json!(1)),
            (
                "GET",
                &format!("{room}?before=2&after=1"),
                "",
                400,
                "/error/reason",
                json!("bad_query"),
            ),
            ("GET", &format!("{room}?limit=x"), "", 400, "/error/reason", json!("bad_query")),
            ("GET", "rooms/none/messages", "", 404, "/error/code", json!(404)),
            ("GET", "rooms/%zz/messages", "", 400, "/error/reason", json!("bad_path")),
            ("PUT", room, "", 405, "/error/reason", json!("method_not_allowed")),
            ("GET", "rooms", "", 404, "/error/reason", json!("not_found")),
            ("GET", "nothing/at/all/here", "", 404, "/error/reason", json!("not_found")),
        ],
    );
    let msg = ann.expect("msg");
    assert_eq!((&msg["d"]["from"], &msg["d"]["text"]), (&json!("api"), &json!("hello")));
    let path = format!("/api/v1/{room}");
    let by_bob = post(&server, "POST", &path, "X-Ringpost-User: bob\r\n", br#"{"text": "I am"}"#);
    assert_eq!(by_bob.status, 200);
    let newest = granted(&server, "GET", &format!("{room}?limit=1"), "");
    assert_eq!(newest["msgs"][0]["d"]["from"], "bob");
}

#[test]
fn conversations_are_led() {
    let server = webhook::plan().shards(2).start();
    assert_eq!(webhook::post(&server, "01_text.json").status, 200);
    let room = format!("conversations/{}", webhook::ROOM);
    let one = |query: &str| format!("conversations?{query}");
    check(
        &server,
        &[
            ("GET", "conversations", "", 200, "/conversations/0/room", json!(webhook::ROOM)),
            ("GET", &room, "", 200, "/state", json!("open")),
            (
                "PATCH",
                &room,
                r#"{"assign": "ann", "tag": ["vip"]}"#,
                200,
                "/assignee",
                json!("ann"),
            ),
            ("GET", &one("assignee=ann&tag=vip"), "", 200, "/conversations/0/tags/0", json!("vip")),
            ("GET", &one("assignee=bob"), "", 200, "/conversations", json!([])),
            ("PATCH", &room, r#"{"state": "resolved"}"#, 200, "/state", json!("resolved")),
            ("PATCH", &room, r#"{"state": "strange"}"#, 400, "/error/code", json!(400)),
            ("PATCH", &room, "{", 400, "/error/code", json!(400)),
            ("GET", &one("state=open"), "", 200, "/conversations", json!([])),
            ("GET", &one("limit=x"), "", 400, "/error/reason", json!("bad_query")),
            ("GET", "conversations/wa:1:2", "", 404, "/error/code", json!(404)),
            ("DELETE", &room, "", 405, "/error/reason", json!("method_not_allowed")),
        ],
    );
}

#[test]
fn definitions_are_put_checked_and_removed() {
    let mut server = Plan::new().shards(2).start();
    let hook = r#"{"room": "ops", "secret": "swordfish"}"#;
    let wrong = "{\n  \"room\": \"ops\",\n  \"secrte\": \"swordfish\"\n}";
    let private =
        r#"{"url": "http://127.0.0.1:1/", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#;
    check(
        &server,
        &[
            ("GET", "hooks", "", 200, "/definitions", json!([])),
            ("PUT", "hooks/ci?dry_run=1", hook, 200, "/version", json!(1)),
            ("GET", "hooks/ci", "", 404, "/error/status", json!(404)),
            ("PUT", "hooks/ci", hook, 200, "/version", json!(1)),
            ("PUT", "hooks/ci", hook, 200, "/version", json!(2)),
            ("GET", "hooks/ci", "", 200, "/definition/room", json!("ops")),
            ("GET", "hooks", "", 200, "/definitions/0/name", json!("ci")),
            ("PUT", "hooks/ci", wrong, 400, "/error/line", json!(3)),
            ("PUT", "hooks/ci", wrong, 400, "/error/column", json!(3)),
            ("PUT", "hooks/ci", wrong, 400, "/error/path", json!("secrte")),
            ("PUT", "hooks/ci", "{", 400, "/error/reason", json!("bad_definition")),
            ("PUT", "hooks/ci", "", 400, "/error/code", json!(400)),
            ("PUT", "hooks/Ci", hook, 400, "/error/path", json!("name")),
            ("PUT", "hooks/ci?dry_run=1", wrong, 400, "/error/line", json!(3)),
            ("PUT", "subscriptions/crm", private, 400, "/error/path", json!("url")),
            ("PUT", "handlers/away", "{}", 400, "/error/reason", json!("bad_definition")),
            ("PUT", "hooks", hook, 405, "/error/reason", json!("method_not_allowed")),
            ("GET", "strangers", "", 404, "/error/reason", json!("not_found")),
            ("DELETE", "hooks/none", "", 404, "/error/status", json!(404)),
            ("GET", "subscriptions/none/status", "", 404, "/error/reason", json!("not_found")),
            ("GET", "subscriptions/none/dead", "", 404, "/error/reason", json!("not_found")),
            ("POST", "subscriptions/none/replay", "", 404, "/error/reason", json!("not_found")),
            ("POST", "subscriptions/none/replay", "[]", 400, "/error/code", json!(400)),
            ("POST", "subscriptions/none/strange", "", 404, "/error/reason", json!("not_found")),
        ],
    );
    server.kill9();
    server.restart();
    check(
        &server,
        &[
            ("GET", "hooks/ci", "", 200, "/version", json!(2)),
            ("DELETE", "hooks/ci?dry_run=1", "", 200, "/version", json!(3)),
            ("GET", "hooks/ci", "", 200, "/version", json!(2)),
            ("DELETE", "hooks/ci?dry_run=0", "", 200, "/version", json!(3)),
            ("GET", "hooks", "", 200, "/definitions", json!([])),
            ("PUT", "hooks/ci", hook, 200, "/version", json!(4)),
        ],
    );
}
