//! Instances to export from and to import into.

use std::{fmt, path::Path, sync::Arc};

use huddle_devstack::{Nats, NatsOptions, Postgres, PostgresOptions, Tools};
use huddle_domain::{Event, Partition, Seq, TeamId, UnixMillis};
use huddle_embedded::Embedded;
use huddle_log::Log;
use huddle_log_nats::NatsLog;
use huddle_service::config::{ByteCount, Secret};
use huddle_store::{DirectoryStore, EventStore, Member, PartitionStore, Team};
use huddle_store_postgres::PostgresStore;
use huddle_transfer::{
    ExportError, ExportOptions, Exported, ImportError, ImportReport, Source, Target, export_to_file, import,
};
use tempfile::TempDir;

use crate::samples::Memory;

/// An instance. What it runs ends with it.
pub(crate) struct Instance {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) partitions: Arc<dyn PartitionStore>,
    pub(crate) events: Arc<dyn EventStore>,
    directory: Arc<dyn DirectoryStore>,
    _embedded: Option<TempDir>,
    pub(crate) cluster: Option<Cluster>,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("log", &self.log).finish_non_exhaustive()
    }
}

pub(crate) struct Cluster {
    _nats: Nats,
    _postgres: Postgres,
    pub(crate) store_config: huddle_store_postgres::Config,
}

impl Instance {
    /// One file, with nothing in it.
    pub(crate) async fn embedded(partitions: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config =
            huddle_embedded::Config { directory: directory.path().to_owned(), partitions, ..Default::default() };
        let embedded = Embedded::open(&config).await.unwrap();
        Self {
            log: Arc::clone(&embedded) as Arc<dyn Log>,
            partitions: Arc::clone(&embedded) as Arc<dyn PartitionStore>,
            events: Arc::clone(&embedded) as Arc<dyn EventStore>,
            directory: embedded,
            _embedded: Some(directory),
            cluster: None,
        }
        .prepared()
        .await
    }

    /// NATS and Postgres, with nothing in them.
    pub(crate) async fn cluster(partitions: u16) -> Self {
        Self::cluster_without_log(partitions).await.prepared().await
    }

    /// NATS and Postgres, with nothing in them: the log's partitions do not exist.
    pub(crate) async fn cluster_without_log(partitions: u16) -> Self {
        let tools = Tools::locate().unwrap();
        let (nats, postgres) = tokio::try_join!(
            Nats::start(&tools, NatsOptions::default()),
            Postgres::start(&tools, PostgresOptions::for_tests())
        )
        .unwrap();
        let url = postgres.create_database("huddle_test").await.unwrap();
        let store_config = huddle_store_postgres::Config { url: Secret::new(url), ..Default::default() };
        huddle_store_postgres::migrate(&store_config).await.unwrap();
        let store = Arc::new(PostgresStore::connect(&store_config).await.unwrap());
        let log_config = huddle_log_nats::Config {
            servers: nats.urls(),
            partitions,
            max_bytes: ByteCount::mebibytes(64),
            ..Default::default()
        };
        Self {
            log: Arc::new(NatsLog::connect(log_config).await.unwrap()),
            partitions: Arc::clone(&store) as Arc<dyn PartitionStore>,
            events: Arc::clone(&store) as Arc<dyn EventStore>,
            directory: store,
            _embedded: None,
            cluster: Some(Cluster { _nats: nats, _postgres: postgres, store_config }),
        }
    }

    async fn prepared(self) -> Self {
        for partition in self.log.partitions().iter() {
            self.log.prepare(partition, Seq::ZERO).await.unwrap();
        }
        self
    }

    /// One file that holds `teams`.
    pub(crate) async fn embedded_with(teams: &[Vec<Event>]) -> Self {
        let instance = Self::embedded(1).await;
        instance.import(&mut Memory::new(teams, 1_000)).await.unwrap();
        instance
    }

    pub(crate) fn target(&self) -> Target<'_> {
        Target { log: &*self.log, partitions: &*self.partitions, events: &*self.events }
    }

    pub(crate) async fn import(&self, source: &mut dyn Source) -> Result<ImportReport, ImportError> {
        import(source, &self.target(), &mut ()).await
    }

    pub(crate) async fn export(&self, file: &Path) -> Result<Exported, ExportError> {
        self.export_teams(None, file).await
    }

    pub(crate) async fn export_teams(&self, teams: Option<Vec<TeamId>>, file: &Path) -> Result<Exported, ExportError> {
        let options = ExportOptions { teams, program: "the tests".to_owned(), created: UnixMillis(1) };
        export_to_file(&*self.events, &options, file, &mut ()).await
    }

    /// All events of `team`.
    pub(crate) async fn events(&self, team: &TeamId) -> Vec<Event> {
        self.events.list_events(team, Seq::ZERO, 100_000, None).await.unwrap().items
    }

    /// What the directory says of `team`.
    pub(crate) async fn team(&self, team: &TeamId) -> (Option<Team>, Vec<Member>) {
        let members = self.directory.list_members(team, None, 1_000).await.unwrap().items;
        (self.directory.team(team, None).await.unwrap(), members)
    }

    /// How far the partition of `team` is stored.
    pub(crate) async fn stored(&self, team: &TeamId) -> Seq {
        self.partitions.progress(self.partition(team)).await.unwrap()
    }

    pub(crate) fn partition(&self, team: &TeamId) -> Partition {
        self.log.partitions().of(team)
    }
}
