//! A request on its way to a peer, and the way back.

use std::fmt;

use bytes::Bytes;

use crate::PAYLOAD_BYTES_MAX;

type Answer = Box<dyn FnOnce(Option<Bytes>) + Send>;

/// A request that a peer got. Dropped without a reply, it tells the one who asked that none will come.
pub struct PeerRequest {
    /// What is asked.
    pub payload: Bytes,
    answer: Reply,
}

/// Answers when it is dropped, if nobody did before.
struct Reply(Option<Answer>);

impl PeerRequest {
    /// A request that is answered through `answer`: called once, with `None` when there is no reply. It must not block.
    pub fn new(payload: Bytes, answer: impl FnOnce(Option<Bytes>) + Send + 'static) -> Self {
        Self { payload, answer: Reply(Some(Box::new(answer))) }
    }

    /// Answers. Never blocks; best effort: the one who asked may be gone, and a full way back or a payload of more than
    /// [`PAYLOAD_BYTES_MAX`] leaves it without a reply.
    pub fn reply(mut self, payload: Bytes) {
        if let Some(answer) = self.answer.0.take() {
            answer((payload.len() <= PAYLOAD_BYTES_MAX).then_some(payload));
        }
    }

    /// Drops the request without answering: for an implementation that tells the one who asked in a way of its own.
    pub fn forget(mut self) {
        self.answer.0 = None;
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer(None);
        }
    }
}

impl fmt::Debug for PeerRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerRequest").field("payload_bytes", &self.payload.len()).finish_non_exhaustive()
    }
}
