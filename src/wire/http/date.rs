//! The `Date` field (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.

const DAY_S: i64 = 24 * 3_600;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// 9999-12-31T23:59:59Z: the format has four digits for the year.
const LAST_S: i64 = 253_402_300_799;

/// The date of `wall_s`, seconds since 1970, as IMF-fixdate. Times outside the years 1970 to 9999
/// are moved to the nearest end. Make it once a second, not once a response.
pub fn imf_fixdate(wall_s: i64) -> String {
    let wall_s = wall_s.clamp(0, LAST_S);
    let (days, second) = (wall_s / DAY_S, wall_s % DAY_S);
    let (year, month, day) = civil(days);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        WEEKDAYS[(days % 7) as usize],
        MONTHS[month],
        second / 3_600,
        second / 60 % 60,
        second % 60,
    )
}

/// Days since 1970 to (year, month from 0, day from 1). Whole years, then whole months, are taken
/// off: at most 8029 steps for a date that is made once a second.
fn civil(mut days: i64) -> (i64, usize, i64) {
    assert!(days >= 0);
    let mut year = 1970;
    while days >= 365 + leap(year) {
        days -= 365 + leap(year);
        year += 1;
    }
    let mut month = 0;
    for length in [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// 1 in a leap year of the Gregorian calendar.
fn leap(year: i64) -> i64 {
    i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (wall_s, expect) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (1_735_689_600, "Wed, 01 Jan 2025 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST_S, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(imf_fixdate(wall_s), expect);
        }
    }
}
