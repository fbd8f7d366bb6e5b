//! Owns the taking apart of a file into records and fields.

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// Longest record, in bytes: far above any row of LabelLab. A quote that is never closed is found by it.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 64 * 1024;

const QUOTE: u8 = b'"';
const ESCAPE: u8 = b'\\';

/// How fields are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Between two fields.
    pub(super) delimiter: u8,
    /// Whether a field may stand in double quotes.
    pub(super) quotes: bool,
    /// Whether a backslash makes something else of the character behind it.
    pub(super) escapes: bool,
}

/// A field of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) bytes: Vec<u8>,
    pub(super) quoted: bool,
    /// It is `\N`, unquoted, where a backslash escapes.
    pub(super) null: bool,
}

/// What a reading came across that tells dialects apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// An unquoted `\N` where a backslash does not escape.
    pub(super) backslash_null: bool,
    /// Two quotes for one.
    pub(super) doubled_quote: bool,
}

/// Why there is no next record.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("line {line}: {problem}")]
    Malformed { line: u64, problem: &'static str },
}

/// Reads records one after the other, or from a given place on.
#[derive(Debug)]
pub(super) struct Records {
    file: File,
    dialect: Dialect,
    /// A part of the file, from `start` on; `at` is the next byte's place in it.
    buffer: Vec<u8>,
    start: u64,
    at: usize,
    /// The line of the next byte, counted from the beginning of the file while nobody jumps.
    line: u64,
    signs: Signs,
}

impl Records {
    pub(super) fn new(file: File, dialect: Dialect) -> Self {
        Self { file, dialect, buffer: Vec::new(), start: 0, at: 0, line: 1, signs: Signs::default() }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn signs(&self) -> Signs {
        self.signs
    }

    /// The line of the next record.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Goes to the byte `offset`, where a record begins.
    pub(super) fn seek(&mut self, offset: u64) {
        let within = offset.checked_sub(self.start).and_then(|within| usize::try_from(within).ok());
        match within.filter(|within| *within < self.buffer.len()) {
            Some(within) => self.at = within,
            None => {
                self.buffer.clear();
                self.start = offset;
                self.at = 0;
            }
        }
    }

    /// Reads the next record into `fields`. Returns the offset of its first byte; `None` at the end. Empty lines are no
    /// records.
    pub(super) fn next(&mut self, fields: &mut Vec<Field>) -> Result<Option<u64>, RecordError> {
        loop {
            let offset = self.offset();
            if self.peek()?.is_none() {
                return Ok(None);
            }
            if offset == 0 {
                self.skip_byte_order_mark();
            }
            fields.clear();
            let mut bytes = 0;
            while {
                let mut field = Field::default();
                let more = self.field(&mut field, &mut bytes)?;
                fields.push(field);
                more
            } {}
            if !matches!(&fields[..], [only] if only.bytes.is_empty() && !only.quoted) {
                return Ok(Some(offset));
            }
        }
    }

    fn offset(&self) -> u64 {
        self.start + u64::try_from(self.at).unwrap_or(u64::MAX)
    }

    fn skip_byte_order_mark(&mut self) {
        const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
        if self.buffer.starts_with(&MARK) {
            self.at = MARK.len();
        }
    }

    /// Reads one field and what ends it. Whether another one follows.
    fn field(&mut self, field: &mut Field, bytes: &mut usize) -> Result<bool, RecordError> {
        if self.dialect.quotes && self.peek()? == Some(QUOTE) {
            self.take()?;
            field.quoted = true;
            self.quoted(field, bytes)?;
        } else {
            self.unquoted(field, bytes)?;
        }
        match self.take()? {
            None | Some(b'\n') => Ok(false),
            Some(b'\r') => match self.take()? {
                None | Some(b'\n') => Ok(false),
                Some(_) => Err(self.malformed("there is text after a closing quote")),
            },
            Some(byte) if byte == self.dialect.delimiter => Ok(true),
            Some(_) => Err(self.malformed("there is text after a closing quote")),
        }
    }

    /// Up to the closing quote, which is taken.
    fn quoted(&mut self, field: &mut Field, bytes: &mut usize) -> Result<(), RecordError> {
        loop {
            match self.take()? {
                None => return Err(self.malformed("a quote is not closed")),
                Some(QUOTE) if self.peek()? == Some(QUOTE) => {
                    self.take()?;
                    self.signs.doubled_quote = true;
                    self.push(field, QUOTE, bytes)?;
                }
                Some(QUOTE) => return Ok(()),
                Some(ESCAPE) if self.dialect.escapes => {
                    let byte = self.escaped()?;
                    self.push(field, byte, bytes)?;
                }
                Some(byte) => self.push(field, byte, bytes)?,
            }
        }
    }

    /// Up to the delimiter or the line's end, which is not taken.
    fn unquoted(&mut self, field: &mut Field, bytes: &mut usize) -> Result<(), RecordError> {
        let mut raw = 0;
        while let Some(byte) = self.peek()? {
            if byte == self.dialect.delimiter || byte == b'\n' {
                break;
            }
            self.take()?;
            if byte == b'\r' && matches!(self.peek()?, None | Some(b'\n')) {
                break;
            }
            if byte == QUOTE && self.dialect.quotes {
                return Err(self.malformed("there is a quote within a field that does not begin with one"));
            }
            if byte == ESCAPE && self.dialect.escapes {
                let is_null = raw == 0 && self.peek()? == Some(b'N');
                let byte = self.escaped()?;
                let ends =
                    matches!(self.peek()?, None | Some(b'\n' | b'\r')) || self.peek()? == Some(self.dialect.delimiter);
                if is_null && ends {
                    field.null = true;
                } else {
                    self.push(field, byte, bytes)?;
                }
            } else {
                self.push(field, byte, bytes)?;
            }
            raw += 1;
        }
        self.signs.backslash_null |= field.bytes == br"\N";
        Ok(())
    }

    /// What the character behind a backslash stands for, in MySQL's exports and in Postgres's text format.
    fn escaped(&mut self) -> Result<u8, RecordError> {
        match self.take()? {
            None => Err(self.malformed("the file ends within an escape")),
            Some(byte) => Ok(match byte {
                b'0' => 0,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                b'Z' => 26,
                other => other,
            }),
        }
    }

    fn push(&self, field: &mut Field, byte: u8, bytes: &mut usize) -> Result<(), RecordError> {
        *bytes += 1;
        if *bytes > RECORD_BYTES_MAX {
            return Err(self.malformed("a record is longer than 1 MiB, as if a quote were not closed"));
        }
        field.bytes.push(byte);
        Ok(())
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.buffer.len() {
            self.start = self.offset();
            self.at = 0;
            self.buffer.resize(BUFFER_BYTES, 0);
            let length = read_at(&self.file, &mut self.buffer, self.start);
            self.buffer.truncate(*length.as_ref().unwrap_or(&0));
            length?;
        }
        Ok(self.buffer.get(self.at).copied())
    }

    fn take(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.at += 1;
        }
        if byte == Some(b'\n') {
            self.line += 1;
        }
        Ok(byte)
    }

    fn malformed(&self, problem: &'static str) -> RecordError {
        RecordError::Malformed { line: self.line, problem }
    }
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const COMMAS: Dialect = Dialect { delimiter: b',', quotes: true, escapes: false };
    const ESCAPED: Dialect = Dialect { escapes: true, ..COMMAS };
    const TABS: Dialect = Dialect { delimiter: b'\t', quotes: false, escapes: true };

    fn reader(text: &[u8], dialect: Dialect) -> Records {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        Records::new(file, dialect)
    }

    fn all(text: &[u8], dialect: Dialect) -> Result<Vec<Vec<String>>, String> {
        let mut records = reader(text, dialect);
        let (mut fields, mut all) = (Vec::new(), Vec::new());
        while records.next(&mut fields).map_err(|error| error.to_string())?.is_some() {
            let texts = fields.iter().map(|field| {
                let text = String::from_utf8(field.bytes.clone()).unwrap();
                if field.null { "NULL".to_owned() } else { text }
            });
            all.push(texts.collect());
        }
        Ok(all)
    }

    #[test]
    fn quotes_hold_delimiters_line_breaks_and_doubled_quotes() {
        let text = b"\xef\xbb\xbfid,body\r\n1,\"a,\"\"b\"\"\r\n\\n\"\n\n2,\"\"\n3,";
        let expected = [vec!["id", "body"], vec!["1", "a,\"b\"\r\n\\n"], vec!["2", ""], vec!["3", ""]];
        assert_eq!(all(text, COMMAS).unwrap(), expected);
    }

    #[test]
    fn backslashes_escape_where_the_dialect_says_so() {
        let text = b"1,\"say \\\"hi\\\", \\\\o\\\n\\0\",\\N,\"\\N\"\n";
        assert_eq!(all(text, ESCAPED).unwrap(), [["1", "say \"hi\", \\o\n\0", "NULL", "N"]]);
        let text = b"1\t\"quoted\"\\tand\\\ton\t\\N\t\\Nothing\n";
        assert_eq!(all(text, TABS).unwrap(), [["1", "\"quoted\"\tand\ton", "NULL", "Nothing"]]);
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_its_line() {
        for (text, error) in [
            ("a,b\n\"a\"b,c\n", "line 2: there is text after a closing quote"),
            ("a,b\nc,\"d\n\n", "line 4: a quote is not closed"),
            ("a\"b,c\n", "line 1: there is a quote within a field that does not begin with one"),
        ] {
            assert_eq!(all(text.as_bytes(), COMMAS).unwrap_err(), error);
        }
        let endless = format!("\"{}", "x".repeat(2 * RECORD_BYTES_MAX));
        assert!(all(endless.as_bytes(), COMMAS).unwrap_err().contains("1 MiB"));
    }

    #[test]
    fn a_record_is_found_again_by_its_offset() {
        let long = "é".repeat(BUFFER_BYTES);
        let text = format!("\u{feff}id,body\n1,\"{long}\"\n2,b\n3,c\n");
        let mut records = reader(text.as_bytes(), COMMAS);
        let (mut fields, mut offsets) = (Vec::new(), Vec::new());
        while let Some(offset) = records.next(&mut fields).unwrap() {
            offsets.push((offset, fields.clone()));
        }
        assert_eq!(offsets.len(), 4);
        for (offset, expected) in offsets.iter().rev().chain(&offsets) {
            records.seek(*offset);
            assert_eq!(records.next(&mut fields).unwrap(), Some(*offset));
            assert!(fields == *expected, "at {offset}");
        }
    }
}
