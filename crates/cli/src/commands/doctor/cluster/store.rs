//! What Postgres says about itself, and how the log gets into it.

use huddle_domain::{Partition, Seq};
use huddle_log_nats::StreamFacts;
use huddle_store::{PartitionStore as _, StoreError};
use huddle_store_postgres::{Connections, Contents, InspectedPartition, Inspection, Owner, PostgresStore, Settings};
use tokio::time::{Instant, sleep};

use super::{Nats, Postgres, log};
use crate::{
    commands::doctor::{
        check::Outcome,
        finding::{Finding, Id},
        storing::{self, WATCH_INTERVAL, WATCH_MAX, Watched},
        text,
    },
    config::Config,
};

/// Free sessions below which services that start or reconnect may find none.
const CONNECTIONS_FREE_MIN: u32 = 10;

const LOOK_AT_DEAD_LETTERS: &str = "`psql -c 'SELECT partition, seq, team_id, reason, detail FROM dead_letters'`";

const LOOK_AT_GAPS: &str = "`psql -c 'SELECT * FROM log_gaps'`";

pub(super) async fn server(postgres: &Postgres) -> Outcome {
    let Some(answer) = postgres.answer().await else { return broken_off() };
    match &*answer {
        Ok(inspection) if inspection.is_standby => {
            let remedy = "let `store.url` name the primary, or promote this server";
            Finding::problem(Id::PostgresStandby, "the server follows another one and cannot be written", remedy).into()
        }
        Ok(inspection) => Outcome::ok(Id::Postgres, format!("version {}", inspection.version)),
        Err(StoreError::Unsuitable { problem, remedy }) => {
            Finding::problem(Id::PostgresUnfit, problem.clone(), remedy.clone()).into()
        }
        Err(error) => {
            let remedy = "start Postgres, and check that `store.url` names it and no firewall is in between";
            Finding::problem(Id::PostgresUnreachable, log::chain(error), remedy).into()
        }
    }
}

pub(super) async fn schema(postgres: &Postgres) -> Outcome {
    let inspection = match inspection(postgres).await {
        Ok(inspection) => inspection,
        Err(outcome) => return outcome,
    };
    let known = inspection.schema_known;
    match inspection.schema {
        None => {
            let found = "the database does not have Huddle's tables";
            Finding::problem(Id::SchemaMissing, found, "run `huddle migrate`").into()
        }
        Some(found) if found < known => {
            let found = format!("the database has schema {found}, and this version of huddle needs {known}");
            Finding::problem(Id::SchemaOlder, found, "run `huddle migrate`").into()
        }
        Some(found) if found > known => {
            let found = format!("the database has schema {found}, and this version of huddle knows {known} only");
            Finding::problem(Id::SchemaNewer, found, "use the newer version of huddle that made the schema").into()
        }
        Some(found) => Outcome::ok(Id::Schema, found.to_string()),
    }
}

pub(super) async fn durability(postgres: &Postgres) -> Outcome {
    let Settings { fsync, full_page_writes, synchronous_commit } = match inspection(postgres).await {
        Ok(inspection) => inspection.settings,
        Err(outcome) => return outcome,
    };
    let mut findings = Vec::new();
    let remedy = |setting: &str| format!("set `{setting} = on` in postgresql.conf, and restart Postgres");
    if fsync == "off" {
        findings.push(Finding::problem(Id::FsyncOff, "`fsync` is off", remedy("fsync")));
    }
    if full_page_writes == "off" {
        let found = "`full_page_writes` is off";
        findings.push(Finding::problem(Id::FullPageWritesOff, found, remedy("full_page_writes")));
    }
    let commit = match synchronous_commit.as_str() {
        "off" => "off, which persistence turns on for itself",
        other => other,
    };
    Outcome::found_or(
        findings,
        Id::Durability,
        format!("fsync and full_page_writes are on; synchronous_commit is {commit}"),
    )
}

pub(super) async fn connections(postgres: &Postgres) -> Outcome {
    let Connections { used, max } = match inspection(postgres).await {
        Ok(inspection) => inspection.connections,
        Err(outcome) => return outcome,
    };
    let found = format!("{used} of {max} are taken");
    if max.saturating_sub(used) >= CONNECTIONS_FREE_MIN {
        return Outcome::ok(Id::Connections, found);
    }
    let remedy = "raise `max_connections` of Postgres, or lower `store.max_connections` of the services; each process \
                  takes up to that many, and persistence one more for each partition that it owns";
    Finding::warning(Id::ConnectionsLow, found, remedy).into()
}

pub(super) async fn owners(postgres: &Postgres) -> Outcome {
    let partitions = match contents(postgres).await {
        Ok(contents) => contents.partitions,
        Err(outcome) => return outcome,
    };
    let those = |owner: Owner| -> Vec<u16> {
        let owned = partitions.iter().filter(|partition| partition.owner == owner);
        owned.map(|partition| partition.partition.number()).collect()
    };
    let mut findings = Vec::new();
    let unowned = those(Owner::Nobody);
    if !unowned.is_empty() {
        let remedy = "start `huddle persistence`; when it runs, its log says why it does not take the partition";
        let finding = Finding::problem(Id::PartitionUnowned, "nobody carries it into the store", remedy);
        findings.push(finding.about(text::partitions(&unowned)));
    }
    let silent = those(Owner::Silent);
    if !silent.is_empty() {
        let remedy = "look at the process of persistence that owns it (is it paused, or its machine?), and run a second one, \
                      which takes over by itself";
        let finding = Finding::warning(Id::OwnerSilent, "its owner has said nothing for seconds", remedy);
        findings.push(finding.about(text::partitions(&silent)));
    }
    Outcome::found_or(findings, Id::Owners, format!("{} partition(s), each with an owner", partitions.len()))
}

pub(super) async fn dead_letters(postgres: &Postgres) -> Outcome {
    match contents(postgres).await {
        Ok(contents) => storing::dead_letters(&contents.dead_letters, LOOK_AT_DEAD_LETTERS),
        Err(outcome) => outcome,
    }
}

pub(super) async fn log_gaps(postgres: &Postgres) -> Outcome {
    match contents(postgres).await {
        Ok(contents) => storing::log_gaps(contents.gap_count, &contents.gaps, LOOK_AT_GAPS),
        Err(outcome) => outcome,
    }
}

/// Whether the store follows the log.
pub(super) async fn storing(config: &Config, nats: &Nats, postgres: &Postgres) -> Outcome {
    let streams = match log::inspection(nats).await {
        Ok(inspection) => inspection.partitions,
        Err(outcome) => return outcome,
    };
    let stored = match contents(postgres).await {
        Ok(contents) => contents.partitions,
        Err(outcome) => return outcome,
    };
    let both: Vec<(&InspectedPartition, &StreamFacts)> = stored
        .iter()
        .filter_map(|stored| {
            let stream = streams.iter().find(|stream| stream.partition == stored.partition)?;
            Some((stored, stream.found.as_ref()?))
        })
        .collect();
    let behind: Vec<u16> = both
        .iter()
        .filter(|(stored, stream)| position(stored) > stream.last_seq)
        .map(|(stored, _)| stored.partition.number())
        .collect();
    if !behind.is_empty() {
        let found = "the log ends before what is stored: it was restored from an old copy, or belongs to another store";
        let remedy = "connect the store that belongs to the log; or delete the stream with `nats stream rm` and run `huddle \
                      migrate`: it is then created anew above what is stored";
        return Finding::problem(Id::LogBehindStore, found, remedy).about(text::partitions(&behind)).into();
    }
    let mut watched: Vec<Watched> = both.iter().map(|(stored, stream)| watched(stored, stream)).collect();
    let Ok(store) = PostgresStore::new(&config.store) else { return broken_off() };
    let deadline = Instant::now() + WATCH_MAX;
    while watched.iter().any(|partition| !partition.has_moved) && Instant::now() < deadline {
        sleep(WATCH_INTERVAL).await;
        for (watched, (before, _)) in watched.iter_mut().zip(&both).filter(|(watched, _)| !watched.has_moved) {
            match store.progress(Partition::new(watched.partition)).await {
                Ok(now) => watched.has_moved = now > position(before),
                Err(_) => return Outcome::Skipped("Postgres stopped answering".to_owned()),
            }
        }
    }
    storing::judge(
        &watched,
        "see `owners`; when there is an owner, the log of `huddle persistence` says what holds it up",
    )
}

fn position(partition: &InspectedPartition) -> Seq {
    partition.stored.unwrap_or(Seq::ZERO)
}

fn watched(stored: &InspectedPartition, stream: &StreamFacts) -> Watched {
    let ahead = stream.last_seq.get().saturating_sub(position(stored).get());
    // Positions may be left out; there is never more to store than the log holds.
    let waiting = ahead.min(stream.messages);
    Watched { partition: stored.partition.number(), waiting, has_moved: waiting == 0 }
}

/// The inspection, or why there is none.
pub(super) async fn inspection(postgres: &Postgres) -> Result<Inspection, Outcome> {
    let Some(answer) = postgres.answer().await else { return Err(broken_off()) };
    match &*answer {
        Ok(inspection) => Ok(inspection.clone()),
        Err(_) => Err(Outcome::Skipped("Postgres cannot be used".to_owned())),
    }
}

async fn contents(postgres: &Postgres) -> Result<Contents, Outcome> {
    let inspection = inspection(postgres).await?;
    inspection.contents.ok_or_else(|| Outcome::Skipped("the database does not have this version's schema".to_owned()))
}

fn broken_off() -> Outcome {
    Outcome::Skipped("asking Postgres broke off".to_owned())
}
