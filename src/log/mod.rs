//! The append-only log: its format, ring, writer thread, recovery and memory-mapped readers.
