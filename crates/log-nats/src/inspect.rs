//! Looks at the servers and the streams without changing anything: what an operator's check-up reports.

use std::time::SystemTime;

use async_nats::{
    datetime::parse_rfc3339,
    jetstream::{ErrorCode, response::Response, stream::Info},
};
use futures_util::{StreamExt as _, stream};
use huddle_domain::{Partition, Partitions, Seq, UnixMillis};
use huddle_log::LogError;
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    advance,
    config::{Config, without_credentials},
    connect::{Link, connect_to_one},
    live::unix_millis,
    monitor::{Monitor, MonitorFacts},
    retry::{Cause, Limits, Miss, until_answered},
    stream as settings, subject,
};

/// Servers, or partitions, that are asked at once.
const ASKED_AT_ONCE: usize = 16;

/// What [`inspect`] has found. Holds no user names and no passwords.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Every server that the configuration names, in its order.
    pub servers: Vec<InspectedServer>,
    /// Every monitoring address that the configuration names, in its order.
    pub monitors: Vec<InspectedMonitor>,
    /// The servers' clock; `None` as long as no partition exists to be asked for it.
    pub clock: Option<Clock>,
    /// Every partition, ascending.
    pub partitions: Vec<InspectedPartition>,
}

/// A server of the configuration.
#[derive(Debug, Clone)]
pub struct InspectedServer {
    /// Its address, without user and password.
    pub address: String,
    /// What it says of itself, or why it could not be asked (one line).
    pub answer: Result<ServerFacts, String>,
}

/// A monitoring address of the configuration.
#[derive(Debug, Clone)]
pub struct InspectedMonitor {
    /// The address.
    pub address: String,
    /// What the server there says, or why it could not be asked (one line).
    pub answer: Result<MonitorFacts, String>,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its name.
    pub name: String,
    /// Its version, as in `2.12.0`.
    pub version: String,
    /// The cluster that it belongs to.
    pub cluster: Option<String>,
    /// Other servers that it knows, `host:port`.
    pub known_servers: Vec<String>,
}

/// One look at the clock of the server that leads a partition. It was read between `asked_at` and `answered_at`, which
/// are this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The server's time.
    pub server_time: UnixMillis,
    /// This machine's time before the question.
    pub asked_at: UnixMillis,
    /// This machine's time after the answer.
    pub answered_at: UnixMillis,
}

/// A partition.
#[derive(Debug, Clone)]
pub struct InspectedPartition {
    /// Which.
    pub partition: Partition,
    /// The name of its stream.
    pub stream: String,
    /// What the stream is like; `None` when it does not exist.
    pub found: Option<StreamFacts>,
}

/// What a partition's stream is like.
#[derive(Debug, Clone)]
pub struct StreamFacts {
    /// On how many servers it is to be.
    pub replicas: usize,
    /// The server that leads it; `None` outside of a cluster.
    pub leader: Option<String>,
    /// Its other servers that are away or lag behind.
    pub servers_away: Vec<String>,
    /// The position of its last entry, present or gone.
    pub last_seq: Seq,
    /// How many entries it holds.
    pub messages: u64,
    /// How many bytes these take.
    pub bytes: u64,
    /// How many bytes they may take; `None` when that is not bounded.
    pub max_bytes: Option<u64>,
    /// Whether it refuses publishes because it is being advanced, or because that was begun and never ended.
    pub is_fenced: bool,
    /// Why it is not fit for use with this configuration, and what to do about it.
    pub unfit: Option<String>,
}

/// Asks every configured server and every partition, each for some seconds at most.
///
/// # Errors
/// [`LogError::Unsuitable`] for settings out of bounds, refused credentials, a server that is too old or lacks
/// JetStream; [`LogError::Unavailable`] when no server answers, or a partition cannot be asked.
pub async fn inspect(config: &Config) -> Result<Inspection, LogError> {
    config.validate()?;
    let partitions = Partitions::new(config.partitions).map_err(|error| LogError::Unsuitable {
        problem: format!("`partitions` is {}", config.partitions),
        remedy: error.to_string(),
    })?;
    let link = Link::open(config).await?;
    let servers =
        stream::iter(&config.servers).map(|server| ask_server(server)).buffered(ASKED_AT_ONCE).collect().await;
    let mut answers = stream::iter(partitions.iter())
        .map(|partition| ask_partition(&link, config, partition))
        .buffered(ASKED_AT_ONCE);
    let monitors =
        stream::iter(&config.monitors).map(|address| ask_monitor(address)).buffered(ASKED_AT_ONCE).collect().await;
    let mut inspection = Inspection { servers, monitors, clock: None, partitions: Vec::new() };
    while let Some(answer) = answers.next().await {
        let (partition, clock) = answer?;
        inspection.clock = inspection.clock.or(clock);
        inspection.partitions.push(partition);
    }
    Ok(inspection)
}

async fn ask_server(server: &str) -> InspectedServer {
    let answer = match timeout(Limits::default().attempt, connect_to_one(server)).await {
        Ok(Ok(info)) => Ok(ServerFacts {
            name: info.server_name,
            version: info.version,
            cluster: info.cluster,
            known_servers: info.connect_urls,
        }),
        Ok(Err(cause)) => Err(cause.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    };
    InspectedServer { address: without_credentials(server), answer }
}

async fn ask_monitor(address: &str) -> InspectedMonitor {
    let answer = match Monitor::parse(address) {
        Ok(monitor) => monitor.ask().await.map_err(|cause| cause.to_string()),
        Err(error) => Err(error.to_string()),
    };
    InspectedMonitor { address: address.to_owned(), answer }
}

/// The answer to a question about a stream, with the one thing that the client library leaves out.
#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    info: Info,
    /// The server's time.
    ts: Option<String>,
}

async fn ask_partition(
    link: &Link,
    config: &Config,
    partition: Partition,
) -> Result<(InspectedPartition, Option<Clock>), LogError> {
    let stream = subject::stream(partition);
    let (answer, asked_at, answered_at) = until_answered("asking for a partition", || async {
        let asked_at = now();
        let answer = link.jetstream.request(format!("STREAM.INFO.{stream}"), &()).await;
        match answer.map_err(|error| Miss::Retry(Cause::of(&error)))? {
            Response::Ok::<Answer>(answer) => Ok((Some(answer), asked_at, now())),
            Response::Err { error } if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok((None, asked_at, now())),
            Response::Err { error } => Err(Miss::Retry(Cause::of(&error))),
        }
    })
    .await?;
    let Some(Answer { info, ts }) = answer else {
        return Ok((InspectedPartition { partition, stream, found: None }, None));
    };
    let clock = ts.and_then(|ts| parse_rfc3339(&ts).ok()).map(|time| Clock {
        server_time: unix_millis(time),
        asked_at,
        answered_at,
    });
    let found = Some(facts(&info, settings::unfit(config, partition, &info.config)));
    Ok((InspectedPartition { partition, stream, found }, clock))
}

fn facts(info: &Info, unfit: Option<LogError>) -> StreamFacts {
    let cluster = info.cluster.as_ref();
    StreamFacts {
        replicas: info.config.num_replicas,
        leader: cluster.and_then(|cluster| cluster.leader.clone()),
        servers_away: cluster
            .iter()
            .flat_map(|cluster| &cluster.replicas)
            .filter(|replica| replica.offline || !replica.current)
            .map(|replica| replica.name.clone())
            .collect(),
        last_seq: Seq::new(info.state.last_sequence),
        messages: info.state.messages,
        bytes: info.state.bytes,
        max_bytes: u64::try_from(info.config.max_bytes).ok().filter(|max_bytes| *max_bytes > 0),
        is_fenced: advance::fence_of(&info.config).is_some(),
        unfit: unfit.map(|error| error.to_string()),
    }
}

fn now() -> UnixMillis {
    unix_millis(SystemTime::now().into())
}
