//! `GetMessage`: one message.

use huddle_grpc::{CallError, position, team_id};
use huddle_proto::{
    Refusal,
    gateway::v1::ErrorCode,
    history::v1::{GetMessageRequest, GetMessageResponse},
};
use tonic::Request;

use crate::{convert, reader::Reader};

pub(crate) async fn get_message(
    reader: &Reader,
    request: Request<GetMessageRequest>,
) -> Result<GetMessageResponse, CallError> {
    let call = reader.open(&request)?;
    let request = request.into_inner();
    let team = team_id(&request.team)?;
    let seq = position("seq", request.seq)?;
    let min_seq = position("min_seq", request.min_seq)?;
    match reader.read(&call, &team, min_seq, |fence| reader.events.message(&team, seq, fence)).await? {
        Some(message) => Ok(GetMessageResponse { message: Some(convert::message(&message)) }),
        None => Err(Refusal::new(ErrorCode::NotFound, "there is no message at that position").into()),
    }
}
