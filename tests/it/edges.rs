//! Connections that end at awkward moments and peers that take more than their share, against the
//! running server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server in development mode on a port of its own, with fresh data. Ends with the value.
struct Server {
    child: Child,
    address: String,
    data: PathBuf,
}

impl Server {
    /// `name` is the test's, `env` are settings.
    fn start(name: &str, env: &[(&str, &str)]) -> Self {
        let name = format!("ringpost-edges-{name}-{}", std::process::id());
        let data = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&data);
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringpost"))
            .args(["--dev", "--listen", "127.0.0.1:0", "--shards", "2", "--data"])
            .arg(&data)
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a ready line");
        let address = line.trim().rsplit_once("http://").expect("an address").1.to_owned();
        Self { child, address, data }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream
    }

    /// A WebSocket on `/ws`.
    fn websocket(&self) -> TcpStream {
        let mut stream = self.connect();
        let head = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("sent");
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a reply");
            reply.push(byte[0]);
        }
        assert!(reply.starts_with(b"HTTP/1.1 101 "));
        stream
    }

    fn status(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("a child")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// A client's frame, masked with zeros.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn text(json: &str) -> Vec<u8> {
    frame(1, json.as_bytes())
}

/// Everything until the server closes.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset ends it as well; what came before counts.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn a_request_and_the_end_of_input_together_are_answered() {
    let server = Server::start("half", &[]);
    for round in 0..40 {
        let mut stream = server.connect();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("sent");
        stream.shutdown(Shutdown::Write).expect("half closed");
        let reply = rest(stream);
        assert!(reply.starts_with(b"HTTP/1.1 200 "), "round {round}: {reply:?}");
    }
    for round in 0..40 {
        let mut stream = server.websocket();
        stream.write_all(&frame(8, &[0x03, 0xe8])).expect("sent");
        stream.shutdown(Shutdown::Write).expect("half closed");
        assert_eq!(rest(stream), [0x88, 2, 0x03, 0xe8], "round {round}");
    }
}

/// The rooms of a `hello` answer from both shards; the socket is gone before they have.
#[test]
fn vanishing_while_rooms_are_joined_harms_nobody() {
    let mut server = Server::start("vanish", &[]);
    let rooms: Vec<_> = (0..60).map(|n| format!(r#""room-{n}":{{"last":5}}"#)).collect();
    let hello = format!(
        r#"{{"t":"hello","id":1,"d":{{"user":"alice","quiet":true,"rooms":{{{}}}}}}}"#,
        rooms.join(",")
    );
    for round in 0..60 {
        let mut stream = server.websocket();
        let mut bytes = text(&hello);
        // Some break a rule, some say goodbye, some just go.
        match round % 3 {
            0 => bytes.extend_from_slice(&frame(2, b"binary")),
            1 => bytes.extend_from_slice(&frame(8, &[0x03, 0xe8])),
            _ => {}
        }
        stream.write_all(&bytes).expect("sent");
        drop(stream);
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(server.status(), None, "the server runs");
    for n in 0..8 {
        let mut stream = server.websocket();
        let hello = format!(r#"{{"t":"hello","id":1,"d":{{"user":"bob-{n}"}}}}"#);
        stream.write_all(&text(&hello)).expect("sent");
        stream.write_all(&text(&format!(r#"{{"t":"join","id":2,"room":"room-{n}"}}"#))).expect("");
        stream.write_all(&text(r#"{"t":"bye","id":3}"#)).expect("sent");
        let reply = String::from_utf8_lossy(&rest(stream)).into_owned();
        assert!(reply.contains(r#""id":1,"t":"ok""#) && reply.contains("resume"), "{reply}");
    }
}

#[test]
fn whoever_asks_without_reading_is_not_stored() {
    const REQUESTS: usize = 4_000;
    let server = Server::start("pipeline", &[]);
    let stream = server.connect();
    let mut writer = stream.try_clone().expect("a second handle");
    let one = b"GET /console.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let sender = std::thread::spawn(move || {
        // The server may close before it has read all of it.
        let _ = writer.write_all(&one.repeat(REQUESTS));
    });
    std::thread::sleep(Duration::from_millis(500));
    let bytes = rest(stream).len();
    sender.join().expect("no panic");
    assert!(bytes < 32 << 20, "{bytes} bytes were kept for one peer");
    let mut other = server.connect();
    other
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("sent");
    assert!(rest(other).starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn an_address_has_as_many_connections_as_it_may() {
    let server = Server::start("address", &[("RINGPOST_LIMITS_CONNECTIONS_PER_IP", "3")]);
    let mut kept: Vec<_> = (0..3).map(|_| server.websocket()).collect();
    let ask = |server: &Server| {
        let mut stream = server.connect();
        let _ = stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        rest(stream)
    };
    assert_eq!(ask(&server), b"");
    drop(kept.pop());
    let mut answer = Vec::new();
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(20));
        answer = ask(&server);
        if !answer.is_empty() {
            break;
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{answer:?}");
}
