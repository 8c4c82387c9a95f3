//! What a snapshot keeps: one table from records to keys. The newest record of a key stays.

use crate::base::limits::{CID_WINDOW_MS, INBOUND_WINDOW_MS};
use crate::log::reader::Entry;
use crate::log::record::{
    CallV1, ConversationAction, ConversationV1, DefinitionV1, Delivery, Direction, MemberAction,
    MessageV1, RawRecord, RecordView, RoomAction, StateV1, StatusV1,
};

use std::cmp::Ordering;

/// Gives the print under which the domain remembers a platform's item, if the record is one.
/// The log does not know what makes two items the same.
pub type Print = fn(&Entry<'_>) -> Option<u128>;

/// What a key is about. The order is that of the file, and that in which it can be restored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Class {
    Created,
    Topic,
    Access,
    Member,
    Mark,
    Run,
    Cid,
    Outgoing,
    Called,
    State,
    Assignee,
    Tag,
    Contact,
    Step,
    Link,
    Turn,
    CommandState,
    UserStatus,
    External,
    Erasure,
    Definition,
}

/// Parts of the file. Epochs stand before all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Section {
    Rooms,
    Users,
    Externals,
    Erasures,
    Definitions,
}

/// Of two records with one key only the newer matters. Ordered as the file is: by its fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key<'a> {
    pub section: Section,
    /// The room; empty in other sections.
    pub room: &'a str,
    pub class: Class,
    /// Epoch index of a run, position of a message, time of an item, number of an erasure.
    pub number: u64,
    /// The user.
    pub user: &'a str,
    /// Tells items of one moment apart.
    pub print: u128,
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let fine = |key: &Self| (key.number, key.print);
        self.section.cmp(&other.section).then_with(|| match self.section {
            // There are many, and their texts are empty.
            Section::Externals => fine(self).cmp(&fine(other)),
            _ => (self.room, self.class, self.number, self.user, self.print).cmp(&(
                other.room,
                other.class,
                other.number,
                other.user,
                other.print,
            )),
        })
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What stays of a record.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Kept<'a> {
    /// The record itself, its room, and its user where restoring needs it.
    Record { record: RawRecord<'a>, room: &'a str, user: &'a str },
    /// Something of a room that was set and can be taken away, or was.
    Setting { record: RawRecord<'a>, room: &'a str, user: &'a str, gone: bool },
    /// A membership, which ends or goes on.
    Member { record: RawRecord<'a>, room: &'a str, gone: bool },
    /// Positions `first..=last` of a room in an epoch.
    Run { ts_us: i64, room: &'a str, epoch: u64, first: u64, last: u64 },
    /// A message on its way out, or the word that it was called; nothing once it has an outcome.
    Outgoing { record: RawRecord<'a>, room: &'a str, user: &'a str, done: bool },
    /// A message or status that was taken.
    Seen { ts_us: i64, room: &'a str, user: &'a str, o: u64, print: u128, cid: &'a str },
}

/// A position that a record gave out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed<'a> {
    pub room: &'a str,
    pub o: u64,
    pub ts_us: i64,
}

/// What the rules need besides the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    /// Ids of clients from before are forgotten.
    pub cids_us: i64,
    /// Ids of platforms from before are forgotten.
    pub externals_us: i64,
}

impl Horizon {
    pub fn at(now_us: i64) -> Self {
        let before = |window_ms: i64| now_us.saturating_sub(window_ms.saturating_mul(1_000));
        Self { cids_us: before(CID_WINDOW_MS as i64), externals_us: before(INBOUND_WINDOW_MS) }
    }
}

fn key<'a>(section: Section, room: &'a str, class: Class) -> Key<'a> {
    Key { section, room, class, number: 0, user: "", print: 0 }
}

/// The table. Calls `keep` for everything that stays of the record, at most three times.
pub(super) fn apply<'a>(
    entry: &Entry<'a>,
    horizon: Horizon,
    print: Print,
    keep: &mut impl FnMut(Key<'a>, Kept<'a>),
) -> Option<Placed<'a>> {
    let (room, record, ts_us) = (entry.room(), entry.record, entry.ts_us()?);
    let placed = |o: u64| (o > 0 && !room.is_empty()).then_some(Placed { room, o, ts_us });
    let in_room = |class| key(Section::Rooms, room, class);
    match entry.view()? {
        RecordView::Message(message) => {
            let o = message.o.to_native();
            keep_message(entry, room, message, ts_us, horizon, keep);
            keep_external(entry, room, (o, ts_us), horizon, print, keep);
            placed(o)
        }
        RecordView::Status(status) => {
            keep_status(entry, room, status, keep);
            keep_external(entry, room, (0, ts_us), horizon, print, keep);
            None
        }
        RecordView::Edit(edit) => placed(edit.o.to_native()),
        RecordView::Delete(delete) => placed(delete.o.to_native()),
        RecordView::Member(member) => {
            let gone = member.action == MemberAction::Leave as u8;
            let key = Key { user: &member.subject, ..in_room(Class::Member) };
            keep(key, Kept::Member { record, room, gone });
            placed(member.o.to_native())
        }
        RecordView::Room(change) => {
            let (class, user) = room_class(change.action, entry.user());
            keep(in_room(class), Kept::Record { record, room, user });
            placed(change.o.to_native())
        }
        RecordView::Mark(_) => {
            let user = entry.user();
            keep(Key { user, ..in_room(Class::Mark) }, Kept::Record { record, room, user });
            None
        }
        RecordView::UserStatus(_) => {
            keep_user_status(entry, keep);
            None
        }
        RecordView::Erasure(erasure) => {
            keep_erasure(entry, erasure.id.to_native(), keep);
            None
        }
        RecordView::Conversation(change) => {
            keep_conversation(entry, change, keep);
            placed(change.o.to_native())
        }
        view => {
            keep_placeless(entry, view, (room, ts_us, horizon), keep);
            None
        }
    }
}

/// What has no position, and belongs to commands, operators or the snapshot itself.
fn keep_placeless<'a>(
    entry: &Entry<'a>,
    view: RecordView<'a>,
    (room, ts_us, horizon): (&'a str, i64, Horizon),
    keep: &mut impl FnMut(Key<'a>, Kept<'a>),
) {
    match view {
        RecordView::Definition(definition) => keep_definition(entry, definition, keep),
        RecordView::Call(call) => keep_call(entry, call, ts_us, horizon, keep),
        RecordView::State(state) => keep_state(entry, state, keep),
        RecordView::Seen(seen) => keep_seen(entry, room, ts_us, seen, horizon, keep),
        // Epochs and runs are counted and not keyed. The rest is history, which the log tells.
        RecordView::Epoch(_)
        | RecordView::Run(_)
        | RecordView::Name(_)
        | RecordView::Session(_)
        | RecordView::Command(_)
        | RecordView::Stop(_)
        | RecordView::Raw(_)
        | RecordView::Metric(_) => {}
        _ => unreachable!("the caller keeps what has a position or a key of its own"),
    }
}

fn keep_user_status<'a>(entry: &Entry<'a>, keep: &mut impl FnMut(Key<'a>, Kept<'a>)) {
    let (record, user) = (entry.record, entry.user());
    let key = Key { user, ..key(Section::Users, "", Class::UserStatus) };
    keep(key, Kept::Record { record, room: "", user });
}

fn keep_erasure<'a>(entry: &Entry<'a>, number: u64, keep: &mut impl FnMut(Key<'a>, Kept<'a>)) {
    let key = key(Section::Erasures, "", Class::Erasure);
    let (record, room) = (entry.record, entry.room());
    keep(Key { number, ..key }, Kept::Record { record, room, user: "" });
}

fn keep_definition<'a>(
    entry: &Entry<'a>,
    definition: &'a rkyv::Archived<DefinitionV1<'static>>,
    keep: &mut impl FnMut(Key<'a>, Kept<'a>),
) {
    let number = u64::from(definition.kind);
    let key = key(Section::Definitions, "", Class::Definition);
    let (record, user, gone) = (entry.record, entry.user(), definition.body.is_empty());
    let kept = Kept::Setting { record, room: "", user, gone };
    keep(Key { number, user: &definition.name, ..key }, kept);
}

/// A client's id of a call, so that a call that is asked for again is not made again.
fn keep_call<'a>(
    entry: &Entry<'a>,
    call: &'a rkyv::Archived<CallV1<'static>>,
    ts_us: i64,
    horizon: Horizon,
    keep: &mut impl FnMut(Key<'a>, Kept<'a>),
) {
    let (room, user) = (entry.room(), entry.user());
    if !call.cid.is_empty() && ts_us >= horizon.cids_us {
        let key = call_key(room, user, ts_us, &call.cid);
        keep(key, Kept::Seen { ts_us, room, user, o: 0, print: 0, cid: &call.cid });
    }
}

/// A call has no position: its user's calls of one moment, which a turn of a shard is, are told
/// apart by what their ids are made of (FNV-1a, 128 bits).
fn call_key<'a>(room: &'a str, user: &'a str, ts_us: i64, cid: &str) -> Key<'a> {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mixed = |print: u128, byte| (print ^ u128::from(byte)).wrapping_mul(PRIME);
    let (number, print) = (ts_us as u64, cid.bytes().fold(BASIS, mixed));
    Key { number, user, print, ..key(Section::Rooms, room, Class::Cid) }
}

/// What a command keeps in a room.
fn keep_state<'a>(
    entry: &Entry<'a>,
    state: &'a rkyv::Archived<StateV1<'static>>,
    keep: &mut impl FnMut(Key<'a>, Kept<'a>),
) {
    let (room, user, record) = (entry.room(), "", entry.record);
    let key = Key { user: &state.key, ..key(Section::Rooms, room, Class::CommandState) };
    let gone = state.value.is_empty();
    keep(key, Kept::Setting { record, room, user, gone });
}

/// A client's id, and a message that has to leave yet.
fn keep_message<'a>(
    entry: &Entry<'a>,
    room: &'a str,
    message: &'a rkyv::Archived<MessageV1<'static>>,
    ts_us: i64,
    horizon: Horizon,
    keep: &mut impl FnMut(Key<'a>, Kept<'a>),
) {
    let record = entry.record;
    let (o, cid) = (message.o.to_native(), &*message.cid);
    let in_room = |class| Key { number: o, ..key(Section::Rooms, room, class) };
    if !cid.is_empty() && ts_us >= horizon.cids_us {
        let user = entry.user();
        keep(in_room(Class::Cid), Kept::Seen { ts_us, room, user, o, print: 0, cid });
    }
    if message.direction == Direction::Out as u8 {
        let (user, done) = (entry.user(), false);
        keep(in_room(Class::Outgoing), Kept::Outgoing { record, room, user, done });
    }
}

/// How far a message is that has to leave.
fn keep_status<'a>(
    entry: &Entry<'a>,
    room: &'a str,
    status: &'a rkyv::Archived<StatusV1<'static>>,
    keep: &mut impl FnMut(Key<'a>, Kept<'a>),
) {
    let Some(number) = message_of(&status.extra) else {
        return;
    };
    let (user, record) = (entry.user(), entry.record);
    let in_room = |class| Key { number, ..key(Section::Rooms, room, class) };
    let done = status.status != Delivery::Calling as u8;
    keep(in_room(Class::Called), Kept::Outgoing { record, room, user, done });
    if done && status.status != Delivery::Queued as u8 {
        keep(in_room(Class::Outgoing), Kept::Outgoing { record, room, user, done });
    }
}

/// What holds of a conversation.
fn keep_conversation<'a>(
    entry: &Entry<'a>,
    change: &'a rkyv::Archived<ConversationV1<'static>>,
    keep: &mut impl FnMut(Key<'a>, Kept<'a>),
) {
    let (room, user, record) = (entry.room(), entry.user(), entry.record);
    let Some(action) = ConversationAction::from_byte(change.action) else {
        return;
    };
    let tag = if matches!(action, ConversationAction::Tag | ConversationAction::Untag) {
        &*change.value
    } else {
        ""
    };
    let class = match action {
        ConversationAction::State => Class::State,
        ConversationAction::Assign => Class::Assignee,
        ConversationAction::Tag | ConversationAction::Untag => Class::Tag,
        ConversationAction::Contact => Class::Contact,
        ConversationAction::Step => Class::Step,
        ConversationAction::Link => Class::Link,
        ConversationAction::Turn => Class::Turn,
    };
    let gone = action == ConversationAction::Untag || change.value.is_empty();
    let key = Key { user: tag, ..key(Section::Rooms, room, class) };
    keep(key, Kept::Setting { record, room, user, gone });
}

/// What a change of a room is kept as, and whether with whom: an erasure takes a topic along with
/// whoever gave it.
fn room_class(action: u8, user: &str) -> (Class, &str) {
    match RoomAction::from_byte(action) {
        Some(RoomAction::Created) => (Class::Created, user),
        Some(RoomAction::Topic) => (Class::Topic, user),
        _ => (Class::Access, ""),
    }
}

/// The key of a run of `room` in the epoch with this index.
pub(super) fn run_key(room: &str, epoch_index: usize) -> Key<'_> {
    Key { number: epoch_index as u64, ..key(Section::Rooms, room, Class::Run) }
}

/// The position of the message that a status is about, if it was sent from here: `of` in its JSON,
/// which has no other key of that name; within a text its quotes would be escaped.
fn message_of(extra: &str) -> Option<u64> {
    let (_, rest) = extra.split_once(r#""of":"#)?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn keep_external<'a>(
    entry: &Entry<'a>,
    room: &'a str,
    (o, ts_us): (u64, i64),
    horizon: Horizon,
    print: Print,
    keep: &mut impl FnMut(Key<'a>, Kept<'a>),
) {
    if ts_us >= horizon.externals_us
        && let Some(print) = print(entry)
    {
        keep(external_key(ts_us, print), Kept::Seen { ts_us, room, user: "", o, print, cid: "" });
    }
}

/// What an older snapshot remembers, unless it is forgotten by now.
fn keep_seen<'a>(
    entry: &Entry<'a>,
    room: &'a str,
    ts_us: i64,
    seen: &'a rkyv::Archived<crate::log::record::SeenV1<'static>>,
    horizon: Horizon,
    keep: &mut impl FnMut(Key<'a>, Kept<'a>),
) {
    let o = seen.o.to_native();
    let high = u128::from(seen.print_high.to_native());
    let print = high << 64 | u128::from(seen.print_low.to_native());
    if print != 0 && ts_us >= horizon.externals_us {
        let kept = Kept::Seen { ts_us, room, user: "", o, print, cid: "" };
        keep(external_key(ts_us, print), kept);
    }
    if !seen.cid.is_empty() && ts_us >= horizon.cids_us {
        let user = entry.user();
        let key = match o {
            0 => call_key(room, user, ts_us, &seen.cid),
            o => Key { number: o, ..key(Section::Rooms, room, Class::Cid) },
        };
        keep(key, Kept::Seen { ts_us, room, user, o, print: 0, cid: &seen.cid });
    }
}

/// Items are remembered in order of time, whatever their room.
pub(super) fn external_key<'a>(ts_us: i64, print: u128) -> Key<'a> {
    let number = (ts_us as u64) ^ (1 << 63);
    Key { number, print, ..key(Section::Externals, "", Class::External) }
}
