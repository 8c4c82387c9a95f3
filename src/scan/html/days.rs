//! The sections over the days of the page, and how charts take many days together.

use super::charts::{Frame, Series, Unit, bars, heat_map, legend, lines};
use super::gather::Numbers;
use super::sections::card;
use crate::scan::activity::{Engaged, Newness};
use crate::scan::bucket::MONDAY_SHIFT_DAYS;
use crate::scan::{spark, time};

const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Bars of a chart over days at most; more days are taken together by weeks.
const BARS_MAX: usize = 120;
/// Labels below a chart.
pub(super) const LABELS_MAX: usize = 8;
/// Below a wide one, when they say the year.
const LONG_LABELS_MAX: usize = 5;
/// Beyond this many days a day without its year is two days.
const YEARLESS_DAYS_MAX: i32 = 366;
/// `Tue 17 Nov 2026`.
pub(super) fn long_day(day: i32) -> String {
    let (year, _, _) = time::civil(i64::from(day));
    let weekday = WEEKDAYS[(i64::from(day) + 3).rem_euclid(7) as usize];
    format!("{} {} {year}", &weekday[..3], short_day(day))
}

/// `17 Nov`.
pub(super) fn short_day(day: i32) -> String {
    let (_, month, of_month) = time::civil(i64::from(day));
    format!("{of_month} {}", MONTHS[month as usize - 1])
}

/// How many days a point or bar of a chart stands for.
fn days_of_point(numbers: &Numbers) -> usize {
    if numbers.window.day_count() as usize > BARS_MAX { 7 } else { 1 }
}

/// The days of the window as points: each the sum, mean or last of its days.
fn points(numbers: &Numbers, values: &[u64], of: fn(&[u64]) -> u64) -> Vec<u64> {
    values.chunks(days_of_point(numbers)).map(of).collect()
}

/// As [`points`], without a last one that has fewer days: in a line it would be a fall.
pub(super) fn whole_points(numbers: &Numbers, values: &[u64], of: fn(&[u64]) -> u64) -> Vec<u64> {
    values.chunks_exact(days_of_point(numbers)).map(of).collect()
}

pub(super) fn sum(days: &[u64]) -> u64 {
    days.iter().sum()
}

pub(super) fn mean(days: &[u64]) -> u64 {
    sum(days) / days.len().max(1) as u64
}

fn last(days: &[u64]) -> u64 {
    days.last().copied().unwrap_or(0)
}

/// The first day of a week.
pub(super) fn monday(week: i32) -> i32 {
    week * 7 - MONDAY_SHIFT_DAYS as i32
}

/// How the labels of a chart say a day.
pub(super) fn axis_day(numbers: &Numbers, day: i32) -> String {
    match numbers.window.day_count() {
        0..=YEARLESS_DAYS_MAX => short_day(day),
        _ => format!("{} {}", short_day(day), time::civil(i64::from(day)).0),
    }
}

/// The label of each point, and how many there is room for.
fn axis(numbers: &Numbers) -> (Vec<String>, usize) {
    let (window, len) = (numbers.window, days_of_point(numbers));
    let days = (window.first_day..=window.last_day).step_by(len);
    let yearless = window.day_count() <= YEARLESS_DAYS_MAX;
    let labels_max = if yearless { LABELS_MAX } else { LONG_LABELS_MAX };
    (days.map(|day| axis_day(numbers, day)).collect(), labels_max)
}

pub(super) fn volume(numbers: &Numbers) -> Option<String> {
    if numbers.window.day_count() == 1 {
        return hours(numbers);
    }
    let (labels, labels_max) = axis(numbers);
    let sums = points(numbers, &numbers.volume, sum);
    let (best, most) = numbers.volume.iter().enumerate().max_by_key(|(_, count)| **count)?;
    let by = if days_of_point(numbers) == 1 { "" } else { " A bar is seven days." };
    let say = format!(
        "{} a day on average. The busiest day was {} with {}.{by}",
        spark::grouped(mean(&numbers.volume)),
        long_day(numbers.window.first_day + best as i32),
        spark::grouped(*most)
    );
    let alt = format!("Messages by day. {say}");
    let frame = Frame { alt, labels: &labels, unit: Unit::Count, labels_max };
    let values = sums.into_iter().map(Some).collect();
    let chart = bars(&frame, &[Series { name: "", colour: "blue", values }]);
    Some(card("Messages", &say, &chart))
}

/// Of a single day: its row of the heat map.
fn hours(numbers: &Numbers) -> Option<String> {
    let begin = (i64::from(numbers.window.first_day) + 3).rem_euclid(7) as usize * 24;
    let hours = &numbers.heat[begin..begin + 24];
    let (best, most) = hours.iter().enumerate().max_by_key(|(_, count)| **count)?;
    let say = format!("The busiest hour began at {best:02}:00, with {}.", spark::grouped(*most));
    let labels: Vec<_> = (0..24).map(|hour| format!("{hour:02}:00")).collect();
    let alt = format!("Messages by hour. {say}");
    let frame = Frame { alt, labels: &labels, unit: Unit::Count, labels_max: LABELS_MAX };
    let values = hours.iter().copied().map(Some).collect();
    let chart = bars(&frame, &[Series { name: "", colour: "blue", values }]);
    Some(card("Messages", &say, &chart))
}

pub(super) fn heat(numbers: &Numbers) -> Option<String> {
    if numbers.window.day_count() == 1 {
        return None;
    }
    let (best, _) = numbers.heat.iter().enumerate().max_by_key(|(_, count)| **count)?;
    let say = format!("Most is written on {}s after {:02}:00.", WEEKDAYS[best / 24], best % 24);
    let alt = format!("Messages by weekday and hour. {say}");
    Some(card("When people write", &say, &heat_map(&numbers.heat, &alt)))
}

/// A line needs two days; the number of one stands in the headline.
pub(super) fn engagement(numbers: &Numbers) -> Option<String> {
    let newest = numbers.engaged.last().filter(|_| numbers.engaged.len() > 1)?;
    let daily: Vec<_> = numbers.engaged.iter().map(|one| one.daily).collect();
    let say = format!(
        "{} people on an average day; {} in the last 7 days, {} in the last 30.",
        spark::grouped(mean(&daily)),
        spark::grouped(newest.weekly),
        spark::grouped(newest.monthly)
    );
    let (labels, labels_max) = axis(numbers);
    let alt = format!("Active users. {say}");
    let frame = Frame { alt, labels: &labels, unit: Unit::Count, labels_max };
    let series = |name, colour, pick: fn(&Engaged) -> u64, of| {
        let days: Vec<_> = numbers.engaged.iter().map(pick).collect();
        let values = points(numbers, &days, of).into_iter().map(Some).collect();
        Series { name, colour, values }
    };
    let all = [
        series("monthly", "amber", |one| one.monthly, last),
        series("weekly", "teal", |one| one.weekly, last),
        series("daily", "blue", |one| one.daily, mean),
    ];
    let names = [("daily", "blue"), ("weekly (7 days)", "teal"), ("monthly (30 days)", "amber")];
    Some(card("Active users", &say, &(lines(&frame, &all) + &*legend(&names))))
}

/// By day; by week when there are many days, because who wrote on seven days is one person.
pub(super) fn newcomers(numbers: &Numbers) -> Option<String> {
    let weekly = days_of_point(numbers) > 1;
    let newness = if weekly { &numbers.newness_weeks } else { &numbers.newness };
    if newness.len() < 2 {
        return None;
    }
    let first_day = |one: &Newness| if weekly { monday(one.period) } else { one.period };
    let labels: Vec<_> = newness.iter().map(|one| axis_day(numbers, first_day(one))).collect();
    let new_users = numbers.now.new_users.unwrap_or(0);
    let share = new_users as f64 / numbers.now.users.max(1) as f64 * 100.0;
    let say = match numbers.begins_here {
        true => format!(
            "All of {} people: the log begins here, so everybody is new at first.",
            spark::grouped(numbers.now.users)
        ),
        false => format!(
            "{} of {} people were new: {share:.0} %.",
            spark::grouped(new_users),
            spark::grouped(numbers.now.users)
        ),
    };
    let by = if weekly { "week" } else { "day" };
    let alt = format!("New and known users by {by}. {say}");
    let frame = Frame { alt, labels: &labels, unit: Unit::Count, labels_max: axis(numbers).1 };
    let series = |name, colour, pick: fn(&Newness) -> u64| Series {
        name,
        colour,
        values: newness.iter().map(|one| Some(pick(one))).collect(),
    };
    let all = [
        series("known", "blue", |one| one.returning_count),
        series("new", "amber", |one| one.new_count),
    ];
    let known = format!("were here before, by {by}");
    let names = [(known.as_str(), "blue"), ("new", "amber")];
    Some(card("New and returning", &say, &(bars(&frame, &all) + &*legend(&names))))
}
