//! Who is asked, and what is answered when.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{
    Fixture,
    support::{AT_ONCE, PAUSE, REQUEST_PATIENCE, ask, echo, listen, number, serve, team, within},
};
use crate::{Bus, BusError, PeerId};

/// Thousands of requests at once, to several peers on several handles: each is answered by its peer, with its own answer.
pub async fn requests_reach_their_peer_and_get_their_own_replies<F: Fixture>() {
    const REQUESTS: usize = 8_000;
    const AT_A_TIME: usize = 2_000;
    let fixture = F::start().await;
    let (one, two) = (fixture.handle().await, fixture.handle().await);
    let buses = [Arc::clone(&one), Arc::clone(&two)];
    let mut peers = Vec::new();
    for bus in [&one, &one, &two, &two] {
        let peer = PeerId::random();
        let feed = serve::<F>(&[&one, &two], bus, &peer).await;
        echo(feed, peer.as_str());
        peers.push(peer);
    }
    let answered = stream::iter(0..REQUESTS)
        .map(|index| {
            let (bus, peer) = (&buses[index % buses.len()], &peers[index / buses.len() % peers.len()]);
            async move {
                let reply = ask(bus, peer, number(index)).await.unwrap();
                assert_eq!(reply, format!("{peer}{index}"));
            }
        })
        .buffer_unordered(AT_A_TIME)
        .count();
    assert_eq!(within("all requests", answered).await, REQUESTS);
    assert_eq!((one.losses(), two.losses()), Default::default());
}

/// Nobody is waited for who is not there.
pub async fn a_peer_that_nobody_serves_is_told_at_once<F: Fixture>() {
    let fixture = F::start().await;
    let (one, two) = (fixture.handle().await, fixture.handle().await);
    let served = PeerId::random();
    echo(serve::<F>(&[&one], &two, &served).await, "");
    for bus in [&one, &two] {
        for _ in 0..20 {
            assert_no_peer_at_once(bus, &PeerId::random()).await;
        }
    }
    assert_eq!(ask(&one, &served, number(1)).await.unwrap(), number(1));
}

async fn assert_no_peer_at_once(bus: &Arc<dyn Bus>, peer: &PeerId) {
    let began = Instant::now();
    let outcome = ask(bus, peer, number(0)).await;
    assert!(matches!(outcome, Err(BusError::NoPeer)), "{outcome:?}");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

/// Serving ends with its feed: soon everybody is told, whatever the patience.
pub async fn a_peer_that_stopped_serving_is_told_at_once<F: Fixture>() {
    let fixture = F::start().await;
    let (asking, serving) = (fixture.handle().await, fixture.handle().await);
    let peer = PeerId::random();
    let serving = echo(serve::<F>(&[&asking], &serving, &peer).await, "");
    assert_eq!(ask(&asking, &peer, number(1)).await.unwrap(), number(1));
    serving.abort();
    serving.await.unwrap_err();
    // A request that is under way just then is let go of.
    let began = Instant::now();
    while !matches!(asking.request(&peer, number(2), PAUSE).await, Err(BusError::NoPeer)) {
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    }
    assert_no_peer_at_once(&asking, &peer).await;
}

/// A peer that takes its time is waited for as long as the caller says, and not much longer.
pub async fn patience_is_kept<F: Fixture>() {
    const MARGIN: Duration = Duration::from_secs(2);
    let fixture = F::start().await;
    let (asking, serving) = (fixture.handle().await, fixture.handle().await);
    let peer = PeerId::random();
    let mut feed = serve::<F>(&[&asking], &serving, &peer).await;
    let mut held = Vec::new();
    for patience in [Duration::ZERO, Duration::from_millis(30), Duration::from_millis(300)] {
        let began = Instant::now();
        let request = asking.request(&peer, number(0), patience);
        let taking = async {
            while let Some(request) = feed.next().await {
                held.push(request);
            }
        };
        let outcome = tokio::select! {
            outcome = request => outcome,
            () = taking => panic!("the feed ended"),
        };
        assert!(matches!(outcome, Err(BusError::NoAnswer)), "{outcome:?}");
        let took = began.elapsed();
        assert!(took >= patience && took < patience + MARGIN, "{took:?}");
    }
    assert!(!held.is_empty());
}

/// A request that is dropped unanswered does not cost its caller all of the patience.
pub async fn a_request_that_the_peer_lets_go_of_is_told_at_once<F: Fixture>() {
    let fixture = F::start().await;
    let (asking, serving) = (fixture.handle().await, fixture.handle().await);
    let peer = PeerId::random();
    let mut feed = serve::<F>(&[&asking], &serving, &peer).await;
    let letting_go = tokio::spawn(async move { while feed.next().await.is_some() {} });
    let began = Instant::now();
    let outcome = ask(&asking, &peer, number(0)).await;
    assert!(matches!(outcome, Err(BusError::NoAnswer)), "{outcome:?}");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    letting_go.abort();
}

/// A reply that comes when nobody waits any more is taken for no other's.
pub async fn a_late_reply_reaches_nobody<F: Fixture>() {
    let fixture = F::start().await;
    let (asking, serving) = (fixture.handle().await, fixture.handle().await);
    let peer = PeerId::random();
    let mut feed = serve::<F>(&[&asking], &serving, &peer).await;
    for round in 0..20 {
        let outcome = asking.request(&peer, Bytes::from_static(b"late"), Duration::from_millis(20)).await;
        assert!(matches!(outcome, Err(BusError::NoAnswer)), "{outcome:?}");
        let late = within("the request", feed.next()).await.unwrap();
        let answering = async {
            let request = within("the next request", feed.next()).await.unwrap();
            late.reply(Bytes::from_static(b"too late"));
            let payload = request.payload.clone();
            request.reply(payload);
        };
        let (reply, ()) = tokio::join!(ask(&asking, &peer, number(round)), answering);
        assert_eq!(reply.unwrap(), number(round));
    }
}

/// When the last handle goes, feeds do not hang.
pub async fn feeds_end_with_the_bus<F: Fixture>() {
    let fixture = F::start().await;
    let bus = fixture.handle().await;
    let mut signals = listen::<F>(&[], &bus, &team("a")).await;
    let peer = PeerId::random();
    let mut requests = serve::<F>(&[], &bus, &peer).await;
    bus.signal(&team("a"), number(1)).await.unwrap();
    assert_eq!(within("a signal", signals.next()).await.unwrap(), number(1));
    // Nobody answers it any more.
    let unanswered = bus.request(&peer, number(1), REQUEST_PATIENCE);
    let held = tokio::select! {
        outcome = unanswered => panic!("{outcome:?}"),
        request = requests.next() => request.unwrap(),
    };
    drop((bus, fixture));
    assert!(within("the end of the signals", signals.next()).await.is_none());
    assert!(within("the end of the requests", requests.next()).await.is_none());
    held.reply(Bytes::new());
}
