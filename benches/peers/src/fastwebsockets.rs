//! fastwebsockets on hyper, one thread.

mod rooms;

use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError, upgrade};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rooms::{Rooms, listen};
use tokio::task::{LocalSet, spawn_local};

type Said = (OpCode, Bytes);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rooms = Rooms::new();
    LocalSet::new()
        .run_until(async move {
            let listener = listen().await;
            for id in 0.. {
                let (stream, _) = listener.accept().await.expect("a connection");
                let _ = stream.set_nodelay(true);
                let rooms = rooms.clone();
                spawn_local(async move {
                    let service = service_fn(|request| answer(request, id, rooms.clone()));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                });
            }
        })
        .await;
}

async fn answer(
    mut request: Request<Incoming>,
    id: u64,
    rooms: Rooms<Said>,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let path = request.uri().path().to_owned();
    let (response, socket) = upgrade::upgrade(&mut request)?;
    spawn_local(async move {
        let _ = match path.as_str() {
            "/echo" => echo(socket).await,
            _ => talk(socket, path, id, rooms).await,
        };
    });
    Ok(response)
}

async fn echo(socket: upgrade::UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = fastwebsockets::FragmentCollector::new(socket.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

async fn talk(
    socket: upgrade::UpgradeFut,
    path: String,
    id: u64,
    rooms: Rooms<Said>,
) -> Result<(), WebSocketError> {
    let (reader, mut writer) = socket.await?.split(tokio::io::split);
    let mut reader = FragmentCollectorRead::new(reader);
    let mut inbox = rooms.enter(&path, id);
    spawn_local(async move {
        while let Some((opcode, bytes)) = inbox.recv().await {
            let frame = Frame::new(true, opcode, None, Payload::Borrowed(&bytes));
            if writer.write_frame(frame).await.is_err() {
                return;
            }
        }
    });
    loop {
        let mut ignore = |_| async { Ok::<(), WebSocketError>(()) };
        let read = reader.read_frame::<_, WebSocketError>(&mut ignore).await;
        match read {
            Ok(frame) if matches!(frame.opcode, OpCode::Text | OpCode::Binary) => {
                let said = (frame.opcode, Bytes::copy_from_slice(&frame.payload));
                rooms.say(&path, &said);
            }
            Ok(frame) if frame.opcode == OpCode::Close => break,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    rooms.leave(&path, id);
    Ok(())
}
