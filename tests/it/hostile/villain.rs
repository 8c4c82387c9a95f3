//! The hostile HTTP server, and the address beside it where nobody may ever be led.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long it goes on with anything: longer than any call that its time ends.
const STAMINA: Duration = Duration::from_secs(3);
/// Between two bytes of what comes slowly.
const DRIP: Duration = Duration::from_millis(50);
/// How often it answers later.
pub const RETURNS: usize = 20;

/// What it has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Connections to where nobody may be led.
    pub trapped: AtomicUsize,
    /// Connections that began as TLS: of the name that leads to two places.
    pub turned: AtomicUsize,
    /// Calls of the command that answers later too often.
    pub returned: AtomicUsize,
    /// Later answers that were taken, and that were not.
    pub taken: AtomicUsize,
    /// See `taken`.
    pub refused: AtomicUsize,
    /// Where the server under test listens, for later answers.
    pub server: OnceLock<SocketAddr>,
    over: AtomicBool,
}

/// The running one; ends when it is dropped.
pub struct Villain {
    /// Where.
    pub address: SocketAddr,
    /// What it has seen.
    pub seen: Arc<Seen>,
}

impl Villain {
    /// Both listen on the same port, of 127.0.0.1 and 127.0.0.2.
    pub fn start() -> Self {
        let (open, trap) = loop {
            let open = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let port = open.local_addr().expect("bound").port();
            if let Ok(trap) = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)) {
                break (open, trap);
            }
        };
        let address = open.local_addr().expect("bound");
        let seen = Arc::new(Seen::default());
        let shared = seen.clone();
        std::thread::spawn(move || {
            super::stand_back();
            for stream in open.incoming() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), seen) = (stream, shared.clone()) else { continue };
                std::thread::spawn(move || drop(serve(stream, &seen)));
            }
        });
        let shared = seen.clone();
        std::thread::spawn(move || {
            for _ in trap.incoming() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                shared.trapped.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { address, seen }
    }
}

impl Drop for Villain {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::Relaxed);
        let trap = (Ipv4Addr::new(127, 0, 0, 2), self.address.port());
        let _ = (TcpStream::connect(self.address), TcpStream::connect(trap));
    }
}

/// The path and the body of the one request of a connection.
fn request(stream: &mut TcpStream, seen: &Seen) -> std::io::Result<Option<(String, String)>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece[..count]);
        // A handshake of TLS, which nobody here can do.
        if bytes[0] == 0x16 {
            seen.turned.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0) {
            let path = head.split(' ').nth(1).unwrap_or_default();
            return Ok(Some((path.to_owned(), body.to_owned())));
        }
    }
}

fn serve(mut stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    stream.set_read_timeout(Some(STAMINA))?;
    stream.set_write_timeout(Some(STAMINA))?;
    let Some((path, body)) = request(&mut stream, seen)? else { return Ok(()) };
    let ok = |more: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{more}\r\n{body}")
    };
    let until = Instant::now() + STAMINA;
    match path.as_str() {
        "/drips" => drip(&mut stream, ok("X-Slow: yes\r\n", "never").as_bytes(), until),
        "/trickles" => {
            stream.write_all(ok("Content-Length: 1000\r\n", "").as_bytes())?;
            drip(&mut stream, &[b'x'; 1_000], until)
        }
        "/hundreds" => again(&mut stream, b"HTTP/1.1 100 Continue\r\n\r\n", until),
        "/endless" => {
            stream.write_all(ok("Transfer-Encoding: chunked\r\n", "").as_bytes())?;
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(4_096));
            again(&mut stream, chunk.as_bytes(), until)
        }
        "/heads" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            let line = format!("X-Long: {}\r\n", "x".repeat(1_000));
            again(&mut stream, line.as_bytes(), until)
        }
        "/redirects" | "/metadata" => {
            let port = stream.local_addr()?.port();
            let place = match path.as_str() {
                "/redirects" => format!("http://127.0.0.2:{port}/fine"),
                _ => "http://169.254.169.254/latest/meta-data/".to_owned(),
            };
            let head = "HTTP/1.1 307 Temporary Redirect\r\nConnection: close\r\n";
            stream.write_all(format!("{head}Location: {place}\r\n\r\n").as_bytes())
        }
        "/breaks" => stream.write_all(ok("", "{\"text\": \"a").as_bytes()),
        "/latin1" => {
            stream.write_all(ok("", "").as_bytes())?;
            stream.write_all(b"\xff\xfe caf\xe9 \xed\xa0\x80")
        }
        "/closes" => Ok(()),
        "/lies" => stream.write_all(ok("Content-Length: 1000\r\n", "short").as_bytes()),
        "/errs" => stream.write_all(b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n"),
        "/late" => {
            std::thread::sleep(2 * Duration::from_millis(super::table::SHORT_MS));
            stream.write_all(ok("", "late").as_bytes())
        }
        "/promises" => stream.write_all(ok("Content-Length: 0\r\n", "").as_bytes()),
        "/returns" => {
            stream.write_all(ok("Content-Length: 0\r\n", "").as_bytes())?;
            drop(stream);
            seen.returned.fetch_add(1, Ordering::Relaxed);
            come_back(&body, seen)
        }
        _ => stream.write_all(ok("Content-Length: 4\r\n", "fine").as_bytes()),
    }
}

fn drip(stream: &mut TcpStream, bytes: &[u8], until: Instant) -> std::io::Result<()> {
    for byte in bytes.chunks(1) {
        if Instant::now() > until {
            break;
        }
        stream.write_all(byte)?;
        std::thread::sleep(DRIP);
    }
    Ok(())
}

fn again(stream: &mut TcpStream, bytes: &[u8], until: Instant) -> std::io::Result<()> {
    while Instant::now() < until {
        stream.write_all(bytes)?;
    }
    Ok(())
}

/// Answers later, more often than it may.
fn come_back(body: &str, seen: &Seen) -> std::io::Result<()> {
    let field = body.split('&').find_map(|field| field.strip_prefix("response_url="));
    let url = field.unwrap_or_default().replace("%2F", "/").replace("%3A", ":");
    let path = url.find("/respond/").map_or("/", |at| &url[at..]);
    let server = *seen.server.get().expect("it calls, so it runs");
    for _ in 0..RETURNS {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(STAMINA))?;
        let body = r#"{"text": "again"}"#;
        let (host, length) = (server, body.len());
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        let count = if answer.ends_with(b"200") { &seen.taken } else { &seen.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
