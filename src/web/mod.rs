//! The console page and the client module for browsers, embedded.
