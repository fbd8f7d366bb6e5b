//! Entries of the log that are no events, or none that can be stored.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
    fs::File,
    io::BufReader,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_domain::limits::BODY_CHARACTERS_MAX;
use huddle_proto::event::v1::{Event, Posted, event::Kind};
use huddle_tests::{
    Cluster, DeadLetter,
    faults::{World, WorldOptions},
    until,
};
use huddle_verify::recording::{Line, Note, Reader};
use prost::Message as _;

use crate::aid::{CALM, Looker, ON_THEIR_WAY, PATIENCE, Seen, execute, metric, psql};

const ROW: &str = "F29";
/// A busy team of the fleet.
const BUSY: &str = "team-1-0";
/// A team in which nothing happens but what the test does.
const QUIET: &str = "quiet";
/// A team that nobody follows.
const UNSEEN: &str = "unseen";
/// A body that the store is made to refuse.
const UNWANTED: &str = "unwanted by the store";
/// An entry is put aside within this time.
const ASIDE_BOUND: Duration = Duration::from_secs(5);
/// The longest time without an acknowledgement.
const GAP_BOUND: Duration = Duration::from_secs(2);
/// Longer than two looks of a gateway at a team in which nothing happens.
const TWO_LOOKS: Duration = Duration::from_secs(55);
/// How long Postgres keeps everybody from `events`.
const LOCKED: Duration = Duration::from_secs(5);
/// And how long after that it cancels what the owner asks for, again and again.
const CANCELLED: Duration = Duration::from_secs(4);
/// Gateways look after a quiet team by themselves; once for each stretch that they cannot show.
const LOOKS_MAX: f64 = 2.0;

/// Something that is in the log past Huddle.
struct Poison {
    name: String,
    /// The last part of its subject.
    subject: String,
    payload: Vec<u8>,
    /// The team and the reason that it is put aside with.
    becomes: (Option<&'static str>, &'static str),
}

#[tokio::test(flavor = "multi_thread")]
async fn f29_entries_that_cannot_be_applied_are_put_aside_and_stop_no_team_and_passing_trouble_puts_nothing_aside()
-> Result<()> {
    let mut world = Box::pin(World::start(WorldOptions::of(ROW))).await?;
    world.cluster.create_team(QUIET, &["alice", "bob", "carol"]).await?;
    let wanted = format!("ALTER TABLE events ADD CONSTRAINT wanted CHECK (body IS DISTINCT FROM '{UNWANTED}')");
    execute(&world.cluster, &wanted).await?;
    let mut alice = Looker::at(&world.cluster, 0, "alice", QUIET, None).await?;
    let mut bob = Looker::at(&world.cluster, 1, "bob", QUIET, None).await?;
    let before = alice.send("before").await?.seq.get();
    for looker in [&mut alice, &mut bob] {
        looker.expect("before", PATIENCE).await?;
    }
    world.run_for(CALM).await?;
    let looks = looks(&world.cluster).await?;

    world.fault(ROW, "log has entries that cannot be applied");
    let from_us = world.recorder().now_us();
    let mut letters = Vec::new();
    for team in [BUSY, QUIET] {
        letters.extend(append(&mut world.cluster, team, &format!("{team}-calm")).await?);
    }
    // The store has no foreign keys: this is an event like any other.
    let kept = event("nowhere", "kept", "for a team that nobody made").encode_to_vec();
    world.cluster.append_raw(0, "nowhere", "kept", &kept).await?;
    put_aside(&world.cluster, &letters).await?;
    let counted = counted(&world.cluster).await?;
    let expected = f64::from(u32::try_from(letters.len())?);
    ensure!((counted - expected).abs() < 0.5, "{counted} are counted of {expected}");
    ensure!(world.cluster.stored_events("nowhere").await?.len() == 1, "an event of an unknown team is kept");
    // They are the last that the quiet team has, and gateways find that by themselves.
    world.run_for(TWO_LOOKS).await?;
    let looked = self::looks(&world.cluster).await? - looks;
    ensure!(looked <= LOOKS_MAX, "the last of a team, which cannot be shown, was looked for {looked} times");
    let after = bob.send("after").await?.seq.get();
    for looker in [&mut alice, &mut bob] {
        follows(looker, before, after).await?;
    }
    let mut carol = Looker::at(&world.cluster, 0, "carol", QUIET, Some(0)).await?;
    let mut place = 0;
    while place < after {
        place = next_after(&mut carol, place).await?;
    }
    let until_us = world.recorder().now_us();
    let measured = world.measure();
    world.healed(ROW);
    ensure_nobody_begins_anew(&world, from_us, until_us)?;
    ensure!(measured.gap <= GAP_BOUND, "{measured}");

    world.fault(ROW, "postgres has events locked");
    let mut lock = psql(&world.cluster, &lock_events())?;
    world.run_for(ON_THEIR_WAY).await?;
    let from_us = world.recorder().now_us();
    let waiting = append(&mut world.cluster, BUSY, "locked").await?;
    world.run_for((LOCKED + CANCELLED).saturating_sub(2 * ON_THEIR_WAY)).await?;
    let put_aside = world.cluster.dead_letters().await?;
    let until_us = world.recorder().now_us();
    ensure!(put_aside == letters, "{} were put aside while nothing can be stored", put_aside.len() - letters.len());
    ensure!(lock.wait().await?.success(), "events were not locked");
    letters.extend(waiting);
    put_aside_after_all(&world.cluster, &letters).await?;
    ensure_nothing_is_called_stored(&world, from_us, until_us)?;
    world.healed(ROW);

    world.fault(ROW, "postgres ends the owner's session, again and again");
    for round in 0..5 {
        letters.extend(append(&mut world.cluster, BUSY, &format!("ended-{round}")).await?);
        end_claims(&world).await?;
        world.run_for(Duration::from_secs(1)).await?;
    }
    put_aside_after_all(&world.cluster, &letters).await?;
    world.healed(ROW);
    world.run_for(CALM).await?;
    Box::pin(world.settle()).await?;
    ensure!(world.cluster.dead_letters().await? == letters, "something else was put aside");
    Box::pin(world.finish()).await
}

/// Appends everything that is wrong in `team`, under names that begin with `mark`. Returns the dead letters that it has to
/// become.
async fn append(cluster: &mut Cluster, team: &'static str, mark: &str) -> Result<Vec<DeadLetter>> {
    let mut letters = Vec::new();
    for Poison { name, subject, payload, becomes: (team, reason) } in poisons(team, mark) {
        let seq = cluster.append_raw(0, &subject, &name, &payload).await.with_context(|| name.clone())?;
        cluster.expect_dead_letter(0, seq);
        letters.push(DeadLetter {
            partition: 0,
            seq,
            team: team.map(str::to_owned),
            reason: reason.to_owned(),
            payload_hex: hex(&payload),
        });
    }
    Ok(letters)
}

fn poisons(team: &'static str, mark: &str) -> Vec<Poison> {
    let undecodable = (Some(team), "undecodable");
    let of_team = |name: &str, payload: Vec<u8>| (name.to_owned(), team.to_owned(), payload, undecodable);
    let posted = |name: &str, body: &str| event(team, &format!("{mark}-{name}"), body).encode_to_vec();
    let no_kind = Event { kind: None, ..event(team, &format!("{mark}-newer"), "") };
    let all = [
        of_team("noise", b"\xff\xfe\x00 is no event".to_vec()),
        of_team("empty", Vec::new()),
        of_team("nul", posted("nul", "a\0b")),
        of_team("long", posted("long", &"x".repeat(BODY_CHARACTERS_MAX + 1))),
        of_team("very-long", posted("very-long", &"x".repeat(200_000))),
        of_team("newer", no_kind.encode_to_vec()),
        of_team("elsewhere", event("elsewhere", &format!("{mark}-elsewhere"), "another team's").encode_to_vec()),
        ("digits".to_owned(), "7".repeat(300), posted("digits", "under a long id"), (None, "undecodable")),
        (
            "unwanted".to_owned(),
            UNSEEN.to_owned(),
            { event(UNSEEN, &format!("{mark}-unwanted"), UNWANTED).encode_to_vec() },
            (Some(UNSEEN), "refused"),
        ),
    ];
    let named = all.into_iter().map(|(name, subject, payload, becomes)| {
        let name = format!("{mark}-{name}");
        Poison { name, subject, payload, becomes }
    });
    named.collect()
}

fn event(team: &str, client_id: &str, body: &str) -> Event {
    let kind = Kind::Posted(Posted { body: body.to_owned(), ..Posted::default() });
    Event {
        team: team.to_owned(),
        sender: "alice".to_owned(),
        client_id: client_id.to_owned(),
        kind: Some(kind),
        ..Event::default()
    }
}

/// Waits until all of `letters`, and nothing else, are put aside, each with its bytes and its reason.
async fn put_aside(cluster: &Cluster, letters: &[DeadLetter]) -> Result<()> {
    put_aside_within(cluster, letters, ASIDE_BOUND).await
}

/// The same when persistence has to find its way back first.
async fn put_aside_after_all(cluster: &Cluster, letters: &[DeadLetter]) -> Result<()> {
    put_aside_within(cluster, letters, PATIENCE).await
}

async fn put_aside_within(cluster: &Cluster, letters: &[DeadLetter], bound: Duration) -> Result<()> {
    until("all are put aside that cannot be applied", bound, async || {
        Ok((cluster.dead_letters().await?.len() >= letters.len()).then_some(()))
    })
    .await?;
    for (found, expected) in cluster.dead_letters().await?.iter().zip(letters) {
        let is_as_expected = found == expected;
        ensure!(
            is_as_expected,
            "put aside is {:?} of {:?} at {} because it is {}, and expected {:?} at {} because it is {}",
            found.payload_hex.len(),
            found.team,
            found.seq,
            found.reason,
            expected.team,
            expected.seq,
            expected.reason
        );
    }
    Ok(())
}

/// How many entries the replicas of persistence say that they have put aside.
async fn counted(cluster: &Cluster) -> Result<f64> {
    let mut sum = 0.0;
    for replica in &cluster.persistence {
        sum += metric(replica, "huddle_persistence_dead_letters_total").await?;
    }
    Ok(sum)
}

/// How often gateways found that the last of a quiet team was missing.
async fn looks(cluster: &Cluster) -> Result<f64> {
    let mut sum = 0.0;
    for gateway in &cluster.gateways {
        sum += metric(gateway, "huddle_gateway_feeds_behind_total").await?;
    }
    Ok(sum)
}

/// The next that is seen is at `seq`, and says that `before` comes before it: what cannot be shown is no hole.
async fn follows(looker: &mut Looker, before: u64, seq: u64) -> Result<()> {
    let seen = next_after(looker, before).await?;
    ensure!(seen == seq, "{seen} came instead of {seq}");
    Ok(())
}

/// The position of the next event, which must say that it follows on `place`.
async fn next_after(looker: &mut Looker, place: u64) -> Result<u64> {
    match looker.next(PATIENCE).await? {
        Seen::Event(event) => {
            ensure!(event.prev_seq.get() == place, "{} follows {}, and not {place}", event.seq, event.prev_seq);
            Ok(event.seq.get())
        }
        Seen::Ended(code) => bail!("the subscription has ended with {code}"),
    }
}

/// Checks that between two times no client but the guests connected, subscribed, or lost a subscription.
fn ensure_nobody_begins_anew(world: &World, from_us: u64, until_us: u64) -> Result<()> {
    let mut begun: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines(world)? {
        let is_then = (from_us..until_us).contains(&line.at_us) && !line.client.starts_with("guest");
        let begins = matches!(
            line.note,
            Note::Connected { .. } | Note::Disconnected { .. } | Note::Subscribe { .. } | Note::Ended { .. }
        );
        if is_then && begins {
            *begun.entry(line.client).or_default() += 1;
        }
    }
    ensure!(begun.is_empty(), "began anew because of what cannot be shown: {begun:?}");
    Ok(())
}

/// Checks that what was sent between two times, in which nothing could be stored, was not called stored in them.
fn ensure_nothing_is_called_stored(world: &World, from_us: u64, until_us: u64) -> Result<()> {
    let mut sent = HashSet::new();
    // By team, the lowest position that anything sent then got.
    let mut lowest: HashMap<String, u64> = HashMap::new();
    for line in lines(world)?.into_iter().filter(|line| (from_us..until_us).contains(&line.at_us)) {
        match line.note {
            Note::Send { team, client_id, .. } => drop(sent.insert((team, client_id))),
            Note::Accepted { team, client_id, seq, duplicate: false }
                if sent.contains(&(team.clone(), client_id.clone())) =>
            {
                let lowest = lowest.entry(team).or_insert(seq);
                *lowest = seq.min(*lowest);
            }
            Note::Stored { team, seq } => {
                let is_stored = lowest.get(&team).is_none_or(|lowest| seq < *lowest);
                ensure!(is_stored, "{seq} of {team} was called stored while nothing could be");
            }
            _ => {}
        }
    }
    ensure!(!lowest.is_empty(), "nothing was accepted while nothing could be stored");
    Ok(())
}

/// What is in the recording so far.
fn lines(world: &World) -> Result<Vec<Line>> {
    world.recorder().flush()?;
    let mut reader = Reader::new(BufReader::new(File::open(world.recorder().path())?))?;
    let mut lines = Vec::new();
    // Its end may be half a line: the run goes on.
    while let Ok(Some((_, line))) = reader.next_line() {
        lines.push(line);
    }
    Ok(lines)
}

/// A session that keeps everybody from `events`, and after some time cancels whatever the owner of the partition asks for.
fn lock_events() -> String {
    let (locked, cancelled) = (LOCKED.as_secs(), CANCELLED.as_secs());
    format!(
        "BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({locked}); \
         DO $$ DECLARE ends timestamptz := clock_timestamp() + interval '{cancelled} seconds'; BEGIN \
         WHILE clock_timestamp() < ends LOOP \
         PERFORM pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted; \
         PERFORM pg_sleep(0.005); \
         END LOOP; END $$; COMMIT"
    )
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into memory does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Ends the sessions of Postgres that hold a partition's lock.
async fn end_claims(world: &World) -> Result<()> {
    const END: &str = "SELECT pg_terminate_backend(pid) AS ended FROM pg_locks WHERE locktype = 'advisory' AND granted";
    world.cluster.rows::<serde_json::Value>(END).await.map(drop)
}
