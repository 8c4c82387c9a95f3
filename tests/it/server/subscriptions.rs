//! Event webhooks out: the real server, and a receiver that fails as told.

use super::client::Client;
use super::desk::{call, granted};
use super::process::{PATIENCE, Plan, Server};
use crossbeam_channel::{Receiver, Sender, unbounded};
use ringpost::chat::event::Role;
use ringpost::registry::sign::{SigningKey, is_signed};
use ringpost::subscriptions::ROLES;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ROOM: &str = "general";

/// A receiver on this machine: says what it is told to, and keeps what it took.
struct Shop {
    url: String,
    taken: Receiver<Value>,
    /// Statuses of the next answers; 200 when there is none.
    script: Arc<Mutex<Vec<u16>>>,
}

impl Shop {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/events", listener.local_addr().expect("bound"));
        let (sender, taken) = unbounded();
        let script: Arc<Mutex<Vec<u16>>> = Arc::default();
        let statuses = Arc::clone(&script);
        // Ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, statuses) = (sender.clone(), Arc::clone(&statuses));
                std::thread::spawn(move || serve(stream, &sender, &statuses));
            }
        });
        Self { url, taken, script }
    }

    fn answers(&self, statuses: &[u16]) {
        *self.script.lock().expect("whole") = statuses.iter().rev().copied().collect();
    }

    /// Takes events until `done`; gives them by id in the order in which each came first.
    fn collect(&self, mine: &mut Vec<Value>, done: impl Fn(&[Value]) -> bool) {
        let begin = Instant::now();
        while !done(mine) {
            assert!(begin.elapsed() < PATIENCE, "{} events came", mine.len());
            let Ok(body) = self.taken.recv_timeout(Duration::from_millis(50)) else { continue };
            for event in body["events"].as_array().expect("a list") {
                if mine.iter().all(|known| known["id"] != event["id"]) {
                    mine.push(event.clone());
                }
            }
        }
    }
}

/// Believes what is signed, and answers by the script.
fn serve(mut stream: TcpStream, taken: &Sender<Value>, script: &Mutex<Vec<u16>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let key = SigningKey::parse(KEY).expect("a key");
    loop {
        let mut headers = BTreeMap::new();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            if let Some((name, value)) = line.split_once(": ") {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        let mut body = vec![0; headers["content-length"].parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let at_s: i64 = headers["webhook-timestamp"].parse().expect("seconds");
        let age_s = now_s() - at_s;
        assert!((-5..300).contains(&age_s), "{age_s}");
        let signature = &headers["webhook-signature"];
        let (id, keys) = (&headers["webhook-id"], std::slice::from_ref(&key));
        assert!(is_signed((id, at_s, &body), signature, keys));
        assert_eq!(headers["x-shop"], "seven");
        let status = script.lock().expect("whole").pop().unwrap_or(200);
        if status == 200 {
            taken.send(serde_json::from_slice(&body).expect("JSON")).ok()?;
        }
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs() as i64
}

fn definition(shop: &Shop) -> Value {
    json!({"url": shop.url, "secret": KEY, "rooms": ["gen*"], "batch": {"max": 7},
           "from": "start", "retry_s": [1, 1, 1], "headers": {"X-Shop": "seven"}})
}

fn server() -> Server {
    Plan::new().unlimited().shards(2).set("egress.networks", "127.0.0.0/8").start()
}

fn define(server: &Server, name: &str, body: &Value) -> u64 {
    let path = format!("subscriptions/{name}");
    let put = granted(server, "PUT", &path, &body.to_string());
    put["version"].as_u64().expect("a version")
}

#[track_caller]
fn wait_for(server: &Server, name: &str, done: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let (status, standing) = call(server, "GET", &format!("subscriptions/{name}/status"), "");
        if status == 200 && done(&standing) {
            return standing;
        }
        assert!(begin.elapsed() < PATIENCE, "{standing}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends so many messages that are acknowledged.
fn say(client: &mut Client, numbers: std::ops::Range<u64>) -> Vec<u64> {
    let say = |n: u64| {
        let sent = client.granted("send", ROOM, json!({"cid": format!("c{n}"), "text": "hi"}));
        sent["o"].as_u64().expect("an offset")
    };
    numbers.map(say).collect()
}

fn offsets(events: &[Value]) -> Vec<u64> {
    let msg = |event: &&Value| event["t"] == "msg";
    events.iter().filter(msg).map(|event| event["o"].as_u64().expect("an offset")).collect()
}

#[test]
fn a_subscriber_misses_nothing_though_the_server_is_killed() {
    let (mut server, shop) = (server(), Shop::open());
    let mut said = BTreeSet::new();
    let mut told = Vec::new();
    shop.answers(&[200, 500, 200, 503]);
    assert_eq!(define(&server, "crm", &definition(&shop)), 1);
    for life in 0..3 {
        let mut alice = Client::member(&server, "alice", ROOM);
        said.extend(say(&mut alice, life * 30..life * 30 + 30));
        // Killed while the receiver is behind.
        shop.collect(&mut told, |told| offsets(told).len() as u64 > life * 30 + 8);
        server.kill9();
        server.restart();
    }
    let mut alice = Client::member(&server, "alice", ROOM);
    said.extend(say(&mut alice, 90..95));
    shop.collect(&mut told, |told| {
        let told: BTreeSet<u64> = offsets(told).into_iter().collect();
        said.is_subset(&told)
    });
    let order = offsets(&told);
    assert!(order.is_sorted(), "{order:?}");
    assert!(told.iter().all(|event| event["room"] == ROOM), "what is not wanted is not told");
    let standing = wait_for(&server, "crm", |standing| standing["lag_records"] == 0);
    assert_eq!((&standing["state"], &standing["dead_count"]), (&json!("active"), &json!(0)));
    assert_eq!(server.terminate(), 0);
}

/// Each has its address, key, headers and times of another try.
#[test]
fn complaint_10_a_subscriber_that_fails_delays_nobody_else() {
    let (mut server, shop, bad) = (server(), Shop::open(), Shop::open());
    bad.answers(&[500; 50]);
    let mut body = definition(&bad);
    body["retry_s"] = json!([60, 60]);
    define(&server, "bad", &body);
    define(&server, "good", &definition(&shop));
    let mut alice = Client::member(&server, "alice", ROOM);
    let said = say(&mut alice, 0..20);
    let mut told = Vec::new();
    shop.collect(&mut told, |told| offsets(told).len() == said.len());
    let standing = wait_for(&server, "bad", |standing| standing["attempt_count"] == 1);
    assert_eq!(
        (&standing["state"], &standing["last_error"]),
        (&json!("retrying"), &json!("HTTP 500"))
    );
    assert!(standing["next_attempt_ms"].as_u64().expect("a wait") > 50_000, "{standing}");
    assert!(!standing.to_string().contains("127.0.0.1"), "an address may hold a secret");
    let page = super::raw::get(&server, "/metrics");
    for line in [
        "ringpost_subscription_failures_total{subscription=\"bad\"} 1",
        "ringpost_subscription_up{subscription=\"good\"} 1",
    ] {
        let begin = Instant::now();
        while !super::raw::get(&server, "/metrics").text().contains(line) {
            assert!(begin.elapsed() < PATIENCE, "{line}: {}", page.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    // A definition that is mended is tried at once.
    bad.answers(&[]);
    assert_eq!(define(&server, "bad", &definition(&bad)), 2);
    let mut told = Vec::new();
    bad.collect(&mut told, |told| offsets(told).len() == said.len());
    assert_eq!(granted(&server, "DELETE", "subscriptions/bad", "")["version"], 3);
    let begin = Instant::now();
    while server.data().join("subscriptions/bad").exists() {
        assert!(begin.elapsed() < PATIENCE, "its files go with it");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(call(&server, "GET", "subscriptions/bad/status", "").0, 404);
    assert_eq!(server.terminate(), 0);
}

#[test]
fn what_a_receiver_refuses_is_kept_and_told_again_when_asked() {
    let (mut server, shop) = (server(), Shop::open());
    let mut body = definition(&shop);
    body["events"] = json!(["message"]);
    body["retry_s"] = json!([1]);
    body["batch"] = json!({"max": 1});
    shop.answers(&[500, 500]);
    define(&server, "crm", &body);
    let mut alice = Client::member(&server, "alice", ROOM);
    let said = say(&mut alice, 0..3);
    let mut told = Vec::new();
    shop.collect(&mut told, |told| told.len() == 2);
    assert_eq!(offsets(&told), said[1..]);
    let dead = granted(&server, "GET", "subscriptions/crm/dead", "")["dead"].clone();
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    assert_eq!((&dead[0]["event_count"], &dead[0]["error"]), (&json!(1), &json!("HTTP 500")));
    assert!(!dead.to_string().contains("hi"), "a dead letter is a place, and no text");
    server.kill9();
    server.restart();
    let replay = |body: &str| call(&server, "POST", "subscriptions/crm/replay", body);
    let dead_id = &dead[0]["id"];
    let begin = Instant::now();
    while call(&server, "GET", "subscriptions/crm/status", "").0 != 200 {
        assert!(begin.elapsed() < PATIENCE, "it is there again after a start");
    }
    assert_eq!(replay(r#"{"ids": [99]}"#), (200, json!({"replayed": 0})));
    assert_eq!(replay(&json!({"ids": [dead_id]}).to_string()), (200, json!({"replayed": 1})));
    shop.collect(&mut told, |told| told.len() == 3);
    assert_eq!(told[2]["o"], said[0]);
    wait_for(&server, "crm", |standing| standing["dead_count"] == 0);
    assert_eq!(call(&server, "POST", "subscriptions/none/replay", "").0, 404);
    assert_eq!(server.terminate(), 0);
}

#[test]
fn roles_have_the_names_of_the_domain() {
    let domain: Vec<_> = Role::ALL.iter().map(|(_, name, number)| (*number, *name)).collect();
    assert_eq!(domain, ROLES);
}
