//! Backends that are unfit, missing or late.

use std::{fs, net::TcpListener, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use huddle_client::Encoding;
use huddle_devstack::{Nats, NatsOptions, NatsRelease, Postgres, PostgresOptions, Tools, free_port};
use huddle_tests::{Cluster, ClusterOptions, SECRET, SERVICE_TOKEN, Service, until};

use crate::program::{Ended, run, service};

const SERVICES: [&str; 4] = ["gateway", "persistence", "history", "directory"];
/// What cannot mend itself is told soon.
const SOON: Duration = Duration::from_secs(20);
/// What may come yet is waited for this long.
const PATIENCE: Duration = Duration::from_secs(30);
const GIVES_UP_BY: Duration = Duration::from_secs(50);
/// Some of what a service says while it waits.
const WAITS: &str = "backend not ready";

const EXIT_FAILURE: i32 = 1;

/// The setting `log.servers` of one server.
fn servers(url: &str) -> String {
    format!("[{url:?}]")
}

/// Runs a command with these backends, and with ports of its own, to its end.
async fn finished(role: &str, nats: &str, postgres: &str, bound: Duration) -> Result<Ended> {
    let (admin, listen, servers) = (format!("admin.{role}"), format!("{role}.listen"), servers(nats));
    let mut settings = vec![("log.servers", servers.as_str()), ("store.url", postgres)];
    if role != "migrate" {
        settings.extend([("auth.secret", SECRET), ("auth.service_token", SERVICE_TOKEN), (&admin, "127.0.0.1:0")]);
    }
    if !["persistence", "migrate"].contains(&role) {
        settings.push((&listen, "127.0.0.1:0"));
    }
    run(&service(role, &settings), &[], bound).await
}

/// The same with several services, at once.
async fn all_finished(roles: &[&str], nats: &str, postgres: &str, bound: Duration) -> Result<Vec<(String, Ended)>> {
    let runs = roles.iter().map(async |role| {
        let ended = finished(role, nats, postgres, bound).await?;
        anyhow::Ok(((*role).to_owned(), ended))
    });
    try_join_all(runs).await
}

#[tokio::test(flavor = "multi_thread")]
async fn unfit_backends_end_a_service_at_once_and_it_says_what_to_do() -> Result<()> {
    let tools = Tools::locate()?;
    let old = NatsOptions { release: NatsRelease::Old, ..NatsOptions::default() };
    let without_jetstream = NatsOptions { jetstream: false, ..NatsOptions::default() };
    let (good, old, plain, postgres) = tokio::try_join!(
        Nats::start(&tools, NatsOptions::default()),
        Nats::start(&tools, old),
        Nats::start(&tools, without_jetstream),
        Postgres::start(&tools, PostgresOptions::for_tests()),
    )?;
    let database = postgres.create_database("empty").await?;
    let migrated = postgres.create_database("migrated").await?;
    finished("migrate", &good.url(), &migrated, SOON).await?.assert("migrate", 0, &["database", "log"]);

    for (role, ended) in all_finished(&SERVICES, &old.url(), &migrated, SOON).await? {
        ended.assert(&format!("{role}, an old NATS"), EXIT_FAILURE, &["2.10", "2.12", "upgrade nats-server"]);
    }
    for (role, ended) in all_finished(&SERVICES, &plain.url(), &migrated, SOON).await? {
        ended.assert(&format!("{role}, NATS without JetStream"), EXIT_FAILURE, &["JetStream", "jetstream"]);
    }
    let missing = postgres.url_of("missing");
    let (_, host) = migrated.split_once('@').context("no user in the address")?;
    let stranger = format!("postgres://nobody:hunter2@{host}");
    for (what, url, words) in [
        ("no tables", &database, &["huddle migrate"][..]),
        ("no database", &missing, &["the database does not exist", "createdb"]),
        ("a foreign user", &stranger, &["refuses the user or the password", "URL"]),
    ] {
        for (role, ended) in all_finished(&SERVICES[1..], &good.url(), url, SOON).await? {
            ended.assert(&format!("{role}, {what}"), EXIT_FAILURE, words);
            assert!(!ended.said.contains("hunter2"), "the password is shown: {}", ended.said);
        }
    }
    // A stream that somebody else made is left alone.
    let other = service(
        "gateway",
        &[
            ("auth.service_token", SERVICE_TOKEN),
            ("log.servers", &servers(&good.url())),
            ("log.partitions", "4"),
            ("admin.gateway", "127.0.0.1:0"),
            ("gateway.listen", "127.0.0.1:0"),
        ],
    );
    run(&other, &[], SOON).await?.assert(
        "another number of partitions",
        EXIT_FAILURE,
        &["`partitions`", "1 partitions"],
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_that_do_not_come_are_given_up_after_half_a_minute() -> Result<()> {
    let tools = Tools::locate()?;
    let (nats, postgres) = tokio::try_join!(
        Nats::start(&tools, NatsOptions::default()),
        Postgres::start(&tools, PostgresOptions::for_tests())
    )?;
    let database = postgres.create_database("huddle").await?;
    finished("migrate", &nats.url(), &database, SOON).await?.assert("migrate", 0, &[]);
    let nats_url = nats.url();
    let no_nats = format!("nats://127.0.0.1:{}", free_port()?);
    let no_postgres = format!("postgres://huddle:hunter2@127.0.0.1:{}/huddle", free_port()?);

    let (without_nats, without_postgres) = tokio::try_join!(
        all_finished(&SERVICES, &no_nats, &database, GIVES_UP_BY),
        all_finished(&SERVICES[1..], &nats_url, &no_postgres, GIVES_UP_BY),
    )?;
    let without_nats = without_nats.iter().map(|run| (run, "nats-server", "`log.servers`"));
    let without_postgres = without_postgres.iter().map(|run| (run, "Postgres", "`store.url`"));
    for ((role, ended), backend, setting) in without_nats.chain(without_postgres) {
        ended.assert(&format!("{role} without {backend}"), EXIT_FAILURE, &[WAITS, backend, setting]);
        assert!(ended.took >= PATIENCE, "{role} gave {backend} {:?} only", ended.took);
        assert!(!ended.said.contains("hunter2"), "the password is shown: {}", ended.said);
    }
    finished("migrate", &nats_url, &no_postgres, GIVES_UP_BY).await?.assert(
        "migrate without Postgres",
        EXIT_FAILURE,
        &["Postgres", "`store.url`"],
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_that_come_late_are_waited_for_and_nothing_is_lost() -> Result<()> {
    let mut cluster = Box::pin(Cluster::start(ClusterOptions::default())).await?;
    cluster.create_team("late", &["alice"]).await?;
    let (client, _frames) =
        huddle_client::Client::connect(&cluster.client_options(0, "alice", Encoding::Json)?).await?;
    let (team, id) = (huddle_domain::TeamId::parse("late")?, huddle_domain::ClientId::parse("before"));
    client.send(&team, &id?, "before everything went down").await?;
    cluster.wait_until_stored().await?;
    let before = cluster.stored_events("late").await?;

    cluster.nats.kill9()?;
    cluster.postgres.stop().await?;
    let logs = cluster.files().join("logs");
    let Cluster { gateways, persistence, history, directory, nats, postgres, .. } = &mut cluster;
    let services: Vec<&mut Service> =
        gateways.iter_mut().chain(persistence.iter_mut()).chain([history, directory]).collect();
    let names: Vec<String> = services.iter().map(|service| service.name().to_owned()).collect();
    let starts = services.into_iter().map(Service::restart);
    tokio::try_join!(try_join_all(starts), async {
        for name in names {
            let log = logs.join(format!("{name}.log"));
            until(&format!("{name} waits"), SOON, async || Ok(fs::read_to_string(&log)?.contains(WAITS).then_some(())))
                .await?;
        }
        nats.restart().await?;
        postgres.restart().await
    })?;
    let (client, _frames) =
        huddle_client::Client::connect(&cluster.client_options(1, "alice", Encoding::Json)?).await?;
    client.send(&team, &huddle_domain::ClientId::parse("after")?, "and now").await?;
    cluster.wait_until_stored().await?;
    let after = cluster.stored_events("late").await?;
    assert_eq!((&after[..before.len()], after.len()), (&before[..], before.len() + 1));
    Box::pin(cluster.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_with_its_setting() -> Result<()> {
    let mut cluster =
        Box::pin(Cluster::start(ClusterOptions { gateways: 1, persistence: 1, ..ClusterOptions::default() })).await?;
    cluster.create_team("undisturbed", &["alice"]).await?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let config = cluster.config().display().to_string();
    for role in SERVICES {
        let admin = format!("admin.{role}");
        let listen = format!("{role}.listen");
        let mut cases = vec![vec![(&admin, address.as_str())]];
        if role != "persistence" {
            cases.push(vec![(&admin, "127.0.0.1:0"), (&listen, address.as_str())]);
        }
        for case in cases {
            let (taken, _) = *case.last().unwrap_or(&(&admin, ""));
            let settings: Vec<(&str, &str)> = case.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            let arguments = [service(role, &settings), vec!["--config".to_owned(), config.clone()]].concat();
            let words = ["cannot listen on", address.as_str(), &format!("`{taken}`")];
            run(&arguments, &[], SOON).await?.assert(&format!("{role}, {taken}"), EXIT_FAILURE, &words);
        }
    }
    cluster.wait_until_ready().await?;
    Box::pin(cluster.finish()).await
}
