//! `GetUserNames`: the display names of users, for callers who decide whose names are whose business.

use huddle_domain::UserId;
use huddle_grpc::{CallError, user_id};
use huddle_proto::{
    Refusal,
    directory::v1::{GetUserNamesRequest, GetUserNamesResponse},
    gateway::v1::ErrorCode,
};
use tonic::Request;

use crate::{convert, directory::Directory};

/// Most users in one call. So many of the longest names and ids fit into one answer.
const USERS_MAX: usize = 1_000;

pub(crate) async fn get_user_names(
    directory: &Directory,
    request: Request<GetUserNamesRequest>,
) -> Result<GetUserNamesResponse, CallError> {
    let call = directory.open(&request)?;
    call.require_service()?;
    let users = users(&request.into_inner().users)?;
    let names = call.deadline.bound(directory.teams.user_names(&users)).await?;
    Ok(GetUserNamesResponse { names: names.iter().map(|(user, name)| convert::user_name(user, name)).collect() })
}

/// Reads the users of a question: 1 to 1,000.
pub(crate) fn users(users: &[String]) -> Result<Vec<UserId>, Refusal> {
    if users.is_empty() || users.len() > USERS_MAX {
        return Err(Refusal::new(ErrorCode::InvalidArgument, format!("`users` holds 1 to {USERS_MAX} users")));
    }
    users.iter().map(|user| user_id("users", user)).collect()
}
