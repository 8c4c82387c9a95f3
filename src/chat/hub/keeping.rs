//! Owner: what commands keep in a room, the built-in ones too: counters, polls, nicks, bans.

use super::Hub;
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::limits::{COMMAND_KEY_BYTES_MAX, COMMAND_KEYS_MAX, COMMAND_VALUE_BYTES_MAX};
use crate::chat::event::{Asker, Effect, Fact, Name, Record, Refusal};
use crate::chat::request::refuse;

/// Holds who may not come in, and until when.
pub(super) const BAN: &str = "ban";
/// Holds who may not write, and until when.
pub(super) const MUTE: &str = "mute";

/// What a command keeps under `what` in a room. Its own name must not hold a space, which the name
/// of its room may.
pub(super) fn kept_key(command: &str, what: &str) -> String {
    format!("{} {what}", command.replace(' ', "\u{a0}"))
}

impl Hub {
    /// Keeps a value in a room, or nothing any more. The key begins with the command's name and a
    /// space. Gives the append that makes it durable.
    pub(super) fn keep(
        &mut self,
        now: Now,
        (name, by): (&Name, &Name),
        key: &str,
        value: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<u64, Refusal> {
        assert!(key.contains(' '));
        let room = self.rooms.get(name).expect("the caller found it");
        let too_large = |text: &str| Err(refuse(ErrorCode::TooLarge, text));
        if !value.is_empty() {
            if key.len() > COMMAND_KEY_BYTES_MAX || value.len() > COMMAND_VALUE_BYTES_MAX {
                return too_large("a command keeps up to 4 KiB under a name of up to 200 bytes");
            }
            let command = &key[..=key.find(' ').expect("asserted")];
            if room.kept(key).is_none() && room.kept_of(command).count() >= COMMAND_KEYS_MAX {
                return too_large("the command keeps as much in this room as it may");
            }
            self.check_log(key.len() + value.len())?;
        }
        if room.kept(key).unwrap_or_default() == value {
            return Ok(self.log.appends);
        }
        let room = self.rooms.get_mut(name).expect("the caller found it");
        room.set_kept(key, value);
        let fact = Fact::State { key: key.into(), value: value.into() };
        let record = Record { ts_us: now.wall_us, user: by.clone(), room: name.clone(), fact };
        Ok(self.append(record, effects))
    }

    /// Refuses what somebody says who was muted.
    pub(super) fn check_may_speak(&self, now: Now, name: &Name, by: &Asker) -> Result<(), Refusal> {
        match self.until(now, name, MUTE, &by.user) {
            Some(text) => Err(refuse(ErrorCode::Forbidden, &format!("you are muted here {text}"))),
            None => Ok(()),
        }
    }

    /// Refuses somebody who was banned.
    pub(super) fn check_not_banned(
        &self,
        now: Now,
        name: &Name,
        by: &Asker,
    ) -> Result<(), Refusal> {
        match self.until(now, name, BAN, &by.user) {
            Some(text) => Err(refuse(ErrorCode::Forbidden, &format!("you are banned here {text}"))),
            None => Ok(()),
        }
    }

    /// Until when something holds of a user, in words; `None` when it does not.
    fn until(&self, now: Now, name: &Name, what: &str, user: &str) -> Option<String> {
        let room = self.rooms.get(name).filter(|room| room.keeps_anything())?;
        let until_ms: i64 =
            room.kept(&format!("{what} {user}"))?.split(' ').next()?.parse().ok()?;
        match until_ms {
            0 => Some("until a moderator takes it back".to_owned()),
            until_ms if until_ms <= now.wall_ms() => None,
            until_ms => {
                let minutes = (until_ms - now.wall_ms()).div_euclid(60_000) + 1;
                Some(format!("for {minutes} min"))
            }
        }
    }
}
