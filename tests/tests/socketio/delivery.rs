//! Every member gets every message exactly once, in one order, whoever wrote the client and however it talks, through a
//! proxy that gives every request to another gateway: also over connections that are lost meanwhile.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use huddle_tests::{
    Backend, ClientKind, ConnectionPlan, Deployment, DeploymentOptions, RoundRobin, SendPlan, SubscriptionPlan,
};

use crate::crowd::{Crowd, Place};

/// Ids that are numbers, as LabelLab has them, and others.
const TEAMS: [&str; 4] = ["1", "9007199254740993", "team-3", "007"];
const SENDS_PER_MEMBER: usize = 50;
const START_TIMEOUT: Duration = Duration::from_mins(1);
const TRAFFIC_TIMEOUT: Duration = Duration::from_mins(2);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

huddle_tests::on_both_backends! {
    clients_of_socket_io_and_of_our_own_receive_every_message_exactly_once_in_one_order,
}

fn user(team: usize, member: usize) -> String {
    if member.is_multiple_of(2) { (1_000 * team + member + 1).to_string() } else { format!("user-{team}-{member}") }
}

async fn clients_of_socket_io_and_of_our_own_receive_every_message_exactly_once_in_one_order(
    backend: Backend,
) -> Result<()> {
    let options = DeploymentOptions { partitions: 3, ..DeploymentOptions::default() };
    let deployment = Box::pin(Deployment::start(backend, options)).await?;
    let mut gateways = vec![deployment.http_url(0), deployment.http_url(1)];
    gateways.dedup();
    let proxy = RoundRobin::start(&gateways).await?;
    let kinds: Vec<ClientKind> = ClientKind::NATIVE.into_iter().chain(ClientKind::socket_io()).collect();
    let teams: BTreeMap<String, Vec<String>> = (0..TEAMS.len())
        .map(|team| (TEAMS[team].to_owned(), (0..kinds.len()).map(|member| user(team, member)).collect()))
        .collect();
    deployment.create_teams(&teams).await?;

    let mut places = Vec::new();
    for (team, id) in TEAMS.into_iter().enumerate() {
        for (member, kind) in kinds.iter().copied().enumerate() {
            let user = user(team, member);
            let is_native = ClientKind::NATIVE.contains(&kind);
            let send = |number| SendPlan {
                team: id.to_owned(),
                client_id: format!("send-{number}"),
                // Texts that an encoding could spoil.
                body: format!("{number} of {user}: \"ä\u{2028}漢\\ 🎉\" \u{1e}<b>&amp;</b>\n"),
            };
            let plan = ConnectionPlan {
                name: format!("{user}@{id}"),
                urls: vec![if is_native { proxy.ws_url() } else { proxy.http_url().to_owned() }],
                token: deployment.token(&user)?,
                subscriptions: vec![SubscriptionPlan {
                    team: id.to_owned(),
                    after: Some(0),
                    messages: kinds.len() * SENDS_PER_MEMBER,
                }],
                sends: (0..SENDS_PER_MEMBER).map(send).collect(),
                in_flight_max: 8,
            };
            places.push(Place { kind, user, plan });
        }
    }
    let mut crowd = Crowd::start(&deployment, places, START_TIMEOUT).await?;
    crowd.go().await?;
    crowd.done(TRAFFIC_TIMEOUT).await?;
    let (records, stored) = crowd.assert_whole(&deployment, STOP_TIMEOUT).await?;

    // On a machine that stands still for seconds a session ends without a fault of anybody: the client comes back, and
    // the promise holds over that too. It is the exception.
    let reconnections: u32 = records.iter().map(|(_, record)| record.connections() - 1).sum();
    assert!(usize::try_from(reconnections)? < records.len() / 4, "{reconnections} times a client was sent away");
    for (team, events) in &stored {
        let messages = events.iter().filter(|event| event.kind == "posted").count();
        assert_eq!(messages, kinds.len() * SENDS_PER_MEMBER, "{team}");
    }
    for gateway in &gateways {
        assert!(proxy.requests_to(gateway)? > records.len() / 2, "{gateway} had little to do");
    }
    deployment.finish().await
}
