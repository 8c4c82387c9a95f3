//! The configuration as the rest of the server sees it: types, no strings, checked as a whole.

use super::error::{ConfigError, Place};
use super::layers::Layers;
use super::outbound::OutboundConfig;
use super::value::{RoomKeep, Value};
use crate::base::limits::MIB;
use crate::base::secret::Secret;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A configuration that the server can start with. The table of settings says what each field
/// means to an operator; here stands what it means to the code.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listener, shards and the data directory.
    pub server: ServerConfig,
    /// The append-only log.
    pub log: LogConfig,
    /// What the server logs about itself.
    pub metrics: MetricsConfig,
    /// When a message is delivered.
    pub fanout: Fanout,
    /// Who may connect.
    pub auth: AuthConfig,
    /// How much one peer may do.
    pub limits: LimitsConfig,
    /// The WhatsApp side.
    pub whatsapp: WhatsappConfig,
    /// The HTTP API.
    pub api: ApiConfig,
    /// `media.*`.
    pub media: MediaConfig,
    /// What can be used but is probably not meant, one sentence each, for standard error.
    pub warnings: Vec<String>,
}

/// `server.*` and `dev.*`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Loopback whenever `dev` is set. Port 0 asks the kernel for one.
    pub listen: SocketAddr,
    /// Not yet made, perhaps relative to the working directory.
    pub data: PathBuf,
    /// 0: one shard per CPU this process may run on, which only the node can count.
    pub shards: u16,
    /// No tokens are asked for.
    pub dev: bool,
    /// Whether `/echo` is served: set by `dev` or by `dev.echo`.
    pub echo: bool,
    /// Allowed beside the server's own host and loopback.
    pub origins: Vec<String>,
    /// Where others reach this server; by itself the address it listens on.
    pub public_url: Option<String>,
    /// From the first signal to the end of the shards at the latest, milliseconds.
    pub drain_ms: u64,
}

/// `log.*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// What an `ok` promises.
    pub ack: AckPolicy,
    /// Size of a segment file; a whole number of MiB.
    pub segment_bytes: u64,
    /// Days after which whole segments go.
    pub keep_days: Option<u32>,
    /// Bytes on disk beyond which the oldest segments go.
    pub keep_bytes: Option<u64>,
    /// Rooms whose texts go earlier.
    pub keep_rooms: Vec<RoomKeep>,
}

/// `metrics.*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MetricsConfig {
    /// How often each shard logs what it measured, seconds. 0: never.
    pub log_every_s: u64,
    /// Whether `/metrics` is served: set by `dev` or by `metrics.endpoint`.
    pub endpoint: bool,
}

/// What a message must have reached before its sender is told `ok`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckPolicy {
    /// This process's memory: lost when it dies.
    Memory,
    /// The kernel's page cache: lost when the machine dies.
    Os,
    /// The disk.
    Fsync,
}

/// When members are sent a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fanout {
    /// At once; a crash may take it back, which resuming clients are told.
    Memory,
    /// When the log holds it as [`AckPolicy`] says.
    Durable,
}

/// `auth.*`.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Key of HS256 tokens. Present unless `server.dev`.
    pub secret: Option<Secret>,
}

/// `limits.*`; `None` is no bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitsConfig {
    /// `send`, `edit`, `delete` of one session.
    pub sends: Option<Rate>,
    /// The same of one user in one room.
    pub room_sends: Option<Rate>,
    /// Frames from one connection.
    pub frames: Option<Rate>,
    /// Connections of the whole server.
    pub connections_max: Option<u32>,
    /// Sessions of one user.
    pub connections_per_user: Option<u32>,
    /// Connections from one address.
    pub connections_per_ip: Option<u32>,
}

/// A token bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Tokens a second, at least 1.
    pub per_s: u32,
    /// Size of the bucket, at least 1.
    pub burst: u32,
}

/// `whatsapp.*`.
#[derive(Clone, Debug)]
pub struct WhatsappConfig {
    /// Any of these may sign a webhook. None: every webhook is refused.
    pub app_secrets: Vec<Secret>,
    /// None: every verification request is refused.
    pub verify_token: Option<Secret>,
    /// Messages out.
    pub outbound: OutboundConfig,
    /// Who may see conversations: names, or beginnings of names followed by `*`.
    pub agents: Vec<String>,
}

/// `media.*`.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Files are kept up to this, bytes.
    pub cache_bytes: u64,
}

/// `api.*`.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Any of these opens it. None: only development mode has it, and asks for none.
    pub keys: Vec<Secret>,
    /// A folder of definitions.
    pub definitions: Option<PathBuf>,
    /// A folder of programs that commands may run.
    pub programs: Option<PathBuf>,
}

impl Default for Config {
    /// What `ringpost` without arguments, environment and file runs with.
    fn default() -> Self {
        let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        Self::from_layers(&Layers::presets(false), &no_files).expect("the defaults fit together")
    }
}

impl Config {
    /// Reads the layers and the file of `auth.secret_file`, then checks what concerns more than
    /// one setting.
    pub(super) fn from_layers(
        layers: &Layers,
        read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, ConfigError> {
        let dev = boolean(layers, "server.dev");
        let mut config = Self {
            server: ServerConfig {
                listen: address(layers, "server.listen"),
                data: path(layers, "server.data").expect("has a default").to_owned(),
                shards: integer(layers, "server.shards") as u16,
                dev,
                echo: dev || boolean(layers, "dev.echo"),
                origins: origins(layers, "server.origins"),
                public_url: optional_origin(layers, "server.public_url"),
                drain_ms: integer(layers, "server.drain_ms"),
            },
            log: LogConfig {
                ack: match choice(layers, "log.ack") {
                    "memory" => AckPolicy::Memory,
                    "os" => AckPolicy::Os,
                    _ => AckPolicy::Fsync,
                },
                segment_bytes: integer(layers, "log.segment_mib") * MIB as u64,
                keep_days: Some(integer(layers, "log.keep_days") as u32).filter(|days| *days > 0),
                keep_bytes: Some(integer(layers, "log.keep_mib") * MIB as u64)
                    .filter(|bytes| *bytes > 0),
                keep_rooms: match layers.get("log.keep_rooms") {
                    Some(Value::RoomKeeps(keeps)) => keeps.clone(),
                    _ => Vec::new(),
                },
            },
            metrics: MetricsConfig {
                log_every_s: integer(layers, "metrics.log_every_s"),
                endpoint: dev || boolean(layers, "metrics.endpoint"),
            },
            fanout: match choice(layers, "rooms.fanout") {
                "memory" => Fanout::Memory,
                _ => Fanout::Durable,
            },
            auth: AuthConfig { secret: auth_secret(layers, read)? },
            limits: limits(layers),
            whatsapp: WhatsappConfig {
                app_secrets: secrets(layers, "whatsapp.app_secret"),
                verify_token: secrets(layers, "whatsapp.verify_token").pop(),
                outbound: OutboundConfig::read(layers, read)?,
                agents: match layers.get("whatsapp.agents") {
                    Some(Value::Users(users)) => users.clone(),
                    _ => Vec::new(),
                },
            },
            api: ApiConfig {
                keys: secrets(layers, "api.key"),
                definitions: path(layers, "api.definitions").map(Path::to_path_buf),
                programs: path(layers, "commands.programs").map(Path::to_path_buf),
            },
            media: MediaConfig { cache_bytes: integer(layers, "media.cache_mib") << 20 },
            warnings: Vec::new(),
        };
        config.check(layers)?;
        Ok(config)
    }

    /// Rules between settings: refusals first, then warnings.
    fn check(&mut self, layers: &Layers) -> Result<(), ConfigError> {
        let listen = self.server.listen;
        if self.server.dev && !listen.ip().is_loopback() {
            let problem = format!(
                "development mode asks nobody for a token, so it does not listen on {listen}, \
                 which other machines can reach"
            );
            return Err(ConfigError::new(layers.place("server.listen"), problem)
                .with_hint("listen on 127.0.0.1, or set `server.dev = false` and `auth.secret`"));
        }
        if !self.server.dev && self.auth.secret.is_none() {
            let problem = "`auth.secret` is not set: outside development mode nobody could log in";
            return Err(ConfigError::new(Place::Whole, problem).with_hint(
                "set RINGPOST_AUTH_SECRET or `auth.secret_file` (`openssl rand -hex 32` makes \
                 one), or add `--dev`",
            ));
        }
        let whatsapp = &self.whatsapp;
        if whatsapp.verify_token.is_some() && whatsapp.app_secrets.is_empty() {
            self.warnings.push(
                "`whatsapp.verify_token` is set but `whatsapp.app_secret` is not: every webhook \
                 will be refused, because none can be verified"
                    .to_owned(),
            );
        }
        if self.fanout == Fanout::Durable && self.log.ack == AckPolicy::Memory {
            self.warnings.push(
                "`rooms.fanout = \"durable\"` waits for nothing while `log.ack = \"memory\"`"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// The key itself or the content of its file, never both: nobody should have to know which wins.
fn auth_secret(
    layers: &Layers,
    read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Option<Secret>, ConfigError> {
    let given = secrets(layers, "auth.secret").pop();
    let Some(file) = path(layers, "auth.secret_file") else {
        return Ok(given);
    };
    let place = layers.place("auth.secret_file");
    if given.is_some() {
        let problem = "`auth.secret_file`: `auth.secret` is set too; set one of them";
        return Err(ConfigError::new(place, problem));
    }
    let name = file.display();
    let bytes = read(file).map_err(|error| {
        ConfigError::new(place.clone(), format!("`auth.secret_file`: cannot read {name}: {error}"))
    })?;
    let setting = super::Setting::find("auth.secret").expect("a row of the table");
    let text = std::str::from_utf8(&bytes).ok().map(|text| text.trim_end_matches(['\r', '\n']));
    match text.and_then(|text| setting.kind.parse(text)) {
        Some(Value::Secrets(mut secrets)) => Ok(secrets.pop()),
        _ => {
            let problem = format!("`auth.secret_file`: {name} does not hold {}", setting.kind);
            Err(ConfigError::new(place, problem))
        }
    }
}

fn limits(layers: &Layers) -> LimitsConfig {
    let count = |key| {
        let value = integer(layers, key) as u32;
        (value > 0).then_some(value)
    };
    let rate = |per_s, burst| Some(Rate { per_s: count(per_s)?, burst: count(burst)? });
    LimitsConfig {
        sends: rate("limits.sends_per_s", "limits.sends_burst"),
        room_sends: rate("limits.room_sends_per_s", "limits.room_sends_burst"),
        frames: rate("limits.frames_per_s", "limits.frames_burst"),
        connections_max: count("limits.connections_max"),
        connections_per_user: count("limits.connections_per_user"),
        connections_per_ip: count("limits.connections_per_ip"),
    }
}

// The table guarantees the form of a value, so another form here is a wrong line in this file.

fn boolean(layers: &Layers, key: &str) -> bool {
    match layers.get(key) {
        Some(Value::Bool(value)) => *value,
        other => panic!("{key}: {other:?}"),
    }
}

fn integer(layers: &Layers, key: &str) -> u64 {
    match layers.get(key) {
        Some(Value::Integer(value)) => *value,
        other => panic!("{key}: {other:?}"),
    }
}

fn address(layers: &Layers, key: &str) -> SocketAddr {
    match layers.get(key) {
        Some(Value::Address(value)) => *value,
        other => panic!("{key}: {other:?}"),
    }
}

fn choice(layers: &Layers, key: &str) -> &'static str {
    match layers.get(key) {
        Some(Value::Choice(value)) => value,
        other => panic!("{key}: {other:?}"),
    }
}

pub(super) fn path<'a>(layers: &'a Layers, key: &str) -> Option<&'a Path> {
    match layers.get(key) {
        Some(Value::Path(value)) => Some(value),
        None => None,
        other => panic!("{key}: {other:?}"),
    }
}

fn optional_origin(layers: &Layers, key: &str) -> Option<String> {
    match layers.get(key) {
        Some(Value::Text(value)) => Some(value.clone()),
        None => None,
        other => panic!("{key}: {other:?}"),
    }
}

fn origins(layers: &Layers, key: &str) -> Vec<String> {
    match layers.get(key) {
        Some(Value::Origins(value)) => value.clone(),
        None => Vec::new(),
        other => panic!("{key}: {other:?}"),
    }
}

pub(super) fn secrets(layers: &Layers, key: &str) -> Vec<Secret> {
    match layers.get(key) {
        Some(Value::Secrets(value)) => value.clone(),
        None => Vec::new(),
        other => panic!("{key}: {other:?}"),
    }
}
