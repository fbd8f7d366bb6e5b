//! The way out of a connection: how what it is told reaches the client, in the words of the client's protocol.

use std::rc::Rc;

use huddle_domain::{Seq, TeamId};
use huddle_proto::{
    Refusal,
    gateway::v1::{CloseCode, SubscriptionEnded, server_frame::Content},
};
use huddle_socketio::AckId;
use huddle_websocket::{Full, Outbox};

use crate::{
    labellab,
    native::{self, Encoding},
    relay::Delivery,
    sends::Accepted,
};

/// What names the request that a reply answers, as the client's protocol has it.
#[derive(Debug, Clone)]
pub(crate) enum ReplyTo {
    /// The `id` of a native request.
    Id(String),
    /// The acknowledgement that a Socket.IO event asked for, if it did.
    Ack(Option<AckId>),
}

/// The way out of a connection, by protocol.
pub(crate) enum Way {
    /// The native protocol, over a WebSocket.
    Native { encoding: Encoding, outbox: Rc<Outbox> },
    /// LabelLab's events, over Socket.IO.
    LabelLab(labellab::Way),
}

impl Way {
    /// Tells the client something that it did not ask for.
    pub(super) fn push(&self, content: Content) -> Result<(), Full> {
        match self {
            Self::Native { encoding, outbox } => outbox.push(native::server_frame(*encoding, String::new(), content)),
            Self::LabelLab(way) => way.push(content),
        }
    }

    /// Answers a request.
    pub(super) fn reply(&self, reply_to: ReplyTo, content: Content) -> Result<(), Full> {
        match (self, reply_to) {
            (Self::Native { encoding, outbox }, ReplyTo::Id(id)) => {
                outbox.push(native::server_frame(*encoding, id, content))
            }
            (Self::LabelLab(way), ReplyTo::Ack(ack)) => way.reply(ack, content),
            (Self::Native { .. }, ReplyTo::Ack(_)) | (Self::LabelLab(_), ReplyTo::Id(_)) => {
                unreachable!("a connection's requests are of its own protocol")
            }
        }
    }

    /// Answers a send that the log has accepted. Returns whether the client is to hear when it is stored.
    pub(super) fn accepted(&self, reply_to: ReplyTo, accepted: &Accepted, stored: bool) -> (Result<(), Full>, bool) {
        match (self, reply_to) {
            (Self::LabelLab(way), ReplyTo::Ack(ack)) => (way.accepted(ack, accepted, stored), ack.is_some() && !stored),
            (_, reply_to) => (self.reply(reply_to, Content::Accepted(accepted.into())), true),
        }
    }

    /// Answers a Socket.IO event by its acknowledgement, if it asked for one.
    pub(super) fn acknowledge(&self, ack: Option<AckId>, answer: &serde_json::Value) -> Result<(), Full> {
        match self {
            Self::Native { .. } => Ok(()),
            Self::LabelLab(way) => way.acknowledge(ack, answer),
        }
    }

    /// Hands over an event, in the form that all receivers share.
    pub(super) fn deliver(&self, delivery: &Delivery) -> Result<(), Full> {
        match self {
            Self::Native { encoding, outbox } => outbox.push(delivery.native_frame(*encoding)),
            Self::LabelLab(way) => way.deliver(delivery),
        }
    }

    /// Tells that somebody is typing. Only LabelLab's protocol has a word for it.
    pub(super) fn typing(&self, team: &TeamId, typing: &labellab::Typing) -> Result<(), Full> {
        match self {
            Self::Native { .. } => Ok(()),
            Self::LabelLab(way) => way.typing(team, typing),
        }
    }

    /// Tells that a subscription has ended without the client's asking; `sent` is how far the client got.
    pub(super) fn subscription_ended(&self, team: &TeamId, sent: Option<Seq>, refusal: Refusal) -> Result<(), Full> {
        match self {
            Self::Native { .. } => self.push(Content::SubscriptionEnded(SubscriptionEnded {
                team: team.to_string(),
                error: Some(refusal.into()),
            })),
            Self::LabelLab(way) => way.subscription_ended(team, sent, refusal),
        }
    }

    /// Waits until there is room for more, or until the connection is closed. Cancel safe.
    pub(super) async fn has_room(&self) {
        match self {
            Self::Native { outbox, .. } => outbox.has_room().await,
            Self::LabelLab(way) => way.has_room().await,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Native { outbox, .. } => outbox.is_open(),
            Self::LabelLab(way) => way.is_open(),
        }
    }

    /// Closes the connection behind what is queued already.
    pub(super) fn close(&self, code: CloseCode, reason: &'static str) {
        match self {
            Self::Native { outbox, .. } => outbox.close(native::close_frame(code, reason)),
            Self::LabelLab(way) => way.close(),
        }
    }

    /// Closes the connection of a client that is too slow, and drops what is queued.
    pub(super) fn abandon(&self) {
        match self {
            Self::Native { outbox, .. } => {
                let reason = "too slow: reconnect and resync from your cursor";
                outbox.abandon(native::close_frame(CloseCode::SlowConsumer, reason));
            }
            Self::LabelLab(way) => way.abandon(),
        }
    }

    /// Whether the client is shown the people behind events: senders' names, and who is typing.
    pub(super) fn shows_people(&self) -> bool {
        matches!(self, Self::LabelLab(_))
    }
}
