//! How much a message may hold.

use bytes::Bytes;

use super::{
    Fixture,
    support::{ask, echo, listen, next, serve, team, within},
};
use crate::{BusError, PAYLOAD_BYTES_MAX, PeerId};

fn payload(bytes: usize) -> Bytes {
    (0..bytes).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

/// Signals, requests and replies of no bytes and of the most that is allowed arrive as they are; one byte more is refused.
pub async fn payloads_up_to_the_limit_pass_and_no_larger<F: Fixture>() {
    let fixture = F::start().await;
    let (one, two) = (fixture.handle().await, fixture.handle().await);
    let (team, peer) = (team("a"), PeerId::random());
    let mut feed = listen::<F>(&[&one], &two, &team).await;
    let serving = echo(serve::<F>(&[&one], &two, &peer).await, "");
    for bytes in [0, 1, PAYLOAD_BYTES_MAX] {
        let payload = payload(bytes);
        within("a signal", one.signal(&team, payload.clone())).await.unwrap();
        assert!(next(&mut feed).await == payload, "a signal of {bytes} bytes");
        assert!(ask(&one, &peer, payload.clone()).await.unwrap() == payload, "a request of {bytes} bytes");
    }
    let too_large = payload(PAYLOAD_BYTES_MAX + 1);
    let outcome = one.signal(&team, too_large.clone()).await;
    assert!(matches!(outcome, Err(BusError::TooLarge)), "{outcome:?}");
    let outcome = ask(&one, &peer, too_large).await;
    assert!(matches!(outcome, Err(BusError::TooLarge)), "{:?}", outcome.map(|reply| reply.len()));
    serving.abort();
}

/// A reply of one byte too many is not sent in part, and its caller is told.
pub async fn a_reply_beyond_the_limit_is_no_answer<F: Fixture>() {
    let fixture = F::start().await;
    let (asking, serving) = (fixture.handle().await, fixture.handle().await);
    let peer = PeerId::random();
    let serving = echo(serve::<F>(&[&asking], &serving, &peer).await, "x");
    let outcome = ask(&asking, &peer, payload(PAYLOAD_BYTES_MAX)).await;
    assert!(matches!(outcome, Err(BusError::NoAnswer)), "{:?}", outcome.map(|reply| reply.len()));
    let reply = ask(&asking, &peer, payload(PAYLOAD_BYTES_MAX - 1)).await.unwrap();
    assert_eq!(reply.len(), PAYLOAD_BYTES_MAX);
    serving.abort();
}
