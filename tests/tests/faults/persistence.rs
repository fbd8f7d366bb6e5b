//! Persistence that dies, stands still, and is cut off from either side.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use huddle_tests::{
    faults::{
        World, WorldOptions,
        wire::{Direction, Held},
    },
    until,
};
use tokio::time::timeout;

use crate::aid::{execute, older_entries, psql};

/// What runs before anything is broken, and after it is mended.
const CALM: Duration = Duration::from_secs(4);
/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(30);
const TAKE_OVER_MAX: Duration = Duration::from_secs(5);
/// What sqlx says to Postgres around a batch, and what it is told.
const BEGIN: &[u8] = b"BEGIN\0";
const COMMIT: &[u8] = b"COMMIT\0";
/// What persistence says to NATS after a batch.
const ANNOUNCEMENT: &[u8] = b"PUB huddle.stored.";

/// A place at which the owner of the partition stands still.
#[derive(Debug, Clone, Copy)]
struct Point {
    what: &'static str,
    other: &'static str,
    direction: Direction,
    pattern: &'static [u8],
}

/// One batch, from its first word to its last.
const POINTS: [Point; 4] = [
    Point { what: "before its transaction", other: "postgres", direction: Direction::Forth, pattern: BEGIN },
    Point { what: "before COMMIT arrives", other: "postgres", direction: Direction::Forth, pattern: COMMIT },
    Point { what: "before it hears of COMMIT", other: "postgres", direction: Direction::Back, pattern: COMMIT },
    Point { what: "before it announces", other: "nats", direction: Direction::Forth, pattern: ANNOUNCEMENT },
];

#[tokio::test(flavor = "multi_thread")]
async fn f18_persistence_that_is_killed_at_any_point_of_a_batch_leaves_each_message_in_one_row() -> Result<()> {
    let mut world = Box::pin(World::start(WorldOptions::of("F18"))).await?;
    for point in POINTS {
        world.run_for(CALM).await?;
        let (owner, held) = stand_still(&mut world, point).await?;
        world.fault("F18", &format!("persistence-{owner} killed {}", point.what));
        world.cluster.persistence[owner].kill9()?;
        let killed = Instant::now();
        gone(&held).await?;
        let next = taken_over(&mut world, owner).await?;
        println!("killed {}: persistence-{next} owns the partition after {:?}", point.what, killed.elapsed());
        world.cluster.persistence[owner].restart().await?;
        world.healed("F18");
    }
    world.run_for(CALM).await?;
    world.measure();
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_an_owner_that_stood_still_and_commits_late_changes_nothing() -> Result<()> {
    let mut world = Box::pin(World::start(WorldOptions::of("F19"))).await?;
    execute(&world.cluster, NOTE_RETREATS).await?;
    for point in [POINTS[1], POINTS[0]] {
        world.run_for(CALM).await?;
        let (owner, held) = stand_still(&mut world, point).await?;
        world.fault("F19", &format!("persistence-{owner} stopped {}", point.what));
        world.cluster.persistence[owner].process().pause()?;
        taken_over(&mut world, owner).await?;
        world.run_for(CALM).await?;
        // Its last words arrive now, and then it goes on.
        drop(held);
        world.cluster.persistence[owner].process().resume()?;
        world.healed("F19");
    }
    world.run_for(CALM).await?;
    world.measure();
    ensure_no_retreat(&world).await?;
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_an_owner_whose_claim_is_taken_away_again_and_again_never_writes_beside_another() -> Result<()> {
    const TIMES: usize = 20;

    let mut world = Box::pin(World::start(WorldOptions::of("F20"))).await?;
    execute(&world.cluster, NOTE_RETREATS).await?;
    execute(&world.cluster, NOTE_WRITERS).await?;
    let mut looking = psql(&world.cluster, LOOK_AT_OWNERS)?;
    world.run_for(CALM).await?;
    world.fault("F20", "postgres ends the owner's session, again and again");
    for _ in 0..TIMES {
        let before = stored(&world).await?;
        until("somebody writes", PATIENCE, async || Ok((stored(&world).await? > before).then_some(()))).await?;
        end_claims(&world).await?;
        world.run_for(Duration::from_millis(300)).await?;
    }
    world.healed("F20");
    world.run_for(CALM).await?;
    execute(&world.cluster, "INSERT INTO enough_looks VALUES (true)").await?;
    ensure!(timeout(PATIENCE, looking.wait()).await.context("the looking does not end")??.success(), "psql failed");
    ensure_one_owner(&world, TIMES).await?;
    ensure_no_retreat(&world).await?;
    world.measure();
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f21_persistence_that_was_cut_off_from_the_log_catches_up_three_times_as_fast_as_messages_come() -> Result<()> {
    const CUT: Duration = Duration::from_secs(15);
    /// Half of what the fleet sends within that time.
    const GATHERED_MIN: u64 = 750;
    /// The bound of the metric of ages above which there is nothing while all is well, in seconds.
    const LATE: &str = "4.096";

    let mut world = Box::pin(World::start(WorldOptions::of("F21"))).await?;
    world.run_for(CALM).await?;
    for is_silent in [false, true] {
        world.fault("F21", "persistence cut off from NATS");
        let link = world.cluster.wires().between("persistence", "nats");
        if is_silent {
            link.silence()
        } else {
            link.cut()
        };
        world.run_for(CUT).await?;
        let behind = lag(&world).await?;
        ensure!(behind >= GATHERED_MIN, "only {behind} positions have gathered");
        let late = older_entries(&world.cluster, LATE).await?;
        link.heal();
        let healed = Instant::now();
        until("persistence has caught up with what had gathered", PATIENCE, async || {
            Ok((lag(&world).await? < behind / 10).then_some(()))
        })
        .await?;
        world.healed("F21");
        println!("{behind} positions behind after {CUT:?}, caught up after {:?}", healed.elapsed());
        ensure!(healed.elapsed() < CUT / 3, "{behind} positions took {:?}", healed.elapsed());
        ensure!(older_entries(&world.cluster, LATE).await? > late, "no metric tells that entries were late");
        world.run_for(CALM).await?;
    }
    world.measure();
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f22_a_commit_of_which_nobody_knows_is_one_row_in_the_end() -> Result<()> {
    let mut world = Box::pin(World::start(WorldOptions::of("F22"))).await?;
    for point in [POINTS[1], POINTS[2]] {
        world.run_for(CALM).await?;
        let (owner, held) = stand_still(&mut world, point).await?;
        let name = format!("persistence-{owner}");
        world.fault("F22", &format!("{name} cut off from Postgres {}", point.what));
        let link = world.cluster.wires().between(&name, "postgres");
        link.cut();
        gone(&held).await?;
        world.run_for(CALM).await?;
        link.heal();
        world.healed("F22");
    }
    world.fault("F22", "persistence cut off from Postgres");
    let link = world.cluster.wires().between("persistence", "postgres");
    link.silence();
    world.run_for(Duration::from_secs(10)).await?;
    link.heal();
    world.healed("F22");
    world.run_for(CALM).await?;
    world.measure();
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_fifty_changes_of_the_leader_stop_the_reading_of_the_log_for_no_longer_than_15_seconds() -> Result<()> {
    const TIMES: usize = 50;
    const STALL_MAX: Duration = Duration::from_secs(15);

    let mut world = Box::pin(World::start(WorldOptions::of("F23"))).await?;
    world.run_for(CALM).await?;
    world.fault("F23", "the leader of the log steps down, again and again");
    let (mut longest, mut changes) = (Duration::ZERO, 0);
    for step in 0..TIMES {
        let leader = until("somebody leads the log", PATIENCE, async || world.cluster.leader_of(0).await).await?;
        world.cluster.step_down(leader, 0).await.with_context(|| format!("step {step}"))?;
        let began = Instant::now();
        let next = until("somebody leads the log again", PATIENCE, async || world.cluster.leader_of(0).await).await?;
        changes += usize::from(next != leader);
        // What follows on this is taken by who leads now; what is stored until here may have been read before.
        let last = world.cluster.last_seq_as_seen_by(next, 0).await?.context("the leader has no log")?;
        until("what was sent after the change is stored", STALL_MAX, async || {
            Ok((stored(&world).await? > last).then_some(()))
        })
        .await
        .with_context(|| format!("step {step}"))?;
        longest = longest.max(began.elapsed());
    }
    world.healed("F23");
    println!("{changes} changes of the leader; the longest time until what came after one was stored: {longest:?}");
    ensure!(changes >= TIMES / 2, "only {changes} changes of the leader");
    world.run_for(CALM).await?;
    world.measure();
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

/// Waits until the owner of the partition has come to `point`, and stands still there.
async fn stand_still(world: &mut World, point: Point) -> Result<(usize, Held)> {
    let owner = until("a replica owns the partition", PATIENCE, async || world.cluster.owner_of(0).await).await?;
    let link = world.cluster.wires().between(&format!("persistence-{owner}"), point.other);
    let held = link.hold_at(point.direction, point.pattern);
    timeout(PATIENCE, held.reached()).await.with_context(|| format!("never {}", point.what))?;
    Ok((owner, held))
}

/// Waits until the connection that stood still is dead: what it had said and what was not passed on is gone with it.
async fn gone(held: &Held) -> Result<()> {
    until("what was held is gone", PATIENCE, async || Ok((!held.is_held()).then_some(()))).await
}

/// Waits until another replica than `owner` owns the partition.
async fn taken_over(world: &mut World, owner: usize) -> Result<usize> {
    let other = 1 - owner;
    let series = "huddle_persistence_owned{partition=\"0\"}";
    until("another replica owns the partition", TAKE_OVER_MAX, async || {
        Ok((world.cluster.persistence[other].metrics().await?.series(series) == Some(1.0)).then_some(other))
    })
    .await
}

/// Ends the sessions of Postgres that hold a partition's lock.
async fn end_claims(world: &World) -> Result<()> {
    const END: &str = "SELECT pg_terminate_backend(pid) AS ended FROM pg_locks WHERE locktype = 'advisory' AND granted";
    world.cluster.rows::<serde_json::Value>(END).await.map(drop)
}

/// Has Postgres note which session has written each event.
const NOTE_WRITERS: &str = "
    CREATE TABLE written (seq bigint, session integer);
    CREATE FUNCTION note_writer() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO written VALUES (new.seq, pg_backend_pid());
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_writer AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION note_writer();
    CREATE TABLE looks (owners integer, writers integer);
    CREATE TABLE enough_looks (is_enough boolean);";

/// Looks every few milliseconds how many sessions hold the partition's lock, and how many are in the middle of writing, until
/// it is enough. Inside Postgres, where one look sees all sessions at one moment.
const LOOK_AT_OWNERS: &str = "
    DO $$
    BEGIN
        WHILE NOT EXISTS (SELECT FROM enough_looks) LOOP
            INSERT INTO looks SELECT
                count(*) FILTER (WHERE locktype = 'advisory' AND classid = 1752523884 AND objid = 0),
                count(DISTINCT pid) FILTER (WHERE mode = 'RowExclusiveLock'
                    AND relation IN ('events'::regclass, 'log_progress'::regclass))
                FROM pg_locks WHERE granted;
            PERFORM pg_sleep(0.003);
        END LOOP;
    END $$;";

/// Checks that at no look two sessions owned the partition or were about to write it, and that once a session has written,
/// none of those before it ever wrote again. The claim was ended `times` times.
async fn ensure_one_owner(world: &World, times: usize) -> Result<()> {
    #[derive(Debug, serde::Deserialize)]
    struct Looks {
        owned: usize,
        writing: usize,
        owners_max: usize,
        writers_max: usize,
    }
    #[derive(Debug, serde::Deserialize)]
    struct Written {
        events: usize,
        rows: usize,
        sessions: usize,
        turns: usize,
    }
    const LOOKS: &str = "
        SELECT count(*) FILTER (WHERE owners > 0) AS owned, count(*) FILTER (WHERE writers > 0) AS writing,
            max(owners) AS owners_max, max(writers) AS writers_max
        FROM looks";
    const WRITTEN: &str = "
        SELECT count(DISTINCT seq) AS events, count(*) AS rows, count(DISTINCT session) AS sessions,
            count(*) FILTER (WHERE session IS DISTINCT FROM before) AS turns
        FROM (SELECT seq, session, lag(session) OVER (ORDER BY seq) AS before FROM written) AS in_order";
    let looks: Looks = world.cluster.rows(LOOKS).await?.pop().context("no looks")?;
    let written: Written = world.cluster.rows(WRITTEN).await?.pop().context("nothing is written")?;
    println!("{looks:?}, {written:?}");
    ensure!(looks.owners_max == 1 && looks.writers_max == 1, "two at a time: {looks:?}");
    ensure!(looks.owned > 100 && looks.writing > 10, "nobody was seen at work: {looks:?}");
    ensure!(written.events == written.rows, "an event was written twice: {written:?}");
    ensure!(written.sessions > times, "the claims were not taken away: {written:?}");
    ensure!(written.turns == written.sessions, "a session went on behind another one: {written:?}");
    Ok(())
}

/// Has Postgres note each time that a partition's position goes back.
const NOTE_RETREATS: &str = "
    CREATE TABLE retreats (partition integer, before bigint, after bigint);
    CREATE FUNCTION note_retreat() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO retreats VALUES (new.partition, old.seq, new.seq);
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_retreat AFTER UPDATE ON log_progress FOR EACH ROW
        WHEN (new.seq < old.seq) EXECUTE FUNCTION note_retreat();";

async fn ensure_no_retreat(world: &World) -> Result<()> {
    let retreats: Vec<serde_json::Value> = world.cluster.rows("SELECT before, after FROM retreats").await?;
    ensure!(retreats.is_empty(), "the partition went back: {retreats:?}");
    Ok(())
}

/// How far the partition is stored.
async fn stored(world: &World) -> Result<u64> {
    #[derive(serde::Deserialize)]
    struct Progress {
        seq: u64,
    }
    let rows: Vec<Progress> = world.cluster.rows("SELECT seq FROM log_progress WHERE partition = 0").await?;
    Ok(rows.first().context("nothing is stored")?.seq)
}

/// How many positions the store is behind the log.
async fn lag(world: &World) -> Result<u64> {
    let info = world.cluster.jetstream("STREAM.INFO.HUDDLE_LOG_0", "").await?;
    let last = info["state"]["last_seq"].as_u64().context("the stream has no last position")?;
    Ok(last.saturating_sub(stored(world).await?))
}
