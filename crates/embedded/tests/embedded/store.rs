//! The store's suite on the file.

use std::sync::Arc;

use async_trait::async_trait;
use huddle_domain::{Partition, Seq, TeamId, UnixMillis};
use huddle_embedded::{Config, Embedded};
use huddle_store::{
    DeadLetter, DeadLetterReason, LogGap,
    conformance::{Fixture, Store},
    store_conformance,
};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tempfile::TempDir;

/// As many as the suite uses.
const PARTITIONS: u16 = 4;

struct File {
    directory: TempDir,
    embedded: Arc<Embedded>,
}

impl File {
    /// A connection outside of the store, to look and to meddle.
    async fn connection(&self) -> SqliteConnection {
        let path = self.directory.path().join("huddle.db");
        SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap()
    }
}

#[async_trait]
impl Fixture for File {
    async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let config = Config { directory: directory.path().to_owned(), partitions: PARTITIONS, ..Config::default() };
        Self { embedded: Embedded::open(&config).await.unwrap(), directory }
    }

    /// One process has the file: everyone shares its handle.
    async fn open(&self) -> Arc<dyn Store> {
        Arc::clone(&self.embedded) as Arc<dyn Store>
    }

    async fn refuse_body(&self, body: &str) {
        let body = body.replace('\'', "''");
        let trigger = format!(
            "CREATE TRIGGER refuse_body BEFORE INSERT ON events WHEN NEW.body = '{body}'
             BEGIN SELECT RAISE(ABORT, 'a rule of this test'); END"
        );
        sqlx::raw_sql(AssertSqlSafe(trigger)).execute(&mut self.connection().await).await.unwrap();
    }

    async fn dead_letters(&self, partition: Partition) -> Vec<DeadLetter> {
        const DEAD_LETTERS: &str = "
            SELECT seq, time_ms, team_id, reason, detail, payload
            FROM dead_letters WHERE partition = ?1 ORDER BY seq";
        let rows: Vec<(i64, i64, Option<String>, String, String, Vec<u8>)> = sqlx::query_as(DEAD_LETTERS)
            .bind(partition.number())
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
        const GAPS: &str =
            "SELECT after_seq, before_seq FROM log_gaps WHERE partition = ?1 AND found_at_ms > 0 ORDER BY 1, 2";
        let rows: Vec<(i64, i64)> =
            sqlx::query_as(GAPS).bind(partition.number()).fetch_all(&mut self.connection().await).await.unwrap();
        let seq = |seq| Seq::new(u64::try_from(seq).unwrap());
        rows.into_iter().map(|(after, before)| LogGap { after: seq(after), before: seq(before) }).collect()
    }
}

fn reason_of(name: &str) -> DeadLetterReason {
    use DeadLetterReason::{LateDuplicate, Refused, SeqTaken, Undecodable};
    let all = [Undecodable, LateDuplicate, SeqTaken, Refused];
    all.into_iter().find(|reason| reason.as_str() == name).unwrap()
}

store_conformance!(File);
