//! The small closed lists inside records. A number here is on disk: it is never reused.

/// Makes an enum of on-disk bytes with its names, in one table.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$doc:meta])* $variant:ident = $byte:literal, $text:literal;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$doc])* $variant = $byte,)*
        }

        impl $name {
            /// Every value, in the order of its byte.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value of a byte on disk; `None` for one that a later version wrote.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Stable name, as reports print it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

codes! {
    /// What an interned name names.
    NameKind {
        /// A user.
        User = 1, "user";
        /// A room.
        Room = 2, "room";
        /// A command.
        Command = 3, "command";
    }
}

codes! {
    /// Where a message came from.
    Source {
        /// A WebSocket client.
        Ws = 1, "ws";
        /// WhatsApp.
        Whatsapp = 2, "whatsapp";
        /// The answer of a command.
        Command = 3, "command";
        /// An event handler.
        Handler = 4, "handler";
        /// The HTTP API or a signed webhook.
        Api = 5, "api";
        /// The server itself.
        System = 6, "system";
    }
}

codes! {
    /// Which way a message crosses the border of the server.
    Direction {
        /// From an outside platform to the server.
        In = 1, "in";
        /// From the server to an outside platform.
        Out = 2, "out";
        /// Between clients of the server.
        Internal = 3, "internal";
    }
}

codes! {
    /// What happened to a member.
    MemberAction {
        /// Came in.
        Join = 1, "join";
        /// Went.
        Leave = 2, "leave";
        /// Was invited or added.
        Add = 3, "add";
        /// Was removed.
        Kick = 4, "kick";
        /// Was removed for good.
        Ban = 5, "ban";
        /// May come again.
        Unban = 6, "unban";
        /// Got another role.
        Role = 7, "role";
        /// May not speak.
        Mute = 8, "mute";
        /// May speak again.
        Unmute = 9, "unmute";
    }
}

codes! {
    /// What happened to a room.
    RoomAction {
        /// It was made.
        Created = 1, "created";
        /// It got a topic.
        Topic = 2, "topic";
        /// Its settings changed.
        Settings = 3, "settings";
    }
}

codes! {
    /// The two ends of a session.
    SessionAction {
        /// It began.
        Start = 1, "start";
        /// It ended.
        End = 2, "end";
    }
}

codes! {
    /// How a command ended.
    Outcome {
        /// It answered.
        Ok = 1, "ok";
        /// It failed.
        Failed = 2, "failed";
        /// It did not answer in time.
        Timeout = 3, "timeout";
        /// The caller may not call it.
        Denied = 4, "denied";
        /// Its arguments were wrong.
        BadArguments = 5, "bad_arguments";
        /// It was asked for too often.
        Limited = 6, "limited";
        /// The server stopped before it ended.
        Lost = 7, "lost";
    }
}

codes! {
    /// How far an outbound message got.
    Delivery {
        /// Waits in our own queue.
        Queued = 1, "queued";
        /// The platform took it.
        Accepted = 2, "accepted";
        /// The platform sent it on.
        Sent = 3, "sent";
        /// It is on the receiver's device.
        Delivered = 4, "delivered";
        /// The receiver opened it.
        Read = 5, "read";
        /// The receiver played it.
        Played = 6, "played";
        /// It will not arrive.
        Failed = 7, "failed";
        /// It was deleted.
        Deleted = 8, "deleted";
        /// Is about to be given to the platform.
        Calling = 9, "calling";
        /// Was given to the platform, whose answer was lost.
        Unknown = 10, "unknown";
    }
}

codes! {
    /// What changed in a conversation with a contact.
    ConversationAction {
        /// Its state: `open`, `pending` or `resolved`.
        State = 1, "state";
        /// Who is in charge of it; empty: nobody.
        Assign = 2, "assign";
        /// It got a tag.
        Tag = 3, "tag";
        /// It lost a tag.
        Untag = 4, "untag";
        /// Under which ids the contact is known, a JSON object.
        Contact = 5, "contact";
        /// What a handler waits for, a JSON object; empty: nothing.
        Step = 6, "step";
        /// The contact of this room is the one of another room, which goes on.
        Link = 7, "link";
        /// Whose turn it is: `waiting` for us, or `answered`.
        Turn = 8, "turn";
    }
}

codes! {
    /// What an erasure was about.
    EraseScope {
        /// All that a user said and was called.
        User = 1, "user";
        /// All that was said in a room.
        Room = 2, "room";
        /// One message.
        Message = 3, "message";
        /// What outlived the keeping time of its room.
        Retention = 4, "retention";
    }
}
