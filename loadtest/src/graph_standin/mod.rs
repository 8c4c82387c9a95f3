//! `ringpost-load graph-standin`: a small server that behaves as WhatsApp's Graph API is documented
//! to, so that nobody needs an account at Meta to try, develop and test.
//!
//! It takes messages, uploads and read receipts, keeps the platform's limits, refuses recipients
//! whose numbers end in known digits, and tells what became of messages with signed webhooks. Its
//! user plays the customer: `POST /standin/say`. What it does beyond the documents follows from the
//! seed.

mod command_line;

/// What the platform says. Pure.
mod graph;

/// Rules on the bodies of messages. Pure.
mod check;

/// Requests and responses, from the server's side.
mod exchange;

/// Uploads. Pure.
mod form;

/// Webhooks: what is due when, and the thread that posts them.
mod hooks;

#[cfg(test)]
mod tests;

use command_line::Options;
use exchange::{Request, Sent};
use graph::{Graph, Reply};
use hooks::Hooks;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Connections at once; each has a thread.
const CONNECTIONS_MAX: usize = 1_024;

/// Runs the command line behind `graph-standin`, until it is killed.
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let options = match command_line::parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let webhook = options.webhook.clone();
    match start(options) {
        Ok((address, acceptor)) => {
            println!("graph-standin listening on http://{address}");
            if let Some(webhook) = webhook {
                println!("webhooks go to {webhook}");
            }
            let _ = std::io::stdout().flush();
            let _ = acceptor.join();
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// What all connections share.
struct Shared {
    graph: Mutex<Graph>,
    hooks: Arc<Hooks>,
    begin: Instant,
    connections: AtomicUsize,
}

impl Shared {
    fn now_ms(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }
}

/// Listens, and serves on threads of its own.
fn start(options: Options) -> Result<(SocketAddr, thread::JoinHandle<()>), String> {
    let listener = TcpListener::bind(&options.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let hooks = Arc::new(Hooks::new(&options)?);
    let begin = Instant::now();
    let sender = hooks.clone();
    thread::spawn(move || sender.run(begin));
    let base = format!("http://{address}");
    let graph = Mutex::new(Graph::new(options, base));
    let shared = Arc::new(Shared { graph, hooks, begin, connections: AtomicUsize::new(0) });
    let acceptor = thread::spawn(move || {
        for stream in listener.incoming() {
            // One that was cut before it was accepted.
            let Ok(stream) = stream else { continue };
            if shared.connections.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
                continue;
            }
            shared.connections.fetch_add(1, Ordering::Relaxed);
            let shared = shared.clone();
            thread::spawn(move || {
                serve(&shared, &stream);
                shared.connections.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    Ok((address, acceptor))
}

/// One connection, until it ends or says what is no HTTP.
fn serve(shared: &Shared, stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(120)));
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = exchange::read(&mut reader, stream) {
        let reply = answer(shared, &request);
        if reply.delay_ms > 0 {
            thread::sleep(Duration::from_millis(reply.delay_ms));
        }
        let sent = match reply.cut {
            true => Ok(Sent::Last),
            false => exchange::write(stream, &request, reply.status, &reply.kind, &reply.body),
        };
        if !matches!(sent, Ok(Sent::More)) {
            return;
        }
    }
}

fn answer(shared: &Shared, request: &Request) -> Reply {
    let wall_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis());
    let mut graph = shared.graph.lock().expect("no thread panics while it answers");
    let mut reply = graph.answer(request, shared.now_ms(), wall_ms as i64);
    drop(graph);
    shared.hooks.add(std::mem::take(&mut reply.webhooks));
    reply
}
