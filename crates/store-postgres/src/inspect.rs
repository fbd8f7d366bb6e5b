//! Looks at the server and the tables without changing anything: what an operator's check-up reports.

use std::{
    collections::HashMap,
    future::Future,
    time::{SystemTime, UNIX_EPOCH},
};

use huddle_domain::{Partition, Partitions, Seq, UnixMillis};
use huddle_store::{LogGap, RecordedGap, StoreError, backend::from_bigint};
use sqlx::{Connection as _, PgConnection};

use crate::{
    Config,
    connect::Connector,
    error::store_error,
    partition::{HOLDER_SILENCE_MAX, LOCK_CLASS, milliseconds},
    schema,
};

const CONTEXT: &str = "inspecting the database";

/// Gaps of the log that are listed one by one.
pub const GAPS_LISTED_MAX: u32 = 10;

/// What [`inspect`] has found. Holds no user names, no passwords, and nothing that people wrote.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The server's version, as in `18.1`.
    pub version: String,
    /// Whether the server only follows another one, and cannot be written.
    pub is_standby: bool,
    /// What decides whether a commit survives.
    pub settings: Settings,
    /// How many sessions there are, and how many there may be.
    pub connections: Connections,
    /// The server's clock.
    pub clock: Clock,
    /// The schema's version; `None` when there is no schema.
    pub schema: Option<i64>,
    /// The newest schema that this version knows.
    pub schema_known: i64,
    /// What the tables say; `None` unless the schema is the one that this version knows.
    pub contents: Option<Contents>,
}

/// What decides whether a commit survives, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `on` or `off`.
    pub fsync: String,
    /// `on` or `off`.
    pub full_page_writes: String,
    /// `on`, `off`, `local`, `remote_write` or `remote_apply`. Writers turn `off` into `on` for themselves.
    pub synchronous_commit: String,
}

/// The server's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// How many there are, this one included.
    pub used: u32,
    /// How many there may be, without those that are reserved for superusers.
    pub max: u32,
}

/// One look at the server's clock. It was read between `asked_at` and `answered_at`, which are this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The server's time.
    pub server_time: UnixMillis,
    /// This machine's time before the question.
    pub asked_at: UnixMillis,
    /// This machine's time after the answer.
    pub answered_at: UnixMillis,
}

/// What the tables say.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Every partition, ascending.
    pub partitions: Vec<InspectedPartition>,
    /// How many dead letters there are for each reason, by the reason's name.
    pub dead_letters: Vec<(String, u64)>,
    /// How many gaps of the log are on record.
    pub gap_count: u64,
    /// The newest of them, newest first: at most [`GAPS_LISTED_MAX`].
    pub gaps: Vec<RecordedGap>,
}

/// A partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InspectedPartition {
    /// Which.
    pub partition: Partition,
    /// How far it is stored; `None` when it never had an owner.
    pub stored: Option<Seq>,
    /// Who carries it into the store.
    pub owner: Owner,
}

/// Who has a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Nobody.
    Nobody,
    /// A session that works, or has talked to the server lately.
    Alive,
    /// A session that has said nothing for so long that another one may take the partition.
    Silent,
}

/// Looks at the server and at all of `partitions`. Takes one connection, and as long as connecting and eleven statements
/// may.
///
/// # Errors
/// [`StoreError::Unavailable`] when the server cannot be reached, [`StoreError::Unsuitable`] when it refuses the user,
/// the database does not exist, or the server is too old. A schema that is missing or another one is no error here.
pub async fn inspect(config: &Config, partitions: Partitions) -> Result<Inspection, StoreError> {
    let connector = Connector::new(config)?;
    let mut connection = connector.connect("huddle doctor", CONTEXT).await?;
    let looker = Looker { connector: &connector };
    let inspection = looker.look(&mut connection, partitions).await;
    // Nothing was written that could be lost.
    let _ = connection.close().await;
    inspection
}

struct Looker<'c> {
    connector: &'c Connector,
}

impl Looker<'_> {
    async fn look(&self, connection: &mut PgConnection, partitions: Partitions) -> Result<Inspection, StoreError> {
        const SERVER: &str = "
            SELECT current_setting('server_version'), pg_is_in_recovery(), current_setting('fsync'),
                   current_setting('full_page_writes'), current_setting('synchronous_commit')";
        let (version, is_standby, fsync, full_page_writes, synchronous_commit) = self
            .one(sqlx::query_as::<_, (String, bool, String, String, String)>(SERVER).fetch_one(&mut *connection))
            .await?;
        let connections = self.connections(connection).await?;
        let clock = self.clock(connection).await?;
        let schema = self.schema(connection).await?;
        let schema_known = schema::newest_known();
        let contents =
            if schema == Some(schema_known) { Some(self.contents(connection, partitions).await?) } else { None };
        let settings = Settings { fsync, full_page_writes, synchronous_commit };
        Ok(Inspection { version, is_standby, settings, connections, clock, schema, schema_known, contents })
    }

    async fn connections(&self, connection: &mut PgConnection) -> Result<Connections, StoreError> {
        const CONNECTIONS: &str = "
            SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
                   (SELECT sum(CASE name WHEN 'max_connections' THEN setting::bigint ELSE -setting::bigint END)::bigint
                    FROM pg_settings
                    WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections'))";
        let counts = sqlx::query_as::<_, (i64, i64)>(CONNECTIONS).fetch_one(connection);
        let (used, max) = self.one(counts).await?;
        let count = |count: i64| u32::try_from(count).unwrap_or(0);
        Ok(Connections { used: count(used), max: count(max) })
    }

    async fn clock(&self, connection: &mut PgConnection) -> Result<Clock, StoreError> {
        const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let asked_at = now();
        let server_time = self.one(sqlx::query_scalar::<_, i64>(CLOCK).fetch_one(connection)).await?;
        Ok(Clock { server_time: UnixMillis(server_time), asked_at, answered_at: now() })
    }

    /// The newest migration; `None` when there is no table of migrations, or nothing in it.
    async fn schema(&self, connection: &mut PgConnection) -> Result<Option<i64>, StoreError> {
        const IS_THERE: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
        if !self.one(sqlx::query_scalar::<_, bool>(IS_THERE).fetch_one(&mut *connection)).await? {
            return Ok(None);
        }
        self.one(sqlx::query_scalar::<_, Option<i64>>(schema::NEWEST_APPLIED).fetch_one(connection)).await
    }

    async fn contents(&self, connection: &mut PgConnection, partitions: Partitions) -> Result<Contents, StoreError> {
        const PROGRESS: &str = "SELECT partition, seq FROM log_progress";
        const DEAD_LETTERS: &str = "SELECT reason, count(*) FROM dead_letters GROUP BY reason ORDER BY reason";
        // Silence as the next one who wants the partition would judge it.
        const OWNERS: &str = "
            SELECT holder.objid::bigint,
                   coalesce(
                       starts_with(activity.state, 'idle')
                       AND clock_timestamp() - activity.state_change > $2 * interval '1 millisecond',
                       false)
            FROM pg_locks AS holder
            LEFT JOIN pg_stat_activity AS activity USING (pid)
            WHERE holder.locktype = 'advisory'
              AND holder.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND holder.classid = $1::integer::oid
              AND holder.objsubid = 2
              AND holder.granted";
        let progress = sqlx::query_as::<_, (i32, i64)>(PROGRESS).fetch_all(&mut *connection);
        let progress: HashMap<i32, i64> = self.one(progress).await?.into_iter().collect();
        let owners = sqlx::query_as::<_, (i64, bool)>(OWNERS)
            .bind(LOCK_CLASS)
            .bind(milliseconds(HOLDER_SILENCE_MAX))
            .fetch_all(&mut *connection);
        let owners: HashMap<i64, bool> = self.one(owners).await?.into_iter().collect();
        let dead_letters = sqlx::query_as::<_, (String, i64)>(DEAD_LETTERS).fetch_all(&mut *connection);
        let dead_letters = self.one(dead_letters).await?;
        let (gap_count, gaps) = self.gaps(connection).await?;
        let partitions = partitions.iter().map(|partition| InspectedPartition {
            partition,
            stored: progress.get(&i32::from(partition.number())).copied().map(from_bigint),
            owner: match owners.get(&i64::from(partition.number())) {
                None => Owner::Nobody,
                Some(false) => Owner::Alive,
                Some(true) => Owner::Silent,
            },
        });
        Ok(Contents {
            partitions: partitions.collect(),
            dead_letters: dead_letters.into_iter().map(|(reason, count)| (reason, from_bigint(count).get())).collect(),
            gap_count,
            gaps,
        })
    }

    /// How many gaps are on record, and the newest of them.
    async fn gaps(&self, connection: &mut PgConnection) -> Result<(u64, Vec<RecordedGap>), StoreError> {
        const GAPS: &str = "
            SELECT partition, after_seq, before_seq, (extract(epoch FROM found_at) * 1000)::bigint
            FROM log_gaps ORDER BY found_at DESC, partition, after_seq DESC LIMIT $1";
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM log_gaps").fetch_one(&mut *connection);
        let count = self.one(count).await?;
        let rows = sqlx::query_as::<_, (i32, i64, i64, i64)>(GAPS).bind(i64::from(GAPS_LISTED_MAX));
        let rows = self.one(rows.fetch_all(connection)).await?;
        let gap = |(partition, after, before, found_at)| RecordedGap {
            // A number that no partition has is that of none that there is.
            partition: Partition::new(u16::try_from(partition).unwrap_or(u16::MAX)),
            gap: LogGap { after: from_bigint(after), before: from_bigint(before) },
            found_at: UnixMillis(found_at),
        };
        Ok((from_bigint(count).get(), rows.into_iter().map(gap).collect()))
    }

    /// One statement, bounded.
    async fn one<T>(&self, statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
        let statement = async { statement.await.map_err(|error| store_error(CONTEXT, error)) };
        self.connector.bounded(1, CONTEXT, statement).await
    }
}

fn now() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
