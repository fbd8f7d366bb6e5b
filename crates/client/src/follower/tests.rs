//! The follower against a gateway that is played frame by frame.

use huddle_proto::gateway::v1::{
    self as proto, ErrorCode, GoAway, Subscribe, client_frame::Request, server_frame::Content,
};

use super::*;
use crate::test_gateway::{Peer, TestGateway, event, within};

fn team() -> TeamId {
    TeamId::parse("demo").unwrap()
}

async fn subscribed(peer: &mut Peer, last_seq: u64) -> Subscribe {
    let (id, Request::Subscribe(subscribe)) = peer.request().await else { panic!("not a subscribe") };
    peer.reply(id, Content::Subscribed(proto::Subscribed { team: "demo".to_owned(), last_seq })).await;
    subscribe
}

/// The next event's position and, before it, how often the flow was lost.
async fn next_event(follower: &mut Follower) -> (u64, usize) {
    let mut lost = 0;
    loop {
        match within(follower.next()).await.unwrap() {
            Followed::Event(event) => return (event.seq.get(), lost),
            Followed::Disconnected { .. } => lost += 1,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_follower_resumes_with_its_cursor_and_yields_each_event_once() {
    let gateway = TestGateway::start().await;
    let mut follower = Follower::new(gateway.options(), team(), Some(Seq::new(3)));
    let script = async {
        let mut peer = gateway.welcome().await;
        assert_eq!(subscribed(&mut peer, 5).await.after, Some(3));
        peer.event(4, 3).await;
        peer.event(5, 4).await;
        peer.event(5, 4).await;
        peer.close(4000).await;
        let mut peer = gateway.welcome().await;
        assert_eq!(subscribed(&mut peer, 9).await.after, Some(5));
        peer.event(9, 5).await;
        peer
    };
    let events = async {
        assert_eq!(next_event(&mut follower).await, (4, 0));
        assert_eq!(next_event(&mut follower).await, (5, 0));
        assert_eq!(next_event(&mut follower).await, (9, 1));
    };
    tokio::join!(Box::pin(script), events);
    assert_eq!(follower.cursor(), Some(Seq::new(9)));
}

#[tokio::test]
async fn a_follower_without_a_cursor_resumes_from_where_it_began() {
    let gateway = TestGateway::start().await;
    let mut follower = Follower::new(gateway.options(), team(), None);
    let script = async {
        let mut peer = gateway.welcome().await;
        assert_eq!(subscribed(&mut peer, 7).await.after, None);
        peer.close(4001).await;
        let mut peer = gateway.welcome().await;
        assert_eq!(subscribed(&mut peer, 8).await.after, Some(7));
        peer.event(8, 7).await;
        peer
    };
    tokio::join!(Box::pin(script), async { assert_eq!(next_event(&mut follower).await, (8, 1)) });
}

#[tokio::test]
async fn a_hole_is_never_skipped() {
    let gateway = TestGateway::start().await;
    let mut follower = Follower::new(gateway.options(), team(), Some(Seq::new(3)));
    let script = async {
        let mut peer = gateway.welcome().await;
        subscribed(&mut peer, 6).await;
        peer.event(6, 5).await;
        let mut again = gateway.welcome().await;
        assert_eq!(subscribed(&mut again, 6).await.after, Some(3));
        again.event(5, 3).await;
        again.event(6, 5).await;
        (peer, again)
    };
    let events = async {
        assert_eq!(next_event(&mut follower).await, (5, 1));
        assert_eq!(next_event(&mut follower).await, (6, 0));
    };
    tokio::join!(Box::pin(script), events);
}

#[tokio::test]
async fn a_gateway_that_goes_says_when_to_come_back() {
    let gateway = TestGateway::start().await;
    let mut follower = Follower::new(gateway.options(), team(), None);
    let script = async {
        let mut peer = gateway.welcome().await;
        subscribed(&mut peer, 7).await;
        peer.push(Content::GoAway(GoAway { reconnect_in_ms: 3_600_000 })).await;
        peer.close(1012).await;
    };
    let lost = async {
        loop {
            if let Followed::Disconnected { retry_in, .. } = within(follower.next()).await.unwrap() {
                return retry_in;
            }
        }
    };
    let ((), retry_in) = tokio::join!(Box::pin(script), lost);
    assert!(retry_in > Duration::from_secs(3_500), "{retry_in:?}");
}

#[tokio::test]
async fn what_another_connection_would_not_mend_is_an_error() {
    let gateway = TestGateway::start().await;
    let mut follower = Follower::new(gateway.options(), team(), None);
    let script = async {
        let mut peer = gateway.welcome().await;
        let (id, _) = peer.request().await;
        let error = proto::Error { code: ErrorCode::NotFound.into(), ..proto::Error::default() };
        peer.reply(id, Content::Error(error)).await;
        peer
    };
    let (_peer, outcome) = tokio::join!(Box::pin(script), within(follower.next()));
    assert!(matches!(outcome, Err(FollowError::Refused(refusal)) if refusal.code == ErrorCode::NotFound));
}

async fn asked_for_page(peer: &mut Peer) -> (String, u64) {
    let (id, Request::ListEvents(asked)) = peer.request().await else { panic!("no page is asked for") };
    assert_eq!(asked.team, "demo");
    (id, asked.after)
}

/// Answers with events that follow on each other, the first one on `prev_seq`.
async fn page(peer: &mut Peer, id: String, mut prev_seq: u64, seqs: &[u64], has_more: bool) {
    let mut events = Vec::new();
    for seq in seqs {
        events.push(event(*seq, prev_seq));
        prev_seq = *seq;
    }
    peer.reply(id, Content::Events(proto::Events { team: "demo".to_owned(), events, has_more })).await;
}

/// Is too slow for two subscriptions, and returns the next connection with its first request for a page.
async fn slow_twice(gateway: &TestGateway) -> (Peer, String, u64) {
    let mut peer = gateway.welcome().await;
    subscribed(&mut peer, 9).await;
    peer.event(4, 3).await;
    peer.close(4000).await;
    let mut peer = gateway.welcome().await;
    assert_eq!(subscribed(&mut peer, 9).await.after, Some(4));
    let error = proto::Error { code: ErrorCode::Overloaded.into(), ..proto::Error::default() };
    let ended = proto::SubscriptionEnded { team: "demo".to_owned(), error: Some(error) };
    peer.push(Content::SubscriptionEnded(ended)).await;
    let mut peer = gateway.welcome().await;
    let (id, after) = asked_for_page(&mut peer).await;
    (peer, id, after)
}

#[tokio::test]
async fn a_reader_that_is_too_slow_twice_reads_pages_as_it_takes_them_and_then_subscribes() {
    let gateway = TestGateway::start().await;
    let mut follower = Follower::new(gateway.options(), team(), Some(Seq::new(3)));
    let taken = std::cell::RefCell::new(Vec::new());
    let script = async {
        let (mut peer, id, after) = slow_twice(&gateway).await;
        assert_eq!(after, 4);
        page(&mut peer, id, 4, &[5, 6], true).await;
        let (_, after) = asked_for_page(&mut peer).await;
        assert_eq!((after, taken.borrow().as_slice()), (6, &[4, 5, 6][..]), "asked for before it was wanted");
        peer.close(1012).await;
        let mut peer = gateway.welcome().await;
        let (id, after) = asked_for_page(&mut peer).await;
        assert_eq!(after, 6);
        page(&mut peer, id, 5, &[6, 7], false).await;
        assert_eq!(subscribed(&mut peer, 8).await.after, Some(7));
        peer.event(7, 6).await;
        peer.event(8, 7).await;
        peer
    };
    let events = async {
        while taken.borrow().last() != Some(&8) {
            let (seq, _) = next_event(&mut follower).await;
            taken.borrow_mut().push(seq);
        }
    };
    tokio::join!(Box::pin(script), events);
    assert_eq!(*taken.borrow(), [4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_hole_in_a_page_is_never_skipped() {
    let gateway = TestGateway::start().await;
    let mut follower = Follower::new(gateway.options(), team(), Some(Seq::new(3)));
    let script = async {
        let (mut peer, id, _) = slow_twice(&gateway).await;
        page(&mut peer, id, 5, &[6], false).await;
        let mut again = gateway.welcome().await;
        let (id, after) = asked_for_page(&mut again).await;
        assert_eq!(after, 4);
        page(&mut again, id, 4, &[5, 6], false).await;
        (peer, again)
    };
    let events = async {
        for expected in [4, 5, 6] {
            assert_eq!(next_event(&mut follower).await.0, expected);
        }
    };
    tokio::join!(Box::pin(script), events);
}

#[tokio::test]
async fn a_page_that_was_asked_for_is_taken_though_nobody_waited_for_it() {
    let gateway = TestGateway::start().await;
    let mut follower = Follower::new(gateway.options(), team(), Some(Seq::new(3)));
    let (mut peer, id, _) = {
        let slow = Box::pin(slow_twice(&gateway));
        let events = async {
            next_event(&mut follower).await;
            next_event(&mut follower).await
        };
        tokio::select! {
            slow = slow => slow,
            event = events => panic!("{event:?} though there is no page yet"),
        }
    };
    page(&mut peer, id, 4, &[5], true).await;
    assert_eq!(next_event(&mut follower).await, (5, 0));
    let (follower, asked) = (&mut follower, Box::pin(asked_for_page(&mut peer)));
    let (_, after) = tokio::select! {
        asked = asked => asked,
        event = next_event(follower) => panic!("{event:?} though there is no page yet"),
    };
    assert_eq!(after, 5);
}

#[tokio::test]
async fn a_gateway_that_knows_no_pages_is_subscribed_to() {
    let gateway = TestGateway::start().await;
    let mut follower = Follower::new(gateway.options(), team(), Some(Seq::new(3)));
    let script = async {
        let (mut peer, id, _) = slow_twice(&gateway).await;
        let error = proto::Error { code: ErrorCode::UnknownRequest.into(), ..proto::Error::default() };
        peer.reply(id, Content::Error(error)).await;
        assert_eq!(subscribed(&mut peer, 9).await.after, Some(4));
        peer.event(9, 4).await;
        peer
    };
    let events = async {
        assert_eq!(next_event(&mut follower).await.0, 4);
        assert_eq!(next_event(&mut follower).await.0, 9);
    };
    tokio::join!(Box::pin(script), events);
}
