//! gRPC within one process: connections that are buffers in memory instead of sockets, with everything above them (HTTP/2,
//! deadlines, metadata) as between machines.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc::{self, error::SendTimeoutError},
};
use tokio_stream::Stream;
use tonic::{
    codegen::Service,
    transport::{Channel, Endpoint, Uri},
};

/// Bytes on their way in one direction of a connection; a writer waits for its reader beyond them.
const BUFFER_BYTES: usize = 64 * 1024;
/// Connections that wait to be accepted. A channel has one connection at a time, so a few are many.
const BACKLOG: usize = 8;
/// How long a connection may wait to be accepted.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Stands where an address would: nothing is looked up. The name is reserved for what does not exist (RFC 2606).
const URL: &str = "http://memory.invalid";

/// Makes a transport: what clients connect through, and what a service accepts.
pub fn memory() -> (MemoryConnector, MemoryIncoming) {
    let (sender, accepted) = mpsc::channel(BACKLOG);
    (MemoryConnector { sender }, MemoryIncoming { accepted })
}

/// The clients' side. Clones lead to the same service.
#[derive(Debug, Clone)]
pub struct MemoryConnector {
    sender: mpsc::Sender<DuplexStream>,
}

impl MemoryConnector {
    /// A channel that connects when it is first used, and again when its connection has ended. Calls fail as
    /// unavailable while the service does not accept, after 2 s at the latest.
    ///
    /// HTTP/2 is not asked for signs of life: no network can lose this connection, and both ends stop and go on as one.
    pub fn channel(&self) -> Channel {
        Endpoint::from_static(URL).connect_with_connector_lazy(self.clone())
    }
}

impl Service<Uri> for MemoryConnector {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let sender = self.sender.clone();
        Box::pin(async move {
            let (client, server) = duplex(BUFFER_BYTES);
            match sender.send_timeout(server, CONNECT_TIMEOUT).await {
                Ok(()) => Ok(TokioIo::new(client)),
                Err(SendTimeoutError::Timeout(_)) => Err(io::Error::new(io::ErrorKind::TimedOut, "nobody accepts")),
                Err(SendTimeoutError::Closed(_)) => {
                    Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the service has ended"))
                }
            }
        })
    }
}

/// The service's side: a stream of connections, which ends when every connector and channel is gone.
#[derive(Debug)]
pub struct MemoryIncoming {
    accepted: mpsc::Receiver<DuplexStream>,
}

impl Stream for MemoryIncoming {
    type Item = io::Result<DuplexStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted.poll_recv(context).map(|connection| connection.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::oneshot, time::timeout};
    use tokio_stream::StreamExt as _;
    use tonic::{Code, Status, transport::Server};
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn check(channel: &Channel) -> Result<(), Status> {
        let call = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
        call.map(drop)
    }

    /// Serves the next connection until the sender is used or dropped.
    async fn serve_one(
        incoming: &mut MemoryIncoming,
    ) -> (oneshot::Sender<()>, impl Future<Output = Result<(), tonic::transport::Error>> + use<>) {
        let connection = timeout(PATIENCE, incoming.next()).await.unwrap().unwrap();
        let (end, ended) = oneshot::channel();
        let (_, service) = tonic_health::server::health_reporter();
        let serving = Server::builder().add_service(service).serve_with_incoming_shutdown(
            tokio_stream::once(connection).chain(tokio_stream::pending()),
            async move {
                let _ = ended.await;
            },
        );
        (end, serving)
    }

    #[tokio::test]
    async fn a_call_is_answered_and_a_channel_connects_again_after_the_service_ended_its_connection() {
        let (connector, mut incoming) = memory();
        let channel = connector.channel();
        for _ in 0..2 {
            let accept = async {
                let (end, serving) = serve_one(&mut incoming).await;
                (end, tokio::spawn(serving))
            };
            let (answer, (end, serving)) = tokio::join!(timeout(PATIENCE, check(&channel)), accept);
            answer.unwrap().unwrap();
            // On the same connection: no other one is accepted.
            timeout(PATIENCE, check(&channel)).await.unwrap().unwrap();
            drop(end);
            timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_call_to_a_service_that_has_ended_is_refused_as_unavailable() {
        let (connector, incoming) = memory();
        let channel = connector.channel();
        drop(incoming);
        let status = timeout(PATIENCE, check(&channel)).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_nobody_accepts_are_bounded_in_number_and_in_time() {
        let (connector, incoming) = memory();
        let mut waiting: Vec<_> = (0..=BACKLOG).map(|_| connector.clone().call(Uri::from_static(URL))).collect();
        for connection in waiting.drain(..BACKLOG) {
            connection.await.unwrap();
        }
        let refused = timeout(PATIENCE, waiting.remove(0)).await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        let status = timeout(PATIENCE, check(&connector.channel())).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        drop(incoming);
    }

    #[tokio::test]
    async fn the_stream_of_connections_ends_with_the_last_connector() {
        let (connector, mut incoming) = memory();
        drop(connector);
        assert!(timeout(PATIENCE, incoming.next()).await.unwrap().is_none());
    }
}
