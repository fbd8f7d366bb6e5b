//! Clients that come with the cursors they had at the old place, and go on talking.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use huddle_client::{Client, Encoding};
use huddle_domain::{ClientId, TeamId};
use huddle_tests::{
    Access, ClientKind, Clients, ConnectionPlan, SendPlan, StoredEvent, SubscriptionPlan, assert_whole,
};

use crate::{
    content::Content,
    generated::{TEAMS_UNDER_TEST, team},
};

/// Messages that one talk adds to each of its teams.
pub(crate) const LIVE: usize = 10;
const PATIENCE: Duration = Duration::from_mins(1);

/// Lets clients resume with cursors of `old`, repeat a send of there, and send more; checks that each sees everything
/// after its cursor once. `name` tells this talk from others.
pub(crate) async fn talk(access: &Access, files: &Path, name: &str, old: &Content) -> Result<()> {
    for (index, kind) in TEAMS_UNDER_TEST.into_iter().zip(ClientKind::NATIVE) {
        let team = team(index);
        let past = &old.events[&team];
        let last = past.last().context("the team has events")?;
        repeat(access, &team, &last.client_id, last.body.as_deref().unwrap_or_default(), last.seq).await?;

        let cursors = [0, past[past.len() / 2].seq, last.seq];
        let reader = |cursor: u64| {
            let behind = past.iter().filter(|event| event.seq > cursor && event.is_message()).count();
            let messages = behind + LIVE;
            Ok(ConnectionPlan {
                name: format!("{kind:?}-after-{cursor}"),
                urls: vec![access.ws_url(0)],
                token: access.token("bob")?,
                subscriptions: vec![SubscriptionPlan { team: team.clone(), after: Some(cursor), messages }],
                sends: Vec::new(),
                in_flight_max: 1,
            })
        };
        let readers = cursors.into_iter().map(reader).collect::<Result<_>>()?;
        let mut readers = Clients::start(kind, readers, files).await?;
        readers.caught_up(PATIENCE).await?;
        readers.go().await?;
        send(access, files, name, &team).await?;
        readers.done(PATIENCE).await?;
        let records = readers.stop(PATIENCE).await?;

        let stored = access.stored_events(&team).await?;
        let known: Vec<StoredEvent> = past.iter().map(StoredEvent::from).collect();
        ensure!(stored.starts_with(&known), "{team} has another past");
        for (record, cursor) in records.iter().zip(cursors) {
            assert_whole(record, &team, cursor, &stored);
        }
    }
    Ok(())
}

/// Sends again what was sent at the old place: it is recognised.
async fn repeat(access: &Access, team: &str, client_id: &str, body: &str, seq: u64) -> Result<()> {
    let options = access.client_options(0, "ann", Encoding::Json)?;
    let client = Box::pin(Client::connect(&options)).await?.0;
    let accepted = client.send(&TeamId::parse(team)?, &ClientId::parse(client_id)?, body.to_owned()).await?;
    ensure!(accepted.duplicate && accepted.seq.get() == seq, "{accepted:?} for what is at {seq}");
    Ok(())
}

/// Sends the new messages and waits until they are stored.
async fn send(access: &Access, files: &Path, name: &str, team: &str) -> Result<()> {
    let message = |number: usize| SendPlan {
        team: team.to_owned(),
        client_id: format!("{name}-{number}"),
        body: format!("{name} {number}"),
    };
    let plan = ConnectionPlan {
        name: format!("writer-{name}"),
        urls: vec![access.ws_url(0)],
        token: access.token("ann")?,
        subscriptions: Vec::new(),
        sends: (0..LIVE).map(message).collect(),
        in_flight_max: LIVE,
    };
    let mut writer = Clients::start(ClientKind::Rust, vec![plan], files).await?;
    writer.caught_up(PATIENCE).await?;
    writer.go().await?;
    writer.done(PATIENCE).await?;
    writer.stop(PATIENCE).await.map(drop)
}
