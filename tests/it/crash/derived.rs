//! Rotten sidecars and snapshots: they are made of segments, so whatever happens to them, reports
//! say the same and a start finds the same.

use super::flips::{Harm, make, write};
use super::rounds_of;
use crate::server::process::Folder;
use crate::sim::prng::Rng;
use ringpost::log::directory::log_dir;
use ringpost::log::snapshot::{FoldOptions, Snapshot, fold};
use ringpost::log::{DataDir, Entry, LogError, Recovered, sidecar};
use ringpost::scan::{Surroundings, run};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const REPORTS: [&str; 6] = [
    "summary",
    "top users",
    "top words",
    "volume --by hour",
    "grep sorrow",
    "tail -n 3 --room lobby",
];

/// Exit status and rows of all reports, and whether `verify` has something to say.
fn answers(data: &Path) -> (Vec<(u8, Vec<u8>)>, String) {
    let all = REPORTS.iter().map(|report| ask(data, report)).collect();
    let (_, rows) = ask(data, "verify");
    (all, String::from_utf8(rows).expect("UTF-8"))
}

fn ask(data: &Path, report: &str) -> (u8, Vec<u8>) {
    let mut arguments = vec![OsString::from("--data"), data.as_os_str().to_owned()];
    arguments.extend(format!("{report} --format jsonl").split(' ').map(OsString::from));
    let (mut out, mut words) = (Vec::new(), Vec::new());
    let surroundings = Surroundings {
        now_us: 1_795_000_000_000_000,
        terminal: false,
        colour: false,
        wait: &mut || false,
        progress: &mut |_| (),
    };
    (run(&arguments, &mut out, &mut words, surroundings), out)
}

/// A child that another test has forked holds the lock too until it runs its program.
fn lock(data: &Path) -> DataDir {
    loop {
        match DataDir::lock(data) {
            Ok(dir) => return dir,
            Err(LogError::Locked(_)) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a start restores: the records of the snapshot, then those behind it.
fn restored(data: &Path) -> (Option<u64>, usize, Vec<Vec<u8>>) {
    let dir = lock(data);
    let recovered = Recovered::read(&dir).expect("a log");
    let snapshot = recovered.snapshot.as_ref();
    let old = snapshot.into_iter().flat_map(Snapshot::entries);
    let records = old
        .chain(recovered.log.entries())
        .map(|entry| [&entry.record.header.encode()[..], entry.record.payload].concat());
    (snapshot.map(Snapshot::seq), recovered.refused.len(), records.collect())
}

fn files(data: &Path, extension: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let listing = fs::read_dir(log_dir(data)).expect("it is there").flatten();
    let mut paths: Vec<_> = listing.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("readable"))).collect()
}

#[test]
fn rotten_sidecars_change_no_answer() {
    let folder = Folder::new();
    let data = make(&folder);
    let (plain, _) = answers(&data);
    sidecar::refresh(&log_dir(&data), &|| false).expect("room");
    let sidecars = files(&data, "idx");
    assert!(sidecars.len() > 2, "one for each sealed segment");
    let (with, healthy) = answers(&data);
    assert_eq!(plain, with, "sidecars answer as rows do");
    let mut rng = Rng::new(9);
    let Some(count) = rounds_of("flips", 300).map(|count| count.div_ceil(5)) else { return };
    let mut seen = 0;
    for number in 0..count {
        let (path, bytes) = &sidecars[rng.below(sidecars.len())];
        let harm = Harm::draw_within(0, bytes.len() as u64, &mut rng);
        let mut harmed = bytes.clone();
        harm.apply(&mut harmed);
        write(path, &harmed);
        let (after, verified) = answers(&data);
        seen += usize::from(verified != healthy);
        for ((report, after), before) in REPORTS.iter().zip(after).zip(&with) {
            let said = String::from_utf8_lossy(&after.1).into_owned();
            assert!(after == *before, "{number}: {harm:?} of {}: {report}: {said}", path.display());
        }
        write(path, bytes);
    }
    println!("crash: rotten sidecars: cases {count}, wrong answers 0, named by verify {seen}");
}

/// Nothing in this log came from a platform.
fn no_print(_: &Entry<'_>) -> Option<u128> {
    None
}

#[test]
fn rotten_snapshots_change_no_start() {
    let folder = Folder::new();
    let data = make(&folder);
    let (_, _, all) = restored(&data);
    let stop = || false;
    let options = FoldOptions { now_us: 0, print: no_print, always: true, stop: &stop };
    while fold(&log_dir(&data), &options).expect("room").is_some() {}
    let snapshots = files(&data, "snap");
    let (path, bytes) = snapshots.last().expect("a snapshot");
    let (seq, refused, folded) = restored(&data);
    assert!(seq.is_some() && refused == 0 && folded.len() < all.len());
    // Only the newest is tried first: an older one would stand for it.
    for (older, _) in &snapshots[..snapshots.len() - 1] {
        fs::remove_file(older).expect("writable");
    }
    let mut rng = Rng::new(10);
    let Some(count) = rounds_of("flips", 300) else { return };
    let mut refusals = 0;
    for number in 0..count {
        let harm = Harm::draw_within(0, bytes.len() as u64, &mut rng);
        let mut harmed = bytes.clone();
        harm.apply(&mut harmed);
        write(path, &harmed);
        let (seq_after, refused, after) = restored(&data);
        let whole = if seq_after == seq { &folded } else { &all };
        assert!(after == *whole, "{number}: {harm:?}: {} records", after.len());
        assert!(seq_after == seq || refused == 1, "{number}: {harm:?}: not said");
        refusals += refused;
        write(path, bytes);
    }
    println!("crash: rotten snapshots: cases {count}, wrong starts 0, refused {refusals}");
}
