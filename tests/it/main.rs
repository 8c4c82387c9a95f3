//! The one integration binary: every module is a behaviour of the running programs or of the tree.

mod documents;

mod edges;

mod server;

mod sim;

mod tidy;

mod tree;

mod whatsapp;
