//! `GET` and `POST /v1/teams/{team}/messages`.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use huddle_proto::{
    Refusal,
    event::v1::Entity,
    gateway::v1::ErrorCode,
    history::v1::{ListMessagesRequest, Order, list_messages_request::Position},
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Answer, Problem, caller, core};
use crate::{
    connection::{parse_body, parse_client_id, parse_tags, parse_team},
    sends::NewSend,
};

/// How long `wait=stored` waits.
const STORED_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    before: Option<u64>,
    after: Option<u64>,
    around: Option<u64>,
    limit: Option<u32>,
    order: Option<ListOrder>,
    min_seq: Option<u64>,
}

#[derive(Debug, Deserialize)]
enum ListOrder {
    #[serde(rename = "newest_first")]
    NewestFirst,
    #[serde(rename = "oldest_first")]
    OldestFirst,
}

#[derive(Debug, Serialize)]
struct MessagePage {
    messages: Vec<Message>,
    has_older: bool,
    has_newer: bool,
}

/// 64-bit numbers are texts, as in the native protocol's JSON: a JavaScript number cannot hold all of them.
#[derive(Debug, Serialize)]
struct Message {
    team: String,
    seq: String,
    time_ms: String,
    sender: String,
    client_id: String,
    body: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<Entity>,
}

/// Returns a page of messages. History checks that the caller may read them.
pub(super) async fn list(request: HttpRequest, team: web::Path<String>) -> Answer {
    let core = core(&request)?;
    let outcome = async {
        let (_, token) = caller(core, &request)?;
        let team = parse_team(&team)?;
        let query = web::Query::<ListQuery>::from_query(request.query_string())
            .map_err(|error| Refusal::new(ErrorCode::InvalidArgument, format!("the query is not valid: {error}")))?;
        let position = position(&query)?;
        let order = match query.order {
            Some(ListOrder::OldestFirst) => Order::OldestFirst,
            Some(ListOrder::NewestFirst) | None => Order::NewestFirst,
        };
        let question = ListMessagesRequest {
            team: team.to_string(),
            position,
            limit: query.limit.unwrap_or_default(),
            order: order.into(),
            min_seq: query.min_seq.unwrap_or_default(),
        };
        Ok::<_, Problem>(core.history.list_messages(token, question).await?)
    };
    let page = outcome.await.inspect_err(|problem| core.metrics.refused(problem.0.code))?;
    let messages = page
        .messages
        .into_iter()
        .map(|message| Message {
            team: message.team,
            seq: message.seq.to_string(),
            time_ms: message.time_ms.to_string(),
            sender: message.sender,
            client_id: message.client_id,
            body: message.body,
            mentions: message.mentions,
            entity: message.entity,
        })
        .collect();
    Ok(HttpResponse::Ok().json(MessagePage { messages, has_older: page.has_older, has_newer: page.has_newer }))
}

fn position(query: &ListQuery) -> Result<Option<Position>, Refusal> {
    match (query.before, query.after, query.around) {
        (None, None, None) => Ok(None),
        (Some(seq), None, None) => Ok(Some(Position::Before(seq))),
        (None, Some(seq), None) => Ok(Some(Position::After(seq))),
        (None, None, Some(seq)) => Ok(Some(Position::Around(seq))),
        _ => Err(Refusal::new(ErrorCode::InvalidArgument, "only one of `before`, `after` and `around` can be given")),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SendBody {
    body: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    mentions: Vec<String>,
    entity: Option<SentEntity>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SentEntity {
    kind: String,
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SendQuery {
    wait: Option<Wait>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Wait {
    #[serde(rename = "accepted")]
    Accepted,
    #[serde(rename = "stored")]
    Stored,
}

#[derive(Debug, Serialize)]
struct Sent {
    team: String,
    seq: String,
    client_id: String,
    duplicate: bool,
    stored: bool,
}

/// Sends a message; answers when it is accepted, or, with `wait=stored`, when it is stored or 5 s are over.
pub(super) async fn send(
    request: HttpRequest,
    team: web::Path<String>,
    body: Result<web::Bytes, actix_web::Error>,
) -> Answer {
    let core = core(&request)?;
    let outcome = async {
        let (user, _) = caller(core, &request)?;
        let team = parse_team(&team)?;
        let query = web::Query::<SendQuery>::from_query(request.query_string())
            .map_err(|error| Refusal::new(ErrorCode::InvalidArgument, format!("the query is not valid: {error}")))?;
        let body = body.map_err(|_| {
            let message = format!("a request body has at most {} bytes", core.config.frame_max.as_u64());
            Refusal::new(ErrorCode::TooLarge, message)
        })?;
        let body: SendBody = serde_json::from_slice(&body).map_err(|error| {
            // The error's own text may repeat parts of the body.
            let message = format!("the body is not a valid message (line {}, column {})", error.line(), error.column());
            Refusal::new(ErrorCode::Malformed, message)
        })?;
        let entity = body.entity.map(|SentEntity { kind, id }| Entity { kind, id });
        let send = NewSend {
            team,
            sender: user.user,
            client_id: parse_client_id(&body.client_id)?,
            tags: parse_tags(&body.mentions, entity.as_ref())?,
            body: parse_body(&body.body)?,
        };
        let mut started = core.sends.start(vec![send]).await;
        let started = started.pop().unwrap_or_else(|| Err(Refusal::new(ErrorCode::Internal, "retry")))?;
        Ok::<_, Problem>((core.sends.finish(started).await?, query.wait))
    };
    let (accepted, wait) = outcome.await.inspect_err(|problem| core.metrics.refused(problem.0.code))?;
    let partition = core.log.partitions().of(&accepted.team);
    if wait == Some(Wait::Stored) {
        // Not stored in time is no failure: the answer says so.
        let _ = timeout(STORED_PATIENCE, core.watermarks.reached(partition, accepted.seq)).await;
    }
    Ok(HttpResponse::Created().json(Sent {
        team: accepted.team.to_string(),
        seq: accepted.seq.to_string(),
        client_id: accepted.client_id.to_string(),
        duplicate: accepted.duplicate,
        stored: core.watermarks.stored(partition) >= accepted.seq,
    }))
}
