//! Owns the typed gRPC clients of history and directory.

use std::time::Duration;

use anyhow::{Context as _, Result};
use huddle_proto::{
    directory::v1::directory_service_client::DirectoryServiceClient,
    history::v1::history_service_client::HistoryServiceClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this much silence the other side is asked for a sign of life.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How long it then has.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of history on behalf of one token.
pub type HistoryClient = HistoryServiceClient<InterceptedService<Channel, Bearer>>;

/// A client of the directory on behalf of one token.
pub type DirectoryClient = DirectoryServiceClient<InterceptedService<Channel, Bearer>>;

/// Puts a token into each call.
#[derive(Debug, Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub(crate) fn history(url: &str, token: &str) -> Result<HistoryClient> {
    Ok(HistoryServiceClient::with_interceptor(channel(url)?, bearer(token)?))
}

pub(crate) fn directory(url: &str, token: &str) -> Result<DirectoryClient> {
    Ok(DirectoryServiceClient::with_interceptor(channel(url)?, bearer(token)?))
}

/// As [`history`], and it notices when nobody is there any more.
pub(crate) fn vigilant_history(url: &str, token: &str) -> Result<HistoryClient> {
    Ok(HistoryServiceClient::with_interceptor(vigilant_channel(url)?, bearer(token)?))
}

/// As [`directory`], and it notices when nobody is there any more.
pub(crate) fn vigilant_directory(url: &str, token: &str) -> Result<DirectoryClient> {
    Ok(DirectoryServiceClient::with_interceptor(vigilant_channel(url)?, bearer(token)?))
}

fn vigilant_channel(url: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned())?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_lazy())
}

/// Connects with the first call.
fn channel(url: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.connect_lazy())
}

fn bearer(token: &str) -> Result<Bearer> {
    Ok(Bearer(format!("Bearer {token}").parse().context("a token that cannot stand in a header")?))
}
