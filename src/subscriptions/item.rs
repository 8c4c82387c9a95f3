//! What the thread of the subscriptions is told and asked.

use super::state::{Dead, Standing};
use crate::base::ids::ShardId;
use crate::egress::{Got, Miss};
use crate::registry::Definition;
use std::sync::Arc;

/// An item in the thread's mailbox.
#[derive(Debug)]
pub enum Item {
    /// A definition, new or changed; of another kind it is passed over. At the start all that there
    /// are come first.
    Define(Arc<Definition>),
    /// Those were all: what is kept of others may go.
    Complete,
    /// What became of a call.
    Reply {
        /// Of the call.
        ticket: u64,
        /// How it ended.
        result: Result<Got, Miss>,
    },
    /// A shard wants to know or have something.
    Ask {
        /// To whom the answer goes.
        shard: ShardId,
        /// To find the question again.
        ticket: u64,
        /// What.
        question: Question,
    },
    /// The server stops.
    Stop,
}

/// What may be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// How all stand.
    Standings,
    /// The dead letters of a subscription.
    Dead {
        /// Of which.
        name: Arc<str>,
    },
    /// Tell dead letters again.
    Replay {
        /// Of which subscription.
        name: Arc<str>,
        /// The letters' numbers; all when none is given.
        ids: Vec<u64>,
    },
}

/// The answer to a [`Question`]; `None` when there is no such subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// How each stands, by name.
    Standings(Vec<Standing>),
    /// The dead letters, oldest first.
    Dead(Option<Vec<Dead>>),
    /// How many letters are told again now.
    Replay(Option<usize>),
}
