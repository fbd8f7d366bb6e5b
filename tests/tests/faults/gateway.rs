//! Gateways that die and stand still, and gateways that the log is away from: cut off, slow, or without single events.

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_client::RequestError;
use huddle_domain::EventKind;
use huddle_proto::{directory::v1::RemoveMemberRequest, gateway::v1::ErrorCode};
use huddle_tests::{
    Cluster, SERVICE_TOKEN,
    faults::{FleetOptions, World, WorldOptions},
    until,
};
use tokio::time::{sleep, timeout};

use crate::aid::{
    CALM, Looker, ON_THEIR_WAY, PATIENCE, Seen, Stayer, attempts_in, ends, ensure_none_accepted,
    ensure_senders_keep_their_order, longest_outcome, lose_live_event, metric, resident_mib,
};

/// Set to anything, partitions last 10 minutes instead of 5 s and a minute.
const LONG_VARIABLE: &str = "HUDDLE_FAULTS_LONG";
/// What the log lost on the way to a gateway comes to clients within this time, when nothing follows it.
const FOUND_BOUND: Duration = Duration::from_secs(30);
/// The same when something follows.
const SHOWN_BOUND: Duration = Duration::from_secs(5);
/// How long a removed member may go on when a gateway was not told.
const REVOKED_BOUND: Duration = Duration::from_mins(1);
/// The longest time without an acknowledgement to the clients of gateways that are well.
const OTHERS_GAP_BOUND: Duration = Duration::from_secs(2);
/// A team in which nothing happens but what a test does.
const QUIET: &str = "quiet";

#[tokio::test(flavor = "multi_thread")]
async fn f01_clients_of_a_killed_gateway_go_on_elsewhere_within_5_seconds_and_lose_and_double_nothing() -> Result<()> {
    const BACK_BOUND: Duration = Duration::from_secs(5);

    let mut world = Box::pin(World::start(WorldOptions::of("F1"))).await?;
    world.run_for(CALM).await?;
    world.fault("F1", "gateway-0 killed");
    world.cluster.gateways[0].kill9()?;
    world.until_back(PATIENCE).await?;
    let measured = world.measure();
    world.cluster.gateways[0].restart().await?;
    world.healed("F1");
    world.run_for(CALM).await?;
    Box::pin(world.settle()).await?;

    let (killed, other) = (&measured.gateways["gateway-0"], &measured.gateways["gateway-1"]);
    ensure!(killed.worst_client_gap <= BACK_BOUND, "clients of the killed gateway: {measured}");
    ensure!(other.gap <= OTHERS_GAP_BOUND, "clients of the other gateway: {measured}");
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f02_clients_of_a_gateway_that_stands_still_move_by_heartbeat_and_it_goes_on_without_them_and_doubles_nothing()
-> Result<()> {
    const STANDS_STILL: Duration = Duration::from_secs(30);
    /// Native clients ask after 5 s of silence, and wait 10 s; those of Socket.IO wait for the two settings below.
    const BACK_BOUND: Duration = Duration::from_secs(20);
    const LET_GO_BOUND: Duration = Duration::from_secs(10);

    let mut options = WorldOptions::of("F2");
    for setting in ["gateway.socketio.ping_interval", "gateway.socketio.ping_timeout"] {
        options.cluster.settings.push((setting.to_owned(), "5s".to_owned()));
    }
    let mut world = Box::pin(World::start(options)).await?;
    let stayer = Stayer::at(&world.cluster, 0, "owner", "team-1-0").await?;
    world.run_for(CALM).await?;
    world.fault("F2", "gateway-0 paused");
    let began = Instant::now();
    world.cluster.gateways[0].process().pause()?;
    world.run_for(ON_THEIR_WAY).await?;
    world.until_back(PATIENCE).await?;
    let measured = world.measure();
    world.run_for(STANDS_STILL.saturating_sub(began.elapsed())).await?;

    world.cluster.gateways[0].process().resume()?;
    let resumed = Instant::now();
    world.healed("F2");
    let gateway = &world.cluster.gateways[0];
    let staying = f64::from(u8::from(stayer.is_connected()));
    until("the gateway has let go of all who moved", LET_GO_BOUND, async || {
        let native = metric(gateway, "huddle_gateway_connections").await?;
        let sessions = metric(gateway, "huddle_socketio_sessions").await?;
        Ok((native <= staying && sessions <= 0.0).then_some(()))
    })
    .await?;
    let let_go = resumed.elapsed();
    world.cluster.gateways[0].wait_until_ready().await?;
    let ready = resumed.elapsed();
    world.run_for(2 * CALM).await?;
    let seen = stayer.ensure_chained()?;
    world.say(&format!(
        "went on: all who moved are let go after {let_go:?}, ready after {ready:?}; who stayed has seen {seen} events \
         without a hole and is {}",
        if stayer.is_connected() { "there still" } else { "disconnected" }
    ));
    Box::pin(world.settle()).await?;

    let (paused, other) = (&measured.gateways["gateway-0"], &measured.gateways["gateway-1"]);
    ensure!(paused.worst_client_gap <= BACK_BOUND, "clients of the gateway that stood still: {measured}");
    ensure!(other.gap <= OTHERS_GAP_BOUND, "clients of the other gateway: {measured}");
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_a_gateway_to_which_the_log_is_silent_acknowledges_nothing_and_fills_what_it_missed() -> Result<()> {
    cut_off("F5.silence", "silent", |cluster| {
        cluster.wires().between("gateway-0", "nats").silence();
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_a_gateway_that_is_cut_off_from_the_log_acknowledges_nothing_and_fills_what_it_missed() -> Result<()> {
    cut_off("F5.cut", "cut", |cluster| {
        cluster.wires().between("gateway-0", "nats").cut();
    })
    .await
}

/// Takes the log away from one gateway, for a moment and for long.
async fn cut_off(row: &str, how: &str, harm: impl Fn(&Cluster)) -> Result<()> {
    /// The log is tried for 15 s, and what is on its way then ends by itself.
    const OUTCOME_BOUND: Duration = Duration::from_secs(25);
    const BACK_BOUND: Duration = Duration::from_secs(20);

    let lengths: &[Duration] = match env::var_os(LONG_VARIABLE) {
        Some(_) => &[Duration::from_mins(10)],
        None => &[Duration::from_secs(5), Duration::from_mins(1)],
    };
    let mut world = Box::pin(World::start(WorldOptions::of(row))).await?;
    world.run_for(CALM).await?;
    let mut times = Vec::new();
    for length in lengths {
        let filled = metric(&world.cluster.gateways[0], "huddle_gateway_gaps_filled_total").await?;
        world.fault(row, &format!("gateway-0~nats {how} for {length:?}"));
        let from_us = world.recorder().now_us();
        harm(&world.cluster);
        world.run_for(*length).await?;
        let until_us = world.recorder().now_us();
        world.cluster.wires().between("gateway-0", "nats").heal();
        world.healed(row);
        let back = world.until_back(PATIENCE).await.with_context(|| format!("after {length:?}"))?;
        let measured = world.measure();
        let filled = metric(&world.cluster.gateways[0], "huddle_gateway_gaps_filled_total").await? - filled;
        world.say(&format!("{length:?} {how}: back {back:?} after it healed, {filled} gaps filled"));
        times.push((*length, from_us, until_us, back, measured));
        world.run_for(CALM).await?;
    }
    Box::pin(world.settle()).await?;

    let attempts = attempts_in(&world)?;
    for (length, from_us, until_us, back, measured) in times {
        world.say(&format!("{length:?} {how}: {:?}", ends(&attempts, "gateway-0", from_us, until_us)));
        ensure_none_accepted(&attempts, "gateway-0", from_us + micros(ON_THEIR_WAY), until_us)?;
        let outcome = longest_outcome(&attempts, "gateway-0", from_us, until_us)?;
        world.say(&format!("{length:?} {how}: the longest wait for the outcome of a send was {outcome:?}"));
        ensure!(outcome <= OUTCOME_BOUND, "{length:?} {how}: a send had no answer for {outcome:?}");
        ensure!(back <= BACK_BOUND, "{length:?} {how}: back after {back:?}");
        ensure!(measured.gateways["gateway-1"].gap <= OTHERS_GAP_BOUND, "the other gateway: {measured}");
    }
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_a_live_event_that_is_lost_is_filled_in_with_the_next_one_and_without_one_within_30_seconds() -> Result<()>
{
    let mut world = Box::pin(World::start(WorldOptions::of("F5.event"))).await?;
    world.run_for(CALM).await?;
    let link = world.cluster.wires().between("gateway-0", "nats");
    let of_gateway = async |world: &World, name: &str| metric(&world.cluster.gateways[0], name).await;

    let filled = of_gateway(&world, "huddle_gateway_gaps_filled_total").await?;
    world.fault("F5.event", "gateway-0 loses a live event of a busy team");
    let lost = lose_live_event(&link, "team-1-0", |_| true);
    timeout(PATIENCE, lost.reached(1)).await.context("no event was lost")?;
    let began = Instant::now();
    let filling = until("the hole is filled", SHOWN_BOUND, async || {
        Ok((of_gateway(&world, "huddle_gateway_gaps_filled_total").await? > filled).then_some(()))
    })
    .await;
    if filling.is_err() {
        // What the clients were shown says more.
        Box::pin(world.settle()).await?;
    }
    filling?;
    world.say(&format!("filled {:?} after it was lost", began.elapsed()));
    link.heal();
    world.healed("F5.event");

    world.cluster.create_team(QUIET, &["alice", "bob"]).await?;
    let mut alice = Looker::at(&world.cluster, 0, "alice", QUIET, None).await?;
    let bob = Looker::at(&world.cluster, 1, "bob", QUIET, None).await?;
    bob.send("before").await?;
    alice.expect("before", SHOWN_BOUND).await?;
    let behind = of_gateway(&world, "huddle_gateway_feeds_behind_total").await?;
    world.fault("F5.event", "gateway-0 loses the last live event of a quiet team");
    let lost = lose_live_event(&link, QUIET, |_| true);
    bob.send("lost").await?;
    let began = Instant::now();
    timeout(PATIENCE, lost.reached(1)).await.context("no event was lost")?;
    alice.expect("lost", FOUND_BOUND).await?;
    world.say(&format!("found {:?} after it was lost", began.elapsed()));
    let behind = of_gateway(&world, "huddle_gateway_feeds_behind_total").await? - behind;
    ensure!(behind >= 1.0, "nobody counted it");
    link.heal();
    world.healed("F5.event");
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_over_a_slow_link_to_the_log_senders_keep_their_order_and_messages_are_acknowledged() -> Result<()> {
    // About what 64 kbit/s carry: each message goes up, comes back as an event, and so do those of the others.
    let fleet = FleetOptions { messages_per_second: 6.0, guests: 0, ..FleetOptions::default() };
    let world = slow_link("F7", fleet).await?;
    let attempts = attempts_in(&world.world)?;
    let at_slow = ends(&attempts, "gateway-0", world.from_us, world.until_us);
    ensure!(at_slow.get("accepted").copied().unwrap_or_default() > 0, "nothing was acknowledged: {at_slow:?}");
    Box::pin(world.world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_link_to_the_log_that_is_too_slow_slows_senders_down_and_the_gateway_does_not_grow() -> Result<()> {
    let world = slow_link("F7.flood", FleetOptions { messages_per_second: 150.0, ..FleetOptions::default() }).await?;
    Box::pin(world.world.finish()).await
}

struct Slowed {
    world: World,
    from_us: u64,
    until_us: u64,
}

async fn slow_link(row: &str, fleet: FleetOptions) -> Result<Slowed> {
    const LATENCY: Duration = Duration::from_millis(200);
    const JITTER: Duration = Duration::from_millis(100);
    const BYTES_PER_SECOND: u64 = 64_000 / 8;
    /// The share that has to be sent again.
    const LOSS: f64 = 0.01;
    const SLOW: Duration = Duration::from_secs(40);
    const GROWTH_MIB_MAX: u64 = 64;
    const OUTCOME_BOUND: Duration = Duration::from_secs(30);

    let mut world = Box::pin(World::start(WorldOptions { fleet, ..WorldOptions::of(row) })).await?;
    world.run_for(CALM).await?;
    let pid = world.cluster.gateways[0].process().pid();
    let before = resident_mib(pid)?;
    world.fault(row, "gateway-0~nats slow");
    let from_us = world.recorder().now_us();
    let began = Instant::now();
    world.cluster.wires().between("gateway-0", "nats").slow(LATENCY, JITTER, BYTES_PER_SECOND).lossy(LOSS);
    let mut most = before;
    while began.elapsed() < SLOW {
        world.run_for(Duration::from_secs(1)).await?;
        most = most.max(resident_mib(pid)?);
    }
    let until_us = world.recorder().now_us();
    world.cluster.wires().between("gateway-0", "nats").heal();
    world.healed(row);
    let back = world.until_back(PATIENCE).await?;
    let measured = world.measure();
    most = most.max(resident_mib(pid)?);
    world.say(&format!("back {back:?} after it healed; the gateway has {before} MiB before and {most} MiB at most"));
    Box::pin(world.settle()).await?;

    let attempts = attempts_in(&world)?;
    world.say(&format!("over the slow link: {:?}", ends(&attempts, "gateway-0", from_us, until_us)));
    let in_order = ensure_senders_keep_their_order(&attempts)?;
    world.say(&format!("{in_order} messages in the order of their senders"));
    ensure!(most <= before + GROWTH_MIB_MAX, "the gateway grew from {before} MiB to {most} MiB");
    let outcome = longest_outcome(&attempts, "gateway-0", from_us, until_us)?;
    ensure!(outcome <= OUTCOME_BOUND, "a send had no answer for {outcome:?}");
    ensure!(measured.gateways["gateway-1"].gap <= Duration::from_secs(3), "the other gateway: {measured}");
    Ok(Slowed { world, from_us, until_us })
}

#[tokio::test(flavor = "multi_thread")]
async fn f37_a_removal_that_a_gateway_is_not_told_of_holds_before_the_next_event_and_within_a_minute_without_one()
-> Result<()> {
    const SEND_INTERVAL: Duration = Duration::from_millis(200);

    let fleet = FleetOptions { guests: 0, ..FleetOptions::default() };
    let mut world = Box::pin(World::start(WorldOptions { fleet, ..WorldOptions::of("F37") })).await?;
    world.cluster.create_team(QUIET, &["alice", "bob", "carol", "dave"]).await?;
    let alice = Looker::at(&world.cluster, 1, "alice", QUIET, None).await?;
    let mut others = Vec::new();
    for user in ["bob", "carol", "dave"] {
        let other = Looker::at(&world.cluster, 0, user, QUIET, None).await?;
        // From here on the gateway knows them.
        other.send(&format!("hello-from-{user}")).await?;
        others.push(other);
    }
    let [mut bob, mut carol, dave] = <[Looker; 3]>::try_from(others).ok().context("three of them")?;
    let hello = alice.send("hello").await?;
    bob.until(hello.seq.get(), SHOWN_BOUND).await?;
    carol.until(hello.seq.get(), SHOWN_BOUND).await?;

    // Something follows: it never comes before the removal.
    remove_unheard(&mut world, "bob").await?;
    let began = Instant::now();
    let next = alice.send("after-bob").await?;
    loop {
        match bob.next(SHOWN_BOUND).await? {
            Seen::Ended(code) => break ensure!(code == ErrorCode::NotFound.as_str_name(), "ended with {code}"),
            Seen::Event(event) => {
                ensure!(event.seq < next.seq, "a removed member was shown {event:?}");
                ensure!(matches!(event.kind, EventKind::MemberRemoved { .. }), "{event:?} came");
            }
        }
    }
    world.say(&format!("with traffic, events stopped {:?} after the removal", began.elapsed()));
    ensure_refused(&bob, "bob-after").await?;
    heal(&mut world);
    carol.until(next.seq.get(), SHOWN_BOUND).await?;

    // Nothing follows, and the gateway finds it by itself.
    remove_unheard(&mut world, "carol").await?;
    let began = Instant::now();
    loop {
        match carol.next(REVOKED_BOUND).await? {
            Seen::Ended(code) => break ensure!(code == ErrorCode::NotFound.as_str_name(), "ended with {code}"),
            Seen::Event(event) => ensure!(matches!(event.kind, EventKind::MemberRemoved { .. }), "{event:?} came"),
        }
    }
    world.say(&format!("without traffic, events stopped {:?} after the removal", began.elapsed()));
    ensure!(began.elapsed() <= REVOKED_BOUND, "events stopped {:?} after the removal", began.elapsed());
    ensure_refused(&carol, "carol-after").await?;
    heal(&mut world);

    // The removed member itself goes on sending.
    remove_unheard(&mut world, "dave").await?;
    let (began, mut taken) = (Instant::now(), 0);
    loop {
        ensure!(began.elapsed() <= REVOKED_BOUND, "sends were taken {:?} after the removal", began.elapsed());
        match dave.send(&format!("dave-{taken}")).await {
            Ok(_) => taken += 1,
            Err(RequestError::Refused(refusal)) if refusal.code == ErrorCode::NotFound => break,
            Err(error) => bail!("dave is told {error}"),
        }
        sleep(SEND_INTERVAL).await;
    }
    world.say(&format!("sends stopped {:?} after the removal; {taken} were taken", began.elapsed()));
    heal(&mut world);
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

/// Removes `user`, and one gateway does not hear of it.
async fn remove_unheard(world: &mut World, user: &str) -> Result<()> {
    let client_id = format!("removal-of-{user}");
    world.fault("F37", &format!("gateway-0 loses the removal of {user}"));
    let mark = client_id.clone();
    let link = world.cluster.wires().between("gateway-0", "nats");
    let lost = lose_live_event(&link, QUIET, move |message| message.payload_holds(&mark));
    let mut directory = world.cluster.directory_client(SERVICE_TOKEN)?;
    let request = RemoveMemberRequest { team: QUIET.to_owned(), user: user.to_owned(), client_id };
    directory.remove_member(request).await?;
    timeout(PATIENCE, lost.reached(1)).await.context("the removal was not lost")
}

fn heal(world: &mut World) {
    world.cluster.wires().between("gateway-0", "nats").heal();
    world.healed("F37");
}

async fn ensure_refused(looker: &Looker, client_id: &str) -> Result<()> {
    match looker.send(client_id).await {
        Err(RequestError::Refused(refusal)) if refusal.code == ErrorCode::NotFound => Ok(()),
        other => bail!("a removed member's send ended with {other:?}"),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
