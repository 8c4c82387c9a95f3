//! Reports over columns against counts made of the rows, with sidecars and without.

use super::*;
use crate::base::hash::Map;
use crate::log::sidecar::refresh;
use crate::log::{Log, Trust};
use std::collections::BTreeMap;

/// A message as a test sees it.
struct Heard {
    ts_us: i64,
    user: String,
    text: String,
}

const HOUR_US: i64 = 3_600_000_000;

/// Two servers' worth of messages in several segments: users that come back under other numbers,
/// a clock that jumps, texts that share words.
fn chatter(scratch: &Scratch) {
    for start_index in 0..2u64 {
        let (writer, mut producer) = start(scratch);
        let mut users = Vec::new();
        for number in 0..40u64 {
            let name = format!("user-{}", (number * 7 + start_index * 3) % 40);
            users.push(producer.intern(NameKind::User, &name).unwrap());
        }
        let rooms = ["lobby", "wa:49", "Büro \u{202e}x"]
            .map(|name| producer.intern(NameKind::Room, name).unwrap());
        for row in 1..=2_000u64 {
            let jump = if row % 700 == 699 { -40 * HOUR_US } else { 0 };
            let text = format!(
                "Note {row}: {} costs {} in Straße {}",
                ["invoice", "Invoice", "refund"][row as usize % 3],
                row * 37 % 1_000,
                "z".repeat(row as usize % 60),
            );
            let mut one = message(row, &text, Source::Ws, Direction::Internal);
            one.ts_us = BEGIN_US + (start_index as i64 * 2_000 + row as i64) * 97_000_000 + jump;
            let user = users[((row * 13 + row / 7) % 40) as usize];
            let room = rooms[row as usize % 3];
            while producer.append(user, room, &one).is_err() {
                std::thread::yield_now();
            }
            producer.wake();
        }
        writer.stop().unwrap();
    }
}

fn heard(scratch: &Scratch) -> Vec<Heard> {
    let log = Log::open(&scratch.path().join("log"), Trust::Validate).unwrap();
    let messages = log.entries().filter(|entry| entry.kind() == Some(crate::log::Kind::Message));
    let heard = |entry: crate::log::Entry<'_>| {
        let Some(crate::log::RecordView::Message(message)) = entry.view() else { unreachable!() };
        let (ts_us, user) = (message.ts_us.to_native(), entry.user().to_owned());
        Heard { ts_us, user, text: message.text.to_string() }
    };
    messages.map(heard).collect()
}

/// The rows of a report as CSV, with one thread and with three, which must agree.
fn csv(scratch: &Scratch, line: &str) -> Vec<String> {
    let (_, one, words) = scan(scratch, &format!("{line} --format csv --threads 1"));
    let (_, three, _) = scan(scratch, &format!("{line} --format csv --threads 3"));
    assert_eq!(one, three, "{line}");
    assert!(words.is_empty() || words == "nothing found\n", "{line}: {words}");
    one.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn columns_count_what_rows_count() {
    let scratch = Scratch::new("columns");
    chatter(&scratch);
    let all = heard(&scratch);
    assert_eq!(all.len(), 4_000);
    let log_dir = scratch.path().join("log");
    for sidecars in [false, true] {
        if sidecars {
            refresh(&log_dir, &|| false).unwrap();
            assert!(std::fs::read_dir(&log_dir).unwrap().count() > 12);
        }
        check_volume(&scratch, &all);
        check_top(&scratch, &all);
        check_grep(&scratch, &all);
        check_filters(&scratch, &all);
    }
    let (status, out, words) = scan(&scratch, "verify --format csv");
    assert_eq!((status, out.contains("stale")), (0, false), "{words}");
}

fn check_volume(scratch: &Scratch, all: &[Heard]) {
    let mut minutes: BTreeMap<i64, u64> = BTreeMap::new();
    let mut week = [0u64; 168];
    for one in all {
        *minutes.entry(one.ts_us.div_euclid(60_000_000)).or_default() += 1;
        week[(one.ts_us.div_euclid(HOUR_US) + 72).rem_euclid(168) as usize] += 1;
    }
    let rows = csv(scratch, "volume --by minute");
    let want: Vec<_> = minutes
        .iter()
        .map(|(minute, count)| format!("{},{count}", &time::format(minute * 60_000_000)[..16]))
        .collect();
    assert_eq!(rows, want);
    // Filters take the way over the rows; this one wants everything.
    assert_eq!(csv(scratch, "volume --by minute --since 1970-01-01"), want);
    let days = csv(scratch, "volume");
    let sum: u64 =
        days.iter().map(|row| row.split(',').nth(1).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(sum, 4_000);
    let hours = csv(scratch, "heatmap");
    assert_eq!(hours.len(), 168);
    for (row, count) in hours.iter().zip(week) {
        assert!(row.ends_with(&format!(",{count}")), "{row} {count}");
    }
}

fn check_top(scratch: &Scratch, all: &[Heard]) {
    let mut counts: Map<&str, u64> = Map::default();
    for one in all {
        *counts.entry(&one.user).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let want: Vec<_> = (1..)
        .zip(counts.iter().take(7))
        .map(|(rank, (name, count))| {
            format!("{rank},{name},{count},{:.4}", *count as f64 / 4_000.0)
        })
        .collect();
    assert_eq!(csv(scratch, "top users -n 7"), want);
    assert_eq!(csv(scratch, "top users -n 7 --where size>0"), want);
    let rooms = csv(scratch, "top rooms");
    assert_eq!(rooms.len(), 3);
    assert!(rooms.iter().any(|row| row.contains("\\u{202e}")), "{rooms:?}");
    let words = csv(scratch, "top words -n 3");
    assert_eq!(words[..2], ["1,costs,4000", "2,note,4000"], "{words:?}");
    let summary = csv(scratch, "summary");
    assert!(summary.contains(&"users,40".to_owned()) && summary.contains(&"rooms,3".to_owned()));
    let mut sizes: Vec<_> = all.iter().map(|one| one.text.len()).collect();
    sizes.sort_unstable();
    assert!(summary.contains(&format!("text p95,{}", sizes[3_799])), "{summary:?}");
}

fn check_grep(scratch: &Scratch, all: &[Heard]) {
    let count = |line: &str| csv(scratch, line).len();
    let want = |test: &dyn Fn(&str) -> bool| all.iter().filter(|one| test(&one.text)).count();
    assert_eq!(count("grep invoice"), want(&|text| text.contains("invoice")));
    assert_eq!(count("grep -i INVOICE"), want(&|text| text.to_lowercase().contains("invoice")));
    assert_eq!(count("grep 1999"), want(&|text| text.contains("1999")));
    assert_eq!(count("grep Straße"), 4_000);
    assert_eq!(count("grep -i STRAßE"), 4_000);
    assert_eq!(count("grep ße"), 4_000);
    assert_eq!(count("grep user-7"), 0, "names are no texts");
    let seven = want(&|text| text.contains("costs 7") && !text.contains("costs 70 "));
    assert!(count("grep --regex costs.7[^0]") <= seven);
    assert_eq!(
        count("grep -e ^Note.[0-9]+00:"),
        want(&|text| text.split(':').next().unwrap().ends_with("00")),
    );
    let rows = csv(scratch, "grep 1999: -C 2");
    assert_eq!(rows.iter().filter(|row| row.contains(",*,")).count(), 2);
    assert!((4..=10).contains(&rows.len()), "{rows:?}");
    let (status, _, words) = scan(scratch, "grep -e (");
    assert_eq!(status, 2);
    assert!(words.contains("no regular expression"), "{words}");
}

fn check_filters(scratch: &Scratch, all: &[Heard]) {
    let sum = |line: &str| -> usize {
        csv(scratch, line)
            .iter()
            .map(|row| row.split(',').nth(1).unwrap().parse::<usize>().unwrap())
            .sum()
    };
    let want = |test: &dyn Fn(&Heard) -> bool| all.iter().filter(|one| test(one)).count();
    assert_eq!(sum("volume --user user-9"), want(&|one| one.user == "user-9"));
    assert_eq!(sum("volume --user nobody"), 0);
    assert_eq!(sum("volume --source whatsapp"), 0);
    assert_eq!(sum("volume --kind status"), 0);
    let since = BEGIN_US + 50 * HOUR_US;
    assert_eq!(sum("volume --since 2026-11-24T20:00Z"), want(&|one| one.ts_us >= since));
    assert_eq!(
        sum("volume --until 2026-11-24T20:00Z --user user-9"),
        want(&|one| one.ts_us < since && one.user == "user-9")
    );
    let hour = |one: &Heard| one.ts_us.div_euclid(HOUR_US).rem_euclid(24);
    assert_eq!(sum("volume --where hour=18"), want(&|one| hour(one) == 18));
    assert_eq!(
        sum("volume --where text~[Ii]nvoice.costs.3"),
        want(&|one| one.text.to_lowercase().contains("invoice costs 3"))
    );
    // The same condition on the way over the rows.
    let tailed = csv(scratch, "tail -n 9999 --kind message --where hour=18");
    assert_eq!(tailed.len(), want(&|one| hour(one) == 18));
    let active = csv(scratch, "active");
    assert!(!active.is_empty());
    let days: std::collections::BTreeSet<_> =
        all.iter().map(|one| (one.ts_us.div_euclid(24 * HOUR_US), &one.user)).collect();
    let daily: usize =
        active.iter().map(|row| row.split(',').nth(1).unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(daily, days.len());
    // What is counted already against what is counted row by row.
    for line in ["active", "retention --by week", "new-vs-returning --by month", "heatmap"] {
        assert_eq!(csv(scratch, line), csv(scratch, &format!("{line} --where size>0")), "{line}");
    }
}

#[test]
fn refused_options_say_why() {
    let scratch = Scratch::new("columns-refused");
    evening(&scratch);
    check(&scratch, "volume --where usr=bob", 2, "\"usr\" is no field");
    check(&scratch, "volume --tz Nowhere/None", 2, "is no time zone");
    check(&scratch, "top nothing", 2, "possible values");
    check(&scratch, "grep nothing-like-it", 1, "nothing found");
}
