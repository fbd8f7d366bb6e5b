//! A recording in memory.

use std::io::BufRead;

use super::{
    line::{FORMAT, Header, Line},
    names::{Name, Names},
    reader::{ReadError, Reader},
};

/// The number of the first line after the [`Header`].
const FIRST_LINE: usize = 2;

/// A whole recording. About 150 bytes a line, names included; every name is held once.
#[derive(Debug, Clone)]
pub struct Recording {
    header: Header,
    lines: Vec<Line<Name>>,
    names: Names,
}

impl Recording {
    /// Reads a recording to its end.
    pub fn read(input: impl BufRead) -> Result<Self, ReadError> {
        let mut reader = Reader::new(input)?;
        let mut recording = Self { header: reader.header(), lines: Vec::new(), names: Names::default() };
        while let Some((_, line)) = reader.next_line()? {
            recording.push(line);
        }
        Ok(recording)
    }

    /// A recording of these lines, numbered as in a file.
    pub fn of(seed: u64, lines: impl IntoIterator<Item = Line>) -> Self {
        let header = Header { recording: FORMAT, seed, began_ms: 0 };
        let mut recording = Self { header, lines: Vec::new(), names: Names::default() };
        lines.into_iter().for_each(|line| recording.push(line));
        recording
    }

    /// The first line.
    pub fn header(&self) -> Header {
        self.header
    }

    fn push(&mut self, line: Line) {
        let names = &mut self.names;
        self.lines.push(line.map(|text| names.name(&text)));
    }

    pub(crate) fn lines(&self) -> &[Line<Name>] {
        &self.lines
    }

    /// The number in the file of the line at `index`.
    pub(crate) fn number(index: usize) -> usize {
        index + FIRST_LINE
    }

    pub(crate) fn find(&self, text: &str) -> Option<Name> {
        self.names.find(text)
    }

    pub(crate) fn text(&self, name: Name) -> &str {
        self.names.text(name)
    }
}
