//! Days, weeks and months of the calendar, UTC.

use super::time;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches};

const DAY_US: i64 = 86_400_000_000;
/// 1970-01-01 was a Thursday; weeks begin on Monday (ISO 8601).
const MONDAY_SHIFT_DAYS: i64 = 3;

/// A piece of the calendar. Numbers of pieces follow each other without holes; day 0 is 1970-01-01,
/// week 0 holds it, month 0 begins with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Period {
    Day,
    Week,
    Month,
}

impl Period {
    const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// `--by`.
    pub(super) fn argument(default: Self) -> Arg {
        Arg::new("by")
            .long("by")
            .value_name("PERIOD")
            .value_parser(PossibleValuesParser::new(Self::ALL.map(Self::name)))
            .default_value(default.name())
            .help("Length of a period; weeks begin on Monday")
    }

    pub(super) fn parse(matches: &ArgMatches) -> Self {
        let name = matches.get_one::<String>("by").expect("has a default");
        Self::ALL.into_iter().find(|period| period.name() == name).expect("a possible value")
    }

    /// The number of the period that holds a moment.
    pub(super) fn of(self, ts_us: i64) -> i32 {
        let day = ts_us.div_euclid(DAY_US);
        let number = match self {
            Self::Day => day,
            Self::Week => (day + MONDAY_SHIFT_DAYS).div_euclid(7),
            Self::Month => {
                let (year, month, _) = time::civil(day);
                (year - 1970) * 12 + month - 1
            }
        };
        i32::try_from(number).expect("microseconds of 64 bits are fewer days than that")
    }

    /// When a period begins, as a day since 1970.
    pub(super) fn first_day(self, number: i32) -> i64 {
        let number = i64::from(number);
        match self {
            Self::Day => number,
            Self::Week => number * 7 - MONDAY_SHIFT_DAYS,
            Self::Month => time::days(1970 + number.div_euclid(12), number.rem_euclid(12) + 1, 1),
        }
    }

    /// The date of its first day; of a month, `2026-11`.
    pub(super) fn label(self, number: i32) -> String {
        let (year, month, day) = time::civil(self.first_day(number));
        match self {
            Self::Month => format!("{year:04}-{month:02}"),
            Self::Day | Self::Week => format!("{year:04}-{month:02}-{day:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods() {
        check(Period::Day, 0, 0, "1970-01-01");
        check(Period::Day, -1, -1, "1969-12-31");
        check(Period::Week, 0, 0, "1969-12-29");
        check(Period::Week, 4 * DAY_US - 1, 0, "1969-12-29");
        check(Period::Week, 4 * DAY_US, 1, "1970-01-05");
        check(Period::Week, 1_795_370_463_000_000, 2_968, "2026-11-16");
        check(Period::Month, 1_795_370_463_000_000, 682, "2026-11");
        check(Period::Month, -1, -1, "1969-12");
        for period in Period::ALL {
            for ts_us in [i64::MIN, i64::MAX] {
                assert!(!period.label(period.of(ts_us)).is_empty());
            }
        }
    }

    #[track_caller]
    fn check(period: Period, ts_us: i64, number: i32, label: &str) {
        assert_eq!(period.of(ts_us), number);
        assert_eq!(period.label(number), label);
        assert_eq!(period.of(period.first_day(number) * DAY_US), number);
    }
}
