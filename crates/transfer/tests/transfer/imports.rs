//! An import stores what the source has, once, or says why not.

use std::{sync::Arc, time::Duration};

use huddle_domain::{Body, ClientId, Event, EventKind, NewEvent, Seq, UserId};
use huddle_log::{Condition, LogError};
use huddle_store::PartitionStore as _;
use huddle_store_postgres::PostgresStore;
use huddle_transfer::{ImportError, Item, Source, SourceError, TeamPlan, import};

use crate::{
    instance::Instance,
    samples::{Memory, events, team_id, three_teams},
};

#[tokio::test]
async fn an_import_goes_on_wherever_it_was_interrupted() {
    let teams = three_teams();
    let items = Memory::new(&teams, 2).items.len();
    for interrupted in 0..=items {
        let instance = Instance::embedded(2).await;
        continued_import_is_whole(&instance, &teams, interrupted).await;
    }
    let instance = Instance::cluster(2).await;
    for interrupted in 0..=items {
        // Other teams each time.
        let renamed: Vec<_> = teams.iter().map(|events| renamed(events, interrupted)).collect();
        continued_import_is_whole(&instance, &renamed, interrupted).await;
    }
}

fn renamed(events: &[Event], number: usize) -> Vec<Event> {
    let team = team_id(&format!("{}-{number}", events[0].team));
    events.iter().map(|event| Event { team: team.clone(), ..event.clone() }).collect()
}

async fn continued_import_is_whole(instance: &Instance, teams: &[Vec<Event>], interrupted: usize) {
    let error = instance.import(&mut Memory::new(teams, 2).failing_after(interrupted)).await.unwrap_err();
    assert!(matches!(error, ImportError::Source(SourceError::Unreadable { .. })), "{error}");
    assert!(error.is_retryable());
    // In chunks of another size: what is there is recognised event by event.
    let report = instance.import(&mut Memory::new(teams, 3)).await.unwrap();
    assert_eq!((report.stored + report.present, report.events), (24, 24), "after {interrupted} items");
    for events in teams {
        assert_eq!(instance.events(&events[0].team).await, *events, "after {interrupted} items");
        assert_eq!(instance.team(&events[0].team).await.1.len(), if events.len() > 4 { 2 } else { 1 });
    }
}

#[tokio::test]
async fn an_import_into_a_team_with_another_history_is_refused_with_its_place() {
    let theirs = events("alpha", [10, 20, 30]);
    let begins_earlier = events("alpha", [5, 10, 20]);
    let begins_later = events("alpha", [15, 20, 30]);
    let mut other_sender = theirs.clone();
    other_sender[2].sender = UserId::parse("eve").unwrap();
    let mut other_time = theirs.clone();
    other_time[1].time.0 += 1;
    let in_between = events("alpha", [10, 25, 30]);
    let mut key_elsewhere = events("alpha", [10, 20, 30, 40]);
    key_elsewhere[3].client_id = theirs[0].client_id.clone();
    key_elsewhere[3].sender = theirs[0].sender.clone();
    let cases = [
        (begins_earlier, "another event of team alpha at 10, so the events 5 to 20 "),
        (begins_later, "another event of team alpha at 10, so the events 15 to 30 "),
        (other_sender, "another event of team alpha at 30, so the events 10 to 30 "),
        (other_time, "another event of team alpha at 20, so the events 10 to 30 "),
        (in_between, "another event of team alpha at 20, so the events 10 to 30 "),
        (key_elsewhere, "the event 40 of team alpha at another position, so the events 10 to 40 "),
    ];
    for instance in [Instance::embedded(1).await, Instance::cluster(1).await] {
        instance.import(&mut Memory::new(std::slice::from_ref(&theirs), 10)).await.unwrap();
        for (mine, expected) in &cases {
            let teams = [mine.clone(), events("beta", [50])];
            let error = instance.import(&mut Memory::new(&teams, 10)).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.to_string().contains("were not stored"), "{error}");
            assert_eq!(instance.events(&team_id("alpha")).await, theirs, "{expected}");
            assert_eq!(instance.events(&team_id("beta")).await, [], "{expected}");
        }
    }
}

#[tokio::test]
async fn a_team_that_went_on_after_its_import_is_not_disturbed_by_another_one() {
    let instance = Instance::embedded_with(&[events("alpha", [10, 20, 30])]).await;
    instance.import(&mut Memory::new(&[events("alpha", [10, 20, 30, 5_000])], 10)).await.unwrap();
    let report = instance.import(&mut Memory::new(&[events("alpha", [10, 20, 30])], 10)).await.unwrap();
    assert_eq!((report.stored, report.present), (0, 3));
}

#[tokio::test]
async fn an_import_beside_an_owner_of_a_partition_is_refused() {
    let instance = Instance::embedded(2).await;
    let team = team_id("alpha");
    let owner = instance.partitions.claim(instance.partition(&team)).await.unwrap().unwrap();
    let error = instance.import(&mut Memory::new(&three_teams(), 10)).await.unwrap_err();
    assert!(matches!(error, ImportError::Claimed { .. }), "{error}");
    assert!(error.to_string().contains("stop every `huddle persistence`"), "{error}");
    assert_eq!(instance.stored(&team).await, Seq::ZERO);
    drop(owner);
    instance.import(&mut Memory::new(&three_teams(), 10)).await.unwrap();
}

#[tokio::test]
async fn events_of_the_log_that_are_not_stored_are_not_passed_over() {
    for instance in [Instance::embedded(1).await, Instance::cluster(1).await] {
        let event = NewEvent {
            team: team_id("live"),
            sender: UserId::parse("ann").unwrap(),
            client_id: ClientId::parse("live").unwrap(),
            kind: EventKind::posted(Body::parse("live").unwrap()),
        };
        let published = instance.log.publish(event, Condition::None).await.unwrap().await.unwrap().seq;
        for above in [published.get() / 2, published.get(), published.get() + 1_000_000] {
            let teams = [events("alpha", [1, above])];
            let error = instance.import(&mut Memory::new(&teams, 10)).await.unwrap_err();
            assert!(matches!(error, ImportError::Log(LogError::Unsuitable { .. })), "above {above}: {error}");
            assert_eq!(instance.stored(&team_id("live")).await, Seq::ZERO, "above {above}");
            assert_eq!(instance.events(&team_id("alpha")).await, [], "above {above}");
        }
    }
}

#[tokio::test]
async fn what_is_read_back_is_compared_with_the_source() {
    let teams = three_teams();
    let instance = Instance::embedded(1).await;
    let mut source = Memory::new(&teams, 10);
    for item in &mut source.items {
        if let Item::TeamEnd(end) = item
            && end.team.as_str() == "beta"
        {
            end.sha256[31] ^= 1;
        }
    }
    let error = instance.import(&mut source).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ImportError::Verification { .. }), "{text}");
    assert!(text.contains("team beta") && text.contains("9 events up to 26 there, 9 here"), "{text}");
}

#[tokio::test]
async fn a_source_that_breaks_its_word_is_found_out_before_anything_is_shown() {
    let breaks: [fn(&mut Memory); 6] = [
        |source| source.plan[0].last_seq = Seq::new(20),
        |source| source.plan.swap(0, 1),
        |source| drop(source.items.pop_front()),
        |source| drop(source.items.pop_back()),
        |source| source.items.swap(0, 1),
        |source| {
            let Some(Item::Events { events, .. }) = source.items.front_mut() else { panic!("events come first") };
            events.swap(1, 2);
        },
    ];
    for (index, break_it) in breaks.into_iter().enumerate() {
        let instance = Instance::embedded(1).await;
        let mut source = Memory::new(&three_teams(), 7);
        break_it(&mut source);
        let error = instance.import(&mut source).await.unwrap_err();
        assert!(matches!(error, ImportError::SourceContract { .. }), "{index}: {error}");
    }
}

/// Yields what it has when it is told to, and not before.
struct Gated {
    source: Memory,
    gate: Arc<tokio::sync::Semaphore>,
}

#[async_trait::async_trait]
impl Source for Gated {
    fn plan(&self) -> &[TeamPlan] {
        self.source.plan()
    }

    async fn next(&mut self) -> Result<Option<Item>, SourceError> {
        self.gate.acquire().await.unwrap().forget();
        self.source.next().await
    }
}

#[tokio::test]
async fn a_source_that_takes_its_time_does_not_cost_the_claims() {
    let instance = Instance::cluster(2).await;
    let teams = three_teams();
    let gate = Arc::new(tokio::sync::Semaphore::new(1));
    let mut source = Gated { source: Memory::new(&teams, 5), gate: Arc::clone(&gate) };
    let rival = PostgresStore::connect(&instance.cluster.as_ref().unwrap().store_config).await.unwrap();
    let attempts = async {
        let team = &teams[0][0].team;
        while instance.events(team).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Longer than an owner may be silent.
        let started = tokio::time::Instant::now();
        while started.elapsed() < Duration::from_secs(5) {
            for partition in instance.log.partitions().iter() {
                assert!(rival.claim(partition).await.unwrap().is_none(), "the partition was taken over");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        gate.add_permits(100);
    };
    let (report, ()) = tokio::join!(import_into(&instance, &mut source), attempts);
    assert_eq!(report.unwrap().events, 24);
}

async fn import_into(
    instance: &Instance,
    source: &mut dyn Source,
) -> Result<huddle_transfer::ImportReport, ImportError> {
    import(source, &instance.target(), &mut ()).await
}
