//! How many connections each address has, over all shards.
//!
//! The kernel spreads the connections of one address over the shards, so the count is shared: the
//! one lock between shards, taken at accept and at close, and only when the limit is set.

use crate::base::hash::Map;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};

/// The connections of each source.
#[derive(Debug)]
pub struct Sources {
    /// Connections of one source at a time; `None` is unlimited.
    per_source_max: Option<u32>,
    /// Invariant: no count is 0.
    counts: Mutex<Map<Source, u32>>,
}

/// Whoever counts as one: an IPv4 address, or a /64 of IPv6, which is what one customer is given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Source(NonZeroU64);

/// The source has as many connections as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooMany;

impl Sources {
    /// Nobody is connected.
    pub fn new(per_source_max: Option<u32>) -> Self {
        Self { per_source_max, counts: Mutex::default() }
    }

    /// Counts a connection from `ip` in. `None` when nothing is counted.
    pub fn enter(&self, ip: IpAddr) -> Result<Option<Source>, TooMany> {
        let Some(max) = self.per_source_max else {
            return Ok(None);
        };
        let source = Source::of(ip);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&source).copied().unwrap_or(0);
        if count >= max {
            return Err(TooMany);
        }
        counts.insert(source, count + 1);
        Ok(Some(source))
    }

    /// Counts a connection out, with what [`Sources::enter`] gave for it.
    pub fn leave(&self, source: Option<Source>) {
        let Some(source) = source else {
            return;
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get_mut(&source).expect("it was counted in");
        *count -= 1;
        if *count == 0 {
            counts.remove(&source);
        }
    }
}

impl Source {
    fn of(ip: IpAddr) -> Self {
        let number = match ip.to_canonical() {
            // ff00::/8 is multicast: no peer has such an address, so the two kinds stay apart.
            IpAddr::V4(v4) => 0xff << 56 | u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        };
        // Only the loopback address has 64 zeros in front.
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_source_has_its_own_bound_and_gets_places_back() {
        let sources = Sources::new(Some(2));
        let first = sources.enter(ip("192.0.2.1")).expect("the first");
        assert!(sources.enter(ip("::ffff:192.0.2.1")).is_ok());
        assert_eq!(sources.enter(ip("192.0.2.1")), Err(TooMany));
        assert!(sources.enter(ip("192.0.2.2")).is_ok());
        sources.leave(first);
        assert!(sources.enter(ip("192.0.2.1")).is_ok());
        assert!(sources.enter(ip("2001:db8:0:1::1")).is_ok());
        assert!(sources.enter(ip("2001:db8:0:1:ffff::2")).is_ok());
        assert_eq!(sources.enter(ip("2001:db8:0:1::3")), Err(TooMany));
        assert!(sources.enter(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let sources = Sources::new(None);
        for _ in 0..10 {
            assert_eq!(sources.enter(ip("192.0.2.1")), Ok(None));
        }
        sources.leave(None);
        assert!(sources.counts.lock().expect("no panic").is_empty());
    }
}
