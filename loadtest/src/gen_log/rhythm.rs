//! When things are said: busy mornings, quiet nights and weekends, a little more every day.

use super::dice::Dice;

/// A day.
pub const DAY_US: i64 = 24 * HOUR_US;
/// An hour.
pub const HOUR_US: i64 = 3_600 * 1_000_000;

/// How busy each hour of a working day is.
const HOURS: [u32; 24] =
    [4, 2, 1, 1, 1, 3, 9, 25, 60, 90, 100, 92, 70, 78, 88, 85, 74, 62, 48, 40, 36, 28, 18, 9];
/// How busy each day of the week is, from Monday.
const DAYS: [u32; 7] = [100, 104, 98, 101, 92, 38, 30];

/// Gives the times of so many messages, in order.
#[derive(Debug)]
pub struct Rhythm {
    begin_us: i64,
    /// Messages of each hour.
    hours: Vec<u64>,
    hour: usize,
    /// Messages of this hour that were given.
    given: u64,
}

impl Rhythm {
    /// `count` messages within `days` from `begin_us`, the first midnight of a Monday or not.
    pub fn new(begin_us: i64, days: u32, count: u64) -> Self {
        let hour_count = days as usize * 24;
        let first_day = begin_us.div_euclid(DAY_US);
        let weight = |hour: usize| {
            let day = hour / 24;
            // 1970-01-01 was a Thursday.
            let weekday = (first_day + day as i64 + 3).rem_euclid(7) as usize;
            let growth = 100.0 + 30.0 * day as f64 / f64::from(days);
            f64::from(HOURS[hour % 24]) * f64::from(DAYS[weekday]) * growth
        };
        let total: f64 = (0..hour_count).map(weight).sum();
        let (mut hours, mut sum, mut given) = (Vec::with_capacity(hour_count), 0.0, 0u64);
        for hour in 0..hour_count {
            sum += weight(hour) / total * count as f64;
            let upto = if hour + 1 == hour_count { count } else { (sum as u64).min(count) };
            hours.push(upto - given);
            given = upto;
        }
        Self { begin_us, hours, hour: 0, given: 0 }
    }

    /// The time of the next message; `None` after the last.
    pub fn next(&mut self, dice: &mut Dice) -> Option<i64> {
        while self.given == *self.hours.get(self.hour)? {
            self.hour += 1;
            self.given = 0;
        }
        // One place for each message of the hour, and a random moment in it.
        let step = HOUR_US as f64 / self.hours[self.hour] as f64;
        let at = (self.given as f64 + dice.share()) * step;
        self.given += 1;
        Some(self.begin_us + self.hour as i64 * HOUR_US + at as i64)
    }
}

/// Midnight of a date like `2026-03-01` in UTC, microseconds since 1970.
///
/// # Errors
/// What is wrong with it.
pub fn parse_date(text: &str) -> Result<i64, String> {
    let wrong = || format!("--begin {text}: write a date like 2026-03-01, from 1970 to 9999");
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let mut part = || parts.next().flatten().ok_or_else(wrong);
    let (year, month, day) = (part()?, part()?, part()?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let fits = |value: i64, first: i64, last: i64| (first..=last).contains(&value);
    if !(fits(year, 1970, 9_999) && fits(month, 1, 12) && fits(day, 1, month_days)) {
        return Err(wrong());
    }
    // Years from March on, so that the odd day stands last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Ok((days - 719_468) * DAY_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_messages_come_in_order_within_the_days() {
        for (days, count) in [(1, 0), (1, 1), (3, 7), (14, 100_000)] {
            let begin = parse_date("2026-01-05").unwrap();
            let mut rhythm = Rhythm::new(begin, days, count);
            let mut dice = Dice::new(1);
            let times: Vec<i64> = std::iter::from_fn(|| rhythm.next(&mut dice)).collect();
            assert_eq!(times.len() as u64, count);
            assert!(times.is_sorted());
            assert!(times.iter().all(|at| (0..i64::from(days) * DAY_US).contains(&(at - begin))));
        }
    }

    #[test]
    fn nights_and_weekends_are_quiet() {
        let begin = parse_date("2026-01-05").unwrap();
        let mut rhythm = Rhythm::new(begin, 7, 100_000);
        let mut dice = Dice::new(1);
        let (mut hours, mut days) = ([0; 24], [0; 7]);
        while let Some(at) = rhythm.next(&mut dice) {
            let hour = ((at - begin) / HOUR_US) as usize;
            hours[hour % 24] += 1;
            days[hour / 24] += 1;
        }
        assert!(hours[10] > 20 * hours[3]);
        assert!(days[0] > 2 * days[6], "Monday before Sunday: {days:?}");
    }

    #[test]
    fn dates() {
        check("1970-01-01", Some(0));
        check("2000-02-29", Some(951_782_400));
        check("2026-01-05", Some(1_767_571_200));
        check("2026-02-29", None);
        check("2026-13-01", None);
        check("2026-1", None);
        check("yesterday", None);
        check("1969-12-31", None);
    }

    #[track_caller]
    fn check(text: &str, seconds: Option<i64>) {
        assert_eq!(parse_date(text).ok(), seconds.map(|s| s * 1_000_000), "{text}");
    }
}
