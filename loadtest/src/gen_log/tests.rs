//! The story without a disk: what it tells, and that it tells it again.

use super::command_line::{Options, parse};
use super::dice::{Dice, mix};
use super::people::People;
use super::story::{Sink, Story};
use ringpost::log::record::{
    Kind, NameId, NameKind, RawRecord, Record, RecordHeader, RecordView, serialize_into,
};
use std::collections::BTreeMap;

/// Counts what comes, holds it to the rules of a log, and hashes it.
#[derive(Default)]
struct Judge {
    hash: u64,
    kinds: BTreeMap<&'static str, u64>,
    /// By room: the last position.
    tops: BTreeMap<(u32, u32), u64>,
    names: Vec<String>,
    last_us: i64,
    backward: u64,
    starts: u32,
}

#[repr(align(8))]
struct Buffer([u8; 8_192]);

impl Sink for Judge {
    fn intern(&mut self, _: usize, _: NameKind, name: &str) -> Result<NameId, String> {
        self.names.push(name.to_owned());
        Ok(NameId(self.names.len() as u32))
    }

    fn append<R: Record>(
        &mut self,
        _: usize,
        (user, room): (NameId, NameId),
        record: &R,
    ) -> Result<(), String> {
        let mut buffer = Buffer([0; 8_192]);
        let len = serialize_into(record, &mut buffer.0).expect("it fits");
        let payload = &buffer.0[..len];
        for eight in payload.chunks(8) {
            let mut word = [0; 8];
            word[..eight.len()].copy_from_slice(eight);
            self.hash = mix(self.hash ^ u64::from_le_bytes(word)).wrapping_add(1);
        }
        *self.kinds.entry(R::KIND.name()).or_default() += 1;
        let view = RecordView::check(R::KIND, payload).expect("an archive");
        if let Some(o) = position(&view) {
            let top = self.tops.entry((self.starts, room.0)).or_default();
            assert!(self.starts > 0 || o == *top + 1, "positions of a room are dense");
            *top = o;
        }
        let header =
            RecordHeader { payload_len: len as u32, tag: R::KIND.tag(), flags: 0, user, room };
        let ts_us = RawRecord { header, payload }.ts_us().expect("all have a time");
        self.backward += u64::from(ts_us < self.last_us);
        self.last_us = ts_us;
        Ok(())
    }

    fn restart(&mut self, _: i64) -> Result<(), String> {
        self.starts += 1;
        Ok(())
    }

    fn told(&mut self, _: u64) {}
}

fn position(view: &RecordView<'_>) -> Option<u64> {
    Some(match view {
        RecordView::Message(message) => message.o.to_native(),
        RecordView::Edit(edit) => edit.o.to_native(),
        RecordView::Delete(delete) => delete.o.to_native(),
        RecordView::Member(member) => member.o.to_native(),
        RecordView::Room(room) => room.o.to_native(),
        _ => return None,
    })
}

fn options(line: &str) -> Options {
    let words = ["gen-log", "--data", "unused"].into_iter().chain(line.split_whitespace());
    parse(words.map(String::from)).expect(line)
}

fn judge(line: &str) -> Judge {
    let options = options(line);
    let mut dice = Dice::new(options.seed);
    let people = People::new(&options, &mut dice);
    let mut judge = Judge::default();
    Story::new(&options, &people, dice, &mut judge).tell().unwrap();
    judge
}

#[test]
fn exactly_so_many_messages_and_something_of_everything() {
    for count in [0, 1, 2, 100, 20_000] {
        let judge = judge(&format!("--messages {count} --metrics 3600"));
        assert_eq!(judge.kinds.get(Kind::Message.name()).copied().unwrap_or(0), count);
        assert_eq!(judge.backward, 0, "records stand in the order of their times");
        if count == 20_000 {
            for kind in [
                Kind::Session,
                Kind::Member,
                Kind::Room,
                Kind::Mark,
                Kind::Command,
                Kind::Status,
                Kind::Edit,
                Kind::Delete,
                Kind::UserStatus,
                Kind::Epoch,
                Kind::Metric,
            ] {
                assert!(judge.kinds.contains_key(kind.name()), "{}", kind.name());
            }
            assert!(judge.kinds["status"] > 5_000, "{:?}", judge.kinds);
        }
    }
}

#[test]
fn the_seed_decides_everything() {
    let hash = |line| judge(line).hash;
    assert_eq!(hash("--messages 5k --seed 1"), hash("--messages 5k --seed 1"));
    assert_ne!(hash("--messages 5k --seed 1"), hash("--messages 5k --seed 2"));
}

#[test]
fn odd_cases_are_told_when_asked_for() {
    let plain = judge("--messages 3k --plain --whatsapp 0");
    assert_eq!(plain.kinds.keys().copied().collect::<Vec<_>>(), ["epoch", "message"]);
    assert!(judge("--messages 20k --clock-jumps --days 5").backward > 0);
    assert!(judge("--messages 20k --future --days 5").backward > 0);
    let odd = judge("--messages 3k --odd-names --users 40");
    assert!(odd.names.iter().any(|name| name.contains('\u{1b}')));
    assert_eq!(judge("--messages 3k --starts 4").starts, 3);
    assert!(!judge("--messages 3k --shards 3 --customers 0").names.is_empty());
}
