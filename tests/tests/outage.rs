//! Postgres is away for a while: chat goes on, and the store catches up.
//!
//! On the cluster only: the embedded file is log and store at once, so that neither can be away alone. What keeps it from
//! storing, a full disk, is in `disk_full.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use huddle_client::{Client, Encoding, Incoming};
use huddle_domain::{ClientId, Seq, TeamId};
use huddle_tests::{
    ClientKind, Clients, Cluster, ClusterOptions, ConnectionPlan, SubscriptionPlan, assert_chained, assert_whole, until,
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

const TEAM: &str = "team";
const WRITERS: usize = 4;
const MESSAGES_OF_WRITER: usize = 600;
/// Between two messages of a writer, so that they span the outage: people, not a load test.
const WRITER_PAUSE: Duration = Duration::from_millis(20);
const OUTAGE: Duration = Duration::from_secs(10);
/// A first receipt comes within this time, outage or not.
const ACCEPTED_MAX: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_accepted_while_postgres_is_away_and_stored_when_it_is_back() -> Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let users: Vec<_> = (0..WRITERS).map(writer).chain((0..ClientKind::NATIVE.len()).map(reader)).collect();
    cluster.create_team(TEAM, &users.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let readers = read(&cluster).await?;
    let writers: Vec<_> = (0..WRITERS).map(|index| write(&cluster, index)).collect::<Result<_>>()?;
    let stored_some = async || Ok((cluster.stored_messages().await? >= WRITERS).then_some(()));
    until("chat is under way", PATIENCE, stored_some).await?;

    cluster.postgres.stop().await?;
    let before = traffic(&cluster).await?;
    // Not a wait for something to happen: the outage is that long.
    sleep(OUTAGE).await;
    let after = traffic(&cluster).await?;
    let (accepted, delivered) = (after.0 - before.0, after.1 - before.1);
    assert!(writers.iter().all(|writer| !writer.is_finished()), "the outage outlasted the chat");
    cluster.postgres.restart().await?;

    let writers = try_join_all(writers).await?.into_iter().collect::<Result<Vec<_>>>()?;
    let slowest = writers.iter().map(|written| written.slowest).max().unwrap_or_default();
    println!("during the outage: {accepted} accepted, {delivered} delivered; slowest first receipt: {slowest:?}");
    assert!(slowest <= ACCEPTED_MAX, "a first receipt took {slowest:?}");
    assert!(accepted > 0.0 && delivered > accepted, "{accepted} accepted, {delivered} delivered during the outage");
    let stored = cluster.stored_events(TEAM).await?;
    for (index, Written { seqs, .. }) in writers.iter().enumerate() {
        let of_writer = stored.iter().filter(|event| event.kind == "posted" && event.sender == writer(index));
        assert_eq!(of_writer.map(|event| event.seq).collect::<Vec<_>>(), *seqs, "writer {index}");
    }
    for mut clients in readers {
        clients.done(PATIENCE).await?;
        for record in clients.stop(PATIENCE).await? {
            assert_eq!(record.connections(), 1, "{} was sent away", record.connection);
            assert_whole(&record, TEAM, 0, &stored);
            assert_chained(&record, TEAM, &stored);
        }
    }
    cluster.wait_until_ready().await?;
    cluster.finish().await
}

fn writer(index: usize) -> String {
    format!("writer-{index}")
}

fn reader(index: usize) -> String {
    format!("reader-{index}")
}

/// How many messages all gateways have accepted, and how many deliveries they have made.
async fn traffic(cluster: &Cluster) -> Result<(f64, f64)> {
    let accepted = cluster.gateways_total("huddle_gateway_sends_accepted_total").await?;
    Ok((accepted, cluster.gateways_total("huddle_gateway_deliveries_total").await?))
}

/// What a writer has written.
struct Written {
    /// The positions of its messages.
    seqs: Vec<u64>,
    /// How long the slowest first receipt took.
    slowest: Duration,
}

/// Sends one message after the other and waits for both receipts of all.
fn write(cluster: &Cluster, index: usize) -> Result<JoinHandle<Result<Written>>> {
    let options = cluster.client_options(index % 2, &writer(index), Encoding::Proto)?;
    let team = TeamId::parse(TEAM)?;
    Ok(tokio::spawn(async move {
        let (client, mut frames) = Box::pin(Client::connect(&options)).await?;
        let (mut seqs, mut slowest) = (Vec::new(), Duration::ZERO);
        let mut stored = Seq::ZERO;
        for number in 0..MESSAGES_OF_WRITER {
            let began = Instant::now();
            let client_id = ClientId::parse(&format!("send-{number}"))?;
            let send = client.send(&team, &client_id, format!("message {number}"));
            let accepted = send.await.with_context(|| format!("message {number} of writer {index}"))?;
            slowest = slowest.max(began.elapsed());
            seqs.push(accepted.seq.get());
            let pause = sleep(WRITER_PAUSE);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    frame = frames.next() => stored = stored.max(receipt(frame)?),
                }
            }
        }
        let last = seqs.last().copied().unwrap_or_default();
        let await_receipts = async {
            while stored.get() < last {
                stored = stored.max(receipt(frames.next().await)?);
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, await_receipts).await.with_context(|| format!("no second receipt for writer {index}"))??;
        Ok(Written { seqs, slowest })
    }))
}

fn receipt(frame: Option<Incoming>) -> Result<Seq> {
    match frame {
        Some(Incoming::Stored { seq, .. }) => Ok(seq),
        other => bail!("a writer received {other:?}"),
    }
}

/// A reader of each kind, over both gateways.
async fn read(cluster: &Cluster) -> Result<Vec<Clients>> {
    let mut readers = Vec::new();
    for (index, kind) in ClientKind::NATIVE.into_iter().enumerate() {
        let messages = WRITERS * MESSAGES_OF_WRITER;
        let plan = ConnectionPlan {
            name: format!("{kind:?}"),
            urls: vec![cluster.ws_url(index % 2)],
            token: cluster.token(&reader(index))?,
            subscriptions: vec![SubscriptionPlan { team: TEAM.to_owned(), after: Some(0), messages }],
            sends: Vec::new(),
            in_flight_max: 1,
        };
        let mut clients = Clients::start(kind, vec![plan], cluster.files()).await?;
        clients.caught_up(PATIENCE).await?;
        clients.go().await?;
        readers.push(clients);
    }
    Ok(readers)
}
