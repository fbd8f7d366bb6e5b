//! Owns the columns of the rows of teams and members, and their reading back.

use huddle_domain::{Name, Role, TeamId, UnixMillis, UserId};

use super::{Unreadable, from_bigint};
use crate::{Member, Membership, Team};

/// The columns of a team's row, in the order in which statements select them.
#[derive(Debug)]
pub struct TeamColumns {
    /// Its id.
    pub team_id: String,
    /// Its name.
    pub name: String,
    /// Whether it is archived.
    pub archived: bool,
    /// The position of the event that created it.
    pub created_seq: i64,
    /// When it was created, in milliseconds since 1970.
    pub created_time_ms: i64,
}

impl TeamColumns {
    /// The team in this row.
    pub fn into_team(self) -> Result<Team, Unreadable> {
        let row = || self.team_id.clone();
        Ok(Team {
            team: read("teams", "team_id", TeamId::parse(&self.team_id), row)?,
            name: read("teams", "name", Name::parse(&self.name), row)?,
            archived: self.archived,
            created_seq: from_bigint(self.created_seq),
            created_time: UnixMillis(self.created_time_ms),
        })
    }
}

/// The columns of a member's row with the name of the user, in the order in which statements select them.
#[derive(Debug)]
pub struct MemberColumns {
    /// The user.
    pub user_id: String,
    /// The user's display name.
    pub name: Option<String>,
    /// The user's role.
    pub role: String,
    /// The position of the event that made the user a member.
    pub since_seq: i64,
}

impl MemberColumns {
    /// The member of `team` in this row.
    pub fn into_member(self, team: &TeamId) -> Result<Member, Unreadable> {
        let row = || format!("({team}, {})", self.user_id);
        Ok(Member {
            user: read("members", "user_id", UserId::parse(&self.user_id), row)?,
            name: self.name.as_deref().map(|name| read("users", "name", Name::parse(name), row)).transpose()?,
            role: role(&self.role, row)?,
            since_seq: from_bigint(self.since_seq),
        })
    }
}

/// A user and the user's display name, from a row of `users`.
pub fn user_name((user_id, name): (String, String)) -> Result<(UserId, Name), Unreadable> {
    let row = || user_id.clone();
    Ok((read("users", "user_id", UserId::parse(&user_id), row)?, read("users", "name", Name::parse(&name), row)?))
}

/// What a user is in a team, from a row of `members` and the team's row.
pub fn membership(
    team: &TeamId,
    user_id: &str,
    role_name: &str,
    team_archived: bool,
) -> Result<(UserId, Membership), Unreadable> {
    let row = || format!("({team}, {user_id})");
    let user = read("members", "user_id", UserId::parse(user_id), row)?;
    Ok((user, Membership { role: role(role_name, row)?, team_archived }))
}

/// The role with this name, in the row of `members` with this key.
pub fn role(name: &str, row: impl FnOnce() -> String) -> Result<Role, Unreadable> {
    read("members", "role", Role::from_name(name).ok_or("not known to this version"), row)
}

fn read<T, E: ToString>(
    table: &'static str,
    column: &'static str,
    parsed: Result<T, E>,
    row: impl FnOnce() -> String,
) -> Result<T, Unreadable> {
    parsed.map_err(|error| Unreadable { table, row: row(), column, reason: error.to_string() })
}
