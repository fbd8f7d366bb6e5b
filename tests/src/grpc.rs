//! Owns the typed gRPC clients of history and directory.

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

/// Connects with the first call.
fn channel(url: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.connect_lazy())
}

fn bearer(token: &str) -> Result<Bearer> {
    Ok(Bearer(format!("Bearer {token}").parse().context("a token that cannot stand in a header")?))
}
