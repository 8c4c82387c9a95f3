//! The hubs from the log: every record to the hub that owns it.

use crate::base::hash::place;
use crate::base::ids::EpochId;
use crate::chat::event::{Fact, Kept, Record};
use crate::chat::hub::Hub;
use crate::log::snapshot::Snapshot;
use crate::log::{Entry, RecordView, Recovered};
use crate::shard::record;

/// Stands for the epochs before the first one that the log still names.
const UNKNOWN_EPOCH: EpochId = EpochId(0);

/// Replays the snapshot and the log behind it. An epoch is for everyone; a room's record for the
/// room's owner, a user's for the user's home.
pub fn restore(recovered: &Recovered, hubs: &mut [Hub]) {
    // Events whose epoch is no longer in the log belong to one that no client can name.
    hubs.iter_mut().for_each(|hub| hub.begin_epoch(UNKNOWN_EPOCH));
    for entry in recovered.snapshot.iter().flat_map(Snapshot::entries) {
        if !begins_epoch(&entry, hubs)
            && let Some(kept) = record::kept(&entry)
        {
            if matches!(&kept, Kept::Fact(record) if is_for_all(record)) {
                hubs.iter_mut().for_each(|hub| hub.restore_kept(kept.clone()));
                continue;
            }
            hubs[owner(&entry, hubs.len())].restore_kept(kept);
        }
    }
    for entry in recovered.log.entries() {
        if begins_epoch(&entry, hubs) {
            continue;
        }
        let Some(record) = record::read(&entry) else {
            continue;
        };
        if is_for_all(&record) {
            hubs.iter_mut().for_each(|hub| hub.restore(record.clone()));
            continue;
        }
        let hub = &mut hubs[owner(&entry, hubs.len())];
        if let (true, Fact::Message { o, .. }) =
            (record::is_erased_message(&entry.record), &record.fact)
        {
            let (room, o) = (record.room.clone(), *o);
            hub.restore(record);
            hub.restore_removal(&room, o);
        } else {
            hub.restore(record);
        }
    }
}

/// Definitions are known to every shard.
fn is_for_all(record: &Record) -> bool {
    matches!(record.fact, Fact::Definition { .. })
}

fn begins_epoch(entry: &Entry<'_>, hubs: &mut [Hub]) -> bool {
    let Some(RecordView::Epoch(epoch)) = entry.view() else {
        return false;
    };
    let epoch = EpochId(epoch.epoch.to_native());
    hubs.iter_mut().for_each(|hub| hub.begin_epoch(epoch));
    true
}

fn owner(entry: &Entry<'_>, shard_count: usize) -> usize {
    let name = if entry.room().is_empty() { entry.user() } else { entry.room() };
    usize::from(place(name, shard_count as u16).0)
}
