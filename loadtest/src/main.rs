//! `ringpost-load`: load tester for WebSocket servers.

fn main() {}
