//! What such a file looks like: one token's id (`jti`) a line; empty lines and lines that begin with `#` say nothing.

use std::{
    collections::HashSet,
    io::{self, BufRead, Read as _},
};

/// Most lines, whatever is in them.
pub const LINES_MAX: usize = 1_000_000;
/// Longest id, in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// Longest line, in bytes without its end: for comments and white space around an id.
pub const LINE_BYTES_MAX: usize = 1024;

/// What editors of other systems put in front of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a list is none.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The bytes could not be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// A line is wrong.
    #[error("line {line} {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        problem: ListProblem,
    },
}

/// What is wrong with a line. The texts do not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListProblem {
    /// A comment, or an id with what surrounds it, is too long.
    #[error("is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// No token has such an id.
    #[error("holds an id of more than {ID_BYTES_MAX} bytes")]
    IdTooLong,
    /// The file is in another encoding, or is no text.
    #[error("is not UTF-8 text")]
    NotText,
    /// Several ids, or something beside the id.
    #[error("is not one id: it holds white space or control characters")]
    NotOneId,
    /// The list would not stay within bounds.
    #[error("is one too many: there may be {LINES_MAX} lines; take out the tokens that have expired")]
    OneTooMany,
}

/// Reads a list to its end. An id that stands there twice counts once. Holds one line at a time, besides the ids.
pub(super) fn read(mut reader: impl BufRead) -> Result<HashSet<Box<str>>, ListError> {
    let mut ids = HashSet::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        // Room for the line's end, of one byte or two.
        let bytes_max = LINE_BYTES_MAX as u64 + 2;
        if reader.by_ref().take(bytes_max).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let content = if line == 1 { bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes) } else { &bytes };
        let outcome = if line > LINES_MAX { Err(ListProblem::OneTooMany) } else { id_in(content) };
        ids.extend(outcome.map_err(|problem| ListError::Line { line, problem })?.map(Box::from));
    }
    ids.shrink_to_fit();
    Ok(ids)
}

/// The id in a line, if there is one.
fn id_in(line: &[u8]) -> Result<Option<&str>, ListProblem> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > LINE_BYTES_MAX {
        return Err(ListProblem::LineTooLong);
    }
    let text = str::from_utf8(line).map_err(|_| ListProblem::NotText)?.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err(ListProblem::NotOneId);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(ListProblem::IdTooLong);
    }
    Ok(Some(text))
}
