//! NATS ends abruptly and comes back: with the log, and with the way from gateway to gateway, by which most polls go here.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use huddle_tests::{ClientKind, Cluster, ClusterOptions, ConnectionPlan, RoundRobin, SendPlan, SubscriptionPlan};
use tokio::time::sleep;

use crate::crowd::{Crowd, Place, Talker};

const TEAM: &str = "5";
const CLIENTS_OF_A_KIND: usize = 2;
const SENDS: usize = 5;
const SAID: usize = 60;
/// Of these, before NATS ends.
const SAID_BEFORE: usize = 20;
const PACE: Duration = Duration::from_millis(50);
const OUTAGE: Duration = Duration::from_secs(2);
const START_TIMEOUT: Duration = Duration::from_mins(1);
const TRAFFIC_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn clients_miss_and_repeat_nothing_when_nats_ends_and_comes_back() -> Result<()> {
    let mut cluster = Box::pin(Cluster::start(ClusterOptions::default())).await?;
    let proxy = RoundRobin::start(&[0, 1].map(|index| cluster.gateways[index].http_url())).await?;
    let kinds = ClientKind::socket_io();
    let users: Vec<String> = (0..kinds.len()).map(|user| (user + 1).to_string()).collect();
    let members = users.iter().cloned().chain(["talker".to_owned()]).collect();
    cluster.create_teams(&BTreeMap::from([(TEAM.to_owned(), members)])).await?;

    let mut places = Vec::new();
    for (kind, user) in kinds.iter().zip(&users) {
        for client in 0..CLIENTS_OF_A_KIND {
            let send = |number| SendPlan {
                team: TEAM.to_owned(),
                client_id: format!("{client}-{number}"),
                body: format!("{number} of {client}"),
            };
            let messages = SAID + kinds.len() * CLIENTS_OF_A_KIND * SENDS;
            let plan = ConnectionPlan {
                name: format!("{user}-{client}"),
                urls: vec![proxy.http_url().to_owned()],
                token: cluster.token(user)?,
                subscriptions: vec![SubscriptionPlan { team: TEAM.to_owned(), after: Some(0), messages }],
                sends: (0..SENDS).map(send).collect(),
                in_flight_max: 2,
            };
            places.push(Place { kind: *kind, user: user.clone(), plan });
        }
    }
    let mut crowd = Crowd::start(&cluster, places, START_TIMEOUT).await?;
    let mut talker = Talker::start(proxy.http_url(), cluster.token("talker")?, vec![TEAM.to_owned()], SAID, PACE);
    talker.has_said(SAID_BEFORE).await?;
    crowd.go().await?;
    cluster.nats.kill9()?;
    // Not a wait for something to happen: the outage is that long.
    sleep(OUTAGE).await;
    cluster.nats.restart().await?;

    crowd.done(TRAFFIC_TIMEOUT).await?;
    talker.finish().await?;
    crowd.assert_whole(&cluster, STOP_TIMEOUT).await?;
    cluster.wait_until_ready().await?;
    Box::pin(cluster.finish()).await
}
