//! The event loop of a shard: the only place where net, wire, chat and log meet.
