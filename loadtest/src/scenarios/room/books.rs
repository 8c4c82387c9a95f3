//! The books of one room: what was sent, in which order the members got it. Pure.
//!
//! The first member that gets a message decides where it stands in the room's order. For every
//! other member it is then compared with the bytes that stand there, which costs less than any
//! parser. A member that gets things in another order is no fault as long as each sender's messages
//! stay in order; how often it happened is reported.

use crate::driver::Nanos;
use crate::scenarios::{Outcome, fill, number_of};
use std::collections::{BTreeSet, VecDeque};

/// One message of ours that is not yet with everybody.
#[derive(Debug)]
struct Sent {
    due: Nanos,
    /// Where it stands in the room's order, once a member has it.
    place: Option<u64>,
}

/// One place of the room's order.
#[derive(Debug)]
struct Placed {
    number: u64,
    unit: Box<[u8]>,
    deliveries: u32,
    /// When it was due.
    due: Nanos,
}

/// One member.
#[derive(Debug, Default)]
struct Member {
    /// It has everything before this place.
    at: u64,
    /// What it has from there on.
    ahead: BTreeSet<u64>,
    /// Places from there on of what it said itself, when it is not told that.
    own: VecDeque<u64>,
}

impl Member {
    /// Steps over what it has and what it will not be told.
    fn advance(&mut self) {
        loop {
            if self.own.front() == Some(&self.at) {
                self.own.pop_front();
            } else if !self.ahead.remove(&self.at) {
                return;
            }
            self.at += 1;
        }
    }
}

/// What came of one unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Took {
    /// A delivery of a message that was due then, and whether all members have it now.
    Delivery {
        /// When the message was due.
        due: Nanos,
        /// Whether this was the last member.
        whole: bool,
    },
    /// A delivery of nothing that is missed: again, or what nobody sent.
    Nothing,
}

/// The books of one room.
#[derive(Debug)]
pub struct Books {
    name: usize,
    seed: u64,
    size: usize,
    /// Whether a sender must get what it said.
    to_sender: bool,
    /// Messages from `sent_from` on.
    sent: VecDeque<Sent>,
    sent_from: u64,
    /// The order from `placed_from` on.
    placed: VecDeque<Placed>,
    placed_from: u64,
    members: Vec<Member>,
    /// By sender: one past its highest number that has a place.
    newest: Vec<u64>,
    /// Sent, and not with everybody.
    open_count: u64,
    /// Deliveries that came in another order than that of the room.
    pub disagreed: u64,
    /// What comes now comes too late: it stays missing.
    given_up: bool,
    /// Deliveries that came too late.
    late_count: u64,
    outcome: Outcome,
    scratch: Vec<u8>,
}

impl Books {
    /// Empty books of room `name`. Texts depend on `seed`.
    pub fn new(name: usize, members: usize, seed: u64, size: usize) -> Self {
        Self {
            name,
            seed,
            size,
            to_sender: true,
            sent: VecDeque::new(),
            sent_from: 0,
            placed: VecDeque::new(),
            placed_from: 0,
            members: (0..members).map(|_| Member::default()).collect(),
            newest: vec![0; members],
            open_count: 0,
            disagreed: 0,
            given_up: false,
            late_count: 0,
            outcome: Outcome::default(),
            scratch: Vec::new(),
        }
    }

    /// Empty books of a room whose senders are not told what they said; two members at least.
    pub fn not_to_sender(self) -> Self {
        assert!(self.members.len() > 1);
        Self { to_sender: false, ..self }
    }

    /// How many must get a message.
    fn whole_at(&self) -> u32 {
        self.members.len() as u32 - u32::from(!self.to_sender)
    }

    /// The next message, due at `due`: its number, its sender, its text.
    pub fn send(&mut self, due: Nanos) -> (u64, usize, &[u8]) {
        let number = self.sent_from + self.sent.len() as u64;
        self.sent.push_back(Sent { due, place: None });
        self.open_count += 1;
        self.outcome.expected += u64::from(self.whole_at());
        self.scratch.clear();
        fill(&mut self.scratch, self.seed, number, self.size);
        (number, self.sender(number), &self.scratch)
    }

    /// Members send in turn.
    fn sender(&self, number: u64) -> usize {
        (number % self.members.len() as u64) as usize
    }

    /// Takes a unit that is what `member` must get next in the room's order. `None` when it is
    /// anything else.
    pub fn known(&mut self, member: usize, unit: &[u8]) -> Option<Took> {
        let own = &mut self.members[member];
        let index = (own.at - self.placed_from) as usize;
        let placed = self.placed.get_mut(index)?;
        if *placed.unit != *unit || !own.ahead.is_empty() {
            return None;
        }
        own.at += 1;
        own.advance();
        Some(self.count(index))
    }

    fn count(&mut self, index: usize) -> Took {
        let whole_at = self.whole_at();
        let placed = &mut self.placed[index];
        placed.deliveries += 1;
        match self.given_up {
            false => self.outcome.delivered += 1,
            true => self.late_count += 1,
        }
        let (due, whole) = (placed.due, placed.deliveries == whole_at);
        if whole {
            self.open_count -= 1;
            self.forget();
        }
        Took::Delivery { due, whole }
    }

    /// Drops what everybody has, from the front.
    fn forget(&mut self) {
        let whole_at = self.whole_at();
        while self.placed.front().is_some_and(|placed| placed.deliveries == whole_at) {
            self.placed.pop_front();
            self.placed_from += 1;
        }
        let from = self.placed_from;
        while self.sent.front().is_some_and(|sent| sent.place.is_some_and(|place| place < from)) {
            self.sent.pop_front();
            self.sent_from += 1;
        }
    }

    /// Takes a unit whose text has been read.
    pub fn text(&mut self, member: usize, unit: &[u8], text: &[u8]) -> Took {
        let name = self.name;
        let end = self.sent_from + self.sent.len() as u64;
        let Some(number) = number_of(text).filter(|number| *number < end) else {
            self.outcome.corrupt += 1;
            self.outcome.find(|| format!("room {name}: member {member} got what nobody sent"));
            return Took::Nothing;
        };
        self.scratch.clear();
        fill(&mut self.scratch, self.seed, number, self.size);
        if self.scratch != text {
            self.outcome.corrupt += 1;
            self.outcome.find(|| {
                format!("room {name}: member {member} got message {number} with other content")
            });
        }
        let place = match number.checked_sub(self.sent_from) {
            Some(index) => {
                let sent = &mut self.sent[index as usize];
                let next = self.placed_from + self.placed.len() as u64;
                let place = *sent.place.get_or_insert(next);
                if place == next {
                    let (due, unit) = (sent.due, unit.into());
                    self.placed.push_back(Placed { number, unit, deliveries: 0, due });
                    self.check_sender(number);
                    if !self.to_sender {
                        let sender = self.sender(number);
                        self.members[sender].own.push_back(place);
                        self.members[sender].advance();
                    }
                }
                place
            }
            // Everybody had it, and it was forgotten.
            None => return self.again(member, number),
        };
        self.arrive(member, number, place)
    }

    /// A message that got its place behind a later one of its sender is out of order for everybody.
    fn check_sender(&mut self, number: u64) {
        let name = self.name;
        let sender = self.sender(number);
        let newest = &mut self.newest[sender];
        if number < *newest {
            self.outcome.misordered += 1;
            let last = *newest - 1;
            self.outcome.find(|| format!("room {name}: message {last} came before {number}"));
        }
        *newest = (*newest).max(number + 1);
    }

    fn arrive(&mut self, member: usize, number: u64, place: u64) -> Took {
        let own = &self.members[member];
        if place < own.at || own.ahead.contains(&place) || own.own.contains(&place) {
            return self.again(member, number);
        }
        self.disagreed += u64::from(place > own.at);
        // One that comes behind a later one of its sender. One that never comes is only missing.
        let from = self.placed_from;
        let later = own.ahead.range(place..).map(|p| self.placed[(p - from) as usize].number);
        let sender = self.sender(number);
        if let Some(first) = later.filter(|n| *n > number && self.sender(*n) == sender).min() {
            let name = self.name;
            self.outcome.misordered += 1;
            self.outcome.find(|| {
                format!("room {name}: member {member} got message {first} before {number}")
            });
        }
        let own = &mut self.members[member];
        own.ahead.insert(place);
        own.advance();
        self.count((place - self.placed_from) as usize)
    }

    fn again(&mut self, member: usize, number: u64) -> Took {
        let name = self.name;
        self.outcome.duplicated += 1;
        self.outcome.find(|| format!("room {name}: member {member} got message {number} again"));
        Took::Nothing
    }

    /// A fault that concerns the room but no message.
    pub fn fault(&mut self, what: impl FnOnce() -> String) {
        self.outcome.broken += 1;
        self.outcome.find(what);
    }

    /// What has not come by now is missing, even if it comes later.
    pub fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Messages sent so far.
    pub fn sent_count(&self) -> u64 {
        self.sent_from + self.sent.len() as u64
    }

    /// Messages that are not with everybody.
    pub fn open_count(&self) -> u64 {
        self.open_count
    }

    /// Closes the books.
    pub fn outcome(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        let name = self.name;
        if self.late_count > 0 {
            let late = self.late_count;
            outcome.find(|| format!("room {name}: {late} deliveries came after the end"));
        }
        if let Some(index) = self.sent.iter().position(|sent| sent.place.is_none()) {
            let number = self.sent_from + index as u64;
            outcome.find(|| format!("room {name}: nobody ever got message {number}"));
        }
        for (member, own) in self.members.iter().enumerate() {
            let missed = (own.at..self.placed_from + self.placed.len() as u64)
                .find(|place| !own.ahead.contains(place) && !own.own.contains(place));
            if let Some(place) = missed {
                let number = self.placed[(place - self.placed_from) as usize].number;
                outcome.find(|| format!("room {name}: member {member} never got message {number}"));
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `members` members got, as (member, message) in turn, of `sent` messages; gives
    /// (missing, duplicated, misordered, corrupt, disagreed).
    #[track_caller]
    fn check(members: usize, sent: u64, got: &[(usize, u64)], want: (u64, u64, u64, u64, u64)) {
        check_books(Books::new(0, members, 7, 16), sent, got, want);
    }

    #[track_caller]
    fn check_books(
        mut books: Books,
        sent: u64,
        got: &[(usize, u64)],
        want: (u64, u64, u64, u64, u64),
    ) {
        for _ in 0..sent {
            books.send(5);
        }
        for &(member, number) in got {
            let mut text = Vec::new();
            fill(&mut text, 7, number, 16);
            if number >= 100 {
                // The right number with the wrong content.
                text.clear();
                fill(&mut text, 8, number - 100, 16);
            }
            if books.known(member, &text).is_none() {
                books.text(member, &text, &text);
            }
        }
        let open = books.open_count();
        let disagreed = books.disagreed;
        let outcome = books.outcome();
        let (missing, twice) = (outcome.missing(), outcome.duplicated);
        assert_eq!(
            (missing, twice, outcome.misordered, outcome.corrupt, disagreed),
            want,
            "{got:?}"
        );
        assert_eq!(open == 0, missing == 0, "{got:?}");
        assert_eq!(
            missing == 0,
            outcome.findings.iter().all(|f| !f.contains("ever got")),
            "{got:?}"
        );
    }

    #[test]
    fn faults_are_told_apart() {
        check(2, 2, &[(0, 0), (0, 1), (1, 0), (1, 1)], (0, 0, 0, 0, 0));
        // The first to get them decides on the order; here 1 came before 0, from other senders.
        check(2, 2, &[(0, 1), (0, 0), (1, 1), (1, 0)], (0, 0, 0, 0, 0));
        check(2, 2, &[(0, 0), (0, 1), (1, 1), (1, 0)], (0, 0, 0, 0, 1));
        // With one member all messages have one sender.
        check(1, 2, &[(0, 0), (0, 1)], (0, 0, 0, 0, 0));
        check(2, 3, &[(0, 0), (0, 1), (0, 2), (1, 2), (1, 0), (1, 1)], (0, 0, 1, 0, 1));
        check(2, 2, &[(0, 0), (0, 1), (1, 0)], (1, 0, 0, 0, 0));
        check(2, 2, &[(0, 0), (0, 1), (1, 1)], (1, 0, 0, 0, 1));
        check(2, 1, &[(0, 0), (0, 0), (1, 0), (1, 0)], (0, 2, 0, 0, 0));
        check(2, 1, &[(0, 0), (1, 100)], (0, 0, 0, 1, 0));
        check(2, 1, &[(0, 0), (1, 0), (1, 5)], (0, 0, 0, 1, 0));
        check(2, 1, &[], (2, 0, 0, 0, 0));
    }

    #[test]
    fn a_sender_overtaking_itself_is_misordered_for_the_first_member_too() {
        check(1, 2, &[(0, 1), (0, 0)], (0, 0, 1, 0, 0));
    }

    #[test]
    fn what_comes_when_it_was_given_up_stays_missing() {
        let mut books = Books::new(0, 1, 7, 16);
        for number in 0..2 {
            books.send(5);
            let mut text = Vec::new();
            fill(&mut text, 7, number, 16);
            books.text(0, &text, &text);
            books.give_up();
        }
        assert_eq!(books.open_count(), 0);
        let outcome = books.outcome();
        assert_eq!((outcome.expected, outcome.missing()), (2, 1));
        assert_eq!(outcome.findings, ["room 0: 1 deliveries came after the end"]);
    }

    #[test]
    fn a_sender_that_is_not_told_misses_nothing() {
        let check = |members, sent, got: &[(usize, u64)], want| {
            check_books(Books::new(0, members, 7, 16).not_to_sender(), sent, got, want);
        };
        check(2, 2, &[(1, 0), (0, 1)], (0, 0, 0, 0, 0));
        check(2, 4, &[(0, 1), (0, 3), (1, 0), (1, 2)], (0, 0, 0, 0, 0));
        check(3, 3, &[(1, 0), (0, 1), (0, 2), (2, 0), (2, 1), (1, 2)], (0, 0, 0, 0, 0));
        // The order of the room is 1, 0: what member 1 is told first stands behind its own.
        check(3, 2, &[(0, 1), (1, 0), (2, 1), (2, 0)], (0, 0, 0, 0, 0));
        check(2, 2, &[(1, 0)], (1, 0, 0, 0, 0));
        // It was told all the same: that is once too often.
        check(2, 2, &[(1, 0), (0, 0), (0, 1)], (0, 1, 0, 0, 0));
        check(3, 3, &[(0, 2), (0, 1), (1, 2), (1, 1), (1, 0), (2, 0), (2, 1)], (0, 1, 0, 0, 1));
    }
}
