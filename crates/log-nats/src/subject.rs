//! Names of streams and subjects. Ids are safe in them by their alphabet: no dots, no wildcards, no white space.

use huddle_bus::PeerId;
use huddle_domain::{Partition, SendKey, TeamId};

/// All announcements of stored watermarks.
pub(crate) const STORED_ALL: &str = "huddle.stored.*";
/// What the server publishes when a stream has a new leader; the last token is the stream's name.
pub(crate) const LEADER_ELECTED_ALL: &str = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*";

const STREAM_PREFIX: &str = "HUDDLE_LOG_";

pub(crate) fn stream(partition: Partition) -> String {
    format!("{STREAM_PREFIX}{partition}")
}

/// Where copies of a partition are asked for messages.
pub(crate) fn direct_get(partition: Partition) -> String {
    format!("$JS.API.DIRECT.GET.{STREAM_PREFIX}{partition}")
}

/// All teams of a partition.
pub(crate) fn log_all(partition: Partition) -> String {
    format!("huddle.log.{partition}.*")
}

pub(crate) fn log(partition: Partition, team: &TeamId) -> String {
    format!("huddle.log.{partition}.{team}")
}

/// Where the stream republishes; the wildcard is the team.
pub(crate) fn live_template(partition: Partition) -> String {
    format!("huddle.live.{partition}.{{{{wildcard(1)}}}}")
}

pub(crate) fn live(partition: Partition, team: &TeamId) -> String {
    format!("huddle.live.{partition}.{team}")
}

pub(crate) fn stored(partition: Partition) -> String {
    format!("huddle.stored.{partition}")
}

/// Signals of a team on the bus.
pub(crate) fn signal(team: &TeamId) -> String {
    format!("huddle.signal.{team}")
}

/// Requests to a gateway on the bus.
pub(crate) fn gateway(peer: &PeerId) -> String {
    format!("huddle.gateway.{peer}")
}

/// The last token: a log's or a live subject's team, an announcement's partition.
pub(crate) fn last_token(subject: &str) -> &str {
    subject.rsplit_once('.').map_or(subject, |(_, token)| token)
}

/// The partition of a stream's name; `None` when the stream is not ours.
pub(crate) fn partition_of_stream(name: &str) -> Option<Partition> {
    name.strip_prefix(STREAM_PREFIX)?.parse().ok().map(Partition::new)
}

/// The idempotency key of an event within its stream.
pub(crate) fn message_id(key: &SendKey) -> String {
    format!("{}/{}/{}", key.team, key.sender, key.client_id)
}
