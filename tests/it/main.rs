//! The one integration binary: every module is a behaviour of the running programs or of the tree.

mod crash;

mod documents;

mod edges;

mod golden_log;

#[cfg(all(feature = "script", feature = "wasm"))]
mod hostile;

mod server;

mod sim;

mod tidy;

mod tree;

mod trial;

mod whatsapp;

mod whatsapp_send;
