//! What the HTTP API asks of a hub. Whoever holds a key of the API may do anything, as anybody.

use super::event::{Ask, Name};
use super::inbox;
use crate::base::ids::ShardId;
use crate::registry::{Fault, Kind};

/// A request.
#[derive(Debug)]
pub enum ApiRequest {
    /// Something that a member of a room could ask too. A room that does not exist is made.
    Room {
        /// Which.
        room: Name,
        /// What.
        ask: Ask,
    },
    /// A page of the inbox.
    Inbox(Box<inbox::Query>),
    /// A later answer of a command, at the address that its call was given.
    Respond {
        /// Whose call it was.
        shard: ShardId,
        /// Which call.
        ticket: u64,
        /// That the address was given by us.
        proof: Box<str>,
        /// What was posted.
        body: Box<str>,
    },
    /// Show a menu of commands to the contacts of one of our numbers.
    Menu {
        /// `phone_number_id`.
        number: Box<str>,
        /// What stands in it; empty: all that they may use.
        commands: Vec<Box<str>>,
        /// Only say what would stand in it.
        dry_run: bool,
    },
    /// Put a definition, or remove it.
    Define {
        /// Of which kind.
        kind: Kind,
        /// Its name.
        name: Name,
        /// A JSON object; empty removes.
        body: Box<str>,
        /// Only say whether it could be put.
        dry_run: bool,
    },
    /// Change fields of a definition (RFC 7396, its top level): null removes one.
    Amend {
        /// Of which kind.
        kind: Kind,
        /// Its name.
        name: Name,
        /// A JSON object: the fields that change.
        body: Box<str>,
    },
    /// One definition, or all of a kind.
    Definitions {
        /// Of which kind.
        kind: Kind,
        /// Its name.
        name: Option<Name>,
    },
}

/// Reads a definition only to say what is wrong with it.
pub type CheckDefinition = fn(kind: Kind, name: &str, body: &str) -> Result<(), Fault>;
