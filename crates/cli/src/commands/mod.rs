//! One file per command: its arguments and what it does.

pub(crate) mod config;
mod connection;
pub(crate) mod directory;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod gateway;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod migrate;
pub(crate) mod persistence;
pub(crate) mod send;
pub(crate) mod tail;
pub(crate) mod token;
mod transfer;
pub(crate) mod up;
pub(crate) mod verify;
