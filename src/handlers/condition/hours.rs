//! Opening hours: `{"zone": "Europe/Berlin", "mon-fri": "09:00-17:30", "closed": ["12-25"]}`.

use crate::registry::Fault;
use crate::registry::part::{Fields, Part};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_PER_DAY: u16 = 24 * 60;
/// Days that a definition may name as closed.
const CLOSED_MAX: usize = 366;

/// A week of hours in a time zone, without the days that are closed.
#[derive(Clone, Debug)]
pub(in crate::handlers) struct Hours {
    zone: TimeZone,
    /// From Monday: first minute, and the one behind the last. Hours over midnight belong to the
    /// day on which they begin, and end beyond its last minute.
    week: [Vec<(u16, u16)>; 7],
    closed: Vec<Closed>,
}

/// A date, or that day of every year.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Closed {
    year: Option<i16>,
    month: i8,
    day: i8,
}

impl Hours {
    pub(super) fn parse(part: &Part<'_>) -> Result<Self, Fault> {
        let fields = part.object()?;
        let zone = zone(&fields)?;
        let mut hours = Self { zone, week: Default::default(), closed: Vec::new() };
        for (name, part) in fields.iter() {
            match name {
                "zone" => {}
                "closed" => hours.closed = closed(part)?,
                days => {
                    let spans = spans(part)?;
                    for day in days_of(days).ok_or_else(|| part.fault(NO_DAYS))? {
                        hours.week[day].extend(&spans);
                    }
                }
            }
        }
        if hours.week.iter().all(Vec::is_empty) {
            return Err(part.fault("names no hours, as in \"mon-fri\": \"09:00-17:30\""));
        }
        Ok(hours)
    }

    /// Whether it is open at a moment, ms since 1970.
    pub(super) fn hold(&self, now_ms: i64) -> bool {
        let Ok(moment) = Timestamp::from_millisecond(now_ms) else { return false };
        let local = self.zone.to_datetime(moment);
        let minute = minute_of(local);
        let today = local.date();
        let yesterday = today.yesterday().ok();
        self.is_open(today, minute)
            || yesterday.is_some_and(|day| self.is_open(day, minute + MINUTES_PER_DAY))
    }

    /// Whether the hours that begin on `day` hold `minute` of it.
    fn is_open(&self, day: Date, minute: u16) -> bool {
        let weekday = day.weekday().to_monday_zero_offset() as usize;
        let open = |(begin, end): &(u16, u16)| (*begin..*end).contains(&minute);
        self.week[weekday].iter().any(open) && !self.closed.iter().any(|closed| closed.is(day))
    }
}

impl Closed {
    fn is(self, day: Date) -> bool {
        self.month == day.month()
            && self.day == day.day()
            && self.year.is_none_or(|year| year == day.year())
    }
}

fn minute_of(local: DateTime) -> u16 {
    (i16::from(local.hour()) * 60 + i16::from(local.minute())).cast_unsigned()
}

const NO_DAYS: &str = "is no day: mon, tue, wed, thu, fri, sat, sun, two of them as in mon-fri, \
     or daily; beside the days there are zone and closed";

/// Indexes into a week.
fn days_of(name: &str) -> Option<Vec<usize>> {
    let index = |name: &str| DAYS.iter().position(|day| *day == name);
    if name == "daily" {
        return Some((0..7).collect());
    }
    match name.split_once('-') {
        None => Some(vec![index(name)?]),
        Some((first, last)) => {
            let (first, last) = (index(first)?, index(last)?);
            let count = (last + 7 - first) % 7 + 1;
            Some((first..first + count).map(|day| day % 7).collect())
        }
    }
}

fn zone(fields: &Fields<'_>) -> Result<TimeZone, Fault> {
    let part = fields.need("zone")?;
    let name = part.text(64)?;
    // The bundled ones first: a definition must mean the same on every machine.
    let bundled = TimeZoneDatabase::bundled();
    let found = bundled.get(&name).or_else(|_| TimeZone::get(&name));
    found.map_err(|_| part.fault(format!("{name:?} is no time zone, as Europe/Berlin or UTC is")))
}

fn spans(part: &Part<'_>) -> Result<Vec<(u16, u16)>, Fault> {
    let mut spans = Vec::new();
    for item in part.one_or_more()? {
        let text = item.text(32)?;
        let span = text.split_once('-').and_then(|(begin, end)| {
            let (begin, end) = (minutes(begin)?, minutes(end)?);
            let end = if end <= begin { end + MINUTES_PER_DAY } else { end };
            (begin < MINUTES_PER_DAY).then_some((begin, end))
        });
        let problem = "wants hours as in \"09:00-17:30\"; over midnight as in \"22:00-06:00\"";
        spans.push(span.ok_or_else(|| item.fault(problem))?);
    }
    Ok(spans)
}

/// `09:30`, up to `24:00`.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_plain { text.parse::<u16>().ok() } else { None }
    };
    let minutes = number(hour)? * 60 + number(minute).filter(|minute| *minute < 60)?;
    (minutes <= MINUTES_PER_DAY).then_some(minutes)
}

fn closed(part: &Part<'_>) -> Result<Vec<Closed>, Fault> {
    let items = part.one_or_more()?;
    if items.len() > CLOSED_MAX {
        return Err(part.fault(format!("names more than {CLOSED_MAX} days")));
    }
    let read = |item: &Part<'_>| {
        let problem = "wants a date as in \"2026-12-24\", or \"12-25\" for every year";
        date(&item.text(32)?).ok_or_else(|| item.fault(problem))
    };
    items.iter().map(read).collect()
}

fn date(text: &str) -> Option<Closed> {
    let parts: Vec<_> = text.split('-').collect();
    let (year, month, day) = match parts[..] {
        [year, month, day] if year.len() == 4 => (Some(year.parse().ok()?), month, day),
        [month, day] => (None, month, day),
        _ => return None,
    };
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    // In a leap year every day exists.
    Date::new(year.unwrap_or(2024), month, day).ok()?;
    Some(Closed { year, month, day })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: &str = r#"{"zone": "Europe/Berlin", "mon-fri": ["09:00-12:30", "13:30-18:00"],
        "sat": "22:00-02:00", "closed": ["2026-12-24", "12-25", "2026-11-28"]}"#;

    #[test]
    fn hours_of_a_week() {
        for (moment, want) in [
            ("2026-11-23T08:59+01:00", false), // Monday
            ("2026-11-23T09:00+01:00", true),
            ("2026-11-23T12:29+01:00", true),
            ("2026-11-23T12:30+01:00", false),
            ("2026-11-23T17:59:59+01:00", true),
            ("2026-11-23T18:00+01:00", false),
            ("2026-11-21T21:59+01:00", false), // Saturday, over midnight
            ("2026-11-21T22:00+01:00", true),
            ("2026-11-22T01:59+01:00", true),
            ("2026-11-22T02:00+01:00", false),
            ("2026-11-29T01:00+01:00", false), // its Saturday is closed
            ("2026-12-24T10:00+01:00", false),
            ("2027-12-24T10:00+01:00", true),
            ("2028-12-25T10:00+01:00", false),
            ("2026-07-01T09:00+02:00", true), // summer time
            ("2026-07-01T08:59+02:00", false),
        ] {
            let at: Timestamp = moment.parse().expect(moment);
            assert_eq!(hours(WEEK).expect("good").hold(at.as_millisecond()), want, "{moment}");
        }
        assert!(!hours(WEEK).expect("good").hold(i64::MAX));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (json, want) in [
            (r#"{"mon": "09:00-10:00"}"#, "`zone` is missing"),
            (r#"{"zone": "Berlin", "mon": "09:00-10:00"}"#, "\"Berlin\" is no time zone"),
            (r#"{"zone": "UTC"}"#, "names no hours"),
            (r#"{"zone": "UTC", "monday": "09:00-10:00"}"#, "is no day"),
            (r#"{"zone": "UTC", "mon": "9-17"}"#, "wants hours as in"),
            (r#"{"zone": "UTC", "mon": "09:00-24:01"}"#, "wants hours as in"),
            (r#"{"zone": "UTC", "mon": "24:00-25:00"}"#, "wants hours as in"),
            (r#"{"zone": "UTC", "daily": "09:00-24:00", "closed": ["02-30"]}"#, "wants a date"),
        ] {
            let fault = hours(json).expect_err(json).to_string();
            assert!(fault.contains(want), "{json}: {fault}");
        }
        assert_eq!(days_of("sat-mon"), Some(vec![5, 6, 0]));
        assert_eq!(
            hours(r#"{"zone": "UTC", "daily": "00:00-24:00"}"#).map(|h| h.hold(0)),
            Ok(true)
        );
    }

    fn hours(json: &str) -> Result<Hours, Fault> {
        Hours::parse(&Part::whole(json)?)
    }
}
