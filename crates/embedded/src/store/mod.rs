//! The store's side of the file: statements over the tables, within connections and transactions of the callers.
//!
//! Sets of rows go in as one JSON text, an array of arrays, so that each statement's text is constant and a batch is
//! one exchange with the connection's thread.

mod apply;
mod dead_letters;
mod directory;
mod error;
mod events;
mod gaps;
mod import;
mod insert;
mod mentions;
mod messages;
mod project;
mod row;
mod run;
mod sends;
mod teams;
#[cfg(test)]
mod tests;

pub(crate) use apply::{apply, check_order, progress};
pub(crate) use directory::{list_members, list_user_teams, memberships, owner_count, team, user_names};
pub(crate) use error::{is_refusal, store_error};
pub(crate) use events::{events_between, list_events};
pub(crate) use import::import;
pub(crate) use insert::{Failure, insert};
pub(crate) use mentions::list_mentions;
pub(crate) use messages::{list_messages, message};
pub(crate) use row::EventRow;
pub(crate) use sends::{find_sends, sends_by_key};
pub(crate) use teams::list_teams;

pub(crate) use huddle_store::backend::{from_bigint, to_bigint};
