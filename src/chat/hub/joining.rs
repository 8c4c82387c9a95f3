//! Front: how sessions begin, enter and leave rooms, fall behind and catch up.

use super::Hub;
use crate::base::clock::Now;
use crate::base::codes::{CloseReason, ErrorCode};
use crate::base::ids::{ConnId, Offset};
use crate::base::limits::{
    HISTORY_LIMIT_MAX, PING_INTERVAL_MS, PONG_TIMEOUT_MS, RESUME_BYTES_MAX, RESUME_WINDOW_MS,
    ROOMS_PER_SESSION_MAX, TEXT_BYTES_MAX, WS_MESSAGE_BYTES_MAX,
};
use crate::chat::event::{
    Ask, Effect, Fact, Frame, JoinWish, JoinedDetail, LocalRoom, Message, Name, Record, Refusal,
    Secret,
};
use crate::chat::reply;
use crate::chat::request::{Hello, Join, bad, check_room, check_user, refuse};
use crate::chat::session::{Greeting, Phase, Seat, SeatState};
use crate::chat::token;
use serde_json::{Map, Value, json};

impl Hub {
    pub(super) fn hello(
        &mut self,
        now: Now,
        conn: ConnId,
        id: Option<u32>,
        hello: Hello,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let session = self.sessions.get(conn).expect("the caller found it");
        if session.phase != Phase::New {
            return Err(bad("hello was said already"));
        }
        let Some(user) = self.authenticate(now, (conn, id), &hello, effects)? else {
            return Ok(());
        };
        let user = Name::from(user);
        if hello.rooms.len() > ROOMS_PER_SESSION_MAX {
            return Err(too_many_rooms());
        }
        let resume = hello.resume.as_deref().and_then(reply::secret_parse);
        let rooms = hello.rooms.into_iter().map(|(name, join)| (Name::from(name), join));
        let greeting = Greeting {
            id,
            rooms: rooms.collect(),
            device: cut(&hello.device).into(),
            client: cut(&hello.client).into(),
            waiting: 0,
            results: Map::new(),
            reply: Map::new(),
            budget: RESUME_BYTES_MAX,
        };
        let session = self.sessions.get_mut(conn).expect("found above");
        session.phase = Phase::Greeting;
        session.user = Some(user.clone());
        session.echo = hello.echo.unwrap_or(true);
        session.quiet = hello.quiet;
        session.pending().greeting = Some(greeting);
        let from = self.address(conn);
        self.tell(self.home_shard(&user), Message::Hello { from, user, resume }, effects);
        Ok(())
    }

    /// The proven name. `None` when the token was refused: then the connection is being closed.
    fn authenticate(
        &mut self,
        now: Now,
        (conn, id): (ConnId, Option<u32>),
        hello: &Hello,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<String>, Refusal> {
        if let Some(token) = &hello.token
            && !self.options.token_secret.is_empty()
        {
            let now_s = now.wall_us.div_euclid(1_000_000);
            let verified = token::verify(token, &self.options.token_secret, now_s);
            let (reason, refusal) = match verified {
                // Whoever signs tokens may let people choose their names: the rules hold for all.
                Ok(user) => match check_user(&user) {
                    Ok(()) => return Ok(Some(user)),
                    Err(refusal) => (CloseReason::BadToken, refusal),
                },
                Err(token::TokenError::Expired) => {
                    let refusal = refuse(ErrorCode::TokenExpired, "the token has expired");
                    (CloseReason::TokenExpired, refusal)
                }
                Err(_) => {
                    let refusal = refuse(ErrorCode::Unauthorized, "the token was refused");
                    (CloseReason::BadToken, refusal)
                }
            };
            // The reason in words goes first: nothing is sent behind a goodbye.
            self.send(conn, reply::err(id, &refusal), effects);
            self.dismiss(conn, reason, effects);
            return Ok(None);
        }
        match &hello.user {
            Some(user) if self.options.dev => check_user(user).map(|()| Some(user.clone())),
            None if self.options.dev => Err(bad("hello: `user` is missing")),
            _ => {
                let text = "hello: `token` is missing (`user` alone works in development mode)";
                Err(refuse(ErrorCode::Unauthorized, text))
            }
        }
    }

    /// The home said yes: answer, once every room it asked for has answered.
    pub(super) fn welcome(
        &mut self,
        now: Now,
        conn: ConnId,
        secret: Secret,
        effects: &mut Vec<Effect>,
    ) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        if session.phase != Phase::Greeting {
            return;
        }
        session.phase = Phase::Live;
        session.started = true;
        let number = session.number;
        let user = session.user.clone().expect("set by hello");
        let greeting = session.pending().greeting.as_mut().expect("set by hello");
        let rooms = std::mem::take(&mut greeting.rooms);
        let (device, client) = (greeting.device.clone(), greeting.client.clone());
        let sid = self.sid(number);
        let fact = Fact::SessionStart { sid: sid.clone().into(), device, client };
        let record = Record { ts_us: now.wall_us, user: user.clone(), room: "".into(), fact };
        self.append(record, effects);
        let reply = self.greeting_reply(now, &sid, &user, secret);
        effects.push(Effect::Cork { conn });
        for (room, join) in rooms {
            if let Err(refusal) = check_room(&room)
                .and_then(|()| self.take_seat(conn, None, &room, &join, true, effects))
            {
                let value = json!({"err": reply::refusal_value(&refusal)});
                let greeting = self.greeting(conn).expect("still greeting");
                greeting.results.insert(room.to_string(), value);
            }
        }
        let greeting = self.greeting(conn).expect("still greeting");
        greeting.reply = reply;
        self.finish_greeting(conn, effects);
    }

    fn greeting_reply(
        &self,
        now: Now,
        sid: &str,
        user: &str,
        secret: Secret,
    ) -> Map<String, Value> {
        let options = &self.options;
        let limits = json!({
            "frame": WS_MESSAGE_BYTES_MAX,
            "text": TEXT_BYTES_MAX,
            "send_per_s": options.sends.per_s,
            "burst": options.sends.burst,
            "room_send_per_s": options.room_sends.per_s,
            "room_burst": options.room_sends.burst,
            "rooms": ROOMS_PER_SESSION_MAX,
            "history": HISTORY_LIMIT_MAX,
        });
        let reply = json!({
            "sid": sid,
            "resume": reply::secret_text(secret),
            "user": user,
            "e": self.epochs.current().to_string(),
            "ts": now.wall_ms(),
            "ack": options.ack,
            "ping_ms": PING_INTERVAL_MS,
            "pong_ms": PONG_TIMEOUT_MS,
            "resume_ms": RESUME_WINDOW_MS,
            "limits": limits,
        });
        match reply {
            Value::Object(reply) => reply,
            _ => unreachable!("json! of braces is an object"),
        }
    }

    fn greeting(&mut self, conn: ConnId) -> Option<&mut Greeting> {
        self.sessions.get_mut(conn)?.pending.as_mut()?.greeting.as_mut()
    }

    fn finish_greeting(&mut self, conn: ConnId, effects: &mut Vec<Effect>) {
        let Some(greeting) = self.greeting(conn) else {
            return;
        };
        if greeting.waiting > 0 {
            return;
        }
        let mut reply = std::mem::take(&mut greeting.reply);
        reply.insert("rooms".into(), Value::Object(std::mem::take(&mut greeting.results)));
        let id = greeting.id;
        let session = self.sessions.get_mut(conn).expect("greeted above");
        session.pending().greeting = None;
        session.settle();
        // A hello without an id still gets its answer: the client needs its session.
        let first = reply::ok(id.unwrap_or(0), &Value::Object(reply));
        effects.push(Effect::Uncork { conn, first });
    }

    pub(super) fn join(
        &mut self,
        conn: ConnId,
        id: Option<u32>,
        room: &str,
        join: &Join,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.take_seat(conn, id, &Name::from(room), join, false, effects)
    }

    /// Asks the owner for a place in the room.
    fn take_seat(
        &mut self,
        conn: ConnId,
        id: Option<u32>,
        room: &Name,
        join: &Join,
        greeting: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let replay = join.replay()?;
        if self.seated(conn, room).is_ok() {
            let text = format!("this session is in {room:?} already");
            return Err(refuse(ErrorCode::AlreadyJoined, &text));
        }
        let session = self.sessions.get(conn).expect("the caller found it");
        if session.seats.len() >= ROOMS_PER_SESSION_MAX {
            return Err(too_many_rooms());
        }
        let counted = !session.quiet;
        let by = self.asker(conn, id);
        let local = self.open_local(room);
        let session = self.sessions.get_mut(conn).expect("found above");
        if session.seats.is_empty() {
            session.seats.reserve_exact(1);
        }
        let state = SeatState::Joining { greeting, leave: None, evicted: false };
        session.seats.push(Seat { room: local, state });
        if greeting {
            self.greeting(conn).expect("greeting").waiting += 1;
        }
        let ask = Ask::Join(JoinWish { replay, member: join.member, counted });
        self.tell(self.owner_of(room), Message::Ask { room: room.clone(), by, ask }, effects);
        Ok(())
    }

    /// The owner answered a join. From this message on, in the order of the owner's channel,
    /// everything published is for this seat too.
    pub(super) fn joined(
        &mut self,
        conn: ConnId,
        id: Option<u32>,
        room: &Name,
        outcome: Result<JoinedDetail, Refusal>,
        replay: Vec<Frame>,
        effects: &mut Vec<Effect>,
    ) {
        // The session, or its seat, may be gone; the owner was told then.
        let Ok((local, _)) = self.seated(conn, room) else {
            return;
        };
        let lagging = self.sessions.get(conn).expect("seated").lagging;
        let seat = self.sessions.get_mut(conn).expect("seated").seat(local).expect("seated");
        let SeatState::Joining { greeting, leave, evicted } = seat.state else {
            return;
        };
        let value = match &outcome {
            Ok(detail) => Ok((reply::joined_value(detail), detail.top)),
            Err(refusal) => Err(refusal),
        };
        match value {
            Ok((mut value, top)) => {
                let replay = self.within_budget(conn, greeting, &mut value, replay);
                let top_here = &mut self.local[local.0 as usize].top;
                *top_here = (*top_here).max(top);
                if greeting {
                    let results = &mut self.greeting(conn).expect("greeting").results;
                    results.insert(room.to_string(), value);
                } else {
                    self.acknowledge(conn, id, &value, effects);
                }
                self.be_live(conn, local, lagging, top, effects);
                effects.extend(replay.into_iter().map(|frame| Effect::Send { conn, frame }));
                if let Err(refusal) = self.check_number(room) {
                    self.send(conn, reply::notice(room, "info", &refusal.text), effects);
                }
            }
            Err(refusal) => {
                // Every join is balanced by one leave, so that the owner can forget the refusal.
                self.vacate(conn, local, (true, false), None, effects);
                if greeting {
                    let value = json!({"err": reply::refusal_value(refusal)});
                    let results = &mut self.greeting(conn).expect("greeting").results;
                    results.insert(room.to_string(), value);
                } else {
                    self.send(conn, reply::err(id, refusal), effects);
                }
            }
        }
        match leave {
            Some((id, member)) => {
                if let Err(refusal) = self.leave(conn, id, room, member, effects) {
                    self.send(conn, reply::err(id, &refusal), effects);
                }
            }
            None if evicted => self.remove_seat(conn, room, effects),
            None => {}
        }
        if greeting {
            self.greeting(conn).expect("greeting").waiting -= 1;
            self.finish_greeting(conn, effects);
        }
    }

    fn be_live(
        &mut self,
        conn: ConnId,
        local: LocalRoom,
        lagging: bool,
        top: Offset,
        effects: &mut Vec<Effect>,
    ) {
        let seat = self.sessions.get_mut(conn).expect("seated").seat(local).expect("seated");
        if lagging {
            seat.state = SeatState::Lagging { upto: top, asked: false };
        } else {
            seat.state = SeatState::Live;
            effects.push(Effect::Attach { conn, room: local });
        }
    }

    /// One `hello` replays so many bytes over all rooms; a room beyond that is paged instead.
    fn within_budget(
        &mut self,
        conn: ConnId,
        greeting: bool,
        value: &mut Value,
        replay: Vec<Frame>,
    ) -> Vec<Frame> {
        if !greeting {
            return replay;
        }
        let size: usize = replay.iter().map(|frame| frame.len()).sum();
        let budget = &mut self.greeting(conn).expect("greeting").budget;
        if size <= *budget {
            *budget -= size;
            return replay;
        }
        value["recovered"] = false.into();
        value["n"] = 0.into();
        value["from"] = (value["o"].as_u64().unwrap_or(0) + 1).into();
        Vec::new()
    }

    pub(super) fn leave(
        &mut self,
        conn: ConnId,
        id: Option<u32>,
        room: &str,
        member: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let (local, _) = self.seated(conn, room)?;
        let seat = self.sessions.get_mut(conn).expect("seated").seat(local).expect("seated");
        if let SeatState::Joining { leave, .. } = &mut seat.state {
            if leave.is_some() {
                return Err(refuse(ErrorCode::NotJoined, "this session is leaving already"));
            }
            // Both answers must come in order: the join's first.
            *leave = Some((id, member));
            return Ok(());
        }
        if member {
            // Its owner answers, when the end of the membership is durable.
            self.vacate(conn, local, (true, true), id, effects);
        } else {
            self.vacate(conn, local, (true, false), None, effects);
            self.acknowledge(conn, id, &json!({}), effects);
        }
        Ok(())
    }

    /// The socket does not keep up: from here on the log feeds it.
    pub(super) fn lagging(&mut self, conn: ConnId, effects: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        session.lagging = true;
        for seat in &mut session.seats {
            if seat.state == SeatState::Live {
                let upto = self.local[seat.room.0 as usize].top;
                seat.state = SeatState::Lagging { upto, asked: false };
                effects.push(Effect::Detach { conn, room: seat.room });
            }
        }
    }

    /// The socket has taken what was queued: feed the next room that is behind.
    pub(super) fn drained(&mut self, conn: ConnId, effects: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        let behind = session.seats.iter_mut().find_map(|seat| match &mut seat.state {
            SeatState::Lagging { upto, asked } if !*asked => {
                *asked = true;
                Some((seat.room, *upto))
            }
            _ => None,
        });
        let Some((local, after)) = behind else {
            let asked = |seat: &Seat| matches!(seat.state, SeatState::Lagging { .. });
            session.lagging = session.seats.iter().any(asked);
            return;
        };
        let room = self.local[local.0 as usize].name.clone();
        let by = self.asker(conn, None);
        let ask = Ask::CatchUp { after };
        self.tell(self.owner_of(&room), Message::Ask { room, by, ask }, effects);
    }

    pub(super) fn caught_up(
        &mut self,
        conn: ConnId,
        room: &Name,
        frames: Vec<Frame>,
        (upto, live): (Offset, bool),
        effects: &mut Vec<Effect>,
    ) {
        let Ok((local, _)) = self.seated(conn, room) else {
            return;
        };
        let top = self.local[local.0 as usize].top;
        let session = self.sessions.get_mut(conn).expect("seated");
        let seat = session.seat(local).expect("seated");
        if !matches!(seat.state, SeatState::Lagging { asked: true, .. }) {
            return;
        }
        if live {
            assert!(upto >= top, "the owner's channel keeps order");
            seat.state = SeatState::Live;
            self.local[local.0 as usize].top = upto;
            effects.push(Effect::Attach { conn, room: local });
        } else {
            seat.state = SeatState::Lagging { upto, asked: false };
        }
        let session = self.sessions.get_mut(conn).expect("seated");
        let behind = |seat: &Seat| matches!(seat.state, SeatState::Lagging { .. });
        session.lagging = session.seats.iter().any(behind);
        effects.extend(frames.into_iter().map(|frame| Effect::Send { conn, frame }));
    }
}

fn too_many_rooms() -> Refusal {
    let text = format!("a session is in at most {ROOMS_PER_SESSION_MAX} rooms");
    refuse(ErrorCode::TooLarge, &text)
}

/// Device and client names are for the log: 64 bytes are enough.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}
