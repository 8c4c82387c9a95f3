//! The independent client: the same workloads on tungstenite, so that a fault of our own framing
//! cannot hide one of the server's. A plain poll loop; meant for some hundred connections.

use super::gate::Gate;
use super::thin::{HANDSHAKE_HINT, refused};
use super::{DriverOptions, Failure, Opening, Outbox, Wake, Workload, patience, sys};
use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tungstenite::client::ClientRequestBuilder;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// How long the server may take over one handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

type Socket = WebSocket<TcpStream>;

/// `None` where the connection has been lost.
#[derive(Default)]
struct Sockets {
    sockets: Vec<Option<Socket>>,
    paused: Vec<bool>,
    dirty: Vec<usize>,
    lost: Vec<(usize, String)>,
    /// Connections to open, in order.
    wanted: VecDeque<usize>,
}

impl Sockets {
    fn queue(&mut self, conn: usize, message: Message) {
        let Some(socket) = &mut self.sockets[conn] else { return };
        match socket.write(message) {
            Ok(()) => self.dirty.push(conn),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                self.dirty.push(conn);
            }
            Err(error) => self.lose(conn, &error),
        }
    }

    fn flush(&mut self) {
        let mut still = Vec::new();
        for conn in std::mem::take(&mut self.dirty) {
            let Some(socket) = &mut self.sockets[conn] else { continue };
            match socket.flush() {
                Ok(()) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    still.push(conn);
                }
                Err(error) => self.lose(conn, &error),
            }
        }
        still.dedup();
        self.dirty = still;
    }

    fn lose(&mut self, conn: usize, error: &Error) {
        self.sockets[conn] = None;
        self.lost.push((conn, error.to_string()));
    }
}

impl Outbox for Sockets {
    fn text(&mut self, conn: usize, payload: &[u8]) {
        let text = str::from_utf8(payload).expect("workloads send text as UTF-8");
        self.queue(conn, Message::text(text));
    }

    fn binary(&mut self, conn: usize, payload: &[u8]) {
        self.queue(conn, Message::binary(payload.to_vec()));
    }

    fn open(&mut self, conn: usize) {
        self.wanted.push_back(conn);
    }

    fn close(&mut self, conn: usize) {
        let Some(socket) = &mut self.sockets[conn] else { return };
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        match socket.close(Some(frame)) {
            Ok(()) => self.dirty.push(conn),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                self.dirty.push(conn);
            }
            Err(error) => self.lose(conn, &error),
        }
    }

    fn hang_up(&mut self, conn: usize) {
        self.sockets[conn] = None;
    }

    fn pause(&mut self, conn: usize, paused: bool) {
        self.paused[conn] = paused;
    }
}

/// Drives `workload` to its end.
///
/// # Errors
/// When a connection cannot be opened, or the workload gives up.
pub fn drive(
    options: DriverOptions<'_>,
    gate: &Gate,
    workload: &mut dyn Workload,
) -> Result<(), Failure> {
    let count = workload.connection_count();
    let mut sockets = Sockets {
        sockets: (0..count).map(|_| None).collect(),
        paused: vec![false; count],
        ..Sockets::default()
    };
    if workload.opening() == Opening::AtStart {
        sockets.wanted.extend(0..count);
    }
    let mut fds = Vec::new();
    loop {
        open_wanted(options, gate, &mut sockets, workload)?;
        let now = options.now();
        let wake = match workload.turn(now, &mut sockets)? {
            Wake::Finished => return Ok(()),
            Wake::At(wake) => wake,
        };
        sockets.flush();
        if gate.aborted() {
            return Ok(());
        }
        for (conn, why) in std::mem::take(&mut sockets.lost) {
            workload.lost(conn, &why, options.now());
        }
        fds.clear();
        for (socket, paused) in sockets.sockets.iter().zip(&sockets.paused) {
            let socket = socket.as_ref().filter(|_| !paused);
            let fd = socket.map_or(-1, |socket| socket.get_ref().as_raw_fd());
            fds.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        }
        let timeout = match sockets.dirty.is_empty() {
            true => patience(wake, options.now()),
            false => Duration::from_millis(1),
        };
        sys::poll_readable(&mut fds, timeout)
            .map_err(|error| Failure::new(format!("poll: {error}")))?;
        for (conn, fd) in fds.iter().enumerate() {
            if fd.revents != 0 {
                read(options, conn, &mut sockets, workload);
            }
        }
    }
}

/// Opens what is wanted, one after the other.
fn open_wanted(
    options: DriverOptions<'_>,
    gate: &Gate,
    sockets: &mut Sockets,
    workload: &mut dyn Workload,
) -> Result<(), Failure> {
    while let Some(conn) = sockets.wanted.pop_front() {
        match open(options, conn, workload.path(conn)) {
            Ok(socket) => {
                sockets.sockets[conn] = Some(socket);
                sockets.paused[conn] = false;
                gate.opened.fetch_add(1, Ordering::Relaxed);
                workload.opened(conn, options.now(), sockets);
                sockets.flush();
            }
            Err(failure) if workload.opening() == Opening::OnDemand => {
                workload.lost(conn, &failure.what, options.now());
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

fn open(options: DriverOptions<'_>, conn: usize, path: Option<String>) -> Result<Socket, Failure> {
    let target = options.target;
    let stream = TcpStream::connect_timeout(&target.address, HANDSHAKE_TIMEOUT)
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
        .and_then(|stream| stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT)).map(|()| stream))
        .map_err(|error| refused(&error, conn, target.address))?;
    let path = path.as_ref().unwrap_or(&target.path);
    let uri = target.url(path).parse().map_err(|error| Failure::new(format!("{error}")))?;
    let mut request = ClientRequestBuilder::new(uri);
    if let Some(protocol) = options.protocol {
        request = request.with_sub_protocol(protocol);
    }
    let (socket, _) = tungstenite::client(request, stream).map_err(|error| {
        let why = match error {
            HandshakeError::Failure(error) => error.to_string(),
            HandshakeError::Interrupted(_) => "no answer to the handshake".to_string(),
        };
        Failure::new(format!("connection {conn}: {why}")).hint(HANDSHAKE_HINT)
    })?;
    let unblocked = socket.get_ref().set_nonblocking(true);
    unblocked.map_err(|error| Failure::new(format!("connection {conn}: {error}")))?;
    Ok(socket)
}

fn read(
    options: DriverOptions<'_>,
    conn: usize,
    sockets: &mut Sockets,
    workload: &mut dyn Workload,
) {
    while let Some(socket) = &mut sockets.sockets[conn] {
        let message = match socket.read() {
            Ok(message) => message,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return sockets.lose(conn, &error),
        };
        let now = options.now();
        match message {
            Message::Text(text) => workload.received(conn, text.as_bytes(), now, sockets),
            Message::Binary(bytes) => workload.received(conn, &bytes, now, sockets),
            Message::Ping(_) => sockets.dirty.push(conn),
            Message::Close(frame) => {
                sockets.sockets[conn] = None;
                let why = frame.map_or("closed without a code".to_string(), |frame| {
                    format!("closed with {} {}", u16::from(frame.code), frame.reason)
                });
                workload.lost(conn, &why, now);
            }
            Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}
