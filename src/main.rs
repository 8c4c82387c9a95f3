//! `ringpost`: the server and its companions.

fn main() {}
