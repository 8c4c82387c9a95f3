//! What is bound to happen later: answers, delivery statuses, ends of sessions, second thoughts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One thing to come. Users and rooms are indices of the story.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Later {
    /// An agent answers the customer's message at `question` in the conversation.
    Answer { contact: u32, question: u64 },
    /// An outbound message gets on by a step.
    Delivery { contact: u32, message: u64, step: u8 },
    /// The user's session ends.
    SessionEnd { user: u32, session: u64 },
    /// The user changes the message at `target`.
    Edit { user: u32, room: u32, target: u64 },
    /// The user withdraws the message at `target`.
    Delete { user: u32, room: u32, target: u64 },
    /// The server looks at itself.
    Metrics,
}

/// Things to come, the earliest first; those of one moment in the order in which they were put in.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<(i64, u64, Later)>>,
    count: u64,
}

impl Agenda {
    /// Puts one in.
    pub fn put(&mut self, at_us: i64, later: Later) {
        self.heap.push(Reverse((at_us, self.count, later)));
        self.count += 1;
    }

    /// Takes the earliest out, unless it is after `upto_us`.
    pub fn due(&mut self, upto_us: i64) -> Option<(i64, Later)> {
        let Reverse((at_us, ..)) = self.heap.peek()?;
        if *at_us > upto_us {
            return None;
        }
        self.heap.pop().map(|Reverse((at_us, _, later))| (at_us, later))
    }
}
