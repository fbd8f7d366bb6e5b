//! `ListMentions`: a page of the messages that mention a user, of the teams that the user is in.

use huddle_domain::UnixMillis;
use huddle_grpc::{CallError, page_limit, position, team_id};
use huddle_proto::{
    Refusal,
    history::v1::{self as wire, ListMentionsRequest, ListMentionsResponse},
};
use huddle_store::MentionPosition;
use tonic::Request;

use crate::{convert, reader::Reader};

/// Messages on a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 50;
/// Most messages on a page.
const LIMIT_MAX: u32 = 500;

pub(crate) async fn list_mentions(
    reader: &Reader,
    request: Request<ListMentionsRequest>,
) -> Result<ListMentionsResponse, CallError> {
    let call = reader.open(&request)?;
    let request = request.into_inner();
    let user = call.own_user("user", &request.user)?;
    let before = request.before.as_ref().map(mention_position).transpose()?;
    let limit = page_limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let page = call.deadline.bound(reader.events.list_mentions(&user, before.as_ref(), limit)).await?;
    let mut messages: Vec<wire::Message> = page.items.iter().map(convert::message).collect();
    // A page of large messages is cut to what one answer can carry.
    let fitting = convert::fitting(&messages);
    let has_older = page.has_more || fitting < messages.len();
    messages.truncate(fitting);
    Ok(ListMentionsResponse { messages, has_older })
}

fn mention_position(before: &wire::MentionPosition) -> Result<MentionPosition, Refusal> {
    Ok(MentionPosition {
        time: UnixMillis(before.time_ms),
        team: team_id(&before.team)?,
        seq: position("before.seq", before.seq)?,
    })
}
