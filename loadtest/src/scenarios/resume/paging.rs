//! What one session fetches from history because it was not replayed. Pure.

use crate::driver::Nanos;
use serde_json::Value;

/// An event with its offset.
pub type Event = (u64, Value);

/// The way through history from where a session was to where live events go on.
///
/// Invariant: `after <= to`; while there is one, a page is under way.
#[derive(Debug)]
pub struct Paging {
    /// The session has everything up to this offset.
    after: u64,
    /// What lies beyond this offset comes live.
    to: u64,
    /// Live events that came meanwhile, and when: they follow what is paged.
    held: Vec<(u64, Value, Nanos)>,
}

impl Paging {
    /// From the event after `after` to that of offset `to`.
    pub fn new(after: u64, to: u64) -> Self {
        Self { after, to: to.max(after), held: Vec::new() }
    }

    /// Where the next page begins; `None` when nothing is left to be fetched.
    pub fn next(&self) -> Option<u64> {
        (self.after < self.to).then_some(self.after)
    }

    /// Keeps a live event for later.
    pub fn hold(&mut self, o: u64, frame: Value, now: Nanos) {
        self.held.push((o, frame, now));
    }

    /// Live events go on only beyond `to`.
    pub fn extend(&mut self, to: u64) {
        self.to = self.to.max(to);
    }

    /// Takes the answer to a `history` request; gives what it brought.
    ///
    /// A page that brings nothing would be asked for for ever: then the rest is given up, and is
    /// missing when the next event comes.
    pub fn page(&mut self, d: &Value) -> Vec<Event> {
        let (after, to) = (self.after, self.to);
        let messages = d["msgs"].as_array().into_iter().flatten();
        let events = messages.filter_map(|message| Some((message["o"].as_u64()?, message.clone())));
        // What is beyond comes live as well.
        let events: Vec<Event> = events.filter(|(o, _)| (after + 1..=to).contains(o)).collect();
        self.after = match events.iter().map(|(o, _)| *o).max() {
            Some(last) if d["more"] == true => last,
            _ => to,
        };
        events
    }

    /// The live events that were kept, in the order in which they came.
    pub fn into_held(self) -> Vec<(u64, Value, Nanos)> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pages_end_where_live_events_begin() {
        let mut paging = Paging::new(2, 6);
        check(&mut paging, &[3, 4], true, (&[3, 4], Some(4)));
        // The room went on: 7 comes live.
        check(&mut paging, &[5, 6, 7], true, (&[5, 6], None));
        check(&mut Paging::new(2, 6), &[3], false, (&[3], None));
        check(&mut Paging::new(2, 6), &[], true, (&[], None));
        // Again what it had: not fetched anew for ever.
        check(&mut Paging::new(2, 6), &[1, 2], true, (&[], None));
        assert_eq!(Paging::new(6, 6).next(), None);
        let mut longer = Paging::new(2, 3);
        longer.extend(9);
        check(&mut longer, &[3], true, (&[3], Some(3)));
    }

    /// What a page of these offsets brings, and where the next begins.
    #[track_caller]
    fn check(paging: &mut Paging, offsets: &[u64], more: bool, want: (&[u64], Option<u64>)) {
        let messages: Vec<_> = offsets.iter().map(|o| json!({"t": "msg", "o": o})).collect();
        let got = paging.page(&json!({"msgs": messages, "more": more}));
        let got: Vec<u64> = got.iter().map(|(o, _)| *o).collect();
        assert_eq!((&got[..], paging.next()), want, "{offsets:?}");
    }
}
