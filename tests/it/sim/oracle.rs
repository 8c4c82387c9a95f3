//! The truth: what every room's history is, and what was promised to whom.
//!
//! Built from the records the hubs append, apart from the hubs; after a crash from the records that
//! recovery found. Every frame a client reads is held against it.

use super::disk::Logged;
use ringpost::base::ids::Offset;
use ringpost::base::limits::CID_WINDOW_MS;
use ringpost::chat::event::{Cid, Fact, Frame, Name, Record};
use ringpost::chat::reply;
use std::collections::{BTreeMap, BTreeSet};

/// One durable event of a room.
#[derive(Clone, Debug)]
pub struct Truth {
    /// As every client reads it.
    pub frame: Frame,
    /// For a message that was changed: as history shows it.
    pub latest: Option<Frame>,
    /// When it was taken.
    pub ts_ms: i64,
    /// For a message: its author and the author's id of it.
    pub message: Option<(Name, Cid)>,
}

/// A promise to a client.
#[derive(Clone, Debug)]
struct Promise {
    room: String,
    o: u64,
    frame: Frame,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Oracle {
    /// The archive does not find everything: pages need not be whole.
    pub holes: bool,
    rooms: BTreeMap<String, Vec<Truth>>,
    /// When a client's id of a message was last used, ms of the monotonic clock.
    cids: BTreeMap<(String, Name, Cid), u64>,
    externals: BTreeSet<(String, Box<str>)>,
    promises: Vec<Promise>,
    webhooks_safe: BTreeSet<(String, Box<str>)>,
}

impl Oracle {
    /// All events of a room.
    pub fn room(&self, name: &str) -> &[Truth] {
        self.rooms.get(name).map_or(&[], Vec::as_slice)
    }

    /// The event at `o`.
    pub fn event(&self, room: &str, o: u64) -> Option<&Truth> {
        self.room(room).get((o as usize).checked_sub(1)?)
    }

    /// Every room with an event.
    pub fn room_names(&self) -> Vec<String> {
        self.rooms.keys().cloned().collect()
    }

    /// A hub wrote a record at `mono_ms`.
    pub fn append(&mut self, record: &Record, mono_ms: u64) {
        if let Fact::Delivery { external, .. } = &record.fact {
            let fresh = self.externals.insert((record.room.to_string(), external.clone()));
            assert!(fresh, "the status of {external:?} is logged twice");
        }
        if let Fact::Message { cid, external, .. } = &record.fact {
            let room = record.room.to_string();
            if !cid.is_empty() {
                let key = (room.clone(), record.user.clone(), cid.clone());
                if let Some(at_ms) = self.cids.insert(key, mono_ms).filter(|at_ms| *at_ms > 0) {
                    let known = mono_ms < at_ms + CID_WINDOW_MS;
                    assert!(!known, "{} sent {cid:?} twice in {room}", record.user);
                }
            }
            if !external.is_empty() {
                let fresh = self.externals.insert((room, external.clone()));
                assert!(fresh, "the webhook's item {external:?} is in history twice");
            }
        }
        self.take(record);
    }

    fn take(&mut self, record: &Record) {
        let Some((Offset(o), frame)) = reply::frame_of(record) else {
            return;
        };
        let events = self.rooms.entry(record.room.to_string()).or_default();
        assert_eq!(o as usize, events.len() + 1, "offsets of {} are not dense", record.room);
        let message = match &record.fact {
            Fact::Message { cid, .. } => Some((record.user.clone(), cid.clone())),
            _ => None,
        };
        let ts_ms = record.ts_us.div_euclid(1_000);
        events.push(Truth { frame, latest: None, ts_ms, message });
        let of = match &record.fact {
            Fact::Edit { of, .. } | Fact::Delete { of, .. } => of.0,
            _ => return,
        };
        let target = &mut events[of as usize - 1];
        assert!(target.message.is_some(), "only messages change");
        let current = target.latest.as_ref().unwrap_or(&target.frame);
        target.latest = match &record.fact {
            Fact::Edit { version, text, .. } => {
                reply::msg_edited(current, text, *version, record.ts_us.div_euclid(1_000))
            }
            _ => reply::msg_deleted(current),
        };
    }

    /// A client was told that the event at `o` is safe.
    pub fn promise(&mut self, room: &str, o: u64) {
        let frame = self.event(room, o).expect("a promised event exists").frame.clone();
        self.promises.push(Promise { room: room.to_owned(), o, frame });
    }

    /// A webhook was told that its item is safe.
    pub fn promise_webhook(&mut self, room: &str, external: &str) {
        let key = (room.to_owned(), external.into());
        assert!(self.externals.contains(&key), "{external:?} is called safe and is nowhere");
        self.webhooks_safe.insert(key);
    }

    /// Nothing is known of old ids of messages: they may be used again.
    pub fn forget_cids(&mut self) {
        self.cids.clear();
    }

    /// The server starts again with what is left of the log. When `strict`, nothing that was
    /// promised may be missing.
    pub fn restart(&mut self, log: &[Logged], strict: bool) {
        let cids = std::mem::take(&mut self.cids);
        self.rooms.clear();
        self.externals.clear();
        for logged in log {
            let Logged::Fact(record) = logged else { continue };
            self.take(record);
            let room = record.room.to_string();
            if let Fact::Delivery { external, .. } = &record.fact {
                self.externals.insert((room.clone(), external.clone()));
            }
            let Fact::Message { cid, external, .. } = &record.fact else { continue };
            if !external.is_empty() {
                self.externals.insert((room.clone(), external.clone()));
            }
            let key = (room, record.user.clone(), cid.clone());
            if let Some(at_ms) = cids.get(&key) {
                self.cids.insert(key, *at_ms);
            }
        }
        let rooms = &self.rooms;
        let holds = |promise: &Promise| {
            let events = rooms.get(&promise.room).map_or(&[][..], Vec::as_slice);
            events.get(promise.o as usize - 1).is_some_and(|event| event.frame == promise.frame)
        };
        let externals = &self.externals;
        if strict {
            for promise in &self.promises {
                assert!(holds(promise), "acknowledged and lost: {}", promise.frame);
            }
            for item in &self.webhooks_safe {
                assert!(
                    externals.contains(item),
                    "a webhook's item was safe and is lost: {item:?}"
                );
            }
        }
        self.promises.retain(holds);
        self.webhooks_safe.retain(|item| externals.contains(item));
    }
}
