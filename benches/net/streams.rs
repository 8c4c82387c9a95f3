//! glommio as it comes: a task per connection on its `TcpStream`.

use super::sys::{self, Seat};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use std::os::fd::{FromRawFd, IntoRawFd};

/// Sends back what it receives.
pub fn echo(seat: Seat) {
    let builder = LocalExecutorBuilder::new(Placement::Fixed(sys::cpus().0)).io_memory(64 << 10);
    builder.make().expect("an executor").run(async move {
        let fd = seat.listener.into_std().into_raw_fd();
        // SAFETY: the descriptor is a listening socket that nobody else owns.
        let listener = unsafe { TcpListener::from_raw_fd(fd) };
        let mut tasks = Vec::with_capacity(seat.connections);
        for _ in 0..seat.connections {
            let stream = listener.accept().await.expect("a client");
            tasks.push(glommio::spawn_local(echo_one(stream)).detach());
        }
        seat.clock.publish();
        for task in tasks {
            task.await;
        }
    });
}

async fn echo_one(mut stream: TcpStream) {
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => {
                if stream.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}
