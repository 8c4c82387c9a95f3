//! Owner: the commands that every server has.

use super::commanding::{Caller, Done, Said};
use super::keeping::{BAN, MUTE};
use super::owner::event;
use super::{Hub, mark_dirty};
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::limits::TOPIC_BYTES_MAX;
use crate::base::names::HANDLER_PREFIX;
use crate::base::names::is_contact;
use crate::chat::event::{
    Access, Asker, ConversationChange, ConversationState, Effect, Fact, MemberAction, Message,
    Name, Refusal, Rich, Role, RoomChange, Source,
};
use crate::chat::reply;
use crate::chat::request::{bad, check_user, refuse};
use crate::commands::{BUILT_IN, BuiltIn, Listed};

/// Messages of `/history`, unless it says how many, and at most.
const HISTORY_COUNT: usize = 10;
const HISTORY_COUNT_MAX: usize = 50;
/// Names of `/who`.
const WHO_COUNT: usize = 50;

impl Hub {
    /// Runs a built-in command.
    pub(super) fn run_built_in(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        command: &BuiltIn,
        args: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<Done, Refusal> {
        let (room, by) = (caller.room, caller.by);
        if is_contact(&by.user) && !command.contacts {
            return Err(refuse(ErrorCode::Forbidden, "this is for the team"));
        }
        let rank = self.rank(room, by);
        if rank < command.role {
            let (name, role) = (command.name, command.role.name());
            let text = format!("/{name} is for {role}s; you are a {}", rank.name());
            return Err(refuse(ErrorCode::Forbidden, &text));
        }
        let done = match command.name {
            "access" => self.set_access(now, room, by, args, effects),
            "assign" | "unassign" | "close" | "reopen" | "tag" | "untag" => {
                self.change_for_team(now, room, by, (command, args), effects)
            }
            "ban" | "mute" => self.bar(now, room, by, (command, args), effects),
            "command" => return self.author(now, caller, args, effects),
            "help" => self.help(caller, args),
            "history" => self.tell_history(room, args),
            "invite" => self.invite(now, room, by, &subject(command, args)?, effects),
            "kick" => self.kick(now, room, by, &subject(command, args)?, effects),
            "me" => return self.act_out(now, caller, command, args).map(Done::Ended),
            "nick" => self.set_nick(now, room, by, args, effects),
            "no" => {
                let asked = self.take_asked(room, &by.user);
                let text = if asked.is_some() { "Then not." } else { "Nothing waits for a no." };
                Ok(text.to_owned())
            }
            "note" => self.write_note(now, room, by, args, effects),
            "ping" => Ok("pong".to_owned()),
            "poll" => return self.poll(now, caller, args, effects).map(Done::Ended),
            "remind" => self.remind(now, caller, command, args, effects),
            "role" => self.give_role(now, room, by, args, effects),
            "roll" => return self.roll(now, caller, args).map(Done::Ended),
            "stats" => Ok(self.room_stats(room)),
            "topic" => self.set_topic(now, room, by, args, effects),
            "unban" => self.unbar(now, room, by, (BAN, &subject(command, args)?), effects),
            "unmute" => self.unbar(now, room, by, (MUTE, &subject(command, args)?), effects),
            "vote" => self.vote(now, caller, command, args, effects),
            "who" => Ok(self.who_is_here(room)),
            "whoami" => Ok(self.who_am_i(room, by)),
            "yes" => Err(bad("nothing waits for a yes")),
            _ => unreachable!("the table and this match name the same commands"),
        };
        done.map(|text| Done::Ended(Said::to_caller(text)))
    }

    fn help(&self, caller: &Caller<'_>, args: &str) -> Result<String, Refusal> {
        let contact = is_contact(&caller.by.user);
        let name = args.trim().trim_start_matches('/').to_lowercase();
        if name.is_empty() {
            let listed = self.book.list("", caller.room);
            let lines = listed.iter().filter(|listed| match listed {
                Listed::BuiltIn(one) => one.contacts || !contact,
                Listed::Added(entry) => !contact || entry.manifest.role == Role::Guest,
            });
            let mut lines: Vec<_> = lines.map(Listed::line).collect();
            if !contact {
                lines.push("/help NAME tells more of one; // begins a message with a slash".into());
            }
            return Ok(lines.join("\n"));
        }
        if let Some(one) = BUILT_IN.iter().find(|one| one.name == name) {
            let line = Listed::BuiltIn(one).line();
            return Ok(if one.role == Role::Guest {
                line
            } else {
                format!("{line} (for {}s)", one.role.name())
            });
        }
        match self.book.find(&name, caller.room) {
            Some(entry) => Ok(entry.explained()),
            None => Err(self.unknown(&name, caller.room)),
        }
    }

    fn set_topic(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        topic: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        if topic.len() > TOPIC_BYTES_MAX {
            let text = format!("a topic has at most {TOPIC_BYTES_MAX} bytes");
            return Err(refuse(ErrorCode::TooLarge, &text));
        }
        let room = self.rooms.get_mut(name).expect("admitted");
        room.topic = topic.into();
        room.topic_by = by.user.clone();
        let o = room.tail.top().next();
        let frame = reply::topic(name, (o, now.wall_ms()), &by.user, topic);
        let fact = Fact::Room { o, change: RoomChange::Topic(topic.into()) };
        self.commit(now, name, by.user.clone(), event(frame), (fact, None), effects);
        Ok(String::new())
    }

    fn set_access(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        args: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        let access = Access::parse(args).ok_or_else(|| bad("usage: /access open|members"))?;
        let room = self.rooms.get_mut(name).expect("admitted");
        room.access = access;
        let o = room.tail.top().next();
        let frame = reply::access(name, (o, now.wall_ms()), &by.user, access);
        let fact = Fact::Room { o, change: RoomChange::Access(access) };
        self.commit(now, name, by.user.clone(), event(frame), (fact, None), effects);
        Ok(String::new())
    }

    fn invite(
        &mut self,
        now: Now,
        room: &Name,
        by: &Asker,
        subject: &Name,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        if self.rooms[room].role(subject) != Role::Guest {
            return Ok(format!("{subject} is a member already"));
        }
        self.change_member(now, room, subject, &by.user, MemberAction::Join, effects);
        Ok(String::new())
    }

    fn kick(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        subject: &Name,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        self.check_outranks(name, by, subject, "remove")?;
        if self.rooms[name].role(subject) != Role::Guest {
            self.change_member(now, name, subject, &by.user, MemberAction::Leave, effects);
        }
        let room = self.rooms.get_mut(name).expect("admitted");
        mark_dirty(&mut self.dirty, room);
        let shards: Vec<_> = room.shards.iter().map(|(shard, _)| *shard).collect();
        for shard in shards {
            let evict = Message::Evict { room: name.clone(), user: subject.clone() };
            self.tell(shard, evict, effects);
        }
        Ok(format!("{subject} was removed"))
    }

    fn check_outranks(
        &self,
        name: &Name,
        by: &Asker,
        subject: &Name,
        what: &str,
    ) -> Result<(), Refusal> {
        let role = self.rooms[name].role(subject);
        if role < self.rank(name, by) || by.api {
            return Ok(());
        }
        let text = format!("{subject} is a {}; you cannot {what} them", role.name());
        Err(refuse(ErrorCode::Forbidden, &text))
    }

    /// `/ban USER [MINUTES] [WHY]`, `/mute USER [MINUTES]`.
    fn bar(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        (command, args): (&BuiltIn, &str),
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        let (user, rest) = args.split_once(char::is_whitespace).unwrap_or((args, ""));
        let subject = subject(command, user)?;
        self.check_outranks(name, by, &subject, command.name)?;
        let (first, why) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let (until_ms, why) = match first.parse::<u32>() {
            Ok(minutes) if minutes > 0 => (now.wall_ms() + i64::from(minutes) * 60_000, why.trim()),
            _ => (0, rest.trim()),
        };
        let key = format!("{} {subject}", command.name);
        let value = format!("{until_ms} {} {why}", by.user);
        self.keep(now, (name, &by.user), &key, value.trim_end(), effects)?;
        if command.name == BAN {
            self.kick(now, name, by, &subject, effects)?;
        }
        let done = if command.name == BAN { "may not come back" } else { "may not write" };
        Ok(match until_ms {
            0 => format!("{subject} {done}; /un{} takes it back", command.name),
            _ => format!("{subject} {done} for {first} min"),
        })
    }

    fn unbar(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        (what, subject): (&str, &Name),
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        let key = format!("{what} {subject}");
        if self.rooms[name].kept(&key).is_none() {
            return Err(bad(&format!("nobody did /{what} {subject}")));
        }
        self.keep(now, (name, &by.user), &key, "", effects)?;
        Ok(format!("{subject} {}", if what == BAN { "may come back" } else { "may write again" }))
    }

    fn set_nick(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        nick: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        if !nick.is_empty() {
            check_user(nick)?;
            // Nobody goes by the name of another who is here.
            let room = &self.rooms[name];
            let other: Name = nick.into();
            let taken = room.role(&other) != Role::Guest || room.presence.has(&other);
            let by_nick = room.kept_of("nick ").any(|(_, other)| other == nick);
            if (taken || by_nick) && *nick != *by.user {
                return Err(bad(&format!("somebody here is called {nick} already")));
            }
        }
        self.keep(now, (name, &by.user), &format!("nick {}", by.user), nick, effects)?;
        Ok(match nick {
            "" => format!("you are {} again", by.user),
            nick => format!("others see you as {nick} here"),
        })
    }

    fn act_out(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        command: &BuiltIn,
        args: &str,
    ) -> Result<Said, Refusal> {
        if args.is_empty() {
            return Err(usage(command));
        }
        self.check_may_speak(now, caller.room, caller.by)?;
        let user = &caller.by.user;
        let name = self.rooms[caller.room].display(user);
        let publicly = Some((user.clone(), format!("* {name} {args}").into()));
        Ok(Said { publicly, ..Said::default() })
    }

    fn write_note(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        text: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        if text.is_empty() {
            return Err(bad("usage: /note TEXT"));
        }
        let rich = Rich { content: None, note: true };
        let source = if by.api { Source::Api } else { Source::Ws };
        let source = if by.user.starts_with(HANDLER_PREFIX) { Source::Handler } else { source };
        self.write(now, (name, &by.user), source, (text.into(), Some(rich)), None, effects)?;
        Ok(String::new())
    }

    fn change_for_team(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        (command, args): (&BuiltIn, &str),
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        self.check_agent(by)?;
        let needs = || if args.is_empty() { Err(usage(command)) } else { Ok(args.into()) };
        let change = match command.name {
            "assign" if args.is_empty() => ConversationChange::Assign(Some(by.user.clone())),
            "assign" => ConversationChange::Assign(Some(args.into())),
            "unassign" => ConversationChange::Assign(None),
            "close" => ConversationChange::State(ConversationState::Resolved),
            "reopen" => ConversationChange::State(ConversationState::Open),
            "tag" => ConversationChange::Tag(needs()?),
            _ => ConversationChange::Untag(needs()?),
        };
        let quiet = Asker { id: None, ..by.clone() };
        self.converse(now, name, &quiet, &[change], effects)?;
        Ok(String::new())
    }

    fn give_role(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        args: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        let usage = || bad("usage: /role USER member|moderator|owner");
        let (user, role) = args.rsplit_once(' ').ok_or_else(usage)?;
        let role = Role::parse(role).filter(|role| *role != Role::Guest).ok_or_else(usage)?;
        check_user(user.trim())?;
        let subject = Name::from(user.trim());
        let pair = (&subject, &by.user);
        self.set_role(now, name, pair, (MemberAction::Role, role), effects);
        Ok(String::new())
    }

    fn tell_history(&self, name: &Name, args: &str) -> Result<String, Refusal> {
        let count = match args {
            "" => HISTORY_COUNT,
            args => args
                .parse()
                .map_err(|_| bad("usage: /history [COUNT]; for example: /history 20"))?,
        };
        let room = &self.rooms[name];
        let said = room.tail.since(room.tail.first()).rev().filter(|(o, _)| *o <= room.visible);
        let lines = said.filter_map(|(_, entry)| {
            let msg = reply::read_msg(entry.latest.as_ref().unwrap_or(&entry.frame))?;
            let text = msg.text.as_deref().filter(|text| !text.is_empty())?;
            Some(format!("{}: {text}", if msg.name.is_empty() { &msg.from } else { &msg.name }))
        });
        let mut lines: Vec<_> = lines.take(count.min(HISTORY_COUNT_MAX)).collect();
        lines.reverse();
        Ok(if lines.is_empty() {
            "nobody has said anything lately".into()
        } else {
            lines.join("\n")
        })
    }

    fn who_is_here(&self, name: &Name) -> String {
        let room = &self.rooms[name];
        let count = room.presence.count();
        let users = room.presence.page("").take(WHO_COUNT).map(|(user, _)| match room.nick(user) {
            "" => user.to_string(),
            nick => format!("{nick} ({user})"),
        });
        let names = users.collect::<Vec<_>>().join(", ");
        let more = if count > WHO_COUNT {
            format!(" and {} more", count - WHO_COUNT)
        } else {
            String::new()
        };
        format!("{count} here: {names}{more}")
    }

    fn who_am_i(&self, name: &Name, by: &Asker) -> String {
        let nick = match self.rooms[name].nick(&by.user) {
            "" => String::new(),
            nick => format!(", called {nick} here"),
        };
        format!("{}{nick}, {} of {name}", by.user, self.rank(name, by).name())
    }

    fn room_stats(&self, name: &Name) -> String {
        let room = &self.rooms[name];
        let added =
            self.book.list("", name).iter().filter(|one| matches!(one, Listed::Added(_))).count();
        let mut lines = vec![
            format!("{name}: {} here, {} members", room.presence.count(), room.members.len()),
            format!(
                "{} events so far, {added} commands of its own or the server's",
                room.visible.0
            ),
        ];
        if !room.topic.is_empty() {
            lines.push(format!("topic: {}", room.topic));
        }
        lines.join("\n")
    }
}

/// The one user that a command is about.
pub(super) fn subject(command: &BuiltIn, args: &str) -> Result<Name, Refusal> {
    let name = args.trim().trim_start_matches('@');
    if name.is_empty() {
        return Err(usage(command));
    }
    check_user(name)?;
    Ok(name.into())
}

/// What somebody should have typed.
pub(super) fn usage(command: &BuiltIn) -> Refusal {
    bad(&format!("usage: /{} {}", command.name, command.usage))
}
