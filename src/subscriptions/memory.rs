//! What a subscription must not forget over a restart, and the files that hold it.

use super::state::Dead;
use serde::{Deserialize, Serialize};

/// What is kept. Holds places in the log and no text of it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// Everything in the log before this was taken, or is a dead letter.
    pub(super) cursor: u64,
    /// The end of a batch that failed and is told again.
    pub(super) until: Option<u64>,
    /// Failures of that batch.
    pub(super) attempt_count: u32,
    /// When it is told again, ms since 1970.
    pub(super) retry_at_ms: Option<i64>,
    /// The receiver wants nothing any more, until the definition changes.
    pub(super) gone: Option<String>,
    /// Version of the definition that all this is about.
    pub(super) version: u64,
    /// Number of the newest dead letter.
    pub(super) last_dead_id: u64,
    /// In a file of their own.
    #[serde(skip)]
    pub(super) dead: Vec<Dead>,
}

impl Memory {
    /// Reads both files; `None` when there is no cursor that can be read.
    pub(super) fn read(cursor: Option<String>, dead: Option<String>) -> Option<Self> {
        let mut memory: Self = serde_json::from_str(&cursor?).ok()?;
        memory.dead = dead.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        // The letters are written first.
        let newest = memory.dead.iter().map(|dead| dead.id).max().unwrap_or(0);
        memory.last_dead_id = memory.last_dead_id.max(newest);
        let is_dead = |dead: &Dead| (dead.from..dead.next).contains(&memory.cursor);
        if let Some(next) = memory.dead.iter().filter(|dead| is_dead(dead)).map(|d| d.next).max() {
            memory.advance(next);
        }
        Some(memory)
    }

    /// Forgets what the log has lost: records of `begin` and later are others than it knew. Says
    /// whether there was any.
    pub(super) fn cut(&mut self, begin: u64) -> bool {
        let before = self.dead.len();
        self.dead.retain(|dead| dead.from < begin);
        let mut is_cut = self.dead.len() < before;
        for dead in self.dead.iter_mut().filter(|dead| dead.next > begin) {
            (dead.next, is_cut) = (begin, true);
        }
        // One that ends with the log would end with what comes, and no more be what it was.
        if self.cursor > begin || self.until.is_some_and(|until| until > begin) {
            self.cursor = self.cursor.min(begin);
            self.advance(self.cursor);
            is_cut = true;
        }
        is_cut
    }

    /// What the file of the cursor holds.
    pub(super) fn cursor_text(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts")
    }

    pub(super) fn next_dead_id(&mut self) -> u64 {
        self.last_dead_id += 1;
        self.last_dead_id
    }

    /// Everything before `next` is done.
    pub(super) fn advance(&mut self, next: u64) {
        assert!(next >= self.cursor);
        self.cursor = next;
        self.until = None;
        self.attempt_count = 0;
        self.retry_at_ms = None;
    }

    /// The definition changed: what failed by the old one is tried at once by the new.
    pub(super) fn renew(&mut self, version: u64) {
        self.version = version;
        self.gone = None;
        let cursor = self.cursor;
        self.advance(cursor);
    }
}

/// What the file of dead letters holds.
pub(super) fn dead_text(dead: &[Dead]) -> String {
    serde_json::to_string(dead).expect("numbers and texts")
}
