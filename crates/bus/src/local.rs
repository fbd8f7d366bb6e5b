//! The bus within one process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use huddle_domain::TeamId;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    Bus, BusError, Losses, PAYLOAD_BYTES_MAX, PeerId, PeerRequest, RequestFeed, SignalFeed,
    queue::{self, Refused, RequestSender, SignalSender},
};

/// The bus within one process: everyone who says or asks something to somebody shares this handle by `Arc`. Several peers
/// may live on it.
#[derive(Debug, Default)]
pub struct LocalBus {
    listeners: Arc<Listeners>,
    /// By peer. One whose feed is gone is removed when somebody asks it, or when another is served.
    peers: Mutex<HashMap<PeerId, RequestSender>>,
    lost_signals: AtomicU64,
    lost_requests: AtomicU64,
}

/// By team, with an entry for no team without listeners.
#[derive(Debug, Default)]
struct Listeners(Mutex<HashMap<TeamId, Vec<(u64, SignalSender)>>>);

/// A listener's entry, which goes when the feed goes.
struct Registration {
    listeners: Weak<Listeners>,
    team: TeamId,
    number: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the peer has too many requests waiting")]
struct QueueFull;

// The locks are held for a look into a map and a push into a queue, never over an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(listeners) = self.listeners.upgrade() else { return };
        let mut listeners = lock(&listeners.0);
        if let Some(of_team) = listeners.get_mut(&self.team) {
            of_team.retain(|(number, _)| *number != self.number);
            if of_team.is_empty() {
                listeners.remove(&self.team);
            }
        }
    }
}

impl LocalBus {
    /// A bus on which nobody listens yet.
    pub fn new() -> Self {
        Self::default()
    }
}

fn check_size(payload: &Bytes) -> Result<(), BusError> {
    if payload.len() > PAYLOAD_BYTES_MAX { Err(BusError::TooLarge) } else { Ok(()) }
}

#[async_trait]
impl Bus for LocalBus {
    async fn signal(&self, team: &TeamId, payload: Bytes) -> Result<(), BusError> {
        check_size(&payload)?;
        let listeners = lock(&self.listeners.0);
        let of_team = listeners.get(team).map(Vec::as_slice).unwrap_or_default();
        let lost = of_team.iter().map(|(_, sender)| sender.push(payload.clone())).sum();
        self.lost_signals.fetch_add(lost, Ordering::Relaxed);
        Ok(())
    }

    async fn signals(&self, team: &TeamId) -> Result<SignalFeed, BusError> {
        let (sender, receiver) = queue::signals();
        let mut listeners = lock(&self.listeners.0);
        let of_team = listeners.entry(team.clone()).or_default();
        let number = of_team.last().map_or(0, |(last, _)| last + 1);
        of_team.push((number, sender));
        Ok(receiver.into_feed(Registration { listeners: Arc::downgrade(&self.listeners), team: team.clone(), number }))
    }

    async fn serve(&self, peer: &PeerId) -> Result<RequestFeed, BusError> {
        let (sender, feed) = queue::requests();
        let mut peers = lock(&self.peers);
        peers.retain(|_, sender| !sender.is_closed());
        peers.insert(peer.clone(), sender);
        Ok(feed)
    }

    async fn request(&self, peer: &PeerId, payload: Bytes, patience: Duration) -> Result<Bytes, BusError> {
        check_size(&payload)?;
        let (answer, answered) = oneshot::channel();
        let request = PeerRequest::new(payload, move |reply| {
            if let Some(reply) = reply {
                // The one who asked may be gone.
                drop(answer.send(reply));
            }
        });
        let pushed = {
            let mut peers = lock(&self.peers);
            let pushed = peers.get(peer).ok_or(BusError::NoPeer)?.push(request);
            if let Err(Refused::Closed(_)) = pushed {
                peers.remove(peer);
            }
            pushed
        };
        match pushed {
            Ok(()) => {}
            Err(Refused::Closed(_)) => return Err(BusError::NoPeer),
            Err(Refused::Full(_)) => {
                self.lost_requests.fetch_add(1, Ordering::Relaxed);
                return Err(BusError::unavailable(QueueFull));
            }
        }
        match timeout(patience, answered).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) | Err(_) => Err(BusError::NoAnswer),
        }
    }

    fn losses(&self) -> Losses {
        Losses {
            signals: self.lost_signals.load(Ordering::Relaxed),
            requests: self.lost_requests.load(Ordering::Relaxed),
            ..Losses::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn teams_and_peers_of_which_nobody_takes_any_more_leave_nothing_behind() {
        let bus = LocalBus::new();
        let team = TeamId::parse("a").unwrap();
        let feeds = [bus.signals(&team).await.unwrap(), bus.signals(&team).await.unwrap()];
        bus.signal(&team, Bytes::from_static(b"x")).await.unwrap();
        bus.signal(&TeamId::parse("b").unwrap(), Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(lock(&bus.listeners.0).len(), 1);
        drop(feeds);
        assert!(lock(&bus.listeners.0).is_empty());

        let peer = PeerId::random();
        drop(bus.serve(&peer).await.unwrap());
        let outcome = bus.request(&peer, Bytes::new(), Duration::from_mins(1)).await;
        assert!(matches!(outcome, Err(BusError::NoPeer)), "{outcome:?}");
        assert!(lock(&bus.peers).is_empty());
    }
}
