//! A real Postgres, and a database in it for one test.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use huddle_devstack::{Postgres, PostgresOptions, Tools};
use huddle_domain::{Partition, Seq, TeamId, UnixMillis};
use huddle_service::config::Secret;
use huddle_store::{
    DeadLetter, DeadLetterReason,
    conformance::{Fixture, Store},
};
use huddle_store_postgres::{Config, PostgresStore, migrate};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A migrated database on a server of its own.
#[derive(Debug)]
pub struct Database {
    pub server: Postgres,
    pub config: Config,
}

impl Database {
    /// A database without a schema.
    pub async fn empty() -> Self {
        let tools = Tools::locate().unwrap();
        let server = Postgres::start(&tools, PostgresOptions::for_tests()).await.unwrap();
        let url = server.create_database("huddle_test").await.unwrap();
        let config = Config { url: Secret::new(url), max_connections: 4, ..Config::default() };
        Self { server, config }
    }

    /// A database with this version's schema.
    pub async fn migrated() -> Self {
        let database = Self::empty().await;
        migrate(&database.config).await.unwrap();
        database
    }

    pub async fn store(&self) -> PostgresStore {
        PostgresStore::connect(&self.config).await.unwrap()
    }

    /// A connection outside of the store, to look and to meddle.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(self.config.url.expose()).await.unwrap()
    }

    pub async fn execute(&self, sql: &str) {
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
}

fn reason_of(name: &str) -> DeadLetterReason {
    use DeadLetterReason::{LateDuplicate, Refused, SeqTaken, Undecodable};
    let all = [Undecodable, LateDuplicate, SeqTaken, Refused];
    all.into_iter().find(|reason| reason.as_str() == name).unwrap()
}

/// Waits until `condition` holds.
pub async fn eventually(within: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, wait).await.expect("the condition comes true in time");
}
