//! The services behind the gateway: history and directory, over gRPC, every call bounded in time.

mod directory;
mod health;
mod history;

use std::{sync::Arc, time::Duration};

use huddle_proto::Refusal;
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

pub(crate) use directory::{Directory, Membership, NAMES_PER_QUESTION_MAX, USERS_PER_QUESTION_MAX};
pub(crate) use health::answers;
pub(crate) use history::History;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often an HTTP/2 connection is asked for a sign of life, and how long that may take: a paused service is noticed.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Added to a call's deadline before this side gives up by itself.
const DEADLINE_MARGIN: Duration = Duration::from_millis(200);

/// The ways to the services behind the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    pub(crate) history: Channel,
    pub(crate) directory: Channel,
    /// Whether it is for the gateway to say that they answer.
    pub(crate) are_watched: bool,
}

/// The token with which services trust each other, ready for use in metadata.
#[derive(Clone)]
pub(crate) struct ServiceToken(Arc<MetadataValue<Ascii>>);

/// The token cannot stand in a header.
#[derive(Debug, thiserror::Error)]
#[error("the service token holds characters that cannot stand in a header")]
pub(crate) struct ServiceTokenError;

impl ServiceToken {
    pub(crate) fn new(token: &str) -> Result<Self, ServiceTokenError> {
        bearer(token).map(|value| Self(Arc::new(value)))
    }
}

impl std::fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServiceToken")
    }
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>, ServiceTokenError> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| ServiceTokenError)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A channel that connects when it is first used, and again whenever it has to.
pub(crate) fn channel(url: &str) -> Result<Channel, tonic::transport::Error> {
    Ok(Endpoint::from_shared(url.to_owned())?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_lazy())
}

/// A request with the caller's token and a deadline that the service knows of.
fn request<T>(message: T, token: &MetadataValue<Ascii>, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request.set_timeout(deadline);
    request
}

/// Awaits a call no longer than its deadline, whatever the other side does.
async fn bounded<T>(deadline: Duration, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Refusal> {
    match tokio::time::timeout(deadline + DEADLINE_MARGIN, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Refusal::from_status(&status)),
        Err(_elapsed) => Err(Refusal::from_status(&Status::deadline_exceeded("no answer"))),
    }
}
