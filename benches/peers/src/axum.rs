//! axum on one thread, with the broadcast channel of its chat example.

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use rooms::listen;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Sender, channel};

#[allow(dead_code)]
mod rooms;

/// Messages a member may be behind before it misses some.
const BEHIND_MAX: usize = 1 << 14;

type Rooms = Arc<Mutex<HashMap<u32, Sender<Message>>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let app = Router::new()
        .route("/echo", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }))
        .route("/room/{room}", get(enter))
        .with_state(Rooms::default());
    let listener = listen().await;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await.expect("it serves");
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_))
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}

async fn enter(
    upgrade: WebSocketUpgrade,
    Path(room): Path<u32>,
    State(rooms): State<Rooms>,
) -> Response {
    let sender = rooms
        .lock()
        .expect("nobody panics")
        .entry(room)
        .or_insert_with(|| channel(BEHIND_MAX).0)
        .clone();
    upgrade.on_upgrade(move |socket| talk(socket, sender))
}

async fn talk(socket: WebSocket, sender: Sender<Message>) {
    let mut inbox = sender.subscribe();
    let (mut sink, mut stream) = socket.split();
    let writer = tokio::spawn(async move {
        loop {
            match inbox.recv().await {
                Ok(message) => {
                    if sink.feed(message).await.is_err() {
                        return;
                    }
                    while let Ok(message) = inbox.try_recv() {
                        if sink.feed(message).await.is_err() {
                            return;
                        }
                    }
                    if sink.flush().await.is_err() {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
    while let Some(Ok(message)) = stream.next().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            let _ = sender.send(message);
        }
    }
    writer.abort();
}
