//! The sockets of a shard on its own io_uring: listener, connections, send queues, bells.
