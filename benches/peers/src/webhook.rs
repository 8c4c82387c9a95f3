//! axum and the crate `meta-whatsapp` on one thread: signed webhooks as one would write it down.
//! Each message is checked, told from one that came before, and kept with its contact; each status
//! is counted. Nothing touches a disk.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use meta_whatsapp::WebhookVerifier;
use rooms::listen;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[allow(dead_code)]
mod rooms;

/// As many as a room of ringpost keeps in memory.
const KEPT_MAX: usize = 512;
/// As large as ringpost's.
const BODY_BYTES_MAX: usize = 4 << 20;

struct Desk {
    verifier: WebhookVerifier,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    messages: HashSet<String>,
    statuses: u64,
    contacts: HashMap<String, VecDeque<String>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // The crate's own window of five minutes would refuse what the platform posts again.
    let verifier = WebhookVerifier::new("secret")
        .expect("not empty")
        .with_tolerance(Duration::ZERO)
        .with_max_body_bytes(BODY_BYTES_MAX);
    let app = Router::new()
        .route("/webhook/whatsapp", post(take))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(Desk { verifier, seen: Mutex::default() }));
    let listener = listen().await;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await.expect("it serves");
}

async fn take(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok());
    let Ok(payload) = desk.verifier.verify_and_parse(&body, header.unwrap_or("")) else {
        return StatusCode::UNAUTHORIZED;
    };
    let mut seen = desk.seen.lock().expect("nobody panics");
    for (_, message) in payload.inbound_messages() {
        if !seen.messages.insert(message.id.clone()) {
            continue;
        }
        let kept = seen.contacts.entry(message.from.clone()).or_default();
        kept.push_back(message.text_body().unwrap_or("").to_owned());
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
    }
    seen.statuses += payload.statuses().count() as u64;
    StatusCode::OK
}
