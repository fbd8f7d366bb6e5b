//! A file whose process can be ended abruptly and started again, while the handles to it live on.
//!
//! What would be a process is a runtime here: when it is dropped, the writer ends wherever it stands, as it does when a
//! process is killed. (Real processes are killed in the end-to-end tests.)

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use huddle_domain::{Event, NewEvent, Partition, Partitions, Seq, TeamId};
use huddle_embedded::{Config, Embedded, OpenError};
use huddle_log::{Condition, LiveFeed, LiveItem, Log, LogError, Pending, PublishError, Reader, StoredFeed, StoredMark};
use tempfile::TempDir;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    time::{sleep, timeout},
};

/// How long what still uses the ended instance may keep the file.
const REOPEN_WAIT_MAX: Duration = Duration::from_secs(10);
const REOPEN_RETRY: Duration = Duration::from_millis(5);

/// The file and its present process.
#[derive(Debug)]
pub(crate) struct Restartable {
    config: Mutex<Config>,
    partitions: Partitions,
    present: watch::Sender<Option<Arc<Embedded>>>,
    runtime: Mutex<Option<Runtime>>,
    _directory: TempDir,
}

impl Restartable {
    pub(crate) async fn start(partitions: Partitions, change: impl FnOnce(&mut Config)) -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut config =
            Config { directory: directory.path().join("data"), partitions: partitions.count(), ..Config::default() };
        change(&mut config);
        let this = Self {
            config: Mutex::new(config),
            partitions,
            present: watch::Sender::new(None),
            runtime: Mutex::default(),
            _directory: directory,
        };
        this.open().await;
        Arc::new(this)
    }

    /// Starts it again with other settings.
    pub(crate) async fn restart_with(&self, change: impl FnOnce(&mut Config)) {
        self.kill();
        change(&mut self.config.lock().unwrap());
        self.open().await;
    }

    pub(crate) fn present(&self) -> Option<Arc<Embedded>> {
        self.present.borrow().clone()
    }

    /// Ends the writer wherever it stands, and opens the file again.
    pub(crate) async fn kill_and_restart(&self) {
        self.kill();
        self.open().await;
    }

    pub(crate) fn kill(&self) {
        self.present.send_replace(None);
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            runtime.shutdown_background();
        }
    }

    pub(crate) async fn open(&self) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let attempt = async {
            loop {
                let config = self.config.lock().unwrap().clone();
                match runtime.spawn(async move { Embedded::open(&config).await }).await.unwrap() {
                    Err(OpenError::InUse { .. }) => sleep(REOPEN_RETRY).await,
                    outcome => return outcome.unwrap(),
                }
            }
        };
        let opened = timeout(REOPEN_WAIT_MAX, attempt).await.unwrap();
        *self.runtime.lock().unwrap() = Some(runtime);
        self.present.send_replace(Some(opened));
    }

    async fn subscribe_again(self: Arc<Self>, team: TeamId) -> LiveFeed {
        let mut present = self.present.subscribe();
        loop {
            let embedded = present.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            match embedded.subscribe(&team).await {
                Ok(feed) => return feed,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    }
}

impl Drop for Restartable {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A handle that lives on.
#[derive(Debug)]
pub(crate) struct Handle(pub(crate) Arc<Restartable>);

fn ended() -> Box<dyn std::error::Error + Send + Sync> {
    "the process has ended".into()
}

impl Handle {
    fn present(&self) -> Result<Arc<Embedded>, LogError> {
        self.0.present().ok_or_else(|| LogError::Unavailable { context: "reaching the file", source: ended() })
    }
}

#[async_trait]
impl Log for Handle {
    fn partitions(&self) -> Partitions {
        self.0.partitions
    }

    fn duplicate_window(&self) -> Option<Duration> {
        None
    }

    async fn prepare(&self, partition: Partition, highest_stored: Seq) -> Result<(), LogError> {
        self.present()?.prepare(partition, highest_stored).await
    }

    async fn advance(&self, partition: Partition, stored: Seq, above: Seq) -> Result<Seq, LogError> {
        self.present()?.advance(partition, stored, above).await
    }

    async fn check(&self) -> Result<(), LogError> {
        Log::check(&*self.present()?).await
    }

    async fn publish(&self, event: NewEvent, condition: Condition) -> Result<Pending, PublishError> {
        match self.present() {
            Ok(embedded) => embedded.publish(event, condition).await,
            Err(error) => {
                // A caller that tries again at once would leave no time for the restart.
                sleep(REOPEN_RETRY).await;
                Err(PublishError::Unavailable { source: error.into() })
            }
        }
    }

    async fn subscribe(&self, team: &TeamId) -> Result<LiveFeed, LogError> {
        let feed = self.present()?.subscribe(team).await?;
        let (this, team) = (Arc::clone(&self.0), team.clone());
        Ok(stream::unfold(feed, move |mut feed| {
            let (this, team) = (Arc::clone(&this), team.clone());
            async move {
                match feed.next().await {
                    Some(item) => Some((item, feed)),
                    None => Some((LiveItem::Interrupted, this.subscribe_again(team).await)),
                }
            }
        })
        .boxed())
    }

    async fn read(&self, partition: Partition, after: Seq) -> Result<Reader, LogError> {
        let embedded = match self.present() {
            Ok(embedded) => embedded,
            Err(error) => {
                sleep(REOPEN_RETRY).await;
                return Err(error);
            }
        };
        let reader = embedded.read(partition, after).await?;
        let end = stream::once(async { Err(LogError::Unavailable { context: "reading", source: ended() }) });
        Ok(reader.chain(end).boxed())
    }

    async fn last_seq(&self, team: &TeamId) -> Result<Option<Seq>, LogError> {
        self.present()?.last_seq(team).await
    }

    async fn events_between(
        &self,
        team: &TeamId,
        after: Seq,
        through: Seq,
    ) -> Result<Option<Vec<Arc<Event>>>, LogError> {
        self.present()?.events_between(team, after, through).await
    }

    async fn announce_stored(&self, mark: StoredMark) -> Result<(), LogError> {
        self.present()?.announce_stored(mark).await
    }

    async fn stored_marks(&self) -> Result<StoredFeed, LogError> {
        self.present()?.stored_marks().await
    }
}
