//! The page: head, headline numbers, sections, and what its words mean.

use super::charts::{Unit, spark_line};
use super::gather::{Numbers, Totals, share};
use super::sections;
use crate::scan::conversations::State;
use crate::scan::escape::html;
use crate::scan::fates::Step;
use crate::scan::{Job, time};
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
    ("Change", "compares with as many days directly before."),
];

/// The whole document.
pub(super) fn page(numbers: &Numbers, title: &str, job: &Job<'_>) -> String {
    let mut out = String::with_capacity(128 * 1_024);
    let title = html(title);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>{title}</h1><p>{}</p></header>\n",
        html(&scope(numbers, job))
    );
    out.push_str(&tiles(numbers));
    out.push_str("<div class=\"grid\">\n");
    for section in sections::all(numbers) {
        out.push_str(&section);
        out.push('\n');
    }
    out.push_str("<section class=\"card wide\"><h2>What the words mean</h2><dl>");
    for (word, meaning) in NOTES {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", html(word), html(meaning));
    }
    let made = time::format(job.now_us).replace('T', " ");
    let made = made.split('.').next().unwrap_or_default().to_owned();
    let _ = write!(
        out,
        "</dl></section>\n</div>\n<footer>Made from the message log by ringpost-scan {} on {made} \
         UTC.</footer>\n</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    );
    out
}

/// Which days, and what was left out.
fn scope(numbers: &Numbers, job: &Job<'_>) -> String {
    let window = numbers.window;
    let mut text = match window.day_count() {
        1 => sections::long_day(window.first_day),
        days => format!(
            "{} to {} · {days} days",
            sections::long_day(window.first_day),
            sections::long_day(window.last_day)
        ),
    };
    if let Some(room) = &job.filter.room {
        let _ = write!(text, " · only room {room}");
    }
    if let Some(user) = &job.filter.user {
        let _ = write!(text, " · only user {user}");
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

/// How a number changed. `None`: there is nothing to compare with.
fn change(now: f64, before: Option<f64>, good: Good, days: i32) -> String {
    let Some(before) = before.filter(|before| *before > 0.0) else {
        return "<p>&nbsp;</p>".to_owned();
    };
    let percent = (now / before - 1.0) * 100.0;
    let (class, sign) = match (percent, good) {
        (-0.5..=0.5, _) => ("flat", "±"),
        (0.0.., Good::More) => ("up", "▲ +"),
        (0.0.., Good::Less) => ("down", "▲ +"),
        (_, Good::More) => ("down", "▼ −"),
        (_, Good::Less) => ("up", "▼ −"),
    };
    let percent = percent.abs().min(9_999.0);
    let days = if days == 1 { "the day".to_owned() } else { format!("{days} days") };
    format!("<p><span class=\"{class}\">{sign}{percent:.0} %</span> vs {days} before</p>")
}

fn tile(name: &str, value: &str, below: &str, picture: &str) -> String {
    format!(
        "<section class=\"card tile\"><h2>{name}</h2><b>{}</b>{below}{picture}</section>",
        html(value)
    )
}

fn tiles(numbers: &Numbers) -> String {
    let (now, days) = (numbers.now, numbers.window.day_count());
    let before = |pick: fn(&Totals) -> Option<f64>| numbers.before.as_ref().and_then(pick);
    let count = |value: u64| Unit::Count.say(value);
    let more = |now: u64, before| change(now as f64, before, Good::More, days);
    let mut out = String::from("<div class=\"tiles\">\n");
    let messages = more(now.messages, before(|one| Some(one.messages as f64)));
    out.push_str(&tile("Messages", &count(now.messages), &messages, &spark_line(&numbers.volume)));
    let users = more(now.users, before(|one| Some(one.users as f64)));
    let daily: Vec<_> = numbers.engaged.iter().map(|one| one.daily).collect();
    out.push_str(&tile("Active users", &count(now.users), &users, &spark_line(&daily)));
    let new =
        more(now.new_users.unwrap_or(0), before(|one| one.new_users.map(|users| users as f64)));
    let fresh: Vec<_> = numbers.newness.iter().map(|one| one.new_count).collect();
    out.push_str(&tile("New users", &count(now.new_users.unwrap_or(0)), &new, &spark_line(&fresh)));
    if now.waits.answers > 0 {
        let median = |one: &Totals| (one.waits.answers > 0).then_some(one.waits.median_us as f64);
        let wait = change(now.waits.median_us as f64, before(median), Good::Less, days);
        let medians: Vec<_> = numbers.wait_days.iter().flatten().copied().collect();
        let said = Unit::Span.say(now.waits.median_us);
        out.push_str(&tile("Median response", &said, &wait, &spark_line(&medians)));
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
        let below = change(delivered, prior, Good::More, days);
        let days: Vec<_> =
            numbers.fates.days.values().map(|reach| reach.of(Step::Delivered)).collect();
        let said = format!("{:.1} %", delivered * 100.0);
        out.push_str(&tile("Delivered", &said, &below, &spark_line(&days)));
    }
    out.push_str("</div>\n");
    out
}
