//! Why a server does not start, or stops in disorder.

use crate::log::LogError;
use crate::net::StartError;
use std::fmt;
use std::io;

/// What went wrong; `Display` says it with its cause and what to do.
#[derive(Debug)]
pub enum NodeError {
    /// The data directory or the log.
    Log(LogError),
    /// The kernel's rings or sockets.
    Net(StartError),
    /// Signals cannot be received.
    Signals(io::Error),
    /// A thread cannot be started.
    Thread(io::Error),
    /// glommio refuses an executor.
    Executor(String),
    /// No random bytes.
    Random(String),
    /// The log takes no record at start.
    LogRefused,
    /// The settings of the Graph API.
    Graph(String),
    /// What the file of `egress.ca_file` holds.
    Authorities(String),
    /// A definition in the folder `api.definitions`.
    Definition(String),
    /// A shard ended by itself.
    ShardDied,
}

impl NodeError {
    /// Exit codes, as `docs/OPERATING.md` lists them.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::ShardDied => 70,
            Self::Log(_) | Self::LogRefused => 74,
            _ => 71,
        }
    }
}

impl From<LogError> for NodeError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<StartError> for NodeError {
    fn from(error: StartError) -> Self {
        Self::Net(error)
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(out),
            Self::Net(error) => error.fmt(out),
            Self::Signals(error) => write!(out, "cannot receive signals: {error}"),
            Self::Thread(error) => write!(out, "cannot start a thread: {error}"),
            Self::Executor(error) => write!(
                out,
                "cannot start a shard: {error}\nhint: `ulimit -l` should be at least 8192 KiB"
            ),
            Self::Random(error) => write!(out, "no random bytes: {error}"),
            Self::LogRefused => write!(
                out,
                "the log takes no record\nhint: is the disk of the data directory full?"
            ),
            Self::Definition(error) => write!(out, "`api.definitions`: {error}"),
            Self::Authorities(error) => write!(out, "`egress.ca_file`: {error}"),
            Self::Graph(error) => write!(out, "`whatsapp.base_url`: {error}"),
            Self::ShardDied => write!(out, "a shard ended by itself; this is a fault of ringpost"),
        }
    }
}

impl std::error::Error for NodeError {}
