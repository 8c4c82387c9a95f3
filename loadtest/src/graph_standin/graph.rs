//! The stand-in's state, and what it answers. No socket and no clock: time comes with the request.

use super::check;
use super::command_line::Options;
use super::exchange::Request;
use super::form;
use super::hooks::Due;
use crate::gen_log::dice::Dice;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Bodies that `/standin/sent` shows.
const SENT_MAX: usize = 10_000;
/// Bytes of files that are kept; the oldest go.
const FILES_BYTES_MAX: usize = 256 << 20;
/// From one to the next message to the same recipient, and how many at once.
const PAIR_MS: u64 = 6_000;
const PAIR_BURST: u64 = 45;
const WINDOW_MS: i64 = 24 * 3_600 * 1_000;
/// Buckets and windows that are remembered.
const PAIRS_MAX: usize = 1 << 20;

/// What to answer, and what to tell later.
#[derive(Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub kind: String,
    pub body: Vec<u8>,
    pub delay_ms: u64,
    /// The connection ends without an answer.
    pub cut: bool,
    pub webhooks: Vec<Due>,
}

/// Spent time of a bucket that drains by itself.
#[derive(Default)]
struct Bucket {
    spent_ms: f64,
    at_ms: u64,
}

impl Bucket {
    fn take(&mut self, now_ms: u64, each_ms: f64, burst: u64) -> bool {
        self.spent_ms = (self.spent_ms - (now_ms - self.at_ms) as f64).max(0.0);
        self.at_ms = now_ms;
        let fits = self.spent_ms + each_ms <= each_ms * burst as f64 + 1e-6;
        self.spent_ms += if fits { each_ms } else { 0.0 };
        fits
    }
}

pub struct Graph {
    options: Options,
    base: String,
    dice: Dice,
    numbers: BTreeMap<String, Bucket>,
    pairs: BTreeMap<(String, String), Bucket>,
    windows: BTreeMap<(String, String), i64>,
    sent: VecDeque<Value>,
    files: VecDeque<(String, form::File)>,
    files_bytes: usize,
    /// What contacts see of a number when they type a slash.
    menus: BTreeMap<String, Value>,
    ids: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Graph {
    pub fn new(options: Options, base: String) -> Self {
        Self {
            dice: Dice::new(options.seed),
            options,
            base,
            numbers: BTreeMap::new(),
            pairs: BTreeMap::new(),
            windows: BTreeMap::new(),
            sent: VecDeque::new(),
            files: VecDeque::new(),
            files_bytes: 0,
            menus: BTreeMap::new(),
            ids: 0,
            counts: BTreeMap::new(),
        }
    }

    pub fn answer(&mut self, request: &Request, now_ms: u64, wall_ms: i64) -> Reply {
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["standin", "sent"]) => ok(&Value::from(Vec::from(self.sent.clone()))),
            ("GET", ["standin", "counts"]) => ok(&json!(self.counts)),
            ("GET", ["standin", "menus"]) => ok(&json!(self.menus)),
            ("POST", ["standin", "say"]) => self.say(request, now_ms, wall_ms),
            (method, parts) => {
                let reply = match self.authorize(request) {
                    Err(refusal) => refusal,
                    Ok(()) => self.graph(method, parts, request, (now_ms, wall_ms)),
                };
                let (least, most) = self.options.latency_ms;
                let delay_ms = least + self.dice.below((most - least + 1) as usize) as u64;
                Reply { delay_ms, ..reply }
            }
        }
    }

    fn graph(&mut self, method: &str, parts: &[&str], request: &Request, now: (u64, i64)) -> Reply {
        match (method, parts) {
            ("POST", [_, number, "messages"]) => self.messages(number, request, now),
            ("POST", [_, _, "media"]) => self.upload(request),
            ("POST", [_, number, "conversational_automation"]) => self.menu(number, request),
            ("GET", ["standin", "file", id]) => match self.file(id) {
                Some(file) => Reply {
                    status: 200,
                    kind: file.mime.clone(),
                    body: file.bytes.clone(),
                    ..Reply::default()
                },
                None => unknown(),
            },
            ("GET", [_, id]) => match self.file(id) {
                Some(file) => ok(&json!({
                    "messaging_product": "whatsapp",
                    "id": id,
                    "mime_type": file.mime,
                    "sha256": sha256(&file.bytes),
                    "file_size": file.bytes.len().to_string(),
                    "url": format!("{}/standin/file/{id}", self.base),
                })),
                None => unknown(),
            },
            ("DELETE", [_, id]) if self.file(id).is_some() => {
                self.files.retain(|(known, _)| known != id);
                ok(&json!({"success": true}))
            }
            _ => unknown(),
        }
    }

    fn authorize(&self, request: &Request) -> Result<(), Reply> {
        let token = request.authorization.as_deref().and_then(|it| it.strip_prefix("Bearer "));
        match (token, &self.options.token) {
            (None, _) => Err(refused(401, 0, "Authentication Error")),
            (Some(given), Some(good)) if given != good => {
                Err(refused(401, 190, "Invalid OAuth access token"))
            }
            _ => Ok(()),
        }
    }

    fn messages(&mut self, number: &str, request: &Request, now: (u64, i64)) -> Reply {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return refused(400, 100, "The body is no JSON");
        };
        if body["status"] == "read" {
            self.count("read");
            return match body["message_id"].as_str() {
                Some(_) => ok(&json!({"success": true})),
                None => refused(400, 131_008, "Parameter message_id is required"),
            };
        }
        let to = match check::message(&body) {
            Ok(to) => to,
            Err((code, details)) => {
                self.count("invalid");
                return refused(400, code, &details);
            }
        };
        if let Some((status, code)) = self.limit(number, &to, &body, now) {
            self.count("refused");
            return refused(status, code, "as the stand-in was asked, or too fast");
        }
        self.accept(number, &to, body, now)
    }

    /// HTTP status and code of what stands against a good body.
    fn limit(
        &mut self,
        number: &str,
        to: &str,
        body: &Value,
        (now_ms, wall_ms): (u64, i64),
    ) -> Option<(u16, u32)> {
        for (ending, status, code) in [
            ("0001", 400, 131_047),
            ("0002", 400, 130_429),
            ("0003", 401, 190),
            ("0004", 500, 131_000),
            ("0005", 400, 131_056),
        ] {
            if to.ends_with(ending) {
                return Some((status, code));
            }
        }
        let pair = (number.to_owned(), to.trim_start_matches('+').to_owned());
        let open = self.windows.get(&pair).is_some_and(|until| wall_ms < *until);
        if self.options.window && body["type"] != "template" && !open {
            return Some((400, 131_047));
        }
        if self.options.rate > 0 {
            let each_ms = 1_000.0 / self.options.rate as f64;
            let bucket = self.numbers.entry(number.to_owned()).or_default();
            if !bucket.take(now_ms, each_ms, self.options.rate) {
                return Some((400, 130_429));
            }
            if self.pairs.len() >= PAIRS_MAX {
                self.pairs.clear();
            }
            let bucket = self.pairs.entry(pair).or_default();
            if !bucket.take(now_ms, PAIR_MS as f64, PAIR_BURST) {
                return Some((400, 131_056));
            }
        }
        (self.dice.below(1_000) < self.options.fail as usize).then_some((500, 131_000))
    }

    fn accept(
        &mut self,
        number: &str,
        to: &str,
        body: Value,
        (now_ms, wall_ms): (u64, i64),
    ) -> Reply {
        self.count("accepted");
        let wamid = format!("wamid.{}", self.next_id());
        let digits = to.trim_start_matches('+').to_owned();
        let mut contact = json!({"input": to});
        let is_user = body["to"].is_null();
        contact[if is_user { "user_id" } else { "wa_id" }] = digits.as_str().into();
        let mut sent = json!({"id": wamid});
        if body["type"] == "template" {
            sent["message_status"] = "accepted".into();
        }
        let answer = json!({
            "messaging_product": "whatsapp", "contacts": [contact], "messages": [sent],
        });
        let webhooks = self.statuses(number, (&digits, is_user), &wamid, &body, now_ms, wall_ms);
        self.sent.push_back(json!({"number": number, "id": wamid, "body": body}));
        if self.sent.len() > SENT_MAX {
            self.sent.pop_front();
        }
        let lost = self.dice.below(1_000) < self.options.lose as usize;
        let cut = lost || to.ends_with("0007");
        Reply { webhooks, cut, ..ok(&answer) }
    }

    /// What becomes of a message: sent, delivered, perhaps read; or failed.
    fn statuses(
        &mut self,
        number: &str,
        (to, is_user): (&str, bool),
        wamid: &str,
        body: &Value,
        now_ms: u64,
        wall_ms: i64,
    ) -> Vec<Due> {
        if self.options.webhook.is_none() {
            return Vec::new();
        }
        let fails = to.ends_with("0006");
        let reads = (self.dice.below(100) as u64) < self.options.read;
        let reaction = body["type"] == "reaction";
        let words: &[&str] = match () {
            () if fails => &["failed"],
            () if reaction => &["sent"],
            () if reads => &["sent", "delivered", "read"],
            () => &["sent", "delivered"],
        };
        let mut due_ms = now_ms;
        let mut due = Vec::new();
        for word in words {
            due_ms += 20 + self.dice.below(400) as u64;
            let mut status = json!({
                "id": wamid,
                "status": word,
                "timestamp": ((wall_ms + (due_ms - now_ms) as i64) / 1_000).to_string(),
            });
            status[if is_user { "recipient_user_id" } else { "recipient_id" }] = to.into();
            if !body["biz_opaque_callback_data"].is_null() {
                status["biz_opaque_callback_data"] = body["biz_opaque_callback_data"].clone();
            }
            if *word == "failed" {
                let title = "Message undeliverable";
                status["errors"] = json!([{"code": 131_026, "title": title, "message": title}]);
            } else if *word == "sent" {
                let category = if body["type"] == "template" { "utility" } else { "service" };
                status["pricing"] = json!({
                    "billable": category != "service", "pricing_model": "PMP",
                    "type": "regular", "category": category,
                });
            }
            let item = Due { due_ms, number: number.to_owned(), list: "statuses", item: status };
            if self.options.disorder && self.dice.below(10) == 0 {
                let later = Due { due_ms: due_ms + 500, ..item.clone() };
                due.push(later);
            }
            due.push(item);
        }
        if self.options.disorder && due.len() > 1 && self.dice.below(3) == 0 {
            let (first, last) = (due[0].due_ms, due.len() - 1);
            due[0].due_ms = due[last].due_ms;
            due[last].due_ms = first;
        }
        due
    }

    /// A customer writes.
    fn say(&mut self, request: &Request, now_ms: u64, wall_ms: i64) -> Reply {
        let said: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let (Some(number), Some(from)) = (said["number"].as_str(), said["from"].as_str()) else {
            return refused(400, 131_008, "number and from are required");
        };
        let from = from.trim_start_matches('+');
        let wamid = format!("wamid.{}", self.next_id());
        let mut item = json!({
            "from": from,
            "id": wamid,
            "timestamp": (wall_ms / 1_000).to_string(),
            "type": "text",
            "text": {"body": said["text"].as_str().unwrap_or("hello")},
        });
        // Anything else a customer can send: the caller writes it as the platform would.
        if let Some(message) = said["message"].as_object() {
            let all = item.as_object_mut().expect("an object");
            all.remove("text");
            all.extend(message.clone());
        }
        self.windows.insert((number.to_owned(), from.to_owned()), wall_ms + WINDOW_MS);
        self.count("said");
        let name = said["name"].as_str().unwrap_or("Customer");
        item["_name"] = name.into();
        let due = Due { due_ms: now_ms, number: number.to_owned(), list: "messages", item };
        Reply { webhooks: vec![due], ..ok(&json!({"id": wamid})) }
    }

    fn upload(&mut self, request: &Request) -> Reply {
        let file = match form::read(&request.content_type, &request.body) {
            Ok(file) => file,
            Err(why) => return refused(400, 100, why),
        };
        self.count("uploaded");
        let id = self.next_id().to_string();
        self.files_bytes += file.bytes.len();
        self.files.push_back((id.clone(), file));
        while self.files_bytes > FILES_BYTES_MAX {
            let Some((_, oldest)) = self.files.pop_front() else { break };
            self.files_bytes -= oldest.bytes.len();
        }
        ok(&json!({"id": id}))
    }

    fn menu(&mut self, number: &str, request: &Request) -> Reply {
        let menu = serde_json::from_slice(&request.body).unwrap_or_default();
        if let Err(why) = check::menu(&menu) {
            return refused(400, 100, &why);
        }
        self.count("menus");
        self.menus.insert(number.to_owned(), menu);
        ok(&json!({"success": true}))
    }

    fn file(&self, id: &str) -> Option<&form::File> {
        self.files.iter().find(|(known, _)| known == id).map(|(_, file)| file)
    }

    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        // Differ from run to run with the seed, as the platform's ids do.
        1_000_000_000_000 + (self.options.seed % 1_000) * 1_000_000_000 + self.ids
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

fn ok(body: &Value) -> Reply {
    let kind = "application/json".to_owned();
    Reply { status: 200, kind, body: body.to_string().into_bytes(), ..Reply::default() }
}

fn unknown() -> Reply {
    let mut reply = refused(404, 100, "Unsupported request: the object does not exist");
    reply.status = 404;
    reply
}

fn refused(status: u16, code: u32, details: &str) -> Reply {
    let error = json!({"error": {
        "message": format!("(#{code}) {details}"),
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details},
        "fbtrace_id": "A0standin",
    }});
    Reply { status, ..ok(&error) }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
