//! Hostile commands: what they do to whoever calls them, to the log, to the memory of the server,
//! and to people in other rooms, which must be nothing.
//!
//! `cargo test` runs a small size; `tests/hostile.sh` runs what it is told, released, and holds the
//! figures to the promise: with all of them going on all the time, the 99th percentile of what
//! bystanders wait for is within 20 % of what it is without.

mod audit;

mod caller;

mod den;

mod table;

mod talkers;

mod villain;

use audit::audit;
use caller::{Caller, Made};
use den::{Den, await_none_left, put_unfit};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use table::{Means, Row, TABLE, UNFIT};
use talkers::{Talkers, Times, median, percentile};
use villain::RETURNS;

/// Memory that the server may take beyond what it has when it knows all commands, KiB: modules
/// that run (four on each shard, 16 MiB each), and as much again for everything else.
const MEMORY_KIB_MAX: u64 = 2 * 2 * 4 * (16 << 10);
/// Who calls.
const CALLERS: usize = 4;
/// Between two calls of one of them.
const PACE: Duration = Duration::from_millis(20);
/// Calls of one copy of a command: three failures switch it off, and one finds it so.
const CALLS_PER_COPY: usize = 4;
/// Until every call that was made is over.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run is told by `RINGPOST_HOSTILE`, a list like `pairs=10,window_ms=3000,only=burns`.
fn told(what: &str) -> Option<String> {
    let list = std::env::var("RINGPOST_HOSTILE").unwrap_or_default();
    let mut pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == what).map(|(_, value)| value.to_owned())
}

fn size(what: &str, usual: u64) -> u64 {
    told(what).map_or(usual, |count| count.parse().expect("RINGPOST_HOSTILE: a number"))
}

/// The thread that calls this takes what others leave of the processors: callers and their servers
/// would be on other machines.
fn stand_back() {
    // SAFETY: a plain system call; on Linux it is about this thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
}

#[test]
fn each_ends_as_the_table_says_and_nobody_is_led_astray() {
    let mut den = Den::start();
    let mut callers: Vec<Caller> = Vec::new();
    for (number, row) in TABLE.iter().enumerate() {
        let room = format!("den-{}", number % 4);
        let mut caller = Caller::enter(&den.server, &format!("caller-{number}"), &room);
        caller.call(row, row.name);
        callers.push(caller);
    }
    callers.iter_mut().for_each(|caller| caller.settle(PATIENCE));
    // The name leads to another place each time.
    let turncoat = TABLE.iter().find(|row| row.means == Means::Turncoat).expect("a row");
    for _ in 0..2 {
        callers[0].call(turncoat, turncoat.name);
        callers[0].settle(PATIENCE);
    }
    let seen = den.villain.seen.clone();
    await_later_answers(&seen);
    callers.iter_mut().for_each(|caller| caller.listen(Instant::now()));
    await_none_left();
    den.server.kill9();
    den.server.restart();
    let made: Vec<Made> = callers.into_iter().flat_map(|caller| caller.made).collect();
    let counts = audit(&den.server, &made, true);
    assert!(counts["lost"] == 1 && TABLE.len() >= 25, "{counts:?}");
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    assert_eq!((count(&seen.taken), count(&seen.refused)), (5, RETURNS - 5));
    assert_eq!(count(&seen.trapped), 0, "somebody was led to where nobody may go");
    assert_eq!(count(&seen.turned), 2, "the first and the third time it leads to where one may go");
}

/// Waits until whoever answers later has done so as often as it wants.
fn await_later_answers(seen: &villain::Seen) {
    let begin = Instant::now();
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    while count(&seen.taken) + count(&seen.refused) < count(&seen.returned) * RETURNS {
        assert!(begin.elapsed() < PATIENCE, "later answers are not answered");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_unfit_is_not_taken() {
    let den = Den::start();
    for (name, body, words) in UNFIT {
        let (status, said) = put_unfit(&den.server, name, body);
        assert!((400..500).contains(&status) && said.contains(words), "{name} {body}: {said}");
    }
}

#[test]
fn bystanders_do_not_wait_for_them() {
    let (pairs, window_ms) = (size("pairs", 3), size("window_ms", 1_000));
    let window = Duration::from_millis(window_ms);
    let mut den = Den::start();
    let enter =
        |number| Caller::enter(&den.server, &format!("caller-{number}"), &format!("den-{number}"));
    let mut callers: Vec<Caller> = (0..CALLERS).map(enter).collect();
    let idle_kib = den.server.memory_kib();
    let highest_kib = AtomicU64::new(0);
    let talkers = Talkers::start(&den.server);
    std::thread::sleep(Duration::from_millis(500));
    for pair in 0..pairs as u32 {
        talkers.window(2 * pair + 1);
        std::thread::sleep(window);
        talkers.window(0);
        let calls = CALLERS * (window_ms as usize + 500) / PACE.as_millis() as usize;
        let copies = calls / asked_for().len() / CALLS_PER_COPY + 1;
        put_copies(&den, pair, copies);
        rage(&mut callers, (pair, copies), || {
            // They begin before they count.
            std::thread::sleep(Duration::from_millis(300));
            talkers.window(2 * pair + 2);
            let until = Instant::now() + window;
            while Instant::now() < until {
                highest_kib.fetch_max(den.server.memory_kib(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
            talkers.window(0);
        });
    }
    let windows = talkers.stop();
    await_later_answers(&den.villain.seen);
    callers.iter_mut().for_each(|caller| caller.listen(Instant::now()));
    await_none_left();
    assert_eq!(den.villain.seen.trapped.load(Ordering::Relaxed), 0);
    den.server.kill9();
    den.server.restart();
    let made: Vec<Made> = callers.into_iter().flat_map(|caller| caller.made).collect();
    let counts = audit(&den.server, &made, false);
    println!("hostile: {} commands, {} calls: {counts:?}", TABLE.len(), made.len());
    let highest_kib = highest_kib.into_inner();
    let taken_mib = highest_kib.saturating_sub(idle_kib) >> 10;
    println!("hostile: memory {} MiB before, {taken_mib} MiB more at most", idle_kib >> 10);
    assert!(highest_kib < idle_kib + MEMORY_KIB_MAX, "{highest_kib} KiB, of {idle_kib} before");
    judge(windows);
}

/// The rows that are called: all, or to find out who does what, those of one name or means.
fn asked_for() -> Vec<&'static Row> {
    let only = told("only");
    let is_meant = |row: &&Row| {
        let names = [row.name.to_owned(), format!("{:?}", row.means)];
        only.as_ref().is_none_or(|only| names.contains(only))
    };
    TABLE.iter().filter(is_meant).collect()
}

/// Copies of all commands, so that some are always on.
fn put_copies(den: &Den, pair: u32, copies: usize) {
    for row in asked_for() {
        (0..copies).for_each(|copy| den.put(row, &copied(row, pair, copy)));
    }
}

fn copied(row: &Row, pair: u32, copy: usize) -> String {
    format!("{}-{pair}-{copy}", row.name)
}

/// All callers call everything, again and again, for as long as `watch` takes.
fn rage(callers: &mut [Caller], (pair, copies): (u32, usize), watch: impl FnOnce()) {
    let (over, called) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (over, called, rows) = (&over, &called, &asked_for());
    std::thread::scope(|scope| {
        for caller in callers {
            scope.spawn(move || {
                stand_back();
                let mut due = Instant::now();
                while !over.load(Ordering::Relaxed) {
                    let number = called.fetch_add(1, Ordering::Relaxed);
                    let row = rows[number % rows.len()];
                    let copy = number / rows.len() / CALLS_PER_COPY % copies;
                    caller.call(row, &copied(row, pair, copy));
                    due += PACE;
                    caller.listen(due);
                }
                caller.settle(PATIENCE);
            });
        }
        watch();
        over.store(true, Ordering::Relaxed);
    });
}

/// Windows by turns without (odd) and with (even): the middle of their 99th percentiles.
fn judge(windows: BTreeMap<u32, Times>) {
    let of = |odd: bool, share: usize, pick: fn(&mut Times) -> &mut Vec<u64>| -> u64 {
        let theirs = windows.iter().filter(|(number, _)| **number > 0 && (*number % 2 == 1) == odd);
        let each = theirs.map(|(_, times)| percentile(pick(&mut times.clone()), share));
        median(each.collect())
    };
    let (percent_max, mut faults) = (size("percent_max", 0), Vec::new());
    // Not released, on a machine that does other things too, and on its disk: what is beyond is a
    // shard or a log that stands still.
    for (name, slack_us, pick) in [
        ("delivered", 50_000, (|times| &mut times.delivered) as fn(&mut Times) -> &mut Vec<u64>),
        ("acknowledged", 250_000, |times| &mut times.acked),
    ] {
        for share in [50, 90, 99] {
            let (without, with) = (of(true, share, pick), of(false, share, pick));
            let ratio = with as f64 / without as f64;
            println!("hostile: {name} p{share} without {without} us, with {with} us, x{ratio:.2}");
        }
        let (without, with) = (of(true, 99, pick), of(false, 99, pick));
        let bound = match percent_max {
            0 => 3 * without + slack_us,
            percent => without * (100 + percent) / 100,
        };
        if with > bound {
            faults.push(format!("{name}: p99 {with} us, of {without} us without them"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
