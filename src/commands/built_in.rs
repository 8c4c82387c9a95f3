//! The commands that every server has.

use crate::base::role::Role;
use serde_json::{Value, json};

/// A command that the server carries out itself.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// What is typed behind the slash.
    pub name: &'static str,
    /// Its arguments, as help shows them.
    pub usage: &'static str,
    /// One line for people.
    pub help: &'static str,
    /// The least role that may use it.
    pub role: Role,
    /// For agents, in conversations with contacts.
    pub team: bool,
    /// For contacts too.
    pub contacts: bool,
}

impl BuiltIn {
    /// Its arguments as `cmds` tells them: what its usage says.
    pub(super) fn arguments(&self) -> Vec<Value> {
        let words = self.usage.split(' ').take_while(|word| !matches!(*word, "" | "|" | "…"));
        let arguments = words.map(|word| {
            let name = word.trim_matches(['[', ']']);
            let required = !word.starts_with('[');
            match name {
                "USER" => json!({"name": "user", "type": "user", "required": required}),
                "TEXT" | "WHY" => json!({"name": name, "type": "rest", "required": required}),
                name if name.contains('|') => {
                    let choices: Vec<&str> = name.split('|').collect();
                    json!({"name": "", "type": "choice", "choices": choices, "required": required})
                }
                name => json!({"name": name, "type": "string", "required": required}),
            }
        });
        arguments.collect()
    }
}

const fn for_all(name: &'static str, usage: &'static str, help: &'static str) -> BuiltIn {
    BuiltIn { name, usage, help, role: Role::Guest, team: false, contacts: false }
}

const fn for_anybody(name: &'static str, usage: &'static str, help: &'static str) -> BuiltIn {
    BuiltIn { contacts: true, ..for_all(name, usage, help) }
}

const fn of(role: Role, name: &'static str, usage: &'static str, help: &'static str) -> BuiltIn {
    BuiltIn { name, usage, help, role, team: false, contacts: false }
}

const fn team(name: &'static str, usage: &'static str, help: &'static str) -> BuiltIn {
    BuiltIn { name, usage, help, role: Role::Guest, team: true, contacts: false }
}

/// All of them, by name: the source of `/help`, of `cmds`, of permission checks and of the table in
/// docs/COMMANDS.md.
pub const BUILT_IN: [BuiltIn; 31] = [
    of(Role::Owner, "access", "open|members", "say who may enter"),
    team("assign", "[USER]", "give a conversation to a user; to yourself without a name"),
    of(Role::Moderator, "ban", "USER [MINUTES] [WHY]", "remove a user and keep them out"),
    team("close", "", "a conversation is resolved"),
    of(
        Role::Member,
        "command",
        "add|alias|help|rm|show|list|enable|disable NAME …",
        "add and change commands of this room",
    ),
    for_anybody("help", "[NAME]", "list the commands, or explain one"),
    for_all("history", "[COUNT]", "show the last messages"),
    of(Role::Member, "invite", "USER", "make a user a member"),
    of(Role::Moderator, "kick", "USER", "remove a user"),
    for_all("me", "TEXT", "say what you do"),
    of(Role::Moderator, "mute", "USER [MINUTES]", "let a user read but not write"),
    for_all("nick", "[NAME]", "choose the name that others see here; without one take it back"),
    for_anybody("no", "", "do not do what was asked about"),
    team("note", "TEXT", "write what only the team sees, never the contact"),
    for_anybody("ping", "", "see whether the server answers"),
    for_all("poll", "QUESTION | ONE | OTHER …", "ask everybody; without a question: the result"),
    for_all("remind", "TIME TEXT", "be reminded here: /remind 10m look at the oven"),
    team("reopen", "", "a conversation is open again"),
    of(Role::Owner, "role", "USER member|moderator|owner", "give a member another role"),
    for_all("roll", "[2d6+1]", "throw dice"),
    for_all("stats", "", "tell about this room"),
    team("tag", "TAG", "put a tag on a conversation"),
    of(Role::Member, "topic", "[TEXT]", "set the topic; without a text take it away"),
    team("unassign", "", "a conversation is nobody's"),
    of(Role::Moderator, "unban", "USER", "let a user in again"),
    of(Role::Moderator, "unmute", "USER", "let a user write again"),
    team("untag", "TAG", "take a tag off a conversation"),
    for_anybody("vote", "NUMBER", "choose in the poll"),
    for_all("who", "", "see who is here"),
    for_all("whoami", "", "see who you are here"),
    for_anybody("yes", "", "do what was asked about"),
];

/// The table of docs/COMMANDS.md.
pub fn table() -> String {
    let mut table = String::from("| command | for | what it does |\n| --- | --- | --- |\n");
    for command in BUILT_IN {
        let BuiltIn { name, usage, help, role, team, contacts } = command;
        let who = match (team, contacts) {
            (true, _) => "agents".to_owned(),
            (_, true) => "guests, contacts".to_owned(),
            _ => format!("{}s", role.name()),
        };
        let line = format!("/{name} {usage}").trim_end().replace('|', "\\|");
        table.push_str(&format!("| `{line}` | {who} | {help} |\n"));
    }
    table
}
