//! The format of a recording: JSON Lines, described in `docs/reference/verify.md`.
//!
//! The first line is a [`Header`], each further one a [`Line`]. The lines of one client stand in the order in which it
//! did and saw things; lines of different clients are compared by their times only.

mod line;
mod names;
mod reader;
mod whole;
mod writer;

pub(crate) use self::names::Name;
pub use self::{
    line::{Change, EventNote, FORMAT, HISTORY_CLIENT, Header, Line, Note, Sees, digest, kind},
    reader::{LINE_BYTES_MAX, ReadError, Reader},
    whole::Recording,
    writer::Writer,
};
