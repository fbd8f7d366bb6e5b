//! A gateway is killed with a thousand clients on it: all are back on the other one in time, and have missed nothing. They
//! are back when they have caught up. The libraries wait as long as they do by themselves before they connect again.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use huddle_tests::{
    ClientKind, Cluster, ClusterOptions, ConnectionPlan, Library, RoundRobin, SendPlan, SubscriptionPlan, Transport,
};

use crate::crowd::{Crowd, Place, Talker};

/// As LabelLab's web client, and as its mobile client.
const KINDS: [ClientKind; 2] = [
    ClientKind::SocketIo(Library::JavaScript4, Transport::Polling),
    ClientKind::SocketIo(Library::JavaScript2, Transport::WebSocket),
];
const CLIENTS_OF_A_KIND: usize = 500;
/// Of the gateway that is killed, at that moment.
const SESSIONS_MIN: f64 = 1_000.0;
const TEAMS: usize = 20;
const USERS_OF_A_TEAM: usize = 10;
/// One in so many clients sends a message, all at once.
const SENDERS: usize = 20;
const SAID: usize = 3 * TEAMS;
/// Of these, before the gateway is killed.
const SAID_BEFORE: usize = 10;
const PACE: Duration = Duration::from_millis(100);
const BACK_MAX: Duration = Duration::from_secs(10);
const START_TIMEOUT: Duration = Duration::from_mins(2);
const TRAFFIC_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_of_a_killed_gateway_are_back_on_the_other_within_10_seconds_and_miss_nothing() -> Result<()>
{
    let mut cluster = Box::pin(Cluster::start(ClusterOptions { partitions: 2, ..ClusterOptions::default() })).await?;
    let [dying, staying] = [0, 1].map(|index| cluster.gateways[index].http_url());
    let proxy = RoundRobin::start(std::slice::from_ref(&dying)).await?;
    let teams: BTreeMap<String, Vec<String>> = (0..TEAMS)
        .map(|team| {
            let users = (0..USERS_OF_A_TEAM).map(|user| user_name(team, user));
            (team_name(team), ["talker".to_owned()].into_iter().chain(users).collect())
        })
        .collect();
    cluster.create_teams(&teams).await?;
    let (mut places, mut team_of) = (Vec::new(), BTreeMap::new());
    for kind in KINDS {
        for client in 0..CLIENTS_OF_A_KIND {
            let place = place(&cluster, proxy.http_url(), kind, client)?;
            team_of.insert(place.plan.name.clone(), team_name(client % TEAMS));
            places.push(place);
        }
    }
    let mut crowd = Crowd::start(&cluster, places, START_TIMEOUT).await?;
    // From now on half of the requests come to a gateway that is not the client's.
    proxy.lead_to(&[dying, staying])?;
    let teams = teams.into_keys().collect();
    let mut talker = Talker::start(proxy.http_url(), cluster.token("talker")?, teams, SAID, PACE);
    talker.has_said(SAID_BEFORE).await?;
    let sessions = cluster.gateways[0].metrics().await?.sum("huddle_socketio_sessions");
    assert!(sessions >= Some(SESSIONS_MIN), "the gateway that is to die has {sessions:?} sessions");
    crowd.go().await?;

    let killed = SystemTime::now();
    cluster.gateways[0].kill9()?;

    crowd.done(TRAFFIC_TIMEOUT).await?;
    talker.finish().await?;
    let (records, _) = crowd.assert_whole(&cluster, STOP_TIMEOUT).await?;
    let mut slowest = BTreeMap::new();
    for (kind, record) in &records {
        let back = record.caught_up_at(&team_of[&record.connection]).filter(|at| *at > killed).max();
        let back = back.with_context(|| format!("{kind:?} {} did not notice", record.connection))?;
        let took = back.duration_since(killed)?;
        assert!(took <= BACK_MAX, "{kind:?} {} was back after {took:?}", record.connection);
        let slowest = slowest.entry(*kind).or_default();
        *slowest = took.max(*slowest);
    }
    println!("all are back: {slowest:?}");
    cluster.gateways[0].restart().await?;
    Box::pin(cluster.finish()).await
}

fn team_name(team: usize) -> String {
    (100 + team).to_string()
}

fn user_name(team: usize, user: usize) -> String {
    (1_000 + team * USERS_OF_A_TEAM + user).to_string()
}

fn place(cluster: &Cluster, url: &str, kind: ClientKind, client: usize) -> Result<Place> {
    let team = client % TEAMS;
    let user = user_name(team, client / TEAMS % USERS_OF_A_TEAM);
    let client_id = |client: usize| format!("{kind:?}-{client}").replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let is_sender = |client: &usize| client / TEAMS % SENDERS == client % SENDERS;
    let send = |client: usize| SendPlan {
        team: team_name(team),
        client_id: client_id(client),
        body: format!("sent by {client} when a gateway died"),
    };
    let senders = (0..CLIENTS_OF_A_KIND).filter(|other| other % TEAMS == team).filter(is_sender).count();
    let plan = ConnectionPlan {
        name: client_id(client),
        urls: vec![url.to_owned()],
        token: cluster.token(&user)?,
        subscriptions: vec![SubscriptionPlan {
            team: team_name(team),
            after: Some(0),
            messages: SAID / TEAMS + KINDS.len() * senders,
        }],
        sends: [client].into_iter().filter(is_sender).map(send).collect(),
        in_flight_max: 1,
    };
    Ok(Place { kind, user, plan })
}
