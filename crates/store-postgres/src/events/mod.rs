//! Owns the reading of events and messages. Every page is found by the key `(team_id, seq)`.

mod find_sends;
mod list_events;
mod list_mentions;
mod list_messages;
mod list_teams;

pub(crate) use find_sends::{events_at, find_sends, sends_by_key};
pub(crate) use list_events::list_events;
pub(crate) use list_mentions::list_mentions;
pub(crate) use list_messages::{list_messages, message};
pub(crate) use list_teams::list_teams;
