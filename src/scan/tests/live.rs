//! Questions to a log that is being written.

use super::*;
use crate::log::ctl;
use std::os::unix::fs::FileExt;

/// Messages, each in a batch of its own, and how far the writer says it got.
fn write(scratch: &Scratch, producer: &mut Producer, count: u64) -> ctl::Progress {
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    for o in 1..=count {
        let said = message(o, "said", Source::Ws, Direction::Internal);
        producer.append(NameId::NONE, lobby, &said).unwrap();
        producer.wake();
        while producer.committed() < producer.appended() {
            std::thread::yield_now();
        }
    }
    // It says so at most each 2 ms, and not while nothing happens.
    loop {
        if let Some(told) = ctl::read(scratch.path())
            && told.committed_seq > count
        {
            return told;
        }
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
}

/// How many messages there are, and whether damage is told.
fn messages(scratch: &Scratch) -> (String, bool) {
    let (_, out, words) = scan(scratch, "summary --format csv");
    let line = out.lines().find(|line| line.starts_with("kind message,"));
    (line.unwrap_or("none").to_owned(), words.contains("damaged"))
}

#[test]
fn what_was_written_counts_at_once_and_also_behind_damage() {
    let scratch = Scratch::new("live");
    let (writer, mut producer) = start_with(&scratch, AckPolicy::Fsync);
    let told = write(&scratch, &mut producer, 9);
    assert_eq!(messages(&scratch), ("kind message,9".to_owned(), false));
    let path = scratch.path().join("log").join("00000000000000000000.seg");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    // The text of the fifth message of nine.
    let mut bytes = vec![0; told.committed_off as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let fifth = bytes.windows(4).enumerate().filter(|(_, at)| at == b"said").nth(4).unwrap().0;
    file.write_all_at(b"SAID", fifth as u64).unwrap();
    let eight = ("kind message,8".to_owned(), true);
    assert_eq!(messages(&scratch), eight);
    writer.stop().unwrap();
    assert_eq!(messages(&scratch), eight, "when nobody writes any more");
}
