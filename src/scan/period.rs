//! Days, weeks and months: the periods that people come back in.

use super::bucket::{Bucket, DAY_US};
use super::zone::{Clock, Zone};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches};

/// A [`Bucket`] that is at least a day, so that its numbers are small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Period {
    Day,
    Week,
    Month,
}

impl Period {
    const ALL: [(&'static str, Self); 3] =
        [("day", Self::Day), ("week", Self::Week), ("month", Self::Month)];

    /// `--by`.
    pub(super) fn argument(default: &'static str) -> Arg {
        Arg::new("by")
            .long("by")
            .value_name("PERIOD")
            .value_parser(PossibleValuesParser::new(Self::ALL.map(|(name, _)| name)))
            .default_value(default)
            .help("Length of a period; weeks begin on Monday")
    }

    pub(super) fn parse(matches: &ArgMatches) -> Self {
        let wanted = matches.get_one::<String>("by").expect("has a default");
        let found = Self::ALL.into_iter().find(|(name, _)| name == wanted);
        found.expect("a possible value").1
    }

    /// The number of the period that holds a moment.
    pub(super) fn of(self, ts_us: i64, clock: &Clock<'_>) -> i32 {
        let number = self.bucket().of(clock.wall_us(ts_us));
        i32::try_from(number).expect("microseconds of 64 bits are fewer days than that")
    }

    /// The number of the period that holds a day since 1970.
    pub(super) fn of_day(self, day: i32) -> i32 {
        self.of(i64::from(day).saturating_mul(DAY_US), &Zone::UTC.clock())
    }

    /// The date of its first day; of a month, `2026-11`.
    pub(super) fn label(self, number: i32) -> String {
        self.bucket().label(i64::from(number))
    }

    const fn bucket(self) -> Bucket {
        match self {
            Self::Day => Bucket::Day,
            Self::Week => Bucket::Week,
            Self::Month => Bucket::Month,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_has_a_period() {
        for (_, period) in Period::ALL {
            for ts_us in [i64::MIN, -1, 0, i64::MAX] {
                assert!(!period.label(period.of(ts_us, &Zone::UTC.clock())).is_empty());
            }
        }
        assert_eq!(
            Period::Week.label(Period::Week.of(1_795_370_463_000_000, &Zone::UTC.clock())),
            "2026-11-16"
        );
    }
}
