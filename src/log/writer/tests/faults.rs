//! Every operation of the disk fails once, in every way, and then the power goes: whatever was
//! acknowledged is there, once and in order.

use super::super::*;
use super::{message, options, texts};
use crate::base::limits::SEGMENT_FAILURES_MAX;
use crate::log::disk::faulty::{Fault, FaultyDisk, Plan};
use crate::log::reader::{Log, Trust};
use crate::log::record::{NameId, NameKind};
use crate::log::recovery::Ending;
use crate::log::scratch::Scratch;
use std::time::Instant;

/// Longer than any run of the table below needs.
const PATIENCE: Duration = Duration::from_secs(20);
const MESSAGES: u64 = 36;
const TEXT_BYTES: usize = 9_000;
/// Operations within which the start is over, though the seal thread reserves the next segment
/// meanwhile.
const START_STEPS: u64 = 14;

/// What became of a run.
struct Outcome {
    /// Messages that were acknowledged, the first so many.
    acked: u64,
    /// The state before the power went; `None` when the log did not even start.
    state: Option<LogState>,
    /// Operations, and how many of them failed.
    counts: (u64, u64),
    /// What recovery read: positions of the messages.
    read: Vec<u64>,
    failures: u64,
}

/// Appends until all is acknowledged or the log has failed; then cuts the power and recovers.
fn run(plan: Plan, policy: AckPolicy) -> Outcome {
    let scratch = Scratch::new("faults");
    let disk = FaultyDisk::new(plan);
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let retry = Duration::from_millis(2);
    let options = LogOptions { disk: disk.leak(), retry, ..options(1, policy) };
    let started = LogWriter::start(dir, &recovered, options, Box::new(|_| ()));
    let Ok((writer, mut producers)) = started else {
        disk.cut_power();
        let read = recover(&scratch);
        return Outcome { acked: 0, state: None, counts: disk.counts(), read, failures: 1 };
    };
    let producer = &mut producers[0];
    let (acked, state) = feed(producer);
    let failures = writer.handle().counts().segment_failure_count;
    disk.cut_power();
    drop(writer);
    let state = Some(state);
    Outcome { acked, state, counts: disk.counts(), read: recover(&scratch), failures }
}

fn feed(producer: &mut Producer) -> (u64, LogState) {
    let text = "x".repeat(TEXT_BYTES);
    let deadline = Instant::now() + PATIENCE;
    let mut ends = Vec::new();
    loop {
        let acked = ends.iter().filter(|end| **end <= producer.acked()).count() as u64;
        let state = producer.state();
        if acked == MESSAGES || state == LogState::Failed {
            // Whatever else happens, the last acknowledgement must have been true.
            return (acked, state);
        }
        assert!(Instant::now() < deadline, "{acked} of {} acked, {state:?}", ends.len());
        // A few in flight: so a failed sync has something to lose.
        let o = ends.len() as u64 + 1;
        if o <= MESSAGES && o <= acked + 4 {
            let user = producer.intern(NameKind::User, &format!("user {}", o % 5));
            if let Ok(end) =
                user.and_then(|user| producer.append(user, NameId::NONE, &message(o, &text)))
            {
                ends.push(end);
                producer.wake();
                continue;
            }
        }
        producer.wake();
        std::thread::sleep(Duration::from_micros(50));
    }
}

fn recover(scratch: &Scratch) -> Vec<u64> {
    let (read, problem_count) = recover_what_is_left(scratch);
    assert_eq!(problem_count, 0);
    read
}

/// Positions of the messages, and the number of files that lost some.
fn recover_what_is_left(scratch: &Scratch) -> (Vec<u64>, usize) {
    let dir = DataDir::lock(scratch.path()).unwrap();
    let recovered = Recovered::read(&dir).unwrap();
    let report = recovered.report();
    assert_eq!(report.corrupt_count, 0, "{report:?}");
    let seqs: Vec<_> = recovered.log.entries().map(|entry| entry.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "a sequence number twice: {seqs:?}");
    let position = |text: String| {
        let (place, _) = text.split_once('=').unwrap();
        let (user, o) = place.split_once("@:").unwrap();
        let o: u64 = o.parse().unwrap();
        assert_eq!(user, format!("user {}", o % 5), "its name is there too");
        o
    };
    (texts(&recovered.log).into_iter().map(position).collect(), report.problem_count)
}

fn check(plan: Plan, outcome: &Outcome, what: &str) {
    let Outcome { acked, read, .. } = outcome;
    let whole: Vec<u64> = (1..=read.len() as u64).collect();
    assert_eq!(*read, whole, "{what} {plan:?}: in order, none twice, none left out");
    assert!(read.len() as u64 >= *acked, "{what} {plan:?}: {acked} acked, {} read", read.len());
}

const FAULTS: [Fault; 4] =
    [Fault::Error(libc::EIO), Fault::Error(libc::ENOSPC), Fault::Half, Fault::HalfThenError];

fn never() -> Plan {
    Plan { from: 0, until: 0, fault: Fault::Half }
}

#[test]
fn one_fault_anywhere_costs_nothing() {
    let (steps, _) = run(never(), AckPolicy::Fsync).counts;
    assert!(steps > 40, "{steps} operations");
    for fault in FAULTS {
        for at in 0..steps {
            let plan = Plan { from: at, until: at + 1, fault };
            let outcome = run(plan, AckPolicy::Fsync);
            check(plan, &outcome, "one");
            // A server that cannot write at its start says so and ends; later it goes on.
            let went_on = (outcome.acked, outcome.state) == (MESSAGES, Some(LogState::Ok));
            assert!(went_on || outcome.state.is_none(), "{plan:?}");
        }
    }
}

#[test]
fn a_disk_that_stays_broken_ends_the_log_and_keeps_what_was_acked() {
    let (steps, _) = run(never(), AckPolicy::Fsync).counts;
    for at in (START_STEPS..steps.min(60)).step_by(3) {
        let plan = Plan { from: at, until: u64::MAX, fault: Fault::Error(libc::EIO) };
        let outcome = run(plan, AckPolicy::Fsync);
        check(plan, &outcome, "for ever");
        if outcome.state.is_none() {
            continue;
        }
        assert_eq!(outcome.state, Some(LogState::Failed), "{plan:?}");
        assert!(outcome.failures >= u64::from(SEGMENT_FAILURES_MAX), "{plan:?}");
        assert!(outcome.acked < MESSAGES);
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    let (steps, _) = run(never(), AckPolicy::Fsync).counts;
    for at in (START_STEPS..steps).step_by(7) {
        // Long enough that a segment is wanted while there is no room for one.
        let plan = Plan { from: at, until: at + 30, fault: Fault::Error(libc::ENOSPC) };
        let outcome = run(plan, AckPolicy::Fsync);
        check(plan, &outcome, "full");
    }
}

/// The control: without syncs the same audit must find a loss, or it would prove nothing.
#[test]
fn without_syncs_the_same_cut_loses_what_was_acked() {
    let outcome = run(never(), AckPolicy::Os);
    assert_eq!((outcome.acked, outcome.state), (MESSAGES, Some(LogState::Ok)));
    assert!((outcome.read.len() as u64) < outcome.acked, "{} read", outcome.read.len());
}

/// Short writes leave a segment that readers have seen more of than counts.
#[test]
fn a_live_reader_ends_with_what_recovery_reads_and_failed_segments_are_mended() {
    let mut given_up = 0;
    for at in (START_STEPS + 1..76).step_by(2) {
        let scratch = Scratch::new("live-faults");
        let plan = Plan { from: at, until: at + 1, fault: Fault::HalfThenError };
        let disk = FaultyDisk::new(plan);
        let dir = DataDir::lock(scratch.path()).unwrap();
        let recovered = Recovered::read(&dir).unwrap();
        let retry = Duration::from_millis(2);
        let options = LogOptions { disk: disk.leak(), retry, ..options(1, AckPolicy::Fsync) };
        let started = LogWriter::start(dir, &recovered, options, Box::new(|_| ()));
        let Ok((writer, mut producers)) = started else { continue };
        let log_dir = crate::log::directory::log_dir(scratch.path());
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let reader = std::thread::spawn({
            let (done, log_dir) = (Arc::clone(&done), log_dir.clone());
            move || {
                let mut live = Log::open(&log_dir, Trust::Validate).unwrap();
                while !done.load(std::sync::atomic::Ordering::Acquire) {
                    live.refresh().unwrap();
                }
                live.refresh().unwrap();
                live
            }
        });
        feed(&mut producers[0]);
        let handle = writer.handle();
        writer.stop().unwrap();
        done.store(true, std::sync::atomic::Ordering::Release);
        let live = reader.join().unwrap();
        let fresh = Log::open(&log_dir, Trust::Validate).unwrap();
        assert!(fresh.problems().is_empty(), "{plan:?} {:?}", fresh.problems());
        let short = |log: &Log| -> Vec<String> {
            texts(log).iter().map(|text| text[..text.find('=').unwrap()].to_owned()).collect()
        };
        let scans = |log: &Log| -> Vec<String> {
            let segments = log.segments().iter();
            segments.map(|segment| format!("{:?}\n", segment.scan())).collect()
        };
        assert_eq!(short(&fresh).len() as u64, MESSAGES, "{plan:?}");
        assert_eq!(short(&live), short(&fresh), "{plan:?} {:?} {:?}", scans(&live), scans(&fresh));
        for segment in fresh.segments() {
            let scan = segment.scan();
            assert_eq!((scan.ending, scan.superseded_count), (Ending::Sealed, 0), "{plan:?}");
        }
        let told = crate::log::ctl::read(scratch.path()).unwrap();
        assert_eq!((told.state, told.durable_seq), (LogState::Stopped, fresh.next_seq()));
        given_up += handle.counts().segment_failure_count;
    }
    assert!(given_up > 10, "{given_up}");
}

#[test]
fn under_os_a_failed_write_loses_nothing_while_the_machine_runs() {
    for at in (START_STEPS..46).step_by(2) {
        for fault in FAULTS {
            let plan = Plan { from: at, until: at + 1, fault };
            let scratch = Scratch::new("os-faults");
            let disk = FaultyDisk::new(plan);
            let dir = DataDir::lock(scratch.path()).unwrap();
            let recovered = Recovered::read(&dir).unwrap();
            let retry = Duration::from_millis(2);
            let options = LogOptions { disk: disk.leak(), retry, ..options(1, AckPolicy::Os) };
            let started = LogWriter::start(dir, &recovered, options, Box::new(|_| ()));
            let Ok((writer, mut producers)) = started else { continue };
            let (acked, state) = feed(&mut producers[0]);
            assert_eq!((acked, state), (MESSAGES, LogState::Ok), "{plan:?}");
            let handle = writer.handle();
            let stopped = writer.stop();
            let (read, problem_count) = recover_what_is_left(&scratch);
            let lost_count = MESSAGES - read.len() as u64;
            // Only a failed sync takes anything, and then the log says so; a later start says what
            // is missing before records that are there.
            if handle.counts().doubt_count == 0 {
                assert_eq!((lost_count, problem_count), (0, 0), "{plan:?} {stopped:?}");
            } else {
                assert!(!handle.take_notes().is_empty());
            }
        }
    }
}
