//! Frames between bytes and types.

use std::time::Duration;

use huddle_domain::{ClientId, Event, Seq, TeamId, UnixMillis, UserId};
use huddle_proto::{
    EventError, Refusal,
    gateway::v1::{self as proto, ClientFrame, ErrorCode, ServerFrame, server_frame::Content},
};
use prost::Message as _;
use tokio_tungstenite::tungstenite::Message;

use crate::{Encoding, Incoming};

/// The gateway knows the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The user, from the token.
    pub user: UserId,
    /// When the token expires.
    pub token_expires: UnixMillis,
    /// How often the gateway pings.
    pub heartbeat_interval: Duration,
    /// The largest frame that the gateway takes, in bytes.
    pub frame_bytes_max: u32,
    /// How many teams one connection may subscribe to.
    pub subscriptions_max: u32,
}

/// The first receipt of a send: the message is in the log for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The team.
    pub team: TeamId,
    /// The message's position.
    pub seq: Seq,
    /// The idempotency key of the send.
    pub client_id: ClientId,
    /// Whether this send had happened before: the position is that of the first time.
    pub duplicate: bool,
}

/// A subscription is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    /// The team.
    pub team: TeamId,
    /// The position of the team's last event at that moment; 0 = none is known.
    pub last_seq: Seq,
}

/// A page of a team's events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The team.
    pub team: TeamId,
    /// The events, oldest first, each once, without a gap.
    pub events: Vec<ListedEvent>,
    /// Whether more events are stored after the last one here.
    pub has_more: bool,
}

/// An event of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum ListedEvent {
    /// The next event.
    Event(Event),
    /// The next event, of a kind that this version does not know. It counts for the cursor.
    Unknown {
        /// Its position.
        seq: Seq,
        /// The position of the event before it.
        prev_seq: Seq,
    },
}

impl ListedEvent {
    /// Its position: the cursor once it has been taken.
    pub fn seq(&self) -> Seq {
        match self {
            Self::Event(event) => event.seq,
            Self::Unknown { seq, .. } => *seq,
        }
    }
}

/// What a server frame is to this side.
#[derive(Debug)]
pub(crate) enum Received {
    /// The reply to the request of that id.
    Reply { reply_to: String, content: Content },
    /// Something that nobody asked for.
    Incoming(Incoming),
    /// Of a newer version: nothing that this one needs.
    Ignored,
}

/// Why a frame is none of this protocol.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame is not valid JSON of this protocol: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a frame is not valid protobuf of this protocol: {0}")]
    Proto(#[from] prost::DecodeError),
    #[error(transparent)]
    Event(#[from] EventError),
    #[error("a frame's field `{0}` is not an id")]
    Id(&'static str),
    #[error("a frame has the wrong type for the encoding")]
    WrongType,
}

pub(crate) fn encode(frame: &ClientFrame, encoding: Encoding) -> Result<Message, serde_json::Error> {
    Ok(match encoding {
        Encoding::Json => Message::text(serde_json::to_string(frame)?),
        Encoding::Proto => Message::binary(frame.encode_to_vec()),
    })
}

pub(crate) fn decode(message: Message, encoding: Encoding) -> Result<ServerFrame, FrameError> {
    match (encoding, message) {
        (Encoding::Json, Message::Text(text)) => decode_json(&text),
        (Encoding::Proto, Message::Binary(bytes)) => Ok(ServerFrame::decode(bytes)?),
        _ => Err(FrameError::WrongType),
    }
}

fn decode_json(text: &str) -> Result<ServerFrame, FrameError> {
    serde_json::from_str(text).or_else(|error| {
        // Error codes of a newer version count as INTERNAL; the generated code knows no such rule.
        let mut frame: serde_json::Value = serde_json::from_str(text)?;
        let code = if frame.get("error").is_some() {
            frame.pointer_mut("/error/code")
        } else {
            frame.pointer_mut("/subscription_ended/error/code")
        };
        match code {
            Some(code) => {
                *code = ErrorCode::Internal.as_str_name().into();
                Ok(serde_json::from_value(frame)?)
            }
            None => Err(error.into()),
        }
    })
}

pub(crate) fn receive(frame: ServerFrame) -> Result<Received, FrameError> {
    let Some(content) = frame.content else { return Ok(Received::Ignored) };
    let incoming = match content {
        reply @ (Content::Error(_)
        | Content::Welcome(_)
        | Content::Subscribed(_)
        | Content::Unsubscribed(_)
        | Content::Accepted(_)
        | Content::Events(_)
        | Content::Pong(_)) => return Ok(Received::Reply { reply_to: frame.reply_to, content: reply }),
        Content::Event(event) => {
            let of = event.team.clone();
            match event_of(event)? {
                ListedEvent::Event(event) => Incoming::Event(event),
                ListedEvent::Unknown { seq, prev_seq } => Incoming::UnknownEvent { team: team(&of)?, seq, prev_seq },
            }
        }
        Content::CaughtUp(it) => Incoming::CaughtUp { team: team(&it.team)?, seq: Seq::new(it.seq) },
        Content::Stored(it) => Incoming::Stored { team: team(&it.team)?, seq: Seq::new(it.seq) },
        Content::SubscriptionEnded(it) => Incoming::SubscriptionEnded {
            team: team(&it.team)?,
            refusal: refusal(
                it.error
                    .unwrap_or_else(|| proto::Error { code: ErrorCode::Internal.into(), ..proto::Error::default() }),
            ),
        },
        Content::TokenExpiring(it) => Incoming::TokenExpiring { time: UnixMillis(it.time_ms) },
        Content::GoAway(it) => Incoming::GoAway { reconnect_in: Duration::from_millis(u64::from(it.reconnect_in_ms)) },
    };
    Ok(Received::Incoming(incoming))
}

fn event_of(event: huddle_proto::event::v1::Event) -> Result<ListedEvent, FrameError> {
    let (seq, prev_seq) = (Seq::new(event.seq), Seq::new(event.prev_seq));
    match Event::try_from(event) {
        Ok(event) => Ok(ListedEvent::Event(event)),
        Err(EventError::UnknownKind) => Ok(ListedEvent::Unknown { seq, prev_seq }),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn refusal(error: proto::Error) -> Refusal {
    // Numbers of a newer version count as INTERNAL, and so does one that was never set.
    let code = match ErrorCode::try_from(error.code) {
        Ok(ErrorCode::Unspecified) | Err(_) => ErrorCode::Internal,
        Ok(code) => code,
    };
    Refusal::new(code, error.message)
}

pub(crate) fn team(text: &str) -> Result<TeamId, FrameError> {
    TeamId::parse(text).map_err(|_| FrameError::Id("team"))
}

impl Welcome {
    pub(crate) fn from_wire(welcome: &proto::Welcome) -> Result<Self, FrameError> {
        Ok(Self {
            user: UserId::parse(&welcome.user).map_err(|_| FrameError::Id("user"))?,
            token_expires: UnixMillis(welcome.token_expires_time_ms),
            heartbeat_interval: Duration::from_millis(u64::from(welcome.heartbeat_interval_ms)),
            frame_bytes_max: welcome.frame_bytes_max,
            subscriptions_max: welcome.subscriptions_max,
        })
    }
}

impl EventPage {
    pub(crate) fn from_wire(page: proto::Events) -> Result<Self, FrameError> {
        let events = page.events.into_iter().map(event_of).collect::<Result<_, _>>()?;
        Ok(Self { team: team(&page.team)?, events, has_more: page.has_more })
    }
}

impl Accepted {
    pub(crate) fn from_wire(accepted: &proto::Accepted) -> Result<Self, FrameError> {
        Ok(Self {
            team: team(&accepted.team)?,
            seq: Seq::new(accepted.seq),
            client_id: ClientId::parse(&accepted.client_id).map_err(|_| FrameError::Id("client_id"))?,
            duplicate: accepted.duplicate,
        })
    }
}

#[cfg(test)]
mod tests {
    use huddle_proto::gateway::v1::{GoAway, Pong};

    use super::*;

    fn frame(content: Content) -> ServerFrame {
        ServerFrame { reply_to: "7".to_owned(), content: Some(content) }
    }

    #[test]
    fn frames_of_both_encodings_are_read() {
        let sent = frame(Content::GoAway(GoAway { reconnect_in_ms: 250 }));
        let json = Message::text(serde_json::to_string(&sent).unwrap());
        let proto = Message::binary(sent.encode_to_vec());
        assert_eq!(decode(json.clone(), Encoding::Json).unwrap(), sent);
        assert_eq!(decode(proto, Encoding::Proto).unwrap(), sent);
        assert!(matches!(decode(json, Encoding::Proto), Err(FrameError::WrongType)));
    }

    #[test]
    fn error_codes_of_a_newer_version_count_as_internal() {
        let json = r#"{"reply_to":"7","error":{"code":"ERROR_CODE_FROM_THE_FUTURE","message":"m","retryable":false}}"#;
        let Some(Content::Error(error)) = decode(Message::text(json), Encoding::Json).unwrap().content else {
            panic!("not an error")
        };
        assert_eq!(refusal(error).code, ErrorCode::Internal);
        let numbered = proto::Error { code: 9_999, message: String::new(), retryable: false };
        assert_eq!(refusal(numbered).code, ErrorCode::Internal);
    }

    #[test]
    fn fields_and_contents_of_a_newer_version_are_ignored() {
        let json = r#"{"reply_to":"7","from_the_future":{"a":1}}"#;
        let frame = decode(Message::text(json), Encoding::Json).unwrap();
        assert!(matches!(receive(frame), Ok(Received::Ignored)));
    }

    #[test]
    fn an_event_of_an_unknown_kind_keeps_its_place() {
        let event = huddle_proto::event::v1::Event {
            team: "demo".to_owned(),
            seq: 9,
            prev_seq: 4,
            sender: "alice".to_owned(),
            client_id: "c".to_owned(),
            ..Default::default()
        };
        let received = receive(frame(Content::Event(event))).unwrap();
        assert!(
            matches!(received, Received::Incoming(Incoming::UnknownEvent { seq, prev_seq, .. }) if seq.get() == 9 && prev_seq.get() == 4)
        );
        assert!(matches!(receive(frame(Content::Pong(Pong {}))), Ok(Received::Reply { .. })));
    }
}
