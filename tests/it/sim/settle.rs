//! Peace: no more faults, everyone catches up, and what must hold then is checked.

use super::client::Asked;
use super::disk::{End, State};
use super::oracle::Oracle;
use super::world::World;
use super::{trace, workload};
use ringpost::chat::event::Event;
use ringpost::chat::hub::Hub;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Rounds until peace at most; a round moves everything that can move.
const ROUNDS_MAX: usize = 2_000;
/// Rounds without a sign of life that are peace: longer than the grace of a vanished user.
const QUIET_ROUNDS: usize = 60;
/// How long a round is.
const ROUND_US: usize = 600_000;

impl World {
    /// See the module.
    pub fn settle_and_check(&mut self) {
        trace::step(1_000_000);
        trace::note("peace".to_owned());
        if self.disk.state == State::Failed {
            self.crash(End::PowerCut);
        }
        self.disk.state = State::Ok;
        self.settle(true);
        self.everyone_is_up_to_date();
        self.ask_everything();
        self.settle(true);
        self.presence_is_true();
        self.everyone_leaves();
        self.settle(false);
        self.nothing_is_left();
        self.a_restart_changes_nothing();
    }

    /// Moves everything until nothing moves.
    fn settle(&mut self, connect: bool) {
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            self.now.mono_us += ROUND_US as u64;
            self.now.wall_us += ROUND_US as i64;
            quiet = if self.round(connect) { 0 } else { quiet + 1 };
            if quiet == QUIET_ROUNDS {
                return;
            }
        }
        let waiting: Vec<_> = self.clients.iter().map(|client| &client.asked).collect();
        panic!("no peace: {waiting:?}");
    }

    /// Whether something moved that a client could notice.
    fn round(&mut self, connect: bool) -> bool {
        let mut moved = false;
        for shard in 0..self.shards.len() {
            moved |= self.finish_closing(shard, true) > 0;
            for conn in self.shards[shard].conns.ids(|link| !link.up.is_empty()) {
                while self.shards[shard].conns.get(conn).is_some_and(|link| !link.up.is_empty()) {
                    moved = true;
                    self.hear(shard, conn);
                }
            }
            for from in 0..self.shards.len() {
                while self.take_mail(from, shard) {
                    moved = true;
                }
            }
            self.tell(shard, Event::Tick);
            self.disk.drain(shard, usize::MAX);
            self.end_turn(shard);
        }
        self.disk.sync();
        for shard in 0..self.shards.len() {
            self.notice_log(shard);
        }
        while !self.questions.is_empty() && self.disk.is_committed() {
            moved = true;
            self.archive_answers();
        }
        for index in 0..self.webhooks.len() {
            if self.webhooks.get(index).is_some_and(|webhook| webhook.with.is_none()) {
                moved = true;
                self.deliver_webhook(index);
            }
        }
        for index in 0..self.clients.len() {
            moved |= self.read(index, usize::MAX) > 0;
            moved |= connect && self.continues(index);
        }
        moved
    }

    /// A client does what it still has to do.
    fn continues(&mut self, index: usize) -> bool {
        let client = &mut self.clients[index];
        if client.link.is_none() {
            if !client.finished {
                self.connect(index);
            }
            return !self.clients[index].finished;
        }
        if !client.greeted {
            return false;
        }
        let text = workload::overdue(client, self.now.mono_ms(), &mut self.rng);
        let moved = text.is_some();
        if let Some(text) = text {
            self.say(index, text);
        }
        moved
    }

    fn everyone_is_up_to_date(&self) {
        for (index, client) in self.clients.iter().enumerate() {
            if client.finished {
                continue;
            }
            assert!(client.greeted, "c{index} gets no answer to its hello");
            assert!(client.asked.is_empty(), "c{index}: never answered: {:?}", client.asked);
            assert!(client.drafts.is_empty(), "c{index}: never sent: {:?}", client.drafts);
            for (room, view) in client.views.iter().filter(|(_, view)| view.seated) {
                let top = self.oracle.room(room).len() as u64;
                let missing = (view.next..=top).filter(|o| {
                    let event = self.oracle.event(room, *o).expect("below the top");
                    client.echo || event.message.as_ref().is_none_or(|m| *m.0 != *client.user)
                });
                let missing: Vec<u64> = missing.collect();
                assert!(missing.is_empty(), "c{index} never gets {missing:?} of {room}");
            }
        }
    }

    /// Every client asks who is there, and reads all history.
    fn ask_everything(&mut self) {
        for index in 0..self.clients.len() {
            let views = self.clients[index].views.iter().filter(|(_, view)| view.seated);
            let rooms: Vec<String> = views.map(|(room, _)| room.clone()).collect();
            for room in rooms {
                let client = &mut self.clients[index];
                // Half of them must know it from the changes they were told.
                if index % 2 == 0 || client.views[&room].present.is_none() {
                    let id = client.ask(Asked::Who(room.clone()));
                    self.say(index, json!({"t": "who", "id": id, "room": room}).to_string());
                }
                let client = &mut self.clients[index];
                let id = client.ask(Asked::History(room.clone(), "newest", 0, 300));
                let d = json!({"limit": 300});
                let ask = json!({"t": "history", "id": id, "room": room, "d": d});
                self.say(index, ask.to_string());
            }
        }
    }

    /// Everyone knows who is there.
    fn presence_is_true(&self) {
        for (index, client) in self.clients.iter().enumerate() {
            assert!(client.asked.is_empty(), "c{index}: never answered: {:?}", client.asked);
            let Some((shard, conn)) = client.link else { continue };
            let shed = self.shards[shard].conns.get(conn).is_none_or(|link| link.shed);
            for (room, view) in client.views.iter().filter(|(_, view)| view.seated && !shed) {
                let here = self.clients.iter().filter(|other| {
                    !other.quiet && other.views.get(room).is_some_and(|view| view.seated)
                });
                let here: BTreeSet<String> = here.map(|other| other.user.clone()).collect();
                let known = view.present.as_ref();
                assert!(
                    known.is_none_or(|known| *known == here),
                    "c{index} {room}: {known:?} {here:?}"
                );
                let count = view.present_count;
                assert_eq!(count, Some(here.len() as u64), "c{index}: users in {room}: {here:?}");
            }
        }
    }

    fn everyone_leaves(&mut self) {
        for index in 0..self.clients.len() {
            if self.clients[index].link.is_some() {
                let id = self.clients[index].ask(Asked::Other);
                self.say(index, json!({"t": "bye", "id": id}).to_string());
            }
        }
    }

    fn nothing_is_left(&self) {
        for shard in &self.shards {
            let hub = &shard.hub;
            assert_eq!(hub.session_count(), 0);
            assert!(hub.is_at_rest(), "everyone left, and the hub keeps something");
            for room in self.oracle.room_names() {
                if let Some(room) = hub.room(&room) {
                    assert!(room.shards.is_empty(), "{} counts {:?}", room.name, room.shards);
                    assert_eq!(room.presence.count(), 0, "{} is not empty", room.name);
                }
            }
        }
        assert!(self.webhooks.is_empty(), "{:?}", self.webhooks);
    }

    /// Stopped in order and started again, every room is as it was.
    fn a_restart_changes_nothing(&mut self) {
        let describe = |world: &Self| {
            let mut text = String::new();
            for room in world.oracle.room_names() {
                for shard in &world.shards {
                    describe_room(&shard.hub, &room, world, &mut text);
                }
                compare_tail(world, &room, &world.oracle);
            }
            text
        };
        let before = describe(self);
        let epoch = self.shards[0].hub.epoch();
        self.crash(End::Stop);
        let after = describe(self);
        for (before, after) in before.lines().zip(after.lines()) {
            let at = before.bytes().zip(after.bytes()).position(|(a, b)| a != b);
            let tail = |line: &str| line[at.unwrap_or(line.len())..].to_owned();
            let (was, is) = (tail(before), tail(after));
            assert!(before == after, "a room changes when it is read back: {was:.200} / {is:.200}");
        }
        assert_eq!(epoch, self.shards[0].hub.epoch(), "a clean stop keeps the epoch");
    }
}

fn describe_room(hub: &Hub, name: &str, world: &World, out: &mut String) {
    let Some(room) = hub.room(name) else {
        return;
    };
    let _ = writeln!(out, "{name}: {:?} {:?} {:?}", room.topic, room.access, room.members);
    let _ = writeln!(out, "visible {:?} top {:?}", room.visible, room.tail.top());
    if !world.plan.snapshots {
        // Behind a snapshot less may be in memory.
        let _ = writeln!(out, "tail {:?}", room.tail);
    }
    if !world.records_lost {
        let _ = writeln!(out, "marks {:?}", room.marks);
    }
}

/// The memory of a room's owner is the end of the truth.
fn compare_tail(world: &World, name: &str, oracle: &Oracle) {
    for shard in &world.shards {
        let Some(room) = shard.hub.room(name) else { continue };
        assert_eq!(room.tail.top().0 as usize, oracle.room(name).len(), "top of {name}");
        for (o, entry) in room.tail.since(room.tail.first()) {
            let truth = oracle.event(name, o.0).expect("below the top");
            assert_eq!(entry.frame, truth.frame);
            assert_eq!(entry.latest, truth.latest, "{name} {o:?}");
        }
    }
}
