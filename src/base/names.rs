//! How names of rooms, users and API versions are built, and which rooms a rule means.

/// Begins the names of contacts of WhatsApp (`wa:<contact>`) and of the rooms of conversations with
/// them (`wa:<our number>:<contact>`).
pub const PLATFORM_PREFIX: &str = "wa:";

/// Begins the names under which handlers write (`handler:<name>`).
pub const HANDLER_PREFIX: &str = "handler:";

/// Begins the names under which commands write (`command:<name>`).
pub const COMMAND_PREFIX: &str = "command:";

/// Whether `user` is a contact of a platform.
pub fn is_contact(user: &str) -> bool {
    user.starts_with(PLATFORM_PREFIX)
}

/// Our number and the contact of a conversation's room; `None` for any other room.
pub fn split_conversation(room: &str) -> Option<(&str, &str)> {
    room.strip_prefix(PLATFORM_PREFIX)?.split_once(':')
}

/// Whether a rule for `rooms` is about `room`: a room's name, or the beginning of names followed by
/// `*`.
pub fn rule_fits(rooms: &str, room: &str) -> bool {
    match rooms.strip_suffix('*') {
        Some(begin) => room.starts_with(begin),
        None => room == rooms,
    }
}

/// Whether `text` names a version of Meta's Graph API, as in `v25.0`: two numbers of at most four
/// digits.
pub fn is_graph_version(text: &str) -> bool {
    let digits = |part: &str| {
        (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parts = text.strip_prefix('v').and_then(|text| text.split_once('.'));
    parts.is_some_and(|(major, minor)| digits(major) && digits(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_are_told_from_other_rooms() {
        for (room, want) in [
            ("wa:1102:GB.7", Some(("1102", "GB.7"))),
            ("wa:1102:a:b", Some(("1102", "a:b"))),
            ("wa:1102", None),
            ("general", None),
        ] {
            assert_eq!(split_conversation(room), want, "{room}");
        }
    }

    #[test]
    fn rules_name_one_room_or_all_that_begin_so() {
        for (rooms, room, want) in [
            ("support/*", "support/a", true),
            ("support/*", "support/", true),
            ("support/*", "support", false),
            ("*", "anything", true),
            ("support", "support", true),
            ("support", "support/a", false),
        ] {
            assert_eq!(rule_fits(rooms, room), want, "{rooms} for {room}");
        }
    }
}
