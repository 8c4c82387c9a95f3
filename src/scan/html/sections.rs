//! The sections of the page, each a card. What has no data has no card.

use super::charts::{Frame, Series, Unit, bars, legend, lines, table_bar};
use super::days::{LABELS_MAX, axis_day, engagement, heat, monday, newcomers, short_day, volume};
use super::gather::Numbers;
use crate::metrics::Metric;
use crate::scan::activity::Cohort;
use crate::scan::bucket::Bucket;
use crate::scan::conversations::State;
use crate::scan::escape::html;
use crate::scan::fates::{Fates, Step};
use crate::scan::meta_errors::meaning;
use crate::scan::period::Period;
use crate::scan::spark;
use std::fmt::Write;

/// Cohorts, and weeks behind them, that the triangle has room for.
const COHORTS_MAX: usize = 8;
/// Labels below a small chart.
const SMALL_LABELS_MAX: usize = 3;
/// Rows of a list of names or reasons.
const ROWS_MAX: usize = 10;

/// All that have something to say, in the order of the page.
pub(super) fn all(numbers: &Numbers) -> Vec<String> {
    let fates = &numbers.fates;
    let rows = [
        (volume(numbers), None),
        (heat(numbers), engagement(numbers)),
        (newcomers(numbers), cohorts(numbers)),
        (busiest(numbers), None),
        (responses(numbers), agents(numbers)),
        (waiting(numbers), None),
        (funnel(fates, numbers), failures(fates)),
        (server(numbers), None),
    ];
    rows.into_iter().flat_map(row).collect()
}

/// Two cards beside each other; one alone has the whole width.
fn row(cards: (Option<String>, Option<String>)) -> Vec<String> {
    let wide = |card: String| vec![card.replacen("class=\"card\"", "class=\"card wide\"", 1)];
    match cards {
        (Some(left), Some(right)) => vec![left, right],
        (Some(alone), None) | (None, Some(alone)) => wide(alone),
        (None, None) => Vec::new(),
    }
}

pub(super) fn card(title: &str, say: &str, body: &str) -> String {
    format!(
        "<section class=\"card\"><h2>{title}</h2><p class=\"say\">{}</p>{body}</section>",
        html(say)
    )
}

fn cohorts(numbers: &Numbers) -> Option<String> {
    let skipped = numbers.cohorts.len().saturating_sub(COHORTS_MAX);
    let cohorts = &numbers.cohorts[skipped..];
    let first = cohorts.first()?;
    let weeks = (i64::from(numbers.last_week) - i64::from(first.period)).min(COHORTS_MAX as i64);
    if weeks < 1 {
        return None;
    }
    let mut body = String::from(
        "<div class=\"scroll\"><table class=\"cohorts\"><thead><tr><th scope=\"col\">first week\
         </th><th scope=\"col\">people</th>",
    );
    for week in 1..=weeks {
        let _ = write!(body, "<th scope=\"col\">+{week}</th>");
    }
    body.push_str("</tr></thead><tbody>");
    let (mut came, mut could) = (0, 0);
    for cohort in cohorts {
        let passed = (i64::from(numbers.last_week) - i64::from(cohort.period)).min(weeks);
        body.push_str(&cohort_row(cohort, weeks, passed));
        if passed >= 1 {
            could += cohort.user_count;
            came += active_after(cohort, 1);
        }
    }
    body.push_str("</tbody></table></div>");
    let say = format!(
        "Of those who came for the first time, {:.0} % wrote again the week after.",
        came as f64 / could.max(1) as f64 * 100.0
    );
    Some(card("Who comes back", &say, &body))
}

fn active_after(cohort: &Cohort, weeks: i64) -> u64 {
    let found = cohort.active.iter().find(|(behind, _)| i64::from(*behind) == weeks);
    found.map_or(0, |(_, count)| *count)
}

/// Blank are only the weeks that have not been.
fn cohort_row(cohort: &Cohort, weeks: i64, passed: i64) -> String {
    let mut row = format!(
        "<tr><td>{}</td><td>{}</td>",
        html(&Period::Week.label(cohort.period)),
        spark::grouped(cohort.user_count)
    );
    for week in 1..=weeks {
        if week > passed {
            row.push_str("<td></td>");
            continue;
        }
        let percent = active_after(cohort, week) as f64 / cohort.user_count.max(1) as f64 * 100.0;
        let _ = write!(row, "<td class=\"c\" style=\"--s:{percent:.0}\">{percent:.0} %</td>");
    }
    row.push_str("</tr>");
    row
}

fn busiest(numbers: &Numbers) -> Option<String> {
    let lists = [
        list("person", &numbers.users, "messages"),
        list("room", &numbers.rooms, "messages"),
        list("command", &numbers.commands, "calls"),
    ];
    let lists: String = lists.into_iter().flatten().collect();
    let body = format!("<div class=\"smalls lists\">{lists}</div>");
    let say = "People, rooms and commands with most messages and calls.";
    (!lists.is_empty()).then(|| card("The busiest", say, &body))
}

fn list(one: &str, list: &[(String, u64)], what: &str) -> Option<String> {
    let (_, most) = list.first()?;
    let mut body = format!(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">{one}</th><th scope=\"col\" \
         class=\"n\">{what}</th><th></th></tr></thead><tbody>"
    );
    for (name, count) in list {
        let bar = table_bar(*count as f64 / *most as f64, "blue");
        let _ = write!(
            body,
            "<tr><td class=\"name\">{}</td><td class=\"n\">{}</td>\
             <td class=\"pic\">{bar}</td></tr>",
            html(name),
            spark::grouped(*count)
        );
    }
    body.push_str("</tbody></table></div>");
    Some(body)
}

/// An hour with less than one in so many answers says little.
const HOUR_PARTS: u64 = 100;

fn responses(numbers: &Numbers) -> Option<String> {
    let all = numbers.now.waits;
    if all.answers == 0 {
        return None;
    }
    let mut say = format!(
        "Half of {} questions had an answer within {}, 95 % within {}.",
        spark::grouped(all.answers),
        spark::span(all.median_us),
        spark::span(all.p95_us)
    );
    let labels: Vec<_> = (0..24).map(|hour| format!("{hour:02}:00")).collect();
    let mut values = vec![None; 24];
    let hours = numbers.wait_hours.iter().copied().filter(|(hour, _)| *hour < 24);
    // Three questions at four in the morning would make all other bars flat.
    let (shown, rare): (Vec<_>, Vec<_>) =
        hours.partition(|(_, waits)| waits.answers * HOUR_PARTS >= all.answers);
    for (hour, waits) in shown {
        values[hour as usize] = Some(waits.median_us);
    }
    if !rare.is_empty() {
        say.push_str(" Hours with less than 1 % of them are left out.");
    }
    let frame = Frame {
        alt: format!("Median response time by hour of the question. {say}"),
        labels: &labels,
        unit: Unit::Span,
        labels_max: LABELS_MAX,
    };
    let chart = bars(&frame, &[Series { name: "", colour: "teal", values }]);
    let title = "Response time by hour of the question";
    Some(card(title, &say, &(chart + &*legend(&[("median", "teal")]))))
}

fn agents(numbers: &Numbers) -> Option<String> {
    let slowest = numbers.agents.iter().map(|(_, waits)| waits.median_us).max()?;
    let mut body = String::from(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">who answered</th>\
         <th scope=\"col\" class=\"n\">answers</th><th scope=\"col\" class=\"n\">median</th>\
         <th scope=\"col\" class=\"n\">95 %</th><th></th></tr></thead><tbody>",
    );
    for (name, waits) in &numbers.agents {
        let bar = table_bar(waits.median_us as f64 / slowest.max(1) as f64, "teal");
        let _ = write!(
            body,
            "<tr><td class=\"name\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"pic\">{bar}</td></tr>",
            html(name),
            spark::grouped(waits.answers),
            spark::span(waits.median_us),
            spark::span(waits.p95_us)
        );
    }
    body.push_str("</tbody></table></div>");
    Some(card("Who answers customers", "By number of answers.", &body))
}

fn waiting(numbers: &Numbers) -> Option<String> {
    if numbers.talks.is_empty() {
        return None;
    }
    let of = |state| numbers.talks.iter().filter(|talk| talk.0 == state).count() as u64;
    let mut body = String::from("<ul class=\"chips\">");
    for state in State::ALL {
        let (name, count) = (state.name(), spark::grouped(of(state)));
        let _ = write!(body, "<li class=\"{name}\"><b>{count}</b>{name}</li>");
    }
    body.push_str("</ul>");
    let waits = |state| matches!(state, State::Overdue | State::Waiting | State::Missed);
    let urgent = numbers.talks.iter().filter(|talk| waits(talk.0)).take(ROWS_MAX);
    let mut rows = String::new();
    for (state, talk, room, _) in urgent {
        let since = talk.waiting_us.unwrap_or(talk.last_us);
        let _ = write!(
            rows,
            "<tr><td class=\"name\">{}</td><td><span class=\"state {}\">{}</span></td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            html(room),
            state.name(),
            state.name(),
            waited(numbers.now_us.saturating_sub(since)),
            spark::grouped(talk.message_count)
        );
    }
    if !rows.is_empty() {
        let _ = write!(
            body,
            "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">conversation</th>\
             <th scope=\"col\">state</th><th scope=\"col\" class=\"n\">waits for</th>\
             <th scope=\"col\" class=\"n\">messages</th></tr></thead><tbody>{rows}</tbody></table>\
             </div>"
        );
    }
    let talk_count: u64 = numbers.talks.iter().map(|talk| talk.1.talk_count).sum();
    let say = format!(
        "{} conversations with {} customers; how the last one with each stands.",
        spark::grouped(talk_count),
        spark::grouped(numbers.talks.len() as u64)
    );
    Some(card("Conversations", &say, &body))
}

/// Of a clock that jumped, a customer may wait from a time that has not come.
fn waited(span_us: i64) -> String {
    u64::try_from(span_us).ok().filter(|us| *us > 0).map_or("just now".to_owned(), spark::span)
}

fn funnel(fates: &Fates, numbers: &Numbers) -> Option<String> {
    let all = fates.all;
    if all.messages == 0 {
        return None;
    }
    let mut body = String::from(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">step</th>\
         <th scope=\"col\" class=\"n\">messages</th><th scope=\"col\" class=\"n\">share</th>\
         <th scope=\"col\" class=\"n\">after</th><th></th></tr></thead><tbody>",
    );
    let mut row = |name: &str, count: u64, after: &str, colour: &str| {
        let share = count as f64 / all.messages as f64;
        let _ = write!(
            body,
            "<tr><td>{name}</td><td class=\"n\">{}</td><td class=\"n\">{:.1} %</td>\
             <td class=\"n\">{after}</td><td class=\"pic\">{}</td></tr>",
            spark::grouped(count),
            share * 100.0,
            table_bar(share, colour)
        );
    };
    row("handed over", all.messages, "", "grey");
    for (step, colour) in [
        (Step::Sent, "blue"),
        (Step::Delivered, "teal"),
        (Step::Read, "green"),
        (Step::Failed, "red"),
    ] {
        let mut spans = fates.spans[step as usize].clone();
        let after = if spans.count() > 0 { spark::span(spans.at_us(0.5)) } else { String::new() };
        row(step.name(), all.of(step), &after, colour);
    }
    row("on their way", all.pending(), "", "amber");
    body.push_str("</tbody></table></div>");
    body.push_str(&categories(fates));
    let share = |step| all.of(step) as f64 / all.messages as f64 * 100.0;
    let say = format!(
        "{:.1} % of {} messages arrived, {:.1} % were read. Times are medians.",
        share(Step::Delivered),
        spark::grouped(numbers.now.reach.messages),
        share(Step::Read)
    );
    Some(card("Messages to WhatsApp", &say, &body))
}

/// By what Meta charges for; nothing when no status said so.
fn categories(fates: &Fates) -> String {
    let told = fates.categories.iter().filter(|(name, _)| !name.is_empty());
    let mut rows = String::new();
    for (name, reach) in told {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            html(name),
            spark::grouped(reach.messages),
            spark::grouped(reach.billable)
        );
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<h3>By pricing category</h3><div class=\"scroll\"><table><thead><tr>\
         <th scope=\"col\">category</th><th scope=\"col\" class=\"n\">messages</th>\
         <th scope=\"col\" class=\"n\">billable</th></tr></thead><tbody>{rows}</tbody>\
         </table></div>"
    )
}

fn failures(fates: &Fates) -> Option<String> {
    let failed = fates.all.of(Step::Failed);
    let mut errors: Vec<_> = fates.errors.iter().collect();
    errors.sort_by_key(|(error, count)| (std::cmp::Reverse(**count), **error));
    let (_, most) = errors.first()?;
    let mut body = String::from(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">reason</th>\
         <th scope=\"col\" class=\"n\">messages</th><th></th></tr></thead><tbody>",
    );
    for (error, count) in errors.iter().take(ROWS_MAX) {
        let reason = meaning(**error).unwrap_or("see Meta's list of error codes");
        let _ = write!(
            body,
            "<tr><td class=\"name\">{} <small>({error})</small></td><td class=\"n\">{}</td>\
             <td class=\"pic\">{}</td></tr>",
            html(reason),
            spark::grouped(**count),
            table_bar(**count as f64 / **most as f64, "red")
        );
    }
    body.push_str("</tbody></table></div>");
    let share = failed as f64 / fates.all.messages.max(1) as f64 * 100.0;
    let say = format!("{} messages failed: {share:.1} %.", spark::grouped(failed));
    Some(card("Why messages failed", &say, &body))
}

/// Of a point of a latency: `06:00` of a single day, `5 Jan 06:00`, `5 Jan`.
fn moment_label(numbers: &Numbers, number: i64) -> String {
    let hour = |number: i64| format!("{:02}:00", number.rem_euclid(24));
    match numbers.latency_bucket {
        Bucket::Hour if numbers.window.day_count() == 1 => hour(number),
        Bucket::Hour => format!("{} {}", short_day(number.div_euclid(24) as i32), hour(number)),
        Bucket::Week => axis_day(numbers, monday(number as i32)),
        _ => axis_day(numbers, number as i32),
    }
}

fn server(numbers: &Numbers) -> Option<String> {
    if numbers.latencies.is_empty() {
        return None;
    }
    let mut body = String::from("<div class=\"smalls\">");
    for (name, points) in &numbers.latencies {
        let known = Metric::ALL.iter().find(|metric| metric.name() == name);
        let help = known.map_or("", |metric| metric.describe().1);
        let labels: Vec<_> =
            points.iter().map(|(number, _, _)| moment_label(numbers, *number)).collect();
        let worst = points.iter().map(|(_, _, p99)| *p99).max().unwrap_or(0);
        let alt = format!("{name}: p50 and p99 over time; p99 at most {}", spark::span(worst));
        let frame = Frame { alt, labels: &labels, unit: Unit::Span, labels_max: SMALL_LABELS_MAX };
        let all = [
            Series {
                name: "p99",
                colour: "amber",
                values: points.iter().map(|(_, _, p99)| Some(*p99)).collect(),
            },
            Series {
                name: "p50",
                colour: "blue",
                values: points.iter().map(|(_, p50, _)| Some(*p50)).collect(),
            },
        ];
        let _ = write!(
            body,
            "<div class=\"small\"><h3>{}</h3><p class=\"say\">{}</p>{}</div>",
            html(name),
            html(help),
            lines(&frame, &all)
        );
    }
    body.push_str("</div>");
    body.push_str(&legend(&[("p50", "blue"), ("p99", "amber")]));
    Some(card("Server latency", "Measured by the server itself.", &body))
}
