//! What a member may do in a team.

use std::fmt;

/// A member's role. Ordered: each role may do what the ones below it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Reads and sends.
    Member,
    /// Also adds and removes members, and renames the team.
    Admin,
    /// Also changes roles and archives the team.
    Owner,
}

impl Role {
    /// Whether this role may add and remove members of the role `other`, and rename the team: admins up to members'
    /// rank, owners all.
    pub fn may_manage(self, other: Self) -> bool {
        match self {
            Self::Owner => true,
            Self::Admin => other < Self::Owner,
            Self::Member => false,
        }
    }

    /// The role's name in texts and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role with this name, `None` when there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Member, Self::Admin, Self::Owner].into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
