//! Who was active when: the base of cohorts, of new and returning users, and of active users.
//!
//! A user is active in a period when a message of theirs stands in it.

/// Users by period.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Period and user. May hold a pair twice until [`Activity::finish`].
    pairs: Vec<(i32, u32)>,
    /// By user: the period noted last, so that nearly no pair comes twice.
    last: Vec<Option<i32>>,
}

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
            self.last.resize(index + 1, None);
        }
        if self.last[index] != Some(period) {
            self.last[index] = Some(period);
            self.pairs.push((period, user));
        }
    }

    /// Brings the pairs in order. Comes before every question.
    pub(super) fn finish(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup();
    }

    /// The last period in which anybody was active.
    pub(super) fn last_period(&self) -> Option<i32> {
        self.pairs.last().map(|(period, _)| *period)
    }

    /// The pairs of each period that has any.
    fn periods(&self) -> impl Iterator<Item = &[(i32, u32)]> {
        self.pairs.chunk_by(|left, right| left.0 == right.0)
    }

    /// Each period that has active users, ascending.
    pub(super) fn newness(&self) -> Vec<Newness> {
        let mut seen = vec![false; self.last.len()];
        let mut all = Vec::new();
        for pairs in self.periods() {
            let mut newness = Newness { period: pairs[0].0, ..Newness::default() };
            for (_, user) in pairs {
                match std::mem::replace(&mut seen[*user as usize], true) {
                    false => newness.new_count += 1,
                    true => newness.returning_count += 1,
                }
            }
            all.push(newness);
        }
        all
    }

    /// The cohorts, oldest first.
    pub(super) fn cohorts(&self) -> Vec<Cohort> {
        let mut first: Vec<Option<u32>> = vec![None; self.last.len()];
        let mut cohorts: Vec<Cohort> = Vec::new();
        for pairs in self.periods() {
            let period = pairs[0].0;
            let mine = cohorts.len() as u32;
            let mut counts = vec![0; cohorts.len() + 1];
            for (_, user) in pairs {
                let cohort = *first[*user as usize].get_or_insert(mine);
                counts[cohort as usize] += 1;
            }
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
        self.periods().map(|pairs| pairs[0].0).collect()
    }

    /// Distinct users of some periods.
    pub(super) fn users_in(&self, periods: std::ops::RangeInclusive<i32>) -> u64 {
        let begin = self.pairs.partition_point(|(period, _)| period < periods.start());
        let end = self.pairs.partition_point(|(period, _)| period <= periods.end());
        let mut seen = vec![false; self.last.len()];
        let users = self.pairs[begin..end.max(begin)].iter();
        users.filter(|(_, user)| !std::mem::replace(&mut seen[*user as usize], true)).count() as u64
    }

    /// Of periods that are days: active users of every day of `days`, those without any included.
    pub(super) fn engaged(&self, days: std::ops::RangeInclusive<i32>) -> Vec<Engaged> {
        let mut week = Window::new(7, self.last.len());
        let mut month = Window::new(30, self.last.len());
        let mut out = Vec::new();
        for day in days {
            let daily = self.of_day(day).len() as u64;
            out.push(Engaged {
                day,
                daily,
                weekly: week.advance(self, day),
                monthly: month.advance(self, day),
            });
        }
        out
    }

    fn of_day(&self, day: i32) -> &[(i32, u32)] {
        let begin = self.pairs.partition_point(|(period, _)| *period < day);
        let end = self.pairs.partition_point(|(period, _)| *period <= day);
        &self.pairs[begin..end]
    }
}

/// Distinct users of the days that end with one.
struct Window {
    len_days: i32,
    /// By user: active days in the window.
    days: Vec<u8>,
    user_count: u64,
    /// Index of the first pair behind the window, and of the first inside.
    end: usize,
    begin: usize,
}

impl Window {
    fn new(len_days: i32, user_count: usize) -> Self {
        Self { len_days, days: vec![0; user_count], user_count: 0, end: 0, begin: 0 }
    }

    /// Moves on so that `day` is the last one.
    fn advance(&mut self, activity: &Activity, day: i32) -> u64 {
        while let Some((_, user)) = activity.pairs.get(self.end).filter(|pair| pair.0 <= day) {
            let days = &mut self.days[*user as usize];
            // Days before the window of the first question come and go at once: at most
            // `len_days` stay, but a long past must not overflow on its way.
            self.user_count += u64::from(*days == 0);
            *days += 1;
            self.end += 1;
            self.leave(activity, activity.pairs[self.end - 1].0);
        }
        self.leave(activity, day);
        self.user_count
    }

    fn leave(&mut self, activity: &Activity, last_day: i32) {
        while self.begin < self.end
            && i64::from(activity.pairs[self.begin].0)
                <= i64::from(last_day) - i64::from(self.len_days)
        {
            let days = &mut self.days[activity.pairs[self.begin].1 as usize];
            *days -= 1;
            self.user_count -= u64::from(*days == 0);
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
