//! Holds an own message back for the moment that the server needs to keep it. Pure.
//!
//! Printed lines cannot be changed. The `ok` follows the event by a few milliseconds as a rule, so
//! a short wait lets the line come out once, confirmed, and in its place among the others.

use super::note::{Note, Progress};
use std::collections::VecDeque;

/// Longer than this an own message does not wait: it comes out as pending.
pub const HOLD_MS: u64 = 300;

/// Notes on their way to the screen, in order.
#[derive(Debug, Default)]
pub struct Hold {
    queue: VecDeque<(Note, u64)>,
}

impl Hold {
    /// Takes one note.
    pub fn push(&mut self, note: Note, now_ms: u64) {
        if let Note::Kept { room, o } = &note
            && let Some(progress) = self.pending(room, *o)
        {
            *progress = Progress::Kept;
            return;
        }
        self.queue.push_back((note, now_ms + HOLD_MS));
    }

    /// The next note to show now.
    pub fn pop(&mut self, now_ms: u64) -> Option<Note> {
        let (note, until_ms) = self.queue.front()?;
        let pending = matches!(note, Note::Message { progress: Progress::Pending, .. });
        if pending && now_ms < *until_ms {
            return None;
        }
        self.queue.pop_front().map(|(note, _)| note)
    }

    fn pending(&mut self, name: &str, offset: u64) -> Option<&mut Progress> {
        self.queue.iter_mut().find_map(|(note, _)| match note {
            Note::Message { room, message, progress }
                if *progress == Progress::Pending && room == name && message.o == offset =>
            {
                Some(progress)
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::note::Message;
    use serde_json::json;

    fn own(o: u64) -> Note {
        let event = json!({"o": o, "ts": 0, "d": {"from": "al", "text": "x"}});
        let message = Message::read(&event, "al").expect("has an offset");
        Note::Message { room: "tea".into(), message, progress: Progress::Pending }
    }

    fn shown(hold: &mut Hold, now_ms: u64) -> Vec<String> {
        let notes = std::iter::from_fn(|| hold.pop(now_ms));
        notes
            .map(|note| match note {
                Note::Message { message, progress, .. } => format!("{} {progress:?}", message.o),
                Note::Kept { o, .. } => format!("{o} late"),
                Note::Info(text) => text,
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn waits_for_the_ok_and_keeps_the_order() {
        let mut hold = Hold::default();
        hold.push(own(1), 0);
        hold.push(Note::Info("after".into()), 10);
        assert_eq!(shown(&mut hold, 10), [""; 0]);
        hold.push(Note::Kept { room: "tea".into(), o: 1 }, 20);
        assert_eq!(shown(&mut hold, 20), ["1 Kept", "after"]);
    }

    #[test]
    fn waits_no_longer_than_it_should() {
        let mut hold = Hold::default();
        hold.push(own(1), 0);
        assert_eq!(shown(&mut hold, HOLD_MS - 1), [""; 0]);
        assert_eq!(shown(&mut hold, HOLD_MS), ["1 Pending"]);
        hold.push(Note::Kept { room: "tea".into(), o: 1 }, 500);
        assert_eq!(shown(&mut hold, 500), ["1 late"]);
    }
}
