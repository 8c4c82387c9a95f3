//! What a value must look like, and the one parser that flags, environment and file share.

use crate::base::limits::{
    WHATSAPP_NUMBER_PER_S, WHATSAPP_NUMBER_PER_S_MAX, WHATSAPP_NUMBER_PER_S_MIN,
};
use crate::base::names::is_graph_version;
use crate::base::network::Network;
use crate::base::secret::Secret;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The form of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, both included.
    Integer {
        /// Smallest accepted.
        min: u64,
        /// Largest accepted.
        max: u64,
    },
    /// An IP address with a port. Names are not resolved: a server binds addresses.
    Address,
    /// A path; relative ones are taken from the working directory.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Web origins, `scheme://host[:port]` (RFC 6454 §6.1).
    Origins,
    /// A secret of at least so many bytes.
    Secret {
        /// Fewest bytes accepted.
        bytes_min: usize,
    },
    /// Several secrets; in one line they are separated by commas.
    Secrets,
    /// Rooms and how long their texts are kept, `rooms=days` each, such as `support/*=30d`.
    RoomKeeps,
    /// One web origin.
    Origin,
    /// A version of the Graph API, such as `v25.0`.
    Version,
    /// Numbers of ours at WhatsApp and their messages a second, such as `1102=80`; the default
    /// speed unless given.
    Numbers,
    /// Ranges of addresses, such as `10.0.0.0/8`.
    Networks,
    /// Names of users, or their beginnings followed by `*`.
    Users,
}

/// A value that has the form its setting wants.
#[derive(Clone, Debug)]
pub enum Value {
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Integer`].
    Integer(u64),
    /// Of [`Kind::Address`].
    Address(SocketAddr),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Choice`].
    Choice(&'static str),
    /// Of [`Kind::Origins`].
    Origins(Vec<String>),
    /// Of [`Kind::RoomKeeps`].
    RoomKeeps(Vec<RoomKeep>),
    /// Of [`Kind::Origin`] and [`Kind::Version`].
    Text(String),
    /// Of [`Kind::Numbers`].
    Numbers(Vec<NumberRate>),
    /// Of [`Kind::Networks`].
    Networks(Vec<Network>),
    /// Of [`Kind::Users`].
    Users(Vec<String>),
    /// Of [`Kind::Secret`] (exactly one) and [`Kind::Secrets`] (one or more).
    Secrets(Vec<Secret>),
}

/// How long the texts of some rooms are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomKeep {
    /// A room's name, or the beginning of names followed by `*`.
    pub rooms: String,
    /// Whole days, at least 1.
    pub days: u32,
}

impl RoomKeep {
    fn parse(text: &str) -> Option<Self> {
        // A room's name may have any sign in it, the last `=` is ours.
        let (rooms, days) = text.trim().rsplit_once('=')?;
        let days: u32 = days.strip_suffix('d')?.parse().ok()?;
        let fits = !rooms.is_empty() && (1..=DAYS_MAX).contains(&days);
        fits.then(|| Self { rooms: rooms.to_owned(), days })
    }
}

impl fmt::Display for RoomKeep {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}d", self.rooms, self.days)
    }
}

/// A number of ours at WhatsApp.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NumberRate {
    /// Its `phone_number_id`.
    pub number: String,
    /// Messages a second that the platform takes from it.
    pub per_s: u32,
}

impl NumberRate {
    fn parse(text: &str) -> Option<Self> {
        let (number, per_s) = match text.split_once('=') {
            Some((number, per_s)) => (number, per_s.parse().ok()?),
            None => (text, WHATSAPP_NUMBER_PER_S),
        };
        let fits = (1..=32).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && (WHATSAPP_NUMBER_PER_S_MIN..=WHATSAPP_NUMBER_PER_S_MAX).contains(&per_s);
        fits.then(|| Self { number: number.to_owned(), per_s })
    }
}

impl fmt::Display for NumberRate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.number, self.per_s)
    }
}

/// Longest time that anything can be kept for by a rule: a hundred years.
pub(super) const DAYS_MAX: u32 = 36_525;

impl Kind {
    /// Reads the one-line form of flags and environment variables. `None` when it has another form;
    /// [`Kind`]'s `Display` completes "expected …".
    pub fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Bool => text.parse().ok().map(Value::Bool),
            Self::Integer { .. } => text.parse().ok().and_then(|number| self.integer(number)),
            Self::Address => text.parse().ok().map(Value::Address),
            Self::Path => (!text.is_empty()).then(|| Value::Path(text.into())),
            Self::Choice(words) => {
                words.iter().find(|word| **word == text).map(|word| Value::Choice(word))
            }
            Self::Origins
            | Self::Secrets
            | Self::RoomKeeps
            | Self::Numbers
            | Self::Networks
            | Self::Users => self.list(text.split(',').map(str::trim)),
            Self::Origin => is_origin(text).then(|| Value::Text(text.to_owned())),
            Self::Version => is_graph_version(text).then(|| Value::Text(text.to_owned())),
            Self::Secret { .. } => self.list([text].into_iter()),
        }
    }

    /// Checks a number against the bounds.
    pub fn integer(self, number: u64) -> Option<Value> {
        match self {
            Self::Integer { min, max } => {
                (min..=max).contains(&number).then_some(Value::Integer(number))
            }
            _ => None,
        }
    }

    /// Checks the items of a list. An empty list of origins is a value; one of secrets is not.
    pub fn list<'a>(self, items: impl Iterator<Item = &'a str>) -> Option<Value> {
        match self {
            Self::Origins => items
                .map(|item| is_origin(item).then(|| item.to_owned()))
                .collect::<Option<Vec<_>>>()
                .map(Value::Origins),
            Self::RoomKeeps => {
                items.map(RoomKeep::parse).collect::<Option<Vec<_>>>().map(Value::RoomKeeps)
            }
            Self::Numbers => {
                items.map(NumberRate::parse).collect::<Option<Vec<_>>>().map(Value::Numbers)
            }
            Self::Users => {
                let names = items.map(|item| {
                    let name = item.strip_suffix('*').unwrap_or(item);
                    let fits = !item.is_empty() && !name.contains(['*', ' ']);
                    fits.then(|| item.to_owned())
                });
                names.collect::<Option<Vec<_>>>().map(Value::Users)
            }
            Self::Networks => {
                let networks = items.map(|item| item.parse().ok());
                networks.collect::<Option<Vec<_>>>().map(Value::Networks)
            }
            Self::Secret { .. } | Self::Secrets => {
                let bytes_min = if let Self::Secret { bytes_min } = self { bytes_min } else { 1 };
                let secrets = items
                    .map(|item| (item.len() >= bytes_min).then(|| Secret::new(item.as_bytes())))
                    .collect::<Option<Vec<_>>>()?;
                (!secrets.is_empty()).then_some(Value::Secrets(secrets))
            }
            _ => None,
        }
    }

    /// The placeholder in usage lines.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Integer { .. } => "N",
            Self::Address => "ADDR",
            Self::Path => "PATH",
            Self::Choice(_) => "WORD",
            Self::Origins => "ORIGINS",
            Self::RoomKeeps => "ROOMS",
            Self::Origin => "URL",
            Self::Version => "VERSION",
            Self::Numbers => "NUMBERS",
            Self::Networks => "NETWORKS",
            Self::Users => "USERS",
            Self::Secret { .. } | Self::Secrets => "SECRET",
        }
    }
}

/// Completes the sentence "expected …".
impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => out.write_str("true or false"),
            Self::Integer { min, max } if *max == u64::from(u32::MAX) => {
                write!(out, "a whole number from {min}")
            }
            Self::Integer { min, max } => write!(out, "a whole number from {min} to {max}"),
            Self::Address => out.write_str("an IP address and a port, like 127.0.0.1:8080"),
            Self::Path => out.write_str("a path"),
            Self::Choice(words) => write!(out, "one of {}", words.join(", ")),
            Self::Origins => out.write_str("origins like https://chat.example.org"),
            Self::RoomKeeps => out.write_str("rooms and days, like support/*=30d"),
            Self::Origin => out.write_str("an origin like https://graph.facebook.com"),
            Self::Version => out.write_str("a version like v25.0"),
            Self::Numbers => write!(
                out,
                "ids of numbers, each perhaps with messages a second \
                 ({WHATSAPP_NUMBER_PER_S_MIN} to {WHATSAPP_NUMBER_PER_S_MAX}), like 1102=80"
            ),
            Self::Networks => out.write_str("networks like 10.0.0.0/8"),
            Self::Users => out.write_str("names of users, or beginnings like support-*"),
            Self::Secret { bytes_min: 1 } => out.write_str("a secret that is not empty"),
            Self::Secret { bytes_min } => write!(out, "a secret of at least {bytes_min} bytes"),
            Self::Secrets => out.write_str("one or more secrets, none empty"),
        }
    }
}

/// As it would be written in a file, for `ringpost config check`; secrets are only counted.
impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(out, "{value}"),
            Self::Integer(value) => write!(out, "{value}"),
            Self::Address(value) => write!(out, "\"{value}\""),
            Self::Path(value) => write!(out, "{:?}", value.to_string_lossy()),
            Self::Choice(value) => write!(out, "\"{value}\""),
            Self::Origins(value) => write!(out, "{value:?}"),
            Self::RoomKeeps(value) => {
                let texts: Vec<_> = value.iter().map(RoomKeep::to_string).collect();
                write!(out, "{texts:?}")
            }
            Self::Text(value) => write!(out, "{value:?}"),
            Self::Numbers(value) => {
                let texts: Vec<_> = value.iter().map(NumberRate::to_string).collect();
                write!(out, "{texts:?}")
            }
            Self::Networks(value) => {
                let texts: Vec<_> = value.iter().map(Network::to_string).collect();
                write!(out, "{texts:?}")
            }
            Self::Users(value) => write!(out, "{value:?}"),
            Self::Secrets(value) if value.len() == 1 => out.write_str("(secret)"),
            Self::Secrets(value) => write!(out, "({} secrets)", value.len()),
        }
    }
}

/// RFC 6454 §6.1, in the form that browsers send: lower case, no path, no trailing slash.
fn is_origin(text: &str) -> bool {
    let Some(host) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    !host.is_empty()
        && host.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte)
        })
}
