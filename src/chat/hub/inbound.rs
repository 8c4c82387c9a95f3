//! Owner: items of a platform that are news, each written into its room by its kind.

use super::Hub;
use super::owner::{Post, event, external_key_of};
use crate::base::clock::Now;
use crate::base::ids::Offset;
use crate::chat::conversation::Contact;
use crate::chat::dedup::Taken;
use crate::chat::event::{ContactIds, Direction, Effect, Fact, Inbound, InboundBody, Name, Source};
use crate::chat::extra::Extra;
use crate::chat::reply;
use serde_json::value::RawValue;

/// A message whose own time is so long ago came late, and the log keeps both times.
const LATE_MS: i64 = 60_000;

/// What an item shows in its room.
struct Shown {
    text: Box<str>,
    content: Option<Box<str>>,
    about: Option<Box<str>>,
}

impl Hub {
    /// Takes in an item that was not seen before. The caller has made the room and checked the log.
    pub(super) fn take_item(
        &mut self,
        now: Now,
        item: Inbound,
        effects: &mut Vec<Effect>,
    ) -> Taken {
        let Inbound { room, user, ids, external, body } = item;
        match body {
            InboundBody::Message { name, text, at_ms, content, about } => {
                let arrived_ms = now.wall_ms();
                // A clock that is ahead of ours opens no window for longer.
                let at_ms = at_ms.unwrap_or(arrived_ms).min(arrived_ms);
                let late = arrived_ms - at_ms > LATE_MS;
                let shown = Shown { text, content, about };
                let mut post = self.inbound_post(&room, &user, external.clone(), shown);
                post.name = name.clone();
                post.extra.at = late.then_some(at_ms);
                let taken = self.post_inbound(now, &room, post, effects);
                let at = (at_ms, taken.o.expect("a message"));
                self.contact_wrote(now, &room, at, &external, effects);
                if !ids.is_empty() {
                    self.know_contact(now, &room, &Contact::new(&ids, name), effects);
                }
                taken
            }
            InboundBody::Echo { text, content, about } => {
                let shown = Shown { text, content, about };
                let mut post = self.inbound_post(&room, &user, external, shown);
                post.direction = Direction::Out;
                let source = post.source;
                let taken = self.post_inbound(now, &room, post, effects);
                self.we_wrote(now, &room, source, Direction::Out, effects);
                taken
            }
            InboundBody::Edit { of, text, content, is_echo } => {
                if let Some(taken) = self.take_edit(now, (&room, &user), &of, &text, effects) {
                    return taken;
                }
                let text = format!("[edited] {text}").into();
                let shown = Shown { text, content: Some(content), about: Some(of) };
                self.post_change(now, (&room, &user), external, (shown, is_echo), effects)
            }
            InboundBody::Revoke { of, text, content, is_echo } => {
                if let Some(taken) = self.take_revoke(now, (&room, &user), &of, effects) {
                    return taken;
                }
                let shown = Shown { text, content: Some(content), about: Some(of) };
                self.post_change(now, (&room, &user), external, (shown, is_echo), effects)
            }
            InboundBody::Relink { text, content, .. } => {
                self.relinked(now, &room, &ids, effects);
                self.post_notice(now, (&room, &user), external, (text, content), effects)
            }
            InboundBody::Notice { text, content } => {
                self.post_notice(now, (&room, &user), external, (text, content), effects)
            }
            InboundBody::Status { of, status, error, extra } => {
                // Who sent it from elsewhere gave it no name of ours.
                let of = of.or_else(|| self.position_of(&room, &external));
                let news = reply::Delivery { of, external: &external, status: &status, error };
                let append = self.told(now, &room, user, (news, extra), effects);
                if of.is_some() {
                    self.note_external(&room, &external, Taken { append, o: of }, now.wall_ms());
                }
                Taken { append, o: None }
            }
        }
    }

    /// A message of the contact; what differs is changed by the caller.
    fn inbound_post<'a>(
        &self,
        room: &Name,
        user: &'a Name,
        external: Box<str>,
        shown: Shown,
    ) -> Post<'a> {
        let Shown { text, content, about } = shown;
        let content = content.map(|json| {
            RawValue::from_string(json.into()).expect("whoever reads the platform writes JSON")
        });
        Post {
            reply: about.as_deref().and_then(|about| self.position_of(room, about)),
            external,
            extra: Extra { content, about, at: None },
            ..Post::plain(user, text, Source::WhatsApp, Direction::In)
        }
    }

    fn post_inbound(
        &mut self,
        now: Now,
        room: &Name,
        post: Post<'_>,
        effects: &mut Vec<Effect>,
    ) -> Taken {
        let (o, append) = self.post(now, room, post, effects);
        Taken { append, o: Some(o) }
    }

    /// A change of what is not known here is a message by whoever changed it.
    fn post_change(
        &mut self,
        now: Now,
        (room, user): (&Name, &Name),
        external: Box<str>,
        (shown, is_echo): (Shown, bool),
        effects: &mut Vec<Effect>,
    ) -> Taken {
        let mut post = self.inbound_post(room, user, external, shown);
        post.direction = if is_echo { Direction::Out } else { Direction::In };
        self.post_inbound(now, room, post, effects)
    }

    /// What the platform itself says, which goes to nobody outside.
    fn post_notice(
        &mut self,
        now: Now,
        (room, user): (&Name, &Name),
        external: Box<str>,
        (text, content): (Box<str>, Box<str>),
        effects: &mut Vec<Effect>,
    ) -> Taken {
        let shown = Shown { text, content: Some(content), about: None };
        let mut post = self.inbound_post(room, user, external, shown);
        (post.source, post.direction) = (Source::System, Direction::Internal);
        self.post_inbound(now, room, post, effects)
    }

    /// A new text for a message that is in memory; `None` when it is not, or is not the user's.
    fn take_edit(
        &mut self,
        now: Now,
        (name, user): (&Name, &Name),
        external: &str,
        text: &str,
        effects: &mut Vec<Effect>,
    ) -> Option<Taken> {
        let of = self.position_of(name, external)?;
        let seen = Taken { append: self.log.appends, o: Some(of) };
        let room = self.rooms.get_mut(name).expect("the caller found it");
        let o = room.tail.top().next();
        let entry = room.tail.get_mut(of).filter(|entry| entry.author.as_ref() == Some(user))?;
        let current = entry.latest.as_ref().unwrap_or(&entry.frame);
        let shown = reply::read_msg(current).and_then(|msg| msg.text);
        // Taken back since, or told again after a restart.
        if entry.deleted || shown.as_deref() == Some(text) {
            return Some(seen);
        }
        let version = entry.version + 1;
        entry.latest = reply::msg_edited(current, text, version, now.wall_ms());
        entry.version = version;
        let frame = reply::edit(name, (o, now.wall_ms()), (of, version), user, text);
        let fact = Fact::Edit { o, of, version, text: text.into() };
        let append = self.commit(now, name, user.clone(), event(frame), (fact, None), effects);
        Some(Taken { append, o: Some(of) })
    }

    /// Takes a message back; `None` when it is not known, or is not the user's.
    fn take_revoke(
        &mut self,
        now: Now,
        (name, user): (&Name, &Name),
        external: &str,
        effects: &mut Vec<Effect>,
    ) -> Option<Taken> {
        let of = self.position_of(name, external)?;
        let seen = Taken { append: self.log.appends, o: Some(of) };
        let room = self.rooms.get_mut(name).expect("the caller found it");
        let o = room.tail.top().next();
        // What has left memory is taken back all the same: the platform knows whose it is.
        if let Some(entry) = room.tail.get_mut(of) {
            if entry.author.as_ref() != Some(user) {
                return None;
            }
            if entry.deleted {
                return Some(seen);
            }
            let current = entry.latest.as_ref().unwrap_or(&entry.frame);
            entry.latest = reply::msg_deleted(current);
            entry.deleted = true;
        }
        let frame = reply::delete(name, (o, now.wall_ms()), of, user);
        let fact = Fact::Delete { o, of };
        let append = self.commit(now, name, user.clone(), event(frame), (fact, None), effects);
        Some(Taken { append, o: Some(of) })
    }

    /// Where a message of the platform stands in the room, if that is remembered.
    pub(super) fn position_of(&self, room: &str, external: &str) -> Option<Offset> {
        self.externals.get(external_key_of(room, external, "", ""))?.o
    }

    /// Remembers where a message that the platform names stands in the room.
    pub(super) fn note_external(&mut self, room: &str, external: &str, taken: Taken, now_ms: i64) {
        if !external.is_empty() {
            let key = external_key_of(room, external, "", "");
            self.externals.insert(key, taken, now_ms);
        }
    }
}

impl Inbound {
    /// Bytes of text in the largest record that comes of it.
    pub(super) fn text_bytes(&self) -> usize {
        let some = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let body = match &self.body {
            InboundBody::Message { name, text, content, about, .. } => {
                name.len() + text.len() + some(content) + some(about)
            }
            InboundBody::Echo { text, content, about } => text.len() + some(content) + some(about),
            InboundBody::Edit { of, text, content, .. }
            | InboundBody::Revoke { of, text, content, .. } => {
                of.len() + text.len() + content.len()
            }
            InboundBody::Relink { text, content, .. } | InboundBody::Notice { text, content } => {
                text.len() + content.len()
            }
            InboundBody::Status { status, extra, .. } => status.len() + extra.len(),
        };
        body + self.external.len() + self.room.len() + self.user.len()
    }
}

impl ContactIds {
    /// Whether the platform said nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What makes an item the same item: its room and id, and for a status also what it says of whom.
pub(super) fn external_key(item: &Inbound) -> u128 {
    let status = match &item.body {
        InboundBody::Status { status, .. } => status,
        _ => "",
    };
    external_key_of(&item.room, &item.external, status, &item.user)
}
