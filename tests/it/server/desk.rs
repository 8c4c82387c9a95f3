//! The HTTP API as a program calls it.

use super::process::Server;
use super::raw::{Response, exchange};
use serde_json::Value;

/// A request to any path, with these header lines.
pub fn post(server: &Server, method: &str, path: &str, lines: &str, body: &[u8]) -> Response {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n{lines}\r\n"
    );
    exchange(server, [head.as_bytes(), body].concat())
}

/// A request to the API of a server in development mode; status and JSON.
pub fn call(server: &Server, method: &str, path: &str, body: &str) -> (u16, Value) {
    let response = post(server, method, &format!("/api/v1/{path}"), "", body.as_bytes());
    let value = serde_json::from_slice(&response.body);
    (response.status, value.unwrap_or_else(|_| panic!("{method} {path}: {response:?}")))
}

/// The same, which must be granted.
#[track_caller]
pub fn granted(server: &Server, method: &str, path: &str, body: &str) -> Value {
    let (status, value) = call(server, method, path, body);
    assert_eq!(status, 200, "{method} {path}: {value}");
    value
}
