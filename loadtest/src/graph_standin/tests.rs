//! What the stand-in says, with a clock of the test's; and once over sockets.

use super::check;
use super::command_line::{self, Options};
use super::exchange::{self, Request};
use super::form;
use super::graph::{Graph, Reply};
use super::hooks::escaped;
use ringpost::base::secret::Secret;
use ringpost::whatsapp::{graph_error, send, signature};
use serde_json::{Value, json};
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

fn options(arguments: &[&str]) -> Options {
    let all = ["graph-standin", "--latency", "0"].iter().chain(arguments);
    command_line::parse(all.map(|text| (*text).to_owned())).expect("arguments")
}

fn graph(arguments: &[&str]) -> Graph {
    Graph::new(options(arguments), "http://standin".to_owned())
}

fn request(method: &str, path: &str, body: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        authorization: Some("Bearer x".to_owned()),
        body: body.as_bytes().to_vec(),
        ..Request::default()
    }
}

fn text_to(to: &str) -> String {
    json!({
        "messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": "hi"},
        "biz_opaque_callback_data": "rp:1",
    })
    .to_string()
}

fn post(graph: &mut Graph, body: &str, now_ms: u64) -> Reply {
    graph.answer(&request("POST", "/v25.0/1102/messages", body), now_ms, now_ms as i64)
}

fn code(reply: &Reply) -> Option<u32> {
    graph_error::GraphError::parse(&reply.body).map(|error| error.code)
}

#[test]
fn recipients_with_known_digits() {
    let mut graph = graph(&["--webhook", "http://127.0.0.1:1/"]);
    for (to, status, want) in [
        ("+447700900001", 400, Some(131_047)),
        ("+447700900002", 400, Some(130_429)),
        ("+447700900003", 401, Some(190)),
        ("+447700900004", 500, Some(131_000)),
        ("+447700900005", 400, Some(131_056)),
        ("+447700900123", 200, None),
    ] {
        let reply = post(&mut graph, &text_to(to), 0);
        assert_eq!((reply.status, code(&reply)), (status, want), "{to}");
        assert_eq!(graph_error::accepted(&reply.body).is_some(), want.is_none(), "{to}");
    }
    let failing = post(&mut graph, &text_to("+447700900006"), 0);
    assert_eq!(failing.webhooks[0].item["errors"][0]["code"], 131_026);
    assert_eq!(failing.webhooks[0].item["biz_opaque_callback_data"], "rp:1");
    let lost = post(&mut graph, &text_to("+447700900007"), 0);
    assert!(lost.cut && !lost.webhooks.is_empty());
    let mut anonymous = request("POST", "/v25.0/1102/messages", &text_to("+447700900123"));
    anonymous.authorization = None;
    assert_eq!(graph.answer(&anonymous, 0, 0).status, 401);
}

#[test]
fn limits() {
    let mut limited = graph(&["--rate", "20"]);
    let codes = |graph: &mut Graph, now_ms, count: u32, same: bool| -> Vec<Option<u32>> {
        let to = |n: u32| format!("+4477009{:05}", if same { 99_999 } else { 10_010 + n });
        (0..count).map(|n| code(&post(graph, &text_to(&to(n)), now_ms))).collect()
    };
    let first = codes(&mut limited, 0, 21, false);
    assert!(first[..20].iter().all(Option::is_none) && first[20] == Some(130_429));
    assert_eq!(codes(&mut limited, 50, 2, false), [None, Some(130_429)]);
    let mut fast = graph(&["--rate", "1000"]);
    let pair = codes(&mut fast, 0, 46, true);
    assert!(pair[..45].iter().all(Option::is_none) && pair[45] == Some(131_056));
    assert_eq!(codes(&mut fast, 6_000, 2, true), [None, Some(131_056)]);
    let mut lifted = graph(&["--rate", "0"]);
    assert!(codes(&mut lifted, 0, 500, true).iter().all(Option::is_none));
}

#[test]
fn the_window_opens_when_a_customer_writes() {
    let mut graph = graph(&["--window", "--webhook", "http://127.0.0.1:1/"]);
    let text = text_to("+447700900123");
    assert_eq!(code(&post(&mut graph, &text, 0)), Some(131_047));
    let said = json!({"number": "1102", "from": "447700900123", "text": "hé"}).to_string();
    let reply = graph.answer(&request("POST", "/standin/say", &said), 0, 0);
    assert_eq!(reply.webhooks[0].item["text"]["body"], "hé");
    assert_eq!(code(&post(&mut graph, &text, 0)), None);
    let day_ms = 24 * 3_600_000;
    assert_eq!(code(&post(&mut graph, &text, day_ms)), Some(131_047));
    let template = json!({
        "messaging_product": "whatsapp", "to": "+447700900123", "type": "template",
        "template": {"name": "hello", "language": {"code": "en"}},
    });
    assert_eq!(code(&post(&mut graph, &template.to_string(), day_ms)), None);
}

#[test]
fn files_are_kept() {
    let mut graph = graph(&[]);
    let body = "--b\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\n\
        whatsapp\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\
        Content-Type: image/png\r\n\r\n--\r\n-b\r\n--b--\r\n";
    let mut upload = request("POST", "/v25.0/1102/media", body);
    upload.content_type = "multipart/form-data; boundary=b".to_owned();
    let reply = graph.answer(&upload, 0, 0);
    let answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let id = answer["id"].as_str().expect("an id").to_owned();
    let mut get = |method: &str, path: String| graph.answer(&request(method, &path, ""), 0, 0);
    let info: Value =
        serde_json::from_slice(&get("GET", format!("/v25.0/{id}")).body).expect("JSON");
    assert_eq!((&info["mime_type"], &info["file_size"]), (&json!("image/png"), &json!("6")));
    let path = info["url"].as_str().and_then(|url| url.strip_prefix("http://standin"));
    let path = path.expect("its own address").to_owned();
    assert_eq!(get("GET", path).body, b"--\r\n-b");
    assert_eq!(get("DELETE", format!("/v25.0/{id}")).status, 200);
    assert_eq!(get("GET", format!("/v25.0/{id}")).status, 404);
    for (kind, body) in
        [("", body), ("multipart/form-data; boundary=c", body), (&upload.content_type, "--b")]
    {
        assert!(form::read(kind, body.as_bytes()).is_err(), "{kind}");
    }
}

/// Every kind of message that the server can send passes the stand-in's own reading of the pages.
#[test]
fn what_the_server_renders_is_taken() {
    let written = [
        json!({"type": "text", "text": "hi"}),
        json!({"type": "reaction", "emoji": "👍"}),
        json!({"type": "reaction", "emoji": ""}),
        json!({"type": "image", "id": "1", "caption": "c"}),
        json!({"type": "audio", "link": "https://example.org/a.ogg", "voice": true}),
        json!({"type": "video", "id": "1"}),
        json!({"type": "document", "id": "1", "filename": "a.pdf"}),
        json!({"type": "sticker", "id": "1"}),
        json!({"type": "buttons", "text": "?", "buttons": [{"title": "a"}, {"title": "b"}]}),
        json!({"type": "list", "text": "?", "button": "b",
            "sections": [{"rows": [{"title": "a"}]}]}),
        json!({"type": "link", "text": "?", "title": "t", "url": "https://example.org"}),
        json!({"type": "ask_location", "text": "?"}),
        json!({"type": "location", "latitude": 1, "longitude": 2}),
        json!({"type": "contacts", "contacts": [{"name": "Ada", "phones": ["+441"]}]}),
        json!({"type": "template", "name": "a", "language": "en_US", "values": ["1"]}),
    ];
    let mut names = Vec::new();
    for written in written {
        names.push(written["type"].as_str().expect("a type").to_owned());
        let content = send::Content::from_value(&written).expect("fits");
        let to = send::Recipient::UserId("GB.7".to_owned());
        let message = send::Message { to, content, about: Some("w".to_owned()), callback: None };
        let body: Value = serde_json::from_str(&message.render().expect("fits")).expect("JSON");
        assert_eq!(check::message(&body), Ok("GB.7".to_owned()), "{written}");
    }
    names.dedup();
    assert_eq!(names, send::Content::TYPES);
}

#[test]
fn bodies_that_the_platform_refuses() {
    let check = |body: Value, want: u32| {
        let mut body = body;
        body["messaging_product"] = "whatsapp".into();
        assert_eq!(check::message(&body).map_err(|wrong| wrong.0), Err(want), "{body}");
    };
    check(json!({"to": "1"}), 131_008);
    check(json!({"type": "text", "text": {"body": "x"}}), 131_008);
    check(json!({"to": "1", "type": "text", "text": {"body": ""}}), 131_009);
    check(json!({"to": "1", "type": "poll", "poll": {}}), 131_051);
    check(json!({"to": "1", "type": "image", "image": {}}), 100);
    check(json!({"to": "1", "type": "interactive", "interactive": {"type": "button"}}), 131_008);
    assert_eq!(check::message(&json!({"to": "1"})).map_err(|wrong| wrong.0), Err(100));
}

#[test]
fn json_as_the_platform_writes_it() {
    assert_eq!(escaped("{\"a\":\"é/😀\"}"), "{\"a\":\"\\u00e9\\/\\ud83d\\ude00\"}");
}

#[test]
fn requests() {
    let read = |input: &str| {
        let mut back = Vec::new();
        let request = exchange::read(&mut BufReader::new(input.as_bytes()), &mut back);
        (request.map(|request| request.map(|it| it.body)).ok(), back)
    };
    let head = "POST / HTTP/1.1\r\n";
    assert_eq!(read("").0, Some(None));
    assert_eq!(read(&format!("{head}Content-Length: 2\r\n\r\nhi")).0, Some(Some(b"hi".to_vec())));
    let chunked =
        format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n");
    assert_eq!(read(&chunked).0, Some(Some(b"hi".to_vec())));
    let waits = format!("{head}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(read(&waits).1, b"HTTP/1.1 100 Continue\r\n\r\n");
    for bad in
        ["x", "GET /\r\n\r\n", "GET / HTTP/1.1\r\n", &format!("{head}Content-Length: x\r\n\r\n")]
    {
        assert_eq!(read(bad).0, None, "{bad:?}");
    }
}

/// A receiver that refuses the first body; then the same comes again, signed over its exact bytes.
#[test]
fn statuses_are_posted_until_they_are_taken() {
    let receiver = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let hook = format!("http://{}/webhook/whatsapp", receiver.local_addr().expect("bound"));
    let mut options = options(&["--webhook", &hook, "--secret", "swordfish", "--read", "100"]);
    options.listen = "127.0.0.1:0".to_owned();
    let (address, _acceptor) = super::start(options).expect("a free port");
    let mut stream = TcpStream::connect(address).expect("listening");
    let body = text_to("+447700900123");
    let head = "POST /v25.0/1102/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).expect("written");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut words = Vec::new();
    let mut refused = None;
    let mut connection = BufReader::new(receiver.accept().expect("a webhook").0);
    while words.len() < 3 {
        let Ok(Some(hook)) = exchange::read(&mut connection, Vec::new()) else {
            // The stand-in opens a new connection behind a refusal.
            connection = BufReader::new(receiver.accept().expect("a webhook").0);
            continue;
        };
        assert_eq!(hook.path, "/webhook/whatsapp");
        let status = if refused.is_none() { 503 } else { 200 };
        exchange::write(connection.get_ref(), &hook, status, "text/plain", b"").expect("written");
        match &refused {
            None => refused = Some(hook.body),
            Some(before) => {
                if words.is_empty() {
                    assert_eq!(&hook.body, before);
                }
                let told: Value = serde_json::from_slice(&hook.body).expect("JSON");
                let value = &told["entry"][0]["changes"][0]["value"];
                let statuses = value["statuses"].as_array().expect("statuses").clone();
                words.extend(statuses.iter().map(|it| it["status"].clone()));
            }
        }
    }
    assert_eq!(words, ["sent", "delivered", "read"]);
    let secret = Secret::new(*b"swordfish");
    let body = refused.expect("one was refused");
    let header = signature::sign(&body, &secret);
    assert!(signature::verify(&body, Some(header.as_bytes()), &[secret]).is_ok());
}

#[test]
fn menus_are_taken_as_the_platform_takes_them() {
    let mut graph = graph(&["--webhook", "http://127.0.0.1:1/"]);
    let named = |name: &str, hint: &str| json!({"command_name": name, "command_description": hint});
    let good = json!({"commands": [named("price", "What it costs")]});
    for (body, status) in [
        (good.clone(), 200),
        (json!({"commands": vec![named("a", "b"); 31]}), 400),
        (json!({"commands": [named("/price", "b")]}), 400),
        (json!({"commands": [named(&"a".repeat(33), "b")]}), 400),
        (json!({"commands": [named("a", "")]}), 400),
        (json!({}), 400),
    ] {
        let path = "/v25.0/1102/conversational_automation";
        let reply = graph.answer(&request("POST", path, &body.to_string()), 0, 0);
        assert_eq!(reply.status, status, "{body}");
    }
    let shown = graph.answer(&request("GET", "/standin/menus", ""), 0, 0);
    let shown: Value = serde_json::from_slice(&shown.body).expect("JSON");
    assert_eq!(shown, json!({"1102": good}));
}
