//! What a typed line means. Pure.
//!
//! A line that begins with `/` and a word of the table is ours; any other goes to the server as it
//! was typed, which runs it as one of its commands.

/// One line of input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Send this text to the active room.
    Say(String),
    /// Join a room and make it the active one.
    Join(String),
    /// Leave a room; the active one when none is named.
    Leave(Option<String>),
    /// List the joined rooms.
    Rooms,
    /// Make a joined room the active one.
    Switch(String),
    /// List who is in the active room.
    Who,
    /// Show the last messages of the active room.
    History(u32),
    /// Change a message; the last own one when none is named.
    Edit(Option<u64>, String),
    /// Delete a message; the last own one when none is named.
    Delete(Option<u64>),
    /// Answer a message.
    Reply(u64, String),
    /// Set the own status: state and text.
    Status(String, String),
    /// List the commands.
    Help,
    /// Leave the program.
    Quit,
}

/// One command: name, arguments, help.
type Row = (&'static str, &'static str, &'static str);

/// All commands of this client, in the order of the help.
pub const COMMANDS: [Row; 12] = [
    ("join", "ROOM", "join a room and switch to it"),
    ("leave", "[ROOM]", "leave a room"),
    ("rooms", "", "the rooms you are in, with unread messages"),
    ("switch", "ROOM", "talk in another room"),
    ("who", "", "who is here"),
    ("history", "[N]", "the last N messages (30)"),
    ("reply", "O TEXT", "answer message O"),
    ("edit", "[#O] TEXT", "change your last message, or message O"),
    ("delete", "[#O]", "delete your last message, or message O"),
    ("status", "online|away|dnd [TEXT]", "what others see of you"),
    ("help", "[COMMAND]", "this list; of a command of the server: what it does"),
    ("quit", "", "leave; Ctrl-D does the same"),
];

/// Messages that `/history` shows unless told.
pub const HISTORY_DEFAULT: u32 = 30;

/// Reads one line; `None` for an empty one.
///
/// # Errors
/// How to write the command, when its arguments are wrong.
pub fn parse(line: &str) -> Result<Option<Input>, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let Some(command) = line.strip_prefix('/') else {
        return Ok(Some(Input::Say(line.to_string())));
    };
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    let usage = || {
        let row = COMMANDS.iter().find(|row| row.0 == name);
        let (name, arguments, _) = row.expect("only commands of the table have a usage");
        format!("write it like /{name} {arguments}")
    };
    let word = || match rest {
        "" => Err(usage()),
        word => Ok(word.to_string()),
    };
    let input = match name {
        "join" => Input::Join(word()?),
        "leave" => Input::Leave((!rest.is_empty()).then(|| rest.to_string())),
        "rooms" => Input::Rooms,
        "switch" => Input::Switch(word()?),
        "who" => Input::Who,
        "history" if rest.is_empty() => Input::History(HISTORY_DEFAULT),
        "history" => Input::History(rest.parse().ok().filter(|n| *n > 0).ok_or_else(usage)?),
        "edit" => {
            let (o, text) = offset_and_text(rest);
            Input::Edit(o, Some(text).filter(|text| !text.is_empty()).ok_or_else(usage)?.into())
        }
        "delete" if rest.is_empty() => Input::Delete(None),
        "delete" => Input::Delete(Some(offset(rest).ok_or_else(usage)?)),
        "reply" => {
            let (o, text) = rest.split_once(char::is_whitespace).ok_or_else(usage)?;
            Input::Reply(offset(o).ok_or_else(usage)?, text.trim().to_string())
        }
        "status" => {
            let (state, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            if !["online", "away", "dnd"].contains(&state) {
                return Err(usage());
            }
            Input::Status(state.to_string(), text.trim().to_string())
        }
        "help" if rest.is_empty() => Input::Help,
        "quit" => Input::Quit,
        _ => Input::Say(line.to_string()),
    };
    Ok(Some(input))
}

/// `#12` or `12`.
fn offset(word: &str) -> Option<u64> {
    word.strip_prefix('#').unwrap_or(word).parse().ok()
}

/// Only `#12` names a message here: a text may well begin with a number.
fn offset_and_text(rest: &str) -> (Option<u64>, &str) {
    let (first, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match first.strip_prefix('#').and_then(|number| number.parse().ok()) {
        Some(o) => (Some(o), text.trim()),
        None => (None, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        check("", "None");
        check("  hello you ", r#"Some(Say("hello you"))"#);
        check("/join  lobby", r#"Some(Join("lobby"))"#);
        check("/join", "error: write it like /join ROOM");
        check("/leave", "Some(Leave(None))");
        check("/leave x", r#"Some(Leave(Some("x")))"#);
        check("/history", "Some(History(30))");
        check("/history 5", "Some(History(5))");
        check("/history 0", "error: write it like /history [N]");
        check("/edit 5 apples", r#"Some(Edit(None, "5 apples"))"#);
        check("/edit #5 apples", r#"Some(Edit(Some(5), "apples"))"#);
        check("/edit #5", "error: write it like /edit [#O] TEXT");
        check("/delete", "Some(Delete(None))");
        check("/delete #7", "Some(Delete(Some(7)))");
        check("/delete x", "error: write it like /delete [#O]");
        check("/reply 7 yes", r#"Some(Reply(7, "yes"))"#);
        check("/reply yes", "error: write it like /reply O TEXT");
        check("/status away at lunch", r#"Some(Status("away", "at lunch"))"#);
        check("/status gone", "error: write it like /status online|away|dnd [TEXT]");
        check("/dice 6", r#"Some(Say("/dice 6"))"#);
        check("//etc", r#"Some(Say("//etc"))"#);
    }

    #[track_caller]
    fn check(line: &str, want: &str) {
        let got = match parse(line) {
            Ok(input) => format!("{input:?}"),
            Err(why) => format!("error: {why}"),
        };
        assert_eq!(got, want, "{line:?}");
    }

    #[test]
    fn every_command_of_the_table_is_ours() {
        for (name, ..) in COMMANDS {
            let said = parse(&format!("/{name}"));
            assert_ne!(said, Ok(Some(Input::Say(format!("/{name}")))), "{name}");
        }
    }
}
