//! The inbox: which conversations there are, and questions about them.

use super::conversation::Conversation;
use super::event::{Address, ConversationState, Name};
use crate::base::ids::Offset;
use crate::base::names::split_conversation;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Which conversations somebody wants to see.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<ConversationState>,
    /// Somebody is in charge; empty: nobody is.
    pub assignee: Option<Name>,
    /// With this tag.
    pub tag: Option<Box<str>>,
    /// With this number of ours.
    pub number: Option<Box<str>>,
    /// The contact waits for an answer since before this moment, ms since 1970.
    pub waiting_before_ms: Option<i64>,
}

/// A page of the inbox: newest activity first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// Which.
    pub filter: Filter,
    /// Only what comes behind this place.
    pub after: Option<Place>,
    /// At most so many.
    pub limit: usize,
    /// For whom: what they have not read is counted.
    pub user: Name,
}

/// Where a conversation stands in the inbox: when it was last active, and its room.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// ms since 1970.
    pub active_ms: i64,
    /// The room.
    pub room: Name,
}

impl Place {
    /// As clients see it.
    pub fn text(&self) -> String {
        format!("{}:{}", self.active_ms, self.room)
    }

    /// Reads [`Place::text`].
    pub fn parse(text: &str) -> Option<Self> {
        let (active_ms, room) = text.split_once(':')?;
        Some(Self { active_ms: active_ms.parse().ok()?, room: room.into() })
    }
}

/// What one shard found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// Conversations by place, the newest first.
    pub found: Vec<(Place, Value)>,
    /// Where the shard stopped although there are more.
    pub more: Option<Place>,
}

/// A question that waits for shards.
#[derive(Debug)]
pub struct Asked {
    /// Who asks, and by which request.
    pub by: (Address, Option<u32>),
    /// At most so many.
    pub limit: usize,
    /// Shards that have not answered.
    pub waiting: usize,
    /// What the others found.
    pub pages: Vec<Page>,
}

impl Asked {
    /// The `d` of the answer. What stands behind the place at which some shard stopped is left for
    /// the next page, so that nothing is passed over.
    pub fn value(self) -> Value {
        let stopped = self.pages.iter().filter_map(|page| page.more.clone()).max();
        let mut all: Vec<_> = self.pages.into_iter().flat_map(|page| page.found).collect();
        all.sort_by(|(a, _), (b, _)| b.cmp(a));
        let reached = stopped.as_ref();
        all.retain(|(place, _)| reached.is_none_or(|reached| place >= reached));
        let cut = all.len() > self.limit;
        all.truncate(self.limit);
        let mut d = json!({"more": cut || stopped.is_some()});
        let last = all.last().map(|(place, _)| place.clone());
        if let Some(after) = if cut { last } else { stopped.or(last) } {
            d["after"] = after.text().into();
        }
        d["conversations"] = all.into_iter().map(|(_, value)| value).collect();
        d
    }
}

/// All conversations of a shard by activity.
#[derive(Debug, Default)]
pub struct Inbox {
    places: BTreeSet<Place>,
    /// Conversations that changed since they were placed.
    pub dirty: Vec<Name>,
}

impl Inbox {
    /// Notes that a conversation changed.
    pub fn mark(&mut self, room: &Name, conversation: &mut Conversation) {
        if !conversation.in_dirty_list {
            conversation.in_dirty_list = true;
            self.dirty.push(room.clone());
        }
    }

    /// Puts a conversation where it belongs now.
    pub fn place(&mut self, room: &Name, conversation: &mut Conversation) {
        conversation.in_dirty_list = false;
        let place = |active_ms| Place { active_ms, room: room.clone() };
        if let Some(placed_ms) = conversation.placed_ms {
            if placed_ms == conversation.active_ms {
                return;
            }
            self.places.remove(&place(placed_ms));
        }
        self.places.insert(place(conversation.active_ms));
        conversation.placed_ms = Some(conversation.active_ms);
    }

    /// Takes a room out that is no conversation any more.
    pub fn remove(&mut self, place: &Place) {
        self.places.remove(place);
    }

    /// Places behind `after`, the newest first.
    pub fn behind(&self, after: Option<&Place>) -> impl Iterator<Item = &Place> {
        let end = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.places.range::<Place, _>((std::ops::Bound::Unbounded, end)).rev()
    }
}

impl Filter {
    /// Whether a conversation is one of those.
    pub fn fits(&self, room: &str, conversation: &Conversation) -> bool {
        let assignee = conversation.assignee.as_deref().unwrap_or_default();
        let number = split_conversation(room).unwrap_or_default().0;
        self.state.is_none_or(|state| state == conversation.state)
            && self.assignee.as_ref().is_none_or(|wanted| **wanted == *assignee)
            && self.tag.as_ref().is_none_or(|tag| conversation.tags.contains(tag))
            && self.number.as_ref().is_none_or(|wanted| **wanted == *number)
            && self.waiting_before_ms.is_none_or(|before_ms| {
                conversation.waiting_ms.is_some_and(|since_ms| since_ms <= before_ms)
            })
    }
}

/// A conversation as everybody sees it. `read` is what the asking user has read, if one asks.
pub fn value(
    room: &str,
    conversation: &Conversation,
    (topic, top): (&str, Offset),
    read: Option<Offset>,
) -> Value {
    let (number, _) = split_conversation(room).unwrap_or_default();
    let mut value = Map::new();
    let mut put = |key: &str, field: Value| value.insert(key.to_owned(), field);
    put("room", room.into());
    put("number", number.into());
    put("contact", serde_json::to_value(&conversation.contact).expect("texts"));
    put("state", conversation.state.name().into());
    put("assignee", conversation.assignee.as_deref().map_or(Value::Null, Value::from));
    put("tags", conversation.tags.iter().map(|tag| Value::from(&**tag)).collect());
    put("o", top.0.into());
    put("active", conversation.active_ms.into());
    put("window_until", conversation.window_until_ms().into());
    let since = |at_ms: Option<i64>| at_ms.map(|at_ms| (at_ms - conversation.opened_ms).max(0));
    let optional = [
        ("waiting_since", conversation.waiting_ms),
        ("opened", Some(conversation.opened_ms).filter(|at_ms| *at_ms != 0)),
        ("first_response_ms", since(conversation.responded_ms)),
        ("resolution_ms", since(conversation.resolved_ms)),
    ];
    for (key, field) in optional {
        if let Some(field) = field {
            put(key, field.into());
        }
    }
    if !topic.is_empty() {
        put("topic", topic.into());
    }
    if let Some(read) = read {
        put("unread", conversation.unread(read).into());
    }
    Value::Object(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(active_ms: i64, room: &str) -> Place {
        Place { active_ms, room: room.into() }
    }

    #[test]
    fn the_inbox_is_in_order_of_activity() {
        let mut inbox = Inbox::default();
        let active = |active_ms| {
            let mut conversation = Conversation::default();
            conversation.active_ms = active_ms;
            conversation
        };
        let (mut one, mut two) = (active(5), active(7));
        inbox.place(&"wa:1:one".into(), &mut one);
        inbox.place(&"wa:1:two".into(), &mut two);
        let rooms = |inbox: &Inbox, after: Option<Place>| -> Vec<String> {
            inbox.behind(after.as_ref()).map(|place| place.room.to_string()).collect()
        };
        assert_eq!(rooms(&inbox, None), ["wa:1:two", "wa:1:one"]);
        one.active_ms = 9;
        inbox.place(&"wa:1:one".into(), &mut one);
        assert_eq!(rooms(&inbox, None), ["wa:1:one", "wa:1:two"]);
        assert_eq!(rooms(&inbox, Some(place(9, "wa:1:one"))), ["wa:1:two"]);
        assert_eq!(Place::parse(&place(9, "wa:1:x").text()), Some(place(9, "wa:1:x")));
    }

    #[test]
    fn pages_of_shards_are_joined_without_a_hole() {
        let page = |places: &[i64], more: Option<i64>| Page {
            found: places.iter().map(|at| (place(*at, "r"), json!(at))).collect(),
            more: more.map(|at| place(at, "r")),
        };
        let address = Address {
            shard: crate::base::ids::ShardId(0),
            conn: crate::base::ids::ConnId { index: 0, generation: 0 },
        };
        for (pages, want) in [
            (vec![page(&[9, 5], None), page(&[7], None)], ([9, 7, 5].as_slice(), false)),
            (vec![page(&[9, 5], Some(5)), page(&[7, 3], None)], (&[9, 7, 5], true)),
            (vec![page(&[9, 8, 7, 6], None), page(&[5], None)], (&[9, 8, 7], true)),
            (vec![page(&[], Some(6)), page(&[7, 3], None)], (&[7], true)),
        ] {
            let asked = Asked { by: (address, None), limit: 3, waiting: 0, pages };
            let d = asked.value();
            assert_eq!((d["conversations"].clone(), d["more"].clone()), {
                (json!(want.0), json!(want.1))
            });
        }
    }
}
