//! Readers that hardly read.
//!
//! That such a reader costs the gateway no memory, and can pull pages at its own pace, is shown in
//! `tests/tests/bad_input/slow.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_client::{Client, Encoding};
use huddle_domain::{ClientId, TeamId};
use huddle_tests::{
    Service,
    faults::{World, WorldOptions},
    raw_ws::{Opening, RawWs, Received},
};
use serde_json::{Value, json};

use crate::aid::{CALM, Looker, PATIENCE, Seen};

const ROW: &str = "F31";
const TEAM: &str = "loud";
/// A page's first frames fit into this, and no more.
const RECEIVE_BUFFER_BYTES: u32 = 4 * 1024;
const READING_INTERVAL: Duration = Duration::from_secs(1);
/// Sends between two looks at whether the gateway has had enough of the reader.
const SENDS_AT_ONCE: usize = 16;
/// More than outbox and kernel take in for one connection: 15 MB.
const SENDS_MAX: usize = 1_000;
/// Others are shown what the slow reader does not read within this time.
const SHOWN_BOUND: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn f31_a_reader_of_a_byte_a_second_is_closed_and_goes_on_from_its_cursor_without_a_hole() -> Result<()> {
    let mut world = Box::pin(World::start(WorldOptions::of(ROW))).await?;
    world.cluster.create_team(TEAM, &["alice", "bob", "slow"]).await?;
    let opening = Opening { receive_buffer_bytes: Some(RECEIVE_BUFFER_BYTES), ..Opening::default() };
    let mut slow = RawWs::open_with(&world.cluster.ws_url(0), opening).await?;
    slow.hello(&world.cluster.token("slow")?).await?;
    let subscribed = slow.request(json!({"subscribe": {"team": TEAM}})).await?;
    let mut cursor = number(&subscribed["subscribed"], "last_seq")?;
    let mut bob = Looker::at(&world.cluster, 0, "bob", TEAM, None).await?;
    let (alice, mut to_alice) =
        Box::pin(Client::connect(&world.cluster.client_options(1, "alice", Encoding::Proto)?)).await?;
    let hearing = tokio::spawn(async move { while to_alice.next().await.is_some() {} });
    world.run_for(CALM).await?;

    world.fault(ROW, "gateway-0 has a reader of a byte a second");
    let closes = closes(&world.cluster.gateways[0]).await?;
    let (team, body) = (TeamId::parse(TEAM)?, "😀".repeat(3_900));
    let (mut sent, mut reads_at) = (Vec::new(), Instant::now());
    while self::closes(&world.cluster.gateways[0]).await? <= closes {
        ensure!(sent.len() < SENDS_MAX, "the reader of a byte a second is there still after {} sends", sent.len());
        for _ in 0..SENDS_AT_ONCE {
            let client_id = ClientId::parse(&format!("loud-{}", sent.len()))?;
            sent.push(alice.send(&team, &client_id, &body).await?.seq.get());
        }
        bob.until(sent[sent.len() - 1], SHOWN_BOUND).await.context("the slow one slows others down")?;
        if Instant::now() >= reads_at {
            slow.read_a_byte().await?;
            reads_at += READING_INTERVAL;
        }
    }
    world.say(&format!("the reader of a byte a second was closed after {} sends", sent.len()));
    let measured = world.measure();
    world.healed(ROW);
    alice.close().await;
    hearing.await?;

    let mut seen = Vec::new();
    let mut close = None;
    for said in slow.until_the_end().await? {
        match said {
            Received::Frame(frame) if frame.get("event").is_some() => {
                let (seq, prev_seq) = (number(&frame["event"], "seq")?, number(&frame["event"], "prev_seq")?);
                ensure!(prev_seq == cursor, "{seq} says that it follows {prev_seq}, and {cursor} came before it");
                cursor = seq;
                seen.push(seq);
            }
            Received::Frame(frame) if frame.get("caught_up").is_some() => {}
            Received::Close(code) => close = Some(code),
            other => bail!("{other:?}"),
        }
    }
    ensure!(close == Some(Some(4000)), "closed with {close:?}");
    ensure!(slow.close_reason().contains("resync from your cursor"), "{:?}", slow.close_reason());
    ensure!(seen.len() < sent.len(), "closed although it had everything");
    let mut again = Looker::at(&world.cluster, 1, "slow", TEAM, Some(cursor)).await?;
    while seen.len() < sent.len() {
        let Seen::Event(event) = again.next(PATIENCE).await? else { bail!("the subscription has ended") };
        ensure!(event.prev_seq.get() == cursor, "{} follows {}, and not {cursor}", event.seq, event.prev_seq);
        cursor = event.seq.get();
        seen.push(cursor);
    }
    ensure!(seen == sent, "the slow one has seen something else than what was sent");
    ensure!(measured.gap <= SHOWN_BOUND, "{measured}");
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

/// How many connections the gateway has closed because they read too slowly.
async fn closes(gateway: &Service) -> Result<f64> {
    let series = "huddle_gateway_closes_total{code=\"CLOSE_CODE_SLOW_CONSUMER\"}";
    Ok(gateway.metrics().await?.series(series).unwrap_or_default())
}

/// 64-bit numbers are texts in JSON, and left out when they are 0.
fn number(of: &Value, name: &str) -> Result<u64> {
    match of.get(name) {
        None => Ok(0),
        Some(number) => Ok(number.as_str().with_context(|| format!("{name} in {of}"))?.parse()?),
    }
}
