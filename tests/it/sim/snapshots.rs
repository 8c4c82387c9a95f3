//! A start from a snapshot and the log behind it gives the hubs that the whole log gives.
//!
//! The facts of random runs are written by several lives of a server, with folds in between.

use super::plan::Plant;
use super::prng::Rng;
use super::records::append;
use super::world::World;
use ringpost::base::clock::Now;
use ringpost::base::hash::place;
use ringpost::base::ids::{EpochId, ShardId};
use ringpost::base::limits::CID_WINDOW_MS;
use ringpost::chat::event::{
    ContactIds, Effect, Event, Fact, Inbound, InboundBody, MemberAction, Message, Name, Record,
    Role,
};
use ringpost::chat::hub::{Hub, HubOptions};
use ringpost::chat::reply;
use ringpost::log::record::{EpochV1, NameId};
use ringpost::log::snapshot::{self, FoldOptions};
use ringpost::log::{AckPolicy, DataDir, LogOptions, LogWriter, Recovered};
use ringpost::node::restore::restore;
use ringpost::shard::record;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Runs whose facts are written.
const SEEDS: u64 = 24;

#[test]
fn a_snapshot_and_the_rest_are_the_whole() {
    let mut folds = 0;
    for seed in 0..SEEDS {
        let facts = in_order(World::new(seed, Plant::Nothing).run());
        let root =
            std::env::temp_dir().join(format!("ringpost-fold-{}-{seed}", std::process::id()));
        folds += write_lives(&root, &facts, &mut Rng::new(seed));
        let shard_count = 1 + (seed % 3) as u16;
        let last_us = facts.iter().map(|fact| fact.ts_us).max().unwrap_or(0);
        let with = start(&root, last_us, shard_count);
        let (kept, whole_log) = (snapshots(&root), root.join("log"));
        for path in &kept {
            std::fs::remove_file(path).expect("it was listed");
        }
        let whole = start(&root, last_us, shard_count);
        compare(seed, whole, with, &facts, last_us);
        assert!(whole_log.exists());
        std::fs::remove_dir_all(&root).expect("it was made above");
    }
    assert!(folds as u64 > SEEDS, "{folds} folds");
}

/// Runs crash, and what is lost then has its positions given again: one record for each.
fn in_order(facts: Vec<Record>) -> Vec<Record> {
    let mut tops: BTreeMap<Name, u64> = BTreeMap::new();
    let mut made = BTreeSet::new();
    let mut fresh = |fact: &Record| match reply::frame_of(fact) {
        Some((o, _)) => {
            let top = tops.entry(fact.room.clone()).or_default();
            *top < o.0 && {
                *top = o.0;
                true
            }
        }
        None if matches!(fact.fact, Fact::Room { .. }) => made.insert(fact.room.clone()),
        None => true,
    };
    facts.into_iter().filter(|fact| fresh(fact)).collect()
}

/// Gives the number of folds that made something.
fn write_lives(root: &Path, facts: &[Record], rng: &mut Rng) -> usize {
    let mut folds = 0;
    let mut epoch = 1;
    let mut rest = facts;
    while !rest.is_empty() {
        let (life, later) = rest.split_at(rng.range(1, rest.len()).min(rest.len()));
        rest = later;
        let dir = DataDir::lock(root).expect("nobody else has it");
        let recovered = Recovered::read(&dir).expect("the log of the lives before");
        let options = LogOptions {
            policy: AckPolicy::Os,
            segment_bytes: 192 * 1_024,
            ..LogOptions::new(1, 7, || 1_000_000)
        };
        let (writer, mut producers) =
            LogWriter::start(dir, &recovered, options, Box::new(|_| ())).expect("it starts");
        if recovered.epochs.is_empty() || rng.chance(50) {
            epoch += 1;
            let none = NameId::NONE;
            producers[0].append(none, none, &EpochV1 { ts_us: 1, epoch }).expect("the first");
        }
        for fact in life {
            append(&mut producers[0], fact);
        }
        writer.stop().expect("it stops");
        let now_us = life.iter().map(|fact| fact.ts_us).max().unwrap_or(0);
        while rng.chance(60) {
            folds += usize::from(fold(root, now_us));
        }
    }
    folds
}

fn fold(root: &Path, now_us: i64) -> bool {
    let options =
        FoldOptions { now_us, print: record::external_print, always: true, stop: &|| false };
    snapshot::fold(&root.join("log"), &options).expect("a healthy disk").is_some()
}

fn snapshots(root: &Path) -> Vec<PathBuf> {
    let listed = snapshot::list(&root.join("log")).expect("it is there");
    assert!(listed.len() <= 2);
    listed.into_iter().map(|(_, path)| path).collect()
}

fn start(root: &Path, last_us: i64, shard_count: u16) -> Vec<Hub> {
    let dir = DataDir::lock(root).expect("nobody else has it");
    let recovered = Recovered::read(&dir).expect("what was written");
    assert!(recovered.clean_stop && recovered.refused.is_empty());
    let now = Now { wall_us: last_us + 1, mono_us: 5_000_000 };
    let hub = |shard| {
        let options = HubOptions::unlimited(ShardId(shard), shard_count);
        Hub::new(HubOptions { sessions_per_user_max: 9, ..options }, now)
    };
    let mut hubs: Vec<_> = (0..shard_count).map(hub).collect();
    restore(&recovered, &mut hubs);
    let epoch = recovered.epochs.last().expect("every log has one").epoch;
    hubs.iter_mut().for_each(|hub| hub.begin_epoch(EpochId(epoch)));
    hubs
}

/// All that a client could ever notice.
fn compare(seed: u64, mut whole: Vec<Hub>, mut with: Vec<Hub>, facts: &[Record], last_us: i64) {
    let rooms: BTreeSet<Name> = facts.iter().map(|fact| fact.room.clone()).collect();
    for room in rooms.iter().filter(|room| !room.is_empty()) {
        let owner = usize::from(place(room, whole.len() as u16).0);
        let (was, is) = (describe(&whole[owner], room), describe(&with[owner], room));
        assert_eq!(was, is, "seed {seed}");
        compare_tails(&whole[owner], &with[owner], room);
        for fact in facts.iter().filter(|fact| fact.room == *room) {
            let Fact::Message { cid, .. } = &fact.fact else { continue };
            // Older ones are forgotten before they are looked for.
            let oldest_ms = 5_000 - CID_WINDOW_MS as i64;
            let seen = |hub: &Hub| {
                let seen = hub.room(room)?.cids.get(&fact.user, cid);
                seen.filter(|seen| seen.at_ms >= oldest_ms)
            };
            assert_eq!(seen(&whole[owner]), seen(&with[owner]), "seed {seed}: {cid}");
        }
    }
    let now = Now { wall_us: last_us + 2, mono_us: 5_000_001 };
    for (ticket, item) in facts.iter().filter_map(inbound).enumerate() {
        let owner = usize::from(place(&item.room, whole.len() as u16).0);
        let mut news = [&mut whole[owner], &mut with[owner]].map(|hub| {
            let mut effects = Vec::new();
            let item = item.clone();
            hub.grant(1 << 20);
            hub.handle(now, Event::Inbound { ticket: ticket as u64, item }, &mut effects);
            effects.iter().filter(|effect| matches!(effect, Effect::Append(_))).count()
        });
        news.sort_unstable();
        assert_eq!(news, [0, 0], "seed {seed}: {item:?} is taken again");
    }
    let users: BTreeSet<Name> = facts.iter().map(|fact| fact.user.clone()).collect();
    for user in users {
        let home = usize::from(place(&user, whole.len() as u16).0);
        let status = |hubs: &mut Vec<Hub>| {
            let mut effects = Vec::new();
            let nobody = ringpost::base::ids::ConnId { index: 0, generation: 1 };
            let other = ShardId((home as u16 + 1) % hubs.len() as u16);
            let from = ringpost::base::ids::Address { shard: other, conn: nobody };
            let message = Message::AskStatus { from, query: 1, user: user.clone() };
            hubs[home].handle(now, Event::Peer { message }, &mut effects);
            format!("{effects:?}")
        };
        assert_eq!(status(&mut whole), status(&mut with), "seed {seed}: {user}");
    }
}

fn describe(hub: &Hub, name: &str) -> String {
    let Some(room) = hub.room(name) else {
        return String::new();
    };
    let mut text = format!("{name}: {:?} {:?} {:?}", room.topic, room.access, room.members);
    let _ = write!(text, " {:?} {:?} {:?}", room.visible, room.tail.top(), room.runs);
    let _ = write!(text, " {:?}", room.marks);
    text
}

/// Less may be in memory, and nothing else.
fn compare_tails(whole: &Hub, with: &Hub, name: &str) {
    let (Some(whole), Some(with)) = (whole.room(name), with.room(name)) else { return };
    assert!(with.tail.first() >= whole.tail.first());
    for (o, entry) in with.tail.since(with.tail.first()) {
        let before = whole.tail.get(o).expect("it holds more");
        assert_eq!((&entry.frame, &entry.latest), (&before.frame, &before.latest));
        assert_eq!((&entry.author, entry.version), (&before.author, before.version));
    }
}

fn inbound(fact: &Record) -> Option<Inbound> {
    let (external, body) = match &fact.fact {
        Fact::Message { external, name, text, .. } if !external.is_empty() => {
            let (name, text) = (name.clone(), text.clone());
            (external, InboundBody::Message { name, text, at_ms: None, content: None, about: None })
        }
        Fact::Delivery { of, external, status, error, extra } => {
            let (status, extra) = (status.clone(), extra.clone());
            (external, InboundBody::Status { of: *of, status, error: *error, extra })
        }
        _ => return None,
    };
    let (room, user) = (fact.room.clone(), fact.user.clone());
    Some(Inbound { room, user, ids: ContactIds::default(), external: external.clone(), body })
}

#[test]
fn members_and_roles_of_long_ago_are_those_of_today() {
    let root = std::env::temp_dir().join(format!("ringpost-fold-{}-roles", std::process::id()));
    let (room, owner, guest) = (Name::from("club"), Name::from("ann"), Name::from("bob"));
    let change = |o, user: &Name, subject: &Name, role, action| Record {
        ts_us: 1_000_000 * o as i64,
        user: user.clone(),
        room: room.clone(),
        fact: Fact::Member {
            o: ringpost::base::ids::Offset(o),
            subject: subject.clone(),
            role,
            action,
        },
    };
    let created = Fact::Room {
        o: ringpost::base::ids::Offset(0),
        change: ringpost::chat::event::RoomChange::Created,
    };
    let facts = [
        Record { ts_us: 1, user: owner.clone(), room: room.clone(), fact: created },
        change(1, &owner, &guest, Role::Member, MemberAction::Join),
        change(2, &owner, &guest, Role::Moderator, MemberAction::Role),
        change(3, &owner, &owner, Role::Guest, MemberAction::Leave),
        change(4, &guest, &guest, Role::Guest, MemberAction::Leave),
    ];
    for life in facts.chunks(1) {
        write_lives(&root, life, &mut Rng::new(3));
        fold(&root, 5_000_000);
        fold(&root, 5_000_000);
    }
    assert_eq!(snapshots(&root).len(), 2);
    let hubs = start(&root, 5_000_000, 1);
    let club = hubs[0].room("club").expect("it was made");
    assert!(club.members.is_empty(), "{:?}", club.members);
    assert_eq!(club.visible.0, 4);
    std::fs::remove_dir_all(&root).expect("it was made above");
}
