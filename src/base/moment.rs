//! Moments as text: UTC, RFC 3339. Proleptic Gregorian calendar, no leap seconds.

const DAY_S: i64 = 86_400;
const DAYS_400_YEARS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01. Years are counted from March, so that the leap day is last.
const EPOCH_DAYS: i64 = 719_468;

/// `2026-11-22T18:01:03.000250Z`.
pub fn format(us: i64) -> String {
    let (seconds, micros) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    let (year, month, day) = civil(days);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    let second = second % 60;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// A date, a date with time of day in UTC, or a span before `now_us`: `90s`, `15m`, `2h`, `7d`.
pub fn parse(text: &str, now_us: i64) -> Option<i64> {
    if let Some(span_us) = parse_span(text) {
        return now_us.checked_sub(span_us);
    }
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, clock),
        None => (text, "00:00"),
    };
    let day_us = parse_date(date)?.checked_mul(DAY_S * 1_000_000)?;
    day_us.checked_add(parse_clock(clock.strip_suffix('Z').unwrap_or(clock))?)
}

/// A span of time, microseconds: `90s`, `15m`, `2h`, `7d`.
pub fn parse_span(text: &str) -> Option<i64> {
    let unit_s = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => DAY_S,
        _ => return None,
    };
    digits(&text[..text.len() - 1], 1..=9)?.checked_mul(unit_s * 1_000_000)
}

fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4..=4)?;
    let month = digits(parts.next()?, 2..=2)?;
    let day = digits(parts.next()?, 2..=2)?;
    let days = days(year, month, day);
    // A date that the calendar does not have comes back as another one.
    let exists = parts.next().is_none() && civil(days) == (year, month, day);
    exists.then_some(days)
}

fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let hour = digits(parts.next()?, 2..=2).filter(|hour| *hour < 24)?;
    let minute = digits(parts.next()?, 2..=2).filter(|minute| *minute < 60)?;
    let (second, fraction) = match parts.next() {
        None => (0, 0),
        Some(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            let scale = 10i64.pow(6u32.checked_sub(fraction.len() as u32)?);
            let second = digits(whole, 2..=2).filter(|second| *second < 60)?;
            (second, digits(fraction, 1..=6)? * scale)
        }
    };
    if parts.next().is_some() {
        return None;
    }
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction)
}

fn digits(text: &str, len: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let plain = len.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Days since 1970 -> year, month, day.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + EPOCH_DAYS;
    let (era, day_of_era) =
        (shifted.div_euclid(DAYS_400_YEARS), shifted.rem_euclid(DAYS_400_YEARS));
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Year, month, day -> days since 1970.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let march_year = year - i64::from(month <= 2);
    let (era, year_of_era) = (march_year.div_euclid(400), march_year.rem_euclid(400));
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_400_YEARS + day_of_era - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        check("1970-01-01", Some(0));
        check("1970-01-01T00:00:01.5Z", Some(1_500_000));
        check("2000-02-29T12:00Z", Some(951_825_600_000_000));
        check("2026-11-22 18:01:03", Some(1_795_370_463_000_000));
        check("1969-12-31", Some(-86_400_000_000));
        check("90s", Some(-90_000_000));
        check("2h", Some(-7_200_000_000));
        check("7d", Some(-604_800_000_000));
        for bad in ["", "h", "2026", "2026-02-30", "2026-1-1", "2026-01-01T24:00", "1x", "-5s"] {
            check(bad, None);
        }
        check("2026-01-01T00:00:00.1234567Z", None);
    }

    #[track_caller]
    fn check(text: &str, want: Option<i64>) {
        assert_eq!(parse(text, 0), want, "{text:?}");
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in -200_000..200_000 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
        assert_eq!(format(1_795_370_463_000_250), "2026-11-22T18:01:03.000250Z");
        assert_eq!(format(-1), "1969-12-31T23:59:59.999999Z");
    }
}
