//! Ids, bounds, clock, containers and the closed lists of codes that every layer shares.
//!
//! **Never:** input or output, a system clock, randomness. Everything here is a value.

pub mod ids;

pub mod limits;

pub mod clock;

pub mod hash;

pub mod slab;

pub mod table;

pub mod wheel;

pub mod codes;

pub mod letters;

pub mod escape;

pub mod moment;

pub mod names;

pub mod nearest;

pub mod network;

pub mod rate;

pub mod role;

pub mod secret;
