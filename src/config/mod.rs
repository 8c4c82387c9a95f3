//! One table of settings, from which file, environment, flags and documents are made.
//!
//! A setting is described once, in [`SETTINGS`]. Its place in the file, its environment variable,
//! its flag, the text of `--help`, the file that `ringpost config default` prints and the table in
//! `docs/OPERATING.md` all come from there. Precedence, strongest first: flags, environment,
//! file, default.
//!
//! ```text
//! file ─┐
//! env  ─┼─▶ layers: one Value and one Source per setting ─▶ typed: Config, checked as a whole
//! args ─┘
//! ```
//!
//! **Never:** reads a file, the environment or the command line by itself; `main` hands all three
//! in with [`Inputs`]. So every rule here is tested with plain values.

mod settings;
pub use settings::{Preset, SETTINGS, Setting};

mod value;
pub use value::{Kind, NumberRate, RoomKeep, Value};

mod error;
pub use error::{ConfigError, Place};

mod file;

mod layers;
pub use layers::Source;

mod outbound;
pub use outbound::OutboundConfig;

mod typed;
pub use typed::{
    AckPolicy, AuthConfig, Config, Fanout, LimitsConfig, LogConfig, MediaConfig, Rate,
    ServerConfig, WhatsappConfig,
};

mod cli;
pub use cli::{ChatOptions, Command, HandlersTestOptions, Inputs, load};

mod remote;
pub use remote::{KEY_ENV, LocalCommand, RemoteOptions, RemoteVerb, TrialOptions};

mod docs;
pub use docs::{default_file, settings_table};

pub use crate::base::secret::Secret;

#[cfg(test)]
mod tests;
