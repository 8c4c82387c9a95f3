//! Health and the other endpoints for operators.

/// Status and body of `/healthz`.
pub const fn health(is_healthy: bool) -> (u16, &'static str) {
    if is_healthy { (200, "ok\n") } else { (503, "a shard does not turn\n") }
}
