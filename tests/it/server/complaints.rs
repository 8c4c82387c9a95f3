//! What people complain of in other receivers of the platform's webhooks, as tests: each is named
//! after the number of the complaint that it answers. What signatures are worth and what is not
//! taken at all stands in [`super::webhook`]; number 10 is about what is told to others, and stands
//! in [`super::subscriptions`].

use super::client::Client;
use super::graph::{Graph, Reply};
use super::outgoing::{self, await_status, hear, report, send, sending};
use super::platform::{msgs, post_body};
use super::process::Server;
use super::raw::{Raw, exchange, get};
use super::webhook::{ROOM, fixture, plan, post, request};
use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature::sign;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A body of the number 1102 with these messages, all by one contact.
fn body(messages: Vec<Value>) -> Vec<u8> {
    whole("1102", json!({"contacts": [{"wa_id": "447700900123"}], "messages": messages}))
}

fn whole(number: &str, mut value: Value) -> Vec<u8> {
    value["metadata"] = json!({"phone_number_id": number});
    let entry = json!([{"id": "7", "changes": [{"field": "messages", "value": value}]}]);
    json!({"object": "whatsapp_business_account", "entry": entry}).to_string().into_bytes()
}

fn text(wamid: &str, text: &str) -> Value {
    json!({"from": "447700900123", "id": wamid, "timestamp": "1795000000", "type": "text",
        "text": {"body": text}})
}

/// The texts of a room.
fn texts(server: &Server, room: &str) -> Vec<String> {
    let mut client = Client::member(server, "auditor", room);
    let texts = msgs(&mut client, room);
    texts.iter().map(|msg| msg["d"]["text"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn complaint_1_a_late_status_never_takes_a_newer_one_back() {
    let graph = Graph::start();
    let mut server = sending(&graph).start();
    let mut agent = Client::member(&server, "agent", outgoing::ROOM);
    hear(&server, "wamid.in", "hello");
    let orders = [
        ("wamid.a", ["sent", "delivered", "read"]),
        ("wamid.b", ["sent", "read", "delivered"]),
        ("wamid.c", ["delivered", "sent", "read"]),
        ("wamid.d", ["delivered", "read", "sent"]),
        ("wamid.e", ["read", "sent", "delivered"]),
        ("wamid.f", ["read", "delivered", "sent"]),
    ];
    let mut sent = Vec::new();
    for (wamid, statuses) in orders {
        graph.script(&[Reply::Taken(wamid)]);
        let o = send(&mut agent, wamid, json!({"text": wamid}));
        let asked = graph.message();
        await_status(&mut agent, o, "accepted");
        for status in statuses {
            report(&server, wamid, status, &asked.body);
        }
        sent.push((wamid, o, asked));
    }
    let check = |agent: &mut Client, what: &str| {
        let page = agent.granted("history", outgoing::ROOM, json!({"limit": 300}));
        for (wamid, o, _) in &sent {
            let all = page["msgs"].as_array().expect("a list");
            let msg = all.iter().find(|msg| msg["o"] == *o).expect("it was sent");
            assert_eq!(msg["d"]["status"], "read", "{wamid}, {what}");
        }
    };
    check(&mut agent, "at first");
    server.kill9();
    server.restart();
    let mut agent = Client::member(&server, "agent", outgoing::ROOM);
    check(&mut agent, "after a kill");
    for (wamid, _, asked) in &sent {
        for status in ["sent", "delivered", "failed"] {
            report(&server, wamid, status, &asked.body);
        }
    }
    check(&mut agent, "told again, and after the end");
}

/// Ten customers write so many messages each, all at once and each over a connection of its own.
fn burst(server: &Server, each: usize) {
    std::thread::scope(|scope| {
        for customer in 0..10 {
            scope.spawn(move || {
                let mut raw = Raw::connect(server);
                for n in 0..each {
                    let mut message = text(&format!("wamid.{customer}.{n}"), &format!("{n}"));
                    message["from"] = format!("44770090010{customer}").into();
                    message["timestamp"] = outgoing::now_s().to_string().into();
                    let body = whole("1102", json!({"messages": [message]}));
                    let signature = sign(&body, &Secret::new(b"test_app_secret".as_slice()));
                    raw.write(request(&body, &format!("X-Hub-Signature-256: {signature}\r\n")));
                    assert_eq!(raw.response().status, 200);
                }
            });
        }
    });
}

#[test]
fn complaint_2_what_was_answered_with_200_is_in_the_room_also_in_bursts() {
    let mut server = plan().shards(2).start();
    burst(&server, 20);
    server.kill9();
    server.restart();
    let want: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    for customer in 0..10 {
        let room = format!("wa:1102:44770090010{customer}");
        assert_eq!(texts(&server, &room), want, "in order, and none is missing");
    }
}

#[test]
fn complaint_3_parallel_deliveries_of_an_album_make_each_picture_once() {
    let server = plan().shards(2).start();
    let picture = |n: usize| {
        json!({"from": "447700900123", "id": format!("wamid.{n}"), "timestamp": "1795000000",
            "type": "image", "image": {"id": n.to_string(), "mime_type": "image/jpeg"}})
    };
    let bodies: Vec<_> = (0..10).map(|n| body(vec![picture(n)])).collect();
    std::thread::scope(|scope| {
        // Every picture comes thrice at the same time.
        for (n, body) in bodies.iter().chain(&bodies).chain(&bodies).enumerate() {
            let server = &server;
            scope.spawn(move || assert_eq!(post_body(server, body).status, 200, "{n}"));
        }
    });
    let mut client = Client::member(&server, "auditor", outgoing::ROOM);
    let msgs = msgs(&mut client, outgoing::ROOM);
    let ids: BTreeSet<_> = msgs.iter().map(|msg| msg["d"]["content"]["id"].to_string()).collect();
    assert_eq!((msgs.len(), ids.len()), (10, 10));
    let metrics = get(&server, "/metrics").text().to_owned();
    let counted = "\nringpost_whatsapp_updates_total{field=\"messages\"} 30\n";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn complaint_4_what_is_not_signed_is_refused_and_said_once() {
    let server = plan().start();
    let (body, _) = fixture("01_text.json");
    let refuse = |count: usize| {
        let mut raw = Raw::connect(&server);
        for _ in 0..count {
            raw.write(request(&body, "X-Hub-Signature-256: sha256=00\r\n"));
            let response = raw.response();
            assert_eq!(response.status, 401);
            let known = sign(&body, &Secret::new(b"test_app_secret".as_slice()));
            assert!(!response.text().contains(&known[7..]), "{}", response.text());
        }
    };
    let said = || server.words().matches("without a valid signature").count();
    refuse(30);
    let begin = Instant::now();
    while said() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(5), "{}", server.words());
        std::thread::sleep(Duration::from_millis(50));
    }
    refuse(30);
    std::thread::sleep(Duration::from_millis(1_000));
    assert_eq!(said(), 1, "{}", server.words());
    assert!(get(&server, "/metrics").text().contains("\nringpost_whatsapp_refused_total 60\n"));
    assert!(texts(&server, ROOM).is_empty());
}

#[test]
fn complaint_5_a_body_is_verified_as_it_came_whatever_its_escapes() {
    let server = plan().start();
    let words = "Grüße / <田中> 100 % 😀 @home";
    let raw = body(vec![text("wamid.raw", words)]);
    assert!(!raw.is_ascii());
    let mut escaped = String::new();
    for unit in String::from_utf8(body(vec![text("wamid.escaped", words)])).unwrap().encode_utf16()
    {
        match char::from_u32(unit.into()) {
            Some('/') => escaped.push_str("\\/"),
            Some('<') => escaped.push_str("\\u003C"),
            Some('%') => escaped.push_str("\\u0025"),
            Some('@') => escaped.push_str("\\u0040"),
            Some(plain) if plain.is_ascii() => escaped.push(plain),
            _ => escaped.push_str(&format!("\\u{unit:04x}")),
        }
    }
    assert!(escaped.is_ascii());
    assert_eq!(post_body(&server, &raw).status, 200);
    assert_eq!(post_body(&server, escaped.as_bytes()).status, 200);
    assert_eq!(texts(&server, outgoing::ROOM), [words, words]);
    // A signature of the other form of the same JSON is none.
    let value: Value = serde_json::from_str(&escaped).expect("JSON");
    let signature = sign(value.to_string().as_bytes(), &Secret::new(b"test_app_secret".as_slice()));
    let lines = format!("X-Hub-Signature-256: {signature}\r\n");
    assert_eq!(exchange(&server, request(escaped.as_bytes(), &lines)).status, 401);
}

#[test]
fn complaint_6_every_item_of_a_batch_is_taken() {
    let mut server = plan().shards(2).start();
    let change = |from: usize, count: usize| {
        let message = |n: usize| {
            let mut message = text(&format!("wamid.{n}"), &n.to_string());
            message["from"] = format!("4477009001{:02}", n % 10).into();
            message
        };
        let messages: Vec<_> = (from..from + count).map(message).collect();
        let statuses: Vec<_> = (from..from + 20)
            .map(|n| json!({"id": format!("out.{n}"), "status": "sent", "recipient_id": "2"}))
            .collect();
        let metadata = json!({"phone_number_id": "1102"});
        json!({"field": "messages", "value": {"metadata": metadata, "messages": messages,
            "statuses": statuses}})
    };
    let entry = json!([
        {"id": "7", "changes": [change(0, 300), {"field": "account_alerts", "value": {}}]},
        {"id": "8", "changes": [change(300, 300), change(600, 300)]},
    ]);
    let body = json!({"object": "whatsapp_business_account", "entry": entry}).to_string();
    assert_eq!(post_body(&server, body.as_bytes()).status, 200);
    let check = |server: &Server| {
        for customer in 0..10 {
            let want: Vec<_> = (customer..900).step_by(10).map(|n| n.to_string()).collect();
            assert_eq!(texts(server, &format!("wa:1102:4477009001{customer:02}")), want);
        }
    };
    check(&server);
    server.kill9();
    server.restart();
    assert_eq!(post_body(&server, body.as_bytes()).status, 200);
    check(&server);
    let (code, rows) =
        server.scan(&["tail", "-n", "5000", "--kind", "status", "--format", "jsonl"]);
    assert_eq!((code, rows.lines().count()), (0, 60));
}

#[test]
fn complaint_7_what_only_looks_the_same_is_kept() {
    let server = plan().start();
    // The same words in the same second are two messages, and one id in two numbers as well.
    assert_eq!(post_body(&server, &body(vec![text("w1", "ok"), text("w2", "ok")])).status, 200);
    let elsewhere = whole("1103", json!({"messages": [text("w1", "ok")]}));
    assert_eq!(post_body(&server, &elsewhere).status, 200);
    // A message that quotes another has its own id, and so have bodies that differ in that alone.
    assert_eq!(post_body(&server, &body(vec![text("w3", "ok")])).status, 200);
    assert_eq!(texts(&server, "wa:1102:447700900123"), ["ok", "ok", "ok"]);
    assert_eq!(texts(&server, "wa:1103:447700900123"), ["ok"]);
    let status = |participant: &str, status: &str| {
        json!({"id": "out", "status": status, "recipient_id": "group", "recipient_type": "group",
            "recipient_participant_id": participant})
    };
    let statuses = json!([
        status("4471", "delivered"),
        status("4472", "delivered"),
        status("4471", "read"),
        status("4471", "delivered"),
    ]);
    let body = whole("1102", json!({"statuses": statuses}));
    assert_eq!(post_body(&server, &body).status, 200);
    assert_eq!(post_body(&server, &body).status, 200);
    let (_, rows) = server.scan(&["tail", "-n", "100", "--kind", "status", "--format", "jsonl"]);
    assert_eq!(rows.lines().count(), 3, "{rows}");
}

#[test]
fn complaint_8_statuses_are_no_messages() {
    let server = plan().start();
    let mut agent = Client::member(&server, "agent", outgoing::ROOM);
    let statuses: Vec<_> = ["sent", "delivered", "read", "failed"]
        .iter()
        .map(|name| json!({"id": "out", "status": name, "recipient_id": "447700900123"}))
        .collect();
    assert_eq!(post_body(&server, &whole("1102", json!({"statuses": statuses}))).status, 200);
    assert!(texts(&server, outgoing::ROOM).is_empty());
    let told: Vec<Value> = agent.take_events(Duration::from_millis(300));
    let kinds: BTreeSet<_> = told.iter().filter_map(|event| event["t"].as_str()).collect();
    assert!(kinds.contains("delivery") && !kinds.contains("msg"), "{told:?}");
    let stands = agent.granted("conv", outgoing::ROOM, json!({}));
    assert!(stands["waiting_since"].is_null() && stands["window_until"] == 0, "{stands}");
    assert_eq!(stands["unread"].as_u64().unwrap_or(0), 0, "{stands}");
}

/// The platform takes eighty a second by a number, and up to a thousand when it was asked.
#[test]
fn complaint_9_more_than_eighty_messages_a_second_are_taken_and_sent() {
    let graph = Graph::start();
    let server = sending(&graph).set("whatsapp.numbers", "1102=1000").shards(2).start();
    let begin = Instant::now();
    burst(&server, 100);
    assert!(begin.elapsed() < Duration::from_secs(10), "in: {:?}", begin.elapsed());
    let mut agent = Client::hello(&server, "agent");
    let rooms: Vec<_> = (0..10).map(|one| format!("wa:1102:44770090010{one}")).collect();
    for room in &rooms {
        agent.join(room, json!({}));
        // As many as may go to one contact at once.
        for n in 0..40 {
            let cid = format!("{room} {n}");
            agent.post("send", room, json!({"cid": cid, "text": "on its way"}));
        }
    }
    let begin = Instant::now();
    (0..400).for_each(|_| drop(graph.message()));
    assert!(begin.elapsed() < Duration::from_secs(5), "out: {:?}", begin.elapsed());
}

#[test]
fn complaint_11_until_when_a_contact_may_be_written_to_is_told() {
    let server = plan().start();
    let mut agent = Client::member(&server, "agent", outgoing::ROOM);
    let at_s = outgoing::now_s() - 3_600;
    outgoing::hear_at(&server, "wamid.in", "hello", at_s);
    let stands = agent.granted("conv", outgoing::ROOM, json!({}));
    let until_ms = (at_s + 24 * 3_600) * 1_000;
    assert_eq!(stands["window_until"], until_ms, "{stands}");
    let inbox = agent.granted("inbox", "", json!({}));
    assert!(inbox.to_string().contains(&format!("\"window_until\":{until_ms}")), "{inbox}");
    let path = format!("/api/v1/conversations/{}", outgoing::ROOM);
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let answer = exchange(&server, request);
    let shown: Value = serde_json::from_str(answer.text()).expect("JSON");
    assert_eq!(shown["window_until"], until_ms, "{shown}");
}

#[test]
fn complaint_12_a_contact_with_new_ids_stays_in_its_conversation() {
    let server = plan().shards(2).start();
    assert_eq!(post(&server, "01_text.json").status, 200);
    assert_eq!(post(&server, "34_system_user_changed_number.json").status, 200);
    let value = json!({
        "contacts": [{"wa_id": "447700900999", "user_id": "GB.70011223344556600001",
            "profile": {"name": "Ines Alder"}}],
        "messages": [{"from": "447700900999", "id": "wamid.new", "timestamp": "1795000000",
            "type": "text", "text": {"body": "it is me"}}],
    });
    assert_eq!(post_body(&server, &whole("110220330440550", value)).status, 200);
    assert_eq!(texts(&server, ROOM).last().map(String::as_str), Some("it is me"));
}

#[test]
fn bodies_that_mean_harm_cost_little() {
    let server = plan().start();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let within = |value: &str| {
        format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"changes":[{{"field":"messages",
            "value":{{"metadata":{{"phone_number_id":"1102"}},"messages":[{{"from":"2","id":"w",
            "type":"text","text":{value}}}]}}}}]}}]}}"#
        )
    };
    let begin = Instant::now();
    for (what, body) in [
        ("deep", deep(1_000_000)),
        ("deep within", within(&deep(1_000_000))),
        ("half", "{\"entry\":[".repeat(100_000)),
        ("many", format!(r#"{{"entry":[{}]}}"#, vec!["{}"; 700_000].join(","))),
        ("another object", r#"{"object":"page","entry":[{"id":"1"}]}"#.to_owned()),
    ] {
        // Signed by the platform: kept, and not asked for again.
        assert_eq!(post_body(&server, body.as_bytes()).status, 200, "{what}");
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(texts(&server, "wa:1102:2"), ["[text]"]);
    let (code, rows) = server.scan(&["tail", "-n", "100", "--kind", "raw", "--format", "jsonl"]);
    assert!(code == 0 && rows.lines().count() >= 5);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let server = plan().start();
    let (body, signature) = fixture("01_text.json");
    let whole = request(&body, &format!("X-Hub-Signature-256: {signature}\r\n"));
    let begin = Instant::now();
    let mut raw = Raw::connect(&server);
    raw.write(&whole[..whole.len() - 100]);
    // One byte now and then must not keep it alive.
    for at in whole.len() - 100..whole.len() - 50 {
        std::thread::sleep(Duration::from_millis(640));
        raw.write(&whole[at..=at]);
    }
    let rest = raw.rest();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{rest:?}");
    assert!((29..40).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert!(texts(&server, ROOM).is_empty());
}
