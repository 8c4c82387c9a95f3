//! The hubs from the log: every record to the hub that owns it.

use crate::base::hash::place;
use crate::base::ids::EpochId;
use crate::chat::hub::Hub;
use crate::log::{RecordView, Recovered};
use crate::shard::record;

/// Stands for the epochs before the first one that the log still names.
const UNKNOWN_EPOCH: EpochId = EpochId(0);

/// Replays the whole log. An epoch is for everyone; a room's record for the room's owner, a user's
/// for the user's home.
pub fn restore(recovered: &Recovered, hubs: &mut [Hub]) {
    let shard_count = hubs.len() as u16;
    // Events whose epoch is no longer in the log belong to one that no client can name.
    hubs.iter_mut().for_each(|hub| hub.begin_epoch(UNKNOWN_EPOCH));
    for entry in recovered.log.entries() {
        if let Some(RecordView::Epoch(epoch)) = entry.view() {
            let epoch = EpochId(epoch.epoch.to_native());
            hubs.iter_mut().for_each(|hub| hub.begin_epoch(epoch));
            continue;
        }
        let name = if entry.room().is_empty() { entry.user() } else { entry.room() };
        let owner = usize::from(place(name, shard_count).0);
        if let Some(record) = record::read(&entry) {
            hubs[owner].restore(record);
        }
    }
}
