//! What stands beside and before the gateways: history that does not answer, and load balancers of all sorts.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use huddle_tests::{
    faults::{
        FleetOptions, Front, OldProxy, World, WorldOptions,
        wire::{Direction, Link, Protocol, Wire},
    },
    http,
    raw_ws::{RawWs, Received},
    until,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Child,
    task::JoinHandle,
    time::timeout,
};

use crate::aid::{CALM, Looker, PATIENCE, Stayer, ensure_refused_or_whole, lose_live_event, metric, psql};

const HISTORY_AWAY: Duration = Duration::from_secs(15);
/// A busy team of the fleet, and who is in it without doing anything.
const BUSY: &str = "team-1-0";
const BYSTANDER: &str = "owner";

#[tokio::test(flavor = "multi_thread")]
async fn f28_while_history_is_killed_paused_or_slow_gateways_fill_gaps_from_the_log_and_serve_all_else() -> Result<()> {
    let mut world = Box::pin(World::start(WorldOptions::of("F28"))).await?;
    // Where somebody was who comes back later. What lies before the log's beginning only history knows.
    let cursor = *world.recorder().recently_accepted(BUSY).first().context("no sends")?;
    world.run_for(CALM).await?;

    world.fault("F28", "history-0 killed");
    world.cluster.history.kill9()?;
    without_history(&mut world, "killed", Some(cursor)).await?;
    world.cluster.history.restart().await?;
    end(&mut world).await?;

    world.fault("F28", "history-0 paused");
    world.cluster.history.process().pause()?;
    without_history(&mut world, "paused", Some(cursor)).await?;
    world.cluster.history.process().resume()?;
    end(&mut world).await?;

    world.fault("F28", "gateway~history-0 slow");
    let link = world.cluster.wires().between("gateway", "history-0");
    link.slow(Duration::from_secs(4), Duration::from_secs(1), None);
    without_history(&mut world, "slow", Some(cursor)).await?;
    link.heal();
    end(&mut world).await?;

    world.fault("F28", "postgres has events locked");
    let mut lock = lock_events(&world, HISTORY_AWAY + Duration::from_secs(2)).await?;
    // Who comes anew waits for the lock, too: who is a member is known up to what is stored.
    without_history(&mut world, "locked out", None).await?;
    ensure!(timeout(PATIENCE, lock.wait()).await.context("the lock does not end")??.success(), "psql failed");
    end(&mut world).await?;

    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

/// What must hold while history gives no answers. Somebody comes with `cursor`, if there is one.
async fn without_history(world: &mut World, how: &str, cursor: Option<u64>) -> Result<()> {
    const FILL_BOUND: Duration = Duration::from_secs(5);
    const JOIN_BOUND: Duration = Duration::from_secs(15);
    /// The deadline of a page, and the margin after which the gateway gives up by itself.
    const ANSWER_BOUND: Duration = Duration::from_secs(10);
    /// Once a second somebody waits for half a second whether history answers again.
    const GAP_BOUND: Duration = Duration::from_secs(3);

    let began = Instant::now();
    let gateway = &world.cluster.gateways[0];
    let filled = async || metric(gateway, "huddle_gateway_gaps_filled_total").await;
    let before = filled().await?;
    let link = world.cluster.wires().between("gateway-0", "nats");
    let lost = lose_live_event(&link, BUSY, |_| true);
    timeout(PATIENCE, lost.reached(1)).await.context("no event was lost")?;
    let lost_at = Instant::now();
    until("the gap is filled", FILL_BOUND, async || Ok((filled().await? > before).then_some(()))).await?;
    let gap_filled = lost_at.elapsed();
    link.heal();

    let (asked_at, acknowledged) =
        (Instant::now(), *world.recorder().recently_accepted(BUSY).last().context("no sends")?);
    let url = format!("{}/v1/teams/{BUSY}/messages", world.cluster.http_url(0));
    let token = world.cluster.token(BYSTANDER)?;
    let answer =
        timeout(ANSWER_BOUND, http::get(&url, Some(&token))).await.context("a page is waited for in vain")??;
    let answered = asked_at.elapsed();
    ensure_refused_or_whole(&answer, acknowledged).with_context(|| format!("history {how}"))?;

    let mut joined = None;
    if let Some(cursor) = cursor {
        let began_to_join = Instant::now();
        let newest = *world.recorder().recently_accepted(BUSY).last().context("no sends")?;
        let joining = timeout(JOIN_BOUND, Looker::at(&world.cluster, 0, BYSTANDER, BUSY, Some(cursor)));
        let mut looker = joining.await.context("nobody can join")??;
        let count = looker.until(newest, JOIN_BOUND).await.context("who joins does not catch up")?;
        joined = Some((began_to_join.elapsed(), count));
    }
    world.run_for(HISTORY_AWAY.saturating_sub(began.elapsed())).await?;
    let measured = world.measure();
    world.say(&format!(
        "history {how}: a gap was filled in {gap_filled:?}, a page answered with {} after {answered:?}, who joined read \
         {joined:?}",
        answer.status
    ));
    ensure!(measured.gap <= GAP_BOUND, "history {how}: {measured}");
    for gateway in ["gateway-0", "gateway-1"] {
        ensure!(measured.gateways[gateway].gap <= GAP_BOUND, "history {how}: {measured}");
    }
    Ok(())
}

async fn end(world: &mut World) -> Result<()> {
    world.cluster.wait_until_ready().await?;
    world.healed("F28");
    world.until_back(PATIENCE).await?;
    world.run_for(CALM).await
}

/// Nobody can read or write events for so long; the process ends then.
async fn lock_events(world: &World, time: Duration) -> Result<Child> {
    const HOLDERS: &str = "SELECT pid FROM pg_locks WHERE relation = 'events'::regclass \
                           AND mode = 'AccessExclusiveLock' AND granted";
    let seconds = time.as_secs();
    let statements = format!("BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT");
    let psql = psql(&world.cluster, &statements)?;
    until("the lock is held", Duration::from_secs(5), async || {
        let holders: Vec<Value> = world.cluster.rows(HOLDERS).await?;
        Ok((!holders.is_empty()).then_some(()))
    })
    .await?;
    Ok(psql)
}

/// Who sends is a member for as long as nobody says otherwise, and the directory is not asked for each message.
#[tokio::test(flavor = "multi_thread")]
async fn sends_go_on_while_the_directory_stands_still_for_longer_than_what_it_said_is_fresh() -> Result<()> {
    /// Longer than the minute for which an answer is used without asking again.
    const STANDS_STILL: Duration = Duration::from_secs(80);
    /// A question to a directory that stands still, and a margin.
    const GAP_BOUND: Duration = Duration::from_secs(8);

    let fleet = FleetOptions { guests: 0, ..FleetOptions::default() };
    let mut world = Box::pin(World::start(WorldOptions { fleet, ..WorldOptions::of("directory") })).await?;
    world.run_for(CALM).await?;
    world.fault("directory", "directory-0 paused");
    world.cluster.directory.process().pause()?;
    world.run_for(STANDS_STILL).await?;
    let measured = world.measure();
    world.cluster.directory.process().resume()?;
    world.healed("directory");
    world.until_back(PATIENCE).await?;
    Box::pin(world.settle()).await?;

    for gateway in ["gateway-0", "gateway-1"] {
        ensure!(measured.gateways[gateway].worst_client_gap <= GAP_BOUND, "{measured}");
    }
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f34_clients_whose_requests_a_balancer_spreads_over_gateways_lose_nothing_also_when_one_is_killed() -> Result<()>
{
    const BACK_BOUND: Duration = Duration::from_secs(20);

    let fleet = FleetOptions { native: 4, socketio: 10, front: Front::RoundRobin, ..FleetOptions::default() };
    let mut world = Box::pin(World::start(WorldOptions { fleet, ..WorldOptions::of("F34") })).await?;
    world.run_for(2 * CALM).await?;
    let mut forwarded = Vec::new();
    for gateway in &world.cluster.gateways {
        forwarded.push(metric(gateway, "huddle_socketio_forwarded_requests_total").await?);
    }
    world.say(&format!("requests passed on to another gateway: {forwarded:?}"));
    ensure!(forwarded.iter().all(|count| *count > 0.0), "no request came to the wrong gateway: {forwarded:?}");

    world.fault("F34", "gateway-1 killed");
    world.cluster.gateways[1].kill9()?;
    let back = world.until_back(PATIENCE).await?;
    let measured = world.measure();
    world.cluster.gateways[1].restart().await?;
    world.healed("F34");
    world.run_for(2 * CALM).await?;
    Box::pin(world.settle()).await?;
    ensure!(back <= BACK_BOUND, "{measured}");
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f35_heartbeats_keep_connections_through_an_old_proxy_that_ends_idle_ones_and_nothing_is_lost() -> Result<()> {
    const IDLE: Duration = Duration::from_secs(8);
    const QUIET: &str = "quiet";

    let fleet = FleetOptions { front: Front::OldProxies { idle: IDLE }, ..FleetOptions::default() };
    let mut options = WorldOptions { fleet, ..WorldOptions::of("F35") };
    for setting in ["gateway.heartbeat", "gateway.socketio.ping_interval"] {
        options.cluster.settings.push((setting.to_owned(), "3s".to_owned()));
    }
    let mut world = Box::pin(World::start(options)).await?;
    world.cluster.create_team(QUIET, &["alice"]).await?;
    let target = world.cluster.http_url(0);
    let address = target.strip_prefix("http://").context("no http:// URL")?.parse()?;

    let proxy = OldProxy::start(address, IDLE).await?;
    let through = format!("{}/v1/ws", proxy.http_url().replacen("http://", "ws://", 1));
    let kept = Stayer::through(&through, &world.cluster, "alice", QUIET).await?;
    world.run_for(3 * IDLE).await?;
    ensure!(kept.is_connected(), "the heartbeat does not keep a quiet connection");
    drop(kept);

    // Below the heartbeat, it is the proxy that ends the connection: the client hears of it, and the gateway lets go.
    let impatient = OldProxy::start(address, Duration::from_secs(1)).await?;
    let through = format!("{}/v1/ws", impatient.http_url().replacen("http://", "ws://", 1));
    let ended = Stayer::through(&through, &world.cluster, "alice", QUIET).await?;
    until("the proxy has ended the connection", IDLE, async || Ok((!ended.is_connected()).then_some(()))).await?;
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f35_connections_that_fell_silent_are_noticed_within_45_seconds_and_half_closed_ones_at_once() -> Result<()> {
    const NOTICED_BOUND: Duration = Duration::from_secs(45);
    const AT_ONCE: Duration = Duration::from_secs(5);

    // The settings as they are by default.
    let mut world = Box::pin(World::start(WorldOptions::of("F35.silence"))).await?;
    world.cluster.create_team("quiet", &["alice"]).await?;
    let target = world.cluster.http_url(0);
    let address = target.strip_prefix("http://").context("no http:// URL")?.parse()?;
    let connections = async |world: &World| metric(&world.cluster.gateways[0], "huddle_gateway_connections").await;
    let sessions = async |world: &World| metric(&world.cluster.gateways[0], "huddle_socketio_sessions").await;
    world.run_for(CALM).await?;
    let (native, others) = (connections(&world).await?, sessions(&world).await?);

    let wire = Wire::to(address, Protocol::Any)?;
    let stayer = Stayer::through(&format!("ws://{}/v1/ws", wire.address()), &world.cluster, "alice", "quiet").await?;
    let engine = open_engine(&wire.address().to_string(), &world.cluster.token("alice")?).await?;
    ensure!(connections(&world).await? > native && sessions(&world).await? > others, "nobody has come");
    // Past the first heartbeat, and right after an answer to it: the worst moment.
    world.run_for(Duration::from_millis(20_500)).await?;
    world.fault("F35.silence", "gateway-0 hears nothing of two clients");
    let began = Instant::now();
    Link::from(&wire).silence_one_way(Direction::Forth);
    let mut noticed = (None, None);
    let bound = NOTICED_BOUND + Duration::from_secs(20);
    until("both are noticed", bound, async || {
        if noticed.0.is_none() && connections(&world).await? <= native {
            noticed.0 = Some(began.elapsed());
        }
        if noticed.1.is_none() && sessions(&world).await? <= others {
            noticed.1 = Some(began.elapsed());
        }
        Ok((noticed.0.is_some() && noticed.1.is_some()).then_some(()))
    })
    .await
    .with_context(|| format!("noticed: {noticed:?}"))?;
    Link::from(&wire).heal();
    world.healed("F35.silence");
    world.say(&format!("noticed, a native connection and one of Engine.IO: {noticed:?}"));
    drop((stayer, engine));

    let mut half = RawWs::open(&world.cluster.ws_url(0)).await?;
    half.hello(&world.cluster.token("alice")?).await?;
    let reply = half.request(json!({"subscribe": {"team": "quiet"}})).await?;
    ensure!(reply.get("subscribed").is_some(), "not subscribed but {reply}");
    ensure!(connections(&world).await? > native, "the connection is not counted");
    half.stop_sending().await?;
    let began = Instant::now();
    until("a half-closed connection is let go", AT_ONCE, async || {
        Ok((connections(&world).await? <= native).then_some(()))
    })
    .await?;
    world.say(&format!("a half-closed connection was let go after {:?}", began.elapsed()));
    let said = timeout(AT_ONCE, half.until_the_end()).await.context("its end does not come")??;
    ensure!(!said.iter().any(|it| matches!(it, Received::Frame(frame) if frame.get("event").is_some())), "{said:?}");
    Box::pin(world.settle()).await?;

    for noticed in [noticed.0, noticed.1] {
        ensure!(noticed.is_some_and(|it| it <= NOTICED_BOUND + Duration::from_secs(1)), "noticed after {noticed:?}");
    }
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f35_what_asks_in_http_1_0_is_answered_whole_and_the_connection_ends() -> Result<()> {
    let mut world = Box::pin(World::start(WorldOptions::of("F35.http10"))).await?;
    world.run_for(CALM).await?;
    let token = world.cluster.token(BYSTANDER)?;
    let host = world.cluster.http_url(0).trim_start_matches("http://").to_owned();
    let messages = ask_in_1_0(&host, &format!("/v1/teams/{BUSY}/messages"), &token).await?;
    ensure!(messages.status == 200 && messages.body.contains("\"seq\""), "{messages:?}");
    let handshake = ask_in_1_0(&host, "/socket.io/?EIO=4&transport=polling", &token).await?;
    ensure!(handshake.status == 200 && handshake.body.starts_with("0{"), "{handshake:?}");
    let head = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = ask(&host, &format!("GET /v1/ws HTTP/1.0\r\nHost: {host}\r\n{head}\r\n")).await?;
    ensure!((400..500).contains(&upgrade.status), "a WebSocket in HTTP/1.0: {upgrade:?}");
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

#[derive(Debug)]
struct Answer {
    status: u16,
    body: String,
}

async fn ask_in_1_0(host: &str, path: &str, token: &str) -> Result<Answer> {
    ask(host, &format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n")).await
}

/// Says `request`, and reads until the gateway closes; in chunks the answer must not be.
async fn ask(host: &str, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await;
    read.with_context(|| format!("the connection does not close after {answer:?}, the answer to {request:?}"))??;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("answered with {answer:?}"))?;
    ensure!(!head.to_ascii_lowercase().contains("transfer-encoding"), "HTTP/1.0 knows no chunks: {head}");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok(Answer { status, body: body.to_owned() })
}

/// A session of Engine.IO, which answers pings until it ends.
async fn open_engine(address: &str, token: &str) -> Result<JoinHandle<()>> {
    let mut socket = RawWs::open(&format!("ws://{address}/socket.io/?EIO=4&transport=websocket")).await?;
    socket.text(&format!("40{}", json!({"token": token}))).await?;
    Ok(tokio::spawn(async move {
        loop {
            match socket.receive().await {
                // A ping, and its answer. Of all that comes it alone is JSON.
                Ok(Received::Frame(ping)) if ping == json!(2) => {
                    let _ = socket.text("3").await;
                }
                Ok(Received::Close(_) | Received::End) => return,
                Ok(_) | Err(_) => {}
            }
        }
    }))
}
