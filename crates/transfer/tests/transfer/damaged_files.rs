//! A file that is not a whole export is refused with the line and with what to do.

use huddle_transfer::{CHUNK_EVENTS_MAX, FileError, FileSource, Item, Source as _, SourceError};
use tempfile::tempdir;

use crate::{
    instance::Instance,
    samples::{events, three_teams},
};

async fn whole(teams: &[Vec<huddle_domain::Event>]) -> String {
    let instance = Instance::embedded_with(teams).await;
    let files = tempdir().unwrap();
    let file = files.path().join("whole.jsonl");
    instance.export(&file).await.unwrap();
    std::fs::read_to_string(file).unwrap()
}

/// Reads all of it.
async fn read(content: &[u8]) -> Result<Vec<Item>, FileError> {
    let mut source = FileSource::open(content).await?;
    let mut items = Vec::new();
    loop {
        match source.next().await {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return Ok(items),
            Err(SourceError::File(error)) => return Err(error),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_line_of_an_export_stays_as_it_is() {
    let content = whole(&[events("alpha", [3, 5, 6, 7, 8, 9, 10, 12])]).await;
    let lines: Vec<_> = content.lines().collect();
    // Golden lines: a change here makes another version of the format. The digest is by `sha256sum`.
    let expected = [
        r#"{"huddle_export":{"version":1,"created_ms":"1","program":"the tests","selection":null,"teams":"1","events":"8"}}"#,
        r#"{"plan":{"team":"alpha","last_seq":"12","events":"8"}}"#,
        r#"{"team":"alpha","seq":"3","time_ms":"1700000000003","sender":"ann","client_id":"c-3","team_created":{"name":"Team alpha","owner":"ann"}}"#,
        r#"{"team":"alpha","seq":"5","prev_seq":"3","time_ms":"1700000000005","sender":"bob","client_id":"c-5","member_added":{"user":"bob","role":"ROLE_MEMBER","name":"Bob \"B\" Böhm"}}"#,
        r#"{"team":"alpha","seq":"6","prev_seq":"5","time_ms":"1700000000006","sender":"ann","client_id":"c-6","member_added":{"user":"cat","role":"ROLE_ADMIN"}}"#,
        r#"{"team":"alpha","seq":"7","prev_seq":"6","time_ms":"1700000000007","sender":"bob","client_id":"c-7","member_role_changed":{"user":"bob","role":"ROLE_OWNER"}}"#,
        r#"{"team":"alpha","seq":"8","prev_seq":"7","time_ms":"1700000000008","sender":"ann","client_id":"c-8","member_removed":{"user":"cat"}}"#,
        r#"{"team":"alpha","seq":"9","prev_seq":"8","time_ms":"1700000000009","sender":"bob","client_id":"c-9","team_renamed":{"name":"Renamed ☃"}}"#,
        r#"{"team":"alpha","seq":"10","prev_seq":"9","time_ms":"1700000000010","sender":"ann","client_id":"c-10","team_archived":{}}"#,
        concat!(
            r#"{"team":"alpha","seq":"12","prev_seq":"10","time_ms":"1700000000012","sender":"bob","client_id":"c-12","#,
            r#""posted":{"body":"message 12\n\t\u0001"#,
            "\u{2028}漢🎉",
            r#" \"\\"}}"#
        ),
        r#"{"team_end":{"team":"alpha","events":"8","last_seq":"12","sha256":"f1efeed548f4089bdc5969b2b2a2272f34010ed3be783dbb07f2b4368d07ea69"}}"#,
        r#"{"end":{"teams":"1","events":"8"}}"#,
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_line_of_a_message_with_tags_stays_as_it_is_and_the_digest_covers_it() {
    let content = whole(&[events("alpha", 1..=11)]).await;
    let golden = concat!(
        r#"{"team":"alpha","seq":"11","prev_seq":"10","time_ms":"1700000000011","sender":"ann","client_id":"c-11","#,
        r#""posted":{"body":"message 11\n\t\u0001"#,
        "\u{2028}漢🎉",
        r#" \"\\","mentions":["cat","ann"],"entity":{"kind":"issue","id":"10"}}}"#
    );
    assert_eq!(content.lines().nth(12), Some(golden));
    for (what, other) in [
        (r#""mentions":["cat","ann"],"#, ""),
        (r#""mentions":["cat","ann"],"#, r#""mentions":["ann","cat"],"#),
        (r#","entity":{"kind":"issue","id":"10"}"#, ""),
        (r#""id":"10""#, r#""id":"11""#),
    ] {
        let changed = content.replace(golden, &golden.replace(what, other));
        let error = read(changed.as_bytes()).await.unwrap_err();
        assert!(matches!(error, FileError::Digest { .. }), "{what}: {error:?}");
    }
    let crowd = format!("\"mentions\":{:?}", (0..51).map(|number| number.to_string()).collect::<Vec<_>>());
    let changed = content.replace(golden, &golden.replace(r#""mentions":["cat","ann"]"#, &crowd));
    assert!(matches!(read(changed.as_bytes()).await, Err(FileError::Event { line: 13, .. })));
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_never_taken_for_whole() {
    let content = whole(&three_teams()).await;
    assert_eq!(read(content.as_bytes()).await.unwrap().len(), 6);
    for cut in 0..content.len() {
        let lines = content.as_bytes()[..cut].split(|byte| *byte == b'\n').count() as u64 - 1;
        match read(&content.as_bytes()[..cut]).await {
            Err(FileError::NotAnExport) if cut == 0 => {}
            Err(FileError::Truncated { line }) => assert_eq!(line, lines + 1, "cut off at {cut}"),
            other => panic!("cut off at {cut}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told_with_its_line() {
    let content = whole(&three_teams()).await;
    let lines: Vec<String> = content.lines().map(ToOwned::to_owned).collect();
    let place = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
    let (event, team_end) = (place("{\"team\":\"beta\""), place("{\"team_end\""));
    let replaced = |index: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[index].contains(from), "{}", lines[index]);
        lines[index] = lines[index].replacen(from, to, 1);
        (lines, index + 1)
    };
    let removed = |index: usize, told: usize| {
        let mut lines = lines.clone();
        lines.remove(index);
        (lines, told + 1)
    };
    let inserted = |index: usize, line: &str| {
        let mut lines = lines.clone();
        lines.insert(index, line.to_owned());
        (lines, index + 1)
    };
    let swapped = |a: usize, b: usize, told: usize| {
        let mut lines = lines.clone();
        lines.swap(a, b);
        (lines, told + 1)
    };
    let long = format!("{{\"team\":\"beta\",\"x\":\"{}\"}}", "x".repeat(300_000));
    let cases = [
        (replaced(0, "\"version\":1", "\"version\":2"), "version 2 of the format"),
        (replaced(0, "huddle_export", "other_export"), "this is no export of huddle"),
        (replaced(0, "{", "PK"), "this is no export of huddle"),
        // Noticed where the plan ends.
        ((replaced(0, "\"events\":\"24\"", "\"events\":\"25\"").0, 4), "do not add up"),
        ((replaced(0, "\"teams\":\"3\"", "\"teams\":\"2\"").0, 3), "do not add up"),
        ((replaced(1, "\"alpha\"", "\"gamma\"").0, 3), "out of order, or twice"),
        (swapped(1, 2, 2), "out of order, or twice"),
        (replaced(2, "\"events\":\"9\"", "\"events\":\"0\""), "positions below the number of events"),
        (replaced(event, "\"beta\"", "\"gamma\""), "an event of the plan's next team"),
        (removed(event + 1, event + 1), "events are missing or out of order"),
        (swapped(event + 1, event + 2, event + 1), "events are missing or out of order"),
        (inserted(event + 1, &lines[event]), "events are missing or out of order"),
        (removed(team_end - 1, team_end - 1), "events are missing or too many"),
        (removed(team_end, team_end), "an event of the plan's next team"),
        (replaced(team_end, "\"sha256\":\"", "\"sha256\":\"0000"), "it is not a line of an export"),
        (replaced(event + 8, "message", "massage"), ""),
        (replaced(event + 3, "ROLE_OWNER", "ROLE_KING"), "it is not a line of an export"),
        (replaced(event, "\"seq\":\"2\"", "\"seq\":\"two\""), "it is not a line of an export"),
        (replaced(event, "\"sender\":\"ann\"", "\"sender\":\"a.n.n\""), "`sender` is not an id"),
        (replaced(event + 8, "posted", "whispered"), "kind is not known to this version"),
        (replaced(event, "}", ""), "it is no JSON from column"),
        (inserted(event, "{\"thread\":{\"team\":\"beta\"}}"), "lines that begin with \"thread\" are not known"),
        (inserted(event, "[1, 2]"), "it is not a line of an export"),
        (inserted(event, ""), "it is no JSON"),
        (inserted(event, &long), "it is longer than"),
        (inserted(event, &lines[0]), "an event or the end of a team comes here"),
        (replaced(lines.len() - 1, "\"24\"", "\"23\""), "another number of teams or events"),
        (inserted(lines.len(), &lines[event]), "the export ended in the line before"),
    ];
    for (index, ((lines, line), expected)) in cases.into_iter().enumerate() {
        let Err(error) = read((lines.join("\n") + "\n").as_bytes()).await else { panic!("case {index}: taken") };
        let text = error.to_string();
        if expected.is_empty() {
            // A change of a text shows only in the digest, at the team's end.
            assert!(matches!(error, FileError::Digest { .. }), "case {index}: {text}");
            continue;
        }
        assert!(text.starts_with(&format!("line {line}: ")), "case {index}, line {line}: {text}");
        assert!(text.contains(expected), "case {index}: {text}");
        assert!(!text.contains("message 2"), "case {index} shows a message: {text}");
    }
}

#[tokio::test]
async fn json_that_others_have_written_differently_is_the_same_export() {
    let content = whole(&three_teams()).await;
    let differently: String = content
        .lines()
        .map(|line| {
            let escaped: String = line
                .chars()
                .map(|character| match character {
                    '漢' => "\\u6f22".to_owned(),
                    character => character.to_string(),
                })
                .collect();
            escaped.replace("\":", "\" : ") + " \r\n"
        })
        .collect();
    assert_ne!(content, differently);
    assert_eq!(read(content.as_bytes()).await.unwrap(), read(differently.as_bytes()).await.unwrap());
}

#[tokio::test]
async fn chunks_are_bounded() {
    let content = whole(&[events("large", 1..=2_500)]).await;
    let sizes: Vec<_> = read(content.as_bytes())
        .await
        .unwrap()
        .into_iter()
        .map(|item| match item {
            Item::Events { events, .. } => events.len(),
            Item::TeamEnd(_) => 0,
        })
        .collect();
    assert_eq!(sizes, [CHUNK_EVENTS_MAX, CHUNK_EVENTS_MAX, 500, 0]);
}
