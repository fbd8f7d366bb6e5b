//! Lines of bytes, each with its number and where it ends.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use super::FileError;

/// Longest line. An event with a body of 4,000 characters that are all written as two escapes has about 48,000 bytes.
pub(crate) const LINE_BYTES_MAX: usize = 256 * 1024;

/// Reads lines from `reader`.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    bytes: Vec<u8>,
    number: u64,
    end: u64,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, bytes: Vec::new(), number: 0, end: 0 }
    }

    /// The number of the line that was read last, from 1; 0 at the start.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Where the line that was read last ends: the number of bytes up to it.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The next line without its line feed; `None` at the end of the input.
    ///
    /// # Errors
    /// [`FileError::Truncated`] when the input ends within a line.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>, FileError> {
        self.bytes.clear();
        let line = self.number + 1;
        let read = |source: io::Error| FileError::Read { line, source };
        loop {
            let available = self.reader.fill_buf().await.map_err(read)?;
            if available.is_empty() {
                return if self.bytes.is_empty() { Ok(None) } else { Err(FileError::Truncated { line }) };
            }
            let line_feed = available.iter().position(|byte| *byte == b'\n');
            let taken = line_feed.unwrap_or(available.len());
            if self.bytes.len() + taken > LINE_BYTES_MAX {
                return Err(FileError::TooLong { line });
            }
            self.bytes.extend_from_slice(&available[..taken]);
            self.reader.consume(taken + usize::from(line_feed.is_some()));
            if line_feed.is_some() {
                self.number = line;
                self.end += self.bytes.len() as u64 + 1;
                return Ok(Some(&self.bytes));
            }
        }
    }
}
