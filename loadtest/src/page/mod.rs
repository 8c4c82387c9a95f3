//! The report as one page that needs nothing else: no script, no font, no request. Pure.

pub mod plot;

use crate::compare::{Column, METRICS, Spread, three};
use crate::latency::{Latency, QUANTILES, human};
use crate::report::Report;
use plot::{COLOURS, Line};
use std::fmt::Write;

/// Writes the page of one run, or of several targets side by side.
pub fn page(columns: &[Column]) -> String {
    let report = &columns[0].reports[0];
    let title = format!("ringpost-load {}", report.scenario);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{}</style>\n<h1>{title}</h1>\n",
        include_str!("page.css")
    );
    let turns = match columns[0].reports.len() {
        1 => String::new(),
        turns => format!("{turns} turns, one target after the other, each "),
    };
    let (seconds, warmup) = (report.duration.as_secs_f64(), report.warmup.as_secs_f64());
    put(&mut out, &format!("<p>{}</p>", escaped(&report.description)));
    let run = format!(
        "{turns}{seconds:.1} s after {warmup} s warm-up, seed {}, {} driver",
        report.seed, report.client
    );
    put(&mut out, &format!("<p class=\"soft\">{run}</p>"));
    verdict(&mut out, columns);
    put(&mut out, "<h2>Figures</h2>");
    figures(&mut out, columns);
    curves(&mut out, columns);
    put(&mut out, "<h2>Received messages a second</h2>");
    legend(&mut out, columns.iter().enumerate().map(|(i, c)| (i, escaped(label(c)))));
    out.push_str(&plot::throughput(&over_time(columns)));
    for column in columns {
        for warning in column.reports.iter().flat_map(Report::warnings).take(1) {
            let (name, warning) = (escaped(label(column)), escaped(warning.trim_end()));
            put(&mut out, &format!("<pre>{name}: {warning}</pre>"));
        }
    }
    out.push_str("</html>\n");
    out
}

fn put(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("memory takes it");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn label(column: &Column) -> &str {
    if column.name.is_empty() { "received" } else { &column.name }
}

/// What failed comes first here too.
fn verdict(out: &mut String, columns: &[Column]) {
    if !columns.iter().any(Column::failed) {
        return put(out, "<p>Every promise was kept: nothing missing, twice, out of order.</p>");
    }
    for column in columns.iter().filter(|column| column.failed()) {
        for report in column.reports.iter().filter(|report| report.exit_code() != 0) {
            let (name, faults) = (escaped(label(column)), escaped(&report.faults()));
            put(out, &format!("<pre class=\"bad\">{name}\n{faults}</pre>"));
        }
    }
}

/// A row per figure, a column per target.
fn figures(out: &mut String, columns: &[Column]) {
    put(out, "<div class=\"wide\"><table>\n<thead><tr><th></th>");
    for (index, column) in columns.iter().enumerate() {
        let (colour, target) = (index % COLOURS, escaped(&column.target));
        let name = if column.name.is_empty() { &target } else { &escaped(&column.name) };
        let key = format!("<span class=\"key\" style=\"background:var(--c{colour})\"></span>");
        put(out, &format!("<th title=\"{target}\">{key}{name}</th>"));
    }
    put(out, "</tr></thead>");
    let base = &columns[0];
    for metric in METRICS.iter().filter(|metric| base.spread(metric).is_some()) {
        let cell = |column: &Column| {
            let Some(Spread { median, min, max }) = column.spread(metric) else {
                return String::new();
            };
            let mut cell = three(median);
            if column.reports.len() > 1 {
                write!(cell, "<small>{} to {}</small>", three(min), three(max))
                    .expect("memory takes it");
            }
            if let Some(ratio) = column.ratio(base, metric).filter(|_| column.name != base.name) {
                let (times, name) = (three(ratio.median), escaped(&base.name));
                write!(cell, "<small>{times} × {name}</small>").expect("memory takes it");
            }
            cell
        };
        row(out, metric.title, columns.iter().map(cell));
    }
    row(out, "Delivered of expected", columns.iter().map(delivered));
    let share = |column: &Column| {
        let shares = column.reports.iter().map(Report::client_share).collect();
        Spread::of(shares).map_or(String::new(), |share| format!("{:.0} %", share.median * 100.0))
    };
    row(out, "Client's share of its cores", columns.iter().map(share));
    put(out, "</table></div>");
}

fn delivered(column: &Column) -> String {
    let sum = |of: fn(&Report) -> u64| column.reports.iter().map(of).sum::<u64>();
    let expected = sum(|report| report.outcome.expected);
    let delivered = sum(|report| report.outcome.delivered);
    format!("{delivered}<small>of {expected}</small>")
}

fn row(out: &mut String, title: &str, cells: impl Iterator<Item = String>) {
    let cells: String = cells.map(|cell| format!("<td>{cell}</td>")).collect();
    put(out, &format!("<tr><th>{title}</th>{cells}</tr>"));
}

/// A plot and a table per latency that anybody has.
fn curves(out: &mut String, columns: &[Column]) {
    let all: Vec<Vec<Latency>> = columns.iter().map(Column::latencies).collect();
    for index in 0..all[0].len() {
        let of_column = || all.iter().enumerate().filter_map(|(c, of)| Some((c, of.get(index)?)));
        if of_column().all(|(_, latency)| latency.histogram.is_empty()) {
            continue;
        }
        let (name, title) = (all[0][index].name, all[0][index].title);
        put(out, &format!("<h2>Latency <q>{name}</q>, {title}</h2>"));
        let named: Vec<_> =
            of_column().map(|(c, latency)| (c, escaped(label(&columns[c])), latency)).collect();
        if columns.len() > 1 {
            legend(out, named.iter().map(|(c, name, _)| (*c, name.clone())));
        }
        out.push_str(&plot::percentiles(&named));
        put(out, "<div class=\"wide\"><table>\n<thead><tr><th></th>");
        for (quantile, _) in QUANTILES {
            put(out, &format!("<th>{quantile}</th>"));
        }
        put(out, "</tr></thead>");
        for (_, name, latency) in &named {
            let times = QUANTILES.iter().map(|(_, fraction)| human(latency.quantile(*fraction)));
            row(out, if columns.len() > 1 { name } else { "" }, times);
        }
        put(out, "</table></div>");
    }
}

/// Names that are escaped already.
fn legend(out: &mut String, names: impl Iterator<Item = (usize, String)>) {
    put(out, "<p class=\"legend\">");
    for (index, name) in names {
        let colour = index % COLOURS;
        let key = format!("<span class=\"key\" style=\"background:var(--c{colour})\"></span>");
        put(out, &format!("<span>{key}{name}</span>"));
    }
    put(out, "</p>");
}

/// Received messages a second; turns stand one after the other.
fn over_time(columns: &[Column]) -> Vec<Line> {
    let line = |(colour, column): (usize, &Column)| {
        let mut begin = 0.0;
        let mut pieces = Vec::new();
        for report in &column.reports {
            let samples = report.samples.iter();
            pieces.push(samples.map(|s| (begin + s.at.as_secs_f64(), s.received_per_s)).collect());
            begin += report.duration.as_secs_f64();
        }
        Line { colour, label: escaped(label(column)), pieces }
    };
    columns.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{good, report};

    fn column(name: &str) -> Column {
        let reports = vec![report(good()), report(good())];
        Column { name: name.into(), target: "ws://x/?a=1&b".into(), reports }
    }

    #[test]
    fn the_page_stands_alone() {
        let mut columns = vec![column("ours"), column("<theirs>")];
        let text = page(&columns);
        for word in ["src=", "href=", "http:", "https:", "url(", "<theirs>", "import"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        for word in ["&lt;theirs&gt;", "p99.99", "1.00 × ours", "prefers-color-scheme", "<svg"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(text.contains("Every promise was kept"));
        columns[1].reports[1].outcome.delivered -= 1;
        assert!(page(&columns).contains("1 missing"));
        columns.truncate(1);
        columns[0].name.clear();
        assert!(page(&columns).contains("a=1&amp;b"));
    }
}
