//! An instance moves to another place: from one file to a cluster and back, with 100,000 messages, while everything that
//! carries it is killed in the middle.

mod content;
mod generated;
mod runs;
mod talk;

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Result, ensure};
use huddle_tests::{Cluster, ClusterOptions, Single, SingleOptions};

use content::Content;
use generated::{EVENTS, TEAMS, TEAMS_UNDER_TEST};
use runs::Runs;
use talk::{LIVE, talk};

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_on_with_their_cursors_when_their_instance_moves_to_a_cluster_and_back() -> Result<()> {
    let runs = Runs::new()?;
    generated::write(&runs.path("generated.jsonl"))?;

    // An instance with a past, and some messages of today.
    let told = runs.import_killed(&["--data-dir", "old"], "generated.jsonl").await?;
    ensure!(told["events"] == EVENTS && told["verified"] == true, "{told}");
    let single = single_at(runs.path("old")).await?;
    let generated = Content::of(&single).await?;
    ensure!(generated.teams() == TEAMS + 1, "the generated teams and the demo team");
    talk(&single, runs.files(), "old", &generated).await?;
    single.wait_until_stored().await?;
    let old = Content::of(&single).await?;
    old.assert_went_on_from(&generated);

    // To the cluster, from a process that runs.
    runs.export_killed(&["--data-dir", "old"], "old.jsonl").await?;
    single.finish().await?;
    let mut cluster =
        Cluster::start(ClusterOptions { gateways: 1, partitions: 3, ..ClusterOptions::default() }).await?;
    let config = cluster.config().display().to_string();
    let target = ["--config", config.as_str()];
    let refused = runs.run("import", &target, "old.jsonl").await.unwrap_err().to_string();
    ensure!(refused.contains("stop every `huddle persistence`"), "beside persistence: {refused}");
    for persistence in &mut cluster.persistence {
        persistence.terminate().await?;
    }
    runs.import_killed(&target, "old.jsonl").await?;
    for persistence in &mut cluster.persistence {
        persistence.restart().await?;
    }
    Content::of(&cluster).await?.assert_is(&old);
    talk(&cluster, runs.files(), "cluster", &old).await?;
    cluster.wait_until_stored().await?;
    let moved = Content::of(&cluster).await?;
    moved.assert_went_on_from(&old);

    // And back, into a directory that is not there yet, from services that run.
    runs.export_killed(&target, "cluster.jsonl").await?;
    cluster.finish().await?;
    runs.import_killed(&["--data-dir", "new"], "cluster.jsonl").await?;
    let single = single_at(runs.path("new")).await?;
    Content::of(&single).await?.assert_is(&moved);
    talk(&single, runs.files(), "new", &moved).await?;
    single.wait_until_stored().await?;
    Content::of(&single).await?.assert_went_on_from(&moved);
    single.finish().await
}

async fn single_at(data_dir: PathBuf) -> Result<Single> {
    Single::start(SingleOptions { data_dir: Some(data_dir), ..SingleOptions::default() }).await
}

impl Content {
    /// Asserts that nothing differs from `old` but the messages that one [`talk`] has added.
    fn assert_went_on_from(&self, old: &Self) {
        let under_test: BTreeSet<String> = TEAMS_UNDER_TEST.into_iter().map(generated::team).collect();
        assert_eq!(self.directory, old.directory, "teams, members and names");
        assert_eq!(self.teams(), old.teams());
        for (team, before) in &old.events {
            let now = &self.events[team];
            let more = if under_test.contains(team) { LIVE } else { 0 };
            assert_eq!(now.len(), before.len() + more, "events of {team}");
            assert!(now.starts_with(before), "{team} has another past");
        }
    }

    /// Asserts that nothing differs from `old`.
    fn assert_is(&self, old: &Self) {
        assert_eq!(self.directory, old.directory, "teams, members and names");
        assert!(self.events.keys().eq(old.events.keys()), "other teams");
        for (team, before) in &old.events {
            assert!(self.events[team] == *before, "{team} differs");
        }
    }
}
