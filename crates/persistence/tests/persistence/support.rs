//! Real backends, replicas of persistence between them, and a publisher that does not give up.

use std::{path::Path, sync::Arc, time::Duration};

use huddle_devstack::{Nats, NatsOptions, Postgres, PostgresOptions, Tools};
use huddle_domain::{Body, ClientId, Event, EventKind, NewEvent, Partition, Seq, TeamId, UserId};
use huddle_log::{Condition, Log, PublishError};
use huddle_log_nats::NatsLog;
use huddle_persistence::{Config, Parts, Persistence};
use huddle_service::{config::Secret, health::Readiness, lifecycle::Shutdown, metrics::Metrics};
use huddle_store::{EventStore, PartitionStore};
use huddle_store_postgres::PostgresStore;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    task::JoinHandle,
    time::timeout,
};

pub(crate) const P0: Partition = Partition::new(0);

/// How long anything may take that is not itself measured.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

const DATABASE: &str = "huddle_test";

pub(crate) struct Stack {
    pub(crate) tools: Tools,
    pub(crate) nats: Nats,
    pub(crate) postgres: Postgres,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        let tools = Tools::locate().unwrap();
        let nats = Nats::start(&tools, NatsOptions::default());
        let postgres = Postgres::start(&tools, PostgresOptions::for_tests());
        let (nats, postgres) = tokio::try_join!(nats, postgres).unwrap();
        postgres.create_database(DATABASE).await.unwrap();
        let stack = Self { tools, nats, postgres };
        huddle_store_postgres::migrate(&stack.store_config()).await.unwrap();
        stack
    }

    pub(crate) async fn log(&self) -> Arc<NatsLog> {
        let config = huddle_log_nats::Config { servers: self.nats.urls(), ..huddle_log_nats::Config::default() };
        Arc::new(NatsLog::connect(config).await.unwrap())
    }

    pub(crate) fn store(&self) -> Arc<PostgresStore> {
        Arc::new(PostgresStore::new(&self.store_config()).unwrap())
    }

    /// Starts persistence with connections of its own, as a process of its own would.
    pub(crate) async fn replica(&self) -> Replica {
        Replica::start(self.log().await, &self.store_config())
    }

    /// Ends the sessions of all owners, as a failing network does.
    pub(crate) async fn cut_owners(&self) {
        const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name LIKE 'huddle partition %'";
        self.sql(CUT).await;
    }

    /// What Postgres answers to these statements: a line for each row, with `|` between columns.
    pub(crate) async fn sql(&self, statements: &str) -> String {
        let output = self.psql(statements).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A session that does `statements`.
    pub(crate) fn psql(&self, statements: &str) -> Command {
        let mut psql = Command::new(self.tools.postgres_bin().unwrap().join("psql"));
        psql.arg(self.postgres.url_of(DATABASE)).args(["-qAt", "-v", "ON_ERROR_STOP=1", "-c", statements]);
        psql.kill_on_drop(true);
        psql
    }

    /// The gaps on record: a line for each, `after|before`.
    pub(crate) async fn gaps(&self) -> String {
        self.sql("SELECT after_seq, before_seq FROM log_gaps WHERE partition = 0 ORDER BY 1, 2").await
    }

    pub(crate) async fn dead_letter_count(&self) -> String {
        self.sql("SELECT count(*) FROM dead_letters").await
    }

    /// Puts bytes into the log that no version of Huddle would.
    pub(crate) async fn append_raw(&self, team: &TeamId, payload: &[u8]) {
        self.publish_raw(&format!("huddle.log.0.{team}"), payload).await;
    }

    /// Takes everything up to `seq` out of the log, as time does.
    pub(crate) async fn forget(&self, seq: Seq) {
        let request = format!("{{\"seq\": {}}}", seq.next());
        self.publish_raw("$JS.API.STREAM.PURGE.HUDDLE_LOG_0", request.as_bytes()).await;
    }

    async fn publish_raw(&self, subject: &str, payload: &[u8]) {
        let url = self.nats.url();
        let address = Path::new(&url).file_name().unwrap().to_str().unwrap().to_owned();
        let mut socket = TcpStream::connect(address).await.unwrap();
        let header = format!("CONNECT {{\"verbose\":false}}\r\nPUB {subject} {}\r\n", payload.len());
        socket.write_all(&[header.as_bytes(), payload, b"\r\nPING\r\n"].concat()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"PONG\r\n") {
            assert!(socket.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
        }
    }

    pub(crate) fn store_config(&self) -> huddle_store_postgres::Config {
        let url = Secret::new(self.postgres.url_of(DATABASE));
        huddle_store_postgres::Config { url, max_connections: 4, ..huddle_store_postgres::Config::default() }
    }
}

/// One running persistence service.
pub(crate) struct Replica {
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Replica {
    /// Starts persistence between `log` and a store with this configuration.
    pub(crate) fn start(log: Arc<dyn Log>, store: &huddle_store_postgres::Config) -> Self {
        let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
        let readiness = Readiness::new(shutdown.clone());
        let parts = Parts {
            config: Config::default(),
            log,
            store: Arc::new(PostgresStore::new(store).unwrap()),
            metrics: &metrics,
            readiness: &readiness,
        };
        let persistence = Persistence::new(parts);
        let running = shutdown.clone();
        let task = tokio::spawn(async move { persistence.run(running).await.unwrap() });
        Self { metrics, readiness, shutdown, task }
    }

    pub(crate) fn owns(&self) -> bool {
        self.metric("huddle_persistence_owned{partition=\"0\"}") == 1
    }

    /// The value of the metric; 0 while it was never set.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Stops it in good order.
    pub(crate) async fn stop(self) {
        self.shutdown.request();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    /// Ends it wherever it stands: its connections just close.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

pub(crate) fn team(id: &str) -> TeamId {
    TeamId::parse(id).unwrap()
}

pub(crate) fn message(team: &TeamId, number: u64) -> NewEvent {
    NewEvent {
        team: team.clone(),
        sender: UserId::parse("ann").unwrap(),
        client_id: ClientId::parse(&format!("c{number}")).unwrap(),
        kind: EventKind::posted(Body::parse(&format!("message {number}")).unwrap()),
    }
}

/// Publishes `count` messages of `team`, numbered from `first`, and returns them with their positions. What is in doubt
/// is published again.
pub(crate) async fn publish(log: &dyn Log, team: &TeamId, first: u64, count: u64) -> Vec<(Seq, NewEvent)> {
    const AT_ONCE: u64 = 100;
    let mut published = Vec::new();
    let mut next = first;
    while next < first + count {
        let end = (next + AT_ONCE).min(first + count);
        let mut pending = Vec::new();
        for number in next..end {
            let event = message(team, number);
            pending.push((event.clone(), log.publish(event, Condition::None).await));
        }
        for (event, outcome) in pending {
            let outcome = match outcome {
                Ok(pending) => pending.await,
                Err(error) => Err(error),
            };
            let seq = match outcome {
                Ok(outcome) => outcome.seq,
                Err(_) => publish_in_the_end(log, &event).await,
            };
            published.push((seq, event));
        }
        next = end;
    }
    published.sort_unstable_by_key(|(seq, _)| *seq);
    published
}

async fn publish_in_the_end(log: &dyn Log, event: &NewEvent) -> Seq {
    let attempts = async {
        loop {
            let outcome = match log.publish(event.clone(), Condition::None).await {
                Ok(pending) => pending.await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(published) => return published.seq,
                Err(PublishError::Unavailable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, attempts).await.unwrap()
}

/// Reads all stored events of `team`.
pub(crate) async fn stored(store: &PostgresStore, team: &TeamId) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let cursor = events.last().map_or(Seq::ZERO, |event| event.seq);
        let page = store.list_events(team, cursor, 1_000, None).await.unwrap();
        events.extend(page.items);
        if !page.has_more {
            return events;
        }
    }
}

/// Each published event is stored once, at its position, and nothing else is.
pub(crate) fn assert_exactly_once(stored: &[Event], published: &[(Seq, NewEvent)]) {
    assert_eq!(stored.len(), published.len());
    let mut prev_seq = Seq::ZERO;
    for (event, (seq, new)) in stored.iter().zip(published) {
        assert_eq!(*event, new.clone().at(*seq, prev_seq, event.time));
        prev_seq = *seq;
    }
}

/// Waits until everything up to `seq` is stored.
pub(crate) async fn stored_up_to(store: &PostgresStore, seq: Seq) {
    eventually(PATIENCE, async || store.progress(P0).await.is_ok_and(|progress| progress >= seq)).await;
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(within: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(within, wait).await.expect("the condition comes true in time");
}
