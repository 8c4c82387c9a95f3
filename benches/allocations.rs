//! What a message costs the allocator, on the thread of a shard.
//!
//! `cargo bench --bench allocations` and `cargo test --bench allocations` do the same: a server of
//! one shard runs in this process under an allocator that counts for each thread; echoes and rooms
//! are brought to their steady state; then every allocation of the shard's thread counts, from the
//! receive over decoder, hub and log's append to the queue of every member. An echo and a relayed
//! message must take none. A message of a chat takes what outlives it, and not more with more
//! members; [`CHAT_ALLOCATIONS`] lists that.
//!
//! The figure is the median of many batches. What comes seldom is in none of it: tables that grow
//! by doubling, the date once a second. Nor is sleep, which costs glommio five allocations each
//! time: an echo of its own keeps the shard awake.

use ringpost::config::{self, Command, Config, Inputs};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use tungstenite::{Message, WebSocket};

/// What stays of a message of a chat, or leaves the shard later than its turn: its text, until it
/// is in the log; its client's id, in the room's memory of ids; its event, in the room's history;
/// its `ok`, until the message is durable.
const CHAT_ALLOCATIONS: f64 = 4.0;
/// Slices of a connection beyond the first, here the room's beside an `ok`, are listed on the heap
/// until they are sent: so many in a batch, which may come in some turns.
const SLICE_ALLOCATIONS: f64 = 8.0;
/// Messages in flight: few enough for every queue, enough for turns that take several.
const BATCH: usize = 16;
/// More than a room keeps in memory, of messages and of clients' ids.
const WARM_UP_BATCHES: usize = 5_000 / BATCH;
const BATCHES: usize = 200;

/// Counts what each thread takes.
struct Counting;

/// By number of the thread; more threads than slots would share, and this program has a dozen.
static COUNTS: [AtomicU64; 4_096] = [const { AtomicU64::new(0) }; 4_096];

thread_local! {
    /// This thread's place in [`COUNTS`], once it is known.
    static SLOT: Cell<usize> = const { Cell::new(usize::MAX) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all four do what the system's allocator does; counting touches an atomic and a
// thread-local that needs no allocation and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

fn count() {
    let slot = SLOT.get();
    let slot = if slot == usize::MAX {
        // SAFETY: asks for a number and touches no memory.
        let thread = unsafe { libc::gettid() };
        SLOT.set(thread as usize % COUNTS.len());
        SLOT.get()
    } else {
        slot
    };
    COUNTS[slot].fetch_add(1, Ordering::Relaxed);
}

/// The counter of the shard's thread.
fn shard_count() -> &'static AtomicU64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("a list of threads").flatten();
    let mut shards = threads.filter(|thread| {
        std::fs::read_to_string(thread.path().join("comm"))
            .is_ok_and(|name| name.starts_with("shard-0"))
    });
    let shard = shards.next().expect("a shard runs in this process").file_name();
    let number: usize = shard.to_str().and_then(|name| name.parse().ok()).expect("a number");
    &COUNTS[number % COUNTS.len()]
}

fn main() -> ExitCode {
    let data = std::env::temp_dir().join(format!("ringpost-allocations-{}", std::process::id()));
    let config = config(&data);
    let (ready, address) = mpsc::channel();
    let server = std::thread::spawn(move || {
        ringpost::node::serve(config, |address| ready.send(address).expect("main waits"))
    });
    let address = address.recv().expect("a server that starts");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let neighbour = std::thread::spawn(move || keep_awake(address, &stopped));
    let mut kept = true;
    kept &= judge("echo", 0.0, echo(address));
    kept &= judge("raw room of 40", 0.0, raw_room(address, 40));
    for members in [2, 40] {
        let name = format!("chat room of {members}");
        let allowed = CHAT_ALLOCATIONS + SLICE_ALLOCATIONS / BATCH as f64;
        kept &= judge(&name, allowed, chat(address, members));
    }
    stop.store(true, Ordering::Relaxed);
    neighbour.join().expect("no panic");
    // SAFETY: a signal to this process, which the server waits for.
    assert_eq!(unsafe { libc::kill(libc::getpid(), libc::SIGTERM) }, 0);
    server.join().expect("no panic").expect("a clean stop");
    let _ = std::fs::remove_dir_all(&data);
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn config(data: &Path) -> Config {
    let mut args: Vec<_> =
        ["ringpost", "--dev", "--listen", "127.0.0.1:0", "--shards", "1", "--data"]
            .map(Into::into)
            .into();
    args.push(data.as_os_str().to_owned());
    let unlimited = ["sends_per_s", "room_sends_per_s", "frames_per_s"];
    for limit in unlimited {
        args.extend(["--set".into(), format!("limits.{limit}=0").into()]);
    }
    args.extend(["--set".into(), "log.ack=memory".into()]);
    let read = |path: &Path| std::fs::read(path);
    match config::load(Inputs { args, env: Vec::new(), read: &read }) {
        Ok(Command::Serve(config)) => *config,
        _ => panic!("the command line of a server"),
    }
}

fn judge(what: &str, allowed: f64, mut batches: Vec<u64>) -> bool {
    batches.sort_unstable();
    let each = batches[batches.len() / 2] as f64 / BATCH as f64;
    let kept = each <= allowed;
    let verdict = if kept { "" } else { "   TOO MANY" };
    println!("{what:18} {each:6.3} allocations per message, at most {allowed:.1}{verdict}");
    kept
}

type Client = WebSocket<TcpStream>;

fn connect(address: SocketAddr, path: &str) -> Client {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    let (client, _) =
        tungstenite::client(format!("ws://{address}{path}"), stream).expect("a handshake");
    client
}

/// Sends one small echo after the other.
fn keep_awake(address: SocketAddr, stop: &AtomicBool) {
    let mut client = connect(address, "/echo");
    while !stop.load(Ordering::Relaxed) {
        client.send(Message::text("x")).expect("an open connection");
        client.read().expect("an echo");
    }
}

/// Brings batches to their steady state, and gives what the shard takes in each one from then on.
fn steady(mut batch: impl FnMut(usize)) -> Vec<u64> {
    (0..WARM_UP_BATCHES).for_each(&mut batch);
    let count = shard_count();
    let measured = WARM_UP_BATCHES..WARM_UP_BATCHES + BATCHES;
    measured
        .map(|number| {
            let before = count.load(Ordering::Relaxed);
            batch(number);
            count.load(Ordering::Relaxed) - before
        })
        .collect()
}

fn echo(address: SocketAddr) -> Vec<u64> {
    let mut client = connect(address, "/echo");
    let text = "x".repeat(64);
    steady(|_| {
        for _ in 0..BATCH {
            client.write(Message::text(text.clone())).expect("an open connection");
        }
        client.flush().expect("an open connection");
        for _ in 0..BATCH {
            assert_eq!(client.read().expect("an echo"), Message::text(text.clone()));
        }
    })
}

fn raw_room(address: SocketAddr, members: usize) -> Vec<u64> {
    let mut all: Vec<_> = (0..members).map(|_| connect(address, "/room/1")).collect();
    let text = "x".repeat(64);
    // A member is one when it hears itself.
    for client in &mut all {
        client.send(Message::text(text.clone())).expect("an open connection");
        client.read().expect("an echo");
    }
    for (before, client) in all.iter_mut().enumerate() {
        for _ in before + 1..members {
            client.read().expect("those that came later");
        }
    }
    steady(|_| {
        for _ in 0..BATCH {
            all[0].write(Message::text(text.clone())).expect("an open connection");
        }
        all[0].flush().expect("an open connection");
        for client in &mut all {
            for _ in 0..BATCH {
                assert_eq!(client.read().expect("a relayed message").len(), text.len());
            }
        }
    })
}

fn chat(address: SocketAddr, members: usize) -> Vec<u64> {
    let room = format!("room-of-{members}");
    let mut all: Vec<_> = (0..members).map(|member| hello(address, &room, member)).collect();
    let text = "a text of forty-eight bytes, as people write it.";
    steady(|batch| {
        for n in batch * BATCH..(batch + 1) * BATCH {
            let send = format!(
                r#"{{"t":"send","id":{n},"room":"{room}","d":{{"cid":"c{n:08}","text":"{text}"}}}}"#
            );
            all[0].write(Message::text(send)).expect("an open connection");
        }
        all[0].flush().expect("an open connection");
        all.iter_mut().for_each(|client| hear(client, r#""t":"msg""#, BATCH));
    })
}

fn hello(address: SocketAddr, room: &str, member: usize) -> Client {
    let mut client = connect(address, "/ws");
    let hello = format!(
        r#"{{"t":"hello","id":1,"d":{{"user":"user-{member}","rooms":{{"{room}":{{}}}}}}}}"#
    );
    client.send(Message::text(hello)).expect("an open connection");
    hear(&mut client, r#""t":"ok""#, 1);
    client
}

/// Reads until so many frames of a kind have come; others are passed over.
fn hear(client: &mut Client, kind: &str, mut count: usize) {
    while count > 0 {
        let message = client.read().expect("a frame");
        count -= usize::from(message.to_text().expect("text").contains(kind));
    }
}
