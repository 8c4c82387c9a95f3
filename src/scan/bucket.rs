//! Pieces of time that reports count by.

use super::time;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches};

const MINUTE_US: i64 = 60_000_000;
/// Microseconds of an hour.
pub(super) const HOUR_US: i64 = 60 * MINUTE_US;
/// Microseconds of a day.
pub(super) const DAY_US: i64 = 24 * HOUR_US;
/// 1970-01-01 was a Thursday; weeks begin on Monday (ISO 8601).
pub(super) const MONDAY_SHIFT_DAYS: i64 = 3;

/// A length of time; pieces of it are numbered without holes, and 0 holds 1970-01-01T00:00.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bucket {
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

impl Bucket {
    const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month];

    const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// `--by`.
    pub(super) fn argument(default: Self) -> Arg {
        Arg::new("by")
            .long("by")
            .value_name("LENGTH")
            .value_parser(PossibleValuesParser::new(Self::ALL.map(Self::name)))
            .default_value(default.name())
            .help("Length of a row; weeks begin on Monday")
    }

    pub(super) fn parse(matches: &ArgMatches) -> Self {
        let name = matches.get_one::<String>("by").expect("has a default");
        Self::ALL.into_iter().find(|bucket| bucket.name() == name).expect("a possible value")
    }

    /// The piece that holds a moment of a clock on the wall.
    pub(super) fn of(self, wall_us: i64) -> i64 {
        match self {
            Self::Minute => wall_us.div_euclid(MINUTE_US),
            Self::Hour => wall_us.div_euclid(HOUR_US),
            Self::Day => wall_us.div_euclid(DAY_US),
            Self::Week => (wall_us.div_euclid(DAY_US) + MONDAY_SHIFT_DAYS).div_euclid(7),
            Self::Month => {
                let (year, month, _) = time::civil(wall_us.div_euclid(DAY_US));
                (year - 1970) * 12 + month - 1
            }
        }
    }

    /// When a piece begins: `2026-11-22T18:05`, `2026-11-22T18:00`, `2026-11-22`, `2026-11`.
    pub(super) fn label(self, number: i64) -> String {
        let mut label = String::with_capacity(16);
        match self {
            Self::Minute => {
                push_date(&mut label, number.div_euclid(1_440));
                let minute = number.rem_euclid(1_440);
                push_clock(&mut label, minute / 60, minute % 60);
            }
            Self::Hour => {
                push_date(&mut label, number.div_euclid(24));
                push_clock(&mut label, number.rem_euclid(24), 0);
            }
            Self::Day => push_date(&mut label, number),
            Self::Week => push_date(&mut label, number * 7 - MONDAY_SHIFT_DAYS),
            Self::Month => {
                push_year(&mut label, 1970 + number.div_euclid(12));
                label.push('-');
                push_two(&mut label, number.rem_euclid(12) + 1);
            }
        }
        label
    }
}

/// By hand, because a report by minutes has as many labels as rows.
fn push_date(label: &mut String, day: i64) {
    let (year, month, of_month) = time::civil(day);
    push_year(label, year);
    label.push('-');
    push_two(label, month);
    label.push('-');
    push_two(label, of_month);
}

fn push_clock(label: &mut String, hour: i64, minute: i64) {
    label.push('T');
    push_two(label, hour);
    label.push(':');
    push_two(label, minute);
}

fn push_year(label: &mut String, year: i64) {
    if (0..10_000).contains(&year) {
        push_two(label, year / 100);
        push_two(label, year % 100);
    } else {
        label.push_str(&format!("{year:04}"));
    }
}

fn push_two(label: &mut String, number: i64) {
    assert!((0..100).contains(&number));
    label.push(char::from(b'0' + (number / 10) as u8));
    label.push(char::from(b'0' + (number % 10) as u8));
}

/// Hour of the week of a moment of a clock on the wall; 0: Monday from 0 to 1 o'clock.
pub(super) fn week_hour(wall_us: i64) -> usize {
    (wall_us.div_euclid(HOUR_US) + MONDAY_SHIFT_DAYS * 24).rem_euclid(168) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        check(Bucket::Minute, "2026-11-22T18:01");
        check(Bucket::Hour, "2026-11-22T18:00");
        check(Bucket::Day, "2026-11-22");
        check(Bucket::Week, "2026-11-16");
        check(Bucket::Month, "2026-11");
        for bucket in Bucket::ALL {
            for wall_us in [i64::MIN, -1, i64::MAX] {
                assert!(!bucket.label(bucket.of(wall_us)).is_empty());
            }
        }
        assert_eq!((week_hour(0), week_hour(-1), week_hour(4 * DAY_US)), (72, 71, 0));
    }

    #[track_caller]
    fn check(bucket: Bucket, label: &str) {
        assert_eq!(bucket.label(bucket.of(1_795_370_463_000_000)), label);
    }
}
