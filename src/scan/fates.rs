//! How far each message to WhatsApp got, put together from its statuses.

use super::period::Period;
use super::quantiles::Quantiles;
use super::zone::Zone;
use crate::base::clock::DAY_US;
use crate::base::hash::{Map, Seeded};
use crate::log::record::Delivery;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

/// Messages that are followed at a time, 42 MiB: as many as a table of 2^20 places takes. Beyond
/// this, those without news for [`FOLLOWED_US`], and at least the half that had none for longest,
/// are counted as they are.
const FOLLOWED_MAX: usize = 900_000;
/// Meta keeps a message for 30 days.
const FOLLOWED_US: i64 = 30 * DAY_US;
/// Different categories that are told apart.
const CATEGORIES_MAX: usize = 64;

/// A step on the way of a message. A later one includes those before it; `Failed` stands alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Step {
    Sent,
    Delivered,
    Read,
    Failed,
}

impl Step {
    pub(super) const ALL: [Self; 4] = [Self::Sent, Self::Delivered, Self::Read, Self::Failed];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }

    const fn of(delivery: Delivery) -> Option<Self> {
        match delivery {
            Delivery::Sent => Some(Self::Sent),
            Delivery::Delivered => Some(Self::Delivered),
            Delivery::Read | Delivery::Played => Some(Self::Read),
            Delivery::Failed => Some(Self::Failed),
            Delivery::Queued
            | Delivery::Calling
            | Delivery::Unknown
            | Delivery::Accepted
            | Delivery::Deleted => None,
        }
    }
}

/// What tells messages apart: of a million, two meet once in 37 million logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Print(u64);

impl Print {
    /// Of the platform's id of a message; `None`: it has none.
    pub(super) fn of(external: &str) -> Option<Self> {
        (!external.is_empty()).then(|| Self(Seeded::default().hash_one(external)))
    }
}

/// A status as the log has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StatusSeen {
    pub(super) ts_us: i64,
    pub(super) print: Print,
    /// `None`: one of a later version.
    pub(super) delivery: Option<Delivery>,
    pub(super) error: u32,
    /// Meta's pricing category and whether it is charged, when the status says so.
    pub(super) priced: Option<(String, bool)>,
}

/// How many messages got how far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Reach {
    pub(super) messages: u64,
    /// By [`Step`].
    counts: [u64; Step::ALL.len()],
    /// Those that Meta charges for.
    pub(super) billable: u64,
}

impl Reach {
    pub(super) const fn of(&self, step: Step) -> u64 {
        self.counts[step as usize]
    }

    /// Neither delivered nor failed.
    pub(super) const fn pending(&self) -> u64 {
        self.messages - self.of(Step::Delivered) - self.of(Step::Failed)
    }

    fn add(&mut self, fate: &Fate) {
        self.messages += 1;
        self.billable += u64::from(fate.billable);
        let furthest = Step::ALL[..Step::Failed as usize].iter().rev();
        let furthest = furthest.copied().find(|step| fate.has(*step));
        for step in [Step::Sent, Step::Delivered, Step::Read] {
            self.counts[step as usize] += u64::from(furthest >= Some(step));
        }
        // A message that arrived did not fail, whatever was said before.
        let failed = fate.has(Step::Failed) && furthest < Some(Step::Delivered);
        self.counts[Step::Failed as usize] += u64::from(failed);
    }
}

/// A message that is followed.
#[derive(Clone, Copy, Debug)]
struct Fate {
    begun_us: i64,
    last_us: i64,
    error: u32,
    category: u16,
    /// Bit n: step n was told.
    steps: u8,
    billable: bool,
    /// Whether a status came; a message of a platform that tells nothing is not counted.
    told: bool,
}

impl Fate {
    const fn has(&self, step: Step) -> bool {
        self.steps & (1 << step as u8) != 0
    }
}

/// The fates of all messages.
#[derive(Debug)]
pub(super) struct Fates {
    zone: Zone,
    open: Map<Print, Fate>,
    pub(super) all: Reach,
    /// From the message, or its first status, to the first status of a step.
    pub(super) spans: [Quantiles; Step::ALL.len()],
    /// Failed messages by error number.
    pub(super) errors: BTreeMap<u32, u64>,
    /// By pricing category; `""`: none was told.
    pub(super) categories: BTreeMap<String, Reach>,
    category_names: Vec<String>,
    /// By day since 1970 of the message.
    pub(super) days: BTreeMap<i32, Reach>,
}

/// The part of a status's JSON that is counted.
#[derive(Deserialize)]
struct Extra<'a> {
    #[serde(borrow)]
    pricing: Option<Pricing<'a>>,
}

#[derive(Deserialize)]
struct Pricing<'a> {
    #[serde(borrow)]
    category: Option<Cow<'a, str>>,
    billable: Option<bool>,
}

/// Category and whether it is charged, of a status's JSON.
pub(super) fn priced(extra: &str) -> Option<(String, bool)> {
    // Most statuses have none, and JSON of another form is somebody else's.
    if !extra.contains("pricing") {
        return None;
    }
    let pricing = serde_json::from_str::<Extra<'_>>(extra).ok()?.pricing?;
    Some((pricing.category?.into_owned(), pricing.billable.unwrap_or(false)))
}

impl Fates {
    /// Days are those of `zone`.
    pub(super) fn new(zone: Zone) -> Self {
        Self {
            zone,
            open: Map::default(),
            all: Reach::default(),
            spans: Default::default(),
            errors: BTreeMap::new(),
            categories: BTreeMap::new(),
            category_names: vec![String::new()],
            days: BTreeMap::new(),
        }
    }

    /// Takes a message to the platform.
    pub(super) fn message(&mut self, ts_us: i64, print: Print) {
        self.fate(ts_us, print);
    }

    /// Takes the next status of the log.
    pub(super) fn status(&mut self, seen: StatusSeen) {
        let priced = seen.priced.map(|(name, billable)| (self.category(name), billable));
        let fate = self.fate(seen.ts_us, seen.print);
        fate.told = true;
        fate.last_us = fate.last_us.max(seen.ts_us);
        if let Some((category, billable)) = priced {
            fate.category = category;
            fate.billable |= billable;
        }
        let Some(step) = seen.delivery.and_then(Step::of) else { return };
        if !fate.has(step) {
            fate.steps |= 1 << step as u8;
            let span_us = seen.ts_us.saturating_sub(fate.begun_us);
            if step == Step::Failed {
                fate.error = seen.error;
            }
            self.spans[step as usize].add_us(span_us);
        }
    }

    /// Counts what is still followed.
    pub(super) fn finish(&mut self) {
        self.settle(i64::MAX);
    }

    fn fate(&mut self, ts_us: i64, print: Print) -> &mut Fate {
        if self.open.len() >= FOLLOWED_MAX {
            // At least half, since looking for them takes as long as half a million messages.
            let mut news_us: Vec<i64> = self.open.values().map(|fate| fate.last_us).collect();
            let middle = news_us.len() / 2;
            let middle_us = *news_us.select_nth_unstable(middle).1;
            self.settle(ts_us.saturating_sub(FOLLOWED_US).max(middle_us.saturating_add(1)));
        }
        let fresh = Fate {
            begun_us: ts_us,
            last_us: ts_us,
            error: 0,
            category: 0,
            steps: 0,
            billable: false,
            told: false,
        };
        self.open.entry(print).or_insert(fresh)
    }

    /// Counts the messages without news since `before_us`.
    fn settle(&mut self, before_us: i64) {
        let mut open = std::mem::take(&mut self.open);
        open.retain(|_, fate| {
            let stays = fate.last_us >= before_us && before_us != i64::MAX;
            if !stays && fate.told {
                self.count(fate);
            }
            stays
        });
        self.open = open;
    }

    fn count(&mut self, fate: &Fate) {
        let failed = self.all.of(Step::Failed);
        self.all.add(fate);
        if self.all.of(Step::Failed) > failed {
            *self.errors.entry(fate.error).or_default() += 1;
        }
        let category = &self.category_names[usize::from(fate.category)];
        match self.categories.get_mut(category) {
            Some(reach) => reach.add(fate),
            None => self.categories.entry(category.clone()).or_default().add(fate),
        }
        self.days.entry(Period::Day.of(fate.begun_us, &self.zone.clock())).or_default().add(fate);
    }

    fn category(&mut self, name: String) -> u16 {
        if let Some(known) = self.category_names.iter().position(|known| *known == name) {
            return known as u16;
        }
        if self.category_names.len() >= CATEGORIES_MAX {
            return 0;
        }
        self.category_names.push(name);
        self.category_names.len() as u16 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_can_be_followed_are_counted_once() {
        let mut fates = Fates::new(Zone::UTC);
        let count = FOLLOWED_MAX as u64 + FOLLOWED_MAX as u64 / 4;
        for n in 0..count {
            let (ts_us, print, delivery) = (n as i64, Print(n), Some(Delivery::Sent));
            fates.status(StatusSeen { ts_us, print, delivery, error: 0, priced: None });
            assert!(fates.open.len() <= FOLLOWED_MAX);
        }
        assert!(fates.all.messages > 0, "some were let go of on the way");
        fates.finish();
        assert_eq!((fates.all.messages, fates.all.of(Step::Sent)), (count, count));
    }

    #[test]
    fn the_furthest_step_counts_once() {
        let billed = r#"{"pricing":{"category":"marketing","billable":true}}"#;
        let mut fates = Fates::new(Zone::UTC);
        let print = |external| Print::of(external).unwrap();
        fates.message(1_000_000, print("a"));
        fates.message(1_000_000, print("silent"));
        for (ts_us, external, delivery, extra) in [
            (2_000_000, "a", Delivery::Sent, billed),
            (2_500_000, "a", Delivery::Sent, "not json with pricing"),
            (9_000_000, "a", Delivery::Read, ""),
            (9_500_000, "a", Delivery::Delivered, ""),
            (1_000_000, "b", Delivery::Queued, ""),
            (3_000_000, "b", Delivery::Failed, r#"{"pricing":7}"#),
            (3_000_000, "c", Delivery::Accepted, r#"{"pricing":{"category":9}}"#),
        ] {
            let error = if delivery == Delivery::Failed { 131_026 } else { 0 };
            let (print, priced, delivery) = (print(external), priced(extra), Some(delivery));
            fates.status(StatusSeen { ts_us, print, delivery, error, priced });
        }
        assert_eq!(Print::of(""), None);
        fates.finish();
        let counts = Step::ALL.map(|step| fates.all.of(step));
        assert_eq!((fates.all.messages, counts, fates.all.pending()), (3, [1, 1, 1, 1], 1));
        assert_eq!(fates.errors, BTreeMap::from([(131_026, 1)]));
        assert_eq!(fates.categories["marketing"].billable, 1);
        assert_eq!(fates.categories[""].messages, 2);
        assert_eq!(fates.spans[Step::Sent as usize].at_us(1.0), 1_000_000);
        assert_eq!(fates.spans[Step::Read as usize].at_us(1.0), 8_000_000);
        assert_eq!(fates.days[&0].messages, 3);
    }
}
