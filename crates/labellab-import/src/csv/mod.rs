//! Owns the reading of LabelLab's tables from CSV files, as Postgres, phpMyAdmin and MySQL write them.
//!
//! The records are taken apart here and not by a general library: what the exports differ in (backslash escapes, NULL
//! spelled three ways) is recognised by reading strictly, and a message is found again by its place in the file.

mod dialect;
mod records;
mod sheet;
mod tables;

pub(crate) use tables::CsvTables;
