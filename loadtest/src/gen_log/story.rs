//! What happens, record by record: a pure function of the options.
//!
//! Every message takes one place of the rhythm. An answer that falls due between two places is
//! written at its own time, and the next place stays empty: so the number of messages is exactly
//! what was asked for, and answers come when people answer.

use super::command_line::Options;
use super::dice::{Dice, mix};
use super::later::{Agenda, Later};
use super::people::{HOMES, People};
use super::rhythm::{DAY_US, HOUR_US, Rhythm};
use super::words::Words;
use ringpost::log::record::{
    CommandV1, DeleteV1, Delivery, Direction, EditV1, EpochV1, MarkV1, MemberAction, MemberV1,
    MessageV1, NameId, NameKind, Outcome, Record, RoomAction, RoomV1, SessionAction, SessionV1,
    Source, StatusV1, UserStatusV1,
};

/// Where records go. An error ends the story.
pub trait Sink {
    /// The number of a name for records of `shard`.
    fn intern(&mut self, shard: usize, kind: NameKind, name: &str) -> Result<NameId, String>;
    /// Takes a record.
    fn append<R: Record>(
        &mut self,
        shard: usize,
        about: (NameId, NameId),
        record: &R,
    ) -> Result<(), String>;
    /// The server stops and starts again; numbers of names begin anew.
    fn restart(&mut self, now_us: i64) -> Result<(), String>;
    /// So many messages are told by now.
    fn told(&mut self, message_count: u64);
}

const COMMANDS: [&str; 12] = [
    "help",
    "order",
    "topic",
    "invoice",
    "weather",
    "assign",
    "close",
    "remind",
    "roll",
    "invite",
    "translate",
    "export",
];
/// Errors of the platform, the usual ones first.
const ERRORS: [u32; 6] = [131_026, 131_047, 131_049, 130_472, 131_051, 131_000];
const DEVICES: [&str; 5] = ["phone", "laptop", "tablet", "desk", ""];
const CLIENTS: [&str; 3] = ["console/1", "terminal/1", "app/2.4.1"];
const STATUS_EXTRA: &str =
    r#"{"pricing":{"billable":false,"pricing_model":"PMP","category":"service"}}"#;
const TEMPLATE_EXTRA: &str =
    r#"{"pricing":{"billable":true,"pricing_model":"PMP","category":"utility"}}"#;

const SECOND_US: f64 = 1_000_000.0;
const OWNER: u8 = 3;
const MEMBER: u8 = 1;

/// Everything that changes while the story goes on.
pub struct Story<'a, S> {
    options: &'a Options,
    people: &'a People,
    words: Words,
    dice: Dice,
    sink: &'a mut S,
    agenda: Agenda,
    text: String,
    /// By room and then conversation: the last position. 0: not made yet.
    tops: Vec<u64>,
    /// By user: bits of the homes that they joined.
    joined: Vec<u8>,
    /// By user: number of the open session; 0: none.
    sessions: Vec<u64>,
    session_count: u64,
    /// By conversation: an answer is due.
    awaited: Vec<bool>,
    /// Numbers of names: users then customers, by shard; rooms then conversations; commands, by
    /// shard. `NONE`: not interned yet.
    user_ids: Vec<Vec<NameId>>,
    room_ids: Vec<NameId>,
    command_ids: Vec<[NameId; COMMANDS.len()]>,
    message_count: u64,
    /// Places of the rhythm that answers have used up.
    used_up: u64,
}

impl<'a, S: Sink> Story<'a, S> {
    /// Before anything happened.
    pub fn new(options: &'a Options, people: &'a People, dice: Dice, sink: &'a mut S) -> Self {
        let shards = usize::from(options.shards);
        let user_count = people.users.len() + people.contacts.len();
        let room_count = people.rooms.len() + people.contacts.len();
        Self {
            options,
            people,
            words: Words::new(),
            dice,
            sink,
            agenda: Agenda::default(),
            text: String::new(),
            tops: vec![0; room_count],
            joined: vec![0; people.users.len()],
            sessions: vec![0; people.users.len()],
            session_count: 0,
            awaited: vec![false; people.contacts.len()],
            user_ids: vec![vec![NameId::NONE; user_count]; shards],
            room_ids: vec![NameId::NONE; room_count],
            command_ids: vec![[NameId::NONE; COMMANDS.len()]; shards],
            message_count: 0,
            used_up: 0,
        }
    }

    /// Tells it all.
    pub fn tell(mut self) -> Result<(), String> {
        let options = self.options;
        let mut rhythm = Rhythm::new(options.begin_us, options.days, options.messages);
        let life_us = i64::from(options.days) * DAY_US / i64::from(options.starts);
        let mut life_ends = options.begin_us + life_us;
        let epoch = EpochV1 { ts_us: options.begin_us, epoch: mix(options.seed) | 1 };
        self.sink.append(0, (NameId::NONE, NameId::NONE), &epoch)?;
        if options.metrics_s > 0 {
            self.agenda.put(options.begin_us, Later::Metrics);
        }
        while let Some(at) = rhythm.next(&mut self.dice) {
            while let Some((due, later)) = self.agenda.due(at) {
                self.perform(due, later)?;
                if self.message_count == options.messages {
                    return Ok(());
                }
            }
            if at >= life_ends {
                life_ends += life_us;
                self.restart(at)?;
            }
            if self.used_up > 0 {
                self.used_up -= 1;
                continue;
            }
            if self.dice.chance(options.whatsapp) {
                self.question(at)?;
            } else {
                self.remark(at)?;
            }
            self.sink.told(self.message_count);
        }
        Ok(())
    }

    fn restart(&mut self, at: i64) -> Result<(), String> {
        self.sink.restart(at)?;
        self.user_ids.iter_mut().for_each(|ids| ids.fill(NameId::NONE));
        self.room_ids.fill(NameId::NONE);
        self.command_ids.iter_mut().for_each(|ids| ids.fill(NameId::NONE));
        self.sessions.fill(0);
        Ok(())
    }

    fn perform(&mut self, at: i64, later: Later) -> Result<(), String> {
        match later {
            Later::Answer { contact, question } => self.answer(at, contact as usize, question),
            Later::Delivery { contact, message, step } => {
                self.delivery(at, contact as usize, message, step)
            }
            Later::SessionEnd { user, session } => self.session_end(at, user as usize, session),
            Later::Edit { user, room, target } => {
                let (user, room) = (user as usize, room as usize);
                let o = self.next_o(room);
                self.words.say(&mut self.dice, &mut self.text);
                let ts_us = self.stamp(at);
                let text = std::mem::take(&mut self.text);
                let edit = EditV1 { o, target, ts_us, text: &text, version: 1 };
                self.append(user, room, &edit)?;
                self.text = text;
                Ok(())
            }
            Later::Delete { user, room, target } => {
                let (user, room) = (user as usize, room as usize);
                let o = self.next_o(room);
                let ts_us = self.stamp(at);
                self.append(user, room, &DeleteV1 { o, target, ts_us })
            }
            Later::Metrics => self.metrics(at),
        }
    }

    /// A user says something in a room.
    fn remark(&mut self, at: i64) -> Result<(), String> {
        let day = ((at - self.options.begin_us) / DAY_US) as u32;
        let (user, home) = self.people.speaker(day, &mut self.dice);
        let room = self.people.homes[user][home] as usize;
        if self.options.presence {
            self.appear(at, user, home)?;
        }
        let o = self.next_o(room);
        let reply = if o > 20 && self.dice.chance(50) { o - 1 - self.dice.next() % 15 } else { 0 };
        let cid = self.dice.next();
        self.message(at, (user, room), MessageV1 { o, reply, ..EMPTY }, cid)?;
        self.consequences(at, user, room, o)
    }

    /// What follows a remark, now and then.
    fn consequences(&mut self, at: i64, user: usize, room: usize, o: u64) -> Result<(), String> {
        let options = self.options;
        if self.dice.chance(options.marks) {
            let ts_us = self.stamp(at);
            let read = o - self.dice.next() % o.min(3);
            self.append(user, room, &MarkV1 { ts_us, recv: o, read })?;
        }
        if self.dice.chance(options.commands) {
            self.command(at, user, room)?;
        }
        let (user, room) = (user as u32, room as u32);
        if self.dice.chance(options.edits) {
            let after = self.after(40.0, 0.8);
            self.agenda.put(at + after, Later::Edit { user, room, target: o });
        } else if self.dice.chance(options.deletes) {
            let after = self.after(90.0, 1.0);
            self.agenda.put(at + after, Later::Delete { user, room, target: o });
        }
        Ok(())
    }

    /// Before a user speaks they have a session, and are a member of the room.
    fn appear(&mut self, at: i64, user: usize, home: usize) -> Result<(), String> {
        let homes = &self.people.homes[user];
        let room = homes[home] as usize;
        let ts_us = self.stamp(at);
        if self.sessions[user] == 0 {
            self.session_count += 1;
            let session = self.session_count;
            self.sessions[user] = session;
            let sid = format!("{:016x}", mix(self.options.seed ^ session));
            let device = DEVICES[self.dice.below(DEVICES.len())];
            let client = CLIENTS[self.dice.below(CLIENTS.len())];
            let action = SessionAction::Start as u8;
            let start = SessionV1 { ts_us, sid: &sid, device, client, code: 0, action };
            self.append_user(user, &start)?;
            let after = self.after(2_400.0, 0.9);
            self.agenda.put(at + after, Later::SessionEnd { user: user as u32, session });
            if self.dice.chance(30) {
                let text = if self.dice.chance(500) { "lunch" } else { "" };
                let state = self.dice.below(3) as u8;
                self.append_user(user, &UserStatusV1 { ts_us, text, state })?;
            }
        }
        // The same room may be two homes of a user.
        let home = (0..HOMES).find(|at| homes[*at] as usize == room).expect("it is one of them");
        if self.joined[user] & 1 << home != 0 {
            return Ok(());
        }
        self.joined[user] |= 1 << home;
        let made = self.tops[room] == 0;
        if made {
            self.make_room(at, user, room)?;
        }
        let (o, role) = (self.next_o(room), if made { OWNER } else { MEMBER });
        let subject = self.people.users[user].as_str();
        let action = MemberAction::Join as u8;
        self.append(user, room, &MemberV1 { o, ts_us, subject, role, action })
    }

    fn make_room(&mut self, at: i64, user: usize, room: usize) -> Result<(), String> {
        let ts_us = self.stamp(at);
        let o = self.next_o(room);
        let created = RoomV1 { o, ts_us, text: "", action: RoomAction::Created as u8 };
        self.append(user, room, &created)?;
        if self.dice.chance(600) {
            let o = self.next_o(room);
            let text = "What was decided, and by whom";
            self.append(user, room, &RoomV1 { o, ts_us, text, action: RoomAction::Topic as u8 })?;
        }
        Ok(())
    }

    fn session_end(&mut self, at: i64, user: usize, session: u64) -> Result<(), String> {
        // A restart of the server has ended it already.
        if self.sessions[user] != session {
            return Ok(());
        }
        self.sessions[user] = 0;
        let sid = format!("{:016x}", mix(self.options.seed ^ session));
        let code = if self.dice.chance(800) { 1_000 } else { 1_006 };
        let (ts_us, action) = (self.stamp(at), SessionAction::End as u8);
        let end = SessionV1 { ts_us, sid: &sid, device: "", client: "", code, action };
        self.append_user(user, &end)
    }

    fn command(&mut self, at: i64, user: usize, room: usize) -> Result<(), String> {
        // The first commands are called most.
        let index = self.dice.below(COMMANDS.len()).min(self.dice.below(COMMANDS.len()));
        let shard = self.shard(room);
        if self.command_ids[shard][index] == NameId::NONE {
            let id = self.sink.intern(shard, NameKind::Command, COMMANDS[index])?;
            self.command_ids[shard][index] = id;
        }
        let outcome = match self.dice.below(100) {
            0..3 => Outcome::Failed,
            3 => Outcome::Timeout,
            4 => Outcome::Denied,
            5..8 => Outcome::BadArguments,
            _ => Outcome::Ok,
        };
        let median = if index == 4 { 180_000.0 } else { 900.0 };
        let command = CommandV1 {
            ts_us: self.stamp(at),
            args: if self.dice.chance(500) { "" } else { "today, please" },
            command: self.command_ids[shard][index].0,
            duration_us: match outcome {
                Outcome::Timeout => 10_000_000,
                _ => self.dice.skewed(median, 0.9) as u32,
            },
            outcome: outcome as u8,
        };
        self.append(user, room, &command)
    }

    /// A customer writes; mostly somebody will answer.
    fn question(&mut self, at: i64) -> Result<(), String> {
        let contact = self.people.customer(&mut self.dice);
        let (user, room) = self.conversation(contact);
        let o = self.next_o(room);
        let display = self.people.contacts[contact].display.as_str();
        let (source, direction) = (Source::Whatsapp as u8, Direction::In as u8);
        let external = wamid(contact, o);
        let message = MessageV1 { o, display, external: &external, source, direction, ..EMPTY };
        self.message(at, (user, room), message, 0)?;
        if !self.awaited[contact] && self.dice.chance(930) {
            self.awaited[contact] = true;
            let mut due = at + self.after(260.0, 1.2);
            // Nobody answers at night; the morning has a queue.
            let hour = due.rem_euclid(DAY_US) / HOUR_US;
            if !(7..21).contains(&hour) {
                let days = if hour < 7 { 0 } else { 1 };
                let morning = due - due.rem_euclid(DAY_US) + days * DAY_US + 7 * HOUR_US;
                due = morning + self.after(1_800.0, 0.7);
            }
            self.agenda.put(due, Later::Answer { contact: contact as u32, question: o });
        }
        Ok(())
    }

    fn answer(&mut self, at: i64, contact: usize, question: u64) -> Result<(), String> {
        self.awaited[contact] = false;
        self.used_up += 1;
        let (_, room) = self.conversation(contact);
        let agent = self.people.agent(contact, &mut self.dice);
        let o = self.next_o(room);
        let reply = if self.dice.chance(300) { question } else { 0 };
        let (external, direction) = (wamid(contact, o), Direction::Out as u8);
        let message = MessageV1 { o, reply, external: &external, direction, ..EMPTY };
        let cid = self.dice.next();
        self.message(at, (agent, room), message, cid)?;
        if self.options.statuses {
            self.delivery(at, contact, o, 0)?;
        }
        Ok(())
    }

    /// An outbound message gets on: queued, accepted, sent, delivered, read; or it fails.
    fn delivery(&mut self, at: i64, contact: usize, message: u64, step: u8) -> Result<(), String> {
        let chain = [Delivery::Queued, Delivery::Accepted, Delivery::Sent, Delivery::Delivered];
        let fails = step == 3 && self.dice.chance(self.options.failures);
        let status = match chain.get(usize::from(step)) {
            _ if fails => Delivery::Failed,
            Some(status) => *status,
            None => Delivery::Read,
        };
        let error = if fails {
            ERRORS[self.dice.below(ERRORS.len()).min(self.dice.below(ERRORS.len()))]
        } else {
            0
        };
        let priced = matches!(status, Delivery::Sent | Delivery::Delivered);
        let template = mix(message ^ contact as u64).is_multiple_of(5);
        let extra = match (priced, template) {
            (false, _) => "",
            (true, false) => STATUS_EXTRA,
            (true, true) => TEMPLATE_EXTRA,
        };
        let (user, room) = self.conversation(contact);
        let external = wamid(contact, message);
        let recipient = self.people.contacts[contact].user.trim_start_matches("wa:");
        let (ts_us, status) = (self.stamp(at), status as u8);
        let record = StatusV1 { ts_us, external: &external, recipient, extra, error, status };
        self.append(user, room, &record)?;
        let (median, spread) = match step {
            0 => (0.3, 0.5),
            1 => (0.9, 0.6),
            2 => (2.5, 1.2),
            3 if !fails && self.dice.chance(820) => (300.0, 1.6),
            _ => return Ok(()),
        };
        let after = self.after(median, spread);
        let contact = contact as u32;
        self.agenda.put(at + after, Later::Delivery { contact, message, step: step + 1 });
        Ok(())
    }

    fn metrics(&mut self, at: i64) -> Result<(), String> {
        let span_us = i64::from(self.options.metrics_s) * 1_000_000;
        for shard in 0..usize::from(self.options.shards) {
            super::metrics::append(self.sink, &mut self.dice, shard, at, span_us as u64)?;
        }
        if at + span_us < self.options.begin_us + i64::from(self.options.days) * DAY_US {
            self.agenda.put(at + span_us, Later::Metrics);
        }
        Ok(())
    }

    /// Fills in what all messages have, and writes it.
    fn message(
        &mut self,
        at: i64,
        (user, room): (usize, usize),
        message: MessageV1<'_>,
        cid: u64,
    ) -> Result<(), String> {
        let mut buffer = [0; 16];
        let cid = if cid == 0 { "" } else { hex(cid, &mut buffer) };
        self.words.say(&mut self.dice, &mut self.text);
        let text = std::mem::take(&mut self.text);
        let ts_us = self.stamp(at);
        self.append(user, room, &MessageV1 { ts_us, cid, text: &text, ..message })?;
        self.text = text;
        self.message_count += 1;
        Ok(())
    }

    fn append<R: Record>(&mut self, user: usize, room: usize, record: &R) -> Result<(), String> {
        let shard = self.shard(room);
        let user = self.user_id(shard, user)?;
        if self.room_ids[room] == NameId::NONE {
            let name = match room.checked_sub(self.people.rooms.len()) {
                None => &self.people.rooms[room],
                Some(contact) => &self.people.contacts[contact].room,
            };
            self.room_ids[room] = self.sink.intern(shard, NameKind::Room, name)?;
        }
        self.sink.append(shard, (user, self.room_ids[room]), record)
    }

    /// A record that belongs to no room.
    fn append_user<R: Record>(&mut self, user: usize, record: &R) -> Result<(), String> {
        let shard = user % usize::from(self.options.shards);
        let id = self.user_id(shard, user)?;
        self.sink.append(shard, (id, NameId::NONE), record)
    }

    fn user_id(&mut self, shard: usize, user: usize) -> Result<NameId, String> {
        let known = self.user_ids[shard][user];
        if known != NameId::NONE {
            return Ok(known);
        }
        let name = match user.checked_sub(self.people.users.len()) {
            None => &self.people.users[user],
            Some(contact) => &self.people.contacts[contact].user,
        };
        let id = self.sink.intern(shard, NameKind::User, name)?;
        self.user_ids[shard][user] = id;
        Ok(id)
    }

    /// User and room of a conversation.
    fn conversation(&self, contact: usize) -> (usize, usize) {
        (self.people.users.len() + contact, self.people.rooms.len() + contact)
    }

    fn shard(&self, room: usize) -> usize {
        room % usize::from(self.options.shards)
    }

    fn next_o(&mut self, room: usize) -> u64 {
        self.tops[room] += 1;
        self.tops[room]
    }

    fn after(&mut self, median_s: f64, spread: f64) -> i64 {
        (self.dice.skewed(median_s, spread) * SECOND_US) as i64
    }

    /// What the clock of the server says at that moment.
    fn stamp(&mut self, at: i64) -> i64 {
        let since = at - self.options.begin_us;
        if self.options.clock_jumps && (since / (HOUR_US / 2)) % 61 == 17 {
            return at - 3 * HOUR_US;
        }
        if self.options.future && self.dice.below(5_000) == 0 {
            return at + 40 * 365 * DAY_US;
        }
        at
    }
}

const EMPTY: MessageV1<'static> = MessageV1 {
    o: 0,
    ts_us: 0,
    reply: 0,
    cid: "",
    text: "",
    display: "",
    external: "",
    extra: "",
    source: Source::Ws as u8,
    direction: Direction::In as u8,
};

/// The platform's id of a message.
fn wamid(contact: usize, o: u64) -> String {
    format!("wamid.HBgM{:016X}{o:06X}", mix(contact as u64 + 1))
}

fn hex(value: u64, buffer: &mut [u8; 16]) -> &str {
    for (index, digit) in buffer.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(value >> (60 - 4 * index)) as usize & 15];
    }
    std::str::from_utf8(buffer).expect("digits")
}
