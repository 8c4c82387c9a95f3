//! What an idle connection costs the server, and whether it stays.
//!
//! `cargo bench --bench idle` opens 10,000 connections to a server of one shard and of two: raw
//! WebSockets on `/echo`; sessions of distinct users in one room; the same in a hundred rooms. It
//! compares the memory of each with the promise and ends with status 1 where one is broken.
//! `-- --minutes 5` holds the connections that long, answers every ping and counts the lost ones;
//! `-- --connections N` and `-- --only NAME` choose. As a test it opens 200 and holds none.
//!
//! **What is counted:** anonymous and shared memory of the server process (`RssAnon`, `RssShmem`),
//! all of its threads, everything it keeps per connection, session, user and room, and whatever the
//! allocator holds without need; less the same for the server after a warm-up of 64 connections
//! that came, said something and left. So what a first connection touches once (rings, buffers,
//! code) is not counted, and what the warm-up freed and left behind covers less than one connection
//! in a hundred. Memory of the kernel for a socket, 4 to 5 KB, is the kernel's and not counted.

mod crowd;
mod server;

use crowd::{Crowd, Entry};
use server::Server;
use std::process::ExitCode;
use std::time::Duration;

const WARM_UP_CONNECTIONS: usize = 64;
/// What a user-space connection may cost, bytes.
const RAW_BYTES_MAX: f64 = 500.0;
/// The same for a connection with a session in a room.
const JOINED_BYTES_MAX: f64 = 1_024.0;

/// What is opened, and what it may cost.
struct Case {
    name: &'static str,
    entry: Entry,
    bytes_max: f64,
}

const CASES: [Case; 3] = [
    Case { name: "raw", entry: Entry::Echo, bytes_max: RAW_BYTES_MAX },
    Case { name: "room", entry: Entry::Chat { rooms: 1 }, bytes_max: JOINED_BYTES_MAX },
    Case { name: "rooms", entry: Entry::Chat { rooms: 100 }, bytes_max: JOINED_BYTES_MAX },
];

struct Options {
    /// Memory is judged: not in a small run, where pages weigh more than connections.
    judge: bool,
    connections: usize,
    hold: Duration,
    only: Option<String>,
}

fn main() -> ExitCode {
    let options = options();
    ringpost::net::raise();
    let mut kept = true;
    for case in &CASES {
        if options.only.as_ref().is_some_and(|name| name != case.name) {
            continue;
        }
        for shards in [1, 2] {
            kept &= run(case, shards, &options);
        }
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options() -> Options {
    let mut full = false;
    let mut options = Options { judge: false, connections: 200, hold: Duration::ZERO, only: None };
    let mut connections = None;
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let mut number = || args.next().and_then(|value| value.parse::<usize>().ok());
        match name.as_str() {
            "--bench" => full = true,
            "--minutes" => {
                options.hold = Duration::from_secs(60 * number().expect("minutes") as u64)
            }
            "--connections" => connections = number(),
            "--only" => options.only = args.next(),
            _ => {}
        }
    }
    if full {
        options.judge = true;
        options.connections = 10_000;
    }
    options.connections = connections.unwrap_or(options.connections);
    options
}

/// Opens, measures and holds one case. False when a promise is broken.
fn run(case: &Case, shards: u16, options: &Options) -> bool {
    let server = Server::start(shards);
    let mut guests = Crowd::new(server.address, case.entry, "guest");
    guests.open(WARM_UP_CONNECTIONS);
    guests.say_something();
    drop(guests);
    let before = server.settled_bytes();

    let cpu_before = server.cpu();
    let mut crowd = Crowd::new(server.address, case.entry, "user");
    crowd.open(options.connections);
    let opening = server.cpu().saturating_sub(cpu_before);
    // Long enough for the announcements of presence and the deadlines of the handshakes.
    crowd.hold(if options.judge { Duration::from_secs(12) } else { Duration::from_secs(1) });
    let after = server.settled_bytes();
    let each = after.saturating_sub(before) as f64 / options.connections as f64;

    let cpu_before = server.cpu();
    crowd.hold(options.hold);
    let cpu = server.cpu().saturating_sub(cpu_before);
    let lost = crowd.lost_count();
    let kept = lost == 0 && (!options.judge || each <= case.bytes_max);
    println!(
        "idle {:5} x{} shards {shards}  {each:.0} bytes each (at most {:.0})  \
         CPU to open {} us each  lost {lost} in {} s  pings {}  CPU {:.2} %  {}",
        case.name,
        options.connections,
        case.bytes_max,
        opening.as_micros() / options.connections as u128,
        options.hold.as_secs(),
        crowd.ping_count(),
        100.0 * cpu.as_secs_f64() / options.hold.as_secs_f64().max(1.0),
        match (kept, options.judge) {
            (false, _) => "FAIL",
            (true, true) => "PASS",
            (true, false) => "none lost, memory not judged",
        },
    );
    kept
}
