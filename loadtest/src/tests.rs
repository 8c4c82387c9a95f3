//! Whole runs against the stand-in: a good server passes, every fault is found.

use crate::cli::{self, Asked, Options};
use crate::dialects::{DIALECTS, Entry};
use crate::driver::Failure;
use crate::report::Report;
use crate::run::{compare, run};
use crate::standin::{Fault, SECRET, StandIn};
use serde_json::{Value, json};
use std::thread;

/// A short run of `line` against a stand-in with this fault and these limits.
fn play(fault: Fault, limits: Value, line: &str) -> Result<Report, Failure> {
    let server = StandIn::start(fault, limits);
    run(&options(&format!("{line} --target {} --warmup 0.05 --duration 0.3", server.address)))
}

/// One run's options.
pub fn options(line: &str) -> Options {
    let words = std::iter::once("ringpost-load").chain(line.split_whitespace());
    match cli::parse(words.map(String::from), "tag") {
        Ok(Asked::Run(options)) => *options,
        Ok(Asked::Compare(..)) => panic!("{line}: one run is wanted"),
        Err(error) => panic!("{line}: {error}"),
    }
}

/// The same where the fault is in the first message of each room.
fn play_first(fault: Fault, line: &str) -> Report {
    let limits = serde_json::from_str(NO_LIMITS).expect("json");
    let server = StandIn::start_at(1, fault, limits);
    let line = format!("{line} --target {} --warmup 0.05 --duration 0.3", server.address);
    run(&options(&line)).expect("the run is carried out")
}

const NO_LIMITS: &str = r#"{"send_per_s":0,"history":7}"#;

/// (missing, duplicated, misordered, corrupt) with every number above 0 shown as 1.
#[track_caller]
fn check(fault: Fault, line: &str, want: (u64, u64, u64, u64)) {
    let limits = serde_json::from_str(NO_LIMITS).expect("json");
    let report = play(fault, limits, line).expect("the run is carried out");
    let got = &report.outcome;
    let some = |count: u64| count.min(1);
    let faults =
        (some(got.missing()), some(got.duplicated), some(got.misordered), some(got.corrupt));
    assert_eq!(faults, want, "{line} with {fault:?}: {}", report.text());
    let good = fault == Fault::None;
    assert_eq!(report.exit_code() == 0, good, "{line} with {fault:?}: {}", report.text());
    assert_eq!(report.text().starts_with("FAILED"), !good);
    assert!(got.expected > 5, "{line} with {fault:?}: {}", report.text());
    assert!(report.latency("").is_some_and(|latency| !latency.histogram.is_empty()) || !good);
}

#[test]
fn a_good_server_passes() {
    for client in ["thin", "tungstenite"] {
        let with = |line: &str| format!("{line} --client {client}");
        check(Fault::None, &with("echo --connections 3 --pipeline 4"), (0, 0, 0, 0));
        check(Fault::None, &with("echo --connections 3 --rate 300 --opcode binary"), (0, 0, 0, 0));
        check(Fault::None, &with("echo --connections 2 --size 70000"), (0, 0, 0, 0));
        check(Fault::None, &with("room --rooms 2 --members 3 --in-flight 2"), (0, 0, 0, 0));
        check(
            Fault::None,
            &with("room --rooms 1 --members 3 --in-flight 3 --rounds"),
            (0, 0, 0, 0),
        );
        check(Fault::None, &with("paced --rooms 2 --members 3 --rate 60"), (0, 0, 0, 0));
        for Entry { name, .. } in DIALECTS {
            let line = format!("paced --rooms 2 --members 3 --rate 60 --dialect {name}");
            check(Fault::None, &with(&line), (0, 0, 0, 0));
            let line = format!("room --rooms 2 --members 2 --in-flight 3 --dialect {name}");
            check(Fault::None, &with(&line), (0, 0, 0, 0));
        }
        check(Fault::None, &with("chat --rooms 2 --members 3 --rate 60"), (0, 0, 0, 0));
        check(Fault::None, &with("chat --rooms 2 --members 2 --rate 0"), (0, 0, 0, 0));
    }
    let hooks = format!("webhook --connections 3 --secret {SECRET}");
    check(Fault::None, &hooks, (0, 0, 0, 0));
    check(Fault::None, &format!("{hooks} --rate 200 --batch 3 --threads 2"), (0, 0, 0, 0));
    for client in ["thin", "tungstenite"] {
        let with = |line: &str| format!("{line} --client {client}");
        check(Fault::None, &with("connect --connections 3"), (0, 0, 0, 0));
        check(Fault::None, &with("connect --connections 4 --rounds --threads 2"), (0, 0, 0, 0));
        check(Fault::None, &with("connect --connections 9 --rate 100"), (0, 0, 0, 0));
        check(Fault::None, &with("idle --steps 4,8 --members 2"), (0, 0, 0, 0));
        let dialect = "idle --steps 6 --members 3 --dialect ringpost";
        check(Fault::None, &with(dialect), (0, 0, 0, 0));
        check(Fault::None, &with("slow --rooms 2 --members 3 --rate 100"), (0, 0, 0, 0));
        let dialect = "slow --rooms 1 --members 3 --rate 60 --dialect ringpost";
        check(Fault::None, &with(dialect), (0, 0, 0, 0));
        let line = "resume --rooms 2 --members 3 --rate 60 --every 0.1";
        check(Fault::None, &with(line), (0, 0, 0, 0));
    }
    check(Fault::None, "echo --connections 5 --threads 2", (0, 0, 0, 0));
    check(Fault::None, "chat --rooms 3 --members 2 --rate 50 --threads 2", (0, 0, 0, 0));
}

#[test]
fn faults_of_echo_are_found() {
    let line = "echo --connections 2 --rate 200";
    check(Fault::Drop, line, (1, 0, 0, 0));
    check(Fault::Repeat, line, (0, 1, 0, 0));
    check(Fault::Swap, line, (0, 0, 1, 0));
    check(Fault::Change, line, (0, 0, 0, 1));
    check(Fault::Hangup, line, (1, 0, 0, 0));
}

#[test]
fn faults_of_rooms_are_found() {
    // What is missing is waited for: all at a time.
    thread::scope(|scope| {
        for Entry { name: dialect, .. } in DIALECTS {
            let line = format!("paced --rooms 1 --members 2 --rate 60 --dialect {dialect}");
            let also = line.clone();
            scope.spawn(move || check(Fault::Drop, &line, (1, 0, 0, 0)));
            scope.spawn(move || {
                check(Fault::Repeat, &also, (0, 1, 0, 0));
                check(Fault::Swap, &also, (0, 0, 1, 0));
                check(Fault::Change, &also, (0, 0, 0, 1));
            });
        }
        let line = "room --rooms 1 --members 2 --in-flight 2";
        scope.spawn(move || check(Fault::Drop, line, (1, 0, 0, 0)));
    });
}

/// Late is late from when it was due: the messages that wait behind it are late as well.
#[test]
fn delays_are_in_the_figures() {
    for line in [
        "echo --connections 1 --rate 100",
        "paced --rooms 1 --members 2 --rate 100",
        "chat --rooms 1 --members 2 --rate 100",
        "resume --rooms 1 --members 2 --rate 80 --every 0.25 --expect each.max<30ms",
        "webhook --connections 1 --rate 80 --secret swordfish",
    ] {
        let limits = serde_json::from_str(NO_LIMITS).expect("json");
        let name = if line.starts_with("resume") { "each" } else { "" };
        let server = StandIn::start(Fault::Delay, limits);
        // The fifth message, 40 ms after the first, is in the measured time.
        let ends = "--warmup 0.01 --duration 0.3 --expect max<30ms";
        let line = format!("{line} --target {} {ends}", server.address);
        let report = run(&options(&line)).expect("the run is carried out");
        let latency = report.latency(name).expect("measured");
        let delay_ns = crate::standin::DELAY.as_nanos() as u64;
        let late = latency.quantile(1.0);
        assert!((delay_ns * 9 / 10..delay_ns * 4).contains(&late), "{line}: {}", report.text());
        // At 100 a second five more were due meanwhile.
        let slow = latency.histogram.count_between(10_000_000, u64::MAX);
        assert!(slow >= 4, "{line}: {slow} were late");
        assert_eq!(report.exit_code(), 1, "{line}: the bound was missed");
    }
}

#[test]
fn faults_of_handshakes_are_found() {
    let limits = || serde_json::from_str(NO_LIMITS).expect("json");
    let line = "connect --connections 2 --rate 100 --target";
    let with = |fault| {
        let server = StandIn::start(fault, limits());
        let line = format!("{line} ws://{}/connect --warmup 0.01", server.address);
        run(&options(&format!("{line} --duration 0.3 --expect max<30ms"))).expect("carried out")
    };
    let good = with(Fault::None);
    assert_eq!(good.outcome.missing(), 0, "{}", good.text());
    let gone = with(Fault::Hangup);
    assert_eq!((gone.outcome.missing(), gone.exit_code()), (1, 1), "{}", gone.text());
    assert!(gone.text().contains("Failures   1 × "), "{}", gone.text());
    let mute = with(Fault::Drop);
    assert_eq!((mute.outcome.missing(), mute.exit_code()), (1, 1), "{}", mute.text());
    assert!(mute.text().contains("1 × no answer to the handshake"), "{}", mute.text());
    let late = with(Fault::Delay);
    let most = late.latency("").expect("measured").quantile(1.0);
    let delay_ns = crate::standin::DELAY.as_nanos() as u64;
    assert!((delay_ns * 9 / 10..delay_ns * 4).contains(&most), "{}", late.text());
    assert_eq!((late.outcome.missing(), late.exit_code()), (0, 1), "{}", late.text());
}

#[test]
fn faults_of_webhooks_are_found() {
    let line = format!("webhook --connections 2 --rate 100 --secret {SECRET}");
    check(Fault::Drop, &line, (1, 0, 0, 0));
    check(Fault::Repeat, &line, (0, 1, 0, 0));
    check(Fault::Change, &line, (1, 0, 0, 0));
    check(Fault::Hangup, &line, (1, 0, 0, 0));
    let limits = serde_json::from_str(NO_LIMITS).expect("json");
    let wrong = play(Fault::None, limits, "webhook --connections 1 --secret herring");
    let wrong = wrong.expect_err("the signature is wrong");
    assert!(wrong.what.contains("401"), "{wrong}");
}

#[test]
fn faults_of_idle_connections_are_found() {
    let line = "idle --steps 4,8 --members 2";
    // Four rooms, and in each the second member's only message.
    let count = |report: &Report| (report.outcome.missing(), report.outcome.duplicated);
    let lost = play_first(Fault::Drop, line);
    assert_eq!((count(&lost), lost.exit_code()), ((4, 0), 1), "{}", lost.text());
    let changed = play_first(Fault::Change, line);
    assert_eq!((changed.outcome.corrupt, changed.exit_code()), (4, 1), "{}", changed.text());
}

#[test]
fn faults_of_resumed_sessions_are_found() {
    let line = "resume --rooms 1 --members 2 --rate 100 --every 0.1";
    check(Fault::Drop, line, (1, 0, 0, 0));
    check(Fault::Repeat, line, (0, 1, 0, 0));
    check(Fault::Swap, line, (0, 0, 1, 0));
    check(Fault::Change, line, (0, 0, 0, 1));
    // What is replayed lacks its first event, each time.
    check(Fault::Forget, line, (1, 0, 0, 0));
    let limits = serde_json::from_str(NO_LIMITS).expect("json");
    let strange = play(Fault::Strange, limits, line).expect("the run is carried out");
    assert!(strange.outcome.broken > 0 && strange.exit_code() == 1, "{}", strange.text());
}

/// What is not replayed is fetched, and is as whole as what is.
#[test]
fn what_is_not_replayed_is_paged_from_history() {
    let line = "resume --rooms 1 --members 3 --rate 200 --every 0.1";
    let limits = || serde_json::from_str(NO_LIMITS).expect("json");
    let short = play(Fault::Short, limits(), line).expect("the run is carried out");
    assert_eq!(short.exit_code(), 0, "{}", short.text());
    assert!(short.text().contains("pages of history, not replayed"), "{}", short.text());
    let lacking = play(Fault::Amnesia, limits(), line).expect("the run is carried out");
    assert!(lacking.outcome.missing() > 0, "{}", lacking.text());
    assert_eq!(lacking.exit_code(), 1, "{}", lacking.text());
}

/// A server that keeps what the slow do not take serves the others; one that waits for them does
/// not.
#[test]
fn what_slow_readers_do_to_the_others_is_found() {
    // 6 MB are sent while one does not read: more than both kernels keep for it.
    let line = "slow --rooms 1 --members 3 --slow 33 --rate 150 --size 200000";
    let with = |fault| {
        let limits = serde_json::from_str(NO_LIMITS).expect("json");
        play(fault, limits, line).expect("the run is carried out")
    };
    let (good, blocked) = (with(Fault::None), with(Fault::Block));
    assert_eq!(good.exit_code(), 0, "{}", good.text());
    assert!(good.text().contains("1 got everything"), "{}", good.text());
    // The others are waited for, but not for ever; what they get when the slow are read again, by
    // which the stand-in is free, does not count any more.
    assert!(blocked.outcome.missing() > 0, "{}", blocked.text());
    assert_eq!(blocked.exit_code(), 1, "{}", blocked.text());
}

#[test]
fn memory_that_grows_is_found() {
    let line = format!("soak --rooms 1 --members 2 --server-pid {}", std::process::id());
    let limits = || serde_json::from_str(NO_LIMITS).expect("json");
    let leaking = play(Fault::Leak, limits(), &format!("{line} --expect rss-growth<1%"));
    let leaking = leaking.expect("the run is carried out");
    assert_eq!(leaking.exit_code(), 1, "{}", leaking.text());
    assert!(leaking.text().starts_with("MISSED     rss-growth<1%: "), "{}", leaking.text());
    let (first, last) = leaking.memory.ends().expect("sampled");
    assert!(last > first + (1 << 20), "{}", leaking.text());
}

#[test]
fn faults_of_chat_are_found() {
    let line = "chat --rooms 1 --members 3 --rate 60";
    check(Fault::Repeat, line, (0, 1, 0, 0));
    check(Fault::Swap, line, (0, 0, 1, 0));
    check(Fault::Change, line, (0, 0, 0, 1));
    check(Fault::Forget, line, (0, 0, 0, 0));
}

#[test]
fn what_cannot_run_says_why() {
    let limits = json!({"send_per_s": 10});
    let refused = play(Fault::None, limits, "chat --rooms 1 --members 1 --rate 0");
    let hint = refused.expect_err("against the limits").hint.expect("has advice");
    assert!(hint.contains("limits.sends_per_s=0"), "{hint}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let line = format!("echo --target {}", nobody.expect("a free port"));
    let refused = run(&options(&line)).expect_err("nobody listens");
    assert_eq!(refused.hint.as_deref(), Some("is the server running there?"));

    let blind = run(&options("soak")).expect_err("no process is named");
    assert!(blind.what.contains("memory"), "{blind}");

    let gone = run(&options("echo --server-pid 4294967295")).expect_err("no such process");
    assert!(gone.what.contains("no such process"), "{gone}");
}

#[test]
fn targets_are_compared_turn_by_turn() {
    let servers = [Fault::None, Fault::Drop].map(|fault| StandIn::start(fault, json!({})));
    let [good, bad] = servers.each_ref().map(|server| server.address);
    let pid = std::process::id();
    let line = format!(
        "ringpost-load compare echo --connections 2 --rate 200 --duration 0.3 --warmup 0.05 \
         --turns 2 --target good={good},pid={pid} --target bad={bad}"
    );
    let asked = cli::parse(line.split_whitespace().map(String::from), "tag").ok();
    let Some(Asked::Compare(contestants, turns)) = asked else { panic!("{line}") };
    let columns = compare(&contestants, turns).expect("both answer");
    let text = crate::compare::text(&columns);
    assert!(text.starts_with("bad in turn 1:\nFAILED     2 missing"), "{text}");
    assert!(text.contains("× good"), "{text}");
    for column in &columns {
        assert_eq!(column.reports.len(), 2);
        let samples = &column.reports[0].samples;
        assert!((1..=3).contains(&samples.len()), "{samples:?}");
        assert!(samples.iter().all(|sample| sample.received_per_s > 20.0), "{samples:?}");
    }
    let page = crate::page::page(&columns);
    assert!(page.contains("missing") && page.matches("class=\"line\"").count() >= 4, "{page}");
}

#[test]
fn percentile_tables_have_names_of_their_own() {
    let check = |names: [&str; 2], want: &str| {
        assert_eq!(crate::hgrm_path("a/x.hgrm".as_ref(), &names).to_str(), Some(want));
    };
    check(["", ""], "a/x.hgrm");
    check(["", "each"], "a/x.each.hgrm");
    check(["ours", ""], "a/x.ours.hgrm");
    check(["b/n", "each"], "a/x.b_n.each.hgrm");
}
