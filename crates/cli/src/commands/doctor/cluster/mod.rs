//! The checks of a cluster: NATS, Postgres, and the services at the addresses of the configuration.

mod clocks;
mod log;
mod services;
mod store;

use std::{path::PathBuf, sync::Arc, time::Duration};

use huddle_domain::Partitions;
use huddle_log::LogError;
use huddle_store::StoreError;
use tokio::{runtime::Handle, task::spawn_blocking};

use super::{
    addresses::{self, Audience},
    admin,
    check::{CHECK_MAX, Check, Outcome, Shared},
    disk,
    finding::Id,
    revoked,
    secrets::Held,
    source_name, storing, text,
};
use crate::config::{Config, ConfigArgs};

/// How long NATS and Postgres may take: each tries for some seconds before it gives up.
const BACKEND_MAX: Duration = Duration::from_secs(30);
/// What services of a cluster need of this machine's disk, in bytes: logs, no more.
const DISK_WANTED: u64 = 1024 * 1024 * 1024;

/// What the backends say; each is asked once.
type Nats = Shared<Result<huddle_log_nats::Inspection, LogError>>;
type Postgres = Shared<Result<huddle_store_postgres::Inspection, StoreError>>;

pub(crate) fn checks(config: &Config, sources: &ConfigArgs) -> Vec<Check> {
    let config = Arc::new(config.clone());
    let nats: Nats = Shared::ask(inspect_nats(config.log.clone()));
    let postgres: Postgres = Shared::ask({
        let (config, partitions) = (config.store.clone(), config.log.partitions);
        async move {
            // Validated with the configuration.
            let partitions = Partitions::new(partitions).unwrap_or(Partitions::ONE);
            huddle_store_postgres::inspect(&config, partitions).await
        }
    });

    macro_rules! ask {
        ($shared:expr, $id:ident, $work:path) => {{
            let shared = $shared.clone();
            Check::new(Id::$id, async move { $work(&shared).await }).with_time(BACKEND_MAX)
        }};
    }
    let mut checks = vec![configuration(sources), secrets(&config, sources), addresses(&config), disk(sources)];
    checks.extend(revoked::check(&config));
    checks.extend([
        Check::new(Id::Nats, {
            let (config, nats) = (Arc::clone(&config), nats.clone());
            async move { log::servers(&config.log.servers, &nats).await }
        })
        .with_time(BACKEND_MAX),
        Check::new(Id::NatsSync, {
            let (config, nats) = (Arc::clone(&config), nats.clone());
            async move { log::sync(config.log.production, &nats).await }
        })
        .with_time(BACKEND_MAX),
        ask!(nats, Log, log::partitions),
        ask!(nats, LogSize, log::size),
        ask!(nats, ClockNats, clocks::nats),
        ask!(postgres, Postgres, store::server),
        ask!(postgres, Schema, store::schema),
        ask!(postgres, Durability, store::durability),
        ask!(postgres, Connections, store::connections),
        ask!(postgres, ClockPostgres, clocks::postgres),
        ask!(postgres, Owners, store::owners),
        ask!(postgres, DeadLetters, store::dead_letters),
        ask!(postgres, LogGaps, store::log_gaps),
        Check::new(Id::Storing, {
            let (config, nats, postgres) = (Arc::clone(&config), nats.clone(), postgres.clone());
            async move { store::storing(&config, &nats, &postgres).await }
        })
        .with_time(BACKEND_MAX + storing::WATCH_MAX),
    ]);
    checks.extend(services(&config));
    checks
}

/// On a thread of its own: the compiler does not see that the inspection may move between threads.
async fn inspect_nats(config: huddle_log_nats::Config) -> Result<huddle_log_nats::Inspection, LogError> {
    let runtime = Handle::current();
    let inspection = spawn_blocking(move || runtime.block_on(huddle_log_nats::inspect(&config)));
    inspection
        .await
        .unwrap_or_else(|error| Err(LogError::Unavailable { context: "inspecting it broke off", source: error.into() }))
}

fn configuration(sources: &ConfigArgs) -> Check {
    let source = source_name(sources);
    Check::new(Id::Configuration, async move { Outcome::ok(Id::Configuration, source) })
}

fn secrets(config: &Config, sources: &ConfigArgs) -> Check {
    let held = Held::new(config, sources);
    Check::blocking(Id::Secrets, move || held.check())
}

fn addresses(config: &Config) -> Check {
    let outcome = addresses::check(&[
        ("gateway.listen", config.gateway.listen, Audience::Clients),
        ("history.listen", config.history.listen, Audience::Operator),
        ("directory.listen", config.directory.listen, Audience::Operator),
        ("admin.gateway", config.admin.gateway, Audience::Operator),
        ("admin.history", config.admin.history, Audience::Operator),
        ("admin.directory", config.admin.directory, Audience::Operator),
        ("admin.persistence", config.admin.persistence, Audience::Operator),
    ]);
    Check::new(Id::Addresses, async move { outcome })
}

/// The disk that holds the configuration, or where the services would be started.
fn disk(sources: &ConfigArgs) -> Check {
    let folder = sources.file().and_then(|file| Some(file.parent()?.to_owned()));
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| PathBuf::from("."));
    Check::blocking(Id::Disk, move || {
        let free = match disk::free_bytes(&folder) {
            Ok(free) => free,
            Err(error) => return Outcome::Skipped(format!("the disk cannot be looked at: {error}")),
        };
        let remedy =
            "make room on this machine's disk; NATS and Postgres have disks of their own, which doctor cannot see";
        match disk::judge(free, DISK_WANTED, remedy) {
            Some(finding) => finding.about(folder.display().to_string()).into(),
            None => {
                let found = format!(
                    "{} are free on this machine; those of NATS and Postgres cannot be seen from here",
                    text::size(free)
                );
                Outcome::ok(Id::Disk, found)
            }
        }
    })
}

fn services(config: &Config) -> Vec<Check> {
    let token = config.auth.service_token.clone();
    let (history_url, history_token) = (config.gateway.history_url.clone(), token.clone());
    let directory_url = config.gateway.directory_url.clone();
    let gateway = config.gateway.listen;
    let admin = &config.admin;
    let mut checks = vec![
        Check::new(Id::History, async move { services::history(&history_url, history_token.as_ref()).await }),
        Check::new(Id::Directory, async move { services::directory(&directory_url, token.as_ref()).await }),
        Check::new(Id::Gateway, async move { admin::gateway(gateway).await }),
    ];
    let endpoints = [
        (Id::AdminGateway, "huddle gateway", "admin.gateway", admin.gateway),
        (Id::AdminHistory, "huddle history", "admin.history", admin.history),
        (Id::AdminDirectory, "huddle directory", "admin.directory", admin.directory),
        (Id::AdminPersistence, "huddle persistence", "admin.persistence", admin.persistence),
    ];
    checks.extend(endpoints.map(|(id, service, setting, address)| {
        Check::new(id, async move { admin::readiness(id, service, setting, address).await }).with_time(CHECK_MAX)
    }));
    checks
}
