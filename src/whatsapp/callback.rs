//! Our own name of a message, which travels in `biz_opaque_callback_data` and comes back in every
//! status: where the message is in our rooms.

use super::limits::CALLBACK_CHARS_MAX;
use crate::base::ids::Offset;
use crate::base::limits::ROOM_NAME_BYTES_MAX;

const PREFIX: &str = "ringpost:";

/// The name of the message at `o` of a conversation's room.
pub fn write(room: &str, o: Offset) -> String {
    format!("{PREFIX}{}:{room}", o.0)
}

/// Room and position of a message that [`write`] named. `None` for a message of anybody else.
pub fn read(callback: &str) -> Option<(&str, Offset)> {
    let (o, room) = callback.strip_prefix(PREFIX)?.split_once(':')?;
    let o = o.parse().ok().filter(|o| (1..=Offset::MAX.0).contains(o))?;
    (!room.is_empty() && room.len() <= ROOM_NAME_BYTES_MAX).then_some((room, Offset(o)))
}

const _: () = assert!(PREFIX.len() + 20 + 1 + ROOM_NAME_BYTES_MAX <= CALLBACK_CHARS_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let room = "wa:1102:GB.7";
        assert_eq!(read(&write(room, Offset(12))), Some((room, Offset(12))));
        for other in ["", "order-17", "ringpost:", "ringpost:0:a", "ringpost:x:a", "ringpost:1:"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
