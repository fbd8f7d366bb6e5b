//! What persistence does on a good day, and with bad entries.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use huddle_domain::{EventKind, Seq};
use huddle_log::{Condition, Log as _, StoredMark};
use huddle_proto::{encode_new_event, event::v1 as wire};
use huddle_store::{DirectoryStore as _, PartitionStore as _};
use prost::Message as _;
use tokio::time::timeout;

use crate::support::{
    P0, PATIENCE, Stack, assert_exactly_once, eventually, message, publish, stored, stored_up_to, team,
};

#[tokio::test]
async fn what_is_published_is_stored_in_order_and_announced() {
    let stack = Stack::start().await;
    let (log, store) = (stack.log().await, stack.store());
    let replica = stack.replica().await;
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    let mut marks = log.stored_marks().await.unwrap();

    let published = publish(&*log, &team("a"), 1, 2_000).await;
    let last = published[published.len() - 1].0;
    let announced = async { while marks.next().await.unwrap().seq < last {} };
    timeout(PATIENCE, announced).await.unwrap();
    assert_exactly_once(&stored(&store, &team("a")).await, &published);
    assert_eq!(replica.metric("huddle_persistence_events_stored_total"), 2_000);
    assert!(replica.metric("huddle_persistence_batches_total") < 1_000, "what gathers is one batch");
    assert_eq!(replica.metric("huddle_persistence_gaps_total"), 0);
    replica.stop().await;
}

#[tokio::test]
async fn the_watermark_is_announced_every_second_without_traffic() {
    const SECONDS: u32 = 4;
    let stack = Stack::start().await;
    let log = stack.log().await;
    let replica = stack.replica().await;
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    let published = publish(&*log, &team("a"), 1, 1).await;
    stored_up_to(&stack.store(), published[0].0).await;

    let mut marks = log.stored_marks().await.unwrap();
    let expected = StoredMark { partition: P0, seq: published[0].0 };
    let began = Instant::now();
    for _ in 0..SECONDS {
        assert_eq!(timeout(PATIENCE, marks.next()).await.unwrap(), Some(expected));
    }
    // A busy machine delays a tick, and nothing makes up for it.
    assert!(began.elapsed() < Duration::from_millis(1_500) * SECONDS, "{:?}", began.elapsed());
    replica.stop().await;
}

#[tokio::test]
async fn an_entry_that_is_no_event_is_put_aside_and_its_neighbours_are_stored() {
    let stack = Stack::start().await;
    let (log, store) = (stack.log().await, stack.store());
    let replica = stack.replica().await;
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());

    let mut published = publish(&*log, &team("a"), 1, 10).await;
    for poison in [&b"\xff\xff\xff"[..], b"", b"{\"json\": true}", &[0; 4_096]] {
        stack.append_raw(&team("a"), poison).await;
    }
    let event = |change: &dyn Fn(&mut wire::Event)| {
        let mut event = wire::Event::decode(&*encode_new_event(&message(&team("a"), 99))).unwrap();
        change(&mut event);
        event.encode_to_vec()
    };
    let body = |text: String| {
        event(&move |event| {
            let Some(wire::event::Kind::Posted(posted)) = &mut event.kind else { panic!("it is a message") };
            posted.body.clone_from(&text);
        })
    };
    let well_formed_and_not_allowed = [
        body("a NUL \0 in it".to_owned()),
        body("x".repeat(100_000)),
        body(String::new()),
        event(&|event| event.sender = "7".repeat(300)),
        event(&|event| event.client_id = "a.b > *".to_owned()),
        event(&|event| event.team = "another".to_owned()),
        event(&|event| event.kind = None),
    ];
    for poison in &well_formed_and_not_allowed {
        stack.append_raw(&team("a"), poison).await;
    }
    published.extend(publish(&*log, &team("a"), 11, 10).await);
    stored_up_to(&store, published[19].0).await;
    assert_exactly_once(&stored(&store, &team("a")).await, &published);
    let undecodable = "huddle_persistence_dead_letters_total{reason=\"undecodable\"}";
    eventually(PATIENCE, async || replica.metric(undecodable) == 11).await;
    assert_eq!(stack.sql("SELECT count(*), count(DISTINCT seq) FROM dead_letters").await, "11|11", "one each");
    let kept = stack.sql("SELECT encode(payload, 'hex') FROM dead_letters ORDER BY seq OFFSET 4").await;
    let hex = |bytes: Vec<u8>| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    let sent = well_formed_and_not_allowed.map(hex);
    assert_eq!(kept, sent.join("\n"), "as they stand in the log");
    assert_eq!(replica.metric("huddle_persistence_gaps_total"), 0);
    replica.stop().await;
}

#[tokio::test]
async fn membership_follows_the_log() {
    let stack = Stack::start().await;
    let (log, store) = (stack.log().await, stack.store());
    let replica = stack.replica().await;
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    let mut creation = message(&team("a"), 1);
    let (name, owner) = (huddle_domain::Name::parse("A").unwrap(), creation.sender.clone());
    creation.kind = EventKind::TeamCreated { name, owner: owner.clone() };
    let seq = log.publish(creation, Condition::FirstOfTeam).await.unwrap().await.unwrap().seq;
    stored_up_to(&store, seq).await;
    let membership = store.membership(&team("a"), &owner, None).await.unwrap().unwrap();
    assert_eq!(membership.role, huddle_domain::Role::Owner);
    replica.stop().await;
}

#[tokio::test]
async fn a_log_that_was_lost_is_continued_above_what_is_stored() {
    let mut stack = Stack::start().await;
    let replica = stack.replica().await;
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    let before = publish(&*stack.log().await, &team("a"), 1, 5).await;
    let store = stack.store();
    stored_up_to(&store, before[4].0).await;
    replica.stop().await;

    stack.nats = huddle_devstack::Nats::start(&stack.tools, huddle_devstack::NatsOptions::default()).await.unwrap();
    let replica = stack.replica().await;
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    let after = publish(&*stack.log().await, &team("a"), 6, 5).await;
    assert!(after[0].0 > Seq::new(before[4].0.get() + 1_000_000));
    stored_up_to(&store, after[4].0).await;
    assert_exactly_once(&stored(&store, &team("a")).await, &[before, after].concat());
    assert_eq!(replica.metric("huddle_persistence_gaps_total"), 0);
    assert_eq!(store.progress(P0).await.unwrap(), replica_position(&stack).await);
    replica.stop().await;
}

async fn replica_position(stack: &Stack) -> Seq {
    stack.log().await.last_seq(&team("a")).await.unwrap().unwrap()
}
