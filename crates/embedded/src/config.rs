//! What an operator can say about the embedded file.

use std::path::PathBuf;

use huddle_domain::{Partitions, PartitionsError};
use huddle_service::config::ByteCount;
use serde::{Deserialize, Serialize};

/// Where the file is and what it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The directory of the file and of what belongs to it. Not a setting: the command line says it.
    #[serde(skip)]
    pub directory: PathBuf,
    /// How many partitions a new file's log has: 1 to 1,024, fixed from then on. Default: 1.
    pub partitions: u16,
    /// How large the file may become; a full log refuses new events. At least 1 MiB; rounded down to whole pages of 4 KiB.
    /// Default: 64 GiB.
    pub max_bytes: ByteCount,
    /// Connections that reads share: 1 to 64. Each takes up to 2 MiB of memory for its cache. Default: 4.
    pub read_connections: u32,
}

/// Smallest file that is of any use.
const MAX_BYTES_MIN: ByteCount = ByteCount::mebibytes(1);
const READ_CONNECTIONS_MAX: u32 = 64;

impl Default for Config {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("huddle-data"),
            partitions: 1,
            max_bytes: ByteCount::mebibytes(64 * 1024),
            read_connections: 4,
        }
    }
}

/// A setting is out of its bounds. A retry does not help before it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `partitions` is out of bounds.
    #[error("`partitions` is {0}: {1}")]
    Partitions(u16, PartitionsError),
    /// `max_bytes` is too small.
    #[error("`max_bytes` is {0}: set it to {MAX_BYTES_MIN} or more")]
    MaxBytes(ByteCount),
    /// `read_connections` is out of bounds.
    #[error("`read_connections` is {0}: set it to between 1 and {READ_CONNECTIONS_MAX}")]
    ReadConnections(u32),
}

impl Config {
    /// Checks every setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        Partitions::new(self.partitions).map_err(|error| ConfigError::Partitions(self.partitions, error))?;
        if self.max_bytes < MAX_BYTES_MIN {
            return Err(ConfigError::MaxBytes(self.max_bytes));
        }
        if !(1..=READ_CONNECTIONS_MAX).contains(&self.read_connections) {
            return Err(ConfigError::ReadConnections(self.read_connections));
        }
        Ok(())
    }
}
