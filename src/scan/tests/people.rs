//! Reports about people over small logs that were made by hand.

use super::*;

/// Seconds since 2026-11-22T18:00:00Z, who wrote where, from where.
type Line<'a> = (i64, Source, &'a str, &'a str);

const WA: Source = Source::Whatsapp;
const WS: Source = Source::Ws;
const DAY: i64 = 86_400;

fn written(name: &str, lines: &[Line<'_>]) -> Scratch {
    let scratch = Scratch::new(name);
    let (writer, mut producer) = start(&scratch);
    for (o, (second, source, room, user)) in (1..).zip(lines) {
        let user = producer.intern(NameKind::User, user).unwrap();
        let room = producer.intern(NameKind::Room, room).unwrap();
        let text = message(o, "text", *source, Direction::In);
        let record = MessageV1 { ts_us: BEGIN_US + second * 1_000_000, ..text };
        producer.append(user, room, &record).unwrap();
    }
    writer.stop().unwrap();
    scratch
}

/// Rows of a report as CSV, without its head.
#[track_caller]
fn check(scratch: &Scratch, line: &str, want: &[&str]) {
    let (status, out, words) = scan(scratch, &format!("--format csv {line}"));
    let rows: Vec<_> = out.lines().skip(1).collect();
    assert_eq!(rows, want, "{line}: {words}");
    assert_eq!(status, u8::from(want.is_empty()), "{line}: {words}");
}

/// Three customers and two agents.
fn support() -> Vec<Line<'static>> {
    vec![
        (0, WA, "wa:1", "kim"),
        (10, WA, "wa:1", "kim"),
        (70, WS, "wa:1", "ann"),
        (71, Source::System, "wa:2", "system"),
        (80, WA, "wa:2", "lee"),
        (90, WS, "lobby", "ann"),
        (95, WS, "lobby", "bob"),
        (100, WA, "wa:1", "kim"),
        (300, WS, "wa:1", "bob"),
        (3_600, WA, "wa:1", "kim"),
        (3_630, WS, "wa:1", "ann"),
    ]
}

#[test]
fn response_times_run_from_the_first_question_to_the_first_answer() {
    let scratch = written("responses", &support());
    let room = ["wa:1,3,70.000,200.000,200.000,0", "wa:2,0,,,,1"];
    check(&scratch, "response-times", &room);
    check(&scratch, "response-times -n 1", &room[..1]);
    let agent = ["ann,2,30.000,70.000,70.000,", "bob,1,200.000,200.000,200.000,"];
    check(&scratch, "response-times --per agent", &agent);
    let hour = ["18,2,70.000,200.000,200.000,1", "19,1,30.000,30.000,30.000,0"];
    check(&scratch, "response-times --per hour", &hour);
    check(&scratch, "response-times --per hour --user bob", &["18,1,200.000,200.000,200.000,0"]);
    let anyone = ["lobby,1,5.000,5.000,5.000,0"];
    check(&scratch, "response-times --between anyone --room lobby", &anyone);
    let until = ["wa:1,1,70.000,70.000,70.000,0", "wa:2,0,,,,1"];
    check(&scratch, "response-times --until 2026-11-22T18:01:40Z", &until);
    check(&scratch, "response-times --room lobby", &[]);
}

#[test]
fn a_clock_that_jumps_back_makes_no_negative_wait() {
    let lines = [(100, WA, "wa:1", "kim"), (40, WS, "wa:1", "ann"), (41, WA, "wa:1", "kim")];
    let scratch = written("backwards", &lines);
    check(&scratch, "response-times", &["wa:1,1,0.000,0.000,0.000,1"]);
    let row = "wa:1,overdue,2026-11-22T18:00:41.000000Z,0.000,kim,2026-11-22T18:00:41.000000Z,\
        2026-11-22T18:01:40.000000Z,3,1";
    // The wall clock stands before all of it.
    check(&scratch, "conversations --over 0s", &[&row.replace("overdue", "waiting")]);
}

#[test]
fn conversations_end_with_silence() {
    let mut lines = support();
    lines.push((DAY + 4_000, WA, "wa:1", "kim"));
    lines.push((DAY + 4_001, WA, "wa:3", "mo"));
    lines.push((DAY + 4_002, WS, "wa:3", "bob"));
    let scratch = written("talks", &lines);
    let until = "--until 2026-11-23T19:36:40Z"; // DAY + 5 800
    let wa1 = "wa:1,waiting,2026-11-23T19:06:40.000000Z,1800.000,kim,\
        2026-11-23T19:06:40.000000Z,2026-11-23T19:06:40.000000Z,1,2";
    let wa2 = "wa:2,missed,2026-11-22T18:01:20.000000Z,92120.000,lee,\
        2026-11-22T18:01:20.000000Z,2026-11-22T18:01:20.000000Z,1,1";
    let wa3 = "wa:3,answered,,,bob,2026-11-23T19:06:42.000000Z,2026-11-23T19:06:41.000000Z,2,1";
    // The scan's own clock stands at ten seconds: `--until` looks at most that far.
    let (_, out, words) = later(&scratch, &format!("--format csv conversations {until}"));
    assert_eq!(out.lines().skip(1).collect::<Vec<_>>(), [wa1, wa3, wa2]);
    let totals = "3 rooms, 4 conversations: 0 overdue, 1 waiting, 1 answered, 1 missed, 0 closed\n";
    assert_eq!(words, totals);
    let (_, out, _) = later(&scratch, &format!("--format csv conversations {until} --over 29m"));
    assert_eq!(out.lines().nth(1), Some(wa1.replace("waiting", "overdue").as_str()));
    let (_, out, _) = later(&scratch, "--format csv conversations --gap 30d --state answered");
    assert_eq!(out.lines().count(), 2, "{out}");
    let (status, _, words) = scan(&scratch, "conversations --over soon");
    assert_eq!((status, words.contains("is no span")), (2, true));
}

/// Two days after the beginning.
fn later(scratch: &Scratch, line: &str) -> (u8, String, String) {
    let mut arguments = vec!["--data".into(), scratch.path().as_os_str().to_owned()];
    arguments.extend(line.split_whitespace().map(OsString::from));
    run_at(&arguments, BEGIN_US + 2 * DAY * 1_000_000, &mut || false)
}

#[test]
fn cohorts_and_new_users() {
    let lines = [
        (0, WS, "lobby", "ann"),
        (5, WS, "lobby", "ann"),
        (DAY, WS, "lobby", "ann"),
        (DAY, WS, "other", "bob"),
        (3 * DAY, WS, "lobby", "ann"),
        (3 * DAY, WS, "lobby", "a \"quoted\",\nname \u{202e}"),
        (DAY + 9, WS, "lobby", "bob"),
        (9 * DAY, WS, "lobby", "bob"),
    ];
    let scratch = written("cohorts", &lines);
    let days = [
        "2026-11-22,1,1,0,1.0000",
        "2026-11-23,2,1,1,0.5000",
        "2026-11-25,2,1,1,0.5000",
        "2026-12-01,1,0,1,0.0000",
    ];
    check(&scratch, "new-vs-returning", &days);
    check(&scratch, "new-vs-returning --since 2026-11-25", &days[2..]);
    check(&scratch, "new-vs-returning --room other", &["2026-11-23,1,1,0,1.0000"]);
    check(
        &scratch,
        "new-vs-returning --by month",
        &["2026-11,3,3,0,1.0000", "2026-12,1,0,1,0.0000"],
    );
    let weeks = [
        "2026-11-16,1,0,1,1.0000",
        "2026-11-16,1,1,1,1.0000",
        "2026-11-23,2,0,2,1.0000",
        "2026-11-23,2,1,1,0.5000",
    ];
    check(&scratch, "retention", &weeks);
    check(&scratch, "retention --since 2026-11-23", &weeks[2..]);
    let (_, out, _) = scan(&scratch, "retention --by day");
    let table: Vec<_> = out.lines().collect();
    let first: Vec<_> = table[1].split_whitespace().collect();
    let shares = ["100.0%", "0.0%", "100.0%", "0.0%", "0.0%", "0.0%", "0.0%", "0.0%", "0.0%"];
    assert_eq!(first, [["2026-11-22", "1"].as_slice(), &shares].concat());
    assert_eq!(table[2].split_whitespace().count(), 2 + 8, "what has not been is blank");
}

const REPORTS_OF_PEOPLE: [&str; 4] =
    ["retention", "new-vs-returning", "response-times", "conversations"];

#[test]
fn odd_logs() {
    let names = [
        "a \"b\",c",
        "line\nbreak",
        "\u{202e}rtl",
        "👩\u{200d}👩\u{200d}👧",
        "=1+1",
        &"x".repeat(256),
    ];
    let lines: Vec<Line<'_>> = names.iter().map(|name| (1, WA, *name, *name)).collect();
    let one = written("one-record", &lines[..1]);
    let all = written("odd-names", &lines);
    // Far in the future, and before 1970.
    let jumps = [(7_000_000_000, WA, "wa:1", "kim"), (-1_900_000_000, WS, "wa:1", "ann")];
    let jumps = written("jumps", &jumps);
    let empty = Scratch::new("empty-log");
    let (writer, _) = start(&empty);
    writer.stop().unwrap();
    for report in REPORTS_OF_PEOPLE {
        for format in Format::ALL.map(Format::name) {
            let line = format!("{report} --format {format}");
            for (scratch, want) in [(&one, 0), (&all, 0), (&jumps, 0), (&empty, 1)] {
                let (status, out, words) = scan(scratch, &line);
                assert_eq!(status, want, "{line}: {words}");
                let unsafe_letter = |letter| is_unsafe(letter) && !['\r', '\n'].contains(&letter);
                assert!(!out.chars().any(unsafe_letter), "{line}: {out}");
                assert_eq!(words.contains("nothing found"), want == 1, "{line}: {words}");
            }
        }
    }
}
