//! What a log in production must be: on more than one server, and synced before it is acknowledged.

use std::collections::BTreeSet;

use async_nats::jetstream::stream::Config as Settings;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use huddle_log::LogError;

use crate::{
    config::Config,
    monitor::{Monitor, MonitorFacts, SyncPolicy},
    retry::{Miss, until_answered},
};

/// Fewest copies of a partition: with two, the loss of one stops it.
const REPLICAS_MIN: usize = 3;
/// Servers that are asked at once.
const ASKED_AT_ONCE: usize = 16;

fn unsuitable<T>(problem: String, remedy: impl Into<String>) -> Result<T, LogError> {
    Err(LogError::Unsuitable { problem, remedy: remedy.into() })
}

/// Whether the configuration is one for production, if it is to be.
pub(crate) fn check_settings(config: &Config) -> Result<(), LogError> {
    if !config.production {
        return Ok(());
    }
    if usize::from(config.replicas) < REPLICAS_MIN {
        return unsuitable(
            format!("`replicas` is {} and `production` is true: the loss of one disk takes the log", config.replicas),
            "set it to 3 or 5, with as many NATS servers",
        );
    }
    if !config.sync_always {
        return unsuitable(
            "`sync_always` is false and `production` is true: unless its configuration says otherwise, NATS syncs to disk \
             every 2 minutes, and a power cut takes what was acknowledged since"
                .to_owned(),
            "write `jetstream { sync_interval: always }` into the configuration of every NATS server, restart one after \
             the other, and then set it to true",
        );
    }
    Ok(())
}

/// Whether a partition's stream is one for production, if it is to be.
pub(crate) fn check_stream(config: &Config, found: &Settings) -> Result<(), LogError> {
    if !config.production || found.num_replicas >= REPLICAS_MIN {
        return Ok(());
    }
    unsuitable(
        format!(
            "stream {} has num_replicas = {}, and `production` is true: the loss of one disk takes the log",
            found.name, found.num_replicas
        ),
        format!("make copies with `nats stream edit {} --replicas {}`", found.name, config.replicas),
    )
}

/// Asks every server of the setting `monitors` whether it syncs, if it is to be production: each for some seconds.
pub(crate) async fn check_servers(config: &Config) -> Result<(), LogError> {
    if !config.production || config.monitors.is_empty() {
        return Ok(());
    }
    let asked = stream::iter(config.monitors.clone()).map(|address| async move { ask(&address).await });
    let facts: Vec<MonitorFacts> = asked.buffered(ASKED_AT_ONCE).try_collect().await?;
    let servers: BTreeSet<&str> = facts.iter().map(|facts| facts.id.as_str()).collect();
    if servers.len() < usize::from(config.replicas) {
        return unsuitable(
            format!(
                "`monitors` names {} server(s), and each partition of the log is on {}",
                servers.len(),
                config.replicas
            ),
            "name the monitoring address of every NATS server there, or leave the setting out: then `sync_always` alone \
             counts",
        );
    }
    Ok(())
}

/// Asks one server, for some seconds, and judges what it says.
async fn ask(address: &str) -> Result<MonitorFacts, LogError> {
    let monitor = Monitor::parse(address)?;
    let asked =
        until_answered("asking the monitoring of a NATS server", || async { monitor.ask().await.map_err(Miss::Retry) });
    match asked.await {
        Ok(facts) => judge(address, &facts).map(|()| facts),
        Err(LogError::Unavailable { source, .. }) => unsuitable(
            format!("`monitors` names {address}, where no NATS server says whether it syncs to disk: {source}"),
            "start that server with `http: host:port` in its configuration, correct the address, or leave the setting \
             out: then `sync_always` alone counts",
        ),
        Err(error) => Err(error),
    }
}

fn judge(address: &str, facts: &MonitorFacts) -> Result<(), LogError> {
    let name = &facts.name;
    match facts.sync {
        Some(SyncPolicy::Always) => Ok(()),
        Some(SyncPolicy::Every(interval)) => unsuitable(
            format!(
                "NATS server {name} ({address}) syncs to disk every {interval:?} only, and `production` is true: a power \
                 cut takes what was acknowledged since"
            ),
            "write `jetstream { sync_interval: always }` into its configuration, and restart it",
        ),
        None => unsuitable(
            format!("NATS server {name} ({address}) has no JetStream, so it can hold no part of the log"),
            "let `monitors` name servers with JetStream only",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn production() -> Config {
        Config { production: true, sync_always: true, replicas: 3, ..Config::default() }
    }

    #[test]
    fn a_configuration_for_production_names_copies_and_gives_the_operators_word() {
        let problem = |config: &Config| config.validate().err().map(|error| error.to_string());
        assert_eq!(problem(&Config::default()), None);
        assert_eq!(problem(&production()), None);
        assert_eq!(problem(&Config { replicas: 5, ..production() }), None);
        let one_copy = problem(&Config { replicas: 1, ..production() }).unwrap();
        assert!(one_copy.contains("`replicas` is 1"), "{one_copy}");
        let no_word = problem(&Config { sync_always: false, ..production() }).unwrap();
        assert!(no_word.contains("`sync_always` is false") && no_word.contains("sync_interval: always"), "{no_word}");
    }

    #[test]
    fn a_stream_in_production_has_copies() {
        let stream = |num_replicas| Settings { name: "S".to_owned(), num_replicas, ..Settings::default() };
        assert!(check_stream(&Config::default(), &stream(1)).is_ok());
        assert!(check_stream(&production(), &stream(3)).is_ok());
        let error = check_stream(&production(), &stream(1)).unwrap_err().to_string();
        assert!(error.contains("num_replicas = 1") && error.contains("--replicas 3"), "{error}");
    }

    #[test]
    fn a_server_in_production_syncs_before_it_acknowledges() {
        let facts = |sync| MonitorFacts { name: "n1".to_owned(), id: "I".to_owned(), sync };
        assert!(judge("http://n1", &facts(Some(SyncPolicy::Always))).is_ok());
        let lazy = judge("http://n1", &facts(Some(SyncPolicy::Every(Duration::from_mins(2))))).unwrap_err().to_string();
        assert!(lazy.contains("n1 (http://n1) syncs to disk every 120s"), "{lazy}");
        let without = judge("http://n1", &facts(None)).unwrap_err().to_string();
        assert!(without.contains("no JetStream"), "{without}");
    }
}
