//! The one thread that calls out: the Graph API, and addresses that operators have configured.
//!
//! ```text
//! Caller ─ Call ─▶ bounded channel ─▶ ringpost-egress: a tokio runtime of this thread only
//!   ▲                                  ├─ Graph API: base URL and token of the configuration
//!   └──────── Reply, by a callback ◀───┴─ anything else: HTTPS, to where `guard` lets pass
//! ```
//!
//! A call takes a slot for as long as it runs, so both the calls under way and the replies in
//! flight are bounded; a full channel gives the call back. Each phase has its own time limit:
//! connecting (name, TCP and TLS together), the head of the answer, its body. A reply says whether
//! the request can have been seen by anybody ([`Miss::NotSent`]) or not ([`Miss::Lost`]); nothing
//! is ever sent a second time from here. Redirects are not followed, cookies not kept.
//!
//! **Never:** a token in `Debug` or in a reason; a retry; a rule about messages (that is
//! `whatsapp::lanes`).

mod address;
pub use address::{AddressError, GraphAddress, check_url};

mod body;

mod client;

mod guard;
pub use guard::is_public;

mod perform;

mod roots;
pub use roots::Roots;

mod tokens;
pub use tokens::Tokens;

use crate::base::ids::ShardId;
use crate::base::network::Network;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};

#[cfg(test)]
mod tests;

/// What the thread is to know.
#[derive(Clone, Debug)]
pub struct EgressOptions {
    /// Where the Graph API is; none when no number is configured.
    pub graph: Option<GraphAddress>,
    /// Who may send by which number.
    pub tokens: Tokens,
    /// Networks that calls to other addresses may reach although they are not public, and without
    /// TLS.
    pub networks: Vec<Network>,
    /// Authorities of certificates beside Mozilla's.
    pub roots: Roots,
    /// Calls under way.
    pub calls_max: usize,
    /// How long each phase may take.
    pub timeouts: Timeouts,
}

/// How long each phase of a call may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Name, TCP and TLS.
    pub connect: Duration,
    /// From the start of the call to the head of the answer; longer than `connect`.
    pub head: Duration,
    /// From there to the end of the body.
    pub body: Duration,
    /// The same for files.
    pub file: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            head: Duration::from_secs(30),
            body: Duration::from_secs(20),
            file: Duration::from_secs(300),
        }
    }
}

/// Who asks: the way back of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// A shard.
    Shard(ShardId),
    /// The thread of the outbox.
    Outbox,
    /// The thread of the subscriptions.
    Subscriptions,
    /// The thread of files.
    Media,
}

/// Something to ask of somebody else.
#[derive(Debug)]
pub struct Call {
    /// Who wants the reply.
    pub caller: Caller,
    /// To find the call again.
    pub ticket: u64,
    /// What.
    pub request: Request,
}

/// The kinds of calls. Where a number is named, its token goes along.
#[derive(Debug)]
pub enum Request {
    /// `POST /{version}/{number}/messages`.
    Message {
        /// `phone_number_id`.
        number: Arc<str>,
        /// The rendered body.
        body: Arc<str>,
    },
    /// `POST /{version}/{number}/conversational_automation`.
    Menu {
        /// `phone_number_id`.
        number: Arc<str>,
        /// The rendered body.
        body: Arc<str>,
    },
    /// `GET /{version}/{media}`: where a file is.
    MediaInfo {
        /// By whose token.
        number: Arc<str>,
        /// The file's id.
        media: Box<str>,
    },
    /// Fetches a file from the address that [`Request::MediaInfo`] told.
    Download {
        /// By whose token.
        number: Arc<str>,
        /// The address.
        url: Box<str>,
        /// Where to put it; written beside first, so that it is whole when it is there.
        file: PathBuf,
        /// Beyond, nothing is kept.
        bytes_max: u64,
    },
    /// `POST /{version}/{number}/media`.
    Upload {
        /// `phone_number_id`.
        number: Arc<str>,
        /// What to send.
        file: PathBuf,
        /// Its type.
        mime: Box<str>,
    },
    /// Any request to an address of an operator's choice.
    Api {
        /// Its method.
        method: &'static str,
        /// The address.
        url: Box<str>,
        /// Headers besides `Content-Type`, which is JSON.
        headers: Vec<(Box<str>, Box<str>)>,
        /// What is sent; may be empty.
        body: Arc<[u8]>,
        /// How long all of it may take, within the limits of its phases.
        within: Duration,
        /// Bytes of the answer that are kept; beyond, the answer is [`Miss::TooLarge`].
        answer_bytes_max: usize,
    },
    /// A POST to an address of an operator's choice.
    Post {
        /// The address.
        url: Box<str>,
        /// Headers besides `Content-Type`.
        headers: Vec<(Box<str>, Box<str>)>,
        /// What is posted.
        body: Arc<[u8]>,
        /// Its `Content-Type`.
        mime: &'static str,
        /// How long all of it may take, within the limits of its phases.
        within: Duration,
        /// Bytes of the answer that are kept; beyond, the answer is [`Miss::TooLarge`].
        answer_bytes_max: usize,
    },
}

/// What became of a call.
#[derive(Debug)]
pub struct Reply {
    /// Of the call.
    pub caller: Caller,
    /// Of the call.
    pub ticket: u64,
    /// How it ended.
    pub result: Result<Got, Miss>,
}

/// An answer, whatever it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Got {
    /// HTTP status.
    pub status: u16,
    /// The body; empty for files, which are on the disk.
    pub body: Vec<u8>,
    /// Bytes of the body or file.
    pub bytes: u64,
    /// Seconds of `Retry-After`; a date there counts as none (RFC 9110 §10.2.3).
    pub retry_after_s: Option<u32>,
}

/// No answer. The texts are for operators and hold no token and no body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Miss {
    /// Nobody can have seen the request: no connection came about.
    NotSent(String),
    /// This address may not be called, or this request cannot be made: asking again is of no use.
    Refused(String),
    /// The request was sent, at least in part; nobody knows what came of it.
    Lost(String),
    /// The answer was longer than asked for.
    TooLarge {
        /// Its HTTP status.
        status: u16,
    },
    /// A file of ours could not be read or written.
    File(String),
}

impl fmt::Display for Miss {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(out, "no connection: {why}"),
            Self::Refused(why) => write!(out, "may not be called: {why}"),
            Self::Lost(why) => write!(out, "no answer: {why}"),
            Self::TooLarge { status } => write!(out, "HTTP {status}, and the answer is too long"),
            Self::File(why) => out.write_str(why),
        }
    }
}

/// Both ends of a channel of calls: those who call have theirs before the thread runs.
/// `queue_max` calls wait for a slot.
pub fn channel(queue_max: usize) -> (EgressSender, Calls) {
    assert!(queue_max > 0);
    let (sender, calls) = mpsc::channel(queue_max);
    (EgressSender(sender), Calls(calls))
}

/// What the thread is given.
#[derive(Debug)]
pub struct Calls(mpsc::Receiver<Call>);

/// The running thread.
#[derive(Debug)]
pub struct Egress {
    thread: JoinHandle<()>,
}

/// Gives calls to the thread; one for each caller.
#[derive(Clone, Debug)]
pub struct EgressSender(mpsc::Sender<Call>);

impl EgressSender {
    /// Hands a call over, or gives it back: the channel is full, or the thread has stopped. Never
    /// waits.
    pub fn try_call(&self, call: Call) -> Result<(), Box<Call>> {
        self.0.try_send(call).map_err(|error| match error {
            TrySendError::Full(call) | TrySendError::Closed(call) => Box::new(call),
        })
    }
}

impl Egress {
    /// Starts the thread. `reply` is called on it for each call exactly once; while it waits, all
    /// calls wait.
    pub fn start(
        options: EgressOptions,
        calls: Calls,
        reply: impl Fn(Reply) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        assert!(options.calls_max > 0);
        assert!(options.timeouts.connect < options.timeouts.head);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // Names are looked up by blocking threads, which inherit this name.
            .thread_name("ringpost-names")
            .max_blocking_threads(4)
            .build()?;
        let thread = std::thread::Builder::new()
            .name("ringpost-egress".to_owned())
            .spawn(move || runtime.block_on(serve(options, calls.0, reply)))?;
        Ok(Self { thread })
    }

    /// Waits until all senders are gone and every call has its reply.
    pub fn stop(self) -> std::thread::Result<()> {
        self.thread.join()
    }
}

async fn serve(
    options: EgressOptions,
    mut calls: mpsc::Receiver<Call>,
    reply: impl Fn(Reply) + Send + Sync + 'static,
) {
    let calls_max = options.calls_max;
    let slots = Arc::new(Semaphore::new(calls_max));
    let desk = Arc::new(perform::Desk::new(options));
    let reply = Arc::new(reply);
    loop {
        let slot = slots.clone().acquire_owned().await.expect("never closed");
        let Some(call) = calls.recv().await else { break };
        let (desk, reply) = (desk.clone(), reply.clone());
        tokio::spawn(async move {
            let result = desk.perform(call.request).await;
            reply(Reply { caller: call.caller, ticket: call.ticket, result });
            drop(slot);
        });
    }
    // Each of these is bounded by its time limits. The one slot of the loop came back with its end.
    let _ = slots.acquire_many(calls_max as u32).await;
}
