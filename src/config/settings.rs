//! The table. To add a setting: a row here, a field in `typed.rs`, and the document's table again
//! from `ringpost config docs`.

use super::value::{DAYS_MAX, Kind};
use crate::base::limits;

/// One thing an operator can set.
#[derive(Debug)]
pub struct Setting {
    /// `section.name`, as in the file and for `--set`.
    pub key: &'static str,
    /// What a value must look like.
    pub kind: Kind,
    /// The value when nobody sets one.
    pub preset: Preset,
    /// The flag without dashes, for the few settings that people type.
    pub flag: Option<&'static str>,
    /// One sentence for help and documents.
    pub help: &'static str,
}

/// A default.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// Not set: the feature is off, or the help says what happens.
    Nothing,
    /// True exactly when no config file is given: a first try needs no file, and a file means that
    /// somebody has decided.
    TrueWithoutFile,
    /// This boolean.
    Bool(bool),
    /// This number.
    Integer(u64),
    /// This text.
    Text(&'static str),
}

impl Setting {
    /// The environment variable: `server.listen` is `RINGPOST_SERVER_LISTEN`.
    pub fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// Whether the value must stay out of logs, command lines and reports.
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret { .. } | Kind::Secrets)
    }

    /// The row with this key.
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

/// Begins every environment variable of the server.
pub(super) const ENV_PREFIX: &str = "RINGPOST_";

/// Bounds of `log.segment_mib`: small enough to rotate in a test, small enough for 32-bit offsets.
const SEGMENT_MIB: Kind = Kind::Integer { min: 4, max: 1_024 };
/// Any count whose 0 means "no bound".
const COUNT: Kind = Kind::Integer { min: 0, max: u32::MAX as u64 };
const _: () = assert!(limits::BATCH_BYTES_MAX * 64 <= 4 * limits::MIB, "smallest segment");
const _: () =
    assert!(limits::SEGMENT_BYTES.is_multiple_of(limits::MIB), "log.segment_mib is exact");

/// A signing key shorter than its hash is refused (RFC 7518 §3.2, for HS256).
const AUTH_SECRET: Kind = Kind::Secret { bytes_min: 32 };

/// Every setting, in the order of the documents.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "server.listen",
        kind: Kind::Address,
        preset: Preset::Text("127.0.0.1:8080"),
        flag: Some("listen"),
        help: "Address and port to listen on; port 0 takes a free one.",
    },
    Setting {
        key: "server.data",
        kind: Kind::Path,
        preset: Preset::Text("./ringpost-data"),
        flag: Some("data"),
        help: "Directory of the log; made when missing.",
    },
    Setting {
        key: "server.shards",
        kind: Kind::Integer { min: 0, max: 256 },
        preset: Preset::Integer(0),
        flag: Some("shards"),
        help: "Threads that serve, one per core; 0 is every CPU this process may use.",
    },
    Setting {
        key: "server.dev",
        kind: Kind::Bool,
        preset: Preset::TrueWithoutFile,
        flag: Some("dev"),
        help: "Development mode: no tokens, `/echo` and `/room/N` on; loopback addresses only.",
    },
    Setting {
        key: "server.origins",
        kind: Kind::Origins,
        preset: Preset::Nothing,
        flag: None,
        help: "Origins whose pages may open a WebSocket, beside the server's own and loopback.",
    },
    Setting {
        key: "server.public_url",
        kind: Kind::Origin,
        preset: Preset::Nothing,
        flag: None,
        help: "Where answers to commands reach this server; the bound address unless set.",
    },
    Setting {
        key: "server.drain_ms",
        kind: Kind::Integer { min: 0, max: 600_000 },
        preset: Preset::Integer(30_000),
        flag: None,
        help: "On a stop, how many milliseconds clients have to go; then it stops all the same.",
    },
    Setting {
        key: "dev.echo",
        kind: Kind::Bool,
        preset: Preset::Bool(false),
        flag: None,
        help: "Serve the echo on `/echo` and raw rooms on `/room/N` outside development mode too.",
    },
    Setting {
        key: "log.ack",
        kind: Kind::Choice(&["memory", "os", "fsync"]),
        preset: Preset::Text("fsync"),
        flag: None,
        help: "What a message must have reached before its sender gets `ok`.",
    },
    Setting {
        key: "log.segment_mib",
        kind: SEGMENT_MIB,
        preset: Preset::Integer((limits::SEGMENT_BYTES / limits::MIB) as u64),
        flag: None,
        help: "Size of one log file in MiB.",
    },
    Setting {
        key: "log.keep_days",
        kind: Kind::Integer { min: 0, max: DAYS_MAX as u64 },
        preset: Preset::Integer(0),
        flag: None,
        help: "Days after which whole log files go; 0 keeps them for good.",
    },
    Setting {
        key: "log.keep_mib",
        kind: COUNT,
        preset: Preset::Integer(0),
        flag: None,
        help: "MiB of log on disk beyond which the oldest files go; 0 is unlimited.",
    },
    Setting {
        key: "log.keep_rooms",
        kind: Kind::RoomKeeps,
        preset: Preset::Nothing,
        flag: None,
        help: "Rooms whose texts go after some days: `support/*=30d`; the first that fits holds.",
    },
    Setting {
        key: "metrics.log_every_s",
        kind: Kind::Integer { min: 0, max: 86_400 },
        preset: Preset::Integer(60),
        flag: None,
        help: "Seconds between the server's own latencies in the log; 0 leaves them out.",
    },
    Setting {
        key: "metrics.endpoint",
        kind: Kind::Bool,
        preset: Preset::Bool(false),
        flag: None,
        help: "Serve `/metrics` outside development mode too, to whoever can reach it.",
    },
    Setting {
        key: "rooms.fanout",
        kind: Kind::Choice(&["memory", "durable"]),
        preset: Preset::Text("memory"),
        flag: None,
        help: "Deliver a message at once, or only when it has reached what `log.ack` names.",
    },
    Setting {
        key: "auth.secret",
        kind: AUTH_SECRET,
        preset: Preset::Nothing,
        flag: None,
        help: "Key of the HS256 tokens that clients show; required outside development mode.",
    },
    Setting {
        key: "auth.secret_file",
        kind: Kind::Path,
        preset: Preset::Nothing,
        flag: None,
        help: "File that holds `auth.secret`; a newline at its end does not count.",
    },
    Setting {
        key: "limits.sends_per_s",
        kind: COUNT,
        preset: Preset::Integer(limits::SENDS_PER_S as u64),
        flag: None,
        help: "Messages a second of one session; 0 is unlimited.",
    },
    Setting {
        key: "limits.sends_burst",
        kind: COUNT,
        preset: Preset::Integer(limits::SENDS_BURST as u64),
        flag: None,
        help: "Messages a session may send at once; 0 is unlimited.",
    },
    Setting {
        key: "limits.room_sends_per_s",
        kind: COUNT,
        preset: Preset::Integer(limits::ROOM_SENDS_PER_S as u64),
        flag: None,
        help: "Messages a second of one user in one room; 0 is unlimited.",
    },
    Setting {
        key: "limits.room_sends_burst",
        kind: COUNT,
        preset: Preset::Integer(limits::ROOM_SENDS_BURST as u64),
        flag: None,
        help: "Messages a user may send at once in one room; 0 is unlimited.",
    },
    Setting {
        key: "limits.frames_per_s",
        kind: COUNT,
        preset: Preset::Integer(limits::FRAMES_PER_S as u64),
        flag: None,
        help: "Frames a second of one connection, beyond which it is closed; 0 is unlimited.",
    },
    Setting {
        key: "limits.frames_burst",
        kind: COUNT,
        preset: Preset::Integer(limits::FRAMES_BURST as u64),
        flag: None,
        help: "Frames a connection may send at once; 0 is unlimited.",
    },
    Setting {
        key: "limits.connections_max",
        kind: COUNT,
        preset: Preset::Integer(0),
        flag: None,
        help: "Connections of the whole server; 0 is as many as the open-file limit allows.",
    },
    Setting {
        key: "limits.connections_per_user",
        kind: COUNT,
        preset: Preset::Integer(limits::SESSIONS_PER_USER_MAX as u64),
        flag: None,
        help: "Sessions of one user at a time; 0 is unlimited.",
    },
    // Off by default: behind a reverse proxy every connection has the proxy's address.
    Setting {
        key: "limits.connections_per_ip",
        kind: COUNT,
        preset: Preset::Integer(0),
        flag: None,
        help: "Connections from one IPv4 address or IPv6 /64 at a time; 0 is unlimited.",
    },
    Setting {
        key: "whatsapp.app_secret",
        kind: Kind::Secrets,
        preset: Preset::Nothing,
        flag: None,
        help: "Meta app secrets that sign webhooks; several while rotating, or for several apps.",
    },
    Setting {
        key: "whatsapp.verify_token",
        kind: Kind::Secret { bytes_min: 1 },
        preset: Preset::Nothing,
        flag: None,
        help: "The verify token typed into the Meta App Dashboard with the callback URL.",
    },
    Setting {
        key: "whatsapp.numbers",
        kind: Kind::Numbers,
        preset: Preset::Nothing,
        flag: None,
        help: "Numbers (`phone_number_id`) by which messages go out; without one nothing does.",
    },
    Setting {
        key: "whatsapp.token",
        kind: Kind::Secret { bytes_min: 1 },
        preset: Preset::Nothing,
        flag: None,
        help: "Access token of the Graph API, for all numbers.",
    },
    Setting {
        key: "whatsapp.token_file",
        kind: Kind::Path,
        preset: Preset::Nothing,
        flag: None,
        help: "File with that token, or with lines of a number, a space and its token.",
    },
    Setting {
        key: "whatsapp.base_url",
        kind: Kind::Origin,
        preset: Preset::Text("https://graph.facebook.com"),
        flag: None,
        help: "Where the Graph API is; a stand-in on this machine may do without TLS.",
    },
    Setting {
        key: "whatsapp.version",
        kind: Kind::Version,
        preset: Preset::Text("v25.0"),
        flag: None,
        help: "Version of the Graph API.",
    },
    Setting {
        key: "whatsapp.agents",
        kind: Kind::Users,
        preset: Preset::Nothing,
        flag: None,
        help: "Users who may see conversations with contacts: names, or `support-*`, or `*`.",
    },
    Setting {
        key: "media.cache_mib",
        kind: Kind::Integer { min: 1, max: 1 << 20 },
        preset: Preset::Integer(1_024),
        flag: None,
        help: "Disk for files of WhatsApp messages that were fetched; the least used go first.",
    },
    Setting {
        key: "api.key",
        kind: Kind::Secrets,
        preset: Preset::Nothing,
        flag: None,
        help: "Keys of the HTTP API, `Authorization: Bearer …`; without one only --dev has it.",
    },
    Setting {
        key: "api.definitions",
        kind: Kind::Path,
        preset: Preset::Nothing,
        flag: None,
        help: "Folder of `handlers/`, `hooks/`, `subscriptions/`, `commands/`: put at a start.",
    },
    Setting {
        key: "commands.programs",
        kind: Kind::Path,
        preset: Preset::Nothing,
        flag: None,
        help: "Folder of programs that commands may run; none may unless it is set.",
    },
    Setting {
        key: "egress.networks",
        kind: Kind::Networks,
        preset: Preset::Nothing,
        flag: None,
        help: "Networks that calls out may reach although they are not public; none unless listed.",
    },
    Setting {
        key: "egress.ca_file",
        kind: Kind::Path,
        preset: Preset::Nothing,
        flag: None,
        help: "PEM file of authorities that calls out believe beside Mozilla's: a proxy's, say.",
    },
];
