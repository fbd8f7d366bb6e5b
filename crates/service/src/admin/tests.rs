use std::{net::SocketAddr, time::Duration};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{AdminConfig, AdminServer};
use crate::{health::Readiness, lifecycle::Lifecycle, metrics::Metrics};

const TEST_TIMEOUT: Duration = Duration::from_secs(20);

struct Running {
    address: SocketAddr,
    lifecycle: Lifecycle,
    readiness: Readiness,
    metrics: Metrics,
}

async fn running() -> Running {
    let lifecycle = Lifecycle::new(Duration::from_secs(5));
    let readiness = Readiness::new(lifecycle.shutdown());
    let metrics = Metrics::new();
    let config = AdminConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)) };
    let server = AdminServer::bind(&config, readiness.clone(), metrics.clone()).await.unwrap();
    let address = server.local_addr();
    lifecycle.spawn_background("admin", server.serve(lifecycle.shutdown()));
    Running { address, lifecycle, readiness, metrics }
}

async fn send(address: SocketAddr, request: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    timeout(TEST_TIMEOUT, exchange).await.unwrap()
}

async fn get(address: SocketAddr, path: &str) -> String {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n")).await
}

#[tokio::test]
async fn healthz_says_that_the_process_lives() {
    let running = running().await;
    let _stuck = running.readiness.component("nats");
    let answer = get(running.address, "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test]
async fn readyz_names_what_is_not_ready() {
    let running = running().await;
    let nats = running.readiness.component("nats");
    nats.set_not_ready("disconnected");
    let answer = get(running.address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
    assert!(
        answer.ends_with(r#"{"ready":false,"checks":[{"name":"nats","ready":false,"reason":"disconnected"}]}"#),
        "{answer}"
    );

    nats.set_ready();
    let answer = get(running.address, "/readyz?probe=1").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_draining_process_still_answers_that_it_is_not_ready() {
    let running = running().await;
    let address = running.address;
    running.lifecycle.spawn("drain", async move {
        let answer = get(address, "/readyz").await;
        if answer.starts_with("HTTP/1.1 503 ") { Ok(()) } else { Err(answer) }
    });
    running.lifecycle.shutdown().request();
    timeout(TEST_TIMEOUT, running.lifecycle.run_until_requested()).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed after the drain");
}

#[tokio::test]
async fn metrics_are_served_with_their_media_type() {
    let running = running().await;
    let sends: Counter = Counter::default();
    running.metrics.register(|registry| registry.register("sends", "Messages sent", sends.clone()));
    let answer = get(running.address, "/metrics").await;
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.contains("huddle_sends_total 0\n"), "{answer}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let address = running().await.address;
    assert!(get(address, "/debug").await.starts_with("HTTP/1.1 404 "));
    let answer = send(address, "POST /healthz HTTP/1.1\r\nHost: admin\r\nContent-Length: 2\r\n\r\nhi").await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    let answer = send(address, "HEAD /healthz HTTP/1.1\r\nHost: admin\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(send(address, "\u{1}\u{2} nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_finishes_its_request_is_dropped() {
    let address = running().await.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost:").await.unwrap();
    let mut answer = Vec::new();
    // No timeout of its own: the paused clock would jump to it before the server has seen the connection.
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn an_address_in_use_names_the_setting() {
    let taken = running().await;
    let config = AdminConfig { listen: taken.address };
    let error = AdminServer::bind(&config, taken.readiness.clone(), Metrics::new()).await.unwrap_err().to_string();
    assert!(error.contains("`admin.listen`") && error.contains(&taken.address.to_string()), "{error}");
}
