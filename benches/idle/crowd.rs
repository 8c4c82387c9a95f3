//! Many quiet clients on one thread: no buffer, no task, one look at every socket now and then.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Clients that open together: few enough for any backlog.
const BATCH: usize = 200;
/// A client that is not in by then never will be.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

/// How far a client goes before it falls silent.
#[derive(Clone, Copy)]
pub enum Entry {
    /// The handshake on `/echo`.
    Echo,
    /// `hello` on `/ws`, and a join to one of so many rooms.
    Chat { rooms: usize },
}

/// The clients of one server.
pub struct Crowd {
    address: SocketAddr,
    entry: Entry,
    name: &'static str,
    clients: Vec<Client>,
    ping_count: u64,
    scratch: Vec<u8>,
}

struct Client {
    socket: TcpStream,
    /// Bytes of a frame, or of the response's head, whose end has not come.
    partial: Vec<u8>,
    /// Replies so far: the handshake, `hello`, `join`, and the echo or the `ok` of a message.
    replies: u32,
    lost: bool,
}

impl Crowd {
    pub fn new(address: SocketAddr, entry: Entry, name: &'static str) -> Self {
        let scratch = vec![0; 64 << 10];
        Self { address, entry, name, clients: Vec::new(), ping_count: 0, scratch }
    }

    /// Opens `count` clients and waits until all are where they should be.
    pub fn open(&mut self, count: usize) {
        while self.clients.len() < count {
            let first = self.clients.len();
            for _ in first..count.min(first + BATCH) {
                let socket = TcpStream::connect(self.address).expect("the server accepts");
                socket.set_nonblocking(true).expect("a socket can be set");
                let client = Client { socket, partial: Vec::new(), replies: 0, lost: false };
                self.clients.push(client);
            }
            let path = if matches!(self.entry, Entry::Echo) { "/echo" } else { "/ws" };
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                self.address
            );
            self.each_sends(first, |_| request.clone().into_bytes());
            self.wait_for(first, 1);
            let Entry::Chat { rooms } = self.entry else { continue };
            let name = self.name;
            self.each_sends(first, |n| {
                text(&format!(r#"{{"t":"hello","id":1,"d":{{"user":"{name}-{n}"}}}}"#))
            });
            self.wait_for(first, 2);
            self.each_sends(first, |n| {
                text(&format!(r#"{{"t":"join","id":2,"room":"room-{}"}}"#, n % rooms))
            });
            self.wait_for(first, 3);
        }
    }

    /// Each client sends one message and gets its answer.
    pub fn say_something(&mut self) {
        let (entry, wanted) = (self.entry, self.clients[0].replies + 1);
        self.each_sends(0, |n| match entry {
            Entry::Echo => text(r#"{"t":"ok"}"#),
            Entry::Chat { rooms } => {
                let room = n % rooms;
                let d = format!(r#"{{"cid":"c{n}","text":"hello"}}"#);
                text(&format!(r#"{{"t":"send","id":3,"room":"room-{room}","d":{d}}}"#))
            }
        });
        self.wait_for(0, wanted);
    }

    /// Stays for so long, answering pings.
    pub fn hold(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.look(0);
            thread::sleep(Duration::from_millis(500).min(end - Instant::now().min(end)));
        }
        self.look(0);
    }

    /// Connections that the server has ended.
    pub fn lost_count(&self) -> usize {
        self.clients.iter().filter(|client| client.lost).count()
    }

    /// Pings of both kinds that were answered.
    pub fn ping_count(&self) -> u64 {
        self.ping_count
    }

    fn each_sends(&mut self, first: usize, mut bytes: impl FnMut(usize) -> Vec<u8>) {
        for (n, client) in self.clients.iter_mut().enumerate().skip(first) {
            client.socket.write_all(&bytes(n)).expect("a few bytes fit the socket's buffer");
        }
    }

    fn wait_for(&mut self, first: usize, replies: u32) {
        let end = Instant::now() + OPEN_WITHIN;
        while self.clients[first..].iter().any(|client| client.replies < replies) {
            assert!(Instant::now() < end, "the server did not answer all in time");
            assert!(self.lost_count() == 0, "the server ended a connection that was being opened");
            self.look(first);
            thread::sleep(Duration::from_millis(1));
        }
        // The others must not be taken for dead meanwhile.
        self.look(0);
    }

    /// Takes what has come to the clients from `first` on.
    fn look(&mut self, first: usize) {
        for client in &mut self.clients[first..] {
            while !client.lost {
                match client.socket.read(&mut self.scratch) {
                    Ok(0) => client.lost = true,
                    Ok(count) => self.ping_count += client.take(&self.scratch[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => client.lost = true,
                }
            }
        }
    }
}

impl Client {
    /// Reads whole frames; answers pings and gives their number.
    fn take(&mut self, bytes: &[u8]) -> u64 {
        let mut all = std::mem::take(&mut self.partial);
        all.extend_from_slice(bytes);
        let mut rest = &all[..];
        if self.replies == 0 {
            let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") else {
                self.partial = all;
                return 0;
            };
            assert!(rest.starts_with(b"HTTP/1.1 101 "), "the server upgrades");
            self.replies = 1;
            rest = &rest[end + 4..];
        }
        let mut ping_count = 0;
        while let Some((opcode, payload, after)) = frame(rest) {
            rest = after;
            match opcode {
                0x1 if is_verb(payload, "ok") => self.replies += 1,
                0x1 if is_verb(payload, "ping") => {
                    ping_count += 1;
                    self.lost |= self.socket.write_all(&text(r#"{"t":"pong"}"#)).is_err();
                }
                0x8 => self.lost = true,
                0x9 => {
                    ping_count += 1;
                    self.lost |= self.socket.write_all(&masked(0xA, payload)).is_err();
                }
                _ => {}
            }
        }
        self.partial = rest.to_vec();
        ping_count
    }
}

/// Whether this is the verb of a message. Its key may come first or last: nothing here parses JSON.
fn is_verb(message: &[u8], verb: &str) -> bool {
    let pair = format!(r#""t":"{verb}""#);
    message.strip_prefix(b"{").is_some_and(|rest| rest.starts_with(pair.as_bytes()))
        || message.strip_suffix(b"}").is_some_and(|rest| rest.ends_with(pair.as_bytes()))
}

/// The first frame of a server's bytes (RFC 6455 §5.2): opcode, payload, and what follows.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [first, len, rest @ ..] = bytes else { return None };
    let (len, rest) = match len {
        126 => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        127 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*len) as usize, rest)
        }
        len => (usize::from(*len), rest),
    };
    let (payload, rest) = rest.split_at_checked(len)?;
    Some((first & 0x0F, payload, rest))
}

fn text(text: &str) -> Vec<u8> {
    masked(0x1, text.as_bytes())
}

/// A client's frame of up to 65,535 bytes. A mask of zeros is a mask, and changes nothing.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(len) if len < 126 => frame.push(0x80 | len),
        _ => {
            frame.push(0x80 | 126);
            frame.extend((payload.len() as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}
