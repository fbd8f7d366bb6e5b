//! The list of revoked tokens as a file: reads it, follows it and measures it. It never judges a token, and it never shows
//! what is in the list.

mod file;
mod list;
#[cfg(test)]
mod tests;

pub use file::{RevokedFile, RevokedFileError, read};
pub use list::{ID_BYTES_MAX, LINE_BYTES_MAX, LINES_MAX, ListError, ListProblem};
