//! The thin client: epoll, one read per readiness, one write per connection and turn.
//!
//! A client that costs more than the server measures itself. So: no allocation per message, one
//! read buffer per thread, and everything a turn wants to send to one connection leaves in one
//! `write`.

use super::gate::Gate;
use super::sys::{self, Epoll, Interest};
use super::{DriverOptions, Failure, Nanos, Opening, Outbox, Speech, Wake, Workload, patience};
use crate::frame::{self, Opcode};
use crate::http;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Loopback addresses that connections opened on demand come from, in turn: one has some 28,000
/// ports, and a port rests for a minute when its connection has ended.
const SOURCE_COUNT: u32 = 64;
/// What the kernel takes in for a connection that is not read. Without this it is megabytes, and
/// the server would see no slow reader; with less than a segment of the loopback (64 KiB) the
/// window would open only when the server's kernel probes for it, seconds late.
const PAUSED_BYTES: usize = 128 << 10;
/// And when it is read again.
const RESUMED_BYTES: usize = 1 << 20;
/// Bytes taken from a socket at a time.
const READ_BYTES: usize = 256 << 10;
/// Readiness reports taken at a time.
const BATCH_MAX: usize = 1_024;
/// How long one connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A partly received message larger than this gives its memory back when it is complete.
const CARRY_KEPT_BYTES: usize = 16 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    Handshake,
    Open,
    #[default]
    Closed,
}

/// One connection. An idle one owns no buffer.
#[derive(Debug, Default)]
struct Link {
    /// `None` while it is closed.
    stream: Option<TcpStream>,
    state: State,
    /// What was received and is no whole frame yet.
    carry: Vec<u8>,
    /// The message so far, while it comes in fragments.
    fragments: Vec<u8>,
    /// Encoded frames; `out[..written]` is gone.
    out: Vec<u8>,
    written: usize,
    /// Whether it stands in `Links::dirty`.
    dirty: bool,
    /// Whether epoll watches for room to write.
    blocked: bool,
    /// Whether epoll does not watch for input.
    paused: bool,
}

impl Link {
    /// The open stream.
    fn stream(&mut self) -> &mut TcpStream {
        self.stream.as_mut().expect("only a closed link has none")
    }

    fn interest(&self) -> Interest {
        match (self.paused, self.blocked) {
            (false, false) => Interest::Read,
            (false, true) => Interest::ReadWrite,
            (true, true) => Interest::Write,
            (true, false) => Interest::Nothing,
        }
    }
}

/// All connections of a thread, and which of them have something to send.
#[derive(Debug, Default)]
struct Links {
    links: Vec<Link>,
    dirty: Vec<usize>,
    masks: u64,
    /// Connections to open, in order.
    wanted: VecDeque<usize>,
    /// Connections to end, and those whose reading changes, at the next flush.
    asked: Vec<(usize, Ask)>,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    HangUp,
    Pause(bool),
}

impl Links {
    fn queue(&mut self, conn: usize, opcode: Opcode, payload: &[u8]) {
        let link = &mut self.links[conn];
        if link.state != State::Open {
            return;
        }
        // xorshift64: masks keep middleboxes honest, they hide nothing here.
        self.masks ^= self.masks << 13;
        self.masks ^= self.masks >> 7;
        self.masks ^= self.masks << 17;
        frame::encode(&mut link.out, opcode, payload, self.masks as u32);
        if !link.dirty {
            link.dirty = true;
            self.dirty.push(conn);
        }
    }
}

impl Outbox for Links {
    fn bytes(&mut self, conn: usize, bytes: &[u8]) {
        let link = &mut self.links[conn];
        if link.state != State::Open {
            return;
        }
        link.out.extend_from_slice(bytes);
        if !link.dirty {
            link.dirty = true;
            self.dirty.push(conn);
        }
    }

    fn text(&mut self, conn: usize, payload: &[u8]) {
        self.queue(conn, Opcode::Text, payload);
    }

    fn binary(&mut self, conn: usize, payload: &[u8]) {
        self.queue(conn, Opcode::Binary, payload);
    }

    fn open(&mut self, conn: usize) {
        self.wanted.push_back(conn);
    }

    fn close(&mut self, conn: usize) {
        self.queue(conn, Opcode::Close, &1_000_u16.to_be_bytes());
    }

    fn hang_up(&mut self, conn: usize) {
        self.asked.push((conn, Ask::HangUp));
    }

    fn pause(&mut self, conn: usize, paused: bool) {
        self.asked.push((conn, Ask::Pause(paused)));
    }
}

/// One thread's client.
struct Thin<'a> {
    options: DriverOptions<'a>,
    gate: &'a Gate,
    epoll: Epoll,
    links: Links,
    opening_count: usize,
    opening_max: usize,
    speech: Speech,
    /// Connections opened so far: decides on the next one's source.
    source_next: u32,
    buffer: Box<[u8]>,
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
    let system = |error: io::Error| Failure::new(format!("epoll: {error}"));
    let count = workload.connection_count();
    let wanted = match workload.opening() {
        Opening::AtStart => (0..count).collect(),
        Opening::OnDemand => VecDeque::new(),
    };
    let links = (0..count).map(|_| Link::default()).collect();
    let mut thin = Thin {
        options,
        gate,
        epoll: Epoll::new(BATCH_MAX).map_err(system)?,
        links: Links { links, masks: options.seed | 1, wanted, ..Links::default() },
        opening_count: 0,
        opening_max: workload.opening_max(),
        speech: workload.speech(),
        source_next: 0,
        buffer: vec![0; READ_BYTES].into_boxed_slice(),
    };
    loop {
        thin.open_some(workload)?;
        let now = options.now();
        let wake = match workload.turn(now, &mut thin.links)? {
            Wake::Finished => return Ok(()),
            Wake::At(wake) => wake,
        };
        thin.flush(workload);
        if gate.aborted() {
            return Ok(());
        }
        let timeout = match thin.links.wanted.is_empty() {
            false if thin.opening_count < thin.opening_max => Duration::ZERO,
            _ => patience(wake, options.now()),
        };
        let ready = thin.epoll.wait(timeout).map_err(system)?;
        for index in 0..ready {
            let (conn, output_only) = thin.epoll.name(index);
            if output_only {
                thin.write(conn, workload);
                thin.connected(conn, workload);
            } else {
                thin.read(conn, workload)?;
            }
        }
        thin.flush(workload);
    }
}

impl Thin<'_> {
    fn open_some(&mut self, workload: &mut dyn Workload) -> Result<(), Failure> {
        while self.opening_count < self.opening_max {
            let Some(conn) = self.links.wanted.pop_front() else { break };
            assert!(self.links.links[conn].state == State::Closed, "it is open already");
            let target = self.options.target;
            let out = match self.speech {
                Speech::Http => Vec::new(),
                Speech::WebSocket => {
                    let path = workload.path(conn);
                    let path = path.as_ref().unwrap_or(&target.path);
                    frame::request(&target.host, path, self.options.protocol).into_bytes()
                }
            };
            // Ready for output means connected; the request leaves then.
            let interest = Interest::ReadWrite;
            let opened = self
                .connect(workload.opening())
                .and_then(|stream| self.epoll.add(stream.as_fd(), conn, interest).map(|()| stream));
            match opened {
                Ok(stream) => {
                    let link = &mut self.links.links[conn];
                    let (stream, state, blocked) = (Some(stream), State::Handshake, true);
                    let dirty = link.dirty;
                    *link = Link { stream, state, out, blocked, dirty, ..Link::default() };
                    self.opening_count += 1;
                }
                Err(error) if workload.opening() == Opening::OnDemand => {
                    workload.lost(conn, &format!("connect: {error}"), self.options.now());
                }
                Err(error) => return Err(refused(&error, conn, target.address)),
            }
        }
        Ok(())
    }

    /// At the start each connection is waited for: what cannot be reached is known soon.
    fn connect(&mut self, opening: Opening) -> io::Result<TcpStream> {
        let address = self.options.target.address;
        if opening == Opening::AtStart {
            let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
            stream.set_nodelay(true)?;
            return stream.set_nonblocking(true).map(|()| stream);
        }
        let source = self.source_next % SOURCE_COUNT;
        self.source_next = self.source_next.wrapping_add(1);
        let local = matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback());
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + source);
        sys::connect(address, local.then_some(source))
    }

    /// HTTP has no handshake: the connection is open as soon as it can be written to.
    fn connected(&mut self, conn: usize, workload: &mut dyn Workload) {
        let link = &mut self.links.links[conn];
        if self.speech == Speech::Http && link.state == State::Handshake {
            link.state = State::Open;
            self.opening_count -= 1;
            self.gate.opened.fetch_add(1, Ordering::Relaxed);
            workload.opened(conn, self.options.now(), &mut self.links);
        }
    }

    fn flush(&mut self, workload: &mut dyn Workload) {
        for (conn, ask) in std::mem::take(&mut self.links.asked) {
            match ask {
                Ask::HangUp => self.end(conn),
                Ask::Pause(paused) => {
                    let link = &mut self.links.links[conn];
                    link.paused = paused;
                    if let Some(stream) = &link.stream {
                        let bytes = if paused { PAUSED_BYTES } else { RESUMED_BYTES };
                        sys::receive_buffer(stream, bytes);
                    }
                    self.watch(conn);
                }
            }
        }
        let mut dirty = std::mem::take(&mut self.links.dirty);
        for &conn in &dirty {
            self.links.links[conn].dirty = false;
            self.write(conn, workload);
        }
        dirty.clear();
        // Writing queues nothing, so the list was not used meanwhile; keep its memory.
        assert!(self.links.dirty.is_empty());
        self.links.dirty = dirty;
    }

    fn write(&mut self, conn: usize, workload: &mut dyn Workload) {
        let link = &mut self.links.links[conn];
        while link.written < link.out.len() {
            let stream = link.stream.as_mut().expect("a closed link has nothing to write");
            match stream.write(&link.out[link.written..]) {
                Ok(size) => link.written += size,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.close(conn, &format!("write: {error}"), workload);
                    return;
                }
            }
        }
        let blocked = link.written < link.out.len();
        if !blocked {
            link.out.clear();
            link.written = 0;
        }
        if blocked != link.blocked {
            link.blocked = blocked;
            self.watch(conn);
        }
    }

    /// Tells epoll what a connection waits for now.
    fn watch(&mut self, conn: usize) {
        let link = &self.links.links[conn];
        if let Some(stream) = &link.stream {
            let changed = self.epoll.change(stream.as_fd(), conn, link.interest());
            changed.expect("an open connection is in the set");
        }
    }

    fn read(&mut self, conn: usize, workload: &mut dyn Workload) -> Result<(), Failure> {
        let link = &mut self.links.links[conn];
        if link.state == State::Closed {
            return Ok(());
        }
        let carried = link.carry.len();
        if carried + READ_BYTES / 2 > self.buffer.len() {
            self.buffer = vec![0; 2 * (carried + READ_BYTES)].into_boxed_slice();
        }
        self.buffer[..carried].copy_from_slice(&link.carry);
        let size = match link.stream().read(&mut self.buffer[carried..]) {
            Ok(0) => return self.ended(conn, "closed without a close frame", workload),
            Ok(size) => size,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                return Ok(());
            }
            Err(error) => return self.ended(conn, &format!("read: {error}"), workload),
        };
        link.carry.clear();
        // The buffer leaves `self` while slices of it go to the workload.
        let buffer = std::mem::take(&mut self.buffer);
        let taken = self.take(conn, &buffer[..carried + size], workload);
        let rest = taken.map(|taken| {
            let link = &mut self.links.links[conn];
            link.carry.extend_from_slice(&buffer[taken..carried + size]);
            if link.carry.is_empty() && link.carry.capacity() > CARRY_KEPT_BYTES {
                link.carry = Vec::new();
            }
        });
        self.buffer = buffer;
        rest
    }

    /// Takes all whole frames of `input`; gives the bytes taken.
    fn take(
        &mut self,
        conn: usize,
        input: &[u8],
        workload: &mut dyn Workload,
    ) -> Result<usize, Failure> {
        let now = self.options.now();
        let mut taken = 0;
        if self.speech == Speech::Http {
            return Ok(self.take_http(conn, input, now, workload));
        }
        if self.links.links[conn].state == State::Handshake {
            match frame::accept(input) {
                Ok(None) => return Ok(0),
                Ok(Some(size)) => taken = size,
                Err(why) if workload.opening() == Opening::OnDemand => {
                    self.close(conn, &why, workload);
                    return Ok(input.len());
                }
                Err(why) => return Err(Failure::new(why).hint(HANDSHAKE_HINT)),
            }
            self.opening_count -= 1;
            self.links.links[conn].state = State::Open;
            self.gate.opened.fetch_add(1, Ordering::Relaxed);
            workload.opened(conn, now, &mut self.links);
        }
        loop {
            match frame::decode(&input[taken..]) {
                Ok(None) => return Ok(taken),
                Ok(Some(frame)) => {
                    taken += frame.size;
                    self.frame(conn, &frame, now, workload);
                }
                Err(why) => self.close(conn, &why, workload),
            }
            if self.links.links[conn].state == State::Closed {
                return Ok(input.len());
            }
        }
    }

    /// Takes all whole responses.
    fn take_http(
        &mut self,
        conn: usize,
        input: &[u8],
        now: Nanos,
        workload: &mut dyn Workload,
    ) -> usize {
        self.connected(conn, workload);
        let mut taken = 0;
        loop {
            match http::read(&input[taken..]) {
                Ok(None) => return taken,
                Ok(Some(response)) => {
                    let whole = &input[taken..taken + response.size];
                    taken += response.size;
                    workload.received(conn, whole, now, &mut self.links);
                    if response.last {
                        self.close(conn, "closed by the response before", workload);
                    }
                }
                Err(why) => self.close(conn, &why, workload),
            }
            if self.links.links[conn].state == State::Closed {
                return input.len();
            }
        }
    }

    fn frame(
        &mut self,
        conn: usize,
        frame: &frame::Frame<'_>,
        now: Nanos,
        workload: &mut dyn Workload,
    ) {
        match frame.opcode {
            Opcode::Ping => self.links.queue(conn, Opcode::Pong, frame.payload),
            Opcode::Pong => {}
            Opcode::Close => {
                let why = match frame.payload {
                    [high, low, reason @ ..] => {
                        let code = u16::from_be_bytes([*high, *low]);
                        format!("closed with {code} {}", String::from_utf8_lossy(reason))
                    }
                    _ => "closed without a code".to_string(),
                };
                self.close(conn, &why, workload);
            }
            Opcode::Text | Opcode::Binary if frame.fin => {
                workload.received(conn, frame.payload, now, &mut self.links);
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                let link = &mut self.links.links[conn];
                link.fragments.extend_from_slice(frame.payload);
                if link.fragments.len() > frame::MESSAGE_BYTES_MAX {
                    self.close(conn, "sent an endless message", workload);
                } else if frame.fin {
                    let message = std::mem::take(&mut link.fragments);
                    workload.received(conn, &message, now, &mut self.links);
                }
            }
        }
    }

    /// The stream ended: fatal while connecting, the workload's business afterwards.
    fn ended(
        &mut self,
        conn: usize,
        why: &str,
        workload: &mut dyn Workload,
    ) -> Result<(), Failure> {
        let fatal = workload.opening() == Opening::AtStart;
        if fatal && self.links.links[conn].state == State::Handshake {
            let what = format!("connection {conn} ended during the handshake: {why}");
            return Err(Failure::new(what).hint(HANDSHAKE_HINT));
        }
        self.close(conn, why, workload);
        Ok(())
    }

    fn close(&mut self, conn: usize, why: &str, workload: &mut dyn Workload) {
        if self.links.links[conn].state != State::Closed {
            self.end(conn);
            workload.lost(conn, why, self.options.now());
        }
    }

    /// Ends a connection that is not closed; it can be opened again.
    fn end(&mut self, conn: usize) {
        let link = &mut self.links.links[conn];
        self.opening_count -= usize::from(link.state == State::Handshake);
        let dirty = link.dirty;
        let before = std::mem::replace(link, Link { dirty, ..Link::default() });
        if let Some(stream) = before.stream {
            self.epoll.remove(stream.as_fd()).expect("an open connection is in the set");
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Advice for a server that does not take the WebSocket.
pub const HANDSHAKE_HINT: &str =
    "is this the right path? `/echo` needs `--dev` or `--set dev.echo=true` on the server";

/// Words for a connection that could not be opened.
pub fn refused(error: &io::Error, conn: usize, address: std::net::SocketAddr) -> Failure {
    let failure = Failure::new(format!("connection {conn} to {address}: {error}"));
    match error.kind() {
        io::ErrorKind::ConnectionRefused => failure.hint("is the server running there?"),
        io::ErrorKind::AddrNotAvailable => failure
            .hint("local ports are used up: fewer connections, or a wider ip_local_port_range"),
        _ if error.raw_os_error() == Some(libc::EMFILE) => {
            failure.hint("raise the limit of open files: `ulimit -n 1048576`")
        }
        _ => failure,
    }
}
