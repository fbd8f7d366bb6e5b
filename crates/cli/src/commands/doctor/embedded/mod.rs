//! The checks of an embedded instance: one directory, and perhaps the process that has it.

mod contents;
mod files;
mod process;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use huddle_embedded::{Inspection, OpenError};

use super::{
    addresses::{self, Audience},
    check::{CHECK_MAX, Check, Outcome, Progress, Shared},
    finding::Id,
    revoked,
    secrets::Held,
    source_name, storing,
};
use crate::config::{Config, ConfigArgs};

/// The file's name within the directory.
const FILE: &str = "huddle.db";

/// The file of the instance in `directory`.
pub(crate) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// What the file says of itself; asked for once.
type Inspected = Shared<Result<Inspection, OpenError>>;

/// Where the instance is, and how it is configured.
#[derive(Debug)]
struct Instance {
    config: Config,
    directory: PathBuf,
}

pub(crate) fn checks(
    config: &Config,
    sources: &ConfigArgs,
    directory: &Path,
    integrity_max: Duration,
    progress: &Progress,
) -> Vec<Check> {
    let instance = Arc::new(Instance { config: config.clone(), directory: directory.to_owned() });
    let inspected: Inspected = Shared::ask({
        let directory = directory.to_owned();
        async move { huddle_embedded::inspect(&directory).await }
    });
    let source = source_name(sources);
    let listening = addresses::check(&[
        ("gateway.listen", config.gateway.listen, Audience::Clients),
        ("history.listen", config.history.listen, Audience::Operator),
        ("directory.listen", config.directory.listen, Audience::Operator),
        ("admin.gateway", config.admin.gateway, Audience::Operator),
    ]);
    let held = Held::new(config, sources);
    let admin = process::Admin::new(&instance, sources);

    // Each with the instance and what was asked once.
    macro_rules! check {
        ($id:ident, $work:path) => {{
            let (instance, inspected) = (Arc::clone(&instance), inspected.clone());
            Check::new(Id::$id, async move { $work(&instance, &inspected).await })
        }};
    }
    macro_rules! look {
        ($id:ident, $work:path) => {{
            let instance = Arc::clone(&instance);
            Check::blocking(Id::$id, move || $work(&instance))
        }};
    }
    let mut checks = vec![
        Check::new(Id::Configuration, async move { Outcome::ok(Id::Configuration, source) }),
        check!(File, contents::file),
        look!(Process, process::holder),
        look!(Permissions, files::permissions),
        Check::blocking(Id::Secrets, {
            let instance = Arc::clone(&instance);
            move || files::secrets(&instance, &held)
        }),
        Check::new(Id::Addresses, async move { listening }),
        check!(FileSize, contents::file_size),
        check!(Disk, contents::free_space),
        look!(FileSystem, files::file_system),
        check!(Wal, contents::wal),
        check!(Storing, contents::storing).with_time(storing::WATCH_MAX + CHECK_MAX),
        check!(DeadLetters, contents::dead_letters),
        check!(LogGaps, contents::log_gaps),
        Check::new(Id::Readiness, {
            let instance = Arc::clone(&instance);
            async move { admin.check(&instance).await }
        }),
        Check::new(Id::Integrity, {
            let (instance, progress) = (Arc::clone(&instance), progress.clone());
            async move { contents::integrity(&instance, integrity_max, &progress).await }
        })
        .with_time(integrity_max.saturating_add(CHECK_MAX)),
    ];
    checks.extend(revoked::check(config));
    checks
}
