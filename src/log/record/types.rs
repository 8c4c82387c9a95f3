//! One struct per (type, version). What is published here never changes: its fields, their order
//! and their meaning are the file format, pinned by golden bytes in `tests.rs`. A new need is a new
//! struct with a new tag.
//!
//! Every `ts_us` is wall time in microseconds since 1970. Every `o` is a position in the room that
//! the record's header names. Fields stand widest first, so that no archive has holes inside.

use rkyv::boxed::{ArchivedBox, BoxResolver};
use rkyv::rancor::Fallible;
use rkyv::ser::Writer;
use rkyv::with::{ArchiveWith, InlineAsBox, SerializeWith};
use rkyv::{Archive, Place, Serialize};

/// Gives a number of a header a name. Written by the log thread on first use in each segment.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct NameV1<'a> {
    /// The number that headers use; unique in a segment.
    pub id: u32,
    /// The name itself.
    #[rkyv(with = InlineAsBox)]
    pub text: &'a str,
    /// A [`NameKind`](super::NameKind).
    pub kind: u8,
}

/// A message of a room.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct MessageV1<'a> {
    /// Position in the room.
    pub o: u64,
    /// When the server took it.
    pub ts_us: i64,
    /// Position of the message it answers; 0: none.
    pub reply: u64,
    /// The client's own id for it; may be empty.
    #[rkyv(with = InlineAsBox)]
    pub cid: &'a str,
    /// What was said.
    #[rkyv(with = InlineAsBox)]
    pub text: &'a str,
    /// The sender's name as shown; empty when it is the user's name.
    #[rkyv(with = InlineAsBox)]
    pub display: &'a str,
    /// The platform's id for it (a `wamid`); may be empty.
    #[rkyv(with = InlineAsBox)]
    pub external: &'a str,
    /// Opaque JSON that travels with it; may be empty.
    #[rkyv(with = InlineAsBox)]
    pub extra: &'a str,
    /// A [`Source`](super::Source).
    pub source: u8,
    /// A [`Direction`](super::Direction).
    pub direction: u8,
}

/// A new text for an earlier message.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct EditV1<'a> {
    /// Position of this event in the room.
    pub o: u64,
    /// Position of the message that changes.
    pub target: u64,
    /// When the server took it.
    pub ts_us: i64,
    /// The new text.
    #[rkyv(with = InlineAsBox)]
    pub text: &'a str,
    /// Counts the edits of the target; 1 is the first edit.
    pub version: u32,
}

/// An earlier message is withdrawn.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct DeleteV1 {
    /// Position of this event in the room.
    pub o: u64,
    /// Position of the message that goes.
    pub target: u64,
    /// When the server took it.
    pub ts_us: i64,
}

/// A membership of the room changes; the header's user did it to `subject`.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct MemberV1<'a> {
    /// Position of this event in the room.
    pub o: u64,
    /// When the server took it.
    pub ts_us: i64,
    /// Name of the user it is about.
    #[rkyv(with = InlineAsBox)]
    pub subject: &'a str,
    /// The domain's number for the role after the change.
    pub role: u8,
    /// A [`MemberAction`](super::MemberAction).
    pub action: u8,
}

/// The room itself changes.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct RoomV1<'a> {
    /// Position of this event in the room.
    pub o: u64,
    /// When the server took it.
    pub ts_us: i64,
    /// The topic, or the settings as JSON; empty when it was only created.
    #[rkyv(with = InlineAsBox)]
    pub text: &'a str,
    /// A [`RoomAction`](super::RoomAction).
    pub action: u8,
}

/// A session begins or ends.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct SessionV1<'a> {
    /// When.
    pub ts_us: i64,
    /// The public id of the session.
    #[rkyv(with = InlineAsBox)]
    pub sid: &'a str,
    /// The device's name; may be empty.
    #[rkyv(with = InlineAsBox)]
    pub device: &'a str,
    /// What the client calls itself; may be empty.
    #[rkyv(with = InlineAsBox)]
    pub client: &'a str,
    /// Close code at the end; 0 at the start.
    pub code: u16,
    /// A [`SessionAction`](super::SessionAction).
    pub action: u8,
}

/// A command ran.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct CommandV1<'a> {
    /// When it was called.
    pub ts_us: i64,
    /// What was given to it.
    #[rkyv(with = InlineAsBox)]
    pub args: &'a str,
    /// The interned name of the command ([`NameKind::Command`](super::NameKind)).
    pub command: u32,
    /// From the call to its answer, microseconds.
    pub duration_us: u32,
    /// An [`Outcome`](super::Outcome).
    pub outcome: u8,
}

/// A command was called and ended. Written instead of [`CommandV1`] since calls have an id.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct CallV1<'a> {
    /// When it ended.
    pub ts_us: i64,
    /// What it cost, in the unit of what carried it out: operations of a script, fuel of a module,
    /// microseconds of processor time of a program; 0: nothing worth counting.
    pub cost: u64,
    /// What was given to it.
    #[rkyv(with = InlineAsBox)]
    pub args: &'a str,
    /// The call's id.
    #[rkyv(with = InlineAsBox)]
    pub call: &'a str,
    /// The caller's own id for it; may be empty.
    #[rkyv(with = InlineAsBox)]
    pub cid: &'a str,
    /// The interned name of the command ([`NameKind::Command`](super::NameKind)).
    pub command: u32,
    /// From the call to its end, microseconds.
    pub duration_us: u32,
    /// An [`Outcome`](super::Outcome).
    pub outcome: u8,
}

/// Something that a command keeps in the header's room.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct StateV1<'a> {
    /// When.
    pub ts_us: i64,
    /// The command's name, a space, and what the command calls it.
    #[rkyv(with = InlineAsBox)]
    pub key: &'a str,
    /// What; empty: nothing any more.
    #[rkyv(with = InlineAsBox)]
    pub value: &'a str,
}

/// The platform says how far a message of ours got.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct StatusV1<'a> {
    /// When the server learned of it.
    pub ts_us: i64,
    /// The platform's id of the message.
    #[rkyv(with = InlineAsBox)]
    pub external: &'a str,
    /// The platform's id of the receiver.
    #[rkyv(with = InlineAsBox)]
    pub recipient: &'a str,
    /// Opaque JSON (conversation, pricing); may be empty.
    #[rkyv(with = InlineAsBox)]
    pub extra: &'a str,
    /// The platform's error number; 0: none.
    pub error: u32,
    /// A [`Delivery`](super::Delivery).
    pub status: u8,
}

/// How far the header's user has received and read the header's room.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct MarkV1 {
    /// When.
    pub ts_us: i64,
    /// Position up to which the user's devices have it.
    pub recv: u64,
    /// Position up to which the user has read.
    pub read: u64,
}

/// A new incarnation of every room begins.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct EpochV1 {
    /// When.
    pub ts_us: i64,
    /// The new epoch ([`EpochId`](crate::base::ids::EpochId)).
    pub epoch: u64,
}

/// The server stopped in order: nothing that was acknowledged can be missing.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct StopV1 {
    /// When.
    pub ts_us: i64,
}

/// A part of the body of a webhook as it came in; parts are at most 40 KiB.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct RawV1<'a> {
    /// When it came in.
    pub ts_us: i64,
    /// The same for all parts of one body.
    pub id: u64,
    /// The bytes of this part.
    #[rkyv(with = BytesAsBox)]
    pub bytes: &'a [u8],
    /// Index of this part, from 0.
    pub part: u16,
    /// Number of parts of this body.
    pub parts: u16,
}

/// The header's user changes their status.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct UserStatusV1<'a> {
    /// When.
    pub ts_us: i64,
    /// The status text; may be empty.
    #[rkyv(with = InlineAsBox)]
    pub text: &'a str,
    /// The domain's number for the state.
    pub state: u8,
}

/// What one measurement of a shard looked like over a while. Written by the server about itself.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct MetricV1<'a> {
    /// When the while ended.
    pub ts_us: i64,
    /// How long it was, microseconds.
    pub span_us: u64,
    /// Number of values.
    pub count: u64,
    /// Their sum, in the unit of the metric.
    pub sum: u64,
    /// The largest of them.
    pub max: u64,
    /// The metric's name.
    #[rkyv(with = InlineAsBox)]
    pub name: &'a str,
    /// The values by size, as `metrics` encodes them: so that whiles and shards can be added up.
    #[rkyv(with = BytesAsBox)]
    pub buckets: &'a [u8],
    /// The shard that measured.
    pub shard: u16,
}

/// Something was erased from the log on somebody's demand: what is left of it.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct EraseV1<'a> {
    /// When it was done.
    pub ts_us: i64,
    /// The erasure's number, as its request names it.
    pub id: u64,
    /// Records that lost their content.
    pub record_count: u64,
    /// Who demanded it.
    #[rkyv(with = InlineAsBox)]
    pub by: &'a str,
    /// What stands for the subject now; never what it was called before.
    #[rkyv(with = InlineAsBox)]
    pub subject: &'a str,
    /// Why, in the words of who demanded it; may be empty.
    #[rkyv(with = InlineAsBox)]
    pub reason: &'a str,
    /// Segments that were rewritten.
    pub segment_count: u32,
    /// An [`EraseScope`](super::EraseScope).
    pub scope: u8,
}

/// The header's user changed something about a conversation, the header's room. An empty user is
/// the server.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct ConversationV1<'a> {
    /// Position in the room; 0: it has no event.
    pub o: u64,
    /// When.
    pub ts_us: i64,
    /// The new value; what it means depends on the action.
    #[rkyv(with = InlineAsBox)]
    pub value: &'a str,
    /// A [`ConversationAction`](super::ConversationAction).
    pub action: u8,
}

/// The header's user put or removed a definition.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct DefinitionV1<'a> {
    /// When.
    pub ts_us: i64,
    /// Counts up with every change of the name.
    pub version: u64,
    /// Its name among those of its kind.
    #[rkyv(with = InlineAsBox)]
    pub name: &'a str,
    /// A JSON object; empty when it was removed.
    #[rkyv(with = InlineAsBox)]
    pub body: &'a str,
    /// The registry's number for the kind.
    pub kind: u8,
}

/// The header's room had the positions `first..=last` in an epoch. Stands in snapshots only.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct RunV1 {
    /// When the last of them was written.
    pub ts_us: i64,
    /// The epoch.
    pub epoch: u64,
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
}

/// A message or status that must not be taken a second time. Stands in snapshots only.
#[derive(Archive, Serialize, Clone, Copy, PartialEq, Debug)]
pub struct SeenV1<'a> {
    /// When it was taken.
    pub ts_us: i64,
    /// Position that it got in the header's room; 0: none.
    pub o: u64,
    /// Upper half of the print of its platform id; both 0: it has none.
    pub print_high: u64,
    /// Lower half of the print.
    pub print_low: u64,
    /// The header's user's own id for it; may be empty.
    #[rkyv(with = InlineAsBox)]
    pub cid: &'a str,
}

/// [`InlineAsBox`] for bytes. rkyv wants an allocator for any slice but `str`; bytes need none.
pub struct BytesAsBox;

impl ArchiveWith<&[u8]> for BytesAsBox {
    type Archived = ArchivedBox<[u8]>;
    type Resolver = BoxResolver;

    fn resolve_with(field: &&[u8], resolver: BoxResolver, out: Place<Self::Archived>) {
        ArchivedBox::resolve_from_ref(*field, resolver, out);
    }
}

impl<S: Fallible + Writer + ?Sized> SerializeWith<&[u8], S> for BytesAsBox {
    fn serialize_with(field: &&[u8], serializer: &mut S) -> Result<BoxResolver, S::Error> {
        let begin = serializer.pos();
        serializer.write(field)?;
        Ok(BoxResolver::from_pos(begin))
    }
}
