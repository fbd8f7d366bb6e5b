//! Real nats-server processes: they start, die, come back with their data, and never outlive us.

use std::time::Duration;

use huddle_devstack::{Nats, NatsOptions, NatsRelease, Tools};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPTS_MAX: usize = 30;
/// In which nodes that hear of each other make a route.
const TIME_TO_HEAR: Duration = Duration::from_secs(2);

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

#[tokio::test]
async fn nodes_reach_each_other_only_through_the_routes_they_are_given() -> anyhow::Result<()> {
    let ports = (0..3).map(|_| huddle_devstack::free_port()).collect::<anyhow::Result<Vec<_>>>()?;
    let mut via = vec![Vec::new(); 3];
    let mut forwarders = tokio::task::JoinSet::new();
    let mut given = Vec::new();
    for (from, via) in via.iter_mut().enumerate() {
        for (to, port) in ports.iter().enumerate().filter(|(to, _)| *to != from) {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            via.push(listener.local_addr()?);
            given.push(listener.local_addr()?.port());
            // At first two of them hear of each other from the third only.
            let pause = if from > 0 && to > 0 { TIME_TO_HEAR } else { Duration::ZERO };
            forwarders.spawn(forward(listener, *port, pause));
        }
    }
    let routes = huddle_devstack::Routes { ports: ports.clone(), via };
    let options = NatsOptions { routes: Some(routes), ..NatsOptions::cluster() };
    let mut nats = Nats::start(&Tools::locate()?, options).await?;
    let answer = create_stream(&nats.url(), 3).await?;
    assert!(answer.contains("\"did_create\":true"), "{answer}");
    // What must not come about has had its time.
    tokio::time::sleep(TIME_TO_HEAR).await;
    let mut all = Vec::new();
    for index in 0..3 {
        let to = routes_of(nats.node(index).monitor_port()).await?;
        assert!(!to.is_empty(), "node {index} has no routes");
        all.extend(to);
    }
    // One end of a route has the port that it was made to, the other a fleeting one.
    assert!(all.iter().any(|port| given.contains(port)), "{all:?}");
    assert!(!all.iter().any(|port| ports.contains(port)), "a route past those that were given: {all:?}");
    Ok(())
}

/// Passes every connection on to `port`, after a pause.
async fn forward(listener: tokio::net::TcpListener, port: u16, pause: Duration) {
    tokio::time::sleep(pause).await;
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        connections.spawn(async move {
            let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await
        });
    }
}

/// The ports at the other ends of a node's routes.
async fn routes_of(monitor_port: u16) -> anyhow::Result<Vec<u16>> {
    let mut stream = TcpStream::connect(("127.0.0.1", monitor_port)).await?;
    stream.write_all(b"GET /routez HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(body)?;
    let routes = body["routes"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(routes.iter().filter_map(|route| u16::try_from(route["port"].as_u64()?).ok()).collect())
}
