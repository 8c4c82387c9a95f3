//! Events and refusals in words. Pure.

use super::note::Note;
use serde_json::Value;

/// Names listed in one line of presence.
const NAMES_MAX: usize = 5;

/// A durable event that is no message and no change of one.
pub fn durable(room: &str, event: &Value) -> Option<Note> {
    let d = &event["d"];
    let word = |key: &str| d[key].as_str().unwrap_or_default();
    let text = match event["t"].as_str()? {
        "member" => match word("action") {
            "join" => format!("{} is a member now", word("user")),
            "leave" => format!("{} is no member any more", word("user")),
            "role" => format!("{} made {} {}", word("by"), word("user"), word("role")),
            _ => return None,
        },
        "room" => match d["topic"].as_str() {
            Some(topic) => format!("{} set the topic: {topic}", word("by")),
            None => format!("{} set access to {}", word("by"), word("access")),
        },
        _ => return None,
    };
    Some(Note::Aside { room: room.to_string(), text })
}

/// An event without offset; `None` when there is nothing to tell.
pub fn passing(room: &str, event: &Value, user: &str) -> Option<Note> {
    let d = &event["d"];
    let word = |key: &str| d[key].as_str().unwrap_or_default();
    let text = match event["t"].as_str()? {
        "typing" if word("user") != user => format!("{} is typing", word("user")),
        "presence" => presence(d, user)?,
        "delivery" => format!("#{} {}", d["of"].as_u64()?, word("status")),
        "cmd" if word("kind") == "error" => return Some(Note::Error(word("text").into())),
        "cmd" => return Some(Note::Info(word("text").into())),
        "notice" => return Some(Note::Info(word("msg").into())),
        "bye" => return Some(Note::Info(format!("the server says bye: {}", word("reason")))),
        _ => return None,
    };
    Some(Note::Aside { room: room.to_string(), text })
}

fn presence(d: &Value, user: &str) -> Option<String> {
    let names = |key: &str| -> Vec<String> {
        let users = d[key].as_array().into_iter().flatten();
        let name = |entry: &Value| entry.as_str().or(entry["user"].as_str()).map(str::to_string);
        users.filter_map(name).filter(|name| name != user).collect()
    };
    let mut parts = Vec::new();
    for (key, verb) in [("join", "came"), ("leave", "went")] {
        let names = names(key);
        match names.len() {
            0 => {}
            1..=NAMES_MAX => parts.push(format!("{} {verb}", names.join(", "))),
            count => parts.push(format!("{count} people {verb}")),
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Why a request was refused.
pub fn refusal(d: &Value) -> String {
    let name = d["name"].as_str().unwrap_or("refused");
    let code = d["code"].as_u64().unwrap_or(0);
    let hint = match name {
        "unauthorized" => " (this server wants a token: is it in development mode?)",
        "token_expired" => " (get a new token)",
        _ => "",
    };
    match d["msg"].as_str().filter(|msg| !msg.is_empty()) {
        Some(msg) => format!("{msg} ({code} {name}){hint}"),
        None => format!("{code} {name}{hint}"),
    }
}
