//! Front: the sessions whose sockets are on this shard, and the verbs they send.

use super::Hub;
use super::commanding::split_command;
use crate::base::clock::Now;
use crate::base::codes::{CloseReason, ErrorCode};
use crate::base::ids::{Address, ConnId, Offset};
use crate::base::limits::HELLO_TIMEOUT_MS;
use crate::chat::event::{
    Ask, Asker, Cid, Effect, Fact, Frame, LocalRoom, Message, Name, Record, Refusal, Rich, Status,
    Wellbeing,
};
use crate::chat::inbox::Query;
use crate::chat::reply;
use crate::chat::request::{Envelope, Request, bad, check_room, refuse};
use crate::chat::session::{Phase, Query as StatusQuery, SeatState, Session};
use serde_json::{Map, Value, json};

/// A room with sessions on this shard.
#[derive(Debug)]
pub struct Local {
    /// Its name.
    pub name: Name,
    /// Seats of sessions here, in any state.
    pub seats: u32,
    /// The last offset that was published here.
    pub top: Offset,
}

/// One request being carried out.
#[derive(Clone, Copy)]
struct Call<'a> {
    conn: ConnId,
    id: Option<u32>,
    room: &'a str,
}

impl Hub {
    pub(super) fn opened(&mut self, now: Now, conn: ConnId) {
        self.session_number += 1;
        self.sessions.insert(conn, Session::new(self.session_number));
        self.hello_deadlines.insert(conn, now.mono_ms() + HELLO_TIMEOUT_MS);
    }

    pub(super) fn expire_hellos(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let mut due = Vec::new();
        self.hello_deadlines.drain(now.mono_ms(), &mut due);
        for conn in due {
            if self.sessions.get(conn).is_some_and(|session| session.phase == Phase::New) {
                self.dismiss(conn, CloseReason::NoHello, effects);
            }
        }
    }

    pub(super) fn text(&mut self, now: Now, conn: ConnId, text: &str, effects: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        if session.phase == Phase::Closing {
            return;
        }
        if session.frames.take(self.options.frames, now.mono_ms()).is_err() {
            self.dismiss(conn, CloseReason::RateLimited, effects);
            return;
        }
        let envelope = match Envelope::parse(text) {
            Ok(envelope) => envelope,
            Err(error) => {
                let refusal = bad(&format!("not a request: {error}"));
                self.send(conn, reply::err(None, &refusal), effects);
                return;
            }
        };
        let call = Call { conn, id: envelope.id, room: &envelope.room };
        let done =
            Request::parse(&envelope).and_then(|request| self.request(now, call, request, effects));
        if let Err(refusal) = done {
            self.send(conn, reply::err(call.id, &refusal), effects);
        }
    }

    fn request(
        &mut self,
        now: Now,
        call: Call<'_>,
        request: Request,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let Call { conn, id, room } = call;
        let phase = self.sessions.get(conn).map_or(Phase::Closing, |session| session.phase);
        match (&request, phase) {
            (Request::Hello(_) | Request::Pong | Request::Bye, _) | (_, Phase::Live) => {}
            _ => return Err(refuse(ErrorCode::Unauthorized, "say hello first")),
        }
        match request {
            Request::Hello(hello) => self.hello(now, conn, id, *hello, effects),
            Request::Join(join) => {
                check_room(room)?;
                self.join(conn, id, room, &join, effects)
            }
            Request::Leave { member } => self.leave(conn, id, room, member, effects),
            Request::Send { cid, text, reply, rich } => {
                self.take_send(now, conn)?;
                let ask = send_or_command(now, cid, (text, rich), reply);
                self.forward(call, ask, effects)
            }
            Request::Edit { of, text } => {
                self.take_send(now, conn)?;
                self.forward(call, Ask::Edit { of, text }, effects)
            }
            Request::Delete { of } => {
                self.take_send(now, conn)?;
                self.forward(call, Ask::Delete { of }, effects)
            }
            Request::History { page, limit } => {
                self.forward(call, Ask::History { page, limit }, effects)
            }
            Request::Typing => self.forward(call, Ask::Typing, effects),
            Request::Mark { recv, read } => self.forward(call, Ask::Mark { recv, read }, effects),
            Request::Who { after, limit } => self.forward(call, Ask::Who { after, limit }, effects),
            Request::SetStatus(status) => self.set_status(now, conn, id, status, effects),
            Request::AskStatus { users } => {
                self.ask_status(conn, id, users, effects);
                Ok(())
            }
            Request::Command { name, text, cid, v } => {
                self.take_send(now, conn)?;
                let since_us = now.mono_us;
                self.forward(call, Ask::Command { name, text, cid, v, since_us }, effects)
            }
            Request::Commands { prefix } => {
                let listed = self.book.list(&prefix.to_lowercase(), room);
                let values: Vec<_> = listed.iter().map(|listed| listed.value()).collect();
                self.acknowledge(conn, id, &json!({"cmds": values}), effects);
                Ok(())
            }
            Request::Converse { changes } => {
                self.take_send(now, conn)?;
                self.forward(call, Ask::Converse { changes }, effects)
            }
            Request::Inbox { query, watch } => self.inbox(call, *query, watch, effects),
            Request::Pong => Ok(()),
            Request::Bye => {
                self.acknowledge(conn, id, &json!({}), effects);
                self.leave_all(conn, true, effects);
                self.dismiss(conn, CloseReason::Normal, effects);
                Ok(())
            }
        }
    }

    fn inbox(
        &mut self,
        Call { conn, id, .. }: Call<'_>,
        query: Query,
        watch: Option<bool>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let by = self.asker(conn, id);
        self.check_agent(&by)?;
        if let Some(on) = watch {
            self.watch_inbox(conn, on, effects);
        }
        let query = Query { user: by.user, ..query };
        self.ask_inbox((by.from, by.id), &query, effects);
        Ok(())
    }

    /// Sends `ask` to the owner of a room this session is in.
    fn forward(
        &mut self,
        call: Call<'_>,
        mut ask: Ask,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let (_, room) = self.seated(call.conn, call.room)?;
        let by = self.asker(call.conn, call.id);
        if let Ask::Send { mute, .. } = &mut ask {
            *mute = self.sessions.get(call.conn).is_some_and(|session| !session.echo);
        }
        self.tell(self.owner_of(&room), Message::Ask { room, by, ask }, effects);
        Ok(())
    }

    /// The room of this name, if this session has a seat in it.
    pub(super) fn seated(
        &mut self,
        conn: ConnId,
        room: &str,
    ) -> Result<(LocalRoom, Name), Refusal> {
        let not_joined = || {
            let text = format!("this session is not in {room:?}; join it first");
            refuse(ErrorCode::NotJoined, &text)
        };
        let index = *self.locals.get(room).ok_or_else(not_joined)?;
        let session = self.sessions.get_mut(conn).ok_or_else(not_joined)?;
        let room = LocalRoom(index);
        session.seat(room).ok_or_else(not_joined)?;
        Ok((room, self.local[index as usize].name.clone()))
    }

    /// This session as an asker. It must have said hello.
    pub(super) fn asker(&self, conn: ConnId, id: Option<u32>) -> Asker {
        let session = self.sessions.get(conn).expect("the caller found it");
        let user = session.user.clone().expect("a session that asks has a user");
        Asker { from: self.address(conn), user, id, api: false }
    }

    pub(super) fn address(&self, conn: ConnId) -> Address {
        Address { shard: self.options.shard, conn }
    }

    /// Answers a request of a session of this shard.
    pub(super) fn acknowledge(
        &mut self,
        conn: ConnId,
        id: Option<u32>,
        d: &Value,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(id) = id {
            self.send(conn, reply::ok(id, d), effects);
        }
    }

    fn take_send(&mut self, now: Now, conn: ConnId) -> Result<(), Refusal> {
        let rate = self.options.sends;
        let Some(session) = self.sessions.get_mut(conn) else {
            return Ok(());
        };
        session.sends.take(rate, now.mono_ms()).map_err(|after_ms| {
            let text = format!("{} messages a second, bursts of {}", rate.per_s, rate.burst);
            Refusal { after_ms: Some(after_ms), ..refuse(ErrorCode::RateLimited, &text) }
        })
    }

    pub(super) fn closed(&mut self, now: Now, conn: ConnId, code: u16, effects: &mut Vec<Effect>) {
        self.leave_all(conn, false, effects);
        if self.watchers.contains(&conn) {
            self.watch_inbox(conn, false, effects);
        }
        let Some(session) = self.sessions.remove(conn) else {
            return;
        };
        let Some(user) = session.user else {
            return;
        };
        let started = session.started;
        let from = self.address(conn);
        let home = self.home_shard(&user);
        self.tell(home, Message::Goodbye { from, user: user.clone() }, effects);
        if started {
            let sid = self.sid(session.number);
            let fact = Fact::SessionEnd { sid: sid.into(), code };
            self.append(Record { ts_us: now.wall_us, user, room: "".into(), fact }, effects);
        }
    }

    pub(super) fn sid(&self, number: u64) -> String {
        format!("{:x}-{}-{number:x}", self.options.boot_ms, self.options.shard.0)
    }

    /// Ends a connection from our side.
    pub(super) fn dismiss(&mut self, conn: ConnId, reason: CloseReason, effects: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        if session.phase != Phase::Closing {
            session.phase = Phase::Closing;
            effects.push(Effect::Close { conn, reason });
        }
    }

    pub(super) fn published(
        &mut self,
        room: &Name,
        o: Offset,
        frame: Frame,
        skip: Option<Address>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(&index) = self.locals.get(room) else {
            return;
        };
        let local = &mut self.local[index as usize];
        if o != Offset(0) {
            assert!(o > local.top, "the channel from an owner keeps order");
            local.top = o;
        }
        let skip = skip.filter(|skip| skip.shard == self.options.shard).map(|skip| skip.conn);
        let class = super::class_of(o);
        effects.push(Effect::Publish { room: LocalRoom(index), frame, class, skip });
    }

    fn set_status(
        &mut self,
        now: Now,
        conn: ConnId,
        id: Option<u32>,
        status: Status,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.check_log(status.text.len())?;
        let by = self.asker(conn, id);
        let user = by.user.clone();
        let home = self.home_shard(&user);
        let set = Message::SetStatus { user: user.clone(), status: status.clone() };
        self.tell(home, set, effects);
        let seats = self.sessions.get(conn).map(|session| session.seats.clone());
        for seat in seats.unwrap_or_default() {
            let room = self.local[seat.room.0 as usize].name.clone();
            let ask = Ask::Status(status.clone());
            let owner = self.owner_of(&room);
            self.tell(owner, Message::Ask { room, by: by.clone(), ask }, effects);
        }
        let fact = Fact::Status(status);
        let record = Record { ts_us: now.wall_us, user, room: "".into(), fact };
        let append = self.append(record, effects);
        self.confirm(&by, append, &json!({}), effects);
        Ok(())
    }

    fn ask_status(
        &mut self,
        conn: ConnId,
        id: Option<u32>,
        users: Vec<String>,
        effects: &mut Vec<Effect>,
    ) {
        if users.is_empty() {
            self.acknowledge(conn, id, &json!({"users": {}}), effects);
            return;
        }
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        let pending = session.pending();
        pending.query_number += 1;
        let number = pending.query_number;
        let waiting = users.len();
        pending.queries.push(StatusQuery { number, id, waiting, users: Map::new() });
        let from = self.address(conn);
        for user in users {
            let home = self.home_shard(&user);
            let ask = Message::AskStatus { from, query: number, user: user.into() };
            self.tell(home, ask, effects);
        }
    }

    pub(super) fn status_told(
        &mut self,
        conn: ConnId,
        number: u32,
        user: &Name,
        told: Wellbeing,
        effects: &mut Vec<Effect>,
    ) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        let queries = &mut session.pending().queries;
        let Some(index) = queries.iter().position(|query| query.number == number) else {
            return;
        };
        let query = &mut queries[index];
        let mut value = reply::status_value(&told.status);
        value["online"] = told.online.into();
        value["seen"] = told.seen_ms.into();
        query.users.insert(user.to_string(), value);
        query.waiting -= 1;
        if query.waiting == 0 {
            let query = queries.swap_remove(index);
            session.settle();
            self.acknowledge(conn, query.id, &json!({"users": query.users}), effects);
        }
    }

    /// The user was removed from the room: its sessions here leave, as if they had asked.
    pub(super) fn evict(&mut self, room: &Name, user: &Name, effects: &mut Vec<Effect>) {
        for conn in self.sessions.ids() {
            let session = self.sessions.get(conn).expect("listed");
            if session.user.as_ref() != Some(user) || self.seated(conn, room).is_err() {
                continue;
            }
            self.remove_seat(conn, room, effects);
        }
    }

    /// Ends a seat that its session did not want to end. The word comes last: behind it nothing of
    /// the room follows.
    pub(super) fn remove_seat(&mut self, conn: ConnId, room: &Name, effects: &mut Vec<Effect>) {
        let Ok((local, _)) = self.seated(conn, room) else {
            return;
        };
        let seat = self.sessions.get_mut(conn).expect("seated").seat(local).expect("seated");
        if let SeatState::Joining { evicted, .. } = &mut seat.state {
            *evicted = true;
            return;
        }
        self.vacate(conn, local, (true, false), None, effects);
        let msg = "you were removed from this room";
        self.send(conn, reply::notice(room, "warn", msg), effects);
    }

    /// Takes the local room's index, making it when this is the first seat.
    pub(super) fn open_local(&mut self, name: &Name) -> LocalRoom {
        if let Some(&index) = self.locals.get(name) {
            self.local[index as usize].seats += 1;
            return LocalRoom(index);
        }
        let local = Local { name: name.clone(), seats: 1, top: Offset(0) };
        let index = match self.local_free.pop() {
            Some(index) => {
                self.local[index as usize] = local;
                index
            }
            None => {
                self.local.push(local);
                (self.local.len() - 1) as u32
            }
        };
        self.locals.insert(name.clone(), index);
        LocalRoom(index)
    }

    /// Gives a seat back; the last one frees the local room.
    pub(super) fn close_local(&mut self, room: LocalRoom) {
        let local = &mut self.local[room.0 as usize];
        assert!(local.seats > 0);
        local.seats -= 1;
        if local.seats == 0 {
            self.locals.remove(&local.name);
            self.local_free.push(room.0);
        }
    }

    /// Takes a seat away and tells the owner.
    pub(super) fn vacate(
        &mut self,
        conn: ConnId,
        room: LocalRoom,
        (said, member): (bool, bool),
        id: Option<u32>,
        effects: &mut Vec<Effect>,
    ) {
        let by = self.asker(conn, id);
        let session = self.sessions.get_mut(conn).expect("the caller found it");
        let counted = !session.quiet;
        let index = session.seats.iter().position(|seat| seat.room == room).expect("seated");
        let seat = session.seats.swap_remove(index);
        if seat.state == SeatState::Live {
            effects.push(Effect::Detach { conn, room });
        }
        let name = self.local[room.0 as usize].name.clone();
        self.close_local(room);
        let ask = Ask::Leave { said, counted, member };
        self.tell(self.owner_of(&name), Message::Ask { room: name, by, ask }, effects);
    }

    fn leave_all(&mut self, conn: ConnId, said: bool, effects: &mut Vec<Effect>) {
        let seats = self.sessions.get_mut(conn).map(|session| session.seats.clone());
        for seat in seats.unwrap_or_default() {
            self.vacate(conn, seat.room, (said, false), None, effects);
        }
    }
}

/// A text that begins with a slash is a command; two slashes write one.
fn send_or_command(
    now: Now,
    cid: Cid,
    (text, rich): (Box<str>, Option<Box<Rich>>),
    reply: Option<Offset>,
) -> Ask {
    let since_us = now.mono_us;
    let send = |cid, text| Ask::Send { cid, text, reply, mute: false, rich, since_us };
    match text.strip_prefix('/') {
        None => send(cid, text),
        Some(rest) if rest.starts_with('/') => send(cid, rest.into()),
        Some(rest) => {
            let (name, rest) = split_command(rest);
            Ask::Command { name: name.into(), text: rest.into(), cid, v: None, since_us }
        }
    }
}
