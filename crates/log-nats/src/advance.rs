//! Moves a partition on by leaving a hole: how, without losing a publish that comes meanwhile.
//!
//! A stream's next position is raised by purging it up to a position above its last. A publish that lands between the
//! look at the stream and the purge would go with it, although it was acknowledged. So the servers refuse publishes
//! meanwhile: the stream is *fenced*, by settings under which no message is small enough.
//!
//! 1. The fence is raised. It names the position to go on after, so that whoever finds it can finish the work.
//! 2. Every server of the partition has shown that it knows the fence, so that no new leader is without.
//! 3. A publish is refused by the leader: those before it on the leader's way are decided.
//! 4. A purge of nothing is answered: what the leader had decided to append is appended.
//! 5. The look: everything must be stored. Then the purge, which only ever takes what is below the named position: one
//!    that arrives late, when the stream has gone on, takes nothing.
//! 6. The fence is lifted. A fence is never lifted while a purge may be under way that has not been overtaken.
//!
//! A fence that was left behind (by a crash in between) holds publishes back, and loses nothing. The next
//! [`advance`] finishes the work, and so does [`mend`], which every [`huddle_log::Log::prepare`] begins with; while a
//! server is away, [`mend`] lifts the fence and leaves the work to the next [`advance`].

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::{Config as Settings, Info},
};
use huddle_domain::{Partition, Seq};
use huddle_log::LogError;
use tokio::time::{Instant, sleep};

use crate::{
    connect::Link,
    retry::{Cause, Limits, Miss, until_answered, until_answered_for},
    stream::{self, MESSAGE_BYTES_MAX},
    subject, watchman,
};

/// Under this key a fenced stream's metadata hold the position after which it has to go on.
const FENCE_KEY: &str = "huddle_advancing_to";
/// The largest message of a fenced stream, in bytes: its headers alone are larger.
const FENCED_MESSAGE_BYTES_MAX: i32 = 1;
/// How long after raising the fence a purge may still be sent.
const FENCE_TIME: Duration = Duration::from_secs(8);
/// How long [`mend`] watches a fence that it cannot finish before it lifts it: whoever has raised it is not going to
/// purge any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(10);
/// Between two looks at such a fence.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// Consumers made in search of one on every server. The servers are chosen at random: with five of them, one is left out
/// by so many with a probability below one in a million.
const WITNESSES_MAX: usize = 80;
/// How long a server keeps such a consumer.
const WITNESS_KEPT: Duration = Duration::from_secs(1);
/// Above this a partition is not advanced: stores count in signed numbers.
const POSITION_MAX: Seq = Seq::new(i64::MAX.unsigned_abs() - 1);
/// How long servers that are away are waited for.
const SERVERS_PATIENCE: Duration = Duration::from_secs(5);
const CONTEXT: &str = "advancing a partition";

/// Leaves a hole behind the stream's last entry; see [`huddle_log::Log::advance`]. When it is dropped, or fails in
/// between, the fence may stay.
pub(crate) async fn advance(link: &Link, partition: Partition, stored: Seq, above: Seq) -> Result<Seq, LogError> {
    let info = info(link, partition).await?;
    let left_behind = fence_of(&info.config);
    let last = Seq::new(info.state.last_sequence);
    if left_behind.is_none() && last >= above {
        return Ok(last);
    }
    if above > POSITION_MAX {
        return Err(LogError::Unsuitable {
            problem: format!("a partition cannot go on above {above}"),
            remedy: format!("positions go up to {POSITION_MAX}"),
        });
    }
    let info = all_servers_are_up(link, partition).await?;
    // A purge up to the position that an earlier fence names may still be on its way.
    let target = left_behind.map_or(above, |earlier| above.max(earlier));
    let purge_until = Instant::now() + FENCE_TIME;
    let looked = async {
        raise(link, &info.config, target).await?;
        look(link, partition, target, purge_until).await
    };
    let looked = match looked.await {
        Ok(looked) => looked,
        Err(error) => {
            if left_behind.is_none()
                && let Err(error) = lift(link, partition).await
            {
                tracing::warn!(%partition, error = &error as &dyn std::error::Error, "the partition refuses publishes still");
            }
            return Err(error);
        }
    };
    if !has_unstored(&looked, stored, target) {
        return purge_and_go_on(link, partition, &looked, target, purge_until).await;
    }
    // Nobody purges: whoever looked before knew of less that is stored.
    lift(link, partition).await?;
    Err(LogError::Unsuitable {
        problem: format!(
            "partition {partition} has to go on above {above}, and holds entries up to {} of which only those up to \
             {stored} are stored",
            looked.state.last_sequence
        ),
        remedy: "let `huddle persistence` store everything first: run it until its lag is 0, stop it, and try again"
            .to_owned(),
    })
}

/// Does away with a fence that was left behind: finishes what it was for where everything is stored, lifts it where not,
/// or where a server is away: senders need not wait until that one is back. Nothing happens when there is none.
pub(crate) async fn mend(link: &Link, partition: Partition, highest_stored: Seq) -> Result<(), LogError> {
    let Some(target) = fence(link, partition).await? else { return Ok(()) };
    tracing::warn!(%partition, %target, "a partition refuses publishes for the sake of an import that has not ended");
    let purge_until = Instant::now() + FENCE_TIME;
    match look(link, partition, target, purge_until).await {
        Ok(looked) if !has_unstored(&looked, highest_stored, target) => {
            let seq = purge_and_go_on(link, partition, &looked, target, purge_until).await?;
            tracing::info!(%partition, %seq, "the partition goes on");
            return Ok(());
        }
        Ok(_) => {}
        // Without all servers nothing may be purged. Lifting a fence needs no more of them than publishing.
        Err(error @ LogError::Unavailable { .. }) => {
            tracing::warn!(%partition, error = &error as &dyn std::error::Error, "the partition cannot be advanced now");
        }
        Err(error) => return Err(error),
    }
    // Perhaps whoever has raised the fence knows of more that is stored, or of all servers, and is about to purge.
    let abandoned = Instant::now() + ABANDONED_AFTER;
    while Instant::now() < abandoned {
        sleep(WATCH_INTERVAL).await;
        if fence(link, partition).await? != Some(target) {
            return Ok(());
        }
    }
    // Overtakes a purge that its sender has not lived to see.
    purge(link, partition, Purge::Nothing, Instant::now() + FENCE_TIME).await?;
    lift(link, partition).await?;
    tracing::info!(%partition, "the partition goes on without having been advanced");
    Ok(())
}

/// The position after which a fenced stream has to go on; `None` of a stream without a fence.
pub(crate) fn fence_of(settings: &Settings) -> Option<Seq> {
    let target = settings.metadata.get(FENCE_KEY)?.parse().ok()?;
    (settings.max_message_size == FENCED_MESSAGE_BYTES_MAX).then(|| Seq::new(target))
}

/// Why a fenced stream is of no use for the moment.
pub(crate) fn fenced() -> Cause {
    Cause::new(
        "it refuses publishes while an import moves its positions on; if no import runs, start `huddle persistence` or \
         run `huddle migrate`, and it goes on",
    )
}

/// Steps 2 to 4, and what the stream holds then.
async fn look(link: &Link, partition: Partition, target: Seq, purge_until: Instant) -> Result<Info, LogError> {
    let fenced = info(link, partition).await?;
    if stream::is_replicated(&fenced) {
        all_servers_know(link, partition, &fenced, purge_until).await?;
    }
    publishes_are_decided(link, partition, &fenced).await?;
    purge(link, partition, Purge::Nothing, purge_until).await?;
    let looked = info(link, partition).await?;
    if fence_of(&looked.config) != Some(target) {
        return Err(Cause::new("somebody else advances the partition, too").unavailable(CONTEXT));
    }
    Ok(looked)
}

/// Whether the purge would take what is not stored.
fn has_unstored(looked: &Info, stored: Seq, target: Seq) -> bool {
    let last = Seq::new(looked.state.last_sequence);
    last < target && looked.state.messages > 0 && last > stored
}

/// The purge, unless it was made before, and step 6.
async fn purge_and_go_on(
    link: &Link,
    partition: Partition,
    looked: &Info,
    target: Seq,
    purge_until: Instant,
) -> Result<Seq, LogError> {
    let purged = if looked.state.last_sequence < target.get() {
        purge(link, partition, Purge::Below(target.next().get()), purge_until).await?
    } else {
        0
    };
    let last = Seq::new(lift(link, partition).await?.state.last_sequence);
    // Cannot be, by all that is known of the servers; but nothing may be lost in silence.
    if purged > looked.state.messages {
        return Err(LogError::Unsuitable {
            problem: format!(
                "{} entries came into partition {partition} although it refused them, and were purged",
                purged - looked.state.messages
            ),
            remedy: "have their senders send them again, and report this with the logs of the NATS servers".to_owned(),
        });
    }
    if last >= target {
        return Ok(last);
    }
    Err(LogError::Unsuitable {
        problem: format!("partition {partition} goes on after {last}, and was to go on after {target}"),
        remedy: "see the logs of the NATS servers".to_owned(),
    })
}

async fn info(link: &Link, partition: Partition) -> Result<Info, LogError> {
    until_answered(CONTEXT, || find(link, partition)).await
}

async fn find(link: &Link, partition: Partition) -> Result<Info, Miss> {
    stream::find(link, partition).await?.ok_or(Miss::Final(LogError::Missing { partition }))
}

async fn fence(link: &Link, partition: Partition) -> Result<Option<Seq>, LogError> {
    let info = until_answered(CONTEXT, || stream::find(link, partition)).await?;
    Ok(info.and_then(|info| fence_of(&info.config)))
}

/// Waits until no server of the partition is away or lags behind: it could come back, lead the partition, and not know
/// the fence.
async fn all_servers_are_up(link: &Link, partition: Partition) -> Result<Info, LogError> {
    let limits = Limits { patience: SERVERS_PATIENCE, ..Limits::default() };
    until_answered_for(CONTEXT, limits, || async {
        let info = find(link, partition).await?;
        let mut replicas = info.cluster.iter().flat_map(|cluster| &cluster.replicas);
        match replicas.find(|replica| replica.offline || !replica.current) {
            None => Ok(info),
            Some(away) => Err(Miss::Retry(Cause::new(&format!(
                "NATS server {} is away or lags behind, and all have to be there",
                away.name
            )))),
        }
    })
    .await
}

async fn raise(link: &Link, found: &Settings, target: Seq) -> Result<Info, LogError> {
    let mut settings = found.clone();
    settings.max_message_size = FENCED_MESSAGE_BYTES_MAX;
    settings.metadata.insert(FENCE_KEY.to_owned(), target.to_string());
    update(link, settings).await
}

async fn lift(link: &Link, partition: Partition) -> Result<Info, LogError> {
    let mut settings = info(link, partition).await?.config;
    settings.max_message_size = MESSAGE_BYTES_MAX;
    settings.metadata.remove(FENCE_KEY);
    update(link, settings).await
}

async fn update(link: &Link, settings: Settings) -> Result<Info, LogError> {
    until_answered(CONTEXT, || async {
        link.jetstream.update_stream(&settings).await.map_err(|error| Miss::Retry(Cause::of(&error)))
    })
    .await
}

/// Waits until every server of the partition has made a consumer on it. Streams' settings and consumers are decided by
/// the same group of servers, in one order: who has made a consumer has changed the settings before.
async fn all_servers_know(link: &Link, partition: Partition, info: &Info, until: Instant) -> Result<(), LogError> {
    let mut unheard: BTreeSet<String> = info
        .cluster
        .iter()
        .flat_map(|cluster| cluster.leader.iter().chain(cluster.replicas.iter().map(|replica| &replica.name)))
        .cloned()
        .collect();
    for _ in 0..WITNESSES_MAX {
        if Instant::now() >= until {
            break;
        }
        let server = witness(link, partition).await?;
        unheard.remove(&server);
        if unheard.is_empty() {
            return Ok(());
        }
    }
    let away = unheard.into_iter().collect::<Vec<_>>().join(", ");
    Err(Cause::new(&format!("NATS servers that do not answer: {away}")).unavailable(CONTEXT))
}

/// Has some server make a consumer; returns its name.
async fn witness(link: &Link, partition: Partition) -> Result<String, LogError> {
    let config = pull::Config {
        description: Some("huddle advance".to_owned()),
        deliver_policy: DeliverPolicy::New,
        ack_policy: AckPolicy::None,
        inactive_threshold: WITNESS_KEPT,
        num_replicas: 1,
        memory_storage: true,
        ..pull::Config::default()
    };
    until_answered(CONTEXT, || async {
        let created = link.jetstream.create_consumer_on_stream(config.clone(), subject::stream(partition)).await;
        let consumer: PullConsumer = created.map_err(|error| Miss::Retry(Cause::of(&error)))?;
        let info = consumer.cached_info();
        let leader = info.cluster.as_ref().and_then(|cluster| cluster.leader.clone());
        // It goes by itself soon; this is only to have fewer of them at a time.
        let _ = link.jetstream.delete_consumer_from_stream(&info.name, subject::stream(partition)).await;
        leader.ok_or_else(|| Miss::Retry(Cause::new("a consumer without a server")))
    })
    .await
}

/// Has the leader refuse a publish: it takes them one after the other.
async fn publishes_are_decided(link: &Link, partition: Partition, info: &Info) -> Result<(), LogError> {
    let is_replicated = stream::is_replicated(info);
    until_answered(CONTEXT, || async {
        let refusal = watchman::probe(link, partition).await?;
        // A stream on one server looks at the sizes last, and its server has answered the update when it was done.
        if refusal.is_too_large() || (refusal.is_wrong_stream() && !is_replicated) {
            return Ok(());
        }
        Err(Miss::Retry(Cause::new("the partition's leader does not know of the fence")))
    })
    .await
}

#[derive(Clone, Copy)]
enum Purge {
    Nothing,
    /// Everything below a position, at which the stream then goes on.
    Below(u64),
}

/// Purges, and returns how many entries that took: of those that the last attempt found.
async fn purge(link: &Link, partition: Partition, what: Purge, until: Instant) -> Result<u64, LogError> {
    let limits = Limits { patience: until.saturating_duration_since(Instant::now()), ..Limits::default() };
    until_answered_for(CONTEXT, limits, || async {
        if Instant::now() >= until {
            return Err(Miss::Retry(Cause::new("the servers are too slow")));
        }
        let stream = link
            .jetstream
            .get_stream_no_info(subject::stream(partition))
            .await
            .map_err(|error| Miss::Retry(Cause::of(&error)))?;
        let purged = match what {
            Purge::Nothing => stream.purge().filter(watchman::probe_subject(partition)).await,
            Purge::Below(position) => stream.purge().sequence(position).await,
        };
        purged.map(|purged| purged.purged).map_err(|error| Miss::Retry(Cause::of(&error)))
    })
    .await
}
