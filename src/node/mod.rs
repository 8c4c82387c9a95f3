//! N shards, the log thread and signals: start and stop in order.
