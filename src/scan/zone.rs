//! Local time: which hour and day a moment belongs to for the people who ask.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::cell::Cell;

/// A time zone; UTC unless `--tz` says another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Zone {
    /// `None`: UTC.
    zone: Option<TimeZone>,
}

/// A clock on a wall of a zone. One per thread: it remembers the last answer.
#[derive(Clone, Debug)]
pub(super) struct Clock<'z> {
    zone: Option<&'z TimeZone>,
    /// From when until when the last answer holds, and the answer: microseconds ahead of UTC.
    last: Cell<(i64, i64, i64)>,
}

impl Zone {
    pub(super) const UTC: Self = Self { zone: None };

    /// An IANA name, `UTC` or `local`.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let zone = match name {
            "UTC" | "utc" => return Ok(Self::UTC),
            "local" => TimeZone::try_system(),
            name => TimeZone::get(name),
        };
        match zone {
            Ok(zone) => Ok(Self { zone: Some(zone) }),
            Err(_) => Err(format!("--tz {name:?} is no time zone (Europe/Berlin, local, UTC)")),
        }
    }

    /// [`Clock::wall_us`] for a moment now and then; a clock is for many.
    pub(super) fn wall_us(&self, ts_us: i64) -> i64 {
        self.clock().wall_us(ts_us)
    }

    /// A moment at which a clock shows `wall_us`: one of the two in an hour that it shows
    /// twice, and one in the hour behind for an hour that it leaves out.
    pub(super) fn moment_us(&self, wall_us: i64) -> i64 {
        let mut ts_us = wall_us;
        // Twice, because the first guess may lie on the other side of a change of the clock.
        for _ in 0..2 {
            ts_us = wall_us.saturating_sub(self.wall_us(ts_us).saturating_sub(ts_us));
        }
        ts_us
    }

    /// Its clock.
    pub(super) fn clock(&self) -> Clock<'_> {
        Clock { zone: self.zone.as_ref(), last: Cell::new((0, 0, 0)) }
    }
}

impl Clock<'_> {
    /// What the clock shows, as microseconds since 1970 on that clock. An hour that it shows twice
    /// in autumn is one hour here.
    pub(super) fn wall_us(&self, ts_us: i64) -> i64 {
        let Some(zone) = self.zone else { return ts_us };
        let (begin, end, offset_us) = self.last.get();
        if (begin..end).contains(&ts_us) {
            return ts_us.saturating_add(offset_us);
        }
        let Ok(moment) = Timestamp::from_microsecond(ts_us) else { return ts_us };
        let offset_us = i64::from(zone.to_offset(moment).seconds()) * 1_000_000;
        // At the moment of a change the change before it says nothing of what was until now.
        let before = zone.preceding(moment).next().map(|change| change.timestamp());
        let same = |change: &Timestamp| zone.to_offset(*change) == zone.to_offset(moment);
        let begin = before.filter(same).map_or(ts_us, Timestamp::as_microsecond);
        let behind = zone.following(moment).next();
        let end = behind.map_or(i64::MAX, |change| change.timestamp().as_microsecond());
        self.last.set((begin, end, offset_us));
        ts_us.saturating_add(offset_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_change() {
        let Ok(berlin) = Zone::parse("Europe/Berlin") else {
            return; // A machine without the time zone database.
        };
        // 2026-03-29T01:00Z: the clock goes from 2 to 3.
        let change_us = 1_774_746_000_000_000;
        let hour_us = 3_600_000_000;
        let berlin = berlin.clock();
        for _ in 0..2 {
            assert_eq!(berlin.wall_us(change_us - 1) - (change_us - 1), hour_us);
            assert_eq!(berlin.wall_us(change_us) - change_us, 2 * hour_us);
            assert_eq!(berlin.wall_us(change_us + 1) - (change_us + 1), 2 * hour_us);
        }
        for ts_us in [i64::MIN, i64::MAX] {
            berlin.wall_us(ts_us);
        }
        let zone = Zone::parse("Europe/Berlin").unwrap();
        assert_eq!(zone.moment_us(change_us), change_us - hour_us);
        assert_eq!(zone.moment_us(change_us + 2 * hour_us), change_us);
        assert_eq!(zone.moment_us(change_us + hour_us), change_us);
        assert_eq!(Zone::UTC.clock().wall_us(5), 5);
        assert!(Zone::parse("Nowhere/None").is_err());
    }
}
