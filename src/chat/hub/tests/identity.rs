//! One contact, one conversation: whatever ids the platform gives.

use super::*;
use crate::base::hash::place;

/// Shards that exchange mail at once, in order.
struct Node {
    hubs: Vec<Hub>,
    appends: Vec<u64>,
    records: Vec<Record>,
    done: usize,
    ticks: i64,
}

impl Node {
    fn new(shard_count: u16) -> Self {
        let now = Now { wall_us: 1_000_000, mono_us: 0 };
        let hub = |shard| {
            let options = HubOptions::unlimited(ShardId(shard), shard_count);
            let mut hub = Hub::new(options, now);
            hub.begin_epoch(EpochId(1));
            hub
        };
        let hubs = (0..shard_count).map(hub).collect();
        let appends = vec![0; usize::from(shard_count)];
        Self { hubs, appends, records: Vec::new(), done: 0, ticks: 0 }
    }

    fn handle(&mut self, shard: usize, event: Event<'_>) {
        self.ticks += 1;
        let now = Now { wall_us: 1_795_000_000_000_000 + self.ticks, mono_us: self.ticks as u64 };
        let mut effects = Vec::new();
        self.hubs[shard].grant(1 << 20);
        self.hubs[shard].handle(now, event, &mut effects);
        let mut mail = Vec::new();
        for effect in effects {
            match effect {
                Effect::ToShard { to, message } => mail.push((to, message)),
                Effect::Append(record) => {
                    self.appends[shard] += 1;
                    self.records.push(record);
                }
                Effect::InboundDone { accepted: true, count, .. } => self.done += count as usize,
                _ => {}
            }
        }
        for (to, message) in mail {
            self.handle(usize::from(to.0), Event::Peer { message });
        }
    }

    /// A message by a contact that the platform knows by these ids.
    fn writes(&mut self, user_id: &str, wa_id: &str, text: &str) {
        let key = if user_id.is_empty() { wa_id } else { user_id };
        let body = message(text, None, None);
        self.comes(key, (user_id, wa_id), text, body);
    }

    fn comes(&mut self, key: &str, ids: (&str, &str), id: &str, body: InboundBody) {
        self.takes(self.item(key, ids, id, body));
    }

    fn item(
        &self,
        key: &str,
        (user_id, wa_id): (&str, &str),
        id: &str,
        body: InboundBody,
    ) -> Inbound {
        let some = |id: &str| (!id.is_empty()).then(|| Box::from(id));
        let ids =
            ContactIds { user_id: some(user_id), wa_id: some(wa_id), ..ContactIds::default() };
        let (room, user) = (format!("wa:1:{key}").into(), format!("wa:{key}").into());
        Inbound { room, user, ids, external: format!("wamid.{id}").into(), body }
    }

    fn takes(&mut self, item: Inbound) {
        let id = item.external.clone();
        let before = self.done;
        self.handle(0, Event::Inbound { ticket: 1, item });
        for shard in 0..self.hubs.len() {
            let appends = self.appends[shard];
            self.handle(shard, Event::Durable { appends });
        }
        assert_eq!(self.done, before + 1, "{id}");
    }

    fn changes(&mut self, key: &str, previous: (&str, &str), ids: (&str, &str)) {
        let some = |id: &str| (!id.is_empty()).then(|| Box::from(id));
        let previous = ContactIds {
            user_id: some(previous.0),
            wa_id: some(previous.1),
            ..ContactIds::default()
        };
        let (text, content) = ("changed".into(), r#"{"type":"system"}"#.into());
        let body = InboundBody::Relink { previous, text, content };
        self.comes(key, ids, &format!("relink {key} {}", ids.1), body);
    }

    /// What stands in each room, by the room's contact.
    fn rooms(&self) -> Vec<String> {
        let mut rooms: Vec<String> = Vec::new();
        for record in &self.records {
            if let Fact::Message { text, .. } = &record.fact {
                let name = record.room.strip_prefix("wa:1:").expect("a conversation");
                let line = format!("{name} <{}> {text}", &record.user[3..]);
                rooms.push(line);
            }
        }
        rooms
    }

    fn restarted(&self) -> Self {
        let mut node = Self::new(self.hubs.len() as u16);
        for record in &self.records {
            node.hubs.iter_mut().for_each(|hub| hub.restore(record.clone()));
        }
        node.hubs.iter_mut().for_each(Hub::begin_outgoing);
        node.ticks = self.ticks;
        node
    }
}

#[track_caller]
fn check(play: impl Fn(&mut Node), want: &[&str]) {
    for shard_count in [1, 2, 3] {
        let mut node = Node::new(shard_count);
        play(&mut node);
        assert_eq!(node.rooms(), want, "{shard_count} shards");
    }
}

#[test]
fn an_id_that_comes_later_leads_to_the_room_of_the_phone_number() {
    check(
        |node| {
            node.writes("", "4477", "a");
            node.writes("GB.7", "4477", "b");
            node.writes("GB.7", "", "c");
            node.writes("", "4477", "d");
        },
        &["4477 <4477> a", "4477 <4477> b", "4477 <4477> c", "4477 <4477> d"],
    );
}

#[test]
fn a_phone_number_leads_to_the_room_of_the_id_it_came_with() {
    check(
        |node| {
            node.writes("GB.7", "4477", "a");
            node.writes("", "4477", "b");
            node.writes("GB.7", "4477", "c");
        },
        &["GB.7 <GB.7> a", "GB.7 <GB.7> b", "GB.7 <GB.7> c"],
    );
}

/// What we did in the platform's own app stays ours wherever it is led.
#[test]
fn a_change_of_ours_is_not_the_contacts_in_another_room_either() {
    check(
        |node| {
            node.writes("", "4477", "a");
            node.writes("GB.7", "4477", "b");
            let body = |is_echo| InboundBody::Revoke {
                of: "wamid.gone".into(),
                text: "taken back".into(),
                content: "{}".into(),
                is_echo,
            };
            node.comes("GB.7", ("GB.7", "4477"), "1", body(false));
            let us = Inbound {
                user: "wa:1555".into(),
                ..node.item("GB.7", ("GB.7", ""), "2", body(true))
            };
            node.takes(us);
        },
        &["4477 <4477> a", "4477 <4477> b", "4477 <4477> taken back", "4477 <1555> taken back"],
    );
}

#[test]
fn people_who_hide_their_number_have_one_room() {
    check(
        |node| (node.writes("GB.7", "", "a"), node.writes("GB.7", "", "b")).1,
        &["GB.7 <GB.7> a", "GB.7 <GB.7> b"],
    );
}

/// Complaint 12: an id that is given anew must not open a new conversation.
#[test]
fn a_contact_with_a_new_id_or_number_stays_in_its_conversation() {
    check(
        |node| {
            node.writes("GB.7", "4477", "a");
            node.changes("GB.7", ("GB.7", ""), ("GB.8", ""));
            node.writes("GB.8", "4477", "b");
            node.changes("4477", ("", "4477"), ("GB.8", "4488"));
            node.writes("GB.8", "4488", "c");
            node.writes("", "4488", "d");
        },
        &[
            "GB.7 <GB.7> a",
            "GB.7 <GB.7> changed",
            "GB.7 <GB.7> b",
            "GB.7 <GB.7> changed",
            "GB.7 <GB.7> c",
            "GB.7 <GB.7> d",
        ],
    );
}

#[test]
fn a_number_that_somebody_else_got_has_another_conversation() {
    check(
        |node| {
            node.writes("", "4477", "a");
            node.writes("GB.7", "4477", "b");
            node.changes("GB.7", ("", "4477"), ("GB.7", "4488"));
            node.writes("GB.9", "4477", "c");
            node.writes("GB.7", "4488", "d");
            node.writes("GB.9", "4477", "e");
        },
        &[
            "4477 <4477> a",
            "4477 <4477> b",
            "4477 <4477> changed",
            "GB.9 <GB.9> c",
            "4477 <4477> d",
            "GB.9 <GB.9> e",
        ],
    );
}

/// The number was an id that led to the first one's room, and is given anew with or without a word.
#[test]
fn a_number_that_led_elsewhere_does_not_lead_a_stranger_there() {
    check(
        |node| {
            node.writes("GB.7", "4477", "a");
            node.changes("GB.7", ("", "4477"), ("GB.7", "4488"));
            node.writes("GB.9", "4477", "b");
            node.writes("GB.7", "4488", "c");
            node.writes("", "4477", "d");
            node.writes("", "4488", "e");
        },
        &[
            "GB.7 <GB.7> a",
            "GB.7 <GB.7> changed",
            "GB.9 <GB.9> b",
            "GB.7 <GB.7> c",
            "GB.9 <GB.9> d",
            "GB.7 <GB.7> e",
        ],
    );
    check(
        |node| (node.writes("GB.7", "4477", "a"), node.writes("GB.9", "4477", "b")).1,
        &["GB.7 <GB.7> a", "GB.9 <GB.9> b"],
    );
}

/// What was taken in under a name before the name led elsewhere.
#[test]
fn what_comes_again_after_its_name_led_elsewhere_is_known() {
    let mut node = Node::new(2);
    node.comes("GB.7", ("GB.7", ""), "1", message("a", None, None));
    node.writes("", "4477", "b");
    node.writes("GB.7", "4477", "c");
    let rooms = node.rooms();
    assert_eq!(rooms, ["GB.7 <GB.7> a", "4477 <4477> b", "GB.7 <GB.7> c"]);
    node.writes("", "4477", "b");
    node.writes("GB.7", "4477", "c");
    assert_eq!(node.rooms(), rooms);
    node.writes("", "4477", "d");
    assert_eq!(node.rooms().last().map(String::as_str), Some("4477 <4477> d"));
}

#[test]
fn two_rooms_that_turn_out_to_be_one_contact_go_on_in_the_first_of_them() {
    for order in [["GB.7", "4477"], ["4477", "GB.7"]] {
        let mut node = Node::new(3);
        node.writes("GB.7", "", "by id");
        node.writes("", "4477", "by number");
        for key in order {
            node.comes(key, ("GB.7", "4477"), key, message(key, None, None));
        }
        for mut node in [node.restarted(), node] {
            let begin = node.records.len();
            node.writes("GB.7", "", "by id again");
            node.writes("", "4477", "by number again");
            node.records.drain(..begin);
            let want = ["4477 <4477> by id again", "4477 <4477> by number again"];
            assert_eq!(node.rooms(), want, "{order:?}");
        }
    }
}

/// Where a report on a message of ours is written down.
#[test]
fn a_report_stays_with_the_room_it_names_though_its_name_leads_elsewhere() {
    for shard_count in [1, 3] {
        let mut node = Node::new(shard_count);
        node.writes("GB.7", "", "by id");
        node.writes("", "4477", "by number");
        node.comes("GB.7", ("GB.7", "4477"), "both", message("both", None, None));
        let status =
            |of| InboundBody::Status { of, status: "read".into(), error: 0, extra: "".into() };
        for mut node in [node.restarted(), node] {
            node.records.clear();
            node.comes("GB.7", ("GB.7", ""), "1", status(Some(Offset(2))));
            node.comes("GB.7", ("GB.7", ""), "by id", status(None));
            node.comes("GB.7", ("GB.7", ""), "elsewhere", status(None));
            let told = node.records.iter().filter_map(|record| match &record.fact {
                Fact::Delivery { of, .. } => Some((&*record.room, *of)),
                _ => None,
            });
            let want = [
                ("wa:1:GB.7", Some(Offset(2))),
                ("wa:1:GB.7", Some(Offset(1))),
                ("wa:1:4477", None),
            ];
            assert_eq!(told.collect::<Vec<_>>(), want, "{shard_count} shards");
        }
    }
}

/// As a server wrote it that did not look at the order of names: else two rooms would lead to each
/// other, and what comes would go round between them.
#[test]
fn a_link_against_the_order_of_names_is_taken_back() {
    for shard_count in [1, 2, 3] {
        let mut node = Node::new(shard_count);
        node.writes("GB.7", "", "a");
        node.writes("", "4477", "b");
        let change = ConversationChange::Link("wa:1:GB.7".into());
        let (fact, room) = (Fact::Conversation { o: None, change }, "wa:1:4477".into());
        node.records.push(Record { ts_us: 1, user: "".into(), room, fact });
        let mut node = node.restarted();
        node.writes("GB.7", "4477", "both");
        for mut node in [node.restarted(), node] {
            node.writes("", "4477", "c");
            node.writes("GB.7", "", "d");
            let rooms = node.rooms();
            let want = ["4477 <4477> c", "4477 <4477> d"];
            assert_eq!(rooms[rooms.len() - 2..], want, "{shard_count} shards: {rooms:?}");
        }
    }
}

#[test]
fn links_are_known_after_a_start() {
    for shard_count in [1, 2, 3] {
        let mut node = Node::new(shard_count);
        node.writes("", "4477", "a");
        node.writes("GB.7", "4477", "b");
        let mut node = node.restarted();
        node.writes("GB.7", "", "c");
        node.writes("", "4477", "d");
        // What was taken before the start is not taken again.
        node.writes("GB.7", "4477", "b");
        assert_eq!(node.rooms(), ["4477 <4477> c", "4477 <4477> d"], "{shard_count} shards");
    }
}

#[test]
fn whoever_asks_for_the_room_of_another_id_is_told_where_it_is() {
    let mut stage = Stage::new();
    let ids = ContactIds { wa_id: Some("4477".into()), ..ContactIds::default() };
    let item = Inbound { ids, ..item("w1", message("hi", None, None)) };
    stage.event(Event::Inbound { ticket: 1, item });
    stage.open(1);
    stage.say(1, r#"{"t":"hello","id":1,"d":{"user":"alice"}}"#);
    stage.log.clear();
    stage.say(1, r#"{"t":"join","id":2,"room":"wa:1102:4477"}"#);
    stage.told(&[r#"1 {"d":{"code":410,{}wa:1102:GB.7{}"#]);
    assert_eq!(place("wa:1102:4477", 1), ShardId(0));
}
