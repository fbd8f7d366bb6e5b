//! The parts of a request, or why they are none, on every protocol alike.

use huddle_domain::{Body, ClientId, IdError, Tags, TeamId};
use huddle_proto::{EventError, Refusal, event::v1::Entity, gateway::v1::ErrorCode, tags_from_wire};

/// The team of a request.
pub(crate) fn parse_team(text: &str) -> Result<TeamId, Refusal> {
    TeamId::parse(text).map_err(|error| invalid_id("team", error))
}

/// The `client_id` of a request; `None` when the client gave none.
pub(crate) fn parse_client_id(text: &str) -> Result<Option<ClientId>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    ClientId::parse(text).map(Some).map_err(|error| invalid_id("client_id", error))
}

/// The body of a message.
pub(crate) fn parse_body(text: &str) -> Result<Body, Refusal> {
    Body::parse(text).map_err(|error| Refusal::new(ErrorCode::InvalidBody, error.to_string()))
}

/// The tags of a message.
pub(crate) fn parse_tags(mentions: &[String], entity: Option<&Entity>) -> Result<Tags, Refusal> {
    tags_from_wire(mentions, entity).map_err(|error| match error {
        EventError::Id { field, source } => invalid_id(field, source),
        error => Refusal::new(ErrorCode::InvalidArgument, error.to_string()),
    })
}

fn invalid_id(field: &str, error: IdError) -> Refusal {
    Refusal::new(ErrorCode::InvalidId, format!("`{field}`: {error}"))
}
