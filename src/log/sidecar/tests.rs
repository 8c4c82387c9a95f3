//! Sidecars against the rows they were made from.
