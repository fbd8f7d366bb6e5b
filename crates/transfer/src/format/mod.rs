//! The file format of an export: its lines, what makes a file whole, and a source that reads one.

mod error;
mod line;
mod lines;
mod source;
mod track;

pub use error::FileError;
pub use line::VERSION;
pub use source::FileSource;

pub(crate) use line::{Head, Line, Totals, write_control};
pub(crate) use lines::Lines;
pub(crate) use track::Track;
