//! Doors through which others post into rooms.
