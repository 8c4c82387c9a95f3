//! Local time: which hour and day a moment belongs to for the people who ask.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::cell::Cell;

/// A time zone; UTC unless `--tz` says another.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    /// `None`: UTC.
    zone: Option<TimeZone>,
    /// From when until when the last answer holds, and the answer: seconds ahead of UTC.
    last: Cell<(i64, i64, i64)>,
}

impl Zone {
    pub(super) const UTC: Self = Self { zone: None, last: Cell::new((0, 0, 0)) };

    /// An IANA name, `UTC` or `local`.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let zone = match name {
            "UTC" | "utc" => return Ok(Self::UTC),
            "local" => TimeZone::try_system(),
            name => TimeZone::get(name),
        };
        match zone {
            Ok(zone) => Ok(Self { zone: Some(zone), last: Cell::new((0, 0, 0)) }),
            Err(_) => Err(format!("--tz {name:?} is no time zone (Europe/Berlin, local, UTC)")),
        }
    }

    /// Whether it is UTC.
    pub(super) fn is_utc(&self) -> bool {
        self.zone.is_none()
    }

    /// What a clock on the wall shows, as microseconds since 1970 on that clock. An hour that the
    /// clock shows twice in autumn is one hour here.
    pub(super) fn wall_us(&self, ts_us: i64) -> i64 {
        let Some(zone) = &self.zone else { return ts_us };
        let (begin, end, offset_us) = self.last.get();
        if (begin..end).contains(&ts_us) {
            return ts_us.saturating_add(offset_us);
        }
        let Ok(moment) = Timestamp::from_microsecond(ts_us) else { return ts_us };
        let offset_us = i64::from(zone.to_offset(moment).seconds()) * 1_000_000;
        let before = zone.preceding(moment).next().map(|change| change.timestamp());
        // At the moment of a change the change before it says nothing of what was until now.
        let begin = match before {
            None => ts_us,
            Some(change) if zone.to_offset(change) == zone.to_offset(moment) => {
                change.as_microsecond()
            }
            Some(_) => ts_us,
        };
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
        for _ in 0..2 {
            assert_eq!(berlin.wall_us(change_us - 1) - (change_us - 1), hour_us);
            assert_eq!(berlin.wall_us(change_us) - change_us, 2 * hour_us);
            assert_eq!(berlin.wall_us(change_us + 1) - (change_us + 1), 2 * hour_us);
        }
        for ts_us in [i64::MIN, i64::MAX] {
            berlin.wall_us(ts_us);
        }
        assert_eq!(Zone::UTC.wall_us(5), 5);
        assert!(Zone::parse("Nowhere/None").is_err());
    }
}
