//! Whether numbered things arrived each once and in order. Pure.

use std::collections::BTreeSet;

/// More holes than this are counted without remembering which: the run has failed anyway.
const HOLES_MAX: usize = 1 << 16;

/// What one arrival was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// The next one.
    InOrder,
    /// Seen before.
    Duplicate,
    /// One that had been skipped: out of order.
    Late,
    /// Beyond the next one: those between are missing until they come late.
    Early,
}

/// The arrivals of one dense sequence at one reader.
///
/// Invariant: every number of `holes` is below `next`.
#[derive(Clone, Debug, Default)]
pub struct Order {
    next: u64,
    holes: BTreeSet<u64>,
    holes_forgotten: u64,
    /// Arrivals seen before.
    pub duplicated: u64,
    /// Arrivals after a later one.
    pub misordered: u64,
}

impl Order {
    /// Expects `next` first.
    pub fn new(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// The number expected next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Numbers that were skipped and have not come since.
    pub fn missing(&self) -> u64 {
        self.holes.len() as u64 + self.holes_forgotten
    }

    /// Takes one arrival.
    pub fn arrive(&mut self, number: u64) -> Arrival {
        if number == self.next {
            self.next += 1;
            return Arrival::InOrder;
        }
        if number < self.next {
            if self.holes.remove(&number) {
                self.misordered += 1;
                return Arrival::Late;
            }
            self.duplicated += 1;
            return Arrival::Duplicate;
        }
        for hole in self.next..number {
            if self.holes.len() == HOLES_MAX {
                self.holes_forgotten += number - hole;
                break;
            }
            self.holes.insert(hole);
        }
        self.next = number.saturating_add(1);
        Arrival::Early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arrivals from 1 on, and (missing, duplicated, misordered) at the end.
    #[track_caller]
    fn check(arrivals: &[u64], want: (u64, u64, u64)) {
        let mut order = Order::new(1);
        for &number in arrivals {
            order.arrive(number);
        }
        assert_eq!((order.missing(), order.duplicated, order.misordered), want, "{arrivals:?}");
    }

    #[test]
    fn faults_are_told_apart() {
        check(&[1, 2, 3], (0, 0, 0));
        check(&[1, 3], (1, 0, 0));
        check(&[1, 3, 2], (0, 0, 1));
        check(&[1, 1, 2, 2], (0, 2, 0));
        check(&[3, 2, 1], (0, 0, 2));
        check(&[1, 4, 3, 3], (1, 1, 1));
        check(&[0, 1], (0, 1, 0));
        check(&[u64::MAX - 1], (u64::MAX - 2, 0, 0));
    }
}
