//! Whether the server's limits, as `hello` tells them, leave room for the wanted load. Pure.

use crate::driver::Failure;
use crate::scenarios::Settings;
use ringpost::base::limits;
use serde_json::Value;

/// How to lift the limits a load test meets.
const LIFT: &str = "start the server with `--set limits.sends_per_s=0 \
                    --set limits.room_sends_per_s=0 --set limits.frames_per_s=0`, \
                    or use more --members or a lower --rate";

/// Compares one member's part of the load with what one session and one user may send.
///
/// # Errors
/// When the load would be refused; the hint says how to lift the limit.
pub fn allow(told: &Value, settings: &Settings) -> Result<(), Failure> {
    let session = told["send_per_s"].as_f64().unwrap_or(0.0);
    // An older server tells nothing of the bound per room; where sessions are bound, so are rooms.
    let room_default = if session > 0.0 { f64::from(limits::ROOM_SENDS_PER_S) } else { 0.0 };
    let room = told["room_send_per_s"].as_f64().unwrap_or(room_default);
    let bounds = [(session, "one session"), (room, "one user in one room")];
    let bounds = bounds.into_iter().filter(|(per_s, _)| *per_s > 0.0);
    let Some((per_s, whose)) = bounds.min_by(|a, b| a.0.total_cmp(&b.0)) else { return Ok(()) };
    let wanted = settings.rate / settings.members as f64;
    if settings.rate > 0.0 && wanted <= per_s {
        return Ok(());
    }
    let wanted = match settings.rate {
        0.0 => "as fast as it can".to_string(),
        _ => format!("{wanted:.1} messages a second per member"),
    };
    let what = format!("the server lets {whose} send {per_s} messages a second; wanted: {wanted}");
    Err(Failure::new(what).hint(LIFT))
}
