//! `CreateTeam`: the first event of a team, decided by compare-and-set in the log.

use huddle_domain::{EventKind, Name, NewEvent, TeamId, UnixMillis, UserId};
use huddle_grpc::{Call, CallError, team_id};
use huddle_log::Condition;
use huddle_proto::{
    Refusal,
    directory::v1::{CreateTeamRequest, CreateTeamResponse},
    gateway::v1::ErrorCode,
};
use huddle_store::Team;
use tonic::Request;
use uuid::{Uuid, uuid};

use crate::{
    change::{Changed, client_id_or_new},
    convert,
    directory::Directory,
};

/// The name space of team ids that are made from an owner and a client id.
const TEAM_NAMESPACE: Uuid = uuid!("5c4f3f0e-8a57-4a51-9d0c-3a1b52f7f9d1");

pub(crate) async fn create_team(
    directory: &Directory,
    request: Request<CreateTeamRequest>,
) -> Result<CreateTeamResponse, CallError> {
    let call = directory.open(&request)?;
    let request = request.into_inner();
    let name = convert::name(&request.name)?;
    let owner = call.own_user("owner", &request.owner)?;
    let client_id = client_id_or_new(&request.client_id)?;
    let team = if request.team.is_empty() { made_id(&owner, client_id.as_str())? } else { team_id(&request.team)? };
    let kind = EventKind::TeamCreated { name: name.clone(), owner: owner.clone() };
    let event = NewEvent { team: team.clone(), sender: owner, client_id, kind };

    let changed = create(directory, &call, event).await?;
    let created = if changed.stored { call.deadline.bound(directory.teams.team(&team, None)).await? } else { None };
    let created = created.unwrap_or_else(|| not_stored_yet(team, name, changed));
    Ok(CreateTeamResponse { team: Some(convert::team(&created)), seq: changed.seq.get(), stored: changed.stored })
}

async fn create(directory: &Directory, call: &Call, event: NewEvent) -> Result<Changed, CallError> {
    let team = event.team.clone();
    let turn = directory.turns.take(&team, &call.deadline).await?;
    let last = directory.catch_up(&team, &call.deadline).await?;
    if let Some(changed) = directory.earlier(&event, &call.deadline).await? {
        return Ok(changed);
    }
    // The log forgets in time, so that it does not know of an old team; the store does.
    let known = directory.stored.read(&team, last, &call.deadline, |fence| directory.teams.team(&team, fence));
    if known.await?.is_some() {
        return Err(Refusal::new(ErrorCode::TeamExists, "there is, or was, a team of that id").into());
    }
    let seq = directory.publish(turn, event, Condition::FirstOfTeam, &call.deadline).await?;
    Ok(directory.changed(&team, seq, &call.deadline).await)
}

/// A team id made from the owner and the client id: a retry makes the same one, so it makes one team.
fn made_id(owner: &UserId, client_id: &str) -> Result<TeamId, Refusal> {
    // Neither id holds a slash, so no two pairs make the same name.
    let id = Uuid::new_v5(&TEAM_NAMESPACE, format!("{owner}/{client_id}").as_bytes());
    team_id(&id.simple().to_string())
}

/// The team as far as it is known before it is stored: the log's time is not.
fn not_stored_yet(team: TeamId, name: Name, changed: Changed) -> Team {
    Team { team, name, archived: false, created_seq: changed.seq, created_time: UnixMillis::default() }
}
