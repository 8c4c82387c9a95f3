//! Reports over the log: tail, summary, verify.
