//! Questions about the history of rooms that is no longer in memory, and their answers.

use super::event::Frame;
use crate::base::ids::Offset;

/// One old durable event, read back from the log.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// Its offset.
    pub o: Offset,
    /// The event as it was sent when it was new.
    pub frame: Frame,
    /// For a message: its latest version, if that differs.
    pub latest: Option<Frame>,
    /// Whether it is a message (and so appears in history).
    pub is_message: bool,
}

/// A question about a room's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// The events at `first..=last`, from one end on, until they are enough.
    Events {
        /// Lowest offset.
        first: Offset,
        /// Highest offset.
        last: Offset,
        /// Begin at the highest.
        back: bool,
        /// The answer ends with the event that makes it longer than this.
        bytes_max: usize,
    },
    /// The first event at or after a moment.
    Since {
        /// Milliseconds since 1970.
        ts_ms: i64,
    },
}

/// The answer to a [`Want`].
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// In order of offset, whatever the direction of the walk.
    pub events: Vec<Recalled>,
    /// How far the walk came: everything up to here is in `events` or not in the log. Of
    /// [`Want::Since`]: the offset found; behind the newest event when there is none.
    pub reached: Offset,
    /// The oldest event of the room that the log still holds; 0 when it holds none.
    pub oldest: Offset,
}
