//! Reading a recording line by line.

use std::io::{self, BufRead, Read as _};

use super::line::{FORMAT, Header, Line};

/// The longest line that is read, in bytes: some hundred thousand events of a team's history.
pub const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why a recording cannot be read. Line numbers count from 1.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each error says what it is")]
pub enum ReadError {
    #[error("cannot read the recording")]
    Io(#[from] io::Error),
    #[error("this is no recording: its first line is none of one")]
    NoRecording(#[source] Option<serde_json::Error>),
    #[error("this is a recording of format {found}, and this version reads format {FORMAT}")]
    OtherFormat { found: u32 },
    #[error("line {line} is none of a recording")]
    BadLine {
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    LongLine { line: usize },
    #[error("line {line} breaks off: whoever wrote the recording was stopped")]
    Torn { line: usize },
}

/// Reads a recording from its beginning; an iterator over the lines after the first, each with its number in the file.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    /// The number of the line read last.
    line: usize,
    buffer: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    pub fn new(input: R) -> Result<Self, ReadError> {
        let header = Header { recording: FORMAT, seed: 0, began_ms: 0 };
        let mut reader = Self { input, header, line: 0, buffer: Vec::new() };
        if !reader.fill()? {
            return Err(ReadError::NoRecording(None));
        }
        reader.header = serde_json::from_slice(&reader.buffer).map_err(|error| ReadError::NoRecording(Some(error)))?;
        match reader.header.recording {
            FORMAT => Ok(reader),
            found => Err(ReadError::OtherFormat { found }),
        }
    }

    /// The first line.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The next line and its number; `None` at the end.
    pub fn next_line(&mut self) -> Result<Option<(usize, Line)>, ReadError> {
        if !self.fill()? {
            return Ok(None);
        }
        match serde_json::from_slice(&self.buffer) {
            Ok(line) => Ok(Some((self.line, line))),
            Err(source) => Err(ReadError::BadLine { line: self.line, source }),
        }
    }

    /// Reads a line into the buffer; false at the end.
    fn fill(&mut self) -> Result<bool, ReadError> {
        self.buffer.clear();
        let read = self.input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.buffer)?;
        if read == 0 {
            return Ok(false);
        }
        self.line += 1;
        match self.buffer.last() {
            Some(b'\n') => Ok(true),
            _ if self.buffer.len() as u64 == LINE_BYTES_MAX => Err(ReadError::LongLine { line: self.line }),
            _ => Err(ReadError::Torn { line: self.line }),
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<(usize, Line), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "{\"recording\":1,\"seed\":42,\"began_ms\":1790000000000}\n";
    const HEALED: &str = "{\"at_us\":5,\"client\":\"world\",\"connection\":0,\"note\":\"healed\",\"row\":\"F1\"}\n";

    fn error_of(text: &str) -> String {
        let outcome = Reader::new(text.as_bytes()).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn lines_come_with_their_numbers() {
        let text = format!("{HEADER}{HEALED}{HEALED}");
        let reader = Reader::new(text.as_bytes()).unwrap();
        assert_eq!(reader.header().seed, 42);
        let numbers: Vec<usize> = reader.map(|line| line.unwrap().0).collect();
        assert_eq!(numbers, [2, 3]);
    }

    #[test]
    fn what_is_no_recording_is_refused_with_its_place() {
        assert!(error_of("").contains("no recording"));
        assert!(error_of("hello\n").contains("no recording"));
        assert!(error_of(&HEADER.replace(":1,", ":9,")).contains("format 9"));
        assert!(error_of(&format!("{HEADER}{HEALED}{{\"note\":\"nothing\"}}\n")).contains("line 3"));
        assert!(error_of(&format!("{HEADER}{}", HEALED.trim_end())).contains("line 2 breaks off"));
    }
}
