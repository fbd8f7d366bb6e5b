//! One file per command: its arguments and what it does.

pub(crate) mod config;
mod connection;
pub(crate) mod history;
pub(crate) mod migrate;
pub(crate) mod send;
pub(crate) mod tail;
pub(crate) mod token;
