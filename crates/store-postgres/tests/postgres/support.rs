//! A real Postgres, and a database in it for one test.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use huddle_devstack::{Postgres, PostgresOptions, Tools};
use huddle_domain::{Body, ClientId, Event, EventKind, Partition, Seq, TeamId, UnixMillis, UserId};
use huddle_service::config::Secret;
use huddle_store::{
    Batch, BatchItem, DeadLetter, DeadLetterReason, EventStore as _, LogGap,
    conformance::{Fixture, Store},
};
use huddle_store_postgres::{Config, PostgresStore, migrate};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A migrated database on a server of its own.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) server: Postgres,
    pub(crate) config: Config,
}

impl Database {
    /// A database without a schema.
    pub(crate) async fn empty() -> Self {
        Self::started(PostgresOptions::for_tests()).await
    }

    /// A database with this version's schema, on a server with these parameters.
    pub(crate) async fn with_settings(settings: &[(&str, &str)]) -> Self {
        let mut options = PostgresOptions::for_tests();
        options.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let database = Self::started(options).await;
        migrate(&database.config).await.unwrap();
        database
    }

    async fn started(options: PostgresOptions) -> Self {
        let tools = Tools::locate().unwrap();
        let server = Postgres::start(&tools, options).await.unwrap();
        let url = server.create_database("huddle_test").await.unwrap();
        let config = Config { url: Secret::new(url), max_connections: 4, ..Config::default() };
        Self { server, config }
    }

    /// A database with this version's schema.
    pub(crate) async fn migrated() -> Self {
        let database = Self::empty().await;
        migrate(&database.config).await.unwrap();
        database
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        PostgresStore::connect(&self.config).await.unwrap()
    }

    /// A connection outside of the store, to look and to meddle.
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(self.config.url.expose()).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection().await).await.unwrap();
    }
}

#[async_trait]
impl Fixture for Database {
    async fn start() -> Self {
        Self::migrated().await
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    async fn refuse_body(&self, body: &str) {
        let body = body.replace('\'', "''");
        self.execute(&format!("ALTER TABLE events ADD CONSTRAINT refuse_body CHECK (body <> '{body}')")).await;
    }

    async fn dead_letters(&self, partition: Partition) -> Vec<DeadLetter> {
        const DEAD_LETTERS: &str = "
            SELECT seq, time_ms, team_id, reason, detail, payload
            FROM dead_letters WHERE partition = $1 ORDER BY seq";
        let rows: Vec<(i64, i64, Option<String>, String, String, Vec<u8>)> = sqlx::query_as(DEAD_LETTERS)
            .bind(i32::from(partition.number()))
            .fetch_all(&mut self.connection().await)
            .await
            .unwrap();
        rows.into_iter()
            .map(|(seq, time, team, reason, detail, payload)| DeadLetter {
                seq: Seq::new(u64::try_from(seq).unwrap()),
                time: UnixMillis(time),
                team: team.map(|id| TeamId::parse(&id).unwrap()),
                reason: reason_of(&reason),
                detail,
                payload,
            })
            .collect()
    }

    async fn gaps(&self, partition: Partition) -> Vec<LogGap> {
        const GAPS: &str = "
            SELECT after_seq, before_seq FROM log_gaps
            WHERE partition = $1 AND found_at <= clock_timestamp() ORDER BY 1, 2";
        let rows: Vec<(i64, i64)> = sqlx::query_as(GAPS)
            .bind(i32::from(partition.number()))
            .fetch_all(&mut self.connection().await)
            .await
            .unwrap();
        let seq = |seq| Seq::new(u64::try_from(seq).unwrap());
        rows.into_iter().map(|(after, before)| LogGap { after: seq(after), before: seq(before) }).collect()
    }
}

fn reason_of(name: &str) -> DeadLetterReason {
    use DeadLetterReason::{LateDuplicate, Refused, SeqTaken, Undecodable};
    let all = [Undecodable, LateDuplicate, SeqTaken, Refused];
    all.into_iter().find(|reason| reason.as_str() == name).unwrap()
}

pub(crate) const P0: Partition = Partition::new(0);

pub(crate) fn team(id: &str) -> TeamId {
    TeamId::parse(id).unwrap()
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

/// A message whose key and body follow from its position.
pub(crate) fn posted(team_id: &str, seq: u64) -> Event {
    Event {
        team: team(team_id),
        seq: Seq::new(seq),
        prev_seq: Seq::ZERO,
        time: UnixMillis(1_700_000_000_000),
        sender: UserId::parse("ann").unwrap(),
        client_id: ClientId::parse(&format!("c{seq}")).unwrap(),
        kind: EventKind::posted(Body::parse(&format!("message {seq}")).unwrap()),
    }
}

/// Messages of `team_id` at all of these positions, which ascend.
pub(crate) fn batch(team_id: &str, seqs: impl IntoIterator<Item = u64>) -> Batch {
    let items: Vec<BatchItem> = seqs.into_iter().map(|seq| BatchItem::Event(posted(team_id, seq))).collect();
    let through = items.last().map_or(Seq::ZERO, BatchItem::seq);
    Batch { items, through, ..Batch::default() }
}

/// The positions of all stored events of `team_id`.
pub(crate) async fn stored(store: &PostgresStore, team_id: &str) -> Vec<u64> {
    let page = store.list_events(&team(team_id), Seq::ZERO, 1_000_000, None).await.unwrap();
    page.items.iter().map(|event| event.seq.get()).collect()
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(within: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, wait).await.expect("the condition comes true in time");
}
