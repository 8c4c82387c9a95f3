//! A user as its home knows it: all sessions, on whatever shard.

use super::event::{Secret, Status};
use crate::base::ids::Address;

/// One user.
#[derive(Debug, Default)]
pub struct User {
    /// Live sessions with the secrets that take them over.
    sessions: Vec<(Address, Secret)>,
    /// What it says of itself; most say nothing.
    status: Option<Box<Status>>,
    /// End of its last session, ms since 1970; 0 when not known.
    pub seen_ms: i64,
}

/// The answer to a `hello`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// Welcome.
    New,
    /// Welcome; that connection is replaced.
    TakesOver(Address),
    /// Too many sessions.
    Full,
}

impl User {
    /// What it says of itself.
    pub fn status(&self) -> Status {
        self.status.as_deref().cloned().unwrap_or_default()
    }

    /// Whether it says anything of itself.
    pub fn has_status(&self) -> bool {
        self.status.is_some()
    }

    /// It says something else of itself.
    pub fn set_status(&mut self, status: Status) {
        self.status = (status != Status::default()).then(|| Box::new(status));
    }

    /// Where its sessions are.
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.sessions.iter().map(|(address, _)| *address)
    }

    /// Whether a session is live.
    pub fn is_online(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// A session begins at `from` and will be known by `secret`. `resume` is the secret of the one
    /// it replaces.
    pub fn begin(
        &mut self,
        from: Address,
        secret: Secret,
        resume: Option<Secret>,
        sessions_max: usize,
    ) -> Admission {
        let old = resume.and_then(|secret| self.sessions.iter().position(|s| s.1 == secret));
        let replaced = old.map(|index| self.sessions.swap_remove(index).0);
        if self.sessions.len() >= sessions_max {
            return Admission::Full;
        }
        if self.sessions.is_empty() {
            self.sessions.reserve_exact(1);
        }
        self.sessions.push((from, secret));
        replaced.map_or(Admission::New, Admission::TakesOver)
    }

    /// The session at `from` ended; a replaced one is not found and changes nothing.
    pub fn end(&mut self, from: Address, now_ms: i64) {
        if let Some(index) = self.sessions.iter().position(|(address, _)| *address == from) {
            self.sessions.swap_remove(index);
            self.seen_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{ConnId, ShardId};

    fn at(index: u32) -> Address {
        Address { shard: ShardId(0), conn: ConnId { index, generation: 1 } }
    }

    #[test]
    fn a_secret_takes_over_and_works_once() {
        let mut user = User::default();
        let (first, second, third) = (Secret([1; 16]), Secret([2; 16]), Secret([3; 16]));
        assert_eq!(user.begin(at(1), first, None, 2), Admission::New);
        assert_eq!(user.begin(at(2), second, Some(first), 2), Admission::TakesOver(at(1)));
        assert_eq!(user.begin(at(3), third, Some(first), 2), Admission::New);
        assert_eq!(user.begin(at(4), first, None, 2), Admission::Full);
        user.end(at(1), 5);
        assert_eq!(user.seen_ms, 0);
        user.end(at(2), 6);
        user.end(at(3), 7);
        assert!(!user.is_online());
        assert_eq!(user.seen_ms, 7);
    }
}
