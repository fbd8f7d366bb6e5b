//! `GET /v1/teams/{team}/events`.

use actix_web::{HttpRequest, HttpResponse, web};
use huddle_domain::Seq;
use huddle_proto::{Refusal, event::v1::Event, gateway::v1::ErrorCode};
use serde::{Deserialize, Serialize};

use super::{Answer, Problem, caller, core};
use crate::{
    connection::parse_team,
    event_pages::{self, PAGE_BYTES_MAX, Page, Wanted, json_bytes},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    after: Option<u64>,
    limit: Option<u32>,
    min_seq: Option<u64>,
}

#[derive(Debug, Serialize)]
struct EventPage {
    events: Vec<Event>,
    has_more: bool,
}

/// Returns a page of a team's events after a cursor, oldest first.
pub(super) async fn list(request: HttpRequest, team: web::Path<String>) -> Answer {
    let core = core(&request)?;
    let outcome = async {
        let (user, _) = caller(core, &request)?;
        let team = parse_team(&team)?;
        let query = web::Query::<Query>::from_query(request.query_string())
            .map_err(|error| Refusal::new(ErrorCode::InvalidArgument, format!("the query is not valid: {error}")))?;
        let wanted = Wanted {
            team,
            after: query.after.map_or(Seq::ZERO, Seq::new),
            limit: query.limit.unwrap_or_default(),
            min_seq: query.min_seq.map_or(Seq::ZERO, Seq::new),
        };
        Ok::<_, Problem>(event_pages::read(core, &user.user, &wanted, PAGE_BYTES_MAX, json_bytes).await?)
    };
    let Page { events, has_more } = outcome.await.inspect_err(|problem| core.metrics.refused(problem.0.code))?;
    Ok(HttpResponse::Ok().json(EventPage { events, has_more }))
}
