//! The load: one thread with one epoll, a closed loop, on a CPU of its own.

use super::sys::{self, Clock, Epoll, MESSAGE_BYTES, Seat};
use ringpost::net::{ListenOptions, listen};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// What the clients do.
#[derive(Clone, Copy)]
pub enum Load {
    /// Each connection has one message on its way and sends the next when it is back.
    Echo { connections: usize },
    /// That many connections send one message each; when everyone has all of them, again.
    FanOut { connections: usize, in_flight: usize },
}

/// One round against one server.
#[derive(Clone, Copy)]
pub struct Sample {
    /// CPU time of the server's thread per echoed or delivered message.
    pub server_us: f64,
    /// Messages per second of wall time.
    pub rate: f64,
    /// Share of the wall time that the server's thread ran.
    pub server_busy: f64,
    /// Share of the wall time that the clients' thread ran.
    pub client_busy: f64,
}

impl Load {
    /// The same load with fewer connections.
    pub fn at_most(self, max: usize) -> Self {
        match self {
            Self::Echo { connections } => Self::Echo { connections: connections.min(max) },
            Self::FanOut { connections, in_flight } => {
                Self::FanOut { connections: connections.min(max), in_flight }
            }
        }
    }

    fn connections(self) -> usize {
        match self {
            Self::Echo { connections } | Self::FanOut { connections, .. } => connections,
        }
    }
}

/// Starts a server, loads it, and ends it.
pub fn measure(serve: fn(Seat), load: Load, warm_up: Duration, measure: Duration) -> Sample {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = listen(any, ListenOptions::default()).expect("a port");
    let address = listener.address();
    let clock = Clock::default();
    let seat = Seat { listener, connections: load.connections(), clock: clock.clone() };
    let server = std::thread::spawn(move || serve(seat));
    let run = move || {
        sys::pin(sys::cpus().1);
        let mut clients = Clients::connect(address, load.connections());
        while clock.read().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        clients.run(load, warm_up);
        let before = (clock.read().expect("published"), sys::thread_time(), Instant::now());
        let messages = clients.run(load, measure) as f64;
        let after = (clock.read().expect("published"), sys::thread_time(), Instant::now());
        let server_s = (after.0 - before.0).as_secs_f64();
        let wall_s = (after.2 - before.2).as_secs_f64();
        Sample {
            server_us: server_s * 1e6 / messages,
            rate: messages / wall_s,
            server_busy: server_s / wall_s,
            client_busy: (after.1 - before.1).as_secs_f64() / wall_s,
        }
    };
    let sample = std::thread::spawn(run).join().expect("the clients finish");
    server.join().expect("the server finishes");
    sample
}

struct Clients {
    sockets: Vec<TcpStream>,
    epoll: Epoll,
    tokens: Vec<usize>,
    buffer: Vec<u8>,
}

impl Clients {
    fn connect(address: std::net::SocketAddr, count: usize) -> Self {
        let epoll = Epoll::new();
        let sockets: Vec<_> = (0..count)
            .map(|token| {
                let socket = TcpStream::connect(address).expect("the server accepts");
                socket.set_nodelay(true).expect("a TCP socket");
                epoll.add(socket.as_raw_fd(), token);
                socket
            })
            .collect();
        Self { sockets, epoll, tokens: Vec::new(), buffer: vec![0; 64 << 10] }
    }

    /// Loads for `time` and waits for the last answers. Gives the messages that came back.
    fn run(&mut self, load: Load, time: Duration) -> u64 {
        let end = Instant::now() + time;
        match load {
            Load::Echo { .. } => self.run_echo(end),
            Load::FanOut { in_flight, .. } => self.run_fan_out(in_flight, end),
        }
    }

    fn run_echo(&mut self, end: Instant) -> u64 {
        let message = [7; MESSAGE_BYTES];
        for socket in &self.sockets {
            sys::send(socket.as_raw_fd(), &message);
        }
        let (mut flying, mut messages) = (self.sockets.len(), 0);
        while flying > 0 {
            self.tokens.extend(self.epoll.wait(5_000));
            assert!(!self.tokens.is_empty(), "the server answers nothing");
            let over = Instant::now() >= end;
            for token in self.tokens.drain(..) {
                let fd = self.sockets[token].as_raw_fd();
                let count = sys::receive(fd, &mut self.buffer);
                // Loopback delivers a small send whole, so an answer is never in two pieces.
                assert_eq!(count, MESSAGE_BYTES as isize);
                messages += 1;
                if over {
                    flying -= 1;
                } else {
                    sys::send(fd, &message);
                }
            }
        }
        messages
    }

    fn run_fan_out(&mut self, in_flight: usize, end: Instant) -> u64 {
        let message = [7; MESSAGE_BYTES];
        let batch_bytes = in_flight * MESSAGE_BYTES * self.sockets.len();
        let mut messages = 0;
        while Instant::now() < end {
            for socket in &self.sockets[..in_flight] {
                sys::send(socket.as_raw_fd(), &message);
            }
            let mut received_bytes = 0;
            while received_bytes < batch_bytes {
                self.tokens.extend(self.epoll.wait(5_000));
                assert!(!self.tokens.is_empty(), "the server delivers nothing");
                for token in self.tokens.drain(..) {
                    let count = sys::receive(self.sockets[token].as_raw_fd(), &mut self.buffer);
                    assert!(count > 0, "the server hung up");
                    received_bytes += count as usize;
                }
            }
            assert_eq!(received_bytes, batch_bytes);
            messages += (in_flight * self.sockets.len()) as u64;
        }
        messages
    }
}
