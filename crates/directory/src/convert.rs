//! Between the wire and the domain: names, roles, teams.

use huddle_domain::{Name, Role, UserId};
use huddle_proto::{Refusal, directory::v1 as wire, event::v1 as event, gateway::v1::ErrorCode};
use huddle_store::{Member, Team, UserTeam};

/// Reads the argument `name`.
pub(crate) fn name(text: &str) -> Result<Name, Refusal> {
    Name::parse(text).map_err(|error| Refusal::new(ErrorCode::InvalidName, format!("`name`: {error}")))
}

/// Reads the argument `role`; `None` when it is unspecified.
pub(crate) fn role(number: i32) -> Result<Option<Role>, Refusal> {
    event::Role::try_from(number)
        .map(event::Role::known)
        .map_err(|_| Refusal::new(ErrorCode::InvalidArgument, "`role` is not known to this version"))
}

pub(crate) fn role_number(role: Role) -> i32 {
    event::Role::from(role) as i32
}

pub(crate) fn team(team: &Team) -> wire::Team {
    wire::Team {
        team: team.team.to_string(),
        name: team.name.as_str().to_owned(),
        archived: team.archived,
        created_seq: team.created_seq.get(),
        created_time_ms: team.created_time.0,
    }
}

pub(crate) fn member(member: &Member) -> wire::Member {
    wire::Member {
        user: member.user.to_string(),
        name: member.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        role: role_number(member.role),
        since_seq: member.since_seq.get(),
    }
}

pub(crate) fn user_team(user_team: &UserTeam) -> wire::UserTeam {
    wire::UserTeam { team: Some(team(&user_team.team)), role: role_number(user_team.role) }
}

pub(crate) fn user_name(user: &UserId, name: &Name) -> wire::UserName {
    wire::UserName { user: user.to_string(), name: name.as_str().to_owned() }
}
