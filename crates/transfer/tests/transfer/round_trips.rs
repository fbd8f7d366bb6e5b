//! What is exported and imported is the same wherever it goes.

use std::fs;

use huddle_domain::{Body, ClientId, EventKind, NewEvent, TeamId, UserId};
use huddle_log::Condition;
use huddle_transfer::{FileSource, Source as _};
use tempfile::tempdir;

use crate::{
    instance::Instance,
    samples::{Memory, events, team_id, three_teams},
};

#[tokio::test]
async fn an_export_is_the_same_on_every_backend_and_every_backend_takes_it() {
    let teams = three_teams();
    let files = tempdir().unwrap();
    let first = Instance::embedded_with(&teams).await;
    let mut contents = Vec::new();
    let mut from = first;
    // Embedded, cluster, and back, with other partitions each time.
    for hop in 0..3 {
        let file = files.path().join(format!("{hop}.jsonl"));
        let exported = from.export(&file).await.unwrap();
        assert_eq!((exported.teams, exported.events, exported.continued), (3, 24, 0));
        contents.push(fs::read_to_string(&file).unwrap());
        let to = if hop == 0 { Instance::cluster(4).await } else { Instance::embedded(3).await };
        let mut source = FileSource::open(tokio::fs::File::open(&file).await.unwrap()).await.unwrap();
        assert_eq!(source.program(), "the tests");
        let report = to.import(&mut source).await.unwrap();
        assert_eq!((report.teams, report.events, report.stored, report.present), (3, 24, 24, 0));
        for events in &teams {
            let team = &events[0].team;
            assert_eq!(to.events(team).await, *events, "{team} after hop {hop}");
            assert_eq!(to.team(team).await, from.team(team).await, "{team} after hop {hop}");
        }
        from = to;
    }
    assert_eq!(contents[0], contents[1]);
    assert_eq!(contents[0], contents[2]);
}

#[tokio::test]
async fn an_import_again_changes_nothing() {
    for instance in [Instance::embedded(1).await, Instance::cluster(1).await] {
        let teams = three_teams();
        instance.import(&mut Memory::new(&teams, 5)).await.unwrap();
        let stored = instance.stored(&teams[0][0].team).await;
        let report = instance.import(&mut Memory::new(&teams, 7)).await.unwrap();
        assert_eq!((report.events, report.stored, report.present), (24, 0, 24));
        assert_eq!(instance.stored(&teams[0][0].team).await, stored);
    }
}

#[tokio::test]
async fn the_log_goes_on_above_what_was_imported() {
    for instance in [Instance::embedded(1).await, Instance::cluster(1).await] {
        // Far above where a new log begins.
        let imported = events("alpha", [7_000_000, 9_000_000_000]);
        instance.import(&mut Memory::new(std::slice::from_ref(&imported), 10)).await.unwrap();
        let team = team_id("alpha");
        let published = publish(&instance, &team).await;
        assert!(published > 9_000_000_000, "{published}");
        assert!(instance.stored(&team).await.get() < published);
        assert_eq!(instance.events(&team).await, imported, "what is not stored is not shown");
    }
}

#[tokio::test]
async fn a_log_that_is_made_after_the_import_begins_above_it() {
    let instance = Instance::cluster_without_log(1).await;
    let team = team_id("alpha");
    let report = instance.import(&mut Memory::new(&[events("alpha", [5, 9_000_000])], 10)).await.unwrap();
    assert!(report.log_is_missing);
    let stored = instance.stored(&team).await;
    instance.log.prepare(instance.partition(&team), stored).await.unwrap();
    assert!(publish(&instance, &team).await > 9_000_000);
    assert!(!instance.import(&mut Memory::new(&[], 10)).await.unwrap().log_is_missing);
}

/// Publishes a message and returns its position.
async fn publish(instance: &Instance, team: &TeamId) -> u64 {
    let event = NewEvent {
        team: team.clone(),
        sender: UserId::parse("ann").unwrap(),
        client_id: ClientId::parse("live").unwrap(),
        kind: EventKind::posted(Body::parse("live").unwrap()),
    };
    instance.log.publish(event, Condition::None).await.unwrap().await.unwrap().seq.get()
}

#[tokio::test]
async fn chosen_teams_are_exported_without_the_others() {
    let teams = three_teams();
    let instance = Instance::embedded_with(&teams).await;
    let files = tempdir().unwrap();
    let file = files.path().join("some.jsonl");
    let chosen = vec![team_id("gamma"), team_id("alpha"), team_id("gamma")];
    instance.export_teams(Some(chosen), &file).await.unwrap();
    let source = FileSource::open(tokio::fs::File::open(&file).await.unwrap()).await.unwrap();
    let planned: Vec<_> = source.plan().iter().map(|plan| plan.team.to_string()).collect();
    assert_eq!(planned, ["alpha", "gamma"]);
    let empty = Instance::embedded(1).await;
    let mut source = source;
    assert_eq!(empty.import(&mut source).await.unwrap().teams, 2);
    assert_eq!(empty.events(&team_id("beta")).await, []);
}

#[tokio::test]
async fn an_instance_without_teams_is_exported_and_imported() {
    let files = tempdir().unwrap();
    let file = files.path().join("none.jsonl");
    let instance = Instance::embedded(1).await;
    assert_eq!(instance.export(&file).await.unwrap().teams, 0);
    let mut source = FileSource::open(tokio::fs::File::open(&file).await.unwrap()).await.unwrap();
    assert_eq!(instance.import(&mut source).await.unwrap().events, 0);
}
