//! `FindSends`: what became of earlier sends, for gateways.

use huddle_domain::{ClientId, SendKey};
use huddle_grpc::{CallError, team_id, user_id};
use huddle_proto::{
    Refusal,
    event::v1 as wire,
    gateway::v1::ErrorCode,
    history::v1::{self as history, FindSendsRequest, FindSendsResponse},
};
use tonic::Request;

use crate::{convert, reader::Reader};

/// Most keys in one call.
const KEYS_MAX: usize = 1_000;

pub(crate) async fn find_sends(
    reader: &Reader,
    request: Request<FindSendsRequest>,
) -> Result<FindSendsResponse, CallError> {
    let call = reader.open(&request)?;
    call.require_service()?;
    let keys = keys(&request.into_inner().keys)?;
    let found = call.deadline.bound(reader.events.find_sends(&keys)).await?;
    let events: Vec<wire::Event> = found.iter().map(wire::Event::from).collect();
    // A key without an event means that nothing is stored under it, so an answer is never cut.
    if convert::fitting(&events) < events.len() {
        return Err(Refusal::new(ErrorCode::TooLarge, "the events are too large for one answer; ask for fewer").into());
    }
    Ok(FindSendsResponse { events })
}

fn keys(keys: &[history::SendKey]) -> Result<Vec<SendKey>, Refusal> {
    if keys.is_empty() || keys.len() > KEYS_MAX {
        return Err(Refusal::new(ErrorCode::InvalidArgument, format!("`keys` holds 1 to {KEYS_MAX} keys")));
    }
    keys.iter().map(key).collect()
}

fn key(key: &history::SendKey) -> Result<SendKey, Refusal> {
    Ok(SendKey {
        team: team_id(&key.team)?,
        sender: user_id("sender", &key.sender)?,
        client_id: ClientId::parse(&key.client_id)
            .map_err(|error| Refusal::new(ErrorCode::InvalidId, format!("`client_id`: {error}")))?,
    })
}
