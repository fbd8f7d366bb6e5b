//! Reads LabelLab's own data (its tables `message`, `team`, `projectmember`, `user` and `project`) as a
//! [`Source`](huddle_transfer::Source) of an import: from MySQL, from Postgres, or from CSV files.
//!
//! ```no_run
//! # async fn example() -> Result<(), huddle_labellab_import::OpenError> {
//! let labellab = huddle_labellab_import::open("mysql://reader:secret@127.0.0.1/labellab").await?;
//! print!("{}", labellab.report());
//! # Ok(())
//! # }
//! ```
//!
//! What becomes of which column is in `docs/reference/labellab-import.md`.
#![deny(missing_docs)]

mod csv;
mod database;
mod message;
mod mysql;
mod names;
mod people;
mod place;
mod postgres;
mod report;
mod source;
mod survey;
mod tables;
mod time;

pub use place::OpenError;
pub use report::{Finding, Reason, Report, Treatment};
pub use source::{LabelLab, open};
