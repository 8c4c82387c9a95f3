//! Owner: items of a platform that are news, each written into its room by its kind.

use super::Hub;
use super::owner::{Post, event};
use crate::base::clock::Now;
use crate::base::ids::Offset;
use crate::chat::conversation::Contact;
use crate::chat::dedup::Taken;
use crate::chat::event::{ContactIds, Direction, Effect, Fact, Inbound, InboundBody, Name, Source};
use crate::chat::extra::Extra;
use crate::chat::reply;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::cell::OnceCell;

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
        print: &Print,
        effects: &mut Vec<Effect>,
    ) -> Taken {
        let Inbound { room, user, ids, external, body } = item;
        match body {
            InboundBody::Message { name, text, at_ms, content, about } => {
                let shown = Shown { text, content, about };
                let who = (&room, &user, ids);
                self.take_letter(now, who, (external, name, at_ms), shown, effects)
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
                self.relinked(now, &room, ids, effects);
                self.post_notice(now, (&room, &user), external, (text, content), effects)
            }
            InboundBody::Notice { text, content } => {
                self.post_notice(now, (&room, &user), external, (text, content), effects)
            }
            InboundBody::Status { of, status, error, extra } => {
                let news = reply::Delivery { of, external: &external, status: &status, error };
                self.take_status(now, (&room, user), (news, print, extra), effects)
            }
        }
    }

    /// A message of the contact, and what is done at its word.
    fn take_letter(
        &mut self,
        now: Now,
        (room, user, ids): (&Name, &Name, ContactIds),
        (external, name, at_ms): (Box<str>, Box<str>, Option<i64>),
        shown: Shown,
        effects: &mut Vec<Effect>,
    ) -> Taken {
        let arrived_ms = now.wall_ms();
        // A clock that is ahead of ours opens no window for longer.
        let at_ms = at_ms.unwrap_or(arrived_ms).min(arrived_ms);
        let late = arrived_ms - at_ms > LATE_MS;
        let line = shown.text.starts_with('/').then(|| shown.text.clone());
        let outside = self.rooms[room].conversation.as_ref();
        let is_known =
            ids.is_empty() || outside.is_some_and(|outside| outside.contact.knows(&ids, &name));
        let contact = (!is_known).then(|| Contact::new(ids, name.clone()));
        let mut post = self.inbound_post(room, user, external.clone(), shown);
        post.name = name;
        post.extra.at = late.then_some(at_ms);
        let taken = self.post_inbound(now, room, post, effects);
        let at = (at_ms, taken.o.expect("a message"));
        self.contact_wrote(now, room, at, external, effects);
        if let Some(contact) = contact {
            self.know_contact(now, room, &contact, effects);
        }
        if let Some(line) = line {
            self.contact_commands(now, (room, user), &line, effects);
        }
        taken
    }

    fn take_status(
        &mut self,
        now: Now,
        (room, user): (&Name, Name),
        (news, print, extra): (reply::Delivery<'_>, &Print, Box<str>),
        effects: &mut Vec<Effect>,
    ) -> Taken {
        // Who sent it from elsewhere gave it no name of ours.
        let of = news.of.or_else(|| self.externals.get(print.message())?.o);
        let news = reply::Delivery { of, ..news };
        let append = self.told(now, room, user, (news, print, extra), effects);
        if of.is_some() && !news.external.is_empty() {
            self.externals.insert(print.message(), Taken { append, o: of }, now.wall_ms());
        }
        Taken { append, o: None }
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
        self.externals.get(Print::of(room, external).message())?.o
    }

    /// Remembers where a message that the platform names stands in the room.
    pub(super) fn note_external(&mut self, room: &str, external: &str, taken: Taken, now_ms: i64) {
        if !external.is_empty() {
            let key = Print::of(room, external).message();
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
pub(super) fn external_key(item: &Inbound, print: &Print) -> u128 {
    match &item.body {
        InboundBody::Status { status, .. } => print.status(status, &item.user),
        _ => print.message(),
    }
}

/// Prints of what a platform says by one id in one room. Snapshots have them, and strangers choose
/// ids: so they are of a digest in which nobody finds two with one print.
pub(super) struct Print {
    begun: Sha256,
    message: OnceCell<u128>,
}

impl Print {
    pub(super) fn of(room: &str, external: &str) -> Self {
        let mut begun = Sha256::new();
        digest(&mut begun, room, external);
        Self { begun, message: OnceCell::new() }
    }

    pub(super) fn of_item(item: &Inbound) -> Self {
        Self::of(&item.room, &item.external)
    }

    /// The message itself.
    pub(super) fn message(&self) -> u128 {
        *self.message.get_or_init(|| self.finish("", ""))
    }

    /// A status of it, by a user.
    pub(super) fn status(&self, status: &str, user: &str) -> u128 {
        if status.is_empty() { self.message() } else { self.finish(status, user) }
    }

    fn finish(&self, status: &str, user: &str) -> u128 {
        let mut begun = self.begun.clone();
        digest(&mut begun, status, user);
        let digest = begun.finalize();
        u128::from_le_bytes(digest[..16].try_into().expect("a digest has 32 bytes"))
    }
}

/// Two texts, each behind its length.
fn digest(into: &mut Sha256, first: &str, second: &str) {
    let mut joined = [0; 160];
    let [first_len, second_len] = [first, second].map(|text| (text.len() as u64).to_le_bytes());
    let parts = [&first_len, first.as_bytes(), &second_len, second.as_bytes()];
    let mut len = 0;
    for part in parts {
        let Some(place) = joined.get_mut(len..len + part.len()) else {
            return parts.iter().for_each(|part| into.update(part));
        };
        place.copy_from_slice(part);
        len += part.len();
    }
    into.update(&joined[..len]);
}
