//! Owns clients of many kinds in the same teams, somebody who talks to them at a steady pace, and what must hold at the
//! end.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use huddle_tests::{
    Access, ClientKind, Clients, ConnectionPlan, Record, StoredEvent, assert_chained, assert_receipts, assert_whole,
    http,
};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// Between two attempts of the talker at the same message.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// For one message of the talker.
const SAY_TIMEOUT: Duration = Duration::from_secs(30);

/// One connection: who it is, and what it does.
pub(crate) struct Place {
    pub(crate) kind: ClientKind,
    pub(crate) user: String,
    pub(crate) plan: ConnectionPlan,
}

pub(crate) struct Crowd {
    places: BTreeMap<ClientKind, Vec<Place>>,
    groups: Vec<Clients>,
}

impl Crowd {
    /// Starts a process for each kind, with all its connections, and waits until all have caught up, within `bound`.
    pub(crate) async fn start(access: &Access, places: Vec<Place>, bound: Duration) -> Result<Self> {
        let mut by_kind: BTreeMap<ClientKind, Vec<Place>> = BTreeMap::new();
        for place in places {
            by_kind.entry(place.kind).or_default().push(place);
        }
        let mut groups = Vec::new();
        for (kind, places) in &by_kind {
            let plans = places.iter().map(|place| place.plan.clone()).collect();
            groups.push(Clients::start(*kind, plans, access.files()).await?);
        }
        let deadline = Instant::now() + bound;
        for clients in &mut groups {
            clients.caught_up(deadline - Instant::now()).await?;
        }
        Ok(Self { places: by_kind, groups })
    }

    pub(crate) async fn go(&mut self) -> Result<()> {
        for clients in &mut self.groups {
            clients.go().await?;
        }
        Ok(())
    }

    /// Waits until all have received and sent everything, within `bound`.
    pub(crate) async fn done(&mut self, bound: Duration) -> Result<()> {
        let deadline = Instant::now() + bound;
        for clients in &mut self.groups {
            clients.done(deadline - Instant::now()).await?;
        }
        Ok(())
    }

    /// Stops all, within `bound`, and asserts that each received each message of its teams once, in the order of the store, and both
    /// receipts of each of its own. Returns what they received, with what is stored of each team.
    pub(crate) async fn assert_whole(
        self,
        access: &Access,
        bound: Duration,
    ) -> Result<(Vec<(ClientKind, Record)>, BTreeMap<String, Vec<StoredEvent>>)> {
        let mut stored: BTreeMap<String, Vec<StoredEvent>> = BTreeMap::new();
        let subscriptions = self.places.values().flatten().flat_map(|place| &place.plan.subscriptions);
        for subscription in subscriptions {
            if !stored.contains_key(&subscription.team) {
                stored.insert(subscription.team.clone(), access.stored_events(&subscription.team).await?);
            }
        }
        let mut all = Vec::new();
        let deadline = Instant::now() + bound;
        for (clients, (kind, places)) in self.groups.into_iter().zip(self.places) {
            let records = clients.stop(deadline - Instant::now()).await?;
            for (record, place) in records.into_iter().zip(&places) {
                for subscription in &place.plan.subscriptions {
                    let events = &stored[&subscription.team];
                    let is_for_it =
                        |event: &&StoredEvent| event.kind == "posted" || !matches!(kind, ClientKind::SocketIo(..));
                    let expected: Vec<_> = events.iter().filter(is_for_it).cloned().collect();
                    assert_whole(&record, &subscription.team, 0, &expected);
                    assert_chained(&record, &subscription.team, events);
                }
                assert_receipts(&record, &place.plan, &place.user, &stored);
                all.push((kind, record));
            }
        }
        Ok((all, stored))
    }
}

/// Somebody who says one thing after the other, in turn to all teams, each until it is accepted.
pub(crate) struct Talker {
    said: watch::Receiver<usize>,
    task: JoinHandle<Result<()>>,
}

impl Talker {
    /// Says `messages` through `http://host:port`, one in `pace`.
    pub(crate) fn start(url: &str, token: String, teams: Vec<String>, messages: usize, pace: Duration) -> Self {
        let url = url.to_owned();
        let (progress, said) = watch::channel(0);
        let task = tokio::spawn(async move {
            for number in 0..messages {
                let url = format!("{url}/v1/teams/{}/messages", teams[number % teams.len()]);
                say(&url, &token, number).await?;
                progress.send_replace(number + 1);
                sleep(pace).await;
            }
            Ok(())
        });
        Self { said, task }
    }

    /// Waits until so many messages are said.
    pub(crate) async fn has_said(&mut self, messages: usize) -> Result<()> {
        self.said.wait_for(|said| *said >= messages).await.context("the talker has ended").map(drop)
    }

    /// Waits until everything is said.
    pub(crate) async fn finish(self) -> Result<()> {
        self.task.await?
    }
}

async fn say(url: &str, token: &str, number: usize) -> Result<()> {
    let body = json!({ "client_id": format!("said-{number}"), "body": format!("said as number {number}") }).to_string();
    let deadline = Instant::now() + SAY_TIMEOUT;
    loop {
        let answer = http::post(url, Some(token), &body).await;
        match answer {
            Ok(answer) if answer.status == 201 => return Ok(()),
            // Where no answer came, nobody knows: it is said again under the same id.
            other => ensure!(Instant::now() < deadline, "message {number} cannot be said: {other:?}"),
        }
        sleep(RETRY_PAUSE).await;
    }
}
