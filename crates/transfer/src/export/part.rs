//! The unfinished file: it has a name of its own until it is whole, and says by its content how far it got.

use std::{
    ffi::OsString,
    fs::{self, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, BufReader},
};

use super::ExportError;
use crate::format::{FileError, Line, Lines, Track};

const SUFFIX: &str = ".part";
const READ_BYTES: usize = 256 * 1024;
/// The permissions of a new file.
const OWNER_ONLY: u32 = 0o600;

/// What every export begins with.
const BEGINNING: &[u8] = b"{\"huddle_export\":";

/// The unfinished file, which nobody else writes.
pub(super) struct Part {
    pub(super) path: PathBuf,
    target: PathBuf,
    pub(super) file: File,
}

impl Part {
    /// Opens the unfinished file of `target`, or makes one, and locks it.
    pub(super) fn open(target: &Path) -> Result<Self, ExportError> {
        if target.exists() {
            return Err(ExportError::Exists { file: target.to_owned() });
        }
        let mut name = OsString::from(target);
        name.push(SUFFIX);
        let path = PathBuf::from(name);
        let failed = |source| ExportError::Write { file: path.clone(), source };
        let mut options = fs::OpenOptions::new();
        // It will hold everything that people wrote.
        options.read(true).write(true).create(true).truncate(false).mode(OWNER_ONLY);
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ExportError::InUse { part: path }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Another export may have finished the file between the two looks at it.
        if target.exists() {
            return Err(ExportError::Exists { file: target.to_owned() });
        }
        Ok(Self { target: target.to_owned(), file: File::from_std(file), path })
    }

    /// Reads how far an interrupted export got, and cuts off what is not whole. `None` when there is nothing to go on
    /// from: the file is empty then.
    pub(super) async fn resume(&mut self) -> Result<Option<Track>, ExportError> {
        let mut track = Track::default();
        let end = self.follow(&mut track).await.map_err(|error| match error {
            FileError::Read { source, .. } => self.failed(source),
            source => ExportError::Part { part: self.path.clone(), source },
        })?;
        if end == 0 {
            self.check_beginning().await?;
        }
        let (end, track) = if track.is_planned() { (end, Some(track)) } else { (0, None) };
        self.cut(end).await.map_err(|source| self.failed(source))?;
        Ok(track)
    }

    /// Gives the whole file its name. The file's content is durable before.
    pub(super) fn complete(self) -> Result<(), ExportError> {
        let failed = |source| ExportError::Write { file: self.target.clone(), source };
        fs::rename(&self.path, &self.target).map_err(failed)?;
        let directory = self.target.parent().filter(|path| !path.as_os_str().is_empty());
        let directory = fs::File::open(directory.unwrap_or(Path::new("."))).map_err(failed)?;
        directory.sync_all().map_err(failed)
    }

    /// Leaves nothing behind when nothing was written: there would be nothing to go on from.
    pub(super) async fn remove_if_empty(self) {
        let is_empty = self.file.metadata().await.is_ok_and(|metadata| metadata.len() == 0);
        if is_empty && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "an empty file was left behind");
        }
    }

    pub(super) fn failed(&self, source: io::Error) -> ExportError {
        ExportError::Write { file: self.path.clone(), source }
    }

    /// Follows the file's whole lines, and returns where they end.
    async fn follow(&mut self, track: &mut Track) -> Result<u64, FileError> {
        let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, &mut self.file));
        loop {
            let end = lines.end();
            let number = lines.number() + 1;
            let bytes = match lines.next().await {
                Ok(Some(bytes)) => bytes,
                // What was being written when the end came, or what a power cut left of it.
                Ok(None) | Err(FileError::Truncated { .. } | FileError::TooLong { .. }) => return Ok(end),
                Err(error) => return Err(error),
            };
            match Line::parse(bytes, number) {
                Ok(line) => track.accept(&line)?,
                Err(FileError::NotJson { .. }) => return Ok(end),
                Err(error) => return Err(error),
            }
        }
    }

    /// A file without a whole line is cut to nothing only when it can be the beginning of an export.
    async fn check_beginning(&mut self) -> Result<(), ExportError> {
        let failed = |source| ExportError::Write { file: self.path.clone(), source };
        let mut beginning = Vec::new();
        self.file.rewind().await.map_err(failed)?;
        (&mut self.file).take(BEGINNING.len() as u64).read_to_end(&mut beginning).await.map_err(failed)?;
        if BEGINNING.starts_with(&beginning) {
            return Ok(());
        }
        Err(ExportError::Part { part: self.path.clone(), source: FileError::NotAnExport })
    }

    async fn cut(&mut self, end: u64) -> io::Result<()> {
        self.file.set_len(end).await?;
        self.file.seek(io::SeekFrom::Start(end)).await.map(drop)
    }
}
