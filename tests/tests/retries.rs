//! A retry never duplicates, however often and however late; what is stored survives the loss of the log.
//!
//! On the cluster only: the loss of NATS's data, and the end of the duplicate window of NATS. The embedded file is log and
//! store at once: there is no part of it to lose, and no window.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use huddle_client::{Accepted, Client, Encoding, RequestError};
use huddle_domain::{ClientId, TeamId, limits::SEQ_GAP_OF_NEW_LOG};
use huddle_proto::gateway::v1::ErrorCode;
use huddle_tests::{
    Access, Backend, ClientKind, Clients, Cluster, ClusterOptions, ConnectionPlan, Deployment, DeploymentOptions,
    SubscriptionPlan, assert_chained, assert_whole, http, until,
};
use serde_json::json;
use tokio::{
    sync::Barrier,
    time::{Instant, sleep_until},
};

const TEAM: &str = "team";
const MEMBERS: [&str; 5] = ["alice", "bob", "reader-0", "reader-1", "reader-2"];
const CLIENT_ID: &str = "once";
const BODY: &str = "only once";
/// Sends at the same time: over WebSockets, and over REST.
const SOCKETS: usize = 40;
const POSTS: usize = 10;
/// Messages in the end: the one that is sent so often, the other user's, and the new one.
const MESSAGES_IN_ALL: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);
/// The log's duplicate window is two minutes; after this it has passed for certain.
const DUPLICATE_WINDOW_AND_MORE: Duration = Duration::from_secs(125);

huddle_tests::on_both_backends! {
    one_client_id_is_one_message_also_when_all_processes_were_killed_in_between,
}

async fn one_client_id_is_one_message_also_when_all_processes_were_killed_in_between(backend: Backend) -> Result<()> {
    let mut deployment = Box::pin(Deployment::start(backend, DeploymentOptions::default())).await?;
    deployment.create_team(TEAM, &MEMBERS).await?;
    let mut readers = read(&deployment).await?;
    let (seq, of_bob) = send_once(&deployment).await?;

    Box::pin(deployment.kill_and_restart()).await?;
    for (again, duplicate) in send_at_once(&deployment, BODY).await? {
        assert_eq!((again, duplicate), (seq, true));
    }
    assert_other_bodies_conflict(&deployment).await?;
    let again = accepted(&deployment, 0, "bob", CLIENT_ID, BODY).await?;
    assert_eq!((again.seq, again.duplicate), (of_bob.seq, true));
    let new = accepted(&deployment, 0, "alice", "new", "after the restart").await?;
    assert!(new.seq > of_bob.seq && !new.duplicate, "{new:?}");

    for clients in &mut readers {
        clients.done(PATIENCE).await?;
    }
    deployment.wait_until_stored().await?;
    let stored = deployment.stored_events(TEAM).await?;
    let messages: Vec<_> = stored.iter().filter(|event| event.kind == "posted").map(|event| event.seq).collect();
    assert_eq!(messages, [seq, of_bob.seq.get(), new.seq.get()]);
    for clients in readers {
        for record in clients.stop(PATIENCE).await? {
            assert_whole(&record, TEAM, 0, &stored);
            assert_chained(&record, TEAM, &stored);
        }
    }
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_id_is_one_message_also_when_the_log_has_forgotten_it() -> Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    cluster.create_team(TEAM, &MEMBERS).await?;
    let mut readers = read(&cluster).await?;

    let (seq, of_bob) = send_once(&cluster).await?;
    cluster.wait_until_stored().await?;
    let stored_before = cluster.stored_events(TEAM).await?;
    cluster.lose_nats_data().await?;
    // From here on nobody but the store knows what was sent: as when the log's duplicate window has passed.
    for (again, duplicate) in send_at_once(&cluster, BODY).await? {
        assert_eq!((again, duplicate), (seq, true));
    }
    assert_other_bodies_conflict(&cluster).await?;

    let new = until("the log takes messages again", PATIENCE, async || {
        match send(&cluster, 0, "alice", "new", "after the loss").await? {
            Ok(accepted) => Ok(Some(accepted)),
            Err(error) if error.is_retryable() => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    assert!(new.seq.get() > of_bob.seq.get() + SEQ_GAP_OF_NEW_LOG, "a new log begins far above: {new:?}");

    for clients in &mut readers {
        clients.done(PATIENCE).await?;
    }
    cluster.wait_until_stored().await?;
    let stored = cluster.stored_events(TEAM).await?;
    assert_eq!(stored[..stored_before.len()], stored_before, "nothing stored is lost with the log");
    let messages: Vec<_> = stored.iter().filter(|event| event.kind == "posted").map(|event| event.seq).collect();
    assert_eq!(messages, [seq, of_bob.seq.get(), new.seq.get()]);
    for clients in readers {
        for record in clients.stop(PATIENCE).await? {
            assert_whole(&record, TEAM, 0, &stored);
        }
    }
    for clients in read(&cluster).await? {
        for record in clients.stop(PATIENCE).await? {
            assert_whole(&record, TEAM, 0, &stored);
            assert_chained(&record, TEAM, &stored);
        }
    }
    cluster.finish().await
}

/// The window is the server's own, so this test takes as long as it does.
#[tokio::test(flavor = "multi_thread")]
async fn one_client_id_is_one_message_also_after_the_duplicate_window() -> Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    cluster.create_team(TEAM, &MEMBERS).await?;
    let first = accepted(&cluster, 0, "alice", CLIENT_ID, BODY).await?;
    let window_ends = Instant::now() + DUPLICATE_WINDOW_AND_MORE;
    cluster.wait_until_stored().await?;
    sleep_until(window_ends).await;

    for (seq, duplicate) in send_at_once(&cluster, BODY).await? {
        assert_eq!((seq, duplicate), (first.seq.get(), true));
    }
    assert_other_bodies_conflict(&cluster).await?;
    cluster.wait_until_stored().await?;
    let messages = cluster.stored_events(TEAM).await?.into_iter().filter(|event| event.kind == "posted");
    assert_eq!(messages.map(|event| event.seq).collect::<Vec<_>>(), [first.seq.get()]);
    cluster.finish().await
}

/// Sends two users' messages under the same `client_id`, the first of them many times; returns its position, and the
/// receipt of the other one.
async fn send_once(access: &Access) -> Result<(u64, Accepted)> {
    let first = send_at_once(access, BODY).await?;
    let seqs: BTreeSet<u64> = first.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs.len(), 1, "one message, one position: {seqs:?}");
    assert_eq!(first.iter().filter(|(_, duplicate)| !duplicate).count(), 1, "all but one are duplicates: {first:?}");
    let seq = first[0].0;
    assert_other_bodies_conflict(access).await?;
    let of_bob = accepted(access, 1, "bob", CLIENT_ID, BODY).await?;
    assert!(!of_bob.duplicate && of_bob.seq.get() > seq, "another user's key is another key: {of_bob:?}");
    Ok((seq, of_bob))
}

/// Sends the same message from many connections at the same moment; returns each one's position and whether it was
/// called a duplicate.
async fn send_at_once(access: &Access, body: &str) -> Result<Vec<(u64, bool)>> {
    let start = Arc::new(Barrier::new(SOCKETS + POSTS));
    let sockets = (0..SOCKETS).map(|index| {
        let start = Arc::clone(&start);
        async move {
            let encoding = if index % 4 < 2 { Encoding::Json } else { Encoding::Proto };
            let options = access.client_options(index % 2, "alice", encoding)?;
            let (client, _frames) = Box::pin(Client::connect(&options)).await?;
            start.wait().await;
            let accepted = client.send(&TeamId::parse(TEAM)?, &ClientId::parse(CLIENT_ID)?, body).await?;
            anyhow::Ok((accepted.seq.get(), accepted.duplicate))
        }
    });
    let posts = (0..POSTS).map(|index| {
        let start = Arc::clone(&start);
        async move {
            start.wait().await;
            let answer = post(access, index % 2, body).await?;
            ensure!(answer.status == 201, "POST was answered with {answer:?}");
            let sent = answer.json()?;
            let seq = sent["seq"].as_str().context("no seq")?.parse()?;
            anyhow::Ok((seq, sent["duplicate"].as_bool().context("no duplicate")?))
        }
    });
    let (mut sent, posted) = tokio::try_join!(try_join_all(sockets), try_join_all(posts))?;
    sent.extend(posted);
    Ok(sent)
}

async fn assert_other_bodies_conflict(access: &Access) -> Result<()> {
    for gateway in 0..2 {
        let outcome = send(access, gateway, "alice", CLIENT_ID, "something else").await?;
        let code = outcome.as_ref().err().and_then(RequestError::code);
        assert_eq!(code, Some(ErrorCode::Conflict), "gateway {gateway}: {outcome:?}");
        let answer = post(access, gateway, "something else").await?;
        let error = answer.json()?["error"]["code"].clone();
        assert_eq!((answer.status, error), (409, json!("ERROR_CODE_CONFLICT")), "gateway {gateway}");
    }
    Ok(())
}

async fn accepted(access: &Access, gateway: usize, user: &str, client_id: &str, body: &str) -> Result<Accepted> {
    Ok(send(access, gateway, user, client_id, body).await??)
}

async fn send(
    access: &Access,
    gateway: usize,
    user: &str,
    client_id: &str,
    body: &str,
) -> Result<Result<Accepted, RequestError>> {
    let options = access.client_options(gateway, user, Encoding::Proto)?;
    let (client, _frames) = Box::pin(Client::connect(&options)).await?;
    Ok(client.send(&TeamId::parse(TEAM)?, &ClientId::parse(client_id)?, body).await)
}

async fn post(access: &Access, gateway: usize, body: &str) -> Result<http::Answer> {
    let url = format!("{}/v1/teams/{TEAM}/messages", access.http_url(gateway));
    let message = json!({"client_id": CLIENT_ID, "body": body}).to_string();
    http::post(&url, Some(&access.token("alice")?), &message).await
}

/// A reader of each kind, from the team's first event, over both gateways.
async fn read(access: &Access) -> Result<Vec<Clients>> {
    let mut readers = Vec::new();
    for (index, kind) in ClientKind::NATIVE.into_iter().enumerate() {
        let plan = ConnectionPlan {
            name: format!("{kind:?}"),
            urls: vec![access.ws_url(index % 2)],
            token: access.token(&format!("reader-{index}"))?,
            subscriptions: vec![SubscriptionPlan { team: TEAM.to_owned(), after: Some(0), messages: MESSAGES_IN_ALL }],
            sends: Vec::new(),
            in_flight_max: 1,
        };
        let mut clients = Clients::start(kind, vec![plan], access.files()).await?;
        clients.caught_up(PATIENCE).await?;
        clients.go().await?;
        readers.push(clients);
    }
    Ok(readers)
}
