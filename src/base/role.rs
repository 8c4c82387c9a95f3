//! Roles: what somebody may do in a room.

/// What a user may do in a room, least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Role {
    /// Attached without membership.
    #[default]
    Guest,
    /// A durable member.
    Member,
    /// May delete others' messages, invite, kick.
    Moderator,
    /// May give roles and close the room.
    Owner,
}

impl Role {
    /// (wire name, number in the log)
    pub const ALL: [(Self, &'static str, u8); 4] = [
        (Self::Guest, "guest", 0),
        (Self::Member, "member", 1),
        (Self::Moderator, "moderator", 2),
        (Self::Owner, "owner", 3),
    ];

    /// The wire name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(role, ..)| *role == self).expect("all roles are listed").1
    }

    /// Reads the wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, text, _)| *text == name).map(|(role, ..)| *role)
    }
}
