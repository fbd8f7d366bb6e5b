//! Owns one CSV file as a table: its columns by name, and values of its fields.

use std::{fs::File, path::Path};

use huddle_domain::UnixMillis;
use huddle_transfer::SourceError;

use super::{
    dialect::{self, Verdict},
    records::{Dialect, Field, RecordError, Records},
};
use crate::time;

/// A file whose dialect is not settled yet.
#[derive(Debug)]
pub(super) struct Unread {
    /// The file's name, for texts.
    name: String,
    file: File,
    delimiter: u8,
    verdict: Verdict,
}

/// A table that is read record by record.
#[derive(Debug)]
pub(super) struct Sheet {
    name: String,
    records: Records,
    header: Vec<Field>,
    record: Vec<Field>,
    /// The first line of the present record.
    line: u64,
}

impl Unread {
    /// Opens the file `name` of `directory` and judges its dialect. `columns` are those that it must have.
    pub(super) fn open(directory: &Path, name: &str, columns: &[&str]) -> Result<Self, SourceError> {
        let path = directory.join(name);
        let name = path.display().to_string();
        let file = File::open(&path).map_err(|error| unreadable(&name, error))?;
        let delimiter = match dialect::delimiter(&file, columns) {
            Ok(Some(delimiter)) => delimiter,
            Ok(None) => {
                let problem = format!("its first line does not name the columns {}", columns.join(", "));
                return Err(invalid(&name, problem, "export the table with its column names in the first line"));
            }
            Err(error) => return Err(of_record(&name, error)),
        };
        let verdict = dialect::judge(&file, delimiter).map_err(|error| unreadable(&name, error))?;
        Ok(Self { name, file, delimiter, verdict })
    }

    pub(super) fn escapes(&self) -> bool {
        self.verdict == Verdict::Escaped
    }

    /// Reads the header. `directory_escapes`: some file of the directory has backslash escapes.
    pub(super) fn sheet(self, directory_escapes: bool) -> Result<Sheet, SourceError> {
        let dialect: Dialect = dialect::dialect(self.delimiter, self.verdict, directory_escapes);
        let mut records = Records::new(self.file, dialect);
        let mut header = Vec::new();
        records.next(&mut header).map_err(|error| of_record(&self.name, error))?;
        Ok(Sheet { name: self.name, records, header, record: Vec::new(), line: 1 })
    }
}

impl Sheet {
    /// Where the column `name` stands.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        dialect::find(&self.header, name)
    }

    /// Goes to the record that begins at `offset`.
    pub(super) fn seek(&mut self, offset: u64) {
        self.records.seek(offset);
    }

    /// Reads the next record and returns its offset; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<u64>, SourceError> {
        self.line = self.records.line();
        let offset = self.records.next(&mut self.record).map_err(|error| of_record(&self.name, error))?;
        if offset.is_some() && self.record.len() != self.header.len() {
            let problem =
                format!("there are {} fields where the first line has {}", self.record.len(), self.header.len());
            return Err(self.wrong(problem));
        }
        Ok(offset)
    }

    /// The text of a field; empty where there is no such column.
    pub(super) fn text(&self, column: Option<usize>) -> Result<&str, SourceError> {
        let Some(field) = self.field(column) else { return Ok("") };
        std::str::from_utf8(&field.bytes).map_err(|_| self.wrong("the text is not UTF-8".to_owned()))
    }

    /// The text of a column that may be NULL.
    pub(super) fn nullable(&self, column: Option<usize>) -> Result<Option<&str>, SourceError> {
        match self.field(column) {
            Some(field) if !is_null(field) => self.text(column).map(Some),
            _ => Ok(None),
        }
    }

    /// A number; 0 for NULL.
    pub(super) fn number(&self, column: Option<usize>) -> Result<i64, SourceError> {
        Ok(self.nullable_number(column)?.unwrap_or(0))
    }

    pub(super) fn nullable_number(&self, column: Option<usize>) -> Result<Option<i64>, SourceError> {
        let Some(text) = self.nullable(column)? else { return Ok(None) };
        let number = text.trim().parse().map(Some);
        number.map_err(|_| {
            let name = column.and_then(|column| self.header.get(column)).map(|field| &field.bytes[..]);
            self.wrong(format!("{} is not a number", String::from_utf8_lossy(name.unwrap_or_default())))
        })
    }

    /// A timestamp; `None` for NULL and for what is none.
    pub(super) fn time(&self, column: Option<usize>) -> Result<Option<UnixMillis>, SourceError> {
        Ok(self.nullable(column)?.and_then(time::parse))
    }

    fn field(&self, column: Option<usize>) -> Option<&Field> {
        self.record.get(column?)
    }

    fn wrong(&self, problem: String) -> SourceError {
        let kind = if self.records.dialect().escapes { "with" } else { "without" };
        let remedy = format!(
            "export the table in UTF-8 with its column names in the first line (it was read {kind} backslash escapes)"
        );
        invalid(&format!("{}, line {}", self.name, self.line), problem, &remedy)
    }
}

/// The spellings of NULL: nothing (Postgres), `NULL` (phpMyAdmin), `\N` (MySQL, and Postgres's text format).
fn is_null(field: &Field) -> bool {
    field.null || !field.quoted && matches!(&field.bytes[..], b"" | b"NULL" | br"\N")
}

pub(super) fn unreadable(name: &str, error: std::io::Error) -> SourceError {
    SourceError::Unreadable { what: name.to_owned(), source: error.into() }
}

fn of_record(name: &str, error: RecordError) -> SourceError {
    match error {
        RecordError::Read(error) => unreadable(name, error),
        malformed @ RecordError::Malformed { .. } => {
            invalid(name, malformed.to_string(), "export the table again as CSV, each text field in double quotes")
        }
    }
}

fn invalid(place: &str, problem: String, remedy: &str) -> SourceError {
    SourceError::Invalid { place: place.to_owned(), problem, remedy: remedy.to_owned() }
}
