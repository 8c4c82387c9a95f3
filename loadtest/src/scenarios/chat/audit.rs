//! After the run: does history hold every acked message, at the offset the ack named? Pure.

use super::ledger::Ledger;
use serde_json::Value;
use std::collections::HashMap;

/// The walk through one room's history.
#[derive(Debug)]
pub struct Audit {
    /// Offset to message number of what has not been found yet.
    wanted: HashMap<u64, u64>,
    /// The next page begins after this offset.
    after: u64,
    /// Pages read so far.
    pub page_count: u64,
    done: bool,
}

impl Audit {
    /// Looks for everything that was acked.
    pub fn new(ledger: &Ledger) -> Self {
        let wanted = ledger.acks();
        let after = wanted.keys().min().map_or(0, |first| first - 1);
        let done = wanted.is_empty();
        Self { wanted, after, page_count: 0, done }
    }

    /// Where the next page begins; `None` when the walk is over.
    pub fn next(&self) -> Option<u64> {
        (!self.done).then_some(self.after)
    }

    /// Takes the answer to a `history` request.
    pub fn page(&mut self, ledger: &mut Ledger, d: &Value) {
        self.page_count += 1;
        let before = self.after;
        for message in d["msgs"].as_array().into_iter().flatten() {
            let Some(o) = message["o"].as_u64() else {
                ledger.fault(|| format!("history holds a message without offset: {message}"));
                continue;
            };
            if o <= self.after {
                ledger.fault(|| format!("history goes back to {o}"));
            }
            self.after = self.after.max(o);
            if let Some(number) = self.wanted.remove(&o)
                && !ledger.matches(number, &message["d"])
            {
                ledger.fault(|| format!("history has something else at {o}: {message}"));
            }
        }
        // A page that brings nothing would be asked for again for ever.
        self.done = self.wanted.is_empty() || d["more"] != true || self.after == before;
        if self.done {
            self.close(ledger);
        }
    }

    /// Ends the walk: what was not found is lost.
    pub fn close(&mut self, ledger: &mut Ledger) {
        self.done = true;
        let room = ledger.room.clone();
        for (o, number) in self.wanted.drain() {
            let what = || format!("{room}: message {number}, acked as {o}, is not in history");
            ledger.fault(what);
        }
    }
}
