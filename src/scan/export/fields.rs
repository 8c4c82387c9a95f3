//! Every column that an export can have, and which of them make a table.

use crate::log::Kind;
use crate::log::record::{
    Delivery, Direction, EraseScope, MemberAction, Outcome, RoomAction, SessionAction, Source,
};

/// What a column holds. Every one may be absent from a row but [`Type::Flag`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(feature = "export"), allow(dead_code, reason = "asked by Parquet and Arrow"))]
pub(super) enum Type {
    /// 64-bit unsigned.
    Count,
    /// 32-bit unsigned.
    Number,
    /// Microseconds since 1970, UTC.
    Time,
    /// One of a few texts, listed by [`Field::codes`].
    Code,
    /// One of many texts that come again and again.
    Name,
    /// Text.
    Text,
    /// Bytes that are no text.
    Bytes,
    /// True or false.
    Flag,
}

macro_rules! fields {
    ($($field:ident $name:literal $ty:ident;)*) => {
        /// A column, in the order of a file.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Field {
            $($field,)*
        }

        impl Field {
            pub(super) const ALL: &'static [Self] = &[$(Self::$field,)*];

            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)*
                }
            }

            #[cfg_attr(not(feature = "export"), allow(dead_code, reason = "as `Type`"))]
            pub(super) const fn ty(self) -> Type {
                match self {
                    $(Self::$field => Type::$ty,)*
                }
            }
        }
    };
}

fields! {
    Seq "seq" Count;
    Ts "ts" Time;
    Kind "kind" Code;
    Room "room" Name;
    User "user" Name;
    Erased "erased" Flag;
    O "o" Count;
    Text "text" Text;
    Reply "reply" Count;
    Cid "cid" Text;
    Display "display" Name;
    External "external" Text;
    Extra "extra" Text;
    Source "source" Code;
    Direction "direction" Code;
    Target "target" Count;
    Version "version" Number;
    Action "action" Code;
    Subject "subject" Name;
    Role "role" Number;
    Sid "sid" Text;
    Device "device" Name;
    Client "client" Name;
    Code "code" Number;
    Command "command" Name;
    Args "args" Text;
    Outcome "outcome" Code;
    DurationUs "duration_us" Number;
    Cost "cost" Count;
    Call "call" Text;
    Status "status" Code;
    Recipient "recipient" Name;
    Error "error" Number;
    Recv "recv" Count;
    Read "read" Count;
    State "state" Number;
    Epoch "epoch" Count;
    First "first" Count;
    Last "last" Count;
    Id "id" Count;
    Part "part" Number;
    Parts "parts" Number;
    Bytes "bytes" Bytes;
    Metric "metric" Name;
    Shard "shard" Number;
    SpanUs "span_us" Count;
    Count "count" Count;
    Sum "sum" Count;
    Max "max" Count;
    Buckets "buckets" Bytes;
    By "by" Name;
    Reason "reason" Text;
    Scope "scope" Code;
    RecordCount "record_count" Count;
    SegmentCount "segment_count" Number;
}

/// Stands for a code that a later version wrote.
pub(super) const UNKNOWN_CODE: &str = "unknown";

impl Field {
    /// Every text that a [`Type::Code`] column can hold; none for other columns.
    #[cfg_attr(not(feature = "export"), allow(dead_code, reason = "as `Type`"))]
    pub(super) fn codes(self) -> Vec<&'static str> {
        let mut codes: Vec<&'static str> = match self {
            Self::Kind => {
                let own = Kind::ALL.iter().filter(|kind| kind.reported() == **kind);
                own.map(|kind| kind.name()).collect()
            }
            Self::Source => Source::ALL.iter().map(|source| source.name()).collect(),
            Self::Direction => Direction::ALL.iter().map(|direction| direction.name()).collect(),
            Self::Action => {
                let member = MemberAction::ALL.iter().map(|action| action.name());
                let room = RoomAction::ALL.iter().map(|action| action.name());
                let session = SessionAction::ALL.iter().map(|action| action.name());
                member.chain(room).chain(session).collect()
            }
            Self::Outcome => Outcome::ALL.iter().map(|outcome| outcome.name()).collect(),
            Self::Status => Delivery::ALL.iter().map(|status| status.name()).collect(),
            Self::Scope => EraseScope::ALL.iter().map(|scope| scope.name()).collect(),
            _ => return Vec::new(),
        };
        codes.push(UNKNOWN_CODE);
        codes
    }
}

/// Some kinds of record with the columns that mean something for them.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Empty: every kind, and those of later versions.
    pub(super) kinds: &'static [Kind],
    pub(super) fields: &'static [Field],
}

impl Table {
    pub(super) fn holds(&self, kind: Option<Kind>) -> bool {
        self.kinds.is_empty() || kind.is_some_and(|kind| self.kinds.contains(&kind))
    }
}

/// Every table; together the others hold each record of `all` once.
pub(super) const TABLES: &[Table] = &[
    Table { name: "all", kinds: &[], fields: Field::ALL },
    Table {
        name: "messages",
        kinds: &[Kind::Message],
        fields: &[
            Field::Seq,
            Field::Ts,
            Field::Room,
            Field::User,
            Field::Erased,
            Field::O,
            Field::Text,
            Field::Reply,
            Field::Cid,
            Field::Display,
            Field::External,
            Field::Extra,
            Field::Source,
            Field::Direction,
        ],
    },
    Table {
        name: "events",
        kinds: &[
            Kind::Edit,
            Kind::Delete,
            Kind::Member,
            Kind::Room,
            Kind::Mark,
            Kind::Epoch,
            Kind::Stop,
            Kind::Raw,
            Kind::UserStatus,
            Kind::Erasure,
            Kind::Name,
            Kind::Conversation,
            Kind::Definition,
            Kind::State,
        ],
        fields: &[
            Field::Seq,
            Field::Ts,
            Field::Kind,
            Field::Room,
            Field::User,
            Field::Erased,
            Field::O,
            Field::Text,
            Field::Target,
            Field::Version,
            Field::Action,
            Field::Subject,
            Field::Role,
            Field::Recv,
            Field::Read,
            Field::State,
            Field::Epoch,
            Field::Id,
            Field::Part,
            Field::Parts,
            Field::Bytes,
            Field::By,
            Field::Reason,
            Field::Scope,
            Field::RecordCount,
            Field::SegmentCount,
        ],
    },
    Table {
        name: "statuses",
        kinds: &[Kind::Status],
        fields: &[
            Field::Seq,
            Field::Ts,
            Field::Room,
            Field::Erased,
            Field::External,
            Field::Extra,
            Field::Status,
            Field::Recipient,
            Field::Error,
        ],
    },
    Table {
        name: "commands",
        kinds: &[Kind::Command, Kind::Call],
        fields: &[
            Field::Seq,
            Field::Ts,
            Field::Room,
            Field::User,
            Field::Erased,
            Field::Cid,
            Field::Command,
            Field::Args,
            Field::Outcome,
            Field::DurationUs,
            Field::Cost,
            Field::Call,
        ],
    },
    Table {
        name: "sessions",
        kinds: &[Kind::Session],
        fields: &[
            Field::Seq,
            Field::Ts,
            Field::User,
            Field::Erased,
            Field::Action,
            Field::Sid,
            Field::Device,
            Field::Client,
            Field::Code,
        ],
    },
    Table {
        name: "metrics",
        kinds: &[Kind::Metric],
        fields: &[
            Field::Seq,
            Field::Ts,
            Field::Metric,
            Field::Shard,
            Field::SpanUs,
            Field::Count,
            Field::Sum,
            Field::Max,
            Field::Buckets,
        ],
    },
];
