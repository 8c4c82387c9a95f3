//! The table of types: it ties struct, tag, name and layout, and makes the view that readers match.

use super::types::*;
use rkyv::api::low::LowValidator;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::{Failure, Strategy};
use rkyv::ser::Serializer;
use rkyv::ser::writer::Buffer;
use rkyv::{Archive, Archived, Portable, Serialize};
use std::mem::offset_of;

/// The serializer of the append path: into a given slice, without an allocator.
pub type SliceSerializer<'b> = Strategy<Serializer<Buffer<'b>, (), ()>, Failure>;

/// A struct of the log and its number on disk.
pub trait Record: for<'b> Serialize<SliceSerializer<'b>> {
    /// The type that goes into the header.
    const KIND: Kind;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $tag:literal $kind:ident $text:literal, $life:ty, $fixed:ty, $ts:tt;)*) => {
        /// Every type of record. The number is on disk and is never reused.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        pub enum Kind {
            $($(#[$doc])* $kind = $tag,)*
        }

        impl Kind {
            /// Every type, in the order of its tag.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The type of a tag on disk.
            pub const fn from_tag(tag: u16) -> Option<Self> {
                match tag {
                    $($tag => Some(Self::$kind),)*
                    _ => None,
                }
            }

            /// The number on disk.
            pub const fn tag(self) -> u16 {
                self as u16
            }

            /// Stable name, as reports print it and filters take it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                }
            }

            /// As what reports show it: two versions of a record are one thing to their readers.
            pub const fn reported(self) -> Self {
                match self {
                    Self::Call => Self::Command,
                    other => other,
                }
            }

            /// Of the archived root: size, alignment, and where its time stands.
            pub const fn layout(self) -> (usize, usize, Option<usize>) {
                match self {
                    $(Self::$kind => (
                        size_of::<Archived<$fixed>>(),
                        align_of::<Archived<$fixed>>(),
                        ts_offset!($fixed, $ts),
                    ),)*
                }
            }
        }

        $(impl Record for $life {
            const KIND: Kind = Kind::$kind;
        })*

        /// A record read in place: the archive of its type.
        #[derive(Clone, Copy)]
        pub enum RecordView<'a> {
            $($(#[$doc])* $kind(&'a Archived<$fixed>),)*
        }

        impl<'a> RecordView<'a> {
            /// Validates `payload` as the archive of `kind`: pointers inside, UTF-8 valid. `None`
            /// for bytes that are none; they must be 8-aligned.
            pub fn check(kind: Kind, payload: &'a [u8]) -> Option<Self> {
                match kind {
                    $(Kind::$kind => check::<Archived<$fixed>>(payload).map(Self::$kind),)*
                }
            }

            /// Reads `payload` in place without looking at it.
            ///
            /// # Safety
            ///
            /// `payload` is 8-aligned and was serialised from the struct of `kind` by this crate:
            /// it stands in a batch with a valid checksum, in a file that only the server writes.
            pub unsafe fn trust(kind: Kind, payload: &'a [u8]) -> Self {
                match kind {
                    // SAFETY: by the contract above, the payload is the archive of this type.
                    $(Kind::$kind => Self::$kind(unsafe {
                        rkyv::access_unchecked::<Archived<$fixed>>(payload)
                    }),)*
                }
            }

            /// What it is.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }
        }
    };
}

macro_rules! ts_offset {
    ($ty:ty, timed) => {
        Some(offset_of!(Archived<$ty>, ts_us))
    };
    ($ty:ty, timeless) => {
        None
    };
}

kinds! {
    /// The text of an interned number.
    1 Name "name", NameV1<'_>, NameV1<'static>, timeless;
    /// A message.
    2 Message "message", MessageV1<'_>, MessageV1<'static>, timed;
    /// A changed message.
    3 Edit "edit", EditV1<'_>, EditV1<'static>, timed;
    /// A withdrawn message.
    4 Delete "delete", DeleteV1, DeleteV1, timed;
    /// A changed membership.
    5 Member "member", MemberV1<'_>, MemberV1<'static>, timed;
    /// A changed room.
    6 Room "room", RoomV1<'_>, RoomV1<'static>, timed;
    /// Start or end of a session.
    7 Session "session", SessionV1<'_>, SessionV1<'static>, timed;
    /// A command that ran.
    8 Command "command", CommandV1<'_>, CommandV1<'static>, timed;
    /// A delivery status.
    9 Status "status", StatusV1<'_>, StatusV1<'static>, timed;
    /// A receipt.
    10 Mark "mark", MarkV1, MarkV1, timed;
    /// A new epoch.
    11 Epoch "epoch", EpochV1, EpochV1, timed;
    /// A stop in order.
    12 Stop "stop", StopV1, StopV1, timed;
    /// A part of a raw webhook body.
    13 Raw "raw", RawV1<'_>, RawV1<'static>, timed;
    /// A user's status.
    14 UserStatus "user_status", UserStatusV1<'_>, UserStatusV1<'static>, timed;
    /// A measurement of the server.
    15 Metric "metric", MetricV1<'_>, MetricV1<'static>, timed;
    /// What is left of something that was erased.
    16 Erasure "erasure", EraseV1<'_>, EraseV1<'static>, timed;
    /// Positions of a room in one epoch, in snapshots.
    17 Run "run", RunV1, RunV1, timed;
    /// Something that was taken already, in snapshots.
    18 Seen "seen", SeenV1<'_>, SeenV1<'static>, timed;
    /// A changed conversation with a contact.
    19 Conversation "conversation", ConversationV1<'_>, ConversationV1<'static>, timed;
    /// A definition that was put or removed.
    20 Definition "definition", DefinitionV1<'_>, DefinitionV1<'static>, timed;
    /// A command that was called and ended.
    21 Call "call", CallV1<'_>, CallV1<'static>, timed;
    /// Something that a command keeps.
    22 State "state", StateV1<'_>, StateV1<'static>, timed;
}

const _: () = assert!(Kind::ALL.len() < 32, "a batch keeps its types in a 32-bit mask");

impl std::fmt::Debug for RecordView<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("RecordView").field(&self.kind()).finish()
    }
}

/// Serialises `record` to the front of `out`, whose first byte is 8-aligned. Gives the payload
/// length, or `None` when it does not fit. No allocation.
pub fn serialize_into<R: Record>(record: &R, out: &mut [u8]) -> Option<usize> {
    assert!(out.as_ptr().cast::<u64>().is_aligned());
    let mut serializer = Serializer::new(Buffer::from(out), (), ());
    rkyv::api::serialize_using::<_, Failure>(record, &mut serializer).ok()?;
    let len = serializer.into_writer().len();
    assert!(len >= size_of::<<R as Archive>::Archived>());
    Some(len)
}

fn check<T>(payload: &[u8]) -> Option<&T>
where
    T: Portable + for<'v> CheckBytes<LowValidator<'v, Failure>>,
{
    rkyv::api::low::access::<T, Failure>(payload).ok()
}
