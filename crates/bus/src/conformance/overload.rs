//! Somebody is too slow: that is nobody else's trouble.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::time::Instant;

use super::{
    Fixture,
    support::{PAUSE, as_number, ask, echo, listen, next, number, serve, team, within},
};
use crate::{BusError, PeerId, queue};

/// A listener that does not read keeps the newest signals, as many as the bound says; one that reads gets all of them.
pub async fn a_listener_that_does_not_read_loses_the_oldest_and_delays_nobody<F: Fixture>() {
    const SIGNALS: usize = queue::SIGNALS_MAX * 8;
    const AHEAD: usize = queue::SIGNALS_MAX / 2;
    let fixture = F::start().await;
    let (saying, listening) = (fixture.handle().await, fixture.handle().await);
    let team = team("a");
    let mut slow = listen::<F>(&[&saying], &listening, &team).await;
    let mut quick = listen::<F>(&[&saying], &listening, &team).await;
    for said in 0..SIGNALS + AHEAD {
        if said < SIGNALS {
            within("a signal", saying.signal(&team, number(said))).await.unwrap();
        }
        if let Some(expected) = said.checked_sub(AHEAD) {
            assert_eq!(as_number(&next(&mut quick).await), expected);
        }
    }
    let lost = SIGNALS - queue::SIGNALS_MAX;
    let all_counted = async {
        while listening.losses().signals < u64::try_from(lost).unwrap() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    within("losses that are counted", all_counted).await;
    for expected in lost..SIGNALS {
        assert_eq!(as_number(&next(&mut slow).await), expected);
    }
    assert!(slow.next().now_or_never().is_none());
    // It goes on as if nothing had been.
    saying.signal(&team, number(SIGNALS)).await.unwrap();
    assert_eq!(as_number(&next(&mut slow).await), SIGNALS);
}

/// A peer that takes no requests holds up neither other peers nor signals, on the same handles; those who ask it are told in
/// time.
pub async fn an_overloaded_peer_blocks_no_other<F: Fixture>() {
    const REQUESTS: usize = queue::REQUESTS_MAX + 1_000;
    const FLOOD_PATIENCE: Duration = Duration::from_secs(5);
    /// For the machine, which has thousands of requests to look after meanwhile.
    const MARGIN: Duration = Duration::from_secs(5);
    let fixture = F::start().await;
    let (asking, serving) = (fixture.handle().await, fixture.handle().await);
    let (stuck, free, team) = (PeerId::random(), PeerId::random(), team("a"));
    let held = serve::<F>(&[&asking], &serving, &stuck).await;
    echo(serve::<F>(&[&asking], &serving, &free).await, "");
    let mut signals = listen::<F>(&[&asking], &serving, &team).await;
    let flood = stream::iter(0..REQUESTS)
        .map(|index| {
            let (asking, stuck) = (&asking, &stuck);
            async move {
                let began = Instant::now();
                let outcome = asking.request(stuck, number(index), FLOOD_PATIENCE).await;
                assert!(began.elapsed() < FLOOD_PATIENCE + MARGIN, "{:?}", began.elapsed());
                match outcome {
                    Err(BusError::Unavailable { .. }) => (1, 0),
                    Err(BusError::NoAnswer) => (0, 1),
                    outcome => panic!("{outcome:?}"),
                }
            }
        })
        .buffer_unordered(REQUESTS)
        .fold((0, 0), async |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let others = async {
        for index in 0..200 {
            assert_eq!(ask(&asking, &free, number(index)).await.unwrap(), number(index));
            asking.signal(&team, number(index)).await.unwrap();
            assert_eq!(as_number(&next(&mut signals).await), index);
        }
        Instant::now()
    };
    let (began, flood) = (Instant::now(), async { (flood.await, Instant::now()) });
    let (((full, unanswered), flood_ended), others_ended) =
        within("all of it", async { tokio::join!(flood, others) }).await;
    assert!(others_ended < flood_ended, "{:?} and {:?}", flood_ended - began, others_ended - began);
    assert_eq!((full, unanswered), (REQUESTS - queue::REQUESTS_MAX, queue::REQUESTS_MAX));
    assert_eq!(serving.losses().requests, u64::try_from(full).unwrap());
    drop(held);
}
