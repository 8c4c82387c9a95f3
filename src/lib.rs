//! ringpost: a self-hosted messaging server that joins WhatsApp with WebSocket rooms.
//!
//! The modules below stand in reading order, which is dependency order: a module may import only
//! what stands above it, and `tests/it/tidy.rs` proves that.

/// Ids, bounds, clock, containers and the closed lists of codes that every layer shares.
pub mod base;

/// Counters and latency histograms of the running server, and their snapshots.
pub mod metrics;

/// Pure codecs between bytes and protocol: HTTP/1.1 and WebSocket.
pub mod wire;

/// What operators add while the server runs: definitions of handlers, hooks and subscriptions.
pub mod registry;

/// The append-only log: its format, ring, writer thread, recovery and memory-mapped readers.
pub mod log;

/// Rules of operators: when this happens, do that.
pub mod handlers;

/// Doors through which others post into rooms.
pub mod hooks;

/// What people type after a slash: built-in commands, and those that are added.
pub mod commands;

/// The pure domain: sessions, rooms, presence, receipts, history; events in, effects out.
pub mod chat;

/// The pure side of WhatsApp: webhook model, signature, conversation of a message.
pub mod whatsapp;

/// Reports over the log: tail, summary, verify.
pub mod scan;

/// Handlers against files and against the past: what they would have done.
pub mod rehearsal;

/// One table of settings, from which file, environment, flags and documents are made.
pub mod config;

/// The sockets of a shard on its own io_uring: listener, connections, send queues, bells.
pub mod net;

/// The one thread that calls out: the Graph API and addresses of an operator's choice.
pub mod egress;

/// Programs of the operator that carry out commands.
pub mod programs;

/// Messages out between the rooms that own them and the Graph API.
pub mod outbox;

/// Those who are told what happens, by signed webhooks.
pub mod subscriptions;

/// Health and the other endpoints for operators.
pub mod admin;

/// The console page and the client module for browsers, embedded.
pub mod web;

/// The event loop of a shard: the only place where net, wire, chat and log meet.
pub mod shard;

/// N shards, the log thread and signals: start and stop in order.
pub mod node;

/// The terminal client.
pub mod terminal;

/// `ringpost command`: commands of a running server.
pub mod remote;
