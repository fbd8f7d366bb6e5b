//! What the suite needs of the thing under test.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use huddle_domain::Partition;

use crate::{DeadLetter, DirectoryStore, EventStore, LogGap, PartitionStore, PartitionWriter};

/// How long a claim may take to be free after its writer is gone.
const CLAIM_WAIT_MAX: Duration = Duration::from_secs(10);

const CLAIM_RETRY: Duration = Duration::from_millis(10);

/// All of a store's sides.
pub trait Store: PartitionStore + EventStore + DirectoryStore {}

impl<T: PartitionStore + EventStore + DirectoryStore> Store for T {}

/// A real store with nothing in it, for one test.
#[async_trait]
pub trait Fixture: Sized + Send + Sync {
    /// Starts it.
    async fn start() -> Self;

    /// Opens the store as another process would, where the implementation allows several: nothing is shared then with
    /// what was opened before.
    async fn open(&self) -> Arc<dyn Store>;

    /// Makes the store refuse every message with exactly this body, from now on and by its own means (a constraint, a
    /// trigger).
    async fn refuse_body(&self, body: &str);

    /// Reads the dead letters of `partition`, ascending.
    async fn dead_letters(&self, partition: Partition) -> Vec<DeadLetter>;

    /// Reads the gaps of `partition` that are on record, ascending.
    async fn gaps(&self, partition: Partition) -> Vec<LogGap>;
}

/// Claims `partition`, which is about to be free.
pub(super) async fn claim(store: &dyn Store, partition: Partition) -> Box<dyn PartitionWriter> {
    let attempt = async {
        loop {
            if let Some(writer) = store.claim(partition).await.expect("the store answers") {
                return writer;
            }
            tokio::time::sleep(CLAIM_RETRY).await;
        }
    };
    tokio::time::timeout(CLAIM_WAIT_MAX, attempt).await.expect("the partition becomes free")
}
