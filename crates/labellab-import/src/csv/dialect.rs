//! Owns the recognition of the dialect that a directory's files are written in.
//!
//! Postgres and phpMyAdmin double a quote and take a backslash for itself; MySQL's `INTO OUTFILE` writes a backslash
//! before both. A file that can be read in one way only settles it. One that can be read in both is told by its signs:
//! a doubled quote, or an unquoted `\N` for NULL. A file without signs is read like the other files of its directory.

use std::{fs::File, io};

use super::records::{Dialect, Field, RecordError, Records, Signs};

/// What a file's contents say about its dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Plain,
    Escaped,
    /// It can be read in both ways, and says nothing in favour of one.
    Either,
}

/// The delimiter of a file: the one that finds all of `columns` in the header.
pub(super) fn delimiter(file: &File, columns: &[&str]) -> Result<Option<u8>, RecordError> {
    for delimiter in [b',', b';', b'\t'] {
        let dialect = Dialect { delimiter, quotes: delimiter != b'\t', escapes: false };
        let mut fields = Vec::new();
        let read = Records::new(file.try_clone()?, dialect).next(&mut fields);
        let (Ok(Some(_)) | Err(RecordError::Malformed { .. })) = read else {
            read?;
            return Ok(None);
        };
        if columns.iter().all(|column| find(&fields, column).is_some()) {
            return Ok(Some(delimiter));
        }
    }
    Ok(None)
}

/// Where the column `name` stands in a header.
pub(super) fn find(header: &[Field], name: &str) -> Option<usize> {
    header.iter().position(|field| field.bytes.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

/// Reads `file` to the end in both ways.
pub(super) fn judge(file: &File, delimiter: u8) -> io::Result<Verdict> {
    // Text format: never quoted, always escaped.
    if delimiter == b'\t' {
        return Ok(Verdict::Escaped);
    }
    let plain = readable(file, Dialect { delimiter, quotes: true, escapes: false })?;
    let escaped = readable(file, Dialect { delimiter, quotes: true, escapes: true })?;
    Ok(match (plain, escaped) {
        (Some(signs), Some(_)) if signs.doubled_quote => Verdict::Plain,
        (Some(signs), Some(_)) if signs.backslash_null => Verdict::Escaped,
        (Some(_), Some(_)) => Verdict::Either,
        (None, Some(_)) => Verdict::Escaped,
        // Readable in no way: the reading proper says where it fails.
        (_, None) => Verdict::Plain,
    })
}

/// The signs in `file` when all of its records are well formed and have as many fields as the first.
fn readable(file: &File, dialect: Dialect) -> io::Result<Option<Signs>> {
    let mut records = Records::new(file.try_clone()?, dialect);
    let (mut fields, mut columns) = (Vec::new(), None);
    loop {
        match records.next(&mut fields) {
            Ok(Some(_)) if *columns.get_or_insert(fields.len()) == fields.len() => {}
            Ok(None) => return Ok(Some(records.signs())),
            Ok(Some(_)) | Err(RecordError::Malformed { .. }) => return Ok(None),
            Err(RecordError::Read(error)) => return Err(error),
        }
    }
}

/// The dialect of a file, where some file of its directory is [`Verdict::Escaped`] or none is.
pub(super) fn dialect(delimiter: u8, verdict: Verdict, directory_escapes: bool) -> Dialect {
    let escapes = match verdict {
        Verdict::Plain => false,
        Verdict::Escaped => true,
        Verdict::Either => directory_escapes,
    };
    Dialect { delimiter, quotes: delimiter != b'\t', escapes }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_delimiter_is_the_one_that_finds_the_columns() {
        for (text, expected) in [
            ("id,body\n", Some(b',')),
            ("\"ID\" ; \"Body\"\n", None),
            ("\"ID\";\"Body\";x\n", Some(b';')),
            ("id\tbody\n", Some(b'\t')),
            ("1,hello\n", None),
            ("", None),
        ] {
            assert_eq!(delimiter(&file(text), &["id", "body"]).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_file_that_can_be_read_in_one_way_only_settles_its_dialect() {
        let outfile = "id,body,x\n1,\"say \\\"hi\\\", all\",2\n";
        let plain = "id,body,x\n1,\"ends in a backslash \\\",2\n";
        assert_eq!(judge(&file(outfile), b',').unwrap(), Verdict::Escaped);
        assert_eq!(judge(&file(plain), b',').unwrap(), Verdict::Plain);
    }

    #[test]
    fn a_file_that_can_be_read_in_both_is_told_by_its_signs() {
        for (text, verdict) in [
            ("id,body,x\n1,\"C:\\\\dir\",\\N\n", Verdict::Escaped),
            ("id,body,x\n1,\"C:\\\\dir\",NULL\n", Verdict::Either),
            ("id,body,x\n1,\"the \"\"C:\\dir\"\"\",\\N\n", Verdict::Plain),
        ] {
            assert_eq!(judge(&file(text), b',').unwrap(), verdict, "{text}");
        }
        assert!(dialect(b',', Verdict::Either, true).escapes);
        assert!(!dialect(b',', Verdict::Either, false).escapes);
    }
}
