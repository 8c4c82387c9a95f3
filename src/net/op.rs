//! What a ring entry's 64 bits of user data say.
//!
//! ```text
//!  63    56 55          32 31                    0
//! |  kind  | slot index   | generation            |   of a connection
//! |  kind  | 0            | serial                |   of the driver's own operations
//! ```

use crate::base::ids::ConnId;

/// An operation in flight, recognised by its completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op {
    /// Multishot receive of a connection.
    Receive(ConnId),
    /// Send of a connection; never more than one at a time.
    Send(ConnId),
    /// Cancels the receive of a connection.
    CancelReceive(ConnId),
    /// Multishot accept.
    Accept,
    /// End of the pause that a lack of file descriptors forced on accepting.
    AcceptRetry,
    /// A message from another shard's ring; nothing of ours was submitted for it.
    BellMessage,
    /// A message to the ring of peer number n; completes here only when it failed.
    RingPeer(u32),
    /// The timer with this serial; an older serial was replaced.
    Timer(u32),
    /// A cancellation whose own result does not matter.
    Cancel,
}

impl Op {
    /// The user data of this operation.
    pub(super) const fn to_bits(self) -> u64 {
        match self {
            Self::Receive(conn) => of_conn(1, conn),
            Self::Send(conn) => of_conn(2, conn),
            Self::CancelReceive(conn) => of_conn(3, conn),
            Self::Accept => of_driver(4, 0),
            Self::AcceptRetry => of_driver(5, 0),
            Self::BellMessage => of_driver(7, 0),
            Self::RingPeer(peer) => of_driver(8, peer),
            Self::Timer(serial) => of_driver(9, serial),
            Self::Cancel => of_driver(10, 0),
        }
    }

    /// The inverse of [`Op::to_bits`]. Panics on anything else: only we write user data.
    pub(super) fn from_bits(bits: u64) -> Self {
        let low = bits as u32;
        let conn = ConnId { index: (bits >> 32) as u32 & INDEX_MASK, generation: low };
        match bits >> 56 {
            1 => Self::Receive(conn),
            2 => Self::Send(conn),
            3 => Self::CancelReceive(conn),
            4 => Self::Accept,
            5 => Self::AcceptRetry,
            7 => Self::BellMessage,
            8 => Self::RingPeer(low),
            9 => Self::Timer(low),
            10 => Self::Cancel,
            kind => panic!("completion of unknown kind {kind}"),
        }
    }

    /// Whether a completion without a successor ends an operation that we count as in flight.
    pub(super) const fn is_counted(self) -> bool {
        !matches!(self, Self::BellMessage | Self::RingPeer(_))
    }
}

const INDEX_MASK: u32 = (1 << 24) - 1;

const fn of_conn(kind: u64, conn: ConnId) -> u64 {
    assert!(conn.index <= INDEX_MASK);
    kind << 56 | (conn.index as u64) << 32 | conn.generation as u64
}

const fn of_driver(kind: u64, serial: u32) -> u64 {
    kind << 56 | serial as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_round_trips() {
        for index in [0, 1, 77, INDEX_MASK] {
            for generation in [1, 2, u32::MAX] {
                let conn = ConnId { index, generation };
                check(Op::Receive(conn));
                check(Op::Send(conn));
                check(Op::CancelReceive(conn));
            }
        }
        for op in [Op::Accept, Op::AcceptRetry, Op::BellMessage, Op::Cancel] {
            check(op);
        }
        check(Op::RingPeer(63));
        check(Op::Timer(u32::MAX));
    }

    #[track_caller]
    fn check(op: Op) {
        assert_eq!(Op::from_bits(op.to_bits()), op);
    }
}
