//! What a native client asks for once it is known: `subscribe`, `unsubscribe`, `send`.

use std::rc::Rc;

use huddle_domain::{Seq, UserId};
use huddle_proto::{
    Refusal,
    gateway::v1::{self as wire, server_frame::Content},
};

use crate::{
    connection::{CatchUp, Connection, ReplyTo, SendQueue, parse_body, parse_client_id, parse_tags, parse_team},
    sends::{Accepted, NewSend},
    worker::Worker,
};

/// Starts a subscription; the reply and the events follow from a task of its own.
pub(super) fn subscribe(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    user: UserId,
    reply_to: ReplyTo,
    request: &wire::Subscribe,
) {
    let started = parse_team(&request.team).and_then(|team| CatchUp::start(worker, connection, team, Some(user)));
    let mut catch_up = match started {
        Ok(catch_up) => catch_up,
        Err(refusal) => return connection.refuse(reply_to, refusal),
    };
    let cursor = request.after.map(Seq::new);
    let connection = Rc::clone(connection);
    actix_web::rt::spawn(async move {
        let opened = async {
            let fence = catch_up.open().await?;
            if let Some(cursor) = cursor {
                catch_up.set_cursor(cursor).await?;
            }
            Ok(fence)
        };
        match opened.await {
            Ok(fence) => {
                let reply = wire::Subscribed { team: catch_up.team().to_string(), last_seq: fence.get() };
                connection.reply(reply_to, Content::Subscribed(reply));
                catch_up.run().await;
            }
            // The reply to an `unsubscribe` that came first was the last word, but this request still has one due.
            Err(refusal) => connection.refuse(reply_to, refusal),
        }
    });
}

/// Ends a subscription, whether it is live or still catching up.
pub(super) fn unsubscribe(worker: &Worker, connection: &Connection, reply_to: ReplyTo, request: &wire::Unsubscribe) {
    let outcome = parse_team(&request.team).and_then(|team| worker.hub.end_of(connection, &team).map(|()| team));
    match outcome {
        Ok(team) => {
            let reply = wire::Unsubscribed { team: team.to_string() };
            connection.reply(reply_to, Content::Unsubscribed(reply));
        }
        Err(refusal) => connection.refuse(reply_to, refusal),
    }
}

/// Checks a send and queues it. Waits while too many of the connection's sends are under way.
pub(super) async fn send(
    queue: &SendQueue,
    connection: &Connection,
    sender: UserId,
    reply_to: ReplyTo,
    request: &wire::Send,
) {
    match parse(sender, request) {
        Ok(send) => queue.send(reply_to, send).await,
        Err(refusal) => connection.refuse(reply_to, refusal),
    }
}

fn parse(sender: UserId, request: &wire::Send) -> Result<NewSend, Refusal> {
    Ok(NewSend {
        team: parse_team(&request.team)?,
        sender,
        client_id: parse_client_id(&request.client_id)?,
        body: parse_body(&request.body)?,
        tags: parse_tags(&request.mentions, request.entity.as_ref())?,
    })
}

impl From<&Accepted> for wire::Accepted {
    fn from(accepted: &Accepted) -> Self {
        Self {
            team: accepted.team.to_string(),
            seq: accepted.seq.get(),
            client_id: accepted.client_id.to_string(),
            duplicate: accepted.duplicate,
        }
    }
}
