//! The way out to one of LabelLab's clients: what a connection is told, as Socket.IO events.

use std::rc::Rc;

use huddle_domain::{EventKind, Seq, TeamId, UserId};
use huddle_proto::{
    Refusal,
    gateway::v1::{Error, ErrorCode, server_frame::Content},
};
use huddle_socketio::{AckId, EventFrame, Full, Socket};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    encode::NotificationView,
    following::Following,
    ids::{EXACT_MAX, ShownId, ShownNumber},
    typing::Typing,
};
use crate::{relay::Delivery, sends::Accepted};

/// Where one client's events go.
pub(crate) struct Way {
    pub(super) socket: Socket,
    /// Whose mentions are notified; `None` for a client without a token.
    pub(super) user: Option<UserId>,
    pub(super) following: Rc<Following>,
}

impl Way {
    /// Tells the client something that it did not ask for.
    pub(crate) fn push(&self, content: Content) -> Result<(), Full> {
        match content {
            Content::Stored(stored) => {
                let (team, seq) = (ShownId(&stored.team), ShownNumber(stored.seq));
                self.emit("message_stored", &json!({ "team_id": team, "seq": seq }))
            }
            Content::CaughtUp(caught_up) => {
                let (team, seq) = (ShownId(&caught_up.team), ShownNumber(caught_up.seq));
                self.emit("caught_up", &json!({ "team_id": team, "seq": seq }))
            }
            Content::TokenExpiring(expiring) => self.emit("token_expiring", &json!({ "time_ms": expiring.time_ms })),
            Content::GoAway(away) => self.emit("go_away", &json!({ "reconnect_in_ms": away.reconnect_in_ms })),
            // The rest are replies of the native protocol, or have a method of their own here.
            _ => Ok(()),
        }
    }

    /// Answers a request that has no answer of its own below: by its acknowledgement, or, for a refusal, by
    /// `message_error`.
    pub(crate) fn reply(&self, ack: Option<AckId>, content: Content) -> Result<(), Full> {
        match (content, ack) {
            (Content::Error(error), Some(ack)) => self.socket.ack(ack, &[json!({ "error": shown_error(&error) })]),
            (Content::Error(error), None) => self.emit("message_error", &error.message),
            _ => Ok(()),
        }
    }

    /// Answers a request by its acknowledgement, if it asked for one.
    pub(crate) fn acknowledge(&self, ack: Option<AckId>, answer: &impl Serialize) -> Result<(), Full> {
        match ack {
            Some(ack) => self.socket.ack(ack, &[answer]),
            None => Ok(()),
        }
    }

    /// Answers a send that the log has accepted.
    pub(crate) fn accepted(&self, ack: Option<AckId>, accepted: &Accepted, stored: bool) -> Result<(), Full> {
        let seq = ShownNumber(accepted.seq.get());
        let answer = json!({
            "id": seq,
            "seq": seq,
            "team_id": ShownId(accepted.team.as_str()),
            "client_id": accepted.client_id.as_str(),
            "duplicate": accepted.duplicate,
            "stored": stored,
        });
        self.acknowledge(ack, &answer)
    }

    /// Hands over a message, and tells the user when it mentions them. Events of other kinds have no word here.
    pub(crate) fn deliver(&self, delivery: &Delivery) -> Result<(), Full> {
        let Some(frame) = delivery.labellab_frame(self.socket.namespace()) else { return Ok(()) };
        self.socket.emit(frame)?;
        let EventKind::Posted { tags, .. } = &delivery.event.kind else { return Ok(()) };
        match &self.user {
            Some(user) if tags.mentions().contains(user) => {
                let id = notification_id(&delivery.event.team, delivery.event.seq);
                self.emit("notification", &NotificationView::mentioned(id, delivery.sender_name(), user))
            }
            _ => Ok(()),
        }
    }

    /// Tells that somebody is typing.
    pub(crate) fn typing(&self, team: &TeamId, typing: &Typing) -> Result<(), Full> {
        self.socket.emit(typing.frame(team, self.socket.namespace()))
    }

    /// Tells that a subscription has ended, unless it can be made again without the client's doing: `sent` is how far the
    /// client got.
    pub(crate) fn subscription_ended(&self, team: &TeamId, sent: Option<Seq>, refusal: Refusal) -> Result<(), Full> {
        if refusal.code.is_retryable() && self.following.take_up_again(team, sent) {
            return Ok(());
        }
        let error = Error::from(refusal);
        self.emit("subscription_ended", &json!({ "team_id": ShownId(team.as_str()), "error": shown_error(&error) }))
    }

    /// Waits until there is room for more, or until the client is gone. Cancel safe.
    pub(crate) async fn has_room(&self) {
        self.socket.has_room().await;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.socket.is_open()
    }

    /// Ends the connection behind what is queued. The client comes back by itself: with a fresh token if it has one, else
    /// it is refused then, and stays away.
    pub(crate) fn close(&self) {
        self.socket.close();
    }

    /// Ends the connection and drops what is queued.
    pub(crate) fn abandon(&self) {
        self.socket.abandon();
    }

    fn emit(&self, name: &str, argument: &impl Serialize) -> Result<(), Full> {
        self.socket.emit(EventFrame::new(self.socket.namespace(), name, argument))
    }
}

/// The id of the notification that the message of `team` at `seq` mentions somebody: a number that every client can hold,
/// and the same for good. Positions of different teams may be the same, so it is a digest of both: of a million mentions,
/// two have the same id once in some twenty thousand times.
pub(crate) fn notification_id(team: &TeamId, seq: Seq) -> u64 {
    let digest = Sha256::new().chain_update(seq.get().to_be_bytes()).chain_update(team.as_str()).finalize();
    let number = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    number & EXACT_MAX
}

/// A refusal as clients get it: `{code, message, retryable}`, the code by its name.
pub(super) fn shown_error(error: &Error) -> serde_json::Value {
    let code = ErrorCode::try_from(error.code).unwrap_or(ErrorCode::Internal);
    json!({ "code": code.as_str_name(), "message": error.message, "retryable": error.retryable })
}
