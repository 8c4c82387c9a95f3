//! Commands: what a person types after a slash, and what operators and moderators add to that while
//! the server runs.
//!
//! ```text
//! "/weather Oslo 3" ─▶ Book: which command is meant here ─▶ arguments: words, then values
//!                                                               │ one backend, by its manifest
//!   template · alias · script · module · callback · program ◀───┘
//! ```
//!
//! A command is a definition of the registry: a JSON object, the manifest, that says who may use
//! it, what it takes, and what carries it out. The [`Book`] of every shard holds the same ones. Who
//! asks, where, and what happens to the answer is the hub's affair.
//!
//! **Never:** a room, a session, a socket, a clock; a call that has no bound.

pub mod arguments;

pub mod callback;

pub mod files;

mod book;
pub use book::{Book, Entry, Listed};

mod built_in;
pub use built_in::{BUILT_IN, BuiltIn, table};

mod menu;
pub use menu::Menu;

mod packed;

mod manifest;
pub use manifest::{Argument, Backend, Callback, Limits, Manifest, Shown, Type};

pub mod program;

#[cfg(feature = "script")]
pub mod script;

#[cfg(feature = "wasm")]
pub mod module;

mod engines;
pub use engines::{Engines, Run, Step};

mod template;
pub use template::{Facts, Template, mixed};

#[cfg(test)]
mod tests;

use crate::base::limits::ROOM_NAME_BYTES_MAX;
use crate::base::names::PLATFORM_PREFIX;
use crate::registry::{Fault, check_name};
use std::sync::Arc;

/// Where a command is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Everywhere.
    Global,
    /// In the conversations of one of our numbers, named by `wa:` and the number.
    Number(Arc<str>),
    /// In one room.
    Room(Arc<str>),
}

impl Scope {
    /// Whether it holds in `room`.
    pub fn holds_in(&self, room: &str) -> bool {
        match self {
            Self::Global => true,
            Self::Number(number) => {
                room.strip_prefix(&**number).is_some_and(|rest| rest.starts_with(':'))
            }
            Self::Room(name) => **name == *room,
        }
    }

    /// As people read it.
    pub fn name(&self) -> &str {
        match self {
            Self::Global => "everywhere",
            Self::Number(name) | Self::Room(name) => name,
        }
    }

    /// The more it says, the earlier it is asked.
    fn rank(&self) -> u8 {
        match self {
            Self::Room(_) => 0,
            Self::Number(_) => 1,
            Self::Global => 2,
        }
    }
}

/// The name of a command in the registry: what is typed, and `@` with its room unless it is known
/// everywhere: `weather`, `hi@general`, `order@wa:1102`.
pub fn split_key(key: &str) -> Result<(&str, Scope), Fault> {
    let (name, scope) = match key.split_once('@') {
        None => (key, Scope::Global),
        Some((name, room)) => {
            let fits = (1..=ROOM_NAME_BYTES_MAX).contains(&room.len())
                && room.trim() == room
                && !room.chars().any(char::is_control);
            if !fits {
                return Err(Fault::of("name", "behind @ stands the name of a room"));
            }
            let number = room.strip_prefix(PLATFORM_PREFIX);
            match number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
                Some(_) => (name, Scope::Number(room.into())),
                None => (name, Scope::Room(room.into())),
            }
        }
    };
    check_name(name)?;
    Ok((name, scope))
}

/// The name in the registry of a command of one room.
pub fn room_key(name: &str, room: &str) -> String {
    format!("{name}@{room}")
}
