//! What a handler has done so far, for the API and `/metrics`.

/// Counters of one handler on one shard since its start. They survive a change of the definition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Occasions on which its conditions held.
    pub matched: u64,
    /// Those on which it did something.
    pub fired: u64,
    /// Those on which its limits, or those of all, kept it from that.
    pub limited: u64,
    /// Answers to its questions.
    pub answered: u64,
    /// Questions that nobody answered in time or well enough.
    pub unanswered: u64,
    /// Calls that were answered or failed.
    pub calls: u64,
    /// How long these took together, ms.
    pub calls_ms: u64,
    /// Actions and calls that failed.
    pub failed: u64,
    /// When it last did something, ms since 1970; 0: never.
    pub fired_at_ms: i64,
    /// When something last failed, ms since 1970; 0: never.
    pub failed_at_ms: i64,
    /// What that was, for people.
    pub last_error: Box<str>,
}

impl Counts {
    /// Adds those of another shard.
    pub fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.fired += other.fired;
        self.limited += other.limited;
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.calls += other.calls;
        self.calls_ms += other.calls_ms;
        self.failed += other.failed;
        self.fired_at_ms = self.fired_at_ms.max(other.fired_at_ms);
        if other.failed_at_ms > self.failed_at_ms {
            self.failed_at_ms = other.failed_at_ms;
            self.last_error.clone_from(&other.last_error);
        }
    }

    /// Notes a failure.
    pub(super) fn fail(&mut self, now_ms: i64, why: &str) {
        self.failed += 1;
        self.failed_at_ms = now_ms;
        self.last_error = why[..why.floor_char_boundary(ERROR_BYTES_MAX)].into();
    }
}

/// Bytes of an error that are kept.
const ERROR_BYTES_MAX: usize = 512;
