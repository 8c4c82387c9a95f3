//! HTTP by hand: bytes out, responses in.

use super::process::Server;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// One HTTP connection.
pub struct Raw {
    stream: TcpStream,
    /// Read, not yet taken.
    bytes: Vec<u8>,
}

/// One response.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Status line and fields.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

impl Raw {
    /// A fresh connection.
    pub fn connect(server: &Server) -> Self {
        Self { stream: server.connect(), bytes: Vec::new() }
    }

    /// Writes bytes; a server that has refused already may have closed, which is no failure.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// No more will be written.
    pub fn shut(&self) {
        self.stream.shutdown(Shutdown::Write).expect("open until now");
    }

    /// The next response to a request that is not HEAD.
    pub fn response(&mut self) -> Response {
        self.read_response(false)
    }

    /// The next response to a HEAD request.
    pub fn head_response(&mut self) -> Response {
        self.read_response(true)
    }

    /// The response, unless the connection ends without one.
    pub fn try_response(mut self) -> Option<Response> {
        (!self.bytes.is_empty() || self.fill()).then(|| self.response())
    }

    /// Writes a request and gives its response, unless the connection ends without one.
    pub fn ask(mut self, request: &str) -> Option<Response> {
        self.write(request);
        self.try_response()
    }

    fn read_response(&mut self, to_head: bool) -> Response {
        let end = loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(
                self.fill(),
                "the connection ended: {:?}",
                String::from_utf8_lossy(&self.bytes)
            );
        };
        let head: Vec<u8> = self.bytes.drain(..end).collect();
        let head = String::from_utf8(head).expect("ASCII");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut response = Response { status, head, body: Vec::new() };
        let length = response.field("content-length").map(|n| n.parse::<usize>().expect("digits"));
        let bodiless = to_head || status < 200 || status == 304;
        if let Some(length) = length.filter(|_| !bodiless) {
            while self.bytes.len() < length {
                assert!(self.fill(), "the connection ended within the body of {}", response.head);
            }
            response.body = self.bytes.drain(..length).collect();
        }
        response
    }

    /// Reads more; `false` at the end of the connection.
    fn fill(&mut self) -> bool {
        let mut piece = [0; 16_384];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                self.bytes.extend_from_slice(&piece[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("waiting for bytes: {error}"),
        }
    }

    /// Waits for the end of the connection and gives what came before it.
    pub fn rest(mut self) -> Vec<u8> {
        while self.fill() {}
        self.bytes
    }
}

/// One request on a connection of its own.
pub fn exchange(server: &Server, request: impl AsRef<[u8]>) -> Response {
    let mut raw = Raw::connect(server);
    raw.write(request);
    raw.response()
}

/// GET of a path.
pub fn get(server: &Server, path: &str) -> Response {
    exchange(server, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
}
