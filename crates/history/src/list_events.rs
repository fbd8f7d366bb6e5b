//! `ListEvents`: a page of events of all kinds after a cursor.

use huddle_domain::Event;
use huddle_grpc::{CallError, page_limit, position, team_id};
use huddle_proto::{
    event::v1 as wire,
    history::v1::{ListEventsRequest, ListEventsResponse},
};
use huddle_store::Page;
use tonic::Request;

use crate::{convert, reader::Reader};

/// Events on a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 200;
/// Most events on a page.
pub(crate) const LIMIT_MAX: u32 = 1_000;

pub(crate) async fn list_events(
    reader: &Reader,
    request: Request<ListEventsRequest>,
) -> Result<ListEventsResponse, CallError> {
    let call = reader.open(&request)?;
    let request = request.into_inner();
    let team = team_id(&request.team)?;
    let after = position("after", request.after)?;
    let limit = page_limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let min_seq = position("min_seq", request.min_seq)?;
    let page = reader.read(&call, &team, min_seq, |fence| reader.events.list_events(&team, after, limit, fence));
    Ok(response(&page.await?))
}

/// A page of large events ends early: what is missing comes with the next page.
fn response(page: &Page<Event>) -> ListEventsResponse {
    let mut events: Vec<wire::Event> = page.items.iter().map(wire::Event::from).collect();
    let fitting = convert::fitting(&events);
    let has_more = page.has_more || fitting < events.len();
    events.truncate(fitting);
    ListEventsResponse { events, has_more }
}
