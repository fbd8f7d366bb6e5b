//! Real nats-server processes: they start, die, come back with their data, and never outlive us.

use std::time::Duration;

use huddle_devstack::{Nats, NatsOptions, NatsRelease, Tools};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPTS_MAX: usize = 30;

/// Asks until there is an answer. In a cluster one can get lost: the news that somebody waits for it may travel slower
/// than the answer itself.
async fn ask(url: &str, subject: &str, payload: &str) -> anyhow::Result<String> {
    for _ in 0..ATTEMPTS_MAX {
        if let Ok(answer) = timeout(ANSWER_TIMEOUT, ask_once(url, subject, payload)).await {
            return answer;
        }
    }
    anyhow::bail!("{subject} was never answered")
}

/// The least of a NATS client: one request, one answer.
async fn ask_once(url: &str, subject: &str, payload: &str) -> anyhow::Result<String> {
    let address = url.strip_prefix("nats://").unwrap_or(url);
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let request = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true}}\r\nSUB answer 1\r\n\
         PUB {subject} answer {}\r\n{payload}\r\n",
        payload.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        if line.starts_with("MSG answer") {
            let mut answer = String::new();
            stream.read_line(&mut answer).await?;
            return Ok(answer);
        }
        line.clear();
    }
    anyhow::bail!("the server closed the connection")
}

async fn create_stream(url: &str, replicas: usize) -> anyhow::Result<String> {
    let configuration = format!(r#"{{"name":"S","subjects":["s"],"storage":"file","num_replicas":{replicas}}}"#);
    ask(url, "$JS.API.STREAM.CREATE.S", &configuration).await
}

#[tokio::test]
async fn a_killed_node_comes_back_on_its_port_with_its_data() -> anyhow::Result<()> {
    let mut nats = Nats::start(&Tools::locate()?, NatsOptions::default()).await?;
    let (url, pid) = (nats.url(), nats.node(0).pid());
    assert!(create_stream(&url, 1).await?.contains("\"did_create\":true"));
    assert!(ask(&url, "s", "hello").await?.contains("\"seq\":1"));

    nats.node(0).kill9()?;
    assert!(!nats.node(0).is_running());
    nats.node(0).restart().await?;

    assert_eq!(nats.url(), url);
    assert_ne!(nats.node(0).pid(), pid);
    assert!(ask(&url, "s", "again").await?.contains("\"seq\":2"));
    Ok(())
}

#[tokio::test]
async fn a_started_cluster_takes_a_replicated_stream_at_once() -> anyhow::Result<()> {
    let mut nats = Nats::start(&Tools::locate()?, NatsOptions::cluster()).await?;
    assert_eq!(nats.urls().len(), 3);
    let answer = create_stream(&nats.url(), 3).await?;
    assert!(answer.contains("\"did_create\":true"), "{answer}");
    assert!(nats.leader().await.is_some());
    nats.stop().await?;
    assert!(!nats.node(2).is_running());
    nats.restart().await?;
    assert!(ask(&nats.urls()[1], "$JS.API.STREAM.INFO.S", "").await?.contains("\"num_replicas\":3"));
    Ok(())
}

#[tokio::test]
async fn a_kept_data_directory_serves_the_next_start() -> anyhow::Result<()> {
    let (tools, directory) = (Tools::locate()?, tempfile::tempdir()?);
    let options = NatsOptions { data_dir: Some(directory.path().join("nats")), ..NatsOptions::default() };
    let mut first = Nats::start(&tools, options.clone()).await?;
    create_stream(&first.url(), 1).await?;
    first.stop().await?;
    drop(first);
    let second = Nats::start(&tools, options).await?;
    assert!(ask(&second.url(), "s", "hello").await?.contains("\"seq\":1"));
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_worked_around() -> anyhow::Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let options = NatsOptions { preferred_port: Some(port), ..NatsOptions::default() };
    let nats = Nats::start(&Tools::locate()?, options).await?;
    assert!(!nats.url().ends_with(&format!(":{port}")));
    Ok(())
}

#[tokio::test]
async fn the_old_release_and_one_without_jetstream_start_too() -> anyhow::Result<()> {
    let tools = Tools::locate()?;
    let old = NatsOptions { release: NatsRelease::Old, ..NatsOptions::default() };
    assert!(create_stream(&Nats::start(&tools, old).await?.url(), 1).await?.contains("\"did_create\":true"));
    let plain = NatsOptions { jetstream: false, ..NatsOptions::default() };
    Nats::start(&tools, plain).await?;
    Ok(())
}
