//! Requests that have no reply yet, by id.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use huddle_proto::gateway::v1::server_frame::Content;
use tokio::sync::oneshot;

use crate::{Disconnect, RequestError};

type Reply = Result<Content, Disconnect>;

#[derive(Debug)]
enum State {
    Open(HashMap<String, oneshot::Sender<Reply>>),
    Closed(Disconnect),
}

/// The requests of one connection that wait for their replies. Clones share them. Bounded by whoever hands out the
/// slots: it holds no more than there are [`PendingReply`]s.
// A plain mutex: it is held for one map operation at a time and never over an await.
#[derive(Debug, Clone)]
pub(crate) struct PendingRequests(Arc<Mutex<State>>);

impl PendingRequests {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State::Open(HashMap::new()))))
    }

    /// Makes room for the reply to the request `id`. An error when the connection has ended.
    pub(crate) fn register(&self, id: String) -> Result<PendingReply, RequestError> {
        let (sender, receiver) = oneshot::channel();
        self.with(|state| match state {
            State::Open(requests) => {
                requests.insert(id.clone(), sender);
                Ok(())
            }
            State::Closed(disconnect) => Err(RequestError::Disconnected(disconnect.clone())),
        })?;
        Ok(PendingReply { id, receiver, requests: self.clone() })
    }

    /// Hands a reply to its request. Nothing happens when nobody waits for it any longer.
    pub(crate) fn resolve(&self, id: &str, content: Content) {
        let waiting = self.with(|state| match state {
            State::Open(requests) => requests.remove(id),
            State::Closed(_) => None,
        });
        if let Some(waiting) = waiting {
            // The request may have been given up at this very moment.
            let _ = waiting.send(Ok(content));
        }
    }

    /// Fails every request, and those to come. The first reason stays.
    pub(crate) fn close(&self, disconnect: &Disconnect) {
        let waiting = self.with(|state| match state {
            State::Open(requests) => {
                let requests = std::mem::take(requests);
                *state = State::Closed(disconnect.clone());
                requests
            }
            State::Closed(_) => HashMap::new(),
        });
        for (_, waiting) in waiting {
            let _ = waiting.send(Err(disconnect.clone()));
        }
    }

    /// Why the connection ended, once it has.
    pub(crate) fn closed(&self) -> Option<Disconnect> {
        self.with(|state| match state {
            State::Open(_) => None,
            State::Closed(disconnect) => Some(disconnect.clone()),
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        // No operation above can leave the map half changed, so a panic elsewhere does not spoil it.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The place where one request's reply will arrive. Dropping it gives the request up; it may happen all the same.
#[derive(Debug)]
pub(crate) struct PendingReply {
    id: String,
    receiver: oneshot::Receiver<Reply>,
    requests: PendingRequests,
}

impl PendingReply {
    pub(crate) async fn reply(&mut self) -> Result<Content, RequestError> {
        match (&mut self.receiver).await {
            Ok(Ok(content)) => Ok(content),
            Ok(Err(disconnect)) => Err(RequestError::Disconnected(disconnect)),
            // Another request under the same id took the place; ids are never used twice here.
            Err(_) => Err(RequestError::UnexpectedReply),
        }
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        self.requests.with(|state| {
            if let State::Open(requests) = state {
                requests.remove(&self.id);
            }
        });
    }
}
