//! One conversation from its first word to its end, with everything that the server is for, and
//! two deaths on the way.

use super::client::Client;
use super::graph::{Graph, Reply};
use super::outgoing::{await_status, now_s, report, sending, webhook};
use super::process::{PATIENCE, Server};
use super::raw::exchange;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ROOM: &str = "wa:1102:447700900123";
/// For how long the window is open still when the customer writes first.
const OPEN_S: u64 = 20;
const DAY_S: u64 = 24 * 3_600;

/// Puts a handler, as an operator would.
fn put(server: &Server, name: &str, definition: &Value) {
    let body = definition.to_string();
    let length = body.len();
    let head = format!(
        "PUT /api/v1/handlers/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    let response = exchange(server, head + &*body);
    assert!((200..300).contains(&response.status), "{response:?}");
}

/// The customer writes, by the platform's clock at `at_s`.
fn customer(server: &Server, wamid: &str, at_s: u64, fields: Value) {
    let mut message = json!({"from": "447700900123", "id": wamid, "timestamp": at_s.to_string()});
    for (name, value) in fields.as_object().expect("fields") {
        message[name] = value.clone();
    }
    let contacts = json!([{"profile": {"name": "Ada"}, "wa_id": "447700900123"}]);
    webhook(server, json!({"contacts": contacts, "messages": [message]}));
}

fn text(body: &str) -> Value {
    json!({"type": "text", "text": {"body": body}})
}

/// Where the newest message with this in a field stands in the room.
fn position(agent: &mut Client, field: &str, value: &str) -> u64 {
    let page = agent.granted("history", ROOM, json!({"limit": 300}));
    let msgs = page["msgs"].as_array().expect("a list");
    let found = msgs.iter().rev().find(|msg| msg["d"][field] == value);
    found.unwrap_or_else(|| panic!("{value} in {page}"))["o"].as_u64().expect("an offset")
}

fn put_handlers(server: &Server) {
    let greet = json!({"when": {"first_contact": true}, "do": [
        {"reply": "Welcome, {{name}}. An agent is on the way."}, {"tag": "new"}]});
    put(server, "greet", &greet);
    let stock = json!({"when": {"command": "bay"}, "do": {"reply": "Bay {{arg.1}} is free."}});
    put(server, "bay", &stock);
}

/// Waits until the window has closed: a text is refused, and says what may be sent.
fn await_closed(agent: &mut Client) {
    let begin = Instant::now();
    let mut number = 0;
    while begin.elapsed() < PATIENCE + Duration::from_secs(OPEN_S) {
        number += 1;
        let d = json!({"cid": format!("late-{number}"), "text": "Still there?"});
        let reply = agent.request("send", ROOM, d);
        if reply["t"] == "err" {
            assert_eq!(reply["d"]["code"], 470, "{reply}");
            assert!(reply["d"]["msg"].as_str().is_some_and(|msg| msg.contains("template")));
            return;
        }
        std::thread::sleep(Duration::from_secs(2));
    }
    panic!("the window stays open");
}

#[test]
fn a_conversation_from_the_first_word_to_the_template_and_the_log_tells_it_all() {
    let graph = Graph::start();
    let mut server = sending(&graph).shards(2).start();
    put_handlers(&server);
    let begin_s = now_s() - DAY_S + OPEN_S;

    // A customer writes; a handler greets.
    graph.script(&[Reply::Taken("wamid.greeting"), Reply::Taken("wamid.buttons")]);
    customer(&server, "wamid.c1", begin_s, text("Is bay 4 free?"));
    let greeting = graph.message();
    assert_eq!(greeting.body["text"]["body"], "Welcome, Ada. An agent is on the way.");
    let mut agent = Client::member(&server, "bob", ROOM);
    let greeted = position(&mut agent, "text", "Welcome, Ada. An agent is on the way.");
    await_status(&mut agent, greeted, "accepted");

    server.kill9();
    server.restart();

    // An agent answers with buttons; the customer taps one.
    let mut agent = Client::member(&server, "bob", ROOM);
    let buttons = json!({"type": "buttons", "text": "Shall I look?",
        "buttons": [{"id": "yes", "title": "Yes, please"}, {"id": "no", "title": "No"}]});
    let asked = agent.granted("send", ROOM, json!({"cid": "b1", "content": buttons}));
    assert_eq!(graph.message().body["interactive"]["type"], "button");
    await_status(&mut agent, asked["o"].as_u64().expect("an offset"), "accepted");
    let tap =
        json!({"type": "button_reply", "button_reply": {"id": "yes", "title": "Yes, please"}});
    let context = json!({"id": "wamid.buttons", "from": "1"});
    let tapped = json!({"type": "interactive", "context": context, "interactive": tap});
    customer(&server, "wamid.c2", begin_s + 1, tapped);
    let tap = position(&mut agent, "text", "Yes, please");

    // A command of the customer is answered, and one of the agent.
    customer(&server, "wamid.c3", begin_s + 2, text("/bay 4"));
    assert_eq!(graph.message().body["text"]["body"], "Bay 4 is free.");
    let done = agent.granted("cmd", ROOM, json!({"name": "assign", "text": "bob"}));
    assert_eq!(done["state"], "done");

    // Statuses arrive out of order.
    for status in ["read", "sent", "delivered"] {
        report(&server, "wamid.greeting", status, &greeting.body);
    }
    await_status(&mut agent, greeted, "read");

    server.kill9();
    server.restart();

    // The window closes; a template opens it again.
    let mut agent = Client::member(&server, "bob", ROOM);
    await_closed(&mut agent);
    let template = json!({"type": "template", "name": "still_there", "language": "en"});
    agent.granted("send", ROOM, json!({"cid": "t1", "content": template}));
    while graph.message().body["type"] != "template" {}
    customer(&server, "wamid.c4", now_s(), text("Yes, still here"));
    agent.granted("send", ROOM, json!({"cid": "b2", "text": "Bay 4 is yours."}));
    assert_eq!(graph.message().body["text"]["body"], "Bay 4 is yours.");
    let last = position(&mut agent, "text", "Bay 4 is yours.");
    await_status(&mut agent, last, "accepted");
    let page = agent.granted("history", ROOM, json!({"around": tap}));
    assert!(page.to_string().contains("Yes, please"), "{page}");

    assert_eq!(server.terminate(), 0);
    audit(&server);
}

/// The log tells the story in its order.
fn audit(server: &Server) {
    let (status, rows) = server.scan(&["audit", ROOM, "--format", "jsonl"]);
    assert_eq!(status, 0, "{rows}");
    let story = [
        "Is bay 4 free?",
        "handler:greet",
        "Welcome, Ada",
        "\"calling\"",
        "wamid.greeting",
        "Shall I look?",
        "wamid.buttons",
        "Yes, please",
        "/bay 4",
        "Bay 4 is free.",
        "assign",
        "read",
        "delivered",
        "still_there",
        "Yes, still here",
        "Bay 4 is yours.",
    ];
    let mut rest = rows.as_str();
    for word in story {
        let word = word.trim_matches('"');
        let at = rest.find(word).unwrap_or_else(|| panic!("{word} is not told behind it: {rest}"));
        rest = &rest[at..];
    }
    for once in ["Is bay 4 free?", "Bay 4 is free."] {
        let count = rows.matches(&format!("\"{once}\"")).count();
        assert_eq!(count, 1, "{once}: {rows}");
    }
}
