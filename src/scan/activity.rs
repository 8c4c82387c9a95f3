//! Who was active when: the base of cohorts, of new and returning users, and of active users.
//!
//! A user is active in a period when a message of theirs stands in it.

use super::user_set::UserSet;
use std::collections::BTreeMap;

/// Users by period.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Of each period that has any; in order, once [`Activity::finish`] was called.
    periods: Vec<(i32, UserSet)>,
    /// The same while it is gathered.
    gathered: BTreeMap<i32, UserSet>,
    /// By user: the period noted last, so that nearly no pair comes twice.
    last: Vec<i32>,
}

/// Stands for no period.
const NEVER: i32 = i32::MIN;

/// The users of one period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Newness {
    pub(super) period: i32,
    /// Users who were never active before.
    pub(super) new_count: u64,
    pub(super) returning_count: u64,
}

/// Users who were first active in one period, and when they came again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cohort {
    pub(super) period: i32,
    pub(super) user_count: u64,
    /// Periods behind `period` and how many of the cohort were active there, ascending; the first
    /// is 0 with all of them. Periods without any are absent.
    pub(super) active: Vec<(u32, u64)>,
}

/// Active users of the days of a calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Engaged {
    pub(super) day: i32,
    /// On this day; in the 7 and in the 30 days that end with it.
    pub(super) daily: u64,
    pub(super) weekly: u64,
    pub(super) monthly: u64,
}

impl Activity {
    /// Notes that `user` was active in `period`.
    pub(super) fn note(&mut self, period: i32, user: u32) {
        let index = user as usize;
        if self.last.len() <= index {
            self.last.resize(index + 1, NEVER);
        }
        if self.last[index] != period || period == NEVER {
            self.last[index] = period;
            self.gathered.entry(period).or_default().insert(user);
        }
    }

    /// Brings the users in order. Comes before every question.
    pub(super) fn finish(&mut self) {
        self.periods.extend(std::mem::take(&mut self.gathered));
        self.periods.iter_mut().for_each(|(_, users)| users.finish());
    }

    /// The last period in which anybody was active.
    pub(super) fn last_period(&self) -> Option<i32> {
        self.periods.last().map(|(period, _)| *period)
    }

    /// Each period that has active users, ascending.
    pub(super) fn newness(&self) -> Vec<Newness> {
        let mut seen = vec![false; self.last.len()];
        let mut all = Vec::new();
        for (period, users) in &self.periods {
            let mut newness = Newness { period: *period, ..Newness::default() };
            users.each(|user| match std::mem::replace(&mut seen[user as usize], true) {
                false => newness.new_count += 1,
                true => newness.returning_count += 1,
            });
            all.push(newness);
        }
        all
    }

    /// The cohorts, oldest first.
    pub(super) fn cohorts(&self) -> Vec<Cohort> {
        const NO_COHORT: u32 = u32::MAX;
        let mut first = vec![NO_COHORT; self.last.len()];
        let mut cohorts: Vec<Cohort> = Vec::new();
        for (period, users) in &self.periods {
            let period = *period;
            let mine = cohorts.len() as u32;
            let mut counts = vec![0; cohorts.len() + 1];
            users.each(|user| {
                let cohort = &mut first[user as usize];
                if *cohort == NO_COHORT {
                    *cohort = mine;
                }
                counts[*cohort as usize] += 1;
            });
            if counts[mine as usize] > 0 {
                cohorts.push(Cohort { period, user_count: counts[mine as usize], active: vec![] });
            }
            for (cohort, count) in cohorts.iter_mut().zip(counts) {
                if count > 0 {
                    let behind = i64::from(period) - i64::from(cohort.period);
                    cohort.active.push((behind as u32, count));
                }
            }
        }
        cohorts
    }

    /// The periods that have active users, ascending.
    pub(super) fn active_days(&self) -> Vec<i32> {
        self.periods.iter().map(|(period, _)| *period).collect()
    }

    /// Distinct users of some periods.
    pub(super) fn users_in(&self, periods: std::ops::RangeInclusive<i32>) -> u64 {
        let begin = self.periods.partition_point(|(period, _)| period < periods.start());
        let end = self.periods.partition_point(|(period, _)| period <= periods.end());
        let (mut seen, mut count) = (vec![false; self.last.len()], 0);
        for (_, users) in &self.periods[begin..end.max(begin)] {
            users.each(|user| {
                count += u64::from(!std::mem::replace(&mut seen[user as usize], true));
            });
        }
        count
    }

    /// Of periods that are days: active users of every day of `days`, those without any included.
    pub(super) fn engaged(&self, days: std::ops::RangeInclusive<i32>) -> Vec<Engaged> {
        let mut week = Window::new(7, self.last.len());
        let mut month = Window::new(30, self.last.len());
        let mut out = Vec::new();
        for day in days {
            let at = self.periods.binary_search_by_key(&day, |(period, _)| *period);
            let daily = at.map_or(0, |index| self.periods[index].1.len());
            out.push(Engaged {
                day,
                daily,
                weekly: week.advance(self, day),
                monthly: month.advance(self, day),
            });
        }
        out
    }
}

/// Distinct users of the days that end with one.
struct Window {
    len_days: i32,
    /// By user: active days in the window.
    days: Vec<u8>,
    user_count: u64,
    /// Index of the first day behind the window, and of the first inside.
    end: usize,
    begin: usize,
}

impl Window {
    fn new(len_days: i32, user_count: usize) -> Self {
        Self { len_days, days: vec![0; user_count], user_count: 0, end: 0, begin: 0 }
    }

    /// Moves on so that `day` is the last one.
    fn advance(&mut self, activity: &Activity, day: i32) -> u64 {
        while let Some((last, users)) = activity.periods.get(self.end).filter(|one| one.0 <= day) {
            // Days before the window of the first question come and go at once: at most
            // `len_days` stay, but a long past must not overflow on its way.
            self.leave(activity, *last);
            users.each(|user| {
                let days = &mut self.days[user as usize];
                self.user_count += u64::from(*days == 0);
                *days += 1;
            });
            self.end += 1;
        }
        self.leave(activity, day);
        self.user_count
    }

    fn leave(&mut self, activity: &Activity, last_day: i32) {
        while self.begin < self.end
            && i64::from(activity.periods[self.begin].0)
                <= i64::from(last_day) - i64::from(self.len_days)
        {
            activity.periods[self.begin].1.each(|user| {
                let days = &mut self.days[user as usize];
                *days -= 1;
                self.user_count -= u64::from(*days == 0);
            });
            self.begin += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(pairs: &[(i32, u32)]) -> Activity {
        let mut activity = Activity::default();
        for (period, user) in pairs {
            activity.note(*period, *user);
        }
        activity.finish();
        activity
    }

    #[test]
    fn cohorts_count_each_user_once_in_each_period() {
        // A clock that jumped back brings period 1 again.
        let activity = activity(&[(1, 1), (2, 1), (2, 2), (4, 1), (1, 1), (4, 3), (4, 2), (2, 1)]);
        let newness: Vec<_> = activity
            .newness()
            .into_iter()
            .map(|one| (one.period, one.new_count, one.returning_count))
            .collect();
        assert_eq!(newness, [(1, 1, 0), (2, 1, 1), (4, 1, 2)]);
        let cohort = |period, active: &[(u32, u64)]| Cohort {
            period,
            user_count: active[0].1,
            active: active.to_vec(),
        };
        let want = [
            cohort(1, &[(0, 1), (1, 1), (3, 1)]),
            cohort(2, &[(0, 1), (2, 1)]),
            cohort(4, &[(0, 1)]),
        ];
        assert_eq!(activity.cohorts(), want);
        assert!(Activity::default().cohorts().is_empty());
    }

    #[test]
    fn windows_equal_a_slow_count() {
        let mut pairs = Vec::new();
        for n in 0..4_000_u64 {
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            pairs.push(((mixed % 300) as i32 - 100, (mixed / 300 % 40) as u32));
        }
        let activity = activity(&pairs);
        for engaged in activity.engaged(20..=120) {
            let count = |days: i32| {
                let inside = |day: i32| day > engaged.day - days && day <= engaged.day;
                let users = pairs.iter().filter(|pair| inside(pair.0)).map(|pair| pair.1);
                users.collect::<std::collections::BTreeSet<_>>().len() as u64
            };
            let got = (engaged.daily, engaged.weekly, engaged.monthly);
            assert_eq!(got, (count(1), count(7), count(30)), "day {}", engaged.day);
        }
    }
}
