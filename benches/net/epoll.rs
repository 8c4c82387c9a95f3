//! The yardstick: one epoll loop with plain `recv` and `send`.

use super::sys::{self, Epoll, MESSAGE_BYTES, Seat};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// Sends back what it receives.
pub fn echo(seat: Seat) {
    let mut buffer = vec![0; 4_096];
    serve(seat, |sockets, from| {
        let fd = sockets[from].as_raw_fd();
        let count = sys::receive(fd, &mut buffer);
        if count > 0 {
            sys::send(fd, &buffer[..count as usize]);
        }
        count
    });
}

/// Sends each message that anyone sends to everyone: one send per socket and message.
pub fn fan_out(seat: Seat) {
    let mut buffer = vec![0; 4_096];
    serve(seat, |sockets, from| {
        let count = sys::receive(sockets[from].as_raw_fd(), &mut buffer);
        for message in buffer[..count.max(0) as usize].chunks(MESSAGE_BYTES) {
            for socket in sockets {
                sys::send(socket.as_raw_fd(), message);
            }
        }
        count
    });
}

fn serve(seat: Seat, mut on_readable: impl FnMut(&[TcpStream], usize) -> isize) {
    sys::pin(sys::cpus().0);
    let listener = seat.listener.into_std();
    let mut epoll = Epoll::new();
    let mut sockets = Vec::with_capacity(seat.connections);
    for token in 0..seat.connections {
        let (socket, _) = listener.accept().expect("a client");
        epoll.add(socket.as_raw_fd(), token);
        sockets.push(socket);
    }
    seat.clock.publish();
    let mut tokens = Vec::new();
    // All clients leave together, so the first to leave ends the run.
    loop {
        tokens.extend(epoll.wait(-1));
        for token in tokens.drain(..) {
            if on_readable(&sockets, token) == 0 {
                return;
            }
        }
    }
}
