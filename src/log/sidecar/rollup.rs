//! Counts of a whole segment: what a question without filters needs is a few kilobytes.

use super::{SectionId, Writer};
use crate::base::clock::DAY_US;
use crate::base::hash::Map;
use crate::log::record::{Direction, Kind};
use rkyv::{Archive, Serialize};

/// Buckets of the histogram of text sizes: see [`size_bucket`].
pub const SIZE_BUCKETS: usize = 128;

const MINUTE_US: i64 = 60_000_000;

/// Counts over every record of a segment but names.
#[derive(Archive, Serialize, Clone, PartialEq, Debug, Default)]
pub struct Rollup {
    /// Records.
    pub record_count: u64,
    /// Their bytes, headers included.
    pub bytes: u64,
    /// Earliest time; `i64::MAX` when there is none.
    pub first_us: i64,
    /// Latest time; `i64::MIN` when there is none.
    pub last_us: i64,
    /// Rows of each table.
    pub table_rows: [u32; 6],
    /// Records by tag; index 0 counts types of a later version.
    pub kind_counts: Vec<u32>,
    /// Messages by direction; index 0 counts directions of a later version.
    pub direction_counts: Vec<u32>,
    /// Messages by code of the user.
    pub user_messages: Vec<u32>,
    /// Messages by code of the room.
    pub room_messages: Vec<u32>,
    /// Minutes since 1970, UTC, that have messages, ascending.
    pub minutes: Vec<i64>,
    /// Messages of each of `minutes`.
    pub minute_counts: Vec<u32>,
    /// Days since 1970, UTC, that have messages, ascending.
    pub days: Vec<i32>,
    /// Where the users of each of `days` end in `day_users`.
    pub day_ends: Vec<u32>,
    /// Codes of the users who wrote on a day, each once, ascending within a day.
    pub day_users: Vec<u32>,
    /// Text sizes by [`size_bucket`].
    pub size_counts: Vec<u32>,
    /// Bytes of all texts.
    pub text_bytes: u64,
    /// Damaged regions of the segment when the sidecar was made.
    pub damage_count: u32,
}

/// The bucket of a text size: exact below 16 bytes, then eight per power of two (12.5 %).
pub const fn size_bucket(size: u16) -> usize {
    let size = size as usize;
    if size < 16 {
        return size;
    }
    let exponent = size.ilog2() as usize;
    16 + (exponent - 4) * 8 + ((size >> (exponent - 3)) & 7)
}

/// The smallest size of a bucket.
pub const fn size_bucket_floor(bucket: usize) -> usize {
    if bucket < 16 {
        return bucket;
    }
    let (exponent, eighth) = ((bucket - 16) / 8 + 4, (bucket - 16) % 8);
    (8 + eighth) << (exponent - 3)
}

const _: () = assert!(size_bucket(u16::MAX) < SIZE_BUCKETS);

/// A rollup as it is made.
#[derive(Debug)]
pub(super) struct RollupMade {
    rollup: Rollup,
    minutes: Map<i64, u32>,
    /// The minute that most rows belong to, with its count so far.
    minute: (i64, u32),
    /// Days and users; a pair may stand there twice after a clock jumped back.
    active: Vec<(i32, u32)>,
    /// By user: the day noted last.
    active_last: Vec<i32>,
}

impl Default for RollupMade {
    fn default() -> Self {
        let rollup = Rollup {
            first_us: i64::MAX,
            last_us: i64::MIN,
            kind_counts: vec![0; Kind::ALL.len() + 1],
            direction_counts: vec![0; Direction::ALL.len() + 1],
            size_counts: vec![0; SIZE_BUCKETS],
            ..Rollup::default()
        };
        Self {
            rollup,
            minutes: Map::default(),
            minute: (0, 0),
            active: Vec::new(),
            active_last: Vec::new(),
        }
    }
}

/// What the rollup wants to know of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageSeen {
    pub(super) ts_us: i64,
    pub(super) user: u32,
    pub(super) room: u32,
    pub(super) size: u16,
    pub(super) direction: u8,
}

impl RollupMade {
    pub(super) fn record(&mut self, kind: Option<Kind>, bytes: usize, ts_us: Option<i64>) {
        self.rollup.record_count += 1;
        self.rollup.bytes += bytes as u64;
        self.rollup.kind_counts[kind.map_or(0, |kind| usize::from(kind.tag()))] += 1;
        if let Some(ts_us) = ts_us {
            self.rollup.first_us = self.rollup.first_us.min(ts_us);
            self.rollup.last_us = self.rollup.last_us.max(ts_us);
        }
    }

    pub(super) fn message(&mut self, seen: &MessageSeen) {
        bump(&mut self.rollup.user_messages, seen.user);
        bump(&mut self.rollup.room_messages, seen.room);
        self.rollup.size_counts[size_bucket(seen.size)] += 1;
        self.rollup.text_bytes += u64::from(seen.size);
        let known = Direction::from_byte(seen.direction).is_some();
        let direction = if known { usize::from(seen.direction) } else { 0 };
        self.rollup.direction_counts[direction] += 1;
        let minute = seen.ts_us.div_euclid(MINUTE_US);
        if minute != self.minute.0 {
            self.close_minute();
            self.minute = (minute, 0);
        }
        self.minute.1 += 1;
        if seen.user != 0 {
            self.active(seen.ts_us.div_euclid(DAY_US) as i32, seen.user);
        }
    }

    fn active(&mut self, day: i32, user: u32) {
        let index = user as usize;
        if self.active_last.len() <= index {
            // No time of 64 bits falls on this day.
            self.active_last.resize((index + 1).next_power_of_two(), i32::MIN);
        }
        if self.active_last[index] != day {
            self.active_last[index] = day;
            self.active.push((day, user));
        }
    }

    fn close_minute(&mut self) {
        if self.minute.1 > 0 {
            *self.minutes.entry(self.minute.0).or_default() += self.minute.1;
        }
    }

    /// Codes that no message used count 0, so that the arrays are as long as the lists of names.
    pub(super) fn write(
        mut self,
        table_rows: [u32; 6],
        damage_count: u32,
        user_count: usize,
        room_count: usize,
        writer: &mut Writer,
    ) {
        self.close_minute();
        let rollup = &mut self.rollup;
        rollup.table_rows = table_rows;
        rollup.damage_count = damage_count;
        rollup.user_messages.resize(user_count, 0);
        rollup.room_messages.resize(room_count, 0);
        let mut minutes: Vec<_> = self.minutes.into_iter().collect();
        minutes.sort_unstable();
        (rollup.minutes, rollup.minute_counts) = minutes.into_iter().unzip();
        let mut active = self.active;
        active.sort_unstable();
        active.dedup();
        for pairs in active.chunk_by(|left, right| left.0 == right.0) {
            rollup.days.push(pairs[0].0);
            rollup.day_users.extend(pairs.iter().map(|(_, user)| user));
            rollup.day_ends.push(rollup.day_users.len() as u32);
        }
        writer.add(SectionId::ROLLUP, &self.rollup);
    }
}

fn bump(counts: &mut Vec<u32>, code: u32) {
    let index = code as usize;
    if counts.len() <= index {
        counts.resize(index + 1, 0);
    }
    counts[index] += 1;
}
