//! Owner: the built-in commands.

use super::owner::event;
use super::{Hub, mark_dirty};
use crate::base::clock::Now;
use crate::base::codes::ErrorCode;
use crate::base::limits::TOPIC_BYTES_MAX;
use crate::base::names::HANDLER_PREFIX;
use crate::chat::event::{
    Access, Asker, ConversationChange, ConversationState, Effect, Fact, MemberAction, Message,
    Name, Outcome, Record, Refusal, Rich, Role, RoomChange, Source,
};
use crate::chat::reply;
use crate::chat::request::{bad, check_user, refuse};
use serde_json::{Value, json};

/// One built-in command.
#[derive(Debug)]
pub struct Command {
    /// What is typed after the slash.
    pub name: &'static str,
    /// Its arguments, as help shows them.
    pub usage: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// Who may use it.
    pub role: Role,
}

/// All built-in commands: the source of `/help`, `cmds` and permission checks.
pub const COMMANDS: [Command; 13] = [
    Command { name: "access", usage: "open|members", help: "who may enter", role: Role::Owner },
    team("assign", "[USER]", "give a conversation to a user; to yourself without a name"),
    team("close", "", "a conversation is resolved"),
    Command { name: "help", usage: "", help: "list the commands", role: Role::Guest },
    Command { name: "invite", usage: "USER", help: "make a user a member", role: Role::Member },
    Command { name: "kick", usage: "USER", help: "remove a user", role: Role::Moderator },
    team("note", "TEXT", "write what only the team sees, never the contact"),
    team("reopen", "", "a conversation is open again"),
    Command {
        name: "role",
        usage: "USER member|moderator|owner",
        help: "give a member another role",
        role: Role::Owner,
    },
    team("tag", "TAG", "put a tag on a conversation"),
    Command { name: "topic", usage: "TEXT", help: "set the topic", role: Role::Member },
    team("unassign", "", "a conversation is nobody's"),
    team("untag", "TAG", "take a tag off a conversation"),
];

/// A command for agents, in conversations with contacts.
const fn team(name: &'static str, usage: &'static str, help: &'static str) -> Command {
    Command { name, usage, help, role: Role::Guest }
}

/// Commands whose names begin with `prefix`, for `cmds`.
pub fn list(prefix: &str) -> Value {
    let found = COMMANDS.iter().filter(|command| command.name.starts_with(prefix));
    let values = found.map(|command| {
        json!({
            "name": command.name,
            "usage": command.usage,
            "help": command.help,
            "role": command.role.name(),
        })
    });
    Value::Array(values.collect())
}

impl Hub {
    pub(super) fn take_command(
        &mut self,
        now: Now,
        room: &Name,
        by: &Asker,
        (name, args): (&str, &str),
        since_us: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.check_log(name.len() + args.len())?;
        let outcome = self.run(now, room, by, name, args, effects);
        let fact = Fact::Command {
            name: cut(name).into(),
            args: args.into(),
            outcome: outcome
                .as_ref()
                .map_or_else(|why| Outcome::of_refusal(why.code), |_| Outcome::Ok),
            // As far as this knows: no clock runs here. Whoever appends it adds the rest.
            duration_us: now.mono_us.saturating_sub(since_us).try_into().unwrap_or(u32::MAX),
        };
        let (user, room_name) = (by.user.clone(), room.clone());
        let record = Record { ts_us: now.wall_us, user, room: room_name, fact };
        let append = self.append(record, effects);
        let said = outcome?;
        let call = format!("c-{}-{append}", self.options.shard.0);
        self.confirm(by, append, &json!({"state": "done", "call": call}), effects);
        if !said.is_empty() {
            let d = json!({"call": call, "kind": "ephemeral", "text": said});
            let frame = reply::passing("cmd", room, now.wall_ms(), d);
            self.answer(by.from, frame, effects);
        }
        Ok(())
    }

    /// Runs a command and gives what only its caller is told.
    fn run(
        &mut self,
        now: Now,
        room: &Name,
        by: &Asker,
        name: &str,
        args: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
            let names = COMMANDS.map(|command| command.name).join(", /");
            let text = format!("no command /{}; there are /{names}", cut(name));
            return Err(refuse(ErrorCode::BadCommand, &text));
        };
        let role = self.rank(room, by);
        if role < command.role {
            let text =
                format!("/{name} is for {}s; you are a {}", command.role.name(), role.name());
            return Err(refuse(ErrorCode::Forbidden, &text));
        }
        match command.name {
            "access" => self.set_access(now, room, by, args, effects),
            "note" => self.write_note(now, room, by, args, effects),
            "assign" | "unassign" | "close" | "reopen" | "tag" | "untag" => {
                self.change_for_team(now, room, by, (command, args), effects)
            }
            "help" => Ok(help()),
            "invite" => {
                let subject = subject(command, args)?;
                if self.rooms[room].role(&subject) != Role::Guest {
                    return Ok(format!("{subject} is a member already"));
                }
                self.change_member(now, room, &subject, &by.user, MemberAction::Join, effects);
                Ok(String::new())
            }
            "kick" => self.kick(now, room, by, &subject(command, args)?, effects),
            "role" => self.give_role(now, room, by, args, effects),
            "topic" => self.set_topic(now, room, by, args, effects),
            _ => unreachable!("the table and this match name the same commands"),
        }
    }

    /// What somebody may do in a room; programs and handlers are the operator's own.
    fn rank(&self, room: &Name, by: &Asker) -> Role {
        if by.api { Role::Owner } else { self.rooms[room].role(&by.user) }
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

    fn kick(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        subject: &Name,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        let role = self.rooms[name].role(subject);
        if role >= self.rank(name, by) && !by.api {
            let text = format!("{subject} is a {}; you cannot remove them", role.name());
            return Err(refuse(ErrorCode::Forbidden, &text));
        }
        if role != Role::Guest {
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
        (command, args): (&Command, &str),
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        self.check_agent(by)?;
        let needs = || {
            if args.is_empty() {
                return Err(bad(&format!("usage: /{} {}", command.name, command.usage)));
            }
            Ok(args.into())
        };
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
}

fn help() -> String {
    let lines = COMMANDS.iter().map(|command| {
        let head = format!("/{} {}", command.name, command.usage);
        format!("{} — {} ({}s)", head.trim_end(), command.help, command.role.name())
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn subject(command: &Command, args: &str) -> Result<Name, Refusal> {
    if args.is_empty() {
        return Err(bad(&format!("usage: /{} {}", command.name, command.usage)));
    }
    check_user(args)?;
    Ok(args.into())
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}
