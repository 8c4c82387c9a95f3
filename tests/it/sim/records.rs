//! The facts of many runs through the server's own log: what is written and read again is the same.
//!
//! The simulated disk keeps facts beside its bytes; this holds the conversion that it leaves out.

use super::plan::Plant;
use super::world::World;
use ringpost::chat::event::Record;
use ringpost::log::{AckPolicy, DataDir, LogOptions, LogWriter, Producer, Recovered};
use ringpost::shard::record;
use std::time::Duration;

/// Runs whose facts are written.
const SEEDS: u64 = 40;
/// Tries of one append while the log thread makes room.
const TRIES_MAX: usize = 10_000;

#[test]
fn facts_survive_the_log() {
    let facts: Vec<Record> =
        (0..SEEDS).flat_map(|seed| World::new(seed, Plant::Nothing).run()).collect();
    let name = format!("ringpost-sim-{}", std::process::id());
    let root = std::env::temp_dir().join(name);
    let read = write_and_read(&root, &facts);
    std::fs::remove_dir_all(&root).expect("it was made above");
    assert_eq!(read.len(), facts.len());
    for (read, fact) in read.iter().zip(&facts) {
        assert_eq!(read, fact);
    }
}

fn write_and_read(root: &std::path::Path, facts: &[Record]) -> Vec<Record> {
    let dir = DataDir::lock(root).expect("a fresh directory");
    let recovered = Recovered::read(&dir).expect("an empty log");
    let options = LogOptions { policy: AckPolicy::Os, ..LogOptions::new(1, 7, || 1_000_000) };
    let (writer, mut producers) =
        LogWriter::start(dir, &recovered, options, Box::new(|_| ())).expect("it starts");
    for fact in facts {
        append(&mut producers[0], fact);
    }
    writer.stop().expect("it stops");
    let dir = DataDir::lock(root).expect("the writer has let go");
    let recovered = Recovered::read(&dir).expect("what was written");
    assert!(recovered.clean_stop);
    recovered.log.entries().filter_map(|entry| record::read(&entry)).collect()
}

/// Appends a fact, and waits while the log thread makes room.
pub fn append(producer: &mut Producer, fact: &Record) {
    for _ in 0..TRIES_MAX {
        if record::append(producer, fact).is_ok() {
            return;
        }
        producer.wake();
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the log takes nothing");
}
