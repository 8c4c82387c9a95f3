//! Messages to WhatsApp: from a client's words to the call, and through crashes.

use super::client::Client;
use super::graph::{Graph, Reply};
use super::process::{PATIENCE, Plan, Server};
use super::raw::{exchange, get};
use super::webhook::{plan, request};
use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature::sign;
use serde_json::{Value, json};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The room of the customer.
pub const ROOM: &str = "wa:1102:447700900123";

/// A server that sends by way of this one.
pub fn sending(graph: &Graph) -> Plan {
    let plan = plan().env("RINGPOST_WHATSAPP_TOKEN", "token-of-tests").unlimited();
    plan.set("whatsapp.numbers", "1102").set("whatsapp.base_url", &graph.url())
}

/// The platform says this of its number 1102.
pub fn webhook(server: &Server, value: Value) {
    let mut value = value;
    value["messaging_product"] = "whatsapp".into();
    value["metadata"] = json!({"display_phone_number": "15550001102", "phone_number_id": "1102"});
    let body = json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
    });
    let body = body.to_string().into_bytes();
    let signature = sign(&body, &Secret::new(b"test_app_secret".as_slice()));
    let lines = format!("X-Hub-Signature-256: {signature}\r\n");
    assert_eq!(exchange(server, request(&body, &lines)).status, 200);
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// The customer writes now.
pub fn hear(server: &Server, wamid: &str, text: &str) {
    hear_at(server, wamid, text, now_s());
}

/// The customer wrote then, seconds since 1970.
pub fn hear_at(server: &Server, wamid: &str, text: &str, at_s: u64) {
    let message = json!({
        "from": "447700900123",
        "id": wamid,
        "timestamp": at_s.to_string(),
        "type": "text",
        "text": {"body": text},
    });
    webhook(server, json!({"messages": [message]}));
}

/// The platform reports on a message that was asked for with `body`.
pub fn report(server: &Server, wamid: &str, status: &str, body: &Value) {
    let status = json!({
        "id": wamid,
        "status": status,
        "timestamp": "1795000000",
        "recipient_id": "447700900123",
        "biz_opaque_callback_data": body["biz_opaque_callback_data"],
    });
    webhook(server, json!({"statuses": [status]}));
}

/// The status of the message at `o`, as soon as it is `want`.
#[track_caller]
pub fn await_status(client: &mut Client, o: u64, want: &str) -> Value {
    let begin = Instant::now();
    loop {
        let page = client.granted("history", ROOM, json!({"around": o}));
        let msgs = page["msgs"].as_array().expect("a list");
        let msg = msgs.iter().find(|msg| msg["o"] == o).expect("it is there");
        if msg["d"]["status"] == want {
            return msg["d"].clone();
        }
        assert!(begin.elapsed() < PATIENCE, "{msg} is not {want}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Sends, and gives the position.
pub fn send(client: &mut Client, cid: &str, d: Value) -> u64 {
    let mut d = d;
    d["cid"] = cid.into();
    client.granted("send", ROOM, d)["o"].as_u64().expect("an offset")
}

#[test]
fn an_answer_reaches_the_customer_and_its_reports_the_room() {
    let graph = Graph::start();
    let server = sending(&graph).shards(2).start();
    let mut agent = Client::member(&server, "agent", ROOM);
    assert_eq!(agent.refused("send", ROOM, json!({"cid": "0", "text": "too early"})), 470);
    hear(&server, "wamid.in", "Is bay 4 free?");
    agent.expect("msg");
    graph.script(&[Reply::Taken("wamid.out")]);
    let buttons =
        json!({"type": "buttons", "text": "It is. Shall I?", "buttons": [{"title": "Yes"}]});
    let o = send(&mut agent, "1", json!({"content": buttons, "reply": 1}));
    let asked = graph.message();
    assert_eq!(asked.path, "/v25.0/1102/messages");
    assert_eq!(asked.token, "Bearer token-of-tests");
    assert_eq!(asked.body["to"], "+447700900123");
    assert_eq!(asked.body["context"]["message_id"], "wamid.in");
    assert_eq!(asked.body["interactive"]["body"]["text"], "It is. Shall I?");
    let shown = await_status(&mut agent, o, "accepted");
    assert_eq!((&shown["ext"], &shown["dir"]), (&json!("wamid.out"), &json!("out")));
    assert_eq!(shown["content"]["buttons"][0]["title"], "Yes");
    for status in ["read", "delivered", "sent", "read"] {
        report(&server, "wamid.out", status, &asked.body);
    }
    await_status(&mut agent, o, "read");
    let statuses: Vec<_> = std::iter::from_fn(|| {
        let event = agent.expect("delivery");
        let status = event["d"]["status"].as_str()?.to_owned();
        (status != "read").then_some(status)
    })
    .collect();
    assert_eq!(statuses, ["accepted"], "no step goes back");
    send(&mut agent, "2", json!({"text": "he is in a hurry", "note": true}));
    assert!(graph.is_left_alone(), "a note stays here");
    let metrics = get(&server, "/metrics").text().to_owned();
    assert!(metrics.contains("\nringpost_outbox_accepted_total 1\n"), "{metrics}");
}

#[test]
fn a_kill_sends_nothing_twice_and_forgets_nothing() {
    let graph = Graph::start();
    let mut server = sending(&graph).start();
    let mut agent = Client::member(&server, "agent", ROOM);
    hear(&server, "wamid.in", "hello");
    graph.script(&[Reply::Taken("wamid.1"), Reply::Silence]);
    let first = send(&mut agent, "1", json!({"text": "one"}));
    let second = send(&mut agent, "2", json!({"text": "two"}));
    let third = send(&mut agent, "3", json!({"text": "three"}));
    assert_eq!(graph.message().body["text"]["body"], "one");
    let asked = graph.message();
    assert_eq!(asked.body["text"]["body"], "two");
    server.kill9();
    server.restart();
    assert_eq!(graph.message().body["text"]["body"], "three", "and not what was called before");
    let mut agent = Client::member(&server, "agent", ROOM);
    await_status(&mut agent, first, "accepted");
    await_status(&mut agent, second, "unknown");
    await_status(&mut agent, third, "accepted");
    // A report of the platform settles it, also after another start.
    server.kill9();
    server.restart();
    assert!(graph.is_left_alone());
    report(&server, "wamid.2", "delivered", &asked.body);
    let mut agent = Client::member(&server, "agent", ROOM);
    await_status(&mut agent, second, "delivered");
    let page = agent.granted("history", ROOM, json!({}));
    let words: Vec<_> = page["msgs"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|msg| msg["d"]["src"] == "system")
        .map(|msg| (msg["d"]["reply"].as_u64(), msg["d"]["text"].as_str().unwrap_or("")))
        .collect();
    let [(Some(of), words)] = words[..] else { panic!("{words:?}") };
    assert!(of == second && words.contains("not sent again"), "{of} {words}");
}

#[test]
fn an_orderly_stop_leaves_what_waits_for_the_next_start() {
    let graph = Graph::start();
    let mut server = sending(&graph).start();
    let mut agent = Client::member(&server, "agent", ROOM);
    hear(&server, "wamid.in", "hello");
    // A token that expired stops the number: everything waits.
    graph.script(&[Reply::Error(190)]);
    send(&mut agent, "1", json!({"text": "one"}));
    send(&mut agent, "2", json!({"text": "two"}));
    graph.message();
    let begin = Instant::now();
    while !get(&server, "/healthz").text().contains("1102 sends nothing") {
        assert!(begin.elapsed() < PATIENCE, "{}", get(&server, "/healthz").text());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(server.terminate(), 0);
    server.restart();
    // The refused call had been written down: that it failed was known, so it goes again.
    let sent = [graph.message(), graph.message()].map(|sent| sent.body["text"]["body"].clone());
    assert_eq!(sent, ["one", "two"]);
}

#[test]
fn a_connection_that_breaks_is_told_as_it_is() {
    let graph = Graph::start();
    let server = sending(&graph).start();
    let mut agent = Client::member(&server, "agent", ROOM);
    hear(&server, "wamid.in", "hello");
    graph.script(&[Reply::Break, Reply::Error(131_026)]);
    let first = send(&mut agent, "1", json!({"text": "one"}));
    await_status(&mut agent, first, "unknown");
    let second = send(&mut agent, "2", json!({"text": "two"}));
    let shown = await_status(&mut agent, second, "failed");
    assert_eq!(shown["error"], 131_026);
    let (status, rows) = server.scan(&["audit", ROOM, "--format", "jsonl"]);
    assert_eq!(status, 0);
    for word in ["calling", "unknown", "failed"] {
        assert!(rows.contains(word), "{word}: {rows}");
    }
}
