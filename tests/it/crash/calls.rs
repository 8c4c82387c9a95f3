//! SIGKILL while commands are put, changed, removed and called: the registry is as it was last
//! acknowledged, and no call is made or answered twice.

use super::ledger::Figures;
use super::patron::{COMMANDS, Patron, State};
use super::registrar::Registrar;
use super::{control_rounds, judge, judge_control, rounds_of};
use crate::server::desk::granted;
use crate::server::process::{Folder, Plan, Server};
use crate::sim::prng::Rng;
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATRONS: usize = 3;
/// Kills before the data directory begins anew.
const LIVES: usize = 10;
/// Counts to a hundred thousand, which takes more than one slice, and says "done".
const MODULE: &str = r#"(module (memory (export "memory") 1) (data (i32.const 8) "done")
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i64) (local $n i32)
        (local.set $n (i32.const 100000))
        (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i64.const 34359738372)))"#;
/// Writes down that it ran, and for which call.
const PROGRAM: &str = r#"#!/bin/sh
if [ "$1" = --describe ]; then echo '{}'; exit; fi
set -e
cid=$(sed -n 's/.*"text":"\([a-z0-9.-]*\)".*/\1/p')
echo "$cid" >> ../ran
echo done
"#;
const SCRIPT: &str = r#"let n = get("n"); n = if n == () { 1 } else { parse_int(n) + 1 };
    set("n", n.to_string()); n.to_string()"#;

/// How often each call was carried out.
type Counts = BTreeMap<String, u32>;

/// Answers callbacks, and counts them by what was typed.
struct Counter {
    address: SocketAddr,
    counts: Arc<Mutex<Counts>>,
    over: Arc<AtomicBool>,
}

impl Counter {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (counts, over) = (Arc::<Mutex<Counts>>::default(), Arc::<AtomicBool>::default());
        let (shared, end) = (counts.clone(), over.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), counts) = (stream, shared.clone()) else { continue };
                std::thread::spawn(move || serve(stream, &counts));
            }
        });
        Self { address, counts, over }
    }

    fn counts(&self) -> Counts {
        self.counts.lock().expect("no panic").clone()
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// Takes requests until the connection ends.
fn serve(mut stream: TcpStream, counts: &Mutex<Counts>) {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        match stream.read(&mut piece) {
            Ok(count @ 1..) => bytes.extend_from_slice(&piece[..count]),
            _ => return,
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).expect("a form");
        if body.len() < length {
            continue;
        }
        let typed = body.split('&').find_map(|field| field.strip_prefix("text="));
        let typed = typed.expect("what was typed").to_owned();
        *counts.lock().expect("no panic").entry(typed).or_default() += 1;
        bytes.clear();
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").is_err() {
            return;
        }
    }
}

/// All who keep the server busy, and what they call.
struct Tavern {
    folder: Folder,
    counter: Counter,
    patrons: Vec<Patron>,
    registrar: Registrar,
}

impl Tavern {
    fn new(seed: u64) -> Self {
        let folder = Folder::new();
        let programs = folder.path().join("programs");
        std::fs::create_dir_all(&programs).expect("a folder");
        std::fs::write(programs.join("count"), PROGRAM).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(programs.join("count"), mode).expect("a program");
        let patrons = (0..PATRONS).map(Patron::new).collect();
        Self { folder, counter: Counter::start(), patrons, registrar: Registrar::new(seed) }
    }

    fn start(&self, ack: &str) -> Server {
        // Nobody sees what a crash may take back, where the log is kept at all.
        let fanout = if ack == "memory" { "memory" } else { "durable" };
        let programs = self.folder.path().join("programs");
        let server = Plan::new()
            .unlimited()
            .shards(2)
            .data(&self.folder.path().join("data"))
            .set("log.ack", ack)
            .set("rooms.fanout", fanout)
            .set("egress.networks", "127.0.0.1/32")
            .set("commands.programs", programs.to_str().expect("UTF-8"))
            .start();
        for (name, mut body) in COMMANDS.into_iter().zip([
            json!({"template": "number $count"}),
            json!({"script": SCRIPT}),
            json!({"wasm": BASE64.encode(&wat::parse_str(MODULE).expect("a module"))}),
            json!({"exec": "count"}),
            json!({"http": {"url": format!("http://{}/", self.counter.address)}}),
        ]) {
            body["reply"] = "ephemeral".into();
            if name != "t" {
                body["limits"] = json!({"time_ms": 20_000, "at_once": 100});
            }
            granted(&server, "PUT", &format!("commands/{name}"), &body.to_string());
        }
        server
    }

    /// All of them, until the server is killed after a while.
    fn live(&mut self, server: &mut Server, rng: &mut Rng) {
        let address = server.address();
        std::thread::scope(|scope| {
            for patron in &mut self.patrons {
                scope.spawn(move || patron.live(address, false));
            }
            let registrar = &mut self.registrar;
            scope.spawn(move || registrar.live(address));
            std::thread::sleep(Duration::from_millis(rng.range(20, 400) as u64));
            server.kill9();
        });
    }

    fn audit(&mut self, server: &Server, figures: &mut Figures) {
        // The rooms are there, also in a server that has forgotten them.
        for patron in &mut self.patrons {
            drop(crate::server::client::Client::member(server, "auditor", &patron.room));
            patron.audit(figures);
        }
        let rooms = self.patrons.iter().map(|patron| patron.room.clone());
        for room in rooms.collect::<Vec<_>>() {
            self.registrar.audit(server, &room, figures);
        }
    }

    /// All calls are answered; each is in the log once, and was carried out at most once.
    fn close(&mut self, server: &mut Server, figures: &mut Figures) {
        let address = server.address();
        std::thread::scope(|scope| {
            for patron in &mut self.patrons {
                scope.spawn(move || patron.live(address, true));
            }
        });
        self.audit(server, figures);
        let ends = self.await_ends(server);
        let ran = ran(self.folder.path());
        let called = self.counter.counts();
        for patron in &self.patrons {
            let mut scripts = 0;
            for (cid, call) in &patron.calls {
                let ends = ends.get(cid).map(Vec::as_slice).unwrap_or_default();
                let count = match call.name {
                    "x" => ran.get(cid).copied().unwrap_or(0),
                    "h" => called.get(cid).copied().unwrap_or(0),
                    _ => u32::from(ends == ["ok"]),
                };
                let fits = match ends {
                    [end] if end == "ok" => count == 1,
                    [end] if end == "lost" => count <= 1,
                    _ => false,
                };
                if !fits || call.state == State::Open {
                    figures.duplicates += 1;
                    figures.fault(format!("{cid}: ends {ends:?}, carried out {count}: {call:?}"));
                }
                scripts += u64::from(call.name == "s" && ends == ["ok"]);
            }
            // What the script keeps is what its calls did.
            let body = json!({"name": "s", "text": ""}).to_string();
            let path = format!("rooms/{}/commands", patron.room);
            let said = granted(server, "POST", &path, &body);
            let want = (scripts + 1).to_string();
            if said["text"] != want.as_str() {
                figures.fault(format!("{}: {said} after {scripts} calls", patron.room));
            }
        }
    }

    /// The ends of all calls, when every call has one.
    fn await_ends(&self, server: &Server) -> BTreeMap<String, Vec<String>> {
        let begin = Instant::now();
        let count: usize = self.patrons.iter().map(|patron| patron.calls.len()).sum();
        loop {
            let ends = ends(server);
            if ends.len() >= count || begin.elapsed() > Duration::from_secs(20) {
                return ends;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The outcomes of calls in the log, by their ids.
fn ends(server: &Server) -> BTreeMap<String, Vec<String>> {
    let mut ends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in server.scan(&["export", "--table", "commands"]).1.lines() {
        let row: Value = serde_json::from_str(row).expect("a JSON line");
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        if !text("cid").is_empty() {
            ends.entry(text("cid")).or_default().push(text("outcome"));
        }
    }
    ends
}

/// How often the program ran for each call.
fn ran(folder: &Path) -> Counts {
    let mut counts = Counts::new();
    let text = std::fs::read_to_string(folder.join("ran")).unwrap_or_default();
    for cid in text.lines() {
        *counts.entry(cid.to_owned()).or_default() += 1;
    }
    counts
}

fn run(ack: &str, rounds: usize, seed: u64) -> Figures {
    let mut rng = Rng::new(seed);
    let mut figures = Figures::default();
    while figures.rounds < rounds {
        let mut tavern = Tavern::new(rng.next());
        let mut server = tavern.start(ack);
        for _ in 0..LIVES.min(rounds - figures.rounds) {
            tavern.live(&mut server, &mut rng);
            let begin = Instant::now();
            server.restart();
            figures.recoveries.push(begin.elapsed());
            figures.rounds += 1;
            tavern.audit(&server, &mut figures);
            // A loss would only repeat itself from here on.
            if figures.lost > 0 {
                break;
            }
        }
        if figures.faults.is_empty() {
            tavern.close(&mut server, &mut figures);
        }
    }
    figures
}

#[test]
fn kills_lose_no_definition_and_no_call_is_answered_twice() {
    let Some(rounds) = rounds_of("calls", 4) else { return };
    for ack in ["fsync", "os"] {
        let rounds = rounds.div_ceil(2);
        judge(&format!("commands, SIGKILL, log.ack {ack}"), &run(ack, rounds, 31));
    }
    let figures = run("memory", control_rounds(rounds).max(10), 32);
    judge_control("commands, SIGKILL, control: log.ack memory", &figures);
}
