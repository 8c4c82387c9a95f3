//! The one list of what is measured: names in the log and for `/metrics`, and what they mean.

/// Something a shard measures. All are times in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Metric {
    /// A message came in on a socket until its `ok` was handed to that socket.
    SendToAck,
    /// A record was put into the log's ring until the shard saw that it is as safe as `log.ack`
    /// asks.
    AppendToDurable,
    /// One turn of the loop in which there was something to do.
    Turn,
    /// A message reached the shard of its room until it was queued to the members on one shard:
    /// one value for each message and shard that has members.
    Deliver,
    /// A webhook was read to its end until its 200 was handed to the socket.
    Intake,
    /// A page of history that is no longer in memory was asked for until it was there.
    HistoryCold,
}

impl Metric {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::SendToAck,
        Self::AppendToDurable,
        Self::Turn,
        Self::Deliver,
        Self::Intake,
        Self::HistoryCold,
    ];

    /// The stable name, as metric records hold it, and one line of help.
    pub const fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::SendToAck => ("send_to_ack", "message received until its ok was queued"),
            Self::AppendToDurable => ("append_to_durable", "record appended until it was safe"),
            Self::Turn => ("turn", "busy turns of the loop"),
            Self::Deliver => ("deliver", "message at its room's shard until queued to members"),
            Self::Intake => ("intake", "webhook received until its 200 was queued"),
            Self::HistoryCold => ("history_cold", "old history asked for until it was read"),
        }
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        self.describe().0
    }
}
