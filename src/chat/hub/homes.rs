//! Home: who has which sessions, and how users are.

use super::Hub;
use crate::base::clock::Now;
use crate::base::codes::CloseReason;
use crate::base::ids::Address;
use crate::base::limits::USERS_PER_SHARD_KEPT;
use crate::chat::event::{Effect, Frame, Message, Name, Secret, Wellbeing};
use crate::chat::home::{Admission, User};

impl Hub {
    pub(super) fn home_of(&mut self, user: &Name) -> &mut User {
        self.users.entry(user.clone()).or_default()
    }

    /// Tells all sessions of a user something that is no room's affair.
    pub(super) fn whisper_to_all(&mut self, user: &Name, frame: &Frame, effects: &mut Vec<Effect>) {
        let addresses = self.users.get(user).map(|user| user.addresses().collect::<Vec<_>>());
        for to in addresses.unwrap_or_default() {
            self.answer(to, frame.clone(), effects);
        }
    }

    pub(super) fn admit(
        &mut self,
        from: Address,
        user: Name,
        resume: Option<Secret>,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_barred(&user) {
            let unwelcome = Message::Unwelcome { to: from.conn, reason: CloseReason::Erased };
            return self.tell(from.shard, unwelcome, effects);
        }
        let secret = self.new_secret();
        let sessions_max = self.options.sessions_per_user_max;
        let to = from.conn;
        match self.home_of(&user).begin(from, secret, resume, sessions_max) {
            Admission::New => self.tell(from.shard, Message::Welcome { to, secret }, effects),
            Admission::TakesOver(old) => {
                let replaced = Message::Replaced { conn: old.conn, reason: CloseReason::Replaced };
                self.tell(old.shard, replaced, effects);
                self.tell(from.shard, Message::Welcome { to, secret }, effects);
            }
            Admission::Full => {
                let reason = CloseReason::ConnectionLimit;
                self.tell(from.shard, Message::Unwelcome { to, reason }, effects);
            }
        }
    }

    pub(super) fn goodbye(&mut self, now: Now, from: Address, user: &Name) {
        let known = self.users.len();
        let home = self.home_of(user);
        home.end(from, now.wall_ms());
        // In development mode names are free, and a stranger may bring a new one each time.
        if known > USERS_PER_SHARD_KEPT && !home.is_online() && !home.has_status() {
            self.users.remove(user);
        }
    }

    pub(super) fn tell_status(
        &mut self,
        from: Address,
        query: u32,
        user: Name,
        effects: &mut Vec<Effect>,
    ) {
        let known = self.users.get(&user);
        let status = Wellbeing {
            online: known.is_some_and(User::is_online),
            status: known.map(User::status).unwrap_or_default(),
            seen_ms: known.map_or(0, |user| user.seen_ms),
        };
        self.tell(from.shard, Message::TellStatus { to: from.conn, query, user, status }, effects);
    }
}
