//! Gateways are restarted one after the other, as an update does it: clients move, and miss and repeat nothing.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use huddle_tests::{ClientKind, Cluster, ClusterOptions, ConnectionPlan, RoundRobin, SendPlan, SubscriptionPlan};

use crate::crowd::{Crowd, Place, Talker};

const TEAM: &str = "5";
const CLIENTS_OF_A_KIND: usize = 3;
const SENDS: usize = 5;
const SAID: usize = 100;
/// Of these, before each gateway ends.
const SAID_BEFORE: [usize; 2] = [10, 50];
const PACE: Duration = Duration::from_millis(50);
const START_TIMEOUT: Duration = Duration::from_mins(1);
const TRAFFIC_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn clients_follow_a_rolling_restart_and_miss_and_repeat_nothing() -> Result<()> {
    let mut cluster = Box::pin(Cluster::start(ClusterOptions::default())).await?;
    let gateways = [0, 1].map(|index| cluster.gateways[index].http_url());
    let proxy = RoundRobin::start(&gateways).await?;
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
                in_flight_max: 1,
            };
            places.push(Place { kind: *kind, user: user.clone(), plan });
        }
    }
    let mut crowd = Crowd::start(&cluster, places, START_TIMEOUT).await?;
    let mut talker = Talker::start(proxy.http_url(), cluster.token("talker")?, vec![TEAM.to_owned()], SAID, PACE);
    for (gateway, said) in SAID_BEFORE.into_iter().enumerate() {
        talker.has_said(said).await?;
        if gateway == 0 {
            crowd.go().await?;
        }
        cluster.gateways[gateway].terminate().await?;
        cluster.gateways[gateway].restart().await?;
    }
    crowd.done(TRAFFIC_TIMEOUT).await?;
    talker.finish().await?;

    let (records, _) = crowd.assert_whole(&cluster, STOP_TIMEOUT).await?;
    for (kind, record) in &records {
        assert!(record.connections() > 1, "{kind:?} {} stayed on gateways that ended", record.connection);
    }
    for (kind, record) in &records {
        // Whichever gateway its requests had landed on, it was told before it had to leave.
        let untold = record.connections_without("go_away");
        let left: Vec<_> = untold.into_iter().filter(|attempt| attempt + 1 < record.connections()).collect();
        assert!(left.is_empty(), "{kind:?} {} lost its connections {left:?} untold", record.connection);
    }
    Box::pin(cluster.finish()).await
}
