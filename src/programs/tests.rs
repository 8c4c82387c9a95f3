use super::process::run;
use super::*;
use std::os::unix::fs::PermissionsExt;

/// A folder with one program in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, script: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("ringpost-programs-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        let file = path.join("it");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&file, mode).expect("a program");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn allowance(ms: u64) -> Allowance {
    Allowance { time: Duration::from_millis(ms), memory_bytes: 256 << 20, output_bytes: 4_096 }
}

#[test]
fn a_program_answers_or_it_is_told_why_not() {
    for (name, script, want) in [
        ("echo", "cat", Ok("words in")),
        ("deaf", "echo hi", Ok("hi\n")),
        ("silent", "cat > /dev/null", Ok("")),
        ("fails", "echo no city >&2; exit 3", Err("it ended with status 3: no city")),
        ("dies", "kill -9 $$", Err("it ended with signal 9")),
        ("sleeps", "sleep 60", Err("it took longer than 300 ms")),
        ("lingers", "exec 1>&- 2>&-; sleep 60", Err("it had said all and did not end")),
        ("spins", "while :; do :; done", Err("it took longer than 300 ms")),
        ("babbles", "yes", Err("it said more than 4096 bytes")),
        ("complains", "yes >&2", Err("it complained in more than 1048576 bytes")),
        (
            "files",
            "dd if=/dev/zero of=big bs=1M count=80 2>/dev/null || exit 7",
            Err("it ended with status 7"),
        ),
        (
            "environment",
            "env | grep -vc 'PATH\\|PWD\\|SHLVL\\|_=' ; pwd | grep -c programs",
            Ok("0\n1\n"),
        ),
    ] {
        let folder = Folder::new(name, script);
        let got = run(&folder.0.join("it"), &[], "words in", &allowance(300));
        let got = got.map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
        assert_eq!(got.as_deref().map_err(String::as_str), want, "{name}");
    }
}

#[test]
fn a_program_that_reads_slowly_gets_all_of_a_long_input() {
    let folder = Folder::new("slow", "sleep 0.1; wc -c");
    let input = "x".repeat(1 << 20);
    let got = run(&folder.0.join("it"), &[], &input, &allowance(5_000)).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&got).trim(), (1 << 20).to_string());
}

#[test]
fn memory_is_bounded() {
    let folder = Folder::new("memory", "head -c 600000000 /dev/zero | tail -c 599999999 | wc -c");
    let got = run(&folder.0.join("it"), &[], "", &allowance(5_000)).expect("an answer");
    assert_ne!(String::from_utf8_lossy(&got).trim(), "599999999");
}

#[test]
fn what_a_program_started_goes_with_it() {
    let folder =
        Folder::new("children", "sleep 61.25 & sleep 61.25 & exec 1>&-; echo $! >&2; exit 1");
    let why = run(&folder.0.join("it"), &[], "", &allowance(500)).expect_err("it lingers");
    assert!(why.contains("longer") || why.contains("status 1"), "{why}");
    let left = || {
        let all = std::fs::read_dir("/proc").expect("processes").flatten();
        let theirs = all.filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line.windows(5).any(|word| word == b"61.25")
        });
        theirs.count()
    };
    // A signal takes a moment to be obeyed.
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while left() > 0 {
        assert!(std::time::Instant::now() < deadline, "{} are left", left());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn jobs_come_back_with_their_tickets_and_names_stay_in_the_folder() {
    let folder = Folder::new("jobs", "cat");
    let (programs, jobs) = channel();
    let (said, heard) = bounded(8);
    let reply = move |shard: ShardId, ticket, outcome: Outcome| {
        said.send((shard.0, ticket, outcome.is_ok())).expect("somebody listens");
    };
    start(&folder.0, &jobs, reply).expect("threads");
    for (ticket, program) in [(1, "it"), (2, "../it"), (3, "none")] {
        let (shard, program, input) = (ShardId(4), program.into(), "x".into());
        let job = Job { shard, ticket, program, input, allowance: allowance(5_000) };
        programs.try_run(job).expect("room");
    }
    let mut got: Vec<_> = (0..3).map(|_| heard.recv().expect("a reply")).collect();
    got.sort_unstable();
    assert_eq!(got, [(4, 1, true), (4, 2, false), (4, 3, false)]);
}

#[test]
fn a_call_whose_time_is_over_before_its_turn_does_not_run() {
    let folder = Folder::new("queue", "read -r words; sleep 0.5; echo >> \"$words\"");
    let (programs, jobs) = channel();
    let (said, heard) = bounded(16);
    let reply = move |_, ticket: u64, outcome: Outcome| {
        said.send((ticket, outcome)).expect("somebody listens");
    };
    start(&folder.0, &jobs, reply).expect("threads");
    let call = |ticket, input: &str, ms| {
        let (shard, program, input) = (ShardId(0), "it".into(), input.into());
        let job = Job { shard, ticket, program, input, allowance: allowance(ms) };
        programs.try_run(job).expect("room");
    };
    (0..PROCESSES_MAX as u64).for_each(|ticket| call(ticket, "first\n", 20_000));
    call(99, "late\n", 100);
    let all: Vec<_> = (0..=PROCESSES_MAX).map(|_| heard.recv().expect("a reply")).collect();
    for (ticket, outcome) in all {
        match ticket {
            99 => assert_eq!(outcome, Err("it did not get its turn in time".to_owned())),
            _ => assert!(outcome.is_ok(), "{outcome:?}"),
        }
    }
    assert!(folder.0.join("first").exists() && !folder.0.join("late").exists());
}

#[test]
fn programs_come_after_the_server() {
    let folder = Folder::new("nice", "sleep 0.5; cut -d' ' -f19 /proc/self/stat; sh -c 'nice'");
    let got = run(&folder.0.join("it"), &[], "", &allowance(5_000)).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&got), "10\n10\n");
}
