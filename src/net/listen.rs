//! Listening sockets: one per shard on the same address, so that the kernel spreads the peers and
//! no shard hands a socket to another.

use super::error::{StartError, Step};
use crate::base::limits::{LISTEN_BACKLOG, SOCKET_UNSENT_BYTES};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// How to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenOptions {
    /// Connections that may wait for their accept; the kernel caps it at net.core.somaxconn.
    pub backlog: u32,
    /// On an IPv6 address: refuse IPv4 peers instead of showing them as mapped addresses.
    pub ipv6_only: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: LISTEN_BACKLOG, ipv6_only: false }
    }
}

/// A socket that listens, not yet given to a driver. Closes on drop.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    address: SocketAddr,
}

impl Listener {
    /// The bound address, with the port that the kernel chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The plain socket, for a server that does not use a driver.
    pub fn into_std(self) -> TcpListener {
        self.socket.into()
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Listens on `address`; port 0 lets the kernel choose. Several listeners may share an address
/// within one user (SO_REUSEPORT); [`listen_group`] makes sure that they are all ours.
pub fn listen(address: SocketAddr, options: ListenOptions) -> Result<Listener, StartError> {
    open(address, options).map_err(|error| refused(address, &error))
}

fn refused(address: SocketAddr, error: &io::Error) -> StartError {
    StartError::from_io(Step::Listen, format!("listen on {address}"), error)
}

/// One listener for each of `count` shards. With port 0 the first bind decides the port of all.
///
/// SO_REUSEPORT would also let a second server of the same user in, and the kernel would hand it a
/// share of the first one's clients. So the address is first bound without it, which fails while
/// anybody listens there.
pub fn listen_group(
    address: SocketAddr,
    count: u16,
    options: ListenOptions,
) -> Result<Vec<Listener>, StartError> {
    assert!(count > 0);
    if address.port() != 0 {
        socket(address, options)
            .and_then(|socket| socket.bind(&address.into()))
            .map_err(|error| refused(address, &error))?;
    }
    let first = listen(address, options)?;
    let bound = first.address;
    let mut group = vec![first];
    for _ in 1..count {
        group.push(listen(bound, options)?);
    }
    Ok(group)
}

/// A socket that connections of an earlier life (TIME_WAIT) do not keep from binding.
fn socket(address: SocketAddr, options: ListenOptions) -> io::Result<Socket> {
    // The socket stays blocking: a ring answers EAGAIN on a non-blocking one instead of waiting.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(options.ipv6_only)?;
    }
    Ok(socket)
}

fn open(address: SocketAddr, options: ListenOptions) -> io::Result<Listener> {
    let socket = socket(address, options)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit these two, which saves system calls for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(SOCKET_UNSENT_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(options.backlog.min(i32::MAX as u32) as i32)?;
    let bound = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok(Listener { socket: socket.into(), address: bound })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_shares_the_port_that_the_first_got() {
        let address = "127.0.0.1:0".parse().expect("an address");
        let group = listen_group(address, 3, ListenOptions::default()).expect("free port");
        assert_ne!(group[0].address().port(), 0);
        assert!(group.iter().all(|listener| listener.address() == group[0].address()));
    }

    #[test]
    fn a_second_group_on_the_same_port_is_refused() {
        let address = "127.0.0.1:0".parse().expect("an address");
        let group = listen_group(address, 2, ListenOptions::default()).expect("free port");
        let address = group[0].address();
        let error = listen_group(address, 2, ListenOptions::default()).expect_err("taken");
        assert_eq!((error.step, error.errno), (Step::Listen, libc::EADDRINUSE));
        drop(group);
        listen_group(address, 2, ListenOptions::default()).expect("free again");
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("free port");
        let address = taken.local_addr().expect("bound");
        let error = listen(address, ListenOptions::default()).expect_err("taken");
        assert_eq!((error.step, error.errno), (Step::Listen, libc::EADDRINUSE));
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}:")));
    }
}
