//! Accepts connections within bounds and answers the three paths.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use crate::{
    health::Readiness,
    lifecycle::Shutdown,
    metrics::{self, Metrics},
};

/// Connections served at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 64;
/// How long a client may take to send its request's head.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may live in all, a client that reads slowly included.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// How long open requests may take once the process has reached the hard stage of its shutdown.
const STOP_WAIT: Duration = Duration::from_secs(1);
/// The pause after a failed accept, which is most often a lack of file descriptors.
const ACCEPT_RETRY_WAIT: Duration = Duration::from_millis(100);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where the admin endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Address and port; port 0 takes a free one. Default: `127.0.0.1:9600`.
    pub listen: SocketAddr,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9600)) }
    }
}

/// Why the admin endpoint cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "the admin endpoint cannot listen on {address}: {source}; set `admin.listen` to a free address (port 0 takes any)"
)]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// A bound admin endpoint that does not serve yet.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
    pages: Arc<Pages>,
}

/// What the paths answer from.
#[derive(Debug)]
struct Pages {
    readiness: Readiness,
    metrics: Metrics,
}

impl AdminServer {
    /// Takes the address. Clients can connect from now on and are answered once [`serve`](Self::serve) runs.
    pub async fn bind(config: &AdminConfig, readiness: Readiness, metrics: Metrics) -> Result<Self, BindError> {
        let failed = |source| BindError { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, pages: Arc::new(Pages { readiness, metrics }) })
    }

    /// The address that was taken, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the hard stage of the shutdown, so that a draining process still says that it drains: run it with
    /// [`spawn_background`](crate::lifecycle::Lifecycle::spawn_background). It never fails; the result has the shape that
    /// `spawn_background` takes.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener; open connections end on their own within 10 s.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let connections = TaskTracker::new();
        loop {
            let accept = async {
                let slot = Arc::clone(&slots).acquire_owned().await.map_err(io::Error::other)?;
                let (stream, _) = self.listener.accept().await?;
                Ok::<_, io::Error>((slot, stream))
            };
            let accepted = tokio::select! {
                () = shutdown.hard().cancelled() => break,
                accepted = accept => accepted,
            };
            match accepted {
                Ok((slot, stream)) => {
                    let (pages, shutdown) = (Arc::clone(&self.pages), shutdown.clone());
                    connections.spawn(async move {
                        serve_connection(stream, pages, shutdown).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "admin connection not accepted");
                    sleep(ACCEPT_RETRY_WAIT).await;
                }
            }
        }
        connections.close();
        if timeout(STOP_WAIT, connections.wait()).await.is_err() {
            tracing::debug!("admin connections left open");
        }
        Ok(())
    }
}

async fn serve_connection(stream: TcpStream, pages: Arc<Pages>, shutdown: Shutdown) {
    let service = service_fn(move |request| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, Infallible>(pages.answer(&request)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = timeout(CONNECTION_TIME_MAX, async {
        tokio::select! {
            served = connection.as_mut() => served,
            () = shutdown.hard().cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    });
    match served.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "admin connection ended"),
        Err(_) => tracing::debug!("admin connection took too long"),
    }
}

impl Pages {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok"),
            "/readyz" => self.readyz(),
            "/metrics" => self.metrics(),
            _ => text(StatusCode::NOT_FOUND, "not found; there are /healthz, /readyz and /metrics\n"),
        }
    }

    fn readyz(&self) -> Response<Full<Bytes>> {
        let report = self.readiness.report();
        let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        match serde_json::to_vec(&report) {
            Ok(json) => page(status, "application/json", json),
            Err(error) => internal(&error),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        match self.metrics.encode() {
            Ok(encoded) => page(StatusCode::OK, metrics::CONTENT_TYPE, encoded),
            Err(error) => internal(&error),
        }
    }
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Response<Full<Bytes>> {
    tracing::error!(error, "admin page not encoded");
    text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    page(status, "text/plain; charset=utf-8", body)
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
