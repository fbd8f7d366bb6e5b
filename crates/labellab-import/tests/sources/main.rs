//! LabelLab's data in real databases and in their exports, read as a source of an import.

mod databases;
mod made;
mod reading;

use std::fs;

use anyhow::Result;
use huddle_domain::{ClientId, EventKind, Name, Role, Seq, TeamId, UserId};
use huddle_labellab_import::{Reason, open};
use huddle_transfer::{CHUNK_EVENTS_MAX, Source};

use databases::Databases;
use made::Made;
use reading::{Reading, read};

#[tokio::test(flavor = "multi_thread")]
async fn databases_and_their_exports_give_the_same_events_which_are_labellabs_rows() -> Result<()> {
    // As SQLAlchemy makes MySQL's columns.
    every_place_has_the_same(Made::new(10_000, true)?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fractions_of_a_second_come_to_the_millisecond_from_everywhere() -> Result<()> {
    every_place_has_the_same(Made::new(2_000, false)?).await
}

async fn every_place_has_the_same(made: Made) -> Result<()> {
    let databases = Databases::start().await?;
    let places = [
        databases.fill_mysql("labellab", &made).await?,
        databases.fill_postgres("labellab", &made).await?,
        databases.mysql_outfiles("labellab").await?,
        databases.postgres_copies("labellab", "csv").await?,
        databases.postgres_copies("labellab", "text").await?,
    ];
    let first = read(&made.csv()).await?;
    made.assert_is(&first);
    for place in &places {
        first.assert_same(&read(place).await?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_changes_while_it_is_read_is_read_as_it_was() -> Result<()> {
    let databases = Databases::start().await?;
    let made = Made::new(2_500, true)?;
    let (mysql, postgres) =
        (databases.fill_mysql("moving", &made).await?, databases.fill_postgres("moving", &made).await?);
    let expected = read(&made.csv()).await?;
    let opened = [open(&mysql).await?, open(&postgres).await?];
    let change = "DELETE FROM message WHERE id % 3 = 0; UPDATE message SET body = 'other'; DELETE FROM projectmember;";
    databases.mysql("moving", change).await?;
    databases.postgres("moving", change).await?;
    for source in opened {
        expected.assert_same(&Reading::of(source).await?);
    }
    Ok(())
}

#[tokio::test]
async fn without_the_project_table_the_owner_is_the_first_of_the_projects_admins() -> Result<()> {
    let made = Made::new(500, true)?;
    let with = read(&made.csv()).await?;
    fs::remove_file(made.path("csv/project.csv"))?;
    with.assert_same(&read(&made.csv()).await?);
    Ok(())
}

#[tokio::test]
async fn a_team_is_made_after_its_messages_in_chunks_and_above_all_of_them() -> Result<()> {
    let directory = Csv::new()?;
    directory.write("message", "id,body,team_id,user_id,timestamp\n9,hi,7,4,2021-07-03 10:11:12.345678\n3,early,7,5,2021-07-03 10:11:12\n8,gone,1,5,2022-01-01 00:00:00\n")?;
    directory.write("team", "id,team_name,role,project_id\n7,Team,images,1\n")?;
    let people: Vec<u64> = (1..=2_500).collect();
    let line = |user: &u64| format!("{user},{user},7\n");
    directory
        .write("projectmember", &format!("id,user_id,team_id\n{}", people.iter().map(line).collect::<String>()))?;
    directory.write("user", "id,username\n1,ann\n2,bob\n")?;

    let reading = read(&directory.place()).await?;
    assert_eq!(reading.chunks, [2, CHUNK_EVENTS_MAX, CHUNK_EVENTS_MAX, 501]);
    assert_eq!(reading.report.findings[&Reason::MessageTeam].ids, [8]);
    assert_eq!(reading.report.findings[&Reason::MemberUnnamed].count, 2_498);
    let (events, service) = (&reading.events, UserId::parse(UserId::SERVICE)?);
    let positions: Vec<_> = events.iter().take(3).map(|event| (event.seq.get(), event.prev_seq.get())).collect();
    assert_eq!(positions, [(3, 0), (9, 3), (10, 9)]);
    let (created, first, second) = (&events[2], &events[3], &events[4]);
    assert_eq!(created.kind, EventKind::TeamCreated { name: Name::parse("Team")?, owner: UserId::parse("1")? });
    assert_eq!((&created.sender, &created.client_id), (&service, &ClientId::parse("labellab-team-7")?));
    // The newest message of all, though that one is not imported.
    assert_eq!(created.time.0, 1_640_995_200_000);
    let added = |user, role, name: &str| {
        Ok::<_, anyhow::Error>(EventKind::MemberAdded {
            user: UserId::parse(user)?,
            role,
            name: Some(Name::parse(name)?),
        })
    };
    assert_eq!(first.kind, added("1", Role::Owner, "ann")?);
    assert_eq!(second.kind, added("2", Role::Member, "bob")?);
    assert_eq!(second.client_id, ClientId::parse("labellab-member-2")?);
    assert_eq!(reading.plan[0].team, TeamId::parse("7")?);
    assert_eq!((reading.plan[0].last_seq, reading.plan[0].events), (Seq::new(2_510), 2_503));
    Ok(())
}

#[tokio::test]
async fn where_nothing_was_said_a_team_is_as_old_as_the_newest_account() -> Result<()> {
    let directory = Csv::new()?;
    directory.write("message", "id,body,team_id,user_id,timestamp\n")?;
    directory.write("team", "id,team_name\n1,a\n")?;
    directory.write("projectmember", "id,user_id,team_id\n1,5,1\n")?;
    directory.write("user", "id,username,date\n5,ann,1970-01-01 00:00:02\n6,bob,1970-01-01 00:00:03\n7,cleo,\\N\n")?;
    let reading = read(&directory.place()).await?;
    let events: Vec<_> = reading.events.iter().map(|event| (event.seq.get(), event.time.0)).collect();
    assert_eq!(events, [(1, 3_000), (2, 3_000)]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_says_where_it_stands_and_what_to_do() -> Result<()> {
    let directory = Csv::new()?;
    directory.write("team", "id,team_name\n1,a\n")?;
    directory.write("projectmember", "id,user_id,team_id\n")?;
    directory.write("user", "id,username\n")?;
    for (messages, expected) in [
        (None, "cannot read"),
        (Some("1,hello,1,1,2021-07-03 10:11:12\n"), "its first line does not name the columns id, body"),
        (
            Some("id,body,team_id,user_id,timestamp\n1,\"se\"cret,1,1,x\n"),
            "line 2: there is text after a closing quote",
        ),
        (
            Some("id,body,team_id,user_id,timestamp\n1,secret\n"),
            "line 2: there are 2 fields where the first line has 5",
        ),
        (Some("id,body,team_id,user_id,timestamp\n1,\"a\nsecret\",one,1,x\n"), "line 2: team_id is not a number"),
        // MySQL with ESCAPED BY '"'.
        (
            Some("id,body,team_id,user_id,entity_type,timestamp\n1,\"secret\",1,1,\"N,\"2021-07-03 10:11:12\"\n"),
            "line 2: there is",
        ),
    ] {
        if let Some(text) = messages {
            directory.write("message", text)?;
        }
        let error = open(&directory.place()).await.unwrap_err().to_string();
        assert!(error.contains("message.csv") && error.contains(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_repeated_row_of_a_file_counts_once() -> Result<()> {
    let directory = Csv::new()?;
    directory.write("team", "id;team_name\n1;\"a\"\n2;\"b\"\n1;\"c\"\n")?;
    directory.write("projectmember", "id;user_id;team_id\n")?;
    directory.write("user", "id;username\n")?;
    let row = |id, body, team| format!("{id};\"{body}\";{team};3;\"2021-07-03 10:11:12\"\n");
    let rows = [row(5, "first", 2), row(5, "again", 1), row(4, "", 1), row(-1, "x", 1)].concat();
    directory.write("message", &format!("id;body;team_id;user_id;timestamp\n{rows}"))?;
    let source = open(&directory.place()).await?;
    let report = source.report().clone();
    assert_eq!((report.teams, report.messages, report.members), (2, 1, 0));
    let found: Vec<_> = report.findings.iter().map(|(reason, finding)| (*reason, finding.ids.clone())).collect();
    let expected = [
        (Reason::MessageId, vec![-1]),
        (Reason::MessageRepeated, vec![5]),
        (Reason::BodyEmpty, vec![4]),
        (Reason::TeamRepeated, vec![1]),
        (Reason::TeamOwnerless, vec![1, 2]),
    ];
    assert_eq!(found, expected);
    assert_eq!(source.plan().iter().map(|team| team.events).collect::<Vec<_>>(), [1, 2]);
    let reading = Reading::of(source).await?;
    assert_eq!(reading.events.iter().map(|event| event.seq.get()).collect::<Vec<_>>(), [6, 5, 7]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_labellabs_or_not_there_is_refused_without_its_password() -> Result<()> {
    let databases = Databases::start().await?;
    let port = huddle_devstack::free_port()?;
    for (url, expected) in [
        (databases.mysql_url("mysql"), "message.id"),
        (databases.postgres_url("postgres"), "message.id"),
        (databases.mysql_url("nowhere"), "cannot read MySQL database nowhere at 127.0.0.1:"),
        (databases.postgres_url("nowhere"), "cannot read Postgres database nowhere at 127.0.0.1:"),
        (format!("mysql://u:hunter2@127.0.0.1:{port}/labellab"), "cannot read MySQL database labellab at"),
        (format!("postgres://u:hunter2@127.0.0.1:{port}/labellab"), "cannot read Postgres database labellab at"),
        ("mysql://u:hunter2@h:port/x".to_owned(), "not a valid URL"),
        ("postgres://u:hunter2@h:port/x".to_owned(), "not a valid URL"),
    ] {
        let password = url.split([':', '@']).nth(2).unwrap_or_default().to_owned();
        let error = open(&url).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains(&password), "a password is in: {error}");
    }
    Ok(())
}

/// A directory of CSV files.
struct Csv(tempfile::TempDir);

impl Csv {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn write(&self, table: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.0.path().join(format!("{table}.csv")), text)?)
    }

    fn place(&self) -> String {
        self.0.path().display().to_string()
    }
}
