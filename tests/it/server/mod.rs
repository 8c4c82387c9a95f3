//! The running server, from the outside: every test starts the real program, talks to it over
//! sockets, and names the behaviour whose failure it would show.

mod api;

pub mod client;

mod commands;

mod complaints;

pub mod desk;

pub mod process;

mod raw;

mod raw_rooms;

mod endings;

pub mod erasure;

mod history;

mod graph;

mod handlers;

mod http;

mod hooks;

mod media;

mod intake;

mod metrics;

mod outgoing;

mod platform;

mod protocol;

mod restart;

mod scarcity;

mod shards;

mod slow;

mod start;

mod story;

mod subscriptions;

mod webhook;

#[cfg(all(feature = "script", feature = "wasm"))]
mod working;
