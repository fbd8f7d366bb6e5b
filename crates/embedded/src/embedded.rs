//! Owns the handles: the one that writes and the one that only reads.

use std::sync::Arc;

use crate::{
    Config, OpenError,
    claims::Claims,
    engine::{Engine, Positions, Writer},
    feeds::Feeds,
    file::{self, Opened, Writable},
    lock::Lock,
};

/// The log and the store in one file, held by this process alone until it is closed or dropped.
#[derive(Debug)]
pub struct Embedded {
    pub(crate) file: Opened,
    pub(crate) engine: Arc<Engine>,
    pub(crate) feeds: Feeds,
    pub(crate) claims: Claims,
}

/// The store in the file, for reading only, beside a process that may be writing it.
#[derive(Debug)]
pub struct ReadOnly {
    pub(crate) file: Opened,
}

impl Embedded {
    /// Takes the directory, makes file and schema where they are missing, and starts the task that writes. Must be called
    /// within a Tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`] says what to do. A file that this version cannot use is left as it is.
    pub async fn open(config: &Config) -> Result<Arc<Self>, OpenError> {
        config.validate()?;
        file::make_directory(&config.directory)?;
        let lock = Lock::take(&config.directory)?;
        let Writable { file, mut connection, options } = file::open(config).await?;
        let positions = Positions::read(&mut connection, file.partitions).await;
        let positions = positions.map_err(|error| OpenError::of_sqlite(&file.path, error))?;
        let feeds = Feeds::new(file.partitions, &positions);
        let writer = Writer::new(connection, options, file.partitions, positions, feeds.clone(), lock);
        let engine = Arc::new(Engine::start(writer));
        Ok(Arc::new(Self { file, engine, feeds, claims: Claims::default() }))
    }

    /// Opens the store in the file for reading, whether or not another process has the directory.
    ///
    /// # Errors
    /// [`OpenError`] says what to do.
    pub async fn open_read_only(config: &Config) -> Result<Arc<ReadOnly>, OpenError> {
        config.validate()?;
        Ok(Arc::new(ReadOnly { file: file::open_read_only(config).await? }))
    }

    /// Waits until the file cannot be written any longer, for good (the disk fails, for one), and says why; without end
    /// while that is not so. The process has to end then: a new one reads from the disk what has really been written. A
    /// full disk is none of these: it is refused as such until there is room.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    pub async fn failed(&self) -> String {
        self.engine.failed().await
    }

    /// Finishes what is queued and closes the file; whatever is asked for afterwards is refused as unavailable. When no
    /// other process reads it, all that was written is then in the one file.
    pub async fn close(&self) {
        // Reads first: the last connection to be closed must be one that may tidy up.
        self.file.reads.close().await;
        self.engine.close().await;
    }
}
