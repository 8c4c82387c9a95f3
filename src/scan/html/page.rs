//! The page: head, headline numbers, sections, and what its words mean.

use super::charts::{Unit, spark_line};
use super::gather::{Numbers, Totals, share};
use super::{days, sections};
use crate::scan::conversations::State;
use crate::scan::escape::html;
use crate::scan::fates::Step;
use crate::scan::{Job, spark, time};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// What the words of the page mean.
const NOTES: &[(&str, &str)] = &[
    (
        "Active user",
        "wrote at least one message in that time. Weekly and monthly count the 7 and 30 \
        days that end with a day.",
    ),
    (
        "New user",
        "wrote their first message ever, as far as the log reaches back. A cohort is all \
        users who were new in a week.",
    ),
    (
        "Response time",
        "from a customer's first unanswered WhatsApp message to the next message that \
        anybody else writes in that room, whoever or whatever that is. Median: half are faster. \
        95 %: one in twenty is slower.",
    ),
    (
        "Conversation",
        "the messages of a room with a customer until 24 hours of silence. Waiting: a \
        customer's message has no answer; overdue: for more than 30 minutes; missed: until the \
        conversation ended.",
    ),
    (
        "Delivered, read",
        "as WhatsApp reports it for each message; what was read counts as \
        delivered. Customers may switch off read receipts.",
    ),
    (
        "Server latency",
        "measured by the server itself. p50: half are faster; p99: one in a hundred \
        is slower.",
    ),
    ("▲ ▼", "the change against as many days directly before; of a share, in points."),
];

/// The whole document.
pub(super) fn page(numbers: &Numbers, title: &str, job: &Job<'_>) -> String {
    let mut body = tiles(numbers);
    body.push_str("<div class=\"grid\">\n");
    for section in sections::all(numbers) {
        body.push_str(&section);
        body.push('\n');
    }
    body.push_str("<section class=\"card wide\"><h2>What the words mean</h2><dl>");
    for (word, meaning) in NOTES {
        let _ = write!(body, "<dt>{}</dt><dd>{}</dd>", html(word), html(meaning));
    }
    body.push_str("</dl></section>\n</div>\n");
    document(title, &(span(numbers) + &*filters(job)), &body, job)
}

/// The document when there is no message to speak of.
pub(super) fn empty(title: &str, job: &Job<'_>) -> String {
    let body = "<section class=\"card\"><h2>No messages</h2><p class=\"say\">The log holds no \
                message for this page.</p></section>\n";
    let span = match (job.filter.since_us, job.filter.until_us) {
        (i64::MIN, i64::MAX) => "The whole log".to_owned(),
        (i64::MIN, until_us) => format!("Until {}", minute(until_us)),
        (since_us, i64::MAX) => format!("From {}", minute(since_us)),
        (since_us, until_us) => format!("{} to {}", minute(since_us), minute(until_us)),
    };
    document(title, &(span + &*filters(job)), body, job)
}

/// What is around every page.
fn document(title: &str, scope: &str, body: &str, job: &Job<'_>) -> String {
    let (title, scope) = (html(title), html(scope));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>{title}</h1><p>{scope}</p></header>\n{body}\
         <footer>Made from the message log by ringpost-scan {} on {}.</footer>\n\
         </main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        minute(job.now_us)
    )
}

/// `2026-11-23 00:32 UTC`.
fn minute(ts_us: i64) -> String {
    let said = time::format(ts_us).replace('T', " ");
    let end = said.rfind(':').unwrap_or(said.len());
    format!("{} UTC", &said[..end])
}

/// Which days the page is about.
fn span(numbers: &Numbers) -> String {
    let window = numbers.window;
    let mut text = match window.day_count() {
        1 => days::long_day(window.first_day),
        days => format!(
            "{} to {} · {} days",
            days::long_day(window.first_day),
            days::long_day(window.last_day),
            spark::grouped(days as u64)
        ),
    };
    if numbers.before.is_some() {
        let days = match window.day_count() {
            1 => "day".to_owned(),
            days => format!("{} days", spark::grouped(days as u64)),
        };
        let _ = write!(text, ", compared with the {days} before");
    }
    text
}

/// What the page leaves out.
fn filters(job: &Job<'_>) -> String {
    let mut text = String::new();
    if let Some(room) = &job.filter.room {
        let _ = write!(text, " · only room {room}");
    }
    if let Some(user) = &job.filter.user {
        let _ = write!(text, " · only user {user}");
    }
    for option in ["source", "kind"] {
        let names = job.matches.get_many::<String>(option).into_iter().flatten();
        let names: Vec<_> = names.map(String::as_str).collect();
        if !names.is_empty() {
            let _ = write!(text, " · only {option} {}", names.join(", "));
        }
    }
    if let Some(condition) = job.matches.get_one::<String>("where") {
        let _ = write!(text, " · only where {condition}");
    }
    let zone = job.matches.get_one::<String>("tz").map_or("UTC", String::as_str);
    let _ = write!(text, " · time zone {zone}");
    text
}

/// Whether more of something is good news.
#[derive(Clone, Copy)]
enum Good {
    More,
    Less,
}

/// How a number changed, in percent. `None`: there is nothing to compare with.
fn change(now: f64, before: Option<f64>, good: Good) -> String {
    let before = before.filter(|before| *before > 0.0);
    moved(before.map(|before| (now / before - 1.0) * 100.0), good, 0, " %")
}

/// How a share changed, in points.
fn share_change(now: f64, before: Option<f64>) -> String {
    moved(before.map(|before| (now - before) * 100.0), Good::More, 1, " points")
}

fn moved(by: Option<f64>, good: Good, digits: usize, unit: &str) -> String {
    let Some(by) = by else { return "<p>&nbsp;</p>".to_owned() };
    let smallest = 0.5 * 0.1_f64.powi(digits as i32);
    let (class, sign) = match (by, good) {
        (by, _) if by.abs() < smallest => ("flat", "±"),
        (0.0.., Good::More) => ("up", "▲ +"),
        (0.0.., Good::Less) => ("down", "▲ +"),
        (_, Good::More) => ("down", "▼ −"),
        (_, Good::Less) => ("up", "▼ −"),
    };
    let by = by.abs().min(9_999.0);
    format!("<p><span class=\"{class}\">{sign}{by:.digits$}{unit}</span></p>")
}

fn tile(name: &str, value: &str, below: &str, picture: &str) -> String {
    format!(
        "<section class=\"card tile\"><h2>{name}</h2><b>{}</b>{below}{picture}</section>",
        html(value)
    )
}

fn tiles(numbers: &Numbers) -> String {
    let now = numbers.now;
    let before = |pick: fn(&Totals) -> Option<f64>| numbers.before.as_ref().and_then(pick);
    let count = |value: u64| Unit::Count.say(value);
    let more = |now: u64, before| change(now as f64, before, Good::More);
    let trend = |days: &[u64], of| spark_line(&days::whole_points(numbers, days, of));
    let mut out = String::from("<div class=\"tiles\">\n");
    let messages = more(now.messages, before(|one| Some(one.messages as f64)));
    out.push_str(&tile(
        "Messages",
        &count(now.messages),
        &messages,
        &trend(&numbers.volume, days::sum),
    ));
    let users = more(now.users, before(|one| Some(one.users as f64)));
    let daily: Vec<_> = numbers.engaged.iter().map(|one| one.daily).collect();
    out.push_str(&tile("Active users", &count(now.users), &users, &trend(&daily, days::mean)));
    let new =
        more(now.new_users.unwrap_or(0), before(|one| one.new_users.map(|users| users as f64)));
    let fresh: Vec<_> = numbers.newness.iter().map(|one| one.new_count).collect();
    out.push_str(&tile(
        "New users",
        &count(now.new_users.unwrap_or(0)),
        &new,
        &trend(&fresh, days::sum),
    ));
    if now.waits.answers > 0 {
        let median = |one: &Totals| (one.waits.answers > 0).then_some(one.waits.median_us as f64);
        let wait = change(now.waits.median_us as f64, before(median), Good::Less);
        let medians: Vec<_> = numbers.wait_days.iter().flatten().copied().collect();
        let said = Unit::Span.say(now.waits.median_us);
        out.push_str(&tile("Median response", &said, &wait, &trend(&medians, days::mean)));
    }
    if !numbers.talks.is_empty() {
        let of = |state| numbers.talks.iter().filter(|talk| talk.0 == state).count();
        let overdue = of(State::Overdue);
        let class = if overdue > 0 { "down" } else { "up" };
        let below = format!("<p><span class=\"{class}\">{overdue} overdue</span></p>");
        let waiting = (overdue + of(State::Waiting)) as u64;
        out.push_str(&tile("Customers waiting", &count(waiting), &below, ""));
    }
    if let Some(delivered) = share(now.reach, Step::Delivered) {
        let prior = before(|one| share(one.reach, Step::Delivered));
        let below = share_change(delivered, prior);
        let days: Vec<_> =
            numbers.fates.days.values().map(|reach| reach.of(Step::Delivered)).collect();
        let said = format!("{:.1} %", delivered * 100.0);
        out.push_str(&tile("Delivered", &said, &below, &trend(&days, days::sum)));
    }
    out.push_str("</div>\n");
    out
}
