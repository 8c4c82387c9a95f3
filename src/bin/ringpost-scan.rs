//! `ringpost-scan`: asks the log.

fn main() {}
