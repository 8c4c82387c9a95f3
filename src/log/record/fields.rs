//! Fixed fields of records, by their place in the archive: nothing is validated, and nothing of a
//! record but the field is read. For columns, which want a few bytes of millions of records.
//!
//! Any bytes give a value or `None`. Whoever shows a text to people validates the record instead
//! ([`RecordView::check`](super::RecordView::check)).

use super::types::{CallV1, CommandV1, MessageV1, SessionV1, StatusV1};
use super::{Kind, RawRecord};
use std::mem::offset_of;

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident: $kind:ident $ty:ty, $field:ident -> $out:ty;)*) => {
        impl RawRecord<'_> {
            $($(#[$doc])*
            #[inline]
            pub fn $name(&self) -> Option<$out> {
                if self.header.tag != Kind::$kind.tag() {
                    return None;
                }
                let (root_bytes, _, _) = Kind::$kind.layout();
                let at = offset_of!(rkyv::Archived<$ty>, $field);
                self.root_field(root_bytes, at).map(<$out>::from_le_bytes)
            })*
        }
    };
}

fixed! {
    /// Position of a message in its room.
    message_position: Message MessageV1<'static>, o -> u64;
    /// Source of a message, as on disk.
    message_source_byte: Message MessageV1<'static>, source -> u8;
    /// Direction of a message, as on disk.
    message_direction_byte: Message MessageV1<'static>, direction -> u8;
    /// Delivery of a status, as on disk.
    status: Status StatusV1<'static>, status -> u8;
    /// The platform's error number of a status; 0: none.
    status_error: Status StatusV1<'static>, error -> u32;
    /// Of a command by the first version of its record.
    command_duration_us: Command CommandV1<'static>, duration_us -> u32;
    /// The same.
    command_outcome: Command CommandV1<'static>, outcome -> u8;
    /// Of a command by the second version of its record.
    call_duration_us: Call CallV1<'static>, duration_us -> u32;
    /// The same.
    call_outcome: Call CallV1<'static>, outcome -> u8;
    /// Begin or end of a session, as on disk.
    session_action: Session SessionV1<'static>, action -> u8;
    /// Close code of a session.
    close_code: Session SessionV1<'static>, code -> u16;
}

impl<'a> RawRecord<'a> {
    /// How long a command took, microseconds.
    #[inline]
    pub fn duration_us(&self) -> Option<u32> {
        self.call_duration_us().or_else(|| self.command_duration_us())
    }

    /// Outcome of a command, as on disk.
    #[inline]
    pub fn outcome(&self) -> Option<u8> {
        self.call_outcome().or_else(|| self.command_outcome())
    }

    /// The text of a message, as far as its archive says where it is.
    #[inline]
    pub fn message_text(&self) -> Option<&'a [u8]> {
        if self.header.tag != Kind::Message.tag() {
            return None;
        }
        let (root_bytes, _, _) = Kind::Message.layout();
        let at = offset_of!(rkyv::Archived<MessageV1<'static>>, text);
        // A text is a distance from its own place, and a number of bytes.
        let [d0, d1, d2, d3, l0, l1, l2, l3] = self.root_field::<8>(root_bytes, at)?;
        let distance = i32::from_le_bytes([d0, d1, d2, d3]) as isize;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if len == 0 {
            return Some(&[]);
        }
        let place = self.payload.len() - root_bytes + at;
        let begin = place.checked_add_signed(distance)?;
        self.payload.get(begin..begin.checked_add(len)?)
    }

    /// Bytes of the text of a message; reads only the root.
    #[inline]
    pub fn message_text_len(&self) -> Option<u32> {
        if self.header.tag != Kind::Message.tag() {
            return None;
        }
        let (root_bytes, _, _) = Kind::Message.layout();
        let at = offset_of!(rkyv::Archived<MessageV1<'static>>, text) + 4;
        self.root_field(root_bytes, at).map(u32::from_le_bytes)
    }
}
