//! Texts of some rooms go after a while; who said something and when stays.
//!
//! Works by the day: a segment is looked at once a day, and rewritten on a day on which texts in it
//! became too old. So a text goes within a day of its time.

use crate::base::clock::DAY_US;
use crate::base::hash::Map;
use crate::log::directory::{LogError, list_segments};
use crate::log::erase::plan::{self, Finder};
use crate::log::erase::redact::Redactor;
use crate::log::erase::run::{EraseError, salt, swap};
use crate::log::erase::{AgeRule, Target};
use crate::log::reader::Segment;
use crate::log::rewrite::{Damage, rewrite};
use std::path::{Path, PathBuf};

/// Segments looked at in one step.
const SEGMENTS_PER_STEP: usize = 2;

/// A rule of an operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomKeep {
    /// A room's name, or the beginning of names followed by `*`.
    pub rooms: String,
    /// How long its texts are kept, microseconds.
    pub age_us: i64,
}

/// The rules, and which segments obey them today.
#[derive(Debug, Default)]
pub struct RoomSweep {
    rules: Vec<RoomKeep>,
    day: i64,
    /// By first sequence number: the day up to which it is done with.
    done: Map<u64, i64>,
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RoomSwept {
    /// Segments that were rewritten.
    pub segment_count: u32,
    /// Records that lost their content.
    pub record_count: u64,
    /// Segments that cannot be rewritten because of damage.
    pub damaged_count: u32,
}

impl RoomSweep {
    /// For these rules; the first that fits a room holds for it.
    pub fn new(rules: Vec<RoomKeep>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Whether there is no rule.
    pub fn is_idle(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a day has begun for which texts must go. Says so once a day, and once at first.
    pub fn begins_day(&mut self, now_us: i64) -> bool {
        let day = now_us.div_euclid(DAY_US);
        let begins = !self.is_idle() && day != self.day;
        self.day = day;
        begins
    }

    /// What is too old today.
    pub fn target(&self) -> Target {
        let rules = self.rules.iter().map(|rule| AgeRule {
            rooms: rule.rooms.clone(),
            before_us: (self.day * DAY_US).saturating_sub(rule.age_us),
        });
        Target::Aged { rules: rules.collect() }
    }

    /// Looks at a few of the segments that begin before `before`, and rewrites those that must be.
    /// Nothing to do costs a listing.
    pub fn step(&mut self, log_dir: &Path, before: u64) -> Result<RoomSwept, LogError> {
        let mut swept = RoomSwept::default();
        if self.is_idle() {
            return Ok(swept);
        }
        let listed = list_segments(log_dir)?;
        let target = self.target();
        let (day, done) = (self.day, &mut self.done);
        done.retain(|seq, _| listed.binary_search_by_key(seq, |(seq, _)| *seq).is_ok());
        let due =
            |(seq, _): &(u64, PathBuf)| *seq < before && done.get(seq).is_none_or(|d| *d < day);
        let due: Vec<_> = (0..listed.len()).filter(|index| due(&listed[*index])).collect();
        for index in due.into_iter().take(SEGMENTS_PER_STEP) {
            let next = listed.get(index + 1).map(|(_, path)| path.as_path());
            let (seq, path) = &listed[index];
            let done_until = self.clean(log_dir, (path, next), &target, &mut swept)?;
            self.done.insert(*seq, done_until);
        }
        Ok(swept)
    }

    /// Gives the day until which the segment needs no other look.
    fn clean(
        &self,
        log_dir: &Path,
        (path, next): (&Path, Option<&Path>),
        target: &Target,
        swept: &mut RoomSwept,
    ) -> Result<i64, LogError> {
        let Ok(Some(segment)) = plan::open(path) else {
            swept.damaged_count += 1;
            return Ok(self.day);
        };
        let times = segment.scan().batches.iter().map(|batch| batch.times);
        let (min_us, max_us) =
            times.fold((i64::MAX, i64::MIN), |(min, max), t| (min.min(t.0), max.max(t.1)));
        let before = || self.rules.iter().map(|rule| self.day * DAY_US - rule.age_us);
        if before().all(|before_us| min_us >= before_us) {
            return Ok(self.day);
        }
        if !segment.scan().corrupt.is_empty() {
            swept.damaged_count += 1;
            return Ok(self.day);
        }
        if let Some(rewritten) = self.rewritten(&segment, next, target) {
            let swapped = swap(log_dir, path, &rewritten, &mut |_| Ok(()));
            if let Err(EraseError::Log(error)) = swapped {
                return Err(error);
            }
            swept.segment_count += 1;
            swept.record_count += rewritten.changed_count;
        }
        // Once all of it is too old for every rule, there is nothing left to take.
        Ok(if before().all(|before_us| max_us < before_us) { i64::MAX } else { self.day })
    }

    /// `None`: nothing in it has to go. A webhook's body stands before the messages that were read
    /// from it, so the segment behind is asked for those too.
    fn rewritten(
        &self,
        segment: &Segment,
        next: Option<&Path>,
        target: &Target,
    ) -> Option<crate::log::rewrite::Rewritten> {
        let mut finder = Finder::new(target);
        finder.find_messages(segment);
        if let Some(Ok(Some(next))) = next.map(plan::open) {
            finder.find_messages(&next);
        }
        finder.find_bodies(segment);
        let finds = finder.finish();
        let raw_ids = finds.raw_ids.into_iter().collect();
        let externals = finds.externals.into_iter().collect();
        let redactor = Redactor::new(segment, (target, ""), &raw_ids, &externals);
        if plan::survey(segment, &redactor).change_count == 0 {
            return None;
        }
        let salt = salt(segment.scan().header.salt, self.day as u64);
        rewrite(segment.bytes(), segment.scan(), salt, Damage::Refuse, &mut |_, record, space| {
            redactor.change(record, space)
        })
        .ok()
    }
}
