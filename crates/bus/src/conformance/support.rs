//! What the tests have in common.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use huddle_domain::TeamId;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::Fixture;
use crate::{Bus, BusError, PeerId, RequestFeed, SignalFeed};

/// No wait of a test is longer.
const PATIENCE: Duration = Duration::from_mins(1);
/// The patience of requests that are answered.
pub(super) const REQUEST_PATIENCE: Duration = Duration::from_secs(20);
/// What is told at once is told within this.
pub(super) const AT_ONCE: Duration = Duration::from_millis(500);
/// Between two attempts at what is not known everywhere yet.
pub(super) const PAUSE: Duration = Duration::from_millis(5);
/// Begins what asks whether somebody is there.
const HELLO: &[u8] = b"hello";

pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

pub(super) fn team(id: &str) -> TeamId {
    TeamId::parse(id).unwrap()
}

pub(super) fn number(number: usize) -> Bytes {
    number.to_string().into()
}

pub(super) fn as_number(payload: &Bytes) -> usize {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

/// Listens through `to`, and returns when `from` knows of it.
pub(super) async fn listen<F: Fixture>(from: &[&Arc<dyn Bus>], to: &Arc<dyn Bus>, team: &TeamId) -> SignalFeed {
    let mut feed = within("listening", to.signals(team)).await.unwrap();
    if F::IS_KNOWN_AT_ONCE {
        return feed;
    }
    for (index, bus) in from.iter().enumerate() {
        let hello = Bytes::from([HELLO, index.to_string().as_bytes()].concat());
        let said = async {
            loop {
                bus.signal(team, hello.clone()).await.unwrap();
                sleep(PAUSE).await;
            }
        };
        let heard = async { while feed.next().await.unwrap() != hello {} };
        within("a first signal", async {
            tokio::select! { () = said => {}, () = heard => {} }
        })
        .await;
    }
    feed.filter(|payload| std::future::ready(!payload.starts_with(HELLO))).boxed()
}

/// Serves `peer` through `to`, and returns when `from` knows of it.
pub(super) async fn serve<F: Fixture>(from: &[&Arc<dyn Bus>], to: &Arc<dyn Bus>, peer: &PeerId) -> RequestFeed {
    let mut feed = within("serving", to.serve(peer)).await.unwrap();
    if F::IS_KNOWN_AT_ONCE {
        return feed;
    }
    for bus in from {
        let known = async {
            while let Err(error) = bus.request(peer, Bytes::from_static(HELLO), REQUEST_PATIENCE).await {
                assert!(matches!(error, BusError::NoPeer), "{error}");
                sleep(PAUSE).await;
            }
        };
        let answering = async {
            while let Some(request) = feed.next().await {
                request.reply(Bytes::new());
            }
        };
        within("a peer that is known", async {
            tokio::select! { () = known => {}, () = answering => {} }
        })
        .await;
    }
    feed
}

/// Answers every request of `feed` with its payload behind `prefix`, until the feed ends or the task is aborted.
pub(super) fn echo(mut feed: RequestFeed, prefix: &str) -> JoinHandle<()> {
    let prefix = prefix.as_bytes().to_vec();
    tokio::spawn(async move {
        while let Some(request) = feed.next().await {
            let reply = [prefix.as_slice(), &request.payload].concat();
            request.reply(reply.into());
        }
    })
}

pub(super) async fn ask(bus: &Arc<dyn Bus>, peer: &PeerId, payload: Bytes) -> Result<Bytes, BusError> {
    within("a request", bus.request(peer, payload, REQUEST_PATIENCE)).await
}

/// The next signal of a feed.
pub(super) async fn next(feed: &mut SignalFeed) -> Bytes {
    within("a signal", feed.next()).await.unwrap()
}
