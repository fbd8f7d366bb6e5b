//! The section `persistence` of the configuration.

use huddle_service::config::ByteCount;
use serde::{Deserialize, Serialize};

/// What one transaction of the store may hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Entries in one batch, at least 1. Larger batches catch up faster and take longer to be seen as stored.
    /// Default: 2000.
    pub batch_entries_max: usize,
    /// Bytes of texts and payloads in one batch; the entry that reaches it is the batch's last. Default: "8MiB".
    pub batch_bytes_max: ByteCount,
}

impl Default for Config {
    fn default() -> Self {
        Self { batch_entries_max: 2_000, batch_bytes_max: ByteCount::mebibytes(8) }
    }
}
