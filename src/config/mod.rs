//! One table of settings, from which file, environment, flags and documents are made.
