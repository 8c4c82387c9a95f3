//! Webhooks: what is due, in batches as the platform sends them, signed over the exact bytes.

use super::command_line::Options;
use crate::http;
use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Updates in one body.
const BATCH_MAX: usize = 1_000;
/// What waits for a receiver that is down; the oldest go.
const WAITING_MAX: usize = 1 << 20;
/// From a refusal to the next attempt, growing to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
const TIMEOUT: Duration = Duration::from_secs(20);

/// One update and when to tell it.
#[derive(Clone, Debug)]
pub struct Due {
    pub due_ms: u64,
    /// Whose.
    pub number: String,
    /// `messages` or `statuses`.
    pub list: &'static str,
    pub item: Value,
}

/// What is to be told.
pub struct Hooks {
    /// Host with port, and path; none: nothing is told.
    target: Option<(String, String)>,
    secret: Secret,
    waiting: Mutex<BTreeMap<(u64, u64), Due>>,
    bell: Condvar,
}

impl Hooks {
    pub fn new(options: &Options) -> Result<Self, String> {
        let target = match &options.webhook {
            None => None,
            Some(url) => {
                let rest = url.strip_prefix("http://");
                let rest = rest.ok_or("--webhook wants http://HOST:PORT/PATH, without TLS")?;
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                let port = if host.contains(':') { "" } else { ":80" };
                Some((format!("{host}{port}"), format!("/{path}")))
            }
        };
        let secret = Secret::new(options.secret.as_bytes());
        Ok(Self { target, secret, waiting: Mutex::default(), bell: Condvar::new() })
    }

    pub fn add(&self, due: Vec<Due>) {
        if due.is_empty() || self.target.is_none() {
            return;
        }
        let mut waiting = self.waiting.lock().expect("no thread panics while it holds this");
        for item in due {
            let next = waiting.last_key_value().map_or(0, |(key, _)| key.1);
            // Unique is enough; equal times keep no order, as the platform promises none.
            let mut key = (item.due_ms, next + 1);
            while waiting.contains_key(&key) {
                key.1 += 1;
            }
            waiting.insert(key, item);
        }
        while waiting.len() > WAITING_MAX {
            waiting.pop_first();
        }
        self.bell.notify_one();
    }

    /// Tells what is due, for ever. A body that is refused is told again, before any later one.
    pub fn run(&self, begin: Instant) {
        let Some((host, path)) = &self.target else { return };
        let mut connection = None;
        loop {
            let body = escaped(&envelope(self.next_batch(begin)).to_string());
            let mut pause = RETRY.0;
            while !self.post(&mut connection, host, path, body.as_bytes()) {
                connection = None;
                std::thread::sleep(pause);
                pause = (pause * 2).min(RETRY.1);
            }
        }
    }

    fn next_batch(&self, begin: Instant) -> Vec<Due> {
        let mut waiting = self.waiting.lock().expect("no thread panics while it holds this");
        loop {
            let now_ms = begin.elapsed().as_millis() as u64;
            let first = waiting.first_key_value().map(|(key, _)| key.0);
            waiting = match first {
                None => self.bell.wait(waiting).expect("as above"),
                Some(due_ms) if due_ms > now_ms => {
                    let wait = Duration::from_millis(due_ms - now_ms);
                    self.bell.wait_timeout(waiting, wait).expect("as above").0
                }
                Some(_) => {
                    let mut batch = Vec::new();
                    while batch.len() < BATCH_MAX
                        && waiting.first_key_value().is_some_and(|(key, _)| key.0 <= now_ms)
                    {
                        batch.extend(waiting.pop_first().map(|(_, due)| due));
                    }
                    return batch;
                }
            };
        }
    }

    /// Whether the receiver said 200.
    fn post(
        &self,
        connection: &mut Option<TcpStream>,
        host: &str,
        path: &str,
        body: &[u8],
    ) -> bool {
        let signature = signature::sign(body, &self.secret);
        let mut request = Vec::new();
        http::post(&mut request, host, path, (signature::HEADER, &signature), body);
        let exchange = |stream: &mut TcpStream| -> std::io::Result<u16> {
            stream.write_all(&request)?;
            let mut input = Vec::new();
            loop {
                let mut piece = [0; 4_096];
                let size = stream.read(&mut piece)?;
                if size == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                input.extend_from_slice(&piece[..size]);
                match http::read(&input) {
                    Ok(None) => {}
                    Ok(Some(response)) => return Ok(response.status),
                    Err(_) => return Err(std::io::ErrorKind::InvalidData.into()),
                }
            }
        };
        if connection.is_none() {
            let Ok(stream) = TcpStream::connect(host) else { return false };
            let _ = stream.set_nodelay(true);
            let _ = stream.set_read_timeout(Some(TIMEOUT));
            *connection = Some(stream);
        }
        let stream = connection.as_mut().expect("connected");
        match exchange(stream) {
            Ok(200) => true,
            Ok(status) => {
                eprintln!("the webhook was answered with {status}; it comes again");
                false
            }
            Err(_) => false,
        }
    }
}

/// One change for each number and list.
fn envelope(batch: Vec<Due>) -> Value {
    let mut lists: BTreeMap<(String, &'static str), Vec<Value>> = BTreeMap::new();
    for due in batch {
        lists.entry((due.number, due.list)).or_default().push(due.item);
    }
    let changes = lists.into_iter().map(|((number, list), mut items)| {
        let mut value = Map::new();
        value.insert("messaging_product".to_owned(), "whatsapp".into());
        let metadata = json!({"display_phone_number": "15550000000", "phone_number_id": number});
        value.insert("metadata".to_owned(), metadata);
        if list == "messages" {
            let contacts = items.iter_mut().map(|item| {
                let name = item.as_object_mut().and_then(|item| item.remove("_name"));
                json!({"profile": {"name": name}, "wa_id": item["from"]})
            });
            value.insert("contacts".to_owned(), contacts.collect());
        }
        value.insert(list.to_owned(), items.into());
        json!({"field": "messages", "value": value})
    });
    let changes: Value = changes.collect();
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]})
}

/// As the platform writes JSON: ASCII only, and slashes escaped.
pub fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        match c {
            '/' => out.push_str("\\/"),
            c if c.is_ascii() => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}").expect("memory takes it");
                }
            }
        }
    }
    out
}
