//! `huddle up` is killed with SIGKILL again and again, at any moment: whatever was accepted is there, once, and the file
//! always opens.
//!
//! The moments are random; a failed run prints the seed of its own. Three variables make a run another one:
//! `HUDDLE_KILL_SENDS` (messages, 50,000), `HUDDLE_KILL_KILLS` (kills in the middle of them, 20) and `HUDDLE_KILL_SEED`.
//! A run that takes longer than nextest lets a test is for cargo:
//!
//! ```sh
//! HUDDLE_KILL_SENDS=1000000 HUDDLE_KILL_KILLS=500 cargo test -p huddle-tests --test kill -- --nocapture
//! ```

use std::{
    collections::BTreeMap,
    env,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, future::try_join_all, stream::FuturesOrdered};
use huddle_client::{ClientOptions, Encoding, OutgoingMessage, Receipt, Sender, SenderOptions};
use huddle_domain::{ClientId, TeamId};
use huddle_proto::{directory::v1::ListMembersRequest, event::v1::Role};
use huddle_tests::{
    Access, ClientKind, Clients, ConnectionPlan, SERVICE_TOKEN, Single, SingleOptions, StoredEvent, SubscriptionPlan,
    assert_chained, assert_whole, http, until,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

const SENDS: usize = 50_000;
const KILLS: usize = 20;
const TEAMS: usize = 8;
/// Of a team's messages, how many of a hundred go one after the other: over a WebSocket, and over REST. The others go many
/// at once.
const STEADY_PERCENT: usize = 20;
const REST_PERCENT: usize = 8;
/// Sends that wait for their receipts at once, where it is many.
const IN_FLIGHT_MAX: usize = 64;
/// From a number of messages to a kill.
const KILL_DELAY_MAX: Duration = Duration::from_millis(30);
/// One start in three is killed, too, within this time.
const EARLY_KILLS: f64 = 0.33;
const EARLY_KILL_MAX: Duration = Duration::from_millis(60);
/// First starts that are killed.
const FIRST_STARTS: usize = 12;
/// What the demo team may take to be made.
const DEMO_MAX: Duration = Duration::from_millis(30);
const POST_RETRY_PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_accepted_is_lost_or_doubled_by_twenty_kills_and_the_file_always_opens() -> Result<()> {
    let (sends, kills) = (from_environment("SENDS")?.unwrap_or(SENDS), from_environment("KILLS")?.unwrap_or(KILLS));
    let mut rng = seeded()?;
    let options = SingleOptions { partitions: 2, ..SingleOptions::default() };
    let mut single = Box::pin(Single::start(options)).await?;
    let teams = teams(sends);
    let members = |team: &Team| (team.name.clone(), team.members());
    single.create_teams(&teams.iter().map(members).collect()).await?;

    let mut followers = follow(&single, &teams).await?;
    let accepted = Arc::new(AtomicUsize::new(0));
    let senders = teams.iter().map(|team| send(&single, team, &accepted));
    let senders: Vec<_> = senders.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    let (begin, mut early_kills, mut restarts_took) = (Instant::now(), 0, Duration::ZERO);
    for kill in 0..kills {
        let part = rng.random_range(0..(sends / (kills + 1)).max(1));
        let moment = sends * kill / kills + part;
        let reached = async || Ok((accepted.load(Ordering::Relaxed) >= moment).then_some(()));
        until("sends go on", PATIENCE, reached).await.with_context(|| format!("before kill {kill} at {moment}"))?;
        sleep(rng.random_range(Duration::ZERO..KILL_DELAY_MAX)).await;
        single.service.kill9()?;
        while rng.random_bool(EARLY_KILLS) {
            early_kills += 1;
            single.service.spawn_again()?;
            sleep(rng.random_range(Duration::ZERO..EARLY_KILL_MAX)).await;
            single.service.kill9()?;
        }
        let killed = Instant::now();
        single.service.restart().await.with_context(|| format!("after kill {kill}"))?;
        restarts_took += killed.elapsed();
    }
    println!("killed {kills} times in the middle of sends, and {early_kills} times at a start");
    println!("after {:?}; restarts took {restarts_took:?} of that", begin.elapsed());

    let sent = timeout(PATIENCE, try_join_all(senders)).await.context("the senders do not come to an end")??;
    let sent = sent.into_iter().collect::<Result<Vec<_>>>()?;
    for clients in &mut followers {
        clients.done(PATIENCE).await?;
    }
    single.wait_until_stored().await?;
    let mut stored = BTreeMap::new();
    for team in &teams {
        let events = single.stored_events(&team.name).await?;
        let messages = events.iter().filter(|event| event.kind == "posted").count();
        assert_eq!(messages, team.sends, "messages of {}", team.name);
        assert_eq!(events.len(), messages + team.members().len(), "events of {}", team.name);
        stored.insert(team.name.clone(), events);
    }
    assert_eq!(sent.iter().map(|sent| sent.seqs.len()).sum::<usize>(), single.stored_messages().await?);
    for sent in &sent {
        sent.assert_stored(&stored[&sent.team]);
    }
    for clients in followers {
        for record in clients.stop(PATIENCE).await? {
            let team = record.connection.rsplit_once('@').context("a follower without a team")?.1;
            assert!(record.connections() > 1, "{} was never sent away", record.connection);
            assert_whole(&record, team, 0, &stored[team]);
            assert_chained(&record, team, &stored[team]);
        }
    }
    Box::pin(single.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_is_killed_at_any_moment_is_completed_by_the_next_one() -> Result<()> {
    let mut rng = seeded()?;
    let begin = Instant::now();
    let single = Box::pin(Single::start(SingleOptions::default())).await?;
    let start_takes = begin.elapsed();
    Box::pin(single.finish()).await?;
    for round in 0..FIRST_STARTS {
        let settings = vec![("telemetry.filter".to_owned(), "info".to_owned())];
        let mut single = Single::spawn(&SingleOptions { settings, ..SingleOptions::default() })?;
        let moment = if round % 2 == 0 {
            rng.random_range(Duration::ZERO..start_takes)
        } else {
            // From here on it makes the demo team.
            single.service.process().wait_for_output("services started", PATIENCE).await?;
            rng.random_range(Duration::ZERO..DEMO_MAX)
        };
        sleep(moment).await;
        single.service.kill9()?;
        println!(
            "killed a first start after {moment:?}{}",
            if round % 2 == 0 { "" } else { ", while it made the team" }
        );
        single.service.restart().await?;
        let told = single.wait_until_told().await?;
        assert_demo_is_whole(&single).await?;
        let token = told["tokens"]["alice"].as_str().context("no token of alice")?;
        let body = json!({"body": "hello, bob"}).to_string();
        let answer = http::post(&messages_url(&single, "demo"), Some(token), &body).await?;
        assert_eq!(answer.status, 201, "{}", answer.body);
        Box::pin(single.finish()).await?;
    }
    Ok(())
}

async fn assert_demo_is_whole(single: &Single) -> Result<()> {
    single.wait_until_stored().await?;
    let events = single.stored_events("demo").await?;
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["team_created", "member_added"]);
    let request = ListMembersRequest { team: "demo".to_owned(), ..ListMembersRequest::default() };
    let members = single.directory_client(SERVICE_TOKEN)?.list_members(request).await?.into_inner().members;
    let members: Vec<_> = members.iter().map(|member| (member.user.as_str(), member.role())).collect();
    assert_eq!(members, [("alice", Role::Owner), ("bob", Role::Member)]);
    Ok(())
}

/// A team, and how many messages it is sent.
struct Team {
    name: String,
    sends: usize,
}

impl Team {
    fn user(&self, role: &str) -> String {
        format!("{role}-of-{}", self.name)
    }

    fn members(&self) -> Vec<String> {
        let followers = (0..ClientKind::NATIVE.len()).map(follower);
        let roles = ["eager", "steady", "rest"].map(str::to_owned).into_iter().chain(followers);
        roles.map(|role| self.user(&role)).collect()
    }
}

fn teams(sends: usize) -> Vec<Team> {
    let team = |index| Team { name: format!("team-{index}"), sends: (index..sends).step_by(TEAMS).len() };
    (0..TEAMS).map(team).collect()
}

fn follower(index: usize) -> String {
    format!("follower-{index}")
}

/// What one user has sent.
struct Sent {
    team: String,
    user: String,
    /// The positions that the receipts said, in the order of the sends.
    seqs: Vec<u64>,
    /// Whether it went one after the other.
    is_in_order: bool,
}

impl Sent {
    fn assert_stored(&self, stored: &[StoredEvent]) {
        let Self { team, user, seqs, is_in_order } = self;
        for (number, seq) in seqs.iter().enumerate() {
            let place = stored.binary_search_by_key(seq, |event| event.seq);
            let event = place.map(|place| &stored[place]);
            let event =
                event.unwrap_or_else(|_| panic!("{team} has nothing at {seq}, accepted from {user} as {number}"));
            let found = (event.sender.as_str(), event.client_id.as_str(), event.body.as_deref());
            assert_eq!(
                found,
                (user.as_str(), client_id(number).as_str(), Some(body(user, number).as_str())),
                "at {seq}"
            );
        }
        assert!(!is_in_order || seqs.is_sorted_by(|one, next| one < next), "the order of {user}'s messages");
    }
}

fn client_id(number: usize) -> String {
    format!("send-{number}")
}

fn body(user: &str, number: usize) -> String {
    format!("{number} of {user}")
}

/// Starts all senders of `team`. They count in `accepted`.
fn send(access: &Access, team: &Team, accepted: &Arc<AtomicUsize>) -> Result<Vec<JoinHandle<Result<Sent>>>> {
    let (steady, rest) = (team.sends * STEADY_PERCENT / 100, team.sends * REST_PERCENT / 100);
    let eager = team.sends - steady - rest;
    let options = |role, encoding| access.client_options(0, &team.user(role), encoding);
    let name = team.name.clone();
    let eager = send_on_socket(
        options("eager", Encoding::Proto)?,
        name.clone(),
        team.user("eager"),
        eager,
        IN_FLIGHT_MAX,
        Arc::clone(accepted),
    );
    let steady = send_on_socket(
        options("steady", Encoding::Json)?,
        name.clone(),
        team.user("steady"),
        steady,
        1,
        Arc::clone(accepted),
    );
    let (url, token) = (messages_url(access, &name), access.token(&team.user("rest"))?);
    let rest = post(url, token, name, team.user("rest"), rest, Arc::clone(accepted));
    Ok(vec![tokio::spawn(eager), tokio::spawn(steady), tokio::spawn(rest)])
}

/// Sends over WebSockets, for as many connections as it takes.
async fn send_on_socket(
    client: ClientOptions,
    team: String,
    user: String,
    count: usize,
    in_flight_max: usize,
    accepted: Arc<AtomicUsize>,
) -> Result<Sent> {
    let sender = Sender::new(SenderOptions { client, in_flight_max });
    let mut under_way = FuturesOrdered::new();
    let mut seqs = Vec::with_capacity(count);
    let mut number = 0;
    while seqs.len() < count {
        while number < count && under_way.len() < in_flight_max {
            let client_id = ClientId::parse(&client_id(number))?;
            let message =
                OutgoingMessage { client_id, ..OutgoingMessage::new(TeamId::parse(&team)?, body(&user, number)) };
            under_way.push_back(sender.start_send(message, Receipt::Accepted).await?.receipt());
            number += 1;
        }
        let receipt = under_way.next().await.context("nothing is under way")?;
        seqs.push(receipt.with_context(|| format!("{user} cannot send"))?.seq.get());
        accepted.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Sent { team, user, seqs, is_in_order: in_flight_max == 1 })
}

/// Sends over REST, each message until it is accepted.
async fn post(
    url: String,
    token: String,
    team: String,
    user: String,
    count: usize,
    accepted: Arc<AtomicUsize>,
) -> Result<Sent> {
    let mut seqs = Vec::with_capacity(count);
    while seqs.len() < count {
        let number = seqs.len();
        let message = json!({"client_id": client_id(number), "body": body(&user, number)}).to_string();
        match http::post(&url, Some(&token), &message).await {
            Ok(answer) if answer.status == 201 => {
                seqs.push(answer.json()?["seq"].as_str().context("no seq")?.parse()?);
                accepted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) if answer.status != 503 => bail!("{user}: {}: {}", answer.status, answer.body),
            // Nobody is there, or was until the answer: the message may be there.
            Ok(_) | Err(_) => sleep(POST_RETRY_PAUSE).await,
        }
    }
    Ok(Sent { team, user, seqs, is_in_order: true })
}

fn messages_url(access: &Access, team: &str) -> String {
    format!("{}/v1/teams/{team}/messages", access.http_url(0))
}

/// Followers of each kind, from the first event: ours in each team, and one of the others in each third one.
async fn follow(access: &Access, teams: &[Team]) -> Result<Vec<Clients>> {
    let mut groups = Vec::new();
    for (index, kind) in ClientKind::NATIVE.into_iter().enumerate() {
        let plans = teams.iter().enumerate().filter(|(place, _)| kind == ClientKind::Rust || place % 3 == index);
        let plans = plans.map(|(_, team)| {
            Ok(ConnectionPlan {
                name: format!("{kind:?}@{}", team.name),
                urls: vec![access.ws_url(0)],
                token: access.token(&team.user(&follower(index)))?,
                subscriptions: vec![SubscriptionPlan { team: team.name.clone(), after: Some(0), messages: team.sends }],
                sends: Vec::new(),
                in_flight_max: 1,
            })
        });
        let mut clients = Clients::start(kind, plans.collect::<Result<_>>()?, access.files()).await?;
        clients.caught_up(PATIENCE).await?;
        clients.go().await?;
        groups.push(clients);
    }
    Ok(groups)
}

fn seeded() -> Result<StdRng> {
    let seed = from_environment("SEED")?.unwrap_or_else(rand::random);
    println!("HUDDLE_KILL_SEED={seed}");
    Ok(StdRng::seed_from_u64(seed))
}

fn from_environment<T: FromStr>(name: &str) -> Result<Option<T>> {
    let name = format!("HUDDLE_KILL_{name}");
    let Some(text) = env::var_os(&name) else { return Ok(None) };
    let number = text.to_str().and_then(|text| text.parse().ok());
    ensure!(number.is_some(), "{name} is {}, no number", text.display());
    Ok(number)
}
