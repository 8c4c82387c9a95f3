//! Handlers in a running server: put while it runs, they greet, ask, call and stop.

use super::client::Client;
use super::graph::Graph;
use super::outgoing::{ROOM, hear, hear_at, sending, webhook};
use super::platform::post_body;
use super::process::{PATIENCE, Plan, Server};
use super::raw::{Response, exchange, get};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The key of the example `order-status`, and what it stands for.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const KEY: [u8; 24] = [
    0x31, 0xf2, 0x90, 0xf6, 0xbf, 0x06, 0x29, 0x8a, 0xab, 0x4f, 0x08, 0xd4, 0x3c, 0x3f, 0x08, 0x2c,
    0xf6, 0x48, 0xa3, 0x62, 0xda, 0x2d, 0xa4, 0xb0,
];

/// A request of the API.
fn api(server: &Server, method: &str, path: &str, body: &str) -> Response {
    let length = body.len();
    let head = format!("{method} /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    exchange(server, format!("{head}Content-Length: {length}\r\n\r\n{body}"))
}

#[track_caller]
fn put(server: &Server, name: &str, definition: &Value) {
    let answer = api(server, "PUT", &format!("handlers/{name}"), &definition.to_string());
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
}

/// An example of the documents.
fn example(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/handlers");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect("an example");
    serde_json::from_str(&text).expect("JSON")
}

/// The customer taps a button.
fn tap(server: &Server, wamid: &str, id: &str, title: &str) {
    let message = json!({
        "from": "447700900123",
        "id": wamid,
        "timestamp": super::outgoing::now_s().to_string(),
        "type": "interactive",
        "interactive": {"type": "button_reply", "button_reply": {"id": id, "title": title}},
    });
    webhook(server, json!({"messages": [message]}));
}

/// The text of the next message to the customer.
fn said(graph: &Graph) -> String {
    let body = graph.message().body;
    let text = body["text"]["body"].as_str().or(body["interactive"]["body"]["text"].as_str());
    text.unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// Messages of the room: who wrote, and what.
fn lines(server: &Server, room: &str) -> Vec<String> {
    let mut client = Client::member(server, "reader", room);
    let page = client.granted("history", room, json!({"limit": 300}));
    let msgs = page["msgs"].as_array().expect("a list").iter();
    let line = |msg: &Value| {
        let d = &msg["d"];
        format!("{}: {}", d["from"].as_str().unwrap_or("?"), d["text"].as_str().unwrap_or("?"))
    };
    msgs.map(line).collect()
}

/// Waits until the room has a line that ends so.
#[track_caller]
fn await_line(server: &Server, room: &str, end: &str) -> Vec<String> {
    let begin = Instant::now();
    loop {
        let lines = lines(server, room);
        if lines.iter().any(|line| line.ends_with(end)) {
            return lines;
        }
        assert!(begin.elapsed() < PATIENCE, "{lines:#?} lacks {end:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn conversation(server: &Server) -> Value {
    let answer = api(server, "GET", &format!("conversations/{ROOM}"), "");
    serde_json::from_str(answer.text()).expect("JSON")
}

#[test]
fn a_first_contact_is_greeted_once() {
    let graph = Graph::start();
    let server = sending(&graph).shards(2).start();
    put(&server, "greeting", &example("greeting"));
    hear(&server, "wamid.1", "Hello");
    let greeting = said(&graph);
    assert!(greeting.starts_with("Welcome, "), "{greeting}");
    hear(&server, "wamid.2", "Are you there?");
    // The same again, as the platform delivers what it is not sure of.
    hear(&server, "wamid.1", "Hello");
    assert!(graph.is_left_alone(), "it is no first contact any more");
    assert_eq!(conversation(&server)["tags"], json!(["new"]));
    let mut agent = Client::member(&server, "agent", ROOM);
    let page = agent.granted("history", ROOM, json!({}));
    let msgs = page["msgs"].as_array().expect("a list");
    let msg = msgs.iter().find(|msg| msg["d"]["text"] == greeting.as_str()).expect("it is there");
    assert_eq!((&msg["d"]["src"], &msg["d"]["dir"]), (&json!("handler"), &json!("out")));
}

/// Whichever shard each copy comes to.
#[test]
fn news_of_the_platform_are_told_once_however_often_they_come() {
    let server = super::webhook::plan().unlimited().shards(2).start();
    let tell = json!({
        "when": {"event": "platform", "type": "account_update"},
        "do": {"post": "Meta says {{text}}", "to": "ops"},
    });
    put(&server, "tell", &tell);
    let body = |event: &str| {
        let changes = json!([{"field": "account_update", "value": {"event": event}}]);
        let entry = json!([{"id": "1", "time": 1_795_000_000, "changes": changes}]);
        json!({"object": "whatsapp_business_account", "entry": entry}).to_string()
    };
    for event in ["ban", "ban", "ban", "ban", "unban", "ban", "unban"] {
        assert_eq!(post_body(&server, body(event).as_bytes()).status, 200);
    }
    let told = await_line(&server, "ops", r#""event":"unban"}}"#);
    assert_eq!(told.len(), 2, "{told:#?}");
}

#[test]
fn a_menu_and_what_is_tapped_in_it() {
    let graph = Graph::start();
    let server = sending(&graph).start();
    for name in ["menu", "menu-hours", "menu-agent"] {
        put(&server, name, &example(name));
    }
    hear(&server, "wamid.1", "The menu, please");
    let menu = graph.message().body;
    assert_eq!(menu["interactive"]["type"], "button", "{menu}");
    let buttons = menu["interactive"]["action"]["buttons"].as_array().expect("a list").len();
    assert_eq!(
        (buttons, &menu["interactive"]["action"]["buttons"][0]["reply"]["id"]),
        (3, &json!("menu/hours"))
    );
    tap(&server, "wamid.2", "menu/hours", "Opening hours");
    assert!(said(&graph).starts_with("Monday to Friday"));
    tap(&server, "wamid.3", "menu/agent", "Talk to a person");
    assert_eq!(said(&graph), "Somebody will be with you soon.");
    await_line(&server, ROOM, "wants to talk to a person.");
    assert_eq!(conversation(&server)["tags"], json!(["wants-person"]));
    assert!(graph.is_left_alone(), "a note stays here");
}

#[test]
fn questions_wait_through_a_kill() {
    let graph = Graph::start();
    let mut server = sending(&graph).start();
    put(&server, "order-number", &example("order-number"));
    hear(&server, "wamid.1", "Where is my parcel?");
    assert!(said(&graph).starts_with("What is your order number"));
    server.kill9();
    server.restart();
    hear(&server, "wamid.2", "the blue one");
    assert!(said(&graph).starts_with("That is no order number."));
    hear(&server, "wamid.3", "123456");
    assert_eq!(said(&graph), "Order 123456: what is wrong?");
    server.terminate();
    server.restart();
    tap(&server, "wamid.4", "late", "It is late");
    assert_eq!(said(&graph), "Thank you. We are looking into it.");
    await_line(&server, ROOM, "handler:order-number: Order 123456: late");
    assert_eq!(conversation(&server)["tags"], json!(["order", "order-late"]));
    // The question is over: the next number is a message like any other.
    hear(&server, "wamid.5", "654321");
    assert!(graph.is_left_alone());
}

#[test]
fn who_waits_too_long_is_noticed() {
    let graph = Graph::start();
    let server = sending(&graph).start();
    let overdue = json!({
        "when": {"unanswered_min": 15},
        "do": [{"tag": "overdue"}, {"note": "{{unanswered_min}} minutes"},
               {"post": "{{room}} waits", "to": "team"}],
    });
    put(&server, "overdue", &overdue);
    let almost_s = super::outgoing::now_s() - 15 * 60 + 3;
    hear_at(&server, "wamid.1", "Hello?", almost_s);
    assert_eq!(lines(&server, ROOM), ["wa:447700900123: Hello?"]);
    await_line(&server, ROOM, "handler:overdue: 15 minutes");
    await_line(&server, "team", &format!("handler:overdue: {ROOM} waits"));
    assert_eq!(conversation(&server)["tags"], json!(["overdue"]));
    assert!(graph.is_left_alone(), "the contact hears nothing of it");
}

/// A stand-in for somebody's own system: what it is asked, and what it answers.
struct Shop {
    address: SocketAddr,
    asked: mpsc::Receiver<(String, Vec<u8>)>,
}

impl Shop {
    fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (sender, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let request = take_request(stream, answer);
                let _ = request.map(|request| sender.send(request));
            }
        });
        Self { address, asked }
    }
}

fn take_request(mut stream: TcpStream, answer: &str) -> Option<(String, Vec<u8>)> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let mut more = [0; 4_096];
        let count = stream.read(&mut more).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&more[..count]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length: usize = header(&head, "content-length").parse().ok()?;
    while bytes.len() < end + length {
        let mut more = [0; 4_096];
        let count = stream.read(&mut more).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&more[..count]);
    }
    stream.write_all(answer.as_bytes()).ok()?;
    Some((head, bytes[end..].to_vec()))
}

fn header(head: &str, name: &str) -> String {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map_or(String::new(), |(_, value)| value.to_owned())
}

/// The specification's Base64, written here so that nothing of the server checks itself.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - three.len()));
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) & 63;
            let is_there = digit <= three.len();
            text.push(if is_there { char::from(DIGITS[index as usize]) } else { '=' });
        }
    }
    text
}

fn calling(graph: &Graph) -> Plan {
    sending(graph).set("egress.networks", "127.0.0.0/8")
}

fn status_handler(address: &str) -> Value {
    let mut definition = example("order-status");
    definition["do"][1]["call"] = format!("http://{address}/api/order-status").into();
    assert_eq!(definition["do"][1]["secret"], SECRET);
    definition
}

#[test]
fn a_call_is_signed_and_its_answer_said() {
    let graph = Graph::start();
    let server = calling(&graph).start();
    let body = r#"{"state": "on its way", "text": "Tomorrow."}"#;
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
    let shop = Shop::start(answer.leak());
    put(&server, "order-status", &status_handler(&shop.address.to_string()));
    hear(&server, "wamid.1", "status 123456");
    let (head, body) = shop.asked.recv_timeout(PATIENCE).expect("a call");
    assert!(head.starts_with("POST /api/order-status HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "content-type"), "application/json");
    let value: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(value, json!({"order": "123456", "contact": "447700900123"}));
    let (id, at) = (header(&head, "webhook-id"), header(&head, "webhook-timestamp"));
    let at_s: u64 = at.parse().expect("seconds");
    assert!(super::outgoing::now_s().abs_diff(at_s) < 60, "{at}");
    let mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("any length");
    let mac = mac.chain_update(format!("{id}.{at}.")).chain_update(&body).finalize();
    let wanted = format!("v1,{}", base64(&mac.into_bytes()));
    assert_eq!(header(&head, "webhook-signature"), wanted);
    assert_eq!(said(&graph), "Order 123456 is on its way. Tomorrow.");
}

#[test]
fn a_call_that_fails_is_counted_and_goes_on() {
    let graph = Graph::start();
    let server = calling(&graph).start();
    let shop = Shop::start("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    put(&server, "order-status", &status_handler(&shop.address.to_string()));
    hear(&server, "wamid.1", "status 123456");
    assert!(said(&graph).starts_with("I cannot look that up"));
    await_line(&server, ROOM, "The shop did not answer: 503 ");
    // Nobody may point it at the machine's own network unasked.
    let closed = sending(&graph).start();
    put(&closed, "order-status", &status_handler(&shop.address.to_string()));
    hear(&closed, "wamid.1", "status 123456");
    let lines = await_line(&closed, ROOM, "");
    assert!(lines.len() <= 3, "{lines:?}");
    assert!(said(&graph).starts_with("I cannot look that up"));
}

/// The receiver of the documents takes what the server signs.
#[test]
fn the_receiver_of_the_documents_answers() {
    let receiver = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/call_receiver.py");
    let mut command = Command::new("python3");
    command.arg(receiver).args(["0", SECRET]).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: there is no python3");
        return;
    };
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("readable");
    let port = line.trim_end().strip_prefix("listening on ").expect("its port").to_owned();
    let graph = Graph::start();
    let server = calling(&graph).start();
    put(&server, "order-status", &status_handler(&format!("127.0.0.1:{port}")));
    hear(&server, "wamid.1", "status 123456");
    let answer = said(&graph);
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(answer, "Order 123456 is on its way. It comes tomorrow.");
}

#[test]
fn handlers_that_answer_each_other_stop() {
    let server = Server::start_default();
    let echo = |hears: &str, says: &str| {
        json!({
            "when": {"room": "play", "text": {"equals": hears}, "from": ["person", "handler"]},
            "do": {"reply": says},
        })
    };
    put(&server, "ping", &echo("ping", "pong"));
    put(&server, "pong", &echo("pong", "ping"));
    let mut alice = Client::member(&server, "alice", "play");
    alice.send("play", "1", "ping");
    std::thread::sleep(Duration::from_millis(500));
    let lines = lines(&server, "play");
    assert_eq!(
        lines,
        [
            "alice: ping",
            "handler:ping: pong",
            "handler:pong: ping",
            "handler:ping: pong",
            "handler:pong: ping",
            "handler:ping: pong",
        ]
    );
    // And the server still answers.
    alice.send("play", "2", "bye");
}

#[test]
fn definitions_change_while_it_runs() {
    let mut server = Plan::new().shards(2).start();
    let reply = |text: &str| json!({"when": {"text": {"equals": "hi"}}, "do": {"reply": text}});
    let mut alice = Client::member(&server, "alice", "lobby");
    let mut answer = |cid: &str| {
        alice.send("lobby", cid, "hi");
        let events = alice.take_events(Duration::from_millis(300));
        let texts = events.iter().filter(|event| event["d"]["src"] == "handler");
        texts.map(|event| event["d"]["text"].as_str().unwrap_or("?").to_owned()).collect::<Vec<_>>()
    };
    assert!(answer("1").is_empty());
    put(&server, "hi", &reply("one"));
    assert_eq!(answer("2"), ["one"]);
    put(&server, "hi", &reply("two"));
    assert_eq!(answer("3"), ["two"]);
    let wrong = "{\"when\": {},\n\"do\": {\"replay\": \"x\"}}";
    for (path, body, status) in [
        ("handlers/hi?dry_run=1", reply("three").to_string(), 200),
        ("handlers/hi", wrong.to_owned(), 400),
        ("handlers/hi?dry_run=1", wrong.to_owned(), 400),
        ("handlers/Hi", reply("x").to_string(), 400),
    ] {
        let response = api(&server, "PUT", path, &body);
        assert_eq!(response.status, status, "{path}: {}", response.text());
        if body == wrong {
            let value: Value = serde_json::from_str(response.text()).expect("JSON");
            let error = &value["error"];
            assert!(
                error["hint"].as_str().is_some_and(|hint| hint.contains("\"reply\"?")),
                "{error}"
            );
            assert_eq!((&error["line"], &error["column"]), (&json!(2), &json!(8)), "{error}");
        }
    }
    assert_eq!(answer("4"), ["two"], "nothing of that holds");
    assert_eq!(api(&server, "DELETE", "handlers/hi", "").status, 200);
    assert!(answer("5").is_empty());
    assert_eq!(api(&server, "DELETE", "handlers/hi", "").status, 404);
    put(&server, "hi", &reply("four"));
    server.kill9();
    server.restart();
    let mut bob = Client::member(&server, "bob", "other");
    bob.send("other", "1", "hi");
    await_line(&server, "other", "handler:hi: four");
}

#[test]
fn what_they_did_is_counted() {
    let server = Plan::new().shards(2).start();
    let limits = json!({"times": 2, "per_s": 60});
    put(&server, "hi", &json!({"when": {}, "do": {"reply": "hello"}, "limits": limits}));
    put(&server, "bye", &json!({"when": {"text": {"equals": "bye"}}, "do": {"state": "resolved"}}));
    let mut alice = Client::member(&server, "alice", "lobby");
    for (cid, text) in [("1", "a"), ("2", "b"), ("3", "bye")] {
        alice.send("lobby", cid, text);
    }
    let begin = Instant::now();
    let counts = |name: &str| -> Value {
        let answer = api(&server, "GET", &format!("handlers/{name}/counts"), "");
        serde_json::from_str(answer.text()).expect("JSON")
    };
    let (hi, bye) = loop {
        let (hi, bye) = (counts("hi"), counts("bye"));
        if hi["limited"] == 1 && bye["failed"] == 1 {
            break (hi, bye);
        }
        assert!(begin.elapsed() < PATIENCE, "{hi} {bye}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((&hi["matched"], &hi["fired"]), (&json!(3), &json!(2)));
    let why = bye["last_error"].as_str().expect("a reason");
    assert!(why.contains("lobby"), "{why}");
    assert_eq!(api(&server, "GET", "handlers/none/counts", "").status, 404);
    let metrics = get(&server, "/metrics").text().to_owned();
    for line in [
        "ringpost_handler_fired_total{handler=\"hi\"} 2",
        "ringpost_handler_limited_total{handler=\"hi\"} 1",
        "ringpost_handler_failed_total{handler=\"bye\"} 1",
    ] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line} in\n{metrics}");
    }
}
