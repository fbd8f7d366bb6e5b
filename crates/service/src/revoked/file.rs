//! Reads the file at the start and whenever it has become another one.

use std::{
    collections::HashSet,
    fmt,
    fs::{self, File, Metadata},
    io::{self, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::list::{self, ListError};
use crate::{lifecycle::Shutdown, metrics::Metrics};

/// How often it is looked whether the file has changed.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long a look may take before it counts as failed; a file on a network may never answer. The next look waits for it.
const LOOK_PATIENCE: Duration = Duration::from_secs(10);
/// Shortest time between two warnings.
pub(super) const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// Why the file is of no use. The texts say what to do, and show nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum RevokedFileError {
    /// It is not there, or may not be read.
    #[error(
        "cannot read {}: {source}; make it readable (an empty file revokes nothing), or remove the setting",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What is not one.
        path: PathBuf,
    },
    /// Its content is not a list.
    #[error("{}: {source}; write one token id (jti) a line", path.display())]
    NotAList {
        /// The file.
        path: PathBuf,
        /// Which line is wrong, and how.
        source: ListError,
    },
    /// Somebody wrote to it at the same time, so that what was read may be half of a list.
    #[error(
        "{} changed while it was read; write the list to a file beside it, and rename that to it",
        path.display()
    )]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// The file system does not answer.
    #[error("{} was not read within {LOOK_PATIENCE:?}", path.display())]
    NoAnswer {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the list in the file `path` once, even if somebody writes to it at the same time. Blocks.
pub fn read(path: &Path) -> Result<HashSet<Box<str>>, RevokedFileError> {
    Ok(look(path, None)?.map(|reading| reading.ids).unwrap_or_default())
}

type Replace = Arc<dyn Fn(HashSet<Box<str>>) + Send + Sync>;
/// Gives what has been read by then.
type Look = JoinHandle<Result<Option<Fingerprint>, RevokedFileError>>;

/// A file of revoked tokens whose list is in force.
pub struct RevokedFile {
    path: PathBuf,
    replace: Replace,
    /// What was read last, as it was when the reading began; `None` before the first reading.
    seen: Option<Fingerprint>,
    /// A look that has not been answered yet.
    looking: Option<Look>,
    metrics: RevokedMetrics,
}

impl RevokedFile {
    /// Reads the list for the first time, even if somebody writes to it at the same time, and hands it to `replace`, as it will each later one. `replace` is called on a
    /// thread that may block.
    pub async fn open(
        path: PathBuf,
        replace: impl Fn(HashSet<Box<str>>) + Send + Sync + 'static,
        metrics: &Metrics,
    ) -> Result<Self, RevokedFileError> {
        let metrics = RevokedMetrics::register(metrics);
        let mut file = Self { path, replace: Arc::new(replace), seen: None, looking: None, metrics };
        file.look_again().await?;
        Ok(file)
    }

    /// Looks every 2 s whether the file has become another, until the hard stage of `shutdown`. While it
    /// cannot be read, is not a list, or changes during each reading, the last list stays in force.
    ///
    /// # Cancel safety
    /// Safe: the list that is in force stays.
    pub async fn follow(mut self, shutdown: Shutdown) {
        let mut looks = interval_at(Instant::now() + LOOK_INTERVAL, LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut warnings = Warnings::default();
        let follow = async {
            loop {
                looks.tick().await;
                match self.look_again().await {
                    Ok(()) if warnings.end() => tracing::info!("the list of revoked tokens can be read again"),
                    Ok(()) => {}
                    Err(error) => {
                        self.metrics.errors.inc();
                        if warnings.is_due() {
                            tracing::warn!(%error, "the list of revoked tokens cannot be read; the last one stays in force");
                        }
                    }
                }
            }
        };
        tokio::select! {
            () = shutdown.hard().cancelled() => {}
            () = follow => {}
        }
    }

    /// Looks once. An error leaves the list that is in force.
    async fn look_again(&mut self) -> Result<(), RevokedFileError> {
        let mut looking = self.looking.take().unwrap_or_else(|| self.begin_to_look());
        let Ok(outcome) = timeout(LOOK_PATIENCE, &mut looking).await else {
            self.looking = Some(looking);
            return Err(RevokedFileError::NoAnswer { path: self.path.clone() });
        };
        let ended = |error| RevokedFileError::Unreadable { path: self.path.clone(), source: io::Error::other(error) };
        self.seen = outcome.map_err(ended)??;
        Ok(())
    }

    /// A long list is read, and the one before it freed, where nobody waits for the thread.
    fn begin_to_look(&self) -> Look {
        let (path, seen, replace) = (self.path.clone(), self.seen, Arc::clone(&self.replace));
        let tokens = self.metrics.tokens.clone();
        spawn_blocking(move || {
            let Some(Reading { ids, fingerprint }) = look(&path, seen)? else { return Ok(seen) };
            let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
            replace(ids);
            tokens.set(count);
            Ok(Some(fingerprint))
        })
    }
}

impl fmt::Debug for RevokedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What was read.
pub(super) struct Reading {
    pub(super) ids: HashSet<Box<str>>,
    pub(super) fingerprint: Fingerprint,
}

/// What tells a file from the one that was there before, under the same path or at the same place on the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    // Seconds and nanoseconds of the last change of the content, and of anything at all.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads the file unless it is the one that was `seen`.
fn look(path: &Path, seen: Option<Fingerprint>) -> Result<Option<Reading>, RevokedFileError> {
    look_by(path, seen, |file| list::read(BufReader::new(file)))
}

/// As [`look`], with `read` to read the file.
pub(super) fn look_by(
    path: &Path,
    seen: Option<Fingerprint>,
    read: impl FnOnce(&File) -> Result<HashSet<Box<str>>, ListError>,
) -> Result<Option<Reading>, RevokedFileError> {
    let unreadable = |source| RevokedFileError::Unreadable { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    // Opening a pipe would wait for somebody to write to it.
    if !metadata.is_file() {
        return Err(RevokedFileError::NotAFile { path: path.to_owned() });
    }
    if seen == Some(Fingerprint::of(&metadata)) {
        return Ok(None);
    }
    let file = File::open(path).map_err(unreadable)?;
    let fingerprint_now = || file.metadata().map(|metadata| Fingerprint::of(&metadata));
    let fingerprint = fingerprint_now().map_err(unreadable)?;
    let ids = read(&file).map_err(|error| match error {
        ListError::Read(source) => unreadable(source),
        source @ ListError::Line { .. } => RevokedFileError::NotAList { path: path.to_owned(), source },
    })?;
    // Half a list would let revoked tokens in again. The first one is better than none until the next look.
    if seen.is_some() && fingerprint_now().map_err(unreadable)? != fingerprint {
        return Err(RevokedFileError::Changing { path: path.to_owned() });
    }
    Ok(Some(Reading { ids, fingerprint }))
}

#[derive(Debug)]
struct RevokedMetrics {
    tokens: Gauge,
    errors: Counter,
}

impl RevokedMetrics {
    fn register(metrics: &Metrics) -> Self {
        let (tokens, errors) = (Gauge::default(), Counter::default());
        metrics.register(|registry| {
            registry.register(
                "auth_revoked_tokens",
                "Tokens in the list of revoked ones that is in force",
                tokens.clone(),
            );
            registry.register(
                "auth_revoked_file_errors",
                "Looks at the file of revoked tokens that failed, so that an older list stays in force",
                errors.clone(),
            );
        });
        Self { tokens, errors }
    }
}

/// Keeps warnings about one lasting trouble apart.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    last: Option<Instant>,
    is_told: bool,
}

impl Warnings {
    /// Whether to warn now.
    pub(super) fn is_due(&mut self) -> bool {
        let is_due = self.last.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL);
        if is_due {
            self.last = Some(Instant::now());
            self.is_told = true;
        }
        is_due
    }

    /// The trouble is over. Whether there was a warning of it.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(&mut self.is_told)
    }
}
