//! What carries a scenario: clients that own sockets and know nothing of what is said on them.
//!
//! A scenario is a [`Workload`] per thread. Two clients can drive it: [`thin`], made to cost
//! little beside the server, and [`oracle`], made of somebody else's code, which shares none of our
//! faults.

pub mod gate;

pub mod sys;

pub mod target;

pub mod thin;

pub mod oracle;

use crate::driver::gate::Gate;
use crate::driver::target::Target;
use std::fmt;
use std::time::{Duration, Instant};

/// Nanoseconds since the start of the run.
pub type Nanos = u64;

/// Why a run could not be carried out (exit code 2): not a verdict on the server's answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What went wrong.
    pub what: String,
    /// What may help.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    /// The same failure with advice.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// When connections are opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// All, at the start; one that cannot be opened ends the run.
    AtStart,
    /// By [`Outbox::open`]; one that cannot be opened is [`Workload::lost`].
    OnDemand,
}

/// What is spoken on the connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speech {
    /// WebSocket: each connection begins with its handshake.
    WebSocket,
    /// HTTP: a connection stays open, requests are sent by [`Outbox::bytes`], and what is received
    /// is one whole response each. The thin client only.
    Http,
}

/// When a workload wants its next [`Workload::turn`], if no message comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// Not before this time.
    At(Nanos),
    /// It has nothing more to do.
    Finished,
}

/// Takes what a workload wants to send; it leaves at the end of the turn.
pub trait Outbox {
    /// Queues one text message on a connection.
    fn text(&mut self, conn: usize, payload: &[u8]);

    /// Queues one binary message on a connection.
    fn binary(&mut self, conn: usize, payload: &[u8]);

    /// Queues bytes as they are.
    fn bytes(&mut self, _conn: usize, _bytes: &[u8]) {
        unreachable!("only a client that speaks HTTP is asked");
    }

    /// Opens a connection that is not open: never before, or not any more. The workload hears
    /// [`Workload::opened`] or [`Workload::lost`].
    fn open(&mut self, conn: usize);

    /// Queues a close frame, code 1000; the workload hears [`Workload::lost`] when the server has
    /// answered.
    fn close(&mut self, conn: usize);

    /// Ends a connection at once, without a close frame. The workload hears nothing more of it.
    fn hang_up(&mut self, conn: usize);

    /// Reads no more from a connection, or again.
    fn pause(&mut self, conn: usize, paused: bool);
}

/// One thread's share of a scenario: decides what is sent and judges what comes back.
///
/// **Never:** a socket or a clock of its own.
pub trait Workload {
    /// Connections at a time at most; they are named by index.
    fn connection_count(&self) -> usize;

    /// When connections are opened, and what becomes of one that cannot be.
    fn opening(&self) -> Opening {
        Opening::AtStart
    }

    /// What is spoken.
    fn speech(&self) -> Speech {
        Speech::WebSocket
    }

    /// Handshakes under way at a time at most: below the backlog of any usual server.
    fn opening_max(&self) -> usize {
        256
    }

    /// The path of a connection, where it is not the target's.
    fn path(&self, _conn: usize) -> Option<String> {
        None
    }

    /// The handshake of a connection is complete.
    fn opened(&mut self, conn: usize, now: Nanos, out: &mut dyn Outbox);

    /// A whole text or binary message has come.
    fn received(&mut self, conn: usize, payload: &[u8], now: Nanos, out: &mut dyn Outbox);

    /// The connection is gone; `why` is a clause for the report.
    fn lost(&mut self, conn: usize, why: &str, now: Nanos);

    /// Sends what is due.
    ///
    /// # Errors
    /// When the run makes no sense any more, for example against the server's limits.
    fn turn(&mut self, now: Nanos, out: &mut dyn Outbox) -> Result<Wake, Failure>;
}

/// Which client drives the workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Client {
    /// Our own, on epoll.
    Thin,
    /// The tungstenite crate's.
    Tungstenite,
}

/// What a driving thread is told.
#[derive(Clone, Copy, Debug)]
pub struct DriverOptions<'a> {
    /// Where to connect.
    pub target: &'a Target,
    /// The sub-protocol to offer.
    pub protocol: Option<&'static str>,
    /// The zero of [`Nanos`].
    pub epoch: Instant,
    /// Makes the masks differ from run to run; they need not be secret here.
    pub seed: u64,
}

impl DriverOptions<'_> {
    /// The time now.
    pub fn now(&self) -> Nanos {
        self.epoch.elapsed().as_nanos() as Nanos
    }
}

/// Drives `workload` to its end on this thread.
///
/// # Errors
/// When a connection cannot be opened, or the workload gives up.
pub fn drive(
    client: Client,
    options: DriverOptions<'_>,
    gate: &Gate,
    workload: &mut dyn Workload,
) -> Result<(), Failure> {
    let driven = match client {
        Client::Tungstenite if workload.speech() == Speech::Http => {
            let failure = Failure::new("the tungstenite client speaks no plain HTTP");
            Err(failure.hint("leave out `--client`"))
        }
        Client::Thin => thin::drive(options, gate, workload),
        Client::Tungstenite => oracle::drive(options, gate, workload),
    };
    if driven.is_err() {
        gate.abort();
    }
    driven
}

/// How long to wait for readiness: until `wake`, but never so long that an abort goes unnoticed.
fn patience(wake: Nanos, now: Nanos) -> Duration {
    const PATIENCE_MAX: Duration = Duration::from_millis(100);
    Duration::from_nanos(wake.saturating_sub(now)).min(PATIENCE_MAX)
}
