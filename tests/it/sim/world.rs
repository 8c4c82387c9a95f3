//! Everything at once on one thread: shards, the channels between them, the log, clients and time.
//!
//! A step does one thing somewhere. What is chosen, and what goes wrong, follows from the seed.

use super::client::Client;
use super::disk::{Disk, End, Logged, State};
use super::net::Conn;
use super::oracle::Oracle;
use super::plan::{Plan, Plant, Policy};
use super::prng::Rng;
use super::shard::{Outbox, Question, Shard};
use super::{trace, workload};
use ringpost::base::clock::Now;
use ringpost::base::codes::CloseReason;
use ringpost::base::ids::{ConnId, EpochId, Offset, ShardId};
use ringpost::base::limits::{
    FRAMES_BURST, FRAMES_PER_S, MAILBOX_ITEMS_MAX, ROOM_SENDS_BURST, ROOM_SENDS_PER_S, SENDS_BURST,
    SENDS_PER_S, TEXT_BYTES_MAX,
};
use ringpost::base::rate::Rate;
use ringpost::chat::event::{
    ContactIds, Direction, Event, Fact, Found, Inbound, InboundBody, Kept, Message, Name, Recalled,
    Record, Source, Want,
};
use ringpost::chat::hub::{Hub, HubOptions, external_print};
use ringpost::chat::reply;
use std::collections::VecDeque;

/// The whole simulation.
pub struct World {
    /// See [`Plan`].
    pub plan: Plan,
    /// Chance.
    pub rng: Rng,
    /// Both clocks.
    pub now: Now,
    /// The server's shards.
    pub shards: Vec<Shard>,
    /// Mail from shard to shard: `from * shards + to`. Each keeps its order; they do not keep
    /// order among each other.
    pub mail: Vec<VecDeque<Message>>,
    /// The log.
    pub disk: Disk,
    /// Questions to the log, by shard.
    pub questions: Vec<(usize, Question)>,
    /// People.
    pub clients: Vec<Client>,
    /// The truth.
    pub oracle: Oracle,
    /// Webhook items that were not called safe yet.
    pub webhooks: Vec<Webhook>,
    /// Records may have been dropped for want of space.
    pub records_lost: bool,
    starts: u64,
    webhook_count: u64,
}

/// One item that a platform delivers until it is told that it is safe.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// What.
    pub item: Inbound,
    /// The shard and ticket it is with now.
    pub with: Option<(usize, u64)>,
}

impl World {
    /// The world of `seed`, its server freshly started.
    pub fn new(seed: u64, plant: Plant) -> Self {
        trace::begin();
        let mut rng = Rng::new(seed);
        let plan = Plan::new(&mut rng, plant);
        trace::note(format!("{plan:?}"));
        let users = workload::users(&plan);
        let clients = (0..plan.client_count).map(|n| {
            let user = users[n % users.len()].clone();
            let speed = rng.pick(&[1, 4, 50]);
            let first = 1_000_000 * (n as u32 + 1);
            Client::new(user, rng.chance(15), rng.chance(85), speed, first)
        });
        let clients = clients.collect();
        let shard_count = usize::from(plan.shard_count);
        let mut world = Self {
            rng,
            now: Now { wall_us: 1_795_000_000_000_000, mono_us: 5_000_000 },
            shards: Vec::new(),
            mail: (0..shard_count * shard_count).map(|_| VecDeque::new()).collect(),
            disk: Disk::new(&plan),
            questions: Vec::new(),
            clients,
            oracle: Oracle::default(),
            webhooks: Vec::new(),
            records_lost: false,
            starts: 0,
            webhook_count: 0,
            plan,
        };
        world.oracle.holes = world.plan.archive_holes;
        world.make_past();
        world.start();
        world
    }

    /// What an earlier server left behind, and some clients that still know it.
    fn make_past(&mut self) {
        if self.plan.past_count == 0 {
            return;
        }
        let epoch = EpochId(self.rng.next() >> 20);
        self.disk.begin_epoch(epoch);
        let long = self.plan.past_count < 100;
        for n in 1..=self.plan.past_count {
            let bytes = self.rng.range(1, if long { TEXT_BYTES_MAX } else { 40 });
            let fact = Fact::Message {
                o: Offset(n),
                cid: format!("past-{n}").into(),
                text: "p".repeat(bytes).into(),
                reply: None,
                source: Source::Ws,
                direction: Direction::In,
                name: "".into(),
                external: "".into(),
                extra: "".into(),
            };
            let ts_us = self.now.wall_us - 3_600_000_000;
            let user = if n % 3 == 0 { "user-0" } else { "user-1" };
            let room = self.plan.rooms[0].as_str().into();
            let record = Record { ts_us, user: user.into(), room, fact };
            self.oracle.append(&record, 0);
            self.disk.append(0, record);
        }
        self.disk.drain(0, usize::MAX);
        self.disk.sync();
        for client in &mut self.clients {
            if self.rng.chance(60) {
                let view = client.views.entry(self.plan.rooms[0].clone()).or_default();
                let behind = self.rng.below(self.plan.past_count.min(400) as usize) as u64;
                view.next = self.plan.past_count - behind;
                view.epoch = Some(epoch.to_string());
                view.wanted = true;
            }
        }
    }

    /// All steps, then peace, then the last checks. Gives every fact that was ever logged.
    pub fn run(mut self) -> Vec<Record> {
        for step in 1..=self.plan.step_count {
            trace::step(step);
            self.pass_time(20_000);
            self.step();
        }
        self.settle_and_check();
        self.disk.facts()
    }

    /// Time passes: up to `us_max` microseconds.
    pub fn pass_time(&mut self, us_max: usize) {
        let us = self.rng.below(us_max) as u64;
        self.now.mono_us += us;
        self.now.wall_us += us as i64;
    }

    fn step(&mut self) {
        match self.rng.below(1_000) {
            0..230 => self.client_acts(),
            230..430 => self.server_turn(),
            430..570 => self.client_reads(),
            570..720 => self.mail_turn(),
            720..850 => self.log_works(),
            850..880 => self.archive_answers(),
            880..920 => self.ticks(),
            920..940 => self.vanishes(),
            940..955 => self.finishes_closing(),
            955..970 => self.webhook(),
            970..976 => self.time_jumps(),
            976..983 => self.log_breaks(),
            _ => {
                if self.rng.below(1_000) < self.plan.crash_permille * 17 {
                    let kinds = [End::Stop, End::Kill, End::PowerCut, End::PowerCut];
                    let end = self.rng.pick(&kinds);
                    self.crash(end);
                }
            }
        }
    }

    /// Space a shard believes to have in its ring: now and then too little.
    fn grant(&mut self, shard: usize) -> usize {
        let free = self.disk.free_bytes(shard);
        if self.rng.chance(1) {
            // Mail piles up elsewhere: nothing more is to be taken on.
            self.records_lost = true;
            return 0;
        }
        if self.rng.chance(2) {
            return free.min(98_304 + self.rng.below(1_500));
        }
        self.records_lost |= free < 1_024;
        free
    }

    /// One event for a hub, and what follows from it.
    pub fn tell(&mut self, shard: usize, event: Event<'_>) {
        let grant = self.grant(shard);
        let mut out = Outbox::default();
        self.shards[shard].tell(self.now, grant, event, &mut out);
        self.spread(shard, out);
    }

    /// The end of a shard's turn.
    pub fn end_turn(&mut self, shard: usize) {
        let grant = self.grant(shard);
        let mut out = Outbox::default();
        self.shards[shard].end_turn(self.now, grant, &mut out);
        self.spread(shard, out);
    }

    fn spread(&mut self, shard: usize, out: Outbox) {
        let shard_count = self.shards.len();
        for record in out.records {
            trace::note(format!("s{shard} logs {record:?}"));
            self.oracle.append(&record, self.now.mono_ms());
            self.disk.append(shard, record);
        }
        for (to, message) in out.mail {
            let queue = &mut self.mail[shard * shard_count + usize::from(to.0)];
            queue.push_back(message);
            assert!(queue.len() <= MAILBOX_ITEMS_MAX, "mail piles up");
        }
        self.questions.extend(out.questions.into_iter().map(|question| (shard, question)));
        for (ticket, accepted) in out.done {
            self.webhook_done(shard, ticket, accepted);
        }
        for conn in out.cut {
            trace::note(format!("s{shard} cuts {}", conn.index));
            self.close(shard, conn, CloseReason::Slow.code());
        }
    }

    /// The socket is gone for both sides.
    pub fn close(&mut self, shard: usize, conn: ConnId, code: u16) {
        let Some(link) = self.shards[shard].conns.get(conn) else {
            return;
        };
        if let Some(client) = link.client {
            self.clients[client].lost();
        }
        let grant = self.grant(shard);
        let mut out = Outbox::default();
        self.shards[shard].closed(self.now, grant, conn, code, &mut out);
        self.spread(shard, out);
    }

    /// A client connects or says something.
    fn client_acts(&mut self) {
        let index = self.rng.below(self.clients.len());
        for _ in 0..self.rng.range(1, 3) {
            let now_ms = self.now.mono_ms();
            let client = &mut self.clients[index];
            if client.link.is_none() {
                return self.connect(index);
            }
            if !client.greeted {
                return;
            }
            let text = workload::request(client, &self.plan, now_ms, &mut self.rng);
            if let Some(text) = text {
                self.say(index, text);
            }
        }
    }

    /// Opens a connection of a client, with its `hello` under way.
    pub fn connect(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if client.finished {
            return;
        }
        let shard = self.rng.below(self.shards.len());
        let link = Conn { client: Some(index), ..Conn::default() };
        let conn = self.shards[shard].conns.insert(link);
        client.link = Some((shard, conn));
        let hello = workload::hello(client, &self.plan, &mut self.rng);
        trace::note(format!("c{index} connects to s{shard} as {}#{}", conn.index, conn.generation));
        self.tell(shard, Event::Opened { conn });
        self.say(index, hello);
    }

    /// A client's message is under way.
    pub fn say(&mut self, index: usize, text: String) {
        let Some((shard, conn)) = self.clients[index].link else {
            return;
        };
        if let Some(link) = self.shards[shard].conns.get_mut(conn)
            && link.closing.is_none()
        {
            link.up.push_back(text);
        }
    }

    /// A shard takes input of a few connections, then ends its turn.
    fn server_turn(&mut self) {
        let shard = self.rng.below(self.shards.len());
        for _ in 0..self.rng.range(1, 6) {
            let waiting = self.shards[shard].conns.ids(|link| !link.up.is_empty());
            if waiting.is_empty() {
                break;
            }
            let conn = self.rng.pick(&waiting);
            self.hear(shard, conn);
        }
        self.end_turn(shard);
    }

    /// The server reads one message of a connection.
    pub fn hear(&mut self, shard: usize, conn: ConnId) {
        let link = self.shards[shard].conns.get_mut(conn);
        if let Some(text) = link.and_then(|link| link.up.pop_front()) {
            trace::note(format!("s{shard} {}#{} ◀ {text}", conn.index, conn.generation));
            self.tell(shard, Event::Text { conn, text: &text });
        }
    }

    fn client_reads(&mut self) {
        let index = self.rng.below(self.clients.len());
        let count = self.rng.range(1, self.clients[index].speed);
        self.read(index, count);
    }

    /// A client reads some frames. Gives how many there were.
    pub fn read(&mut self, index: usize, count: usize) -> usize {
        for n in 0..count {
            let Some((shard, conn)) = self.clients[index].link else {
                return n;
            };
            let link = self.shards[shard].conns.get_mut(conn).expect("a client's link lives");
            let Some(frame) = link.down.pop_front() else {
                return n;
            };
            link.bytes -= frame.len();
            trace::note(format!("c{index} ◀ {frame}"));
            self.clients[index].receive(&frame, &mut self.oracle);
        }
        count
    }

    /// A shard takes mail of others, then ends its turn.
    fn mail_turn(&mut self) {
        let to = self.rng.below(self.shards.len());
        for _ in 0..self.rng.range(1, 12) {
            let count = self.shards.len();
            let full = |from: &usize| !self.mail[from * count + to].is_empty();
            let waiting: Vec<usize> = (0..count).filter(full).collect();
            if waiting.is_empty() {
                break;
            }
            let from = self.rng.pick(&waiting);
            self.take_mail(from, to);
        }
        self.end_turn(to);
    }

    /// A shard takes the oldest message of another. `false`: there is none.
    pub fn take_mail(&mut self, from: usize, to: usize) -> bool {
        let Some(message) = self.mail[from * self.shards.len() + to].pop_front() else {
            return false;
        };
        trace::note(format!("s{from} ▶ s{to} {message:?}"));
        self.tell(to, Event::Peer { message });
        true
    }

    fn log_works(&mut self) {
        for _ in 0..self.rng.range(1, 4) {
            let shard = self.rng.below(self.shards.len());
            match self.rng.below(8) {
                0..3 => {
                    let count = self.rng.range(1, 30);
                    self.disk.drain(shard, count);
                }
                3 => self.disk.write(1),
                4 => self.disk.vouch(),
                5 if self.plan.policy == Policy::Fsync || self.rng.chance(20) => self.disk.sync(),
                _ => self.notice_log(shard),
            }
        }
    }

    /// A shard looks at the log's watermarks and its health.
    pub fn notice_log(&mut self, shard: usize) {
        let appends = self.disk.promised(shard);
        if appends > self.shards[shard].durable_told {
            self.shards[shard].durable_told = appends;
            self.tell(shard, Event::Durable { appends });
        }
        let broken = self.disk.state != State::Ok;
        if broken && !self.shards[shard].failure_told {
            trace::note(format!("s{shard} learns that the log is {:?}", self.disk.state));
            self.tell(shard, Event::LogFailed);
        }
        if !broken && self.shards[shard].failure_told {
            self.shards[shard].hub.log_recovered();
        }
        self.shards[shard].failure_told = broken;
        self.end_turn(shard);
    }

    /// The archive answers one question, when what was appended before has been written.
    pub fn archive_answers(&mut self) {
        if self.questions.is_empty() || !self.disk.is_committed() {
            return;
        }
        let index = self.rng.below(self.questions.len());
        let (shard, question) = self.questions.swap_remove(index);
        let found = self.look_up(&question);
        trace::note(format!("archive ▶ s{shard} {question:?}: {}", found.events.len()));
        self.tell(shard, Event::Archived { ticket: question.ticket, found });
        self.end_turn(shard);
    }

    /// The truth, as far as the archive finds it.
    fn look_up(&mut self, question: &Question) -> Found {
        let room = &question.room;
        let top = self.oracle.room(room).len() as u64;
        assert!(question.upto.0 <= top, "asked for what is not written");
        let oldest = Offset(top.min(1));
        let mut found = Found { events: Vec::new(), reached: Offset(0), oldest };
        let (first, last, back, bytes_max) = match question.want {
            Want::Events { first, last, back, bytes_max } => (first, last, back, bytes_max),
            Want::Since { ts_ms } => {
                let late = |o: &u64| self.oracle.event(room, *o).is_some_and(|e| e.ts_ms >= ts_ms);
                found.reached = Offset((1..=top).find(late).unwrap_or(top + 1));
                return found;
            }
        };
        let mut bytes = 0;
        found.reached = if back { first } else { last };
        for n in 0..=last.0 - first.0 {
            let o = if back { last.0 - n } else { first.0 + n };
            let lost = self.plan.archive_holes && self.rng.chance(20);
            let Some(event) = self.oracle.event(room, o).filter(|_| !lost) else { continue };
            bytes += event.frame.len();
            found.events.push(Recalled {
                o: Offset(o),
                frame: event.frame.clone(),
                latest: event.latest.clone(),
                is_message: event.message.is_some(),
            });
            if bytes > bytes_max {
                found.reached = Offset(o);
                break;
            }
        }
        if back {
            found.events.reverse();
        }
        found
    }

    fn ticks(&mut self) {
        let shard = self.rng.below(self.shards.len());
        self.pass_time(400_000);
        self.tell(shard, Event::Tick);
        self.end_turn(shard);
    }

    /// A client is gone; the server learns of it now or later.
    fn vanishes(&mut self) {
        let index = self.rng.below(self.clients.len());
        let Some((shard, conn)) = self.clients[index].link else {
            return;
        };
        trace::note(format!("c{index} vanishes"));
        if self.rng.chance(40) {
            return self.close(shard, conn, 1006);
        }
        self.clients[index].lost();
        let link = self.shards[shard].conns.get_mut(conn).expect("a client's link lives");
        link.client = None;
        let kept = self.rng.below(link.up.len() + 1);
        link.up.truncate(kept);
    }

    /// A connection whose other side is gone, or that was told to go, ends.
    fn finishes_closing(&mut self) {
        let shard = self.rng.below(self.shards.len());
        self.finish_closing(shard, false);
        self.end_turn(shard);
    }

    /// Ends connections that only wait for their end. Gives how many.
    pub fn finish_closing(&mut self, shard: usize, all: bool) -> usize {
        let over = self.shards[shard].conns.ids(|link| {
            let flushed = link.down.is_empty() || link.client.is_none();
            link.client.is_none() || (link.closing.is_some() && flushed)
        });
        let mut count = 0;
        for conn in over {
            if all || self.rng.chance(60) {
                let closing = self.shards[shard].conns.get(conn).and_then(|link| link.closing);
                trace::note(format!("s{shard} {}#{} ends", conn.index, conn.generation));
                self.close(shard, conn, closing.unwrap_or(1006));
                count += 1;
            }
        }
        count
    }

    fn webhook(&mut self) {
        let waiting = self.webhooks.iter().position(|webhook| webhook.with.is_none());
        let index = match waiting {
            Some(index) if self.rng.chance(60) => index,
            // A platform may deliver the same item twice at once.
            _ if !self.webhooks.is_empty() && self.rng.chance(30) => {
                let item = self.rng.pick(&self.webhooks).item;
                self.webhooks.push(Webhook { item, with: None });
                self.webhooks.len() - 1
            }
            _ => {
                self.webhook_count += 1;
                let n = self.webhook_count;
                let room = self.rng.pick(&["wa:1:2".to_owned(), self.plan.rooms[0].clone()]);
                let external = format!("wamid.{n}").into();
                let status = self.rng.pick(&["sent", "delivered", "read", "new-word"]);
                let body = if self.rng.chance(30) {
                    let extra = [r#"{"pricing":{"billable":true}}"#, ""][n as usize % 2].into();
                    InboundBody::Status { of: None, status: status.into(), error: 0, extra }
                } else {
                    let (name, text) = ("Ines".into(), "hello".into());
                    InboundBody::Message { name, text, at_ms: None, content: None, about: None }
                };
                let item = Inbound {
                    room: room.into(),
                    user: "wa:2".into(),
                    ids: ContactIds::default(),
                    external,
                    body,
                };
                self.webhooks.push(Webhook { item, with: None });
                self.webhooks.len() - 1
            }
        };
        self.deliver_webhook(index);
    }

    /// A platform delivers an item to some shard.
    pub fn deliver_webhook(&mut self, index: usize) {
        let shard = self.rng.below(self.shards.len());
        self.webhook_count += 1;
        let ticket = self.webhook_count;
        self.webhooks[index].with = Some((shard, ticket));
        let item = self.webhooks[index].item.clone();
        trace::note(format!("webhook {ticket} to s{shard}: {}", item.external));
        self.tell(shard, Event::Inbound { ticket, item });
        self.end_turn(shard);
    }

    fn webhook_done(&mut self, shard: usize, ticket: u64, accepted: bool) {
        let with = Some((shard, ticket));
        let found = self.webhooks.iter().position(|webhook| webhook.with == with);
        let index = found.expect("an answer to a webhook's item comes once");
        if accepted {
            let webhook = self.webhooks.swap_remove(index);
            self.oracle.promise_webhook(&webhook.item.room, &webhook.item.external);
        } else {
            self.webhooks[index].with = None;
        }
    }

    fn time_jumps(&mut self) {
        self.pass_time(20_000_000);
        if self.plan.wall_jumps {
            let minutes = self.rng.range(1, 20) as i64;
            let back = self.rng.chance(50);
            self.now.wall_us += if back { -minutes } else { minutes } * 60_000_000;
            trace::note(format!("the wall clock jumps to {}", self.now.wall_us));
        }
    }

    fn log_breaks(&mut self) {
        if !self.plan.log_faults {
            return;
        }
        match self.disk.state {
            State::Ok => {
                let states = [State::Full, State::Full, State::Failed];
                self.disk.state = self.rng.pick(&states);
                trace::note(format!("the log is {:?}", self.disk.state));
            }
            State::Full => self.disk.state = State::Ok,
            State::Failed => {
                let end = self.rng.pick(&[End::Kill, End::PowerCut]);
                self.crash(end);
            }
        }
    }

    /// The server ends, and starts again on what is left.
    pub fn crash(&mut self, end: End) {
        let end = if self.disk.state == State::Ok { end } else { End::PowerCut };
        trace::note(format!("the server ends: {end:?}"));
        for index in 0..self.clients.len() {
            self.clients[index].lost();
        }
        if end == End::Stop {
            for shard in 0..self.shards.len() {
                for conn in self.shards[shard].conns.ids(|_| true) {
                    self.close(shard, conn, CloseReason::Drain.code());
                }
            }
        }
        self.disk.end(end, &mut self.rng);
        let strict = match self.plan.policy {
            Policy::Fsync => true,
            Policy::Os => end != End::PowerCut,
            Policy::Memory => end == End::Stop,
        };
        for webhook in &mut self.webhooks {
            webhook.with = None;
        }
        self.mail.iter_mut().for_each(VecDeque::clear);
        self.questions.clear();
        let log = self.start();
        self.oracle.restart(&log, strict);
        if self.plan.wall_jumps {
            // Over a restart only the wall clock tells how old a message is.
            self.oracle.forget_cids();
        }
    }

    /// Starts the server on what the disk holds.
    fn start(&mut self) -> Vec<Logged> {
        self.starts += 1;
        let (log, clean) = self.disk.recover();
        self.shards.clear();
        let epoch = EpochId(self.rng.next() >> 20);
        let fresh = !clean || !log.iter().any(|logged| matches!(logged, Logged::Epoch(_)));
        let kept = if self.plan.snapshots { self.rng.below(log.len() + 1) } else { 0 };
        for shard in 0..self.plan.shard_count {
            let options = self.options(shard);
            let mut shard = Shard::new(options, self.now, &self.plan);
            shard.hub.begin_epoch(EpochId(0));
            restore_kept(&mut shard.hub, &log[..kept]);
            for logged in &log[kept..] {
                match logged {
                    Logged::Fact(record) => shard.hub.restore(record.clone()),
                    Logged::Epoch(epoch) => shard.hub.begin_epoch(*epoch),
                    Logged::Stop => {}
                }
            }
            if fresh {
                shard.hub.begin_epoch(epoch);
            }
            self.shards.push(shard);
        }
        if fresh {
            self.disk.begin_epoch(epoch);
        }
        let events = log.iter().filter(|logged| match logged {
            Logged::Fact(record) => reply::frame_of(record).is_some(),
            _ => false,
        });
        trace::note(format!("start {} on {} events, clean {clean}", self.starts, events.count()));
        log
    }

    fn options(&mut self, shard: u16) -> HubOptions {
        // Lower than the server's own, so that a few clients meet them.
        let limited = |per_s: u32, burst: u32| match self.plan.rates {
            true => Rate { per_s: per_s / 5, burst: burst / 8 },
            false => Rate::UNLIMITED,
        };
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(self.starts << 32 | 0x5eed).to_le_bytes());
        HubOptions {
            key,
            boot_ms: 1_795_000_000 + self.starts,
            ack: self.plan.ack(),
            fanout_durable: self.plan.fanout_durable,
            frames: limited(FRAMES_PER_S, FRAMES_BURST),
            sends: limited(SENDS_PER_S, SENDS_BURST),
            room_sends: limited(ROOM_SENDS_PER_S, ROOM_SENDS_BURST),
            sessions_per_user_max: self.plan.sessions_per_user_max,
            ..HubOptions::unlimited(ShardId(shard), self.plan.shard_count)
        }
    }
}

/// Restores what a snapshot of these records keeps, worked out the slow way.
fn restore_kept(hub: &mut Hub, log: &[Logged]) {
    let mut epoch = EpochId(0);
    let mut runs: Vec<(Name, EpochId, Offset, Offset)> = Vec::new();
    for logged in log {
        let record = match logged {
            Logged::Fact(record) => record,
            Logged::Epoch(begun) => {
                epoch = *begun;
                hub.begin_epoch(epoch);
                continue;
            }
            Logged::Stop => continue,
        };
        let Some((o, _)) = reply::frame_of(record) else { continue };
        match runs.iter_mut().find(|run| run.0 == record.room && run.1 == epoch) {
            Some((.., last)) => *last = o,
            None => runs.push((record.room.clone(), epoch, o, o)),
        }
    }
    for (room, epoch, first, last) in runs {
        hub.restore_kept(Kept::Run { room, epoch, first, last });
    }
    for logged in log {
        let Logged::Fact(record) = logged else { continue };
        let (ts_us, room, user) = (record.ts_us, record.room.clone(), record.user.clone());
        if let Some(print) = external_print(record) {
            let o = match &record.fact {
                Fact::Message { o, .. } => Some(*o),
                _ => None,
            };
            hub.restore_kept(Kept::Taken { ts_us, room: room.clone(), o, print });
        }
        match &record.fact {
            Fact::Message { o, cid, .. } if !cid.is_empty() => {
                hub.restore_kept(Kept::Sent { ts_us, room, user, cid: cid.clone(), o: *o });
            }
            Fact::Room { .. } | Fact::Member { .. } | Fact::Mark { .. } | Fact::Status(_) => {
                hub.restore_kept(Kept::Fact(record.clone()));
            }
            _ => {}
        }
    }
}
