//! Which epoch each offset of a room belongs to.
//!
//! A room remembers only where a new epoch first wrote into it, so a room that nobody used during
//! fifty crashes costs nothing for them.

use crate::base::ids::{EpochId, Offset};

/// The epochs of this node in the order they began; the last one is now.
#[derive(Clone, Debug, Default)]
pub struct Epochs {
    order: Vec<EpochId>,
}

impl Epochs {
    /// A new epoch begins.
    pub fn begin(&mut self, epoch: EpochId) {
        if self.order.last() != Some(&epoch) {
            self.order.push(epoch);
        }
    }

    /// The epoch of today.
    pub fn current(&self) -> EpochId {
        *self.order.last().expect("an epoch was begun at start")
    }

    fn current_index(&self) -> u32 {
        (self.order.len() - 1) as u32
    }

    /// Where an epoch stands in the order; `None` for one that this node never had.
    pub fn index_of(&self, epoch: EpochId) -> Option<u32> {
        self.order.iter().rposition(|known| *known == epoch).map(|index| index as u32)
    }
}

/// Runs of offsets of one epoch each.
///
/// Invariant: both halves rise strictly from run to run.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    runs: Vec<(u32, Offset)>,
}

/// Where a client's position stands in the history that survived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It exists: continue after it.
    Good,
    /// Events beyond this offset were taken back by a crash.
    Beyond(Offset),
}

impl Runs {
    /// The room's next event, `o`, is written in the current epoch.
    pub fn note(&mut self, epochs: &Epochs, o: Offset) {
        let index = epochs.current_index();
        if self.runs.last().is_none_or(|(last, _)| *last < index) {
            assert!(self.runs.last().is_none_or(|(_, first)| *first < o));
            self.runs.push((index, o));
        }
    }

    /// A run of old: `first` is the room's first offset in the epoch at `index` of the order.
    /// Runs come in order.
    pub fn restore(&mut self, index: u32, first: Offset) {
        if self.runs.last().is_none_or(|(known, at)| *known < index && *at < first) {
            self.runs.push((index, first));
        }
    }

    /// Judges position (`epoch`, `o`) of a room whose last offset is `top`.
    pub fn judge(&self, epochs: &Epochs, epoch: EpochId, o: Offset, top: Offset) -> Standing {
        let end = match epochs.index_of(epoch) {
            // Another server, or an older copy of this one: nothing it holds is ours.
            None => Offset(0),
            Some(index) => match self.runs.iter().find(|(run, _)| *run > index) {
                None => top,
                Some((_, first)) => Offset(first.0 - 1),
            },
        };
        if o <= end { Standing::Good } else { Standing::Beyond(end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_before_the_durable_end_continue_and_later_ones_roll_back() {
        let (a, b, c) = (EpochId(10), EpochId(7), EpochId(30));
        let mut epochs = Epochs::default();
        let mut runs = Runs::default();
        epochs.begin(a);
        (1..=5).for_each(|o| runs.note(&epochs, Offset(o)));
        epochs.begin(b);
        // Nothing is written into this room during epoch b.
        epochs.begin(c);
        (6..=8).for_each(|o| runs.note(&epochs, Offset(o)));
        let judge = |epoch, o| runs.judge(&epochs, epoch, Offset(o), Offset(8));
        assert_eq!(judge(a, 0), Standing::Good);
        assert_eq!(judge(a, 5), Standing::Good);
        assert_eq!(judge(a, 6), Standing::Beyond(Offset(5)));
        assert_eq!(judge(b, 5), Standing::Good);
        assert_eq!(judge(b, 6), Standing::Beyond(Offset(5)));
        assert_eq!(judge(c, 8), Standing::Good);
        assert_eq!(judge(c, 9), Standing::Beyond(Offset(8)));
        assert_eq!(judge(EpochId(99), 1), Standing::Beyond(Offset(0)));
        assert_eq!(judge(EpochId(99), 0), Standing::Good);
        assert_eq!(epochs.current(), c);
    }
}
