//! A bus that loses what tests want it to lose.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use huddle_bus::{Bus, BusError, LocalBus, Losses, PeerId, RequestFeed, SignalFeed};
use huddle_domain::TeamId;
use tokio::time::timeout;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// It is not sent.
    Unsent,
    /// It is sent, and handled; the connection is lost before the reply comes.
    ReplyLost,
    /// It is sent; the connection is lost when the reply has not come after this time.
    CutAfter(Duration),
    /// It is sent, and handled; no reply comes in time.
    NoAnswer,
    /// Nobody serves the peer for now.
    NoPeer,
}

/// A bus within the process. Every `n`-th request gets the fault that is set.
#[derive(Debug, Default)]
pub(crate) struct ShakyBus {
    bus: LocalBus,
    fault: Mutex<(usize, Fault)>,
    requests: AtomicUsize,
    faults: AtomicUsize,
}

impl ShakyBus {
    /// From here on every `nth` request gets `fault`.
    pub(crate) fn set(&self, nth: usize, fault: Fault) {
        *self.fault.lock().unwrap() = (nth, fault);
    }

    /// Requests that got a fault.
    pub(crate) fn faults(&self) -> usize {
        self.faults.load(Ordering::SeqCst)
    }

    fn next_fault(&self) -> Fault {
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let (nth, fault) = *self.fault.lock().unwrap();
        if fault == Fault::None || !number.is_multiple_of(nth) {
            return Fault::None;
        }
        self.faults.fetch_add(1, Ordering::SeqCst);
        fault
    }
}

#[async_trait]
impl Bus for ShakyBus {
    async fn signal(&self, team: &TeamId, payload: Bytes) -> Result<(), BusError> {
        self.bus.signal(team, payload).await
    }

    async fn signals(&self, team: &TeamId) -> Result<SignalFeed, BusError> {
        self.bus.signals(team).await
    }

    async fn serve(&self, peer: &PeerId) -> Result<RequestFeed, BusError> {
        self.bus.serve(peer).await
    }

    async fn request(&self, peer: &PeerId, payload: Bytes, patience: Duration) -> Result<Bytes, BusError> {
        let lost = || BusError::unavailable("the connection is lost");
        let request = self.bus.request(peer, payload, patience);
        match self.next_fault() {
            Fault::None => request.await,
            Fault::Unsent => Err(lost()),
            Fault::ReplyLost => request.await.and(Err(lost())),
            Fault::CutAfter(time) => timeout(time, request).await.unwrap_or_else(|_| Err(lost())),
            Fault::NoAnswer => request.await.and(Err(BusError::NoAnswer)),
            Fault::NoPeer => Err(BusError::NoPeer),
        }
    }

    fn losses(&self) -> Losses {
        self.bus.losses()
    }
}
