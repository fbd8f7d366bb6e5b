//! A process is killed in the middle of traffic: others take over, and no message is lost or doubled.
//!
//! Where everything is one process nobody can take over: there it is started again (`kill.rs` does that many times more).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use huddle_tests::{
    Access, ClientKind, Clients, Cluster, ClusterOptions, ConnectionPlan, Record, SendPlan, Single, SingleOptions,
    SubscriptionPlan, assert_receipts, assert_whole, until,
};

const TEAMS: usize = 4;
/// One of each kind on each gateway.
const MEMBERS: usize = 6;
const MESSAGES: usize = 10_000;
/// Messages accepted when something is killed: somewhere in the middle.
const MIDDLE: f64 = 3_000.0;
const TAKE_OVER_MAX: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_of_persistence_takes_over_within_5_seconds_and_no_row_is_missing_or_double() -> Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let mut traffic = Traffic::start(&cluster).await?;
    let owner = until("a replica owns the partition", PATIENCE, async || cluster.owner_of(0).await).await?;
    traffic.go(&cluster).await?;

    cluster.persistence[owner].kill9()?;
    let killed = Instant::now();
    let next = until("another replica owns the partition", TAKE_OVER_MAX, async || cluster.owner_of(0).await).await?;
    assert_ne!(next, owner);
    println!("taken over after {:?}", killed.elapsed());
    cluster.persistence[owner].restart().await?;

    traffic.assert_whole(&cluster).await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_killed_gateway_go_on_at_another_one_and_miss_and_repeat_nothing() -> Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let mut traffic = Traffic::start(&cluster).await?;
    traffic.go(&cluster).await?;

    cluster.gateways[0].kill9()?;

    for record in traffic.assert_whole(&cluster).await? {
        let had_to_move = record.connection.ends_with("gateway-0");
        assert_eq!(
            record.connections() > 1,
            had_to_move,
            "{}: {} connections",
            record.connection,
            record.connections()
        );
    }
    cluster.gateways[0].restart().await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_survives_the_death_of_the_nats_node_that_led() -> Result<()> {
    let mut cluster = Cluster::start(ClusterOptions { nats_nodes: 3, ..ClusterOptions::default() }).await?;
    let mut traffic = Traffic::start(&cluster).await?;
    let leader = until("a node leads the partition", PATIENCE, async || cluster.leader_of(0).await).await?;
    traffic.go(&cluster).await?;

    cluster.nats.node(leader).kill9()?;
    let killed = Instant::now();
    let next = until("another node leads the partition", PATIENCE, async || cluster.leader_of(0).await).await?;
    println!("node {next} leads after {:?}", killed.elapsed());

    traffic.assert_whole(&cluster).await?;
    cluster.nats.restart().await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_survives_the_death_of_the_only_nats_node() -> Result<()> {
    let mut cluster = Cluster::start(ClusterOptions { partitions: 2, ..ClusterOptions::default() }).await?;
    let mut traffic = Traffic::start(&cluster).await?;
    traffic.go(&cluster).await?;

    cluster.nats.node(0).kill9()?;
    cluster.nats.node(0).restart().await?;

    traffic.assert_whole(&cluster).await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_survives_the_death_of_the_only_process() -> Result<()> {
    let mut single = Box::pin(Single::start(SingleOptions { partitions: 2, ..SingleOptions::default() })).await?;
    let mut traffic = Traffic::start(&single).await?;
    traffic.go(&single).await?;

    single.service.restart().await?;

    traffic.assert_whole(&single).await?;
    Box::pin(single.finish()).await
}

/// Many clients of all kinds, over all gateways, that send [`MESSAGES`] in all.
struct Traffic {
    teams: BTreeMap<String, Vec<String>>,
    plans: BTreeMap<ClientKind, Vec<(String, ConnectionPlan)>>,
    groups: Vec<Clients>,
}

impl Traffic {
    async fn start(access: &Access) -> Result<Self> {
        let user = |team: usize, member: usize| format!("user-{team}-{member}");
        let teams: BTreeMap<_, _> = (0..TEAMS)
            .map(|team| (format!("team-{team}"), (0..MEMBERS).map(|member| user(team, member)).collect()))
            .collect();
        access.create_teams(&teams).await?;
        let mut plans: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for index in 0..TEAMS * MEMBERS {
            let (team, member) = (index % TEAMS, index / TEAMS);
            let messages_of = |index| (index..MESSAGES).step_by(TEAMS * MEMBERS);
            let of_team = (0..MEMBERS).map(|member| messages_of(member * TEAMS + team).len()).sum();
            let kind = ClientKind::NATIVE[member % ClientKind::NATIVE.len()];
            let gateway = member / ClientKind::NATIVE.len();
            let name = format!("team-{team}");
            let send = |number: usize| SendPlan {
                team: name.clone(),
                client_id: format!("send-{number}"),
                body: format!("message {number}"),
            };
            let plan = ConnectionPlan {
                name: format!("{}@gateway-{gateway}", user(team, member)),
                urls: [gateway, 1 - gateway].map(|gateway| access.ws_url(gateway)).to_vec(),
                token: access.token(&user(team, member))?,
                subscriptions: vec![SubscriptionPlan { team: name.clone(), after: Some(0), messages: of_team }],
                sends: messages_of(index).map(send).collect(),
                in_flight_max: 16,
            };
            plans.entry(kind).or_default().push((user(team, member), plan));
        }
        let mut groups = Vec::new();
        for (kind, plans) in &plans {
            let plans = plans.iter().map(|(_, plan)| plan.clone()).collect();
            groups.push(Clients::start(*kind, plans, access.files()).await?);
        }
        for clients in &mut groups {
            clients.caught_up(PATIENCE).await?;
        }
        Ok(Self { teams, plans, groups })
    }

    /// Lets everyone send; returns in the middle of it.
    async fn go(&mut self, access: &Access) -> Result<()> {
        for clients in &mut self.groups {
            clients.go().await?;
        }
        let accepted = until("traffic is under way", PATIENCE, async || {
            let accepted = access.gateways_total("huddle_gateway_sends_accepted_total").await?;
            Ok((accepted >= MIDDLE).then_some(accepted))
        });
        let accepted = accepted.await?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let all = MESSAGES as f64;
        ensure!(accepted < all, "all messages are accepted already: too late for the middle");
        Ok(())
    }

    /// Waits for the end, and checks every row, event and receipt.
    async fn assert_whole(mut self, access: &Access) -> Result<Vec<Record>> {
        for clients in &mut self.groups {
            clients.done(PATIENCE).await?;
        }
        let mut stored = BTreeMap::new();
        for team in self.teams.keys() {
            stored.insert(team.clone(), access.stored_events(team).await?);
        }
        assert_eq!(access.stored_messages().await?, MESSAGES);
        let mut all = Vec::new();
        for (clients, plans) in self.groups.into_iter().zip(self.plans.values()) {
            let records = clients.stop(PATIENCE).await?;
            for (record, (user, plan)) in records.iter().zip(plans) {
                let team = &plan.subscriptions[0].team;
                assert_whole(record, team, 0, &stored[team]);
                assert_receipts(record, plan, user, &stored);
            }
            all.extend(records);
        }
        Ok(all)
    }
}
