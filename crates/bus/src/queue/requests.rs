//! Requests that wait for their peer: what is too much is refused.

use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::{PeerRequest, RequestFeed};

/// Requests that wait for one peer, at most.
pub const REQUESTS_MAX: usize = 4_096;
/// Bytes of them, at most.
pub const REQUESTS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why a request did not get in.
#[derive(Debug)]
pub enum Refused {
    /// Too much waits already.
    Full(PeerRequest),
    /// The feed is gone.
    Closed(PeerRequest),
}

/// A queue of one peer, empty.
pub fn requests() -> (RequestSender, RequestFeed) {
    let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
    let room = Arc::new(Semaphore::new(REQUESTS_BYTES_MAX));
    let feed = ReceiverStream::new(receiver).map(|(request, _): (PeerRequest, OwnedSemaphorePermit)| request);
    (RequestSender { sender, room }, feed.boxed())
}

/// The end that requests are put in at. When it is dropped, the feed ends behind what waits.
#[derive(Debug)]
pub struct RequestSender {
    sender: mpsc::Sender<(PeerRequest, OwnedSemaphorePermit)>,
    /// One permit for each byte.
    room: Arc<Semaphore>,
}

impl RequestSender {
    /// Puts `request` in, or gives it back.
    pub fn push(&self, request: PeerRequest) -> Result<(), Refused> {
        let bytes = u32::try_from(request.payload.len()).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else {
            return Err(if self.is_closed() { Refused::Closed(request) } else { Refused::Full(request) });
        };
        self.sender.try_send((request, permit)).map_err(|error| match error {
            mpsc::error::TrySendError::Full((request, _)) => Refused::Full(request),
            mpsc::error::TrySendError::Closed((request, _)) => Refused::Closed(request),
        })
    }

    /// Whether the feed has been dropped.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Returns when the feed has been dropped.
    ///
    /// # Cancel safety
    /// Can be called again.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request(bytes: usize) -> PeerRequest {
        PeerRequest::new(Bytes::from(vec![0; bytes]), |_| {})
    }

    #[tokio::test]
    async fn what_waits_is_bounded_by_number_and_by_bytes() {
        let (sender, mut feed) = requests();
        for _ in 0..REQUESTS_MAX {
            sender.push(request(1)).unwrap();
        }
        assert!(matches!(sender.push(request(0)), Err(Refused::Full(_))));
        for _ in 0..REQUESTS_MAX {
            feed.next().await.unwrap();
        }
        sender.push(request(REQUESTS_BYTES_MAX)).unwrap();
        assert!(matches!(sender.push(request(1)), Err(Refused::Full(_))));
        feed.next().await.unwrap();
        sender.push(request(1)).unwrap();
        drop(feed);
        assert!(matches!(sender.push(request(1)), Err(Refused::Closed(_))));
    }
}
