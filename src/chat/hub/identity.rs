//! Owner: one conversation for one contact, under however many ids the platform knows them.
//!
//! A room is named by the id that its first message came with, and keeps that name. Other ids of
//! the same contact lead there: each is a *link*, kept by the shard that would own the room of that
//! name, so no shard needs to know all of them.
//!
//! ```text
//!  message, ids {GB.7, 4477…} ─▶ owner of wa:1102:GB.7 ── known, or linked ──▶ into that room
//!                                   │ neither                        ▲
//!                                   └─ Seek ─▶ owner of wa:1102:4477… ┴ Found: there, or nowhere
//! ```
//!
//! While a shard seeks, what follows for the same name waits, so order is kept.

use super::Hub;
use super::inbound::{Print, external_key};
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::ids::{Address, ShardId};
use crate::base::limits::ROOM_NAME_BYTES_MAX;
use crate::base::names::{conversation_room, split_conversation};
use crate::chat::conversation::{Contact, contact_of};
use crate::chat::event::{
    Ask, Asker, ContactIds, ConversationChange, Effect, Fact, Inbound, InboundBody, Message, Name,
    Record, Refusal,
};
use crate::chat::request::refuse;

/// An item of a webhook, and who waits for it to be safe.
pub type Item = (Address, u64, Inbound);

impl Hub {
    /// Whether an item belongs elsewhere, or nobody knows yet where: then it is on its way there,
    /// and is not for this room.
    pub(super) fn leads_elsewhere(
        &mut self,
        (from, ticket, item): Item,
        print: &Print,
        effects: &mut Vec<Effect>,
    ) -> Option<Inbound> {
        if let Some(waiting) = self.seeking.get_mut(&item.room) {
            waiting.push((from, ticket, item));
            return None;
        }
        if self.is_of_here(&item, print) {
            return Some(item);
        }
        if let Some(target) = self.links.get(&item.room) {
            // What was taken in under this name before it led there is not taken again.
            if self.externals.get(external_key(&item, print)).is_some() {
                return Some(item);
            }
            let target = target.clone();
            self.pass_on((from, ticket, item), &target, effects);
            return None;
        }
        if !self.rooms.contains_key(&item.room)
            && let Some(other) = other_name(&item)
        {
            let (room, to) = (item.room.clone(), self.owner_of(&other));
            self.seeking.insert(room.clone(), vec![(from, ticket, item)]);
            let from = self.options.shard;
            self.tell(to, Message::Seek { room: other, wanted: room, from }, effects);
            return None;
        }
        Some(item)
    }

    /// An item goes to the room in which its contact's conversation is.
    fn pass_on(&mut self, item: Item, target: &Name, effects: &mut Vec<Effect>) {
        let (from, ticket, mut item) = item;
        item.room = target.clone();
        // One contact has one name in one room; in a group many people write, and an echo is ours.
        if !item.ids.is_empty() && !item.body.is_echo() {
            item.user = contact_of(target);
        }
        let (room, user) = (target.clone(), item.user.clone());
        let by = Asker { from, user, id: None, api: false };
        let ask = Ask::Inbound { ticket, item: Box::new(item) };
        self.tell(self.owner_of(&room), Message::Ask { room, by, ask }, effects);
    }

    /// Whether the room is here, or where it leads. Who its contact is stands where it leads to.
    pub(super) fn sought(
        &mut self,
        room: &Name,
        (wanted, from): (Name, ShardId),
        effects: &mut Vec<Effect>,
    ) {
        if let Some(target) = self.links.get(room).filter(|_| self.contact_id(room).is_empty()) {
            let (room, to) = (target.clone(), self.owner_of(target));
            // A name that leads to the room that is yet to be made leads nowhere.
            if room == wanted {
                self.tell(from, Message::Found { wanted, at: None }, effects);
            } else {
                self.tell(to, Message::Seek { room, wanted, from }, effects);
            }
            return;
        }
        let (_, user_id) = split_conversation(&wanted).unwrap_or_default();
        let here = self.rooms.contains_key(room) && self.is_free(room, user_id);
        let at = here.then(|| room.clone());
        self.tell(from, Message::Found { wanted, at }, effects);
    }

    /// What was sought is somewhere, or nowhere: then its room is made here.
    pub(super) fn found(
        &mut self,
        now: Now,
        wanted: &Name,
        at: Option<Name>,
        effects: &mut Vec<Effect>,
    ) {
        let items = self.seeking.remove(wanted).unwrap_or_default();
        if let Some(target) = at {
            self.link(now, wanted, &target, effects);
            for item in items {
                self.pass_on(item, &target, effects);
            }
            return;
        }
        for (from, ticket, item) in items {
            let print = Print::of_item(&item);
            self.take_inbound_here(now, (from, ticket, item), &print, effects);
        }
    }

    /// Whether the room of this name can be that of a contact with this id: a phone number is given
    /// to somebody else when it was not used for a while, and their conversations stay apart.
    pub(super) fn is_free(&self, room: &str, user_id: &str) -> bool {
        let known = self.contact_id(room);
        known.is_empty() || user_id.is_empty() || known == user_id
    }

    /// The id of the room's contact that is given to nobody else; empty when it is not known.
    fn contact_id(&self, room: &str) -> &str {
        let outside = self.rooms.get(room).and_then(|room| room.conversation.as_ref());
        outside.map_or("", |outside| &*outside.contact.user_id)
    }

    /// From now on this name leads to that room.
    pub(super) fn link(&mut self, now: Now, name: &Name, target: &Name, effects: &mut Vec<Effect>) {
        // A ring of links would lead nowhere.
        if name == target || self.links.get(name) == Some(target) {
            return;
        }
        self.links.insert(name.clone(), target.clone());
        let change = ConversationChange::Link(target.clone());
        let fact = Fact::Conversation { o: None, change };
        let (ts_us, user) = (now.wall_us, super::conversing::SERVER.into());
        self.append(Record { ts_us, user, room: name.clone(), fact }, effects);
    }

    /// This name is that of its own room from now on.
    fn unlink(&mut self, now: Now, name: &Name, effects: &mut Vec<Effect>) {
        if self.links.remove(name).is_some() {
            let change = ConversationChange::Link(name.clone());
            let fact = Fact::Conversation { o: None, change };
            let (ts_us, user) = (now.wall_us, super::conversing::SERVER.into());
            self.append(Record { ts_us, user, room: name.clone(), fact }, effects);
        }
    }

    /// Whether an item is about a message of this very room: it says where that stands, or its
    /// message is known here, wherever the contact's conversation goes on.
    fn is_of_here(&self, item: &Inbound, print: &Print) -> bool {
        let known = |message| self.externals.get(message).is_some_and(|taken| taken.o.is_some());
        match &item.body {
            InboundBody::Status { of, .. } => {
                self.rooms.contains_key(&item.room) && (of.is_some() || known(print.message()))
            }
            InboundBody::Edit { of, .. } | InboundBody::Revoke { of, .. } => {
                self.rooms.contains_key(&item.room) && known(Print::of(&item.room, of).message())
            }
            _ => false,
        }
    }

    /// Everything that is known of a contact leads to this room.
    pub(super) fn link_ids(&mut self, room: &Name, contact: &Contact, effects: &mut Vec<Effect>) {
        let Some((number, _)) = split_conversation(room) else {
            return;
        };
        let names = [&contact.user_id, &contact.wa_id].map(|id| room_of(number, id));
        for name in names.into_iter().flatten().filter(|name| name != room) {
            let (to, target) = (self.owner_of(&name), room.clone());
            let user_id = contact.user_id.clone();
            self.tell(to, Message::Alias { name, target, user_id }, effects);
        }
    }

    /// A name is one more of the contact whose room `target` is. When there is a room of that name
    /// too, of the two names the first in order goes on: whoever learns it first, and when both do
    /// at once, no two rooms lead to each other.
    pub(super) fn alias(
        &mut self,
        now: Now,
        (name, target): (Name, Name),
        user_id: Box<str>,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_free(&name, &user_id) {
            return;
        }
        if self.rooms.contains_key(&name) && name < target {
            self.unlink(now, &name, effects);
            let (to, back) = (self.owner_of(&target), (target, name));
            let (name, target) = back;
            self.tell(to, Message::Alias { name, target, user_id }, effects);
            return;
        }
        self.link(now, &name, &target, effects);
    }

    /// The platform says that a contact has other ids now.
    pub(super) fn relinked(
        &mut self,
        now: Now,
        room: &Name,
        ids: ContactIds,
        effects: &mut Vec<Effect>,
    ) {
        self.know_contact(now, room, &Contact::new(ids, "".into()), effects);
    }

    /// Forgets which names lead to a contact.
    pub(super) fn forget_links(&mut self, contact: &str) {
        let theirs = |name: &str| split_conversation(name).is_some_and(|(_, with)| with == contact);
        self.links.retain(|name, target| !theirs(name) && !theirs(target));
    }

    /// Refuses what is meant for a conversation that goes on elsewhere, and says where.
    pub(super) fn check_goes_on_here(&self, name: &str) -> Result<(), Refusal> {
        let Some(target) = self.goes_on_in(name) else { return Ok(()) };
        let text = format!("this contact's conversation is {target}");
        Err(refuse(ErrorCode::Gone, &text))
    }

    /// Where the conversation of a name goes on, if not in the room of that name.
    pub(super) fn goes_on_in(&self, name: &str) -> Option<&Name> {
        self.links.get(name)
    }
}

/// The other room in which the contact of an item may have been before: that of their phone number,
/// when the item is placed by the id that came later.
fn other_name(item: &Inbound) -> Option<Name> {
    // A report on a message of ours says nothing new of its contact.
    if matches!(item.body, InboundBody::Status { .. }) {
        return None;
    }
    let known_as = match &item.body {
        InboundBody::Relink { previous, .. } => previous,
        _ => &item.ids,
    };
    let (number, _) = split_conversation(&item.room)?;
    room_of(number, known_as.wa_id.as_deref()?).filter(|name| *name != item.room)
}

fn room_of(number: &str, id: &str) -> Option<Name> {
    let fits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    let name = conversation_room(number, id);
    (fits && name.len() <= ROOM_NAME_BYTES_MAX).then_some(name)
}
