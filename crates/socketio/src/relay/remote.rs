//! The side where a request has landed: asks the session's home.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use huddle_bus::BusError;
use prost::Message as _;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use super::message::{Answer, Call, Post, answer::Kind, call};
use crate::{
    draining::Draining,
    engine::{POST_PATIENCE, Payload, Polled, Refusal},
    server::{Reply, Server, WorkerCall},
    sid::Sid,
};

/// How long the home may take to answer a call: longer than it keeps one that has nothing to tell.
const PATIENCE: Duration = Duration::from_secs(3);
/// Before a call is made again that the home had no room for, or nothing to tell.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long nobody may take a home's requests before it is gone: it may be on its way to another server of the bus, or have
/// just started. Shorter than the home waits for the next hop.
const NO_PEER_PATIENCE: Duration = Duration::from_secs(2);
const NO_PEER_PAUSE: Duration = Duration::from_millis(400);

/// The home of a session, seen from elsewhere.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) server: Arc<Server>,
    pub(crate) sid: Sid,
    /// The token of the request that landed here.
    pub(crate) token: Option<String>,
}

/// The home does not answer: the session is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

/// Tells the home when a poll is dropped before it is answered.
struct Cancel<'a>(Option<(&'a Remote, u64)>);

impl Remote {
    /// Asks the home; says [`Kind::Again`] after a pause when it has no room for now, or nothing to tell. When its answer has
    /// got lost it may have done as asked.
    pub(crate) async fn ask(&self, kind: call::Kind) -> Result<Kind, Lost> {
        let call = self.call(kind);
        let answer = if self.sid.peer == *self.server.peer() {
            self.ask_worker(call).await?
        } else {
            self.ask_peer(&call).await?
        };
        let kind = answer.kind.ok_or(Lost)?;
        if let Kind::Again(_) = kind {
            sleep(RETRY_PAUSE).await;
        }
        Ok(kind)
    }

    async fn ask_peer(&self, call: &Call) -> Result<Answer, Lost> {
        let bytes = Bytes::from(call.encode_to_vec());
        let deadline = Instant::now() + NO_PEER_PATIENCE;
        loop {
            match self.server.bus().request(&self.sid.peer, bytes.clone(), PATIENCE).await {
                Ok(answer) => return Answer::decode(answer).map_err(|_| Lost),
                Err(BusError::Unavailable { .. }) => return Ok(Kind::Again(true).into()),
                Err(BusError::NoPeer) if Instant::now() < deadline => sleep(NO_PEER_PAUSE).await,
                Err(BusError::NoPeer | BusError::NoAnswer | BusError::TooLarge) => return Err(Lost),
            }
        }
    }

    async fn ask_worker(&self, call: Call) -> Result<Answer, Lost> {
        let mailbox = self.server.mailbox(self.sid.worker).ok_or(Lost)?;
        let (reply, answer) = oneshot::channel();
        let asking = async {
            mailbox.send(WorkerCall { call, reply: Reply::Worker(reply) }).await.map_err(|_| Lost)?;
            answer.await.map_err(|_| Lost)
        };
        timeout(PATIENCE, asking).await.unwrap_or(Err(Lost))
    }

    /// Tells the home something, best effort, without waiting; also from within a drop.
    pub(crate) fn tell(&self, kind: call::Kind) {
        let call = self.call(kind);
        if self.sid.peer == *self.server.peer() {
            if let Some(mailbox) = self.server.mailbox(self.sid.worker) {
                // When it is full, the session's deadlines do the same later.
                let _ = mailbox.try_send(WorkerCall { call, reply: Reply::Nobody });
            }
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let remote = self.clone();
            runtime.spawn(async move {
                let bytes = Bytes::from(call.encode_to_vec());
                // As above.
                let _ = remote.server.bus().request(&remote.sid.peer, bytes, PATIENCE).await;
            });
        }
    }

    fn call(&self, kind: call::Kind) -> Call {
        Call {
            worker: self.sid.worker,
            secret: Bytes::copy_from_slice(&self.sid.secret.0),
            token: self.token.clone(),
            kind: Some(kind),
        }
    }

    /// Whether the session lives in another process.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.sid.peer != *self.server.peer()
    }

    /// Polls. When this process is about to end, and the session's is not, the poll ends soon, with nothing if there is
    /// nothing. Dropping the future ends the session.
    pub(crate) async fn poll(&self, draining: &Draining) -> Polled {
        let id = rand::random();
        let mut cancel = Cancel(Some((self, id)));
        let mut is_leaving = false;
        let answer = loop {
            let answer = {
                let asked = self.ask(call::Kind::Poll(id));
                tokio::pin!(asked);
                tokio::select! {
                    answer = &mut asked => answer,
                    _ = draining.begun(), if self.is_elsewhere() && !is_leaving => {
                        is_leaving = true;
                        // What the home has to say comes as the answer to the hop that is under way.
                        self.tell(call::Kind::EndPoll(id));
                        asked.await
                    }
                }
            };
            match answer {
                Ok(Kind::Payload(payload)) => break Polled::Payload(payload.into()),
                // That was too early or too late for the hop. The home has to know before the client polls elsewhere.
                Ok(Kind::Again(_)) if is_leaving => match self.ask(call::Kind::EndPoll(id)).await {
                    Ok(Kind::Payload(payload)) => break Polled::Payload(payload.into()),
                    _ => break Polled::Nothing,
                },
                Ok(Kind::Again(_)) => {}
                Ok(Kind::Refused(code)) => break Polled::Refused(Refusal::from_code(code)),
                Ok(_) | Err(Lost) => {
                    self.tell(call::Kind::End(true));
                    break Polled::Refused(Refusal::UnknownSid);
                }
            }
        };
        cancel.0 = None;
        answer
    }

    /// Posts.
    pub(crate) async fn post(&self, payload: Payload) -> Result<(), Refusal> {
        let post = Post { id: rand::random(), payload: payload.into() };
        let deadline = Instant::now() + POST_PATIENCE;
        while Instant::now() < deadline {
            match self.ask(call::Kind::Post(post.clone())).await {
                Ok(Kind::Done(_)) => return Ok(()),
                Ok(Kind::Again(_)) => {}
                Ok(Kind::Refused(code)) => return Err(Refusal::from_code(code)),
                Ok(_) | Err(Lost) => {
                    self.tell(call::Kind::End(true));
                    return Err(Refusal::UnknownSid);
                }
            }
        }
        Err(Refusal::Unavailable)
    }
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if let Some((remote, id)) = self.0.take() {
            remote.tell(call::Kind::CancelPoll(id));
        }
    }
}
