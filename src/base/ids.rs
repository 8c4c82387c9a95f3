//! Newtypes for everything that is counted, so that two numbers cannot be swapped at a call.

use std::fmt;

/// Index of a shard: one pinned thread with its own sockets and rooms.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub u16);

/// A connection on one shard: a slab index and the generation of that slot.
///
/// A slot's generation changes each time it is freed, so a late completion or a late message from
/// another shard that names an old connection finds nobody instead of a stranger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId {
    /// Position in the shard's connection slab.
    pub index: u32,
    /// Incarnation of that position; never 0 for a live connection.
    pub generation: u32,
}

impl ConnId {
    /// Packs the id into one word, for the user data of a ring entry.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The inverse of [`ConnId::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// A connection anywhere on this node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    /// The shard that accepted the socket and keeps it for life.
    pub shard: ShardId,
    /// The connection on that shard.
    pub conn: ConnId,
}

/// Position of a durable event in its room: dense from 1. 0 means "before the first".
///
/// Travels as a JSON number, so it stays below 2^53 ([`Offset::MAX`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Offset(pub u64);

impl Offset {
    /// The largest integer that every JSON reader keeps exact.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The offset after this one.
    pub const fn next(self) -> Self {
        assert!(self.0 < Self::MAX.0);
        Self(self.0 + 1)
    }
}

/// Names one unbroken incarnation of every room on this node. A new one begins at each unclean
/// start; on the wire it is base 36.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EpochId(pub u64);

impl EpochId {
    /// Reads the wire form. `None` for anything that [`EpochId`]'s `Display` would not print.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = !text.is_empty()
            && text.len() <= 13
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
        if !canonical {
            return None;
        }
        u64::from_str_radix(text, 36).ok().map(Self)
    }
}

impl fmt::Display for EpochId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0u8; 13];
        let mut rest = self.0;
        let mut begin = digits.len();
        loop {
            begin -= 1;
            digits[begin] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        out.write_str(std::str::from_utf8(&digits[begin..]).expect("digits are ASCII"))
    }
}

/// Bytes appended to one shard's log ring since the process started: the unit of watermarks. A
/// record is durable when the watermark has reached the position that its append returned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LogPosition(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_text_round_trips() {
        for value in [0, 1, 35, 36, 1_234_567, u64::MAX] {
            let text = EpochId(value).to_string();
            assert_eq!(EpochId::parse(&text), Some(EpochId(value)), "{text}");
        }
        for bad in ["", "K3", "-1", "zzzzzzzzzzzzzz", "zzzzzzzzzzzzz", "a b"] {
            assert_eq!(EpochId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn connection_ids_pack() {
        let id = ConnId { index: 7, generation: u32::MAX };
        assert_eq!(ConnId::from_bits(id.to_bits()), id);
    }
}
