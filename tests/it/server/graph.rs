//! A Graph API of a few lines that answers as a test wants.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// How the next call is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Taken, under this id.
    Taken(&'static str),
    /// Refused with this code.
    Error(u32),
    /// The connection breaks once the request has come.
    Break,
    /// Nothing, for as long as the test lasts.
    Silence,
}

/// One request: who it was for, its token, its body.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub token: String,
    pub body: Value,
}

/// The stand-in; ends with the process.
pub struct Graph {
    address: SocketAddr,
    replies: Arc<Mutex<Vec<Reply>>>,
    requests: mpsc::Receiver<Request>,
}

impl Graph {
    /// Listens on a free port. Without a script it takes everything under made-up ids.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let replies: Arc<Mutex<Vec<Reply>>> = Arc::default();
        let (sender, requests) = mpsc::channel();
        let script = Arc::clone(&replies);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, sender) = (Arc::clone(&script), sender.clone());
                std::thread::spawn(move || serve(stream, &script, &sender));
            }
        });
        Self { address, replies, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next calls are answered so, in this order.
    pub fn script(&self, replies: &[Reply]) {
        *self.replies.lock().expect("whole") = replies.iter().rev().cloned().collect();
    }

    /// The next message that is asked for, receipts left out.
    pub fn message(&self) -> Request {
        loop {
            let request = self.requests.recv_timeout(super::process::PATIENCE).expect("a call");
            if request.body.get("status").is_none() {
                return request;
            }
        }
    }

    /// Nothing was asked for in a while.
    pub fn is_left_alone(&self) -> bool {
        self.requests.recv_timeout(Duration::from_millis(700)).is_err()
    }
}

fn serve(
    mut stream: TcpStream,
    script: &Mutex<Vec<Reply>>,
    requests: &mpsc::Sender<Request>,
) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => read_more(&mut stream, &mut bytes)?,
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let value = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1.to_owned())
        };
        let length: usize = value("content-length")?.parse().ok()?;
        while bytes.len() < end + length {
            read_more(&mut stream, &mut bytes)?;
        }
        let body: Value = serde_json::from_slice(&bytes[end..end + length]).expect("JSON");
        bytes.drain(..end + length);
        let path = head.split(' ').nth(1)?.to_owned();
        let token = value("authorization").unwrap_or_default();
        let signal = body.get("status").is_some();
        let _ = requests.send(Request { path, token, body });
        let next = if signal { None } else { script.lock().expect("whole").pop() };
        let (status, body) = match next {
            None if signal => (200, r#"{"success":true}"#.to_owned()),
            None => (200, taken("wamid.any")),
            Some(Reply::Taken(id)) => (200, taken(id)),
            Some(Reply::Error(code)) => {
                (400, format!(r#"{{"error":{{"code":{code},"message":"No."}}}}"#))
            }
            Some(Reply::Break) => return None,
            Some(Reply::Silence) => {
                std::thread::sleep(Duration::from_secs(120));
                return None;
            }
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn taken(id: &str) -> String {
    format!(r#"{{"messaging_product":"whatsapp","messages":[{{"id":"{id}"}}]}}"#)
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut more = [0; 4_096];
    let count = stream.read(&mut more).ok().filter(|count| *count > 0)?;
    bytes.extend_from_slice(&more[..count]);
    Some(())
}
