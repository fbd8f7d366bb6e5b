//! Writing a recording while it happens.

use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::line::{FORMAT, Header, Line, Note};

/// How much is gathered before it goes to the file, in bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// Appends lines to a recording. Clones write to the same one.
///
/// Shared through a mutex, not a channel: a line is a copy into a buffer, the time is taken under the same lock, so that
/// the lines stand in the order of their times, and nothing is queued that could be lost or grow. A call blocks for a
/// write of the buffer to the page cache at most, never for the disk.
///
/// The first error stops the recording; it is kept, and told by [`Writer::flush`] and [`Writer::finish`], so that
/// clients need not care.
#[derive(Clone)]
pub struct Writer(Arc<Shared>);

struct Shared {
    began: Instant,
    file: Mutex<Output>,
}

struct Output {
    file: Box<dyn Write + Send>,
    lines: u64,
    failed: Option<io::Error>,
}

impl Writer {
    /// Creates the file, which must not exist, and begins the recording now.
    pub fn create(path: &Path, seed: u64) -> io::Result<Self> {
        let file = File::create_new(path)?;
        Self::new(Box::new(BufWriter::with_capacity(BUFFER_BYTES, file)), seed)
    }

    /// Begins a recording now, into anything; buffering is up to `file`.
    pub fn new(mut file: Box<dyn Write + Send>, seed: u64) -> io::Result<Self> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let began_ms = u64::try_from(since_epoch.as_millis()).map_err(io::Error::other)?;
        let header = Header { recording: FORMAT, seed, began_ms };
        write_line(&mut file, &header)?;
        let output = Output { file, lines: 0, failed: None };
        Ok(Self(Arc::new(Shared { began: Instant::now(), file: Mutex::new(output) })))
    }

    /// When the recording began.
    pub fn began(&self) -> Instant {
        self.0.began
    }

    /// Writes what `client` did or saw now, and returns the time that the line bears, in microseconds since the
    /// beginning.
    pub fn note(&self, client: &str, connection: u32, note: Note) -> u64 {
        let mut output = self.output();
        let at_us = self.at_us(Instant::now());
        output.write(&Line { at_us, client: client.to_owned(), connection, note });
        at_us
    }

    /// Writes what `client` did or saw at `when`, for lines that were gathered elsewhere. The caller keeps the order of
    /// one client's lines; others may stand between them with later times.
    pub fn note_at(&self, when: Instant, client: &str, connection: u32, note: Note) {
        let at_us = self.at_us(when);
        self.output().write(&Line { at_us, client: client.to_owned(), connection, note });
    }

    /// How many lines have been written, the first one not counted.
    pub fn lines(&self) -> u64 {
        self.output().lines
    }

    /// Hands what is buffered to the operating system.
    pub fn flush(&self) -> io::Result<()> {
        let mut output = self.output();
        match output.failed.as_ref() {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => output.file.flush(),
        }
    }

    /// Flushes, and says how many lines were written. Clones may go on.
    pub fn finish(&self) -> io::Result<u64> {
        self.flush()?;
        Ok(self.lines())
    }

    fn at_us(&self, when: Instant) -> u64 {
        let since = when.saturating_duration_since(self.0.began);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        // A line is written whole or the error is kept: a panic of another thread leaves nothing half done.
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    fn write(&mut self, line: &Line) {
        if self.failed.is_some() {
            return;
        }
        match write_line(&mut self.file, line) {
            Ok(()) => self.lines += 1,
            Err(error) => self.failed = Some(error),
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("began", &self.0.began).finish_non_exhaustive()
    }
}

fn write_line(file: &mut dyn Write, line: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.write_all(&text)
}

#[cfg(test)]
mod tests {
    use std::{io::BufReader, thread};

    use super::*;
    use crate::recording::Reader;

    #[test]
    fn lines_of_many_threads_stand_whole_and_in_order_of_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("recording.jsonl");
        let writer = Writer::create(&path, 7).unwrap();
        assert!(Writer::create(&path, 7).is_err(), "a recording is never overwritten");
        thread::scope(|scope| {
            for client in ["a", "b", "c", "d"] {
                let writer = writer.clone();
                scope.spawn(move || {
                    for seq in 0..500 {
                        writer.note(client, 0, Note::CaughtUp { team: "t".into(), seq });
                    }
                });
            }
        });
        assert_eq!(writer.finish().unwrap(), 2_000);

        let reader = Reader::new(BufReader::new(File::open(&path).unwrap())).unwrap();
        assert_eq!(reader.header().seed, 7);
        let lines: Vec<_> = reader.map(|line| line.unwrap().1).collect();
        assert_eq!(lines.len(), 2_000);
        assert!(lines.is_sorted_by_key(|line| line.at_us));
        for client in ["a", "b", "c", "d"] {
            let own: Vec<_> = lines.iter().filter(|line| line.client == client).map(|line| line.note.clone()).collect();
            let expected: Vec<_> = (0..500).map(|seq| Note::CaughtUp { team: "t".into(), seq }).collect();
            assert_eq!(own, expected);
        }
    }

    #[test]
    fn the_first_error_is_kept() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 > 1 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let writer = Writer::new(Box::new(Full(0)), 1).unwrap();
        writer.note("a", 0, Note::Healed { row: "F1".into() });
        writer.note("a", 0, Note::Healed { row: "F1".into() });
        assert_eq!(writer.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(writer.lines(), 0);
    }
}
