//! The log and the store in one SQLite file.
