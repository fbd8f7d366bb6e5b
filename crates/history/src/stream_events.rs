//! `StreamEvents`: opens a stream that catches up from a cursor and goes on with what is live.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use huddle_domain::{Seq, TeamId};
use huddle_grpc::{Call, CallError, CallTimer, position, team_id};
use huddle_proto::{
    Refusal,
    gateway::v1::ErrorCode,
    history::v1::{StreamEventsRequest, StreamEventsResponse},
};
use tonic::{Request, Status};

use crate::{
    reader::Reader,
    tail::{Start, Tail},
};

/// Opens the stream. Until it is open, failures are the call's; after that they end the stream.
///
/// The stream makes its items when the caller reads them. What comes live in the meantime is held, up to a bound; what is
/// dropped beyond it is read from the store again.
pub(crate) async fn stream_events(
    reader: Arc<Reader>,
    request: Request<StreamEventsRequest>,
    mut timer: CallTimer,
) -> Result<BoxStream<'static, Result<StreamEventsResponse, Status>>, Status> {
    let tail = match open(reader, request).await {
        Ok(tail) => tail,
        Err(error) => return Err(timer.fail(error)),
    };
    let items = stream::unfold(Some((tail, timer)), |state| async {
        let (mut tail, mut timer) = state?;
        match tail.next().await {
            Ok(item) => Some((Ok(StreamEventsResponse { item: Some(item) }), Some((tail, timer)))),
            Err(end) => Some((Err(timer.fail(end)), None)),
        }
    });
    Ok(items.boxed())
}

async fn open(reader: Arc<Reader>, request: Request<StreamEventsRequest>) -> Result<Tail, CallError> {
    let call = reader.open(&request)?;
    let request = request.into_inner();
    let team = team_id(&request.team)?;
    let after = position("after", request.after)?;
    let min_seq = position("min_seq", request.min_seq)?;
    reader.admit(&call, &team).await?;
    let permit = Arc::clone(&reader.streams)
        .try_acquire_owned()
        .map_err(|_| Refusal::new(ErrorCode::Overloaded, "this server has as many streams as it may; retry"))?;
    // In this order: whatever the fence does not cover is on the feed.
    let feed = call.deadline.bound(reader.log.subscribe(&team)).await?;
    let last = last(&reader, &call, &team).await?;
    if after > last {
        return Err(Refusal::new(ErrorCode::InvalidCursor, "`after` lies beyond the team's last event").into());
    }
    Ok(Tail::new(reader, Start { call, team, after, fence: last.max(min_seq), feed, permit }))
}

/// The position of the team's last event, or one above it: when the log holds none of the team's events (any longer), all
/// of them are stored.
async fn last(reader: &Reader, call: &Call, team: &TeamId) -> Result<Seq, CallError> {
    match call.deadline.bound(reader.log.last_seq(team)).await? {
        Some(last) => Ok(last),
        None => reader.stored.ask(team, &call.deadline).await,
    }
}
