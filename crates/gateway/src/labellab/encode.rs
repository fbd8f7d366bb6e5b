//! What LabelLab's clients are sent.

use huddle_domain::{Body, Event, Tags, UnixMillis, UserId};
use huddle_socketio::EventFrame;
use serde::Serialize;
use time::{OffsetDateTime, UtcDateTime};

use super::ids::{ShownId, ShownNumber};

/// A message, as `receive_message` and the route of a team's messages show it.
#[derive(Debug, Serialize)]
pub(crate) struct MessageView<'a> {
    pub(crate) id: ShownNumber,
    pub(crate) body: &'a str,
    pub(crate) team_id: ShownId<'a>,
    pub(crate) user_id: ShownId<'a>,
    pub(crate) username: &'a str,
    pub(crate) entity_type: Option<&'a str>,
    pub(crate) entity_id: Option<ShownId<'a>>,
    pub(crate) timestamp: String,
    pub(crate) seq: ShownNumber,
    /// The position before this one in the team; left out where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prev_seq: Option<ShownNumber>,
    pub(crate) client_id: &'a str,
    pub(crate) tagged_users: Vec<ShownId<'a>>,
}

/// A mention, as `notification` and the route of a user's notifications show it.
#[derive(Debug, Serialize)]
pub(crate) struct NotificationView<'a> {
    id: ShownNumber,
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    user_id: ShownId<'a>,
}

impl<'a> NotificationView<'a> {
    /// The notification of `user` that `sender_name` mentioned them. `id` is unique for the user.
    pub(crate) fn mentioned(id: u64, sender_name: &str, user: &'a UserId) -> Self {
        Self {
            id: ShownNumber(id),
            message: format!("{sender_name} mentioned you in chat"),
            kind: "mentioned",
            user_id: ShownId(user.as_str()),
        }
    }
}

/// The packet of a message.
pub(crate) fn receive_message(
    namespace: &str,
    event: &Event,
    body: &Body,
    tags: &Tags,
    sender_name: &str,
) -> EventFrame {
    let seq = ShownNumber(event.seq.get());
    let view = MessageView {
        id: seq,
        body: body.as_str(),
        team_id: ShownId(event.team.as_str()),
        user_id: ShownId(event.sender.as_str()),
        username: sender_name,
        entity_type: tags.entity().map(|entity| entity.kind.as_str()),
        entity_id: tags.entity().map(|entity| ShownId(entity.id.as_str())),
        timestamp: timestamp(event.time),
        seq,
        prev_seq: Some(ShownNumber(event.prev_seq.get())),
        client_id: event.client_id.as_str(),
        tagged_users: tags.mentions().iter().map(|user| ShownId(user.as_str())).collect(),
    };
    EventFrame::new(namespace, "receive_message", &view)
}

/// A time as LabelLab writes it: `2021-07-03 10:11:12.345678`, UTC.
pub(crate) fn timestamp(time: UnixMillis) -> String {
    let time = UtcDateTime::from(
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH),
    );
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_labellabs_form() {
        assert_eq!(timestamp(UnixMillis(1_625_307_072_345)), "2021-07-03 10:11:12.345000");
        assert_eq!(timestamp(UnixMillis(0)), "1970-01-01 00:00:00.000000");
        assert_eq!(timestamp(UnixMillis(i64::MAX)), "1970-01-01 00:00:00.000000", "no time of a calendar");
    }
}
