//! The room in which a WhatsApp conversation lives.

use crate::base::limits::ROOM_NAME_BYTES_MAX;
use crate::base::names::conversation_room;
use std::sync::Arc;

/// `wa:<phone_number_id>:<conversation>`, the conversation being a contact's key or a group's id.
///
/// `None` when a part is empty, holds what no platform id holds (anything but printable ASCII, or a
/// colon in the number's id, which would let two pairs share one name), or when the whole exceeds
/// [`ROOM_NAME_BYTES_MAX`]: then the update is passed on without a room.
pub fn room_name(phone_number_id: &str, conversation: &str) -> Option<Arc<str>> {
    let printable = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
    if !printable(phone_number_id) || phone_number_id.contains(':') || !printable(conversation) {
        return None;
    }
    let name = conversation_room(phone_number_id, conversation);
    (name.len() <= ROOM_NAME_BYTES_MAX).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let longest = "A".repeat(ROOM_NAME_BYTES_MAX - "wa:1:".len());
        check("1102", "GB.700112", Some("wa:1102:GB.700112"));
        check("1102", "447700900123", Some("wa:1102:447700900123"));
        check("1102", "Y2FwaV9ncm91cA==", Some("wa:1102:Y2FwaV9ncm91cA=="));
        check("1", &longest, Some(&format!("wa:1:{longest}")));
        check("1", &format!("{longest}A"), None);
        check("", "1", None);
        check("1", "", None);
        check("1:2", "3", None);
        check("1", "a b", None);
        check("1", "é", None);
        check("1", "a\n", None);
    }

    #[track_caller]
    fn check(phone_number_id: &str, conversation: &str, want: Option<&str>) {
        assert_eq!(room_name(phone_number_id, conversation).as_deref(), want);
    }
}
