//! How clients can break the protocol.

/// A breach of the protocol by a client, which ends its session. The texts hold nothing of what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Violation {
    /// A polling payload that is not in the form of its generation.
    #[error("a payload is malformed")]
    Payload,
    /// A payload with too many packets.
    #[error("a payload has too many packets")]
    PacketCount,
    /// An Engine.IO packet that is none, or that only servers send.
    #[error("an Engine.IO packet is malformed")]
    EnginePacket,
    /// A ping where the server pings, or a pong where the client does.
    #[error("the heartbeat goes the other way")]
    HeartbeatDirection,
    /// A second post while one is being taken.
    #[error("two posts at once")]
    PostOverlap,
    /// A second poll while one is open.
    #[error("two polls at once")]
    PollOverlap,
    /// A WebSocket message that is too long or that is no text.
    #[error("a WebSocket message is too long or malformed")]
    WebSocketMessage,
    /// A Socket.IO packet that is none, or that only servers send.
    #[error("a Socket.IO packet is malformed")]
    SocketPacket,
    /// A namespace's name that is too long.
    #[error("a namespace's name is too long")]
    NamespaceName,
    /// A namespace that is connected already.
    #[error("the namespace is connected already")]
    SecondConnect,
    /// A CONNECT payload that is too long, or no object.
    #[error("the payload of a CONNECT packet is malformed")]
    ConnectPayload,
    /// An event to a namespace that is not connected.
    #[error("the namespace is not connected")]
    NotConnected,
    /// An event whose payload is no array that begins with a name, or has too many arguments.
    #[error("the payload of an event or an acknowledgement is malformed")]
    EventPayload,
    /// JSON that is nested too deeply.
    #[error("JSON is nested too deeply")]
    Depth,
    /// An event with a name that is reserved.
    #[error("the event's name is reserved")]
    ReservedEvent,
    /// An acknowledgement id that is too large, or missing.
    #[error("the acknowledgement id is too large, or missing")]
    AckId,
    /// Too many attachments, or too many bytes of them.
    #[error("too many attachments, or too many bytes of them")]
    AttachmentLimit,
    /// A text packet while attachments are due, or an attachment when none is.
    #[error("an attachment is out of place")]
    AttachmentOrder,
}

impl Violation {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::PacketCount => "packet_count",
            Self::EnginePacket => "engine_packet",
            Self::HeartbeatDirection => "heartbeat_direction",
            Self::PostOverlap => "post_overlap",
            Self::PollOverlap => "poll_overlap",
            Self::WebSocketMessage => "websocket_message",
            Self::SocketPacket => "socket_packet",
            Self::NamespaceName => "namespace_name",
            Self::SecondConnect => "second_connect",
            Self::ConnectPayload => "connect_payload",
            Self::NotConnected => "not_connected",
            Self::EventPayload => "event_payload",
            Self::Depth => "depth",
            Self::ReservedEvent => "reserved_event",
            Self::AckId => "ack_id",
            Self::AttachmentLimit => "attachment_limit",
            Self::AttachmentOrder => "attachment_order",
        }
    }
}
