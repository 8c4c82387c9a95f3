//! tokio-tungstenite on one thread: what waits for a member is fed and flushed once.

mod rooms;

use futures_util::{SinkExt, StreamExt};
use rooms::{Rooms, listen};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rooms = Rooms::new();
    LocalSet::new()
        .run_until(async move {
            let listener = listen().await;
            for id in 0.. {
                let (stream, _) = listener.accept().await.expect("a connection");
                let _ = stream.set_nodelay(true);
                spawn_local(serve(stream, id, rooms.clone()));
            }
        })
        .await;
}

async fn serve(stream: TcpStream, id: u64, rooms: Rooms<Message>) {
    let mut path = String::new();
    #[allow(clippy::result_large_err)]
    let look = |request: &Request, response: Response| {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, look).await else { return };
    let (mut sink, mut stream) = socket.split();
    if path == "/echo" {
        while let Some(Ok(message)) = stream.next().await {
            if (message.is_text() || message.is_binary()) && sink.send(message).await.is_err() {
                return;
            }
        }
        return;
    }
    let mut inbox = rooms.enter(&path, id);
    spawn_local(async move {
        while let Some(message) = inbox.recv().await {
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
    });
    while let Some(Ok(message)) = stream.next().await {
        if message.is_text() || message.is_binary() {
            rooms.say(&path, &message);
        }
    }
    rooms.leave(&path, id);
}
