//! What the file itself tells.

use std::time::Duration;

use huddle_embedded::{Contents, Inspection, Integrity, IntegrityStage, OpenError, check_integrity};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{FILE, Inspected, Instance, file as file_of};
use crate::commands::doctor::{
    check::{Outcome, Progress},
    disk,
    finding::{Finding, Id},
    storing::{self, WATCH_INTERVAL, WATCH_MAX, Watched},
    text::{percent, size},
};

/// A file that takes this much of what it may, in hundredths, is worth a warning, ...
const FILLING_PERCENT: u64 = 80;
/// ... and one that takes this much is as good as full.
const FULL_PERCENT: u64 = 97;
/// A write-ahead log of this size, in bytes, has not been cut back for long: it usually stays below 32 MiB.
const WAL_LARGE_BYTES: u64 = 256 * 1024 * 1024;
/// Faults that are shown; the rest is counted.
const FAULTS_SHOWN: usize = 3;

const RESCUE: &str = "stop the server; copy the whole directory; restore a backup, or rescue what can be read with \
                      `huddle export --data-dir COPY` and import it into a new directory; then find out what damaged it \
                      (the disk, its file system, a copy made while a server ran)";

pub(super) async fn file(instance: &Instance, inspected: &Inspected) -> Outcome {
    let Some(answer) = inspected.answer().await else { return broken_off() };
    let inspection = match &*answer {
        Ok(inspection) => inspection,
        Err(error) => return unopened(error).into(),
    };
    let Inspection { schema, schema_known, file_bytes, .. } = inspection;
    let Some(schema) = schema else {
        return Outcome::ok(Id::File, format!("{FILE} is new and empty: `huddle up` prepares it"));
    };
    let Some(Contents { partitions, .. }) = &inspection.contents else {
        let found = format!("the file has schema {schema}, and this version of huddle knows {schema_known}");
        return if schema < schema_known {
            Finding::warning(
                Id::SchemaOlder,
                found,
                "start `huddle up` once with this version: it brings the file to its schema",
            )
        } else {
            Finding::problem(Id::SchemaNewer, found, "use the newer version of huddle that made the file")
        }
        .into();
    };
    let (made, configured) = (partitions.len(), instance.config.embedded.partitions);
    if made != usize::from(configured) {
        let found = format!("the file was made with {made} partition(s), and `embedded.partitions` is {configured}");
        return Finding::problem(Id::PartitionsDiffer, found, format!("set `embedded.partitions` to {made}")).into();
    }
    Outcome::ok(Id::File, format!("{}, {}, schema {schema}", file_of(&instance.directory).display(), size(*file_bytes)))
}

fn unopened(error: &OpenError) -> Finding {
    match error {
        OpenError::Missing { path } => Finding::problem(
            Id::FileMissing,
            format!("there is no {}", path.display()),
            "start `huddle up` there once, or name the right directory with --data-dir",
        ),
        OpenError::NotHuddle { path } => Finding::problem(
            Id::FileForeign,
            format!("{} is a file of another program", path.display()),
            "name another directory with --data-dir, or move the file away",
        ),
        OpenError::Damaged { path, reason } => {
            Finding::problem(Id::FileDamaged, format!("{} is damaged: {reason}", path.display()), RESCUE)
        }
        error => Finding::problem(
            Id::FileUnreadable,
            error.to_string(),
            "run doctor as the user that runs the server, and give this user the directory and all files in it",
        ),
    }
}

/// The inspection, or why there is none.
async fn inspection(inspected: &Inspected) -> Result<Inspection, Outcome> {
    let Some(answer) = inspected.answer().await else { return Err(broken_off()) };
    match &*answer {
        Ok(inspection) => Ok(inspection.clone()),
        Err(_) => Err(Outcome::Skipped("the file cannot be opened".to_owned())),
    }
}

async fn contents(inspected: &Inspected) -> Result<Contents, Outcome> {
    let inspection = inspection(inspected).await?;
    inspection.contents.ok_or_else(|| Outcome::Skipped("the file does not have this version's schema".to_owned()))
}

fn broken_off() -> Outcome {
    Outcome::Skipped("looking at the file broke off".to_owned())
}

pub(super) async fn file_size(instance: &Instance, inspected: &Inspected) -> Outcome {
    let bytes = match inspection(inspected).await {
        Ok(inspection) => inspection.file_bytes,
        Err(outcome) => return outcome,
    };
    let max = instance.config.embedded.max_bytes;
    let used = percent(bytes, max.as_u64());
    let found = format!("{} of {max} (`embedded.max_bytes`), {used} %", size(bytes));
    let remedy = "raise `embedded.max_bytes` and start `huddle up` again; for much more, move to a cluster with `huddle \
                  export` and `huddle import`";
    match used {
        FULL_PERCENT.. => Finding::problem(Id::FileFull, found, remedy).into(),
        FILLING_PERCENT.. => Finding::warning(Id::FileFilling, found, remedy).into(),
        _ => Outcome::ok(Id::FileSize, found),
    }
}

/// Free space against what the file may still grow by.
pub(super) async fn free_space(instance: &Instance, inspected: &Inspected) -> Outcome {
    let present = inspection(inspected).await.map_or(0, |inspection| inspection.file_bytes);
    let may_grow = instance.config.embedded.max_bytes.as_u64().saturating_sub(present);
    let directory = instance.directory.clone();
    let free = match spawn_blocking(move || disk::free_bytes(&directory)).await {
        Ok(Ok(free)) => free,
        Ok(Err(error)) => return Outcome::Skipped(format!("the disk cannot be looked at: {error}")),
        Err(_) => return broken_off(),
    };
    let remedy = "make room on the disk, or move the directory to a larger one while the server is stopped";
    match disk::judge(free, may_grow, remedy) {
        Some(finding) => finding.about(instance.directory.display().to_string()).into(),
        None if free < may_grow => {
            let found =
                format!("{} are free; the file may grow by {}, so the disk is its bound", size(free), size(may_grow));
            Outcome::ok(Id::Disk, found)
        }
        None => Outcome::ok(Id::Disk, format!("{} are free, and the file may grow by {}", size(free), size(may_grow))),
    }
}

pub(super) async fn wal(_instance: &Instance, inspected: &Inspected) -> Outcome {
    let bytes = match inspection(inspected).await {
        Ok(inspection) => inspection.wal_bytes,
        Err(outcome) => return outcome,
    };
    if bytes < WAL_LARGE_BYTES {
        return Outcome::ok(Id::Wal, size(bytes));
    }
    let remedy = "end long exports and other programs that read the file, and look again; a start of `huddle up` cuts it \
                  back";
    Finding::warning(Id::WalLarge, format!("{FILE}-wal takes {}", size(bytes)), remedy).into()
}

/// Events that are accepted and not stored: while a process runs, these must become fewer.
pub(super) async fn storing(instance: &Instance, inspected: &Inspected) -> Outcome {
    let before = match contents(inspected).await {
        Ok(contents) => contents.partitions,
        Err(outcome) => return outcome,
    };
    let waiting: u64 = before.iter().map(|partition| partition.unstored).sum();
    let directory = instance.directory.clone();
    let is_held =
        spawn_blocking(move || huddle_embedded::holder(&directory).is_ok_and(|holder| holder.is_some())).await;
    if waiting > 0 && !is_held.unwrap_or(false) {
        let found = format!("{waiting} accepted events are stored as soon as `huddle up` starts again");
        return Outcome::ok(Id::Storing, found);
    }
    let mut watched: Vec<Watched> = before
        .iter()
        .map(|partition| Watched {
            partition: partition.partition.number(),
            waiting: partition.unstored,
            has_moved: partition.unstored == 0,
        })
        .collect();
    let deadline = Instant::now() + WATCH_MAX;
    while watched.iter().any(|partition| !partition.has_moved) && Instant::now() < deadline {
        sleep(WATCH_INTERVAL).await;
        let Ok(Inspection { contents: Some(now), .. }) = huddle_embedded::inspect(&instance.directory).await else {
            return broken_off();
        };
        for ((watched, before), now) in watched.iter_mut().zip(&before).zip(&now.partitions) {
            watched.has_moved |= now.stored > before.stored;
        }
    }
    storing::judge(&watched, "stop `huddle up` and start it again; its log says what holds it up")
}

pub(super) async fn dead_letters(instance: &Instance, inspected: &Inspected) -> Outcome {
    match contents(inspected).await {
        Ok(contents) => {
            let path = file_of(&instance.directory);
            let look = format!(
                "`sqlite3 {} 'SELECT partition, seq, team_id, reason, detail FROM dead_letters'`",
                path.display()
            );
            storing::dead_letters(&contents.dead_letters, &look)
        }
        Err(outcome) => outcome,
    }
}

pub(super) async fn log_gaps(instance: &Instance, inspected: &Inspected) -> Outcome {
    match contents(inspected).await {
        Ok(contents) => {
            let look = format!("`sqlite3 {} 'SELECT * FROM log_gaps'`", file_of(&instance.directory).display());
            storing::log_gaps(contents.gap_count, &contents.gaps, &look)
        }
        Err(outcome) => outcome,
    }
}

/// Every page, row and index, as far as the time goes.
pub(super) async fn integrity(instance: &Instance, time_max: Duration, progress: &Progress) -> Outcome {
    let report = {
        let progress = progress.clone();
        move |stage| progress.say(stage_text(stage))
    };
    let started = Instant::now();
    let found = check_integrity(&instance.directory, time_max, report).await;
    progress.clear();
    match found {
        Ok(Integrity::Whole) => {
            let found = format!("every page, row and index is well ({:.1} s)", started.elapsed().as_secs_f64());
            Outcome::ok(Id::Integrity, found)
        }
        Ok(Integrity::Unfinished(stage)) => {
            let found = format!("nothing wrong in {time_max:?}, and not at the end: {}", stage_text(stage));
            let remedy = "give it more time with `--integrity-max 1h`, at a quiet time: while it lasts, the write-ahead \
                          log grows";
            Finding::warning(Id::IntegrityUnfinished, found, remedy).into()
        }
        Ok(Integrity::Damaged(faults)) => {
            let shown = faults.iter().take(FAULTS_SHOWN).cloned().collect::<Vec<_>>().join("; ");
            let more = match faults.len().saturating_sub(FAULTS_SHOWN) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            Finding::problem(Id::FileDamaged, format!("the file is damaged: {shown}{more}"), RESCUE).into()
        }
        Err(error @ OpenError::Damaged { .. }) => unopened(&error).into(),
        Err(_) => Outcome::Skipped("the file cannot be opened".to_owned()),
    }
}

fn stage_text(stage: IntegrityStage) -> String {
    match stage {
        IntegrityStage::Pages { checked, all } => format!("the structure of the file, {} %", percent(checked, all)),
        IntegrityStage::Rows { checked, all } => {
            format!("the structure is well; rows and their indexes, {} %", percent(checked, all))
        }
    }
}
