//! Somebody who calls hostile commands, and remembers what was said of each call.

use super::table::{Row, TEXT};
use crate::server::client::Client;
use crate::server::process::Server;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// One call.
#[derive(Debug)]
pub struct Made {
    /// Of which row.
    pub row: &'static Row,
    /// Its id, which the log has too.
    pub cid: String,
    /// The reply to the request: `done`, `pending`, or why it was refused.
    pub reply: Option<Result<&'static str, String>>,
    /// What whoever called was told, with its kind.
    pub heard: Vec<(String, String)>,
}

impl Made {
    /// Whether its caller knows how it ended.
    pub fn is_over(&self) -> bool {
        let end = |kind: &String| kind == "ephemeral" || kind == "error";
        match &self.reply {
            None => false,
            Some(Ok("pending")) => self.heard.iter().any(|(kind, _)| end(kind)),
            Some(_) => true,
        }
    }

    /// All that its caller was told.
    pub fn told(&self) -> String {
        let mut all: Vec<&str> = self.heard.iter().map(|(_, text)| text.as_str()).collect();
        if let Some(Err(why)) = &self.reply {
            all.push(why);
        }
        all.join("\n")
    }
}

/// The one who calls.
pub struct Caller {
    name: String,
    room: String,
    client: Client,
    /// All calls, in order.
    pub made: Vec<Made>,
    by_id: HashMap<u32, usize>,
    by_call: HashMap<String, usize>,
    /// What was told of calls whose reply has not come: that waits for the log.
    early: HashMap<String, Vec<(String, String)>>,
}

impl Caller {
    /// In a room.
    pub fn enter(server: &Server, name: &str, room: &str) -> Self {
        let client = Client::member(server, name, room);
        client.stream().set_nonblocking(true).expect("a socket");
        let (name, room) = (name.to_owned(), room.to_owned());
        let (by_id, by_call, early) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { name, room, client, made: Vec::new(), by_id, by_call, early }
    }

    /// Calls a row by one of its names.
    pub fn call(&mut self, row: &'static Row, name: &str) {
        let index = self.made.len();
        let cid = format!("{}.{index}", self.name);
        let d = json!({"name": name, "text": TEXT, "cid": cid});
        let id = self.client.post("cmd", &self.room, d);
        self.by_id.insert(id, index);
        self.made.push(Made { row, cid, reply: None, heard: Vec::new() });
    }

    /// Takes what comes for so long.
    pub fn listen(&mut self, until: Instant) {
        loop {
            let mut frames = Vec::new();
            let again = listen_once(&mut self.client, until, |frame| frames.push(frame));
            frames.iter().for_each(|frame| self.take(frame));
            if !again {
                return;
            }
        }
    }

    fn take(&mut self, frame: &Value) {
        let d = &frame["d"];
        let text = |name: &str| d[name].as_str().unwrap_or_default().to_owned();
        let call = text("call");
        let asked = frame["id"].as_u64().and_then(|id| self.by_id.remove(&(id as u32)));
        if let Some(index) = asked {
            let made = &mut self.made[index];
            assert!(made.reply.is_none(), "one reply to one request: {frame}");
            made.reply = Some(match (frame["t"] == "ok", d["state"] == "pending") {
                (true, true) => Ok("pending"),
                (true, false) => Ok("done"),
                (false, _) => Err(text("msg")),
            });
            made.heard.extend(self.early.remove(&call).unwrap_or_default());
            self.by_call.insert(call, index);
        } else if frame["t"] == "cmd" && !call.is_empty() {
            let words = (text("kind"), text("text"));
            match self.by_call.get(&call) {
                Some(index) => self.made[*index].heard.push(words),
                None => self.early.entry(call).or_default().push(words),
            }
        }
    }

    /// Listens until every call is over, but those that never are.
    pub fn settle(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        let is_over =
            |made: &Made| made.is_over() || (made.row.ends == "lost" && made.reply.is_some());
        while !self.made.iter().all(is_over) {
            let open: Vec<_> = self.made.iter().filter(|made| !is_over(made)).collect();
            assert!(Instant::now() < until, "{} calls never end: {:?}", open.len(), open.first());
            self.listen(Instant::now() + Duration::from_millis(20));
        }
    }
}

/// Takes all frames that are there, or waits for one; no later than `until`. Whether it may be
/// called again.
pub fn listen_once(client: &mut Client, until: Instant, mut take: impl FnMut(Value)) -> bool {
    loop {
        match client.read() {
            Ok(frame) => take(frame),
            Err(error) => match *error {
                tungstenite::Error::Io(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    break;
                }
                error => panic!("a connection that nobody may end: {error}"),
            },
        }
    }
    let left = until.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        await_readable(client.stream(), left);
    }
    !left.is_zero()
}

/// Waits as exactly as the kernel can, which a time limit of a socket does not.
fn await_readable(stream: &TcpStream, within: Duration) {
    let mut fd = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let seconds = within.as_secs() as libc::time_t;
    let time = libc::timespec { tv_sec: seconds, tv_nsec: within.subsec_nanos().into() };
    // SAFETY: both outlive the call, and the set of signals may be absent.
    unsafe { libc::ppoll(&raw mut fd, 1, &raw const time, std::ptr::null()) };
}
