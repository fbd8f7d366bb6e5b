//! One key is one message, however often it is sent, over whatever gateway, and whatever fails in between.
//!
//! That it is so when the log has forgotten the key, after its window of two minutes, is shown in `tests/tests/retries.rs`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use huddle_client::{Client, Encoding};
use huddle_domain::{ClientId, TeamId};
use huddle_tests::{
    Access,
    faults::{World, WorldOptions},
    until,
};
use tokio::{
    sync::Barrier,
    time::{sleep, timeout},
};

use crate::aid::{CALM, PATIENCE, node_name};

const ROW: &str = "F30";
const TEAM: &str = "once";
const GATEWAYS: usize = 2;
/// Sends at the same time.
const CROWD: usize = 50;
/// Before a send is tried again that is refused for now.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn f30_one_key_is_one_message_over_any_gateway_at_once_and_across_a_killed_leader() -> Result<()> {
    let mut world = Box::pin(World::start(WorldOptions::of(ROW))).await?;
    world.cluster.create_team(TEAM, &["alice"]).await?;
    world.run_for(CALM).await?;
    let mut keys = Vec::new();

    // With a store that knows what was sent, and with the log alone.
    for without_store in [false, true] {
        let which = if without_store { "log" } else { "store" };
        if without_store {
            world.fault(ROW, "persistence killed, all of it");
            for replica in &mut world.cluster.persistence {
                replica.kill9()?;
            }
        }
        let again = format!("again-{which}");
        let first = send(&world.cluster, 0, &again).await?;
        ensure!(!first.1, "{again} was new");
        if !without_store {
            until("it is stored", PATIENCE, async || {
                let stored = world.cluster.stored_events(TEAM).await?;
                Ok(stored.iter().any(|event| event.client_id == again).then_some(()))
            })
            .await?;
        }
        for gateway in [0, 1, 0, 1] {
            is_duplicate(&world.cluster, gateway, &again, first.0).await?;
        }
        let at_once = format!("at-once-{which}");
        let seq = all_alike(&world.cluster, &at_once, true).await?;
        keys.extend([(again, first.0), (at_once, seq)]);

        let leader = until("a node leads the log", PATIENCE, async || world.cluster.leader_of(0).await).await?;
        world.fault(ROW, &format!("{} killed, the leader of the log", node_name(leader)));
        world.cluster.nats.node(leader).kill9()?;
        // These are on their way while there is no leader.
        let meanwhile = format!("meanwhile-{which}");
        let seq = all_alike(&world.cluster, &meanwhile, false).await?;
        keys.push((meanwhile, seq));
        for (key, seq) in &keys {
            for gateway in 0..GATEWAYS {
                is_duplicate(&world.cluster, gateway, key, *seq).await?;
            }
        }
        world.cluster.nats.restart().await?;
        world.healed(ROW);
        if without_store {
            // And a gateway that remembers nothing.
            world.cluster.gateways[0].kill9()?;
            world.cluster.gateways[0].restart().await?;
            for (key, seq) in &keys {
                is_duplicate(&world.cluster, 0, key, *seq).await?;
            }
            for replica in &mut world.cluster.persistence {
                replica.restart().await?;
            }
        }
        world.until_back(PATIENCE).await?;
        world.run_for(CALM).await?;
    }
    let measured = world.measure();
    world.say(&format!("{} keys, each of them one message: {measured}", keys.len()));
    Box::pin(world.settle()).await?;

    for (key, seq) in &keys {
        for gateway in 0..GATEWAYS {
            is_duplicate(&world.cluster, gateway, key, *seq).await?;
        }
    }
    let stored = world.cluster.stored_events(TEAM).await?.into_iter().filter(|event| event.kind == "posted");
    let stored: Vec<_> = stored.map(|event| (event.client_id, event.seq)).collect();
    keys.sort_by_key(|(_, seq)| *seq);
    ensure!(stored == keys, "stored are {stored:?}, and sent were {keys:?}");
    Box::pin(world.finish()).await
}

async fn is_duplicate(access: &Access, gateway: usize, key: &str, seq: u64) -> Result<()> {
    let answer = send(access, gateway, key).await?;
    ensure!(answer == (seq, true), "{key} is at {seq}, and gateway {gateway} says {answer:?}");
    Ok(())
}

/// Sends the same thing over many connections to both gateways at the same moment, and returns the one position that all of
/// them are told. With `calm`, one of them is told that it is new.
async fn all_alike(access: &Access, key: &str, calm: bool) -> Result<u64> {
    let (start, team, id) = (Barrier::new(CROWD), TeamId::parse(TEAM)?, ClientId::parse(key)?);
    let sends = (0..CROWD).map(async |index| {
        let first = connect(access, index % GATEWAYS).await;
        start.wait().await;
        match first?.send(&team, &id, key).await {
            Ok(accepted) => Ok((accepted.seq.get(), accepted.duplicate)),
            Err(error) if !calm && error.is_retryable() => send(access, index % GATEWAYS, key).await,
            Err(error) => Err(error.into()),
        }
    });
    let answers = timeout(PATIENCE, try_join_all(sends)).await.with_context(|| format!("{key} has no receipts"))??;
    let seq = answers[0].0;
    ensure!(answers.iter().all(|(other, _)| *other == seq), "{key} has several positions: {answers:?}");
    let new = answers.iter().filter(|(_, duplicate)| !duplicate).count();
    // Who had to ask again is told that it is there already, be it the first.
    ensure!(new == 1 || (!calm && new == 0), "{key} was new to {new} senders");
    Ok(seq)
}

/// Sends until it is accepted; its position, and whether it was there already.
async fn send(access: &Access, gateway: usize, key: &str) -> Result<(u64, bool)> {
    let (team, id) = (TeamId::parse(TEAM)?, ClientId::parse(key)?);
    let accepted = async {
        loop {
            match connect(access, gateway).await?.send(&team, &id, key).await {
                Ok(accepted) => return anyhow::Ok((accepted.seq.get(), accepted.duplicate)),
                Err(error) if error.is_retryable() => sleep(RETRY_PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
    };
    timeout(PATIENCE, accepted).await.with_context(|| format!("{key} has no receipt"))?
}

async fn connect(access: &Access, gateway: usize) -> Result<Client> {
    let options = access.client_options(gateway, "alice", Encoding::Proto)?;
    let (client, _frames) = Box::pin(Client::connect(&options)).await?;
    Ok(client)
}
