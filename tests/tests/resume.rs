//! A cursor brings a client back, however much it missed and whichever gateway it comes to.

use std::time::Duration;

use anyhow::{Context as _, Result};
use huddle_client::{Client, ClientOptions, Encoding};
use huddle_domain::{ClientId, TeamId};
use huddle_tests::{
    Access, Backend, ClientKind, Clients, ConnectionPlan, Content, Deployment, DeploymentOptions, Record, SendPlan,
    SubscriptionPlan, assert_chained, assert_whole,
};
use tokio::{sync::watch, task::JoinHandle};

const TEAM: &str = "team";
const BEFORE: usize = 100;
const AWAY: usize = 5_000;
/// While the clients catch up, and after.
const LIVE: usize = 1_000;
/// Of the live messages, how many are held back until all clients have caught up.
const LIVE_AFTER: usize = 200;
const WRITERS: usize = 2;
const PATIENCE: Duration = Duration::from_mins(1);

huddle_tests::on_both_backends! {
    a_client_that_was_away_misses_and_repeats_nothing_at_another_gateway_under_live_traffic,
}

async fn a_client_that_was_away_misses_and_repeats_nothing_at_another_gateway_under_live_traffic(
    backend: Backend,
) -> Result<()> {
    let deployment = Box::pin(Deployment::start(backend, DeploymentOptions::default())).await?;
    deployment.create_team(TEAM, &["writer-0", "writer-1", "reader-0", "reader-1", "reader-2"]).await?;

    let before = read(&deployment, 0, |_| Some(0), BEFORE).await?;
    write(&deployment, "before", BEFORE).await?;
    let records = stop(before).await?;
    let cursor = |record: &Record| Ok(record.events(TEAM).last().context("nothing received")?.seq);
    let cursors = records.iter().map(cursor).collect::<Result<Vec<u64>>>()?;

    write(&deployment, "away", AWAY).await?;

    let (release, allowed) = watch::channel(LIVE - LIVE_AFTER);
    let mut started = Vec::new();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (start, has_started) = watch::channel(false);
            started.push(has_started);
            write_live(&deployment, writer, allowed.clone(), start)
        })
        .collect::<Result<_>>()?;
    for has_started in &mut started {
        has_started.wait_for(|started| *started).await?;
    }
    let mut resumed = read(&deployment, 1, |reader| Some(cursors[reader]), AWAY + LIVE).await?;
    for clients in &mut resumed {
        clients.caught_up(PATIENCE).await?;
    }
    release.send_replace(LIVE);
    for writer in writers {
        writer.await??;
    }

    let records = stop(resumed).await?;
    let stored = deployment.stored_events(TEAM).await?;
    for (record, cursor) in records.iter().zip(cursors) {
        let name = &record.connection;
        assert_eq!(record.connections(), 1, "{name} was sent away");
        assert_whole(record, TEAM, cursor, &stored);
        assert_chained(record, TEAM, &stored);
        let [(_, caught_up)] = record.caught_up(TEAM)[..] else { panic!("{name}: {:?}", record.caught_up(TEAM)) };
        let place = record.entries.iter().position(|entry| matches!(entry.content, Content::CaughtUp { .. }));
        let place = place.context("no end of the catch-up")?;
        let (catch_up, live) = record.entries.split_at(place);
        let seqs = |entries: &[huddle_tests::Entry]| -> Vec<u64> {
            let seq = |entry: &huddle_tests::Entry| match &entry.content {
                Content::Event(event) => Some(event.seq),
                _ => None,
            };
            entries.iter().filter_map(seq).collect()
        };
        assert!(seqs(catch_up).len() >= AWAY, "{name}: caught up too early");
        assert_eq!(seqs(catch_up).last(), Some(&caught_up), "{name}: caught up to what was sent");
        assert!(seqs(live).len() >= LIVE_AFTER, "{name}: was there no live traffic?");
    }
    deployment.finish().await
}

/// A reader of each kind at `gateway`, each waiting for `messages`.
async fn read(
    access: &Access,
    gateway: usize,
    cursor: impl Fn(usize) -> Option<u64>,
    messages: usize,
) -> Result<Vec<Clients>> {
    let mut readers = Vec::new();
    for (index, kind) in ClientKind::NATIVE.into_iter().enumerate() {
        let plan = ConnectionPlan {
            name: format!("{kind:?}@gateway-{gateway}"),
            urls: vec![access.ws_url(gateway)],
            token: access.token(&format!("reader-{index}"))?,
            subscriptions: vec![SubscriptionPlan { team: TEAM.to_owned(), after: cursor(index), messages }],
            sends: Vec::new(),
            in_flight_max: 1,
        };
        let mut clients = Clients::start(kind, vec![plan], access.files()).await?;
        clients.go().await?;
        readers.push(clients);
    }
    Ok(readers)
}

async fn stop(readers: Vec<Clients>) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for mut clients in readers {
        clients.caught_up(PATIENCE).await?;
        clients.done(PATIENCE).await?;
        records.extend(clients.stop(PATIENCE).await?);
    }
    Ok(records)
}

/// Sends `count` messages, as fast as they go, over both gateways, and waits until they are stored.
async fn write(access: &Access, name: &str, count: usize) -> Result<()> {
    let plan = |writer: usize| {
        let send = |number| SendPlan {
            team: TEAM.to_owned(),
            client_id: format!("{name}-{number}"),
            body: format!("{name} {number}"),
        };
        Ok(ConnectionPlan {
            name: format!("writer-{writer}"),
            urls: vec![access.ws_url(writer)],
            token: access.token(&format!("writer-{writer}"))?,
            subscriptions: Vec::new(),
            sends: (0..count / WRITERS).map(send).collect(),
            in_flight_max: 64,
        })
    };
    let plans = (0..WRITERS).map(plan).collect::<Result<_>>()?;
    let mut writers = Clients::start(ClientKind::Rust, plans, access.files()).await?;
    writers.caught_up(PATIENCE).await?;
    writers.go().await?;
    writers.done(PATIENCE).await?;
    writers.stop(PATIENCE).await.map(drop)
}

/// Sends this writer's share of the live messages one by one, and never beyond the number in `allowed`.
fn write_live(
    access: &Access,
    writer: usize,
    mut allowed: watch::Receiver<usize>,
    started: watch::Sender<bool>,
) -> Result<JoinHandle<Result<()>>> {
    let options: ClientOptions = access.client_options(writer, &format!("writer-{writer}"), Encoding::Json)?;
    let team = TeamId::parse(TEAM)?;
    Ok(tokio::spawn(async move {
        // The receipts that come there are nothing to this writer.
        let client = Box::pin(Client::connect(&options)).await?.0;
        for number in (writer..LIVE).step_by(WRITERS) {
            allowed.wait_for(|allowed| number < *allowed).await?;
            client.send(&team, &ClientId::parse(&format!("live-{number}"))?, format!("live {number}")).await?;
            started.send_replace(true);
        }
        Ok(())
    }))
}
