//! An operator who puts, changes and removes commands without a pause, and remembers which of that
//! was acknowledged.

use super::ledger::Figures;
use crate::server::desk::{call, granted};
use crate::server::process::Server;
use crate::sim::prng::Rng;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Commands of its own.
const KEYS: usize = 6;

/// What is known of one command: its text, or that it is removed.
#[derive(Clone, Debug, Default)]
struct Known {
    version: u64,
    text: Option<String>,
    /// What it becomes, if a change was taken that nobody has acknowledged.
    maybe: Option<Option<String>>,
}

/// The operator.
#[derive(Debug)]
pub struct Registrar {
    rng: Rng,
    number: u64,
    known: Vec<Known>,
    /// Changes that were acknowledged since the last audit.
    pub acked: u64,
}

impl Registrar {
    /// Before anything is put.
    pub fn new(seed: u64) -> Self {
        let known = vec![Known::default(); KEYS];
        Self { rng: Rng::new(seed), number: 0, known, acked: 0 }
    }

    /// Changes commands until the connection ends.
    pub fn live(&mut self, address: SocketAddr) {
        loop {
            let index = self.rng.below(KEYS);
            self.number += 1;
            let text = format!("text {}", self.number);
            let known = &mut self.known[index];
            let (method, body, becomes) = match self.rng.below(4) {
                0 if known.text.is_some() => ("DELETE", String::new(), None),
                1 if known.text.is_some() => {
                    ("PATCH", json!({"template": text}).to_string(), Some(text))
                }
                _ => {
                    let body = json!({"template": text, "reply": "ephemeral"});
                    ("PUT", body.to_string(), Some(text))
                }
            };
            known.maybe = Some(becomes.clone());
            let path = format!("/api/v1/commands/reg-{index}");
            let Some((status, answer)) = ask(address, method, &path, &body) else { return };
            // The log is going down with its server.
            if status >= 500 {
                return;
            }
            assert_eq!(status, 200, "{method} {path}: {answer}");
            let version = answer["version"].as_u64().expect("a number");
            assert!(version > known.version, "{method} {path}: {answer} after {known:?}");
            *known = Known { version, text: becomes, maybe: None };
            self.acked += 1;
        }
    }

    /// Holds the registry against what was acknowledged: as the API shows it, and as commands run.
    pub fn audit(&mut self, server: &Server, room: &str, figures: &mut Figures) {
        figures.acked += std::mem::take(&mut self.acked);
        for (index, known) in self.known.iter_mut().enumerate() {
            let name = format!("reg-{index}");
            let (status, shown) = call(server, "GET", &format!("commands/{name}"), "");
            let text = shown["definition"]["template"].as_str().map(str::to_owned);
            let version = shown["version"].as_u64();
            let same = |version: Option<u64>, before: u64| version.is_none_or(|it| it == before);
            let is_acked = text == known.text && same(version, known.version);
            let is_maybe = known.maybe.as_ref() == Some(&text) && same(version, known.version + 1);
            if (status == 404) != text.is_none() || !(is_acked || is_maybe) {
                figures.lost += 1;
                figures.fault(format!("{name}: {known:?}, but there is {status} {shown}"));
            }
            if !is_acked && is_maybe {
                figures.unacked_kept += 1;
            }
            let version = version.unwrap_or(known.version);
            *known = Known { version, text, maybe: None };
            if let Some(text) = &known.text {
                let said = runs(server, room, &name);
                if said["text"] != **text {
                    figures.lost += 1;
                    figures.fault(format!("{name} in {room}: {said}, not {text:?}"));
                }
            }
        }
    }
}

/// What a command says in a room.
fn runs(server: &Server, room: &str, name: &str) -> Value {
    let body = json!({"name": name, "text": ""}).to_string();
    granted(server, "POST", &format!("rooms/{room}/commands"), &body)
}

/// A request on a connection of its own; nothing when the server is gone.
fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let patience = Duration::from_secs(20);
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
    let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}
