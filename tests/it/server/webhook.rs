//! WhatsApp webhooks into a room, once.

use super::client::Client;
use super::process::{Folder, Plan, Server};
use super::raw::{Raw, Response, exchange, get};
use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature::sign;
use serde_json::json;
use std::path::PathBuf;

const APP_SECRET: &str = "test_app_secret";
/// The room of the conversation in `01_text.json`.
pub const ROOM: &str = "wa:110220330440550:GB.70011223344556677889";

/// A server that takes webhooks of [`fixture`]s.
pub fn plan() -> Plan {
    let plan = Plan::new().env("RINGPOST_WHATSAPP_APP_SECRET", APP_SECRET);
    plan.env("RINGPOST_WHATSAPP_VERIFY_TOKEN", "verify me")
}

/// The body of a fixture and the signature that its table names.
pub fn fixture(name: &str) -> (Vec<u8>, String) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/whatsapp");
    let body = std::fs::read(folder.join(name)).expect("a fixture");
    let table = std::fs::read_to_string(folder.join("signatures.tsv")).expect("the table");
    let row = table.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
    (body, row.expect("a row per fixture").to_owned())
}

/// The names of all fixtures, in order.
pub fn fixture_names() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/whatsapp");
    let table = std::fs::read_to_string(folder.join("signatures.tsv")).expect("the table");
    table.lines().filter_map(|line| Some(line.split_once('\t')?.0.to_owned())).collect()
}

/// A request that posts `body` with these header lines.
pub fn request(body: &[u8], lines: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /webhook/whatsapp HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{lines}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Posts a fixture as the platform would.
pub fn post(server: &Server, name: &str) -> Response {
    let (body, signature) = fixture(name);
    exchange(server, request(&body, &format!("X-Hub-Signature-256: {signature}\r\n")))
}

/// The texts in the conversation's room.
fn texts(server: &Server) -> Vec<String> {
    let mut client = Client::member(server, "agent", ROOM);
    let page = client.granted("history", ROOM, json!({"limit": 300}));
    let msgs = page["msgs"].as_array().expect("a list").iter();
    msgs.map(|msg| msg["d"]["text"].as_str().unwrap_or("").to_owned()).collect()
}

#[test]
fn a_message_appears_in_its_room_once_however_often_it_is_delivered() {
    let mut server = plan().start();
    let mut agent = Client::member(&server, "agent", ROOM);
    assert_eq!(post(&server, "01_text.json").status, 200);
    let msg = agent.expect("msg");
    assert_eq!(msg["room"], ROOM);
    assert_eq!(msg["o"], 1);
    assert_eq!(msg["d"]["from"], "wa:GB.70011223344556677889");
    assert_eq!((&msg["d"]["name"], &msg["d"]["src"]), (&json!("Ines Alder"), &json!("whatsapp")));
    assert_eq!(msg["d"]["text"], "Is bay 4 free at noon?");
    assert_eq!(msg["d"]["ext"], "wamid.SEJnTVRFWDAwMDAwMDAxRkFLRQ==");
    for name in ["01_text.json", "74_duplicate_delivery_of_01.json", "01_text.json"] {
        assert_eq!(post(&server, name).status, 200, "{name}");
    }
    server.kill9();
    server.restart();
    assert_eq!(post(&server, "01_text.json").status, 200);
    assert_eq!(texts(&server), ["Is bay 4 free at noon?"]);
    assert_eq!(server.terminate(), 0);
    server.restart();
    assert_eq!(post(&server, "74_duplicate_delivery_of_01.json").status, 200);
    assert_eq!(texts(&server), ["Is bay 4 free at noon?"]);
}

#[test]
fn only_what_the_app_secret_signed_is_taken() {
    let server = plan().start();
    let (body, good) = fixture("01_text.json");
    let header = |value: &str| format!("X-Hub-Signature-256: {value}\r\n");
    let wrong = format!("sha256={}", "0".repeat(64));
    let upper = good.to_ascii_uppercase();
    for (lines, status) in [
        (String::new(), 401),
        (header(&wrong), 401),
        (header(&good[..70]), 401),
        (header("sha256="), 401),
        (header(good.trim_start_matches("sha256=")), 401),
        (header(&upper), 401),
        (header(&good) + &*header(&good), 401),
        (header(&wrong) + &*header(&good), 401),
        (format!("X-Hub-Signature: {good}\r\n"), 401),
    ] {
        let response = exchange(&server, request(&body, &lines));
        assert_eq!(response.status, status, "{lines}");
        assert!(response.text().contains("bad_signature"), "{}", response.text());
    }
    let mut changed = body.clone();
    changed.push(b' ');
    assert_eq!(exchange(&server, request(&changed, &header(&good))).status, 401);
    assert!(texts(&server).is_empty());
    assert_eq!(exchange(&server, request(&body, &header(&good))).status, 200);
    assert_eq!(texts(&server).len(), 1);
}

/// (secrets of the server, which of three may sign): the new one is added, and then the old one
/// taken away, while Meta changes from one to the other.
#[test]
fn while_secrets_are_changed_both_may_sign() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    let (body, _) = fixture("01_text.json");
    for (secrets, signers) in [
        ("old", &["old"][..]),
        ("old, new", &["old", "new"]),
        ("new, old", &["old", "new"]),
        ("new", &["new"]),
    ] {
        let plan = Plan::new().env("RINGPOST_WHATSAPP_APP_SECRET", secrets).data(&data);
        let mut server = plan.start();
        for signer in ["old", "new", "old, new"] {
            let signature = sign(&body, &Secret::new(signer.as_bytes()));
            let lines = format!("X-Hub-Signature-256: {signature}\r\n");
            let status = exchange(&server, request(&body, &lines)).status;
            let want = if signers.contains(&signer) { 200 } else { 401 };
            assert_eq!(status, want, "{signer} signs for {secrets}");
        }
        assert_eq!(texts(&server).len(), 1, "{secrets}: it is the same message");
        assert_eq!(server.terminate(), 0);
    }
}

#[test]
fn a_server_without_an_app_secret_takes_nothing() {
    let server = Server::start_default();
    assert_eq!(post(&server, "01_text.json").status, 401);
    let query = "hub.mode=subscribe&hub.verify_token=&hub.challenge=1";
    assert_eq!(get(&server, &format!("/webhook/whatsapp?{query}")).status, 403);
}

#[test]
fn every_kind_of_body_is_answered_200_and_kept() {
    let server = plan().start();
    let mut raw = Raw::connect(&server);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/whatsapp");
    let table = std::fs::read_to_string(folder.join("signatures.tsv")).expect("the table");
    // All on one connection, as the platform does.
    for line in table.lines() {
        let (name, signature) = line.split_once('\t').expect("two columns");
        let body = std::fs::read(folder.join(name)).expect("a fixture");
        raw.write(request(&body, &format!("X-Hub-Signature-256: {signature}\r\n")));
        let response = raw.response();
        assert_eq!(response.status, 200, "{name}: {}", response.text());
    }
    let secret = Secret::new(APP_SECRET.as_bytes());
    for body in ["not JSON", "{}", "[]", "null", ""] {
        let signature = sign(body.as_bytes(), &secret);
        raw.write(request(body.as_bytes(), &format!("X-Hub-Signature-256: {signature}\r\n")));
        assert_eq!(raw.response().status, 200, "{body:?}");
    }
    let (code, rows) = server.scan(&["tail", "-n", "1000", "--kind", "raw", "--format", "jsonl"]);
    assert_eq!(code, 0);
    assert_eq!(rows.lines().count(), table.lines().count() + 5, "each body is in the log");
}

#[test]
fn the_verification_of_the_url_wants_our_token() {
    let server = plan().start();
    for (query, status, text) in [
        ("hub.mode=subscribe&hub.verify_token=verify%20me&hub.challenge=115", 200, "115"),
        ("hub.challenge=a%26b&hub.verify_token=verify+me&hub.mode=subscribe", 200, "a&b"),
        ("hub.mode=subscribe&hub.verify_token=verify&hub.challenge=115", 403, ""),
        ("hub.mode=subscribe&hub.verify_token=&hub.challenge=115", 403, ""),
        ("hub.mode=subscribe&hub.challenge=115", 403, ""),
        ("hub.mode=unsubscribe&hub.verify_token=verify%20me&hub.challenge=115", 403, ""),
        ("hub.verify_token=verify%20me&hub.challenge=115", 403, ""),
        ("hub.mode=subscribe&hub.verify_token=verify%20me", 403, ""),
        ("", 403, ""),
    ] {
        let response = get(&server, &format!("/webhook/whatsapp?{query}"));
        assert_eq!(response.status, status, "{query}");
        if status == 200 {
            assert_eq!(response.text(), text, "{query}");
            assert!(response.field("content-type").is_some_and(|t| t.starts_with("text/plain")));
        }
    }
}

#[test]
fn a_body_beyond_the_platforms_own_bound_is_refused() {
    let server = plan().start();
    let head = "POST /webhook/whatsapp HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n";
    assert_eq!(exchange(&server, head).status, 413);
}
