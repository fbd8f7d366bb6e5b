//! Processes and servers that end abruptly.

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep};

use super::{
    Outages,
    support::{AT_ONCE, PAUSE, as_number, ask, echo, listen, next, number, serve, team, within},
};
use crate::{BusError, PeerId};

/// The peer of a process that is gone is as good as none, right away.
pub async fn a_killed_peer_is_told_at_once<F: Outages>() {
    let fixture = F::start().await;
    let (asking, serving) = (fixture.handle().await, fixture.handle().await);
    let staying = PeerId::random();
    echo(serve::<F>(&[&asking], &serving, &staying).await, "");
    for round in 0..5 {
        let (doomed, kill) = fixture.doomed().await;
        let peer = PeerId::random();
        let feed = serve::<F>(&[&asking], &doomed, &peer).await;
        echo(feed, "");
        assert_eq!(ask(&asking, &peer, number(round)).await.unwrap(), number(round));
        within("killing", fixture.kill(kill)).await;
        let began = Instant::now();
        // A request that is under way just then is lost.
        while !matches!(asking.request(&peer, number(round), PAUSE).await, Err(BusError::NoPeer)) {
            assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        }
        let began = Instant::now();
        let outcome = ask(&asking, &peer, number(round)).await;
        assert!(matches!(outcome, Err(BusError::NoPeer)), "{outcome:?}");
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    }
    assert_eq!(ask(&asking, &staying, number(1)).await.unwrap(), number(1));
}

/// Feeds outlive what carries them: nobody has to listen or serve again. Meanwhile nobody waits beyond its patience.
pub async fn signals_and_serving_go_on_after_an_outage<F: Outages>() {
    let fixture = F::start().await;
    let (one, two) = (fixture.handle().await, fixture.handle().await);
    let (team, peer) = (team("a"), PeerId::random());
    let mut feed = listen::<F>(&[&one], &two, &team).await;
    echo(serve::<F>(&[&one], &two, &peer).await, "");
    assert_eq!(ask(&one, &peer, number(0)).await.unwrap(), number(0));
    within("kill and restart", fixture.kill_and_restart()).await;

    let hello = Bytes::from_static(b"again");
    let signalling = async {
        loop {
            match one.signal(&team, hello.clone()).await {
                Ok(()) | Err(BusError::Unavailable { .. }) => sleep(PAUSE).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let heard = async { while next(&mut feed).await != hello {} };
    within("a signal after the outage", async {
        tokio::select! { () = signalling => {}, () = heard => {} }
    })
    .await;
    let asking = async {
        loop {
            match ask(&one, &peer, hello.clone()).await {
                Ok(reply) => return reply,
                Err(BusError::TooLarge) => panic!("too large"),
                Err(_) => sleep(PAUSE).await,
            }
        }
    };
    assert_eq!(within("an answer after the outage", asking).await, hello);

    let mut feed = feed.filter(move |payload| std::future::ready(*payload != hello)).boxed();
    for index in 0..100 {
        one.signal(&team, number(index)).await.unwrap();
        assert_eq!(as_number(&next(&mut feed).await), index);
        assert_eq!(ask(&one, &peer, number(index)).await.unwrap(), number(index));
    }
}
