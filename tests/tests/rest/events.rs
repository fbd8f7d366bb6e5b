//! Pages of events: everything that happened in a team, by the cursor that WebSockets have.

use anyhow::{Context as _, Result};
use huddle_proto::directory::v1::{AddMemberRequest, RemoveMemberRequest};
use huddle_tests::{Access, SERVICE_TOKEN, StoredEvent};
use serde_json::{Value, json};

use crate::{
    MEMBER, OWNER, TEAM,
    api::{Api, EVENTS},
};

const LARGE_TEAM: &str = "rest-large";
/// What the largest messages take as JSON: 4,000 characters, each written as six bytes.
const LARGE_BODY: &str = "\u{1}";
const LARGE_BYTES: usize = 4_000 * 6;
const LARGE_EVENTS: usize = 30;
/// Of how the team came about.
const SMALL_EVENTS: usize = 2;
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// All events of `team`, page by page, and how many each page had.
async fn all(api: &mut Api, team: &str, limit: usize) -> Result<(Vec<Value>, Vec<usize>)> {
    let (mut events, mut sizes): (Vec<Value>, _) = (Vec::new(), Vec::new());
    loop {
        let cursor = events.last().map_or(json!("0"), |event| event["seq"].clone());
        let cursor = cursor.as_str().context("no seq")?;
        let page = api.events(team, &format!("?after={cursor}&limit={limit}")).await?.expect(200)?;
        let more = page["events"].as_array().context("no events")?;
        sizes.push(more.len());
        events.extend(more.iter().cloned());
        if page["has_more"] == false {
            return Ok((events, sizes));
        }
        assert!(!more.is_empty(), "an empty page that is not the last one");
    }
}

fn seqs(events: &[Value], field: &str) -> Result<Vec<u64>> {
    let seq = |event: &Value| Ok(event[field].as_str().unwrap_or("0").parse()?);
    events.iter().map(seq).collect()
}

pub(crate) async fn pages_lead_through_all_events(api: &mut Api, access: &Access) -> Result<()> {
    let mut directory = access.directory_client(SERVICE_TOKEN)?;
    let add =
        AddMemberRequest { team: TEAM.to_owned(), user: "passing".to_owned(), role: 1, ..AddMemberRequest::default() };
    directory.add_member(add).await?;
    let remove =
        RemoveMemberRequest { team: TEAM.to_owned(), user: "passing".to_owned(), ..RemoveMemberRequest::default() };
    directory.remove_member(remove).await?;
    let sent = api.post(TEAM, "?wait=stored", &json!({"body": "the last one"})).await?.expect(201)?;

    let stored: Vec<StoredEvent> = access.stored_events(TEAM).await?;
    let stored: Vec<u64> = stored.iter().map(|event| event.seq).collect();
    for limit in [7, 100, 200] {
        let (events, sizes) = all(api, TEAM, limit).await?;
        assert_eq!(seqs(&events, "seq")?, stored, "read in pages of {limit}");
        assert!(sizes.iter().rev().skip(1).all(|size| *size == limit), "pages of {limit}: {sizes:?}");
        let previous = seqs(&events, "prev_seq")?;
        assert_eq!(previous[0], 0);
        assert_eq!(previous[1..], stored[..stored.len() - 1], "each event names the one before it");
        for kind in ["team_created", "member_added", "member_removed", "posted"] {
            assert!(events.iter().any(|event| event.get(kind).is_some()), "no {kind}");
        }
    }
    let sent = sent["seq"].as_str().context("no seq")?;
    let page = api.events(TEAM, &format!("?after={sent}&min_seq={sent}")).await?.expect(200)?;
    assert_eq!(page, json!({"events": [], "has_more": false}), "after the last event");
    Ok(())
}

pub(crate) async fn a_page_of_large_events_ends_early(api: &mut Api, access: &Access) -> Result<()> {
    access.create_team(LARGE_TEAM, &[OWNER, MEMBER]).await?;
    let body = LARGE_BODY.repeat(4_000);
    for _ in 1..LARGE_EVENTS {
        api.post(LARGE_TEAM, "", &json!({"body": body})).await?.expect(201)?;
    }
    api.post(LARGE_TEAM, "?wait=stored", &json!({"body": body})).await?.expect(201)?;
    let (events, sizes) = all(api, LARGE_TEAM, 200).await?;
    assert_eq!(events.iter().filter(|event| event["posted"]["body"] == *body).count(), LARGE_EVENTS);
    let fitting = PAGE_BYTES_MAX / LARGE_BYTES + SMALL_EVENTS;
    assert!(sizes.len() > 1 && sizes.iter().all(|size| *size <= fitting), "{sizes:?}");
    Ok(())
}

pub(crate) async fn bad_requests_for_events_are_refused(api: &mut Api, access: &Access) -> Result<()> {
    for query in [
        "limit=201",
        "limit=-1",
        "limit=many",
        "after=x",
        "after=-1",
        "after=1&after=2",
        "min_seq=x",
        "before=1",
        "order=newest_first",
    ] {
        let answer = api.events(TEAM, &format!("?{query}")).await?;
        assert_eq!(answer.refused(400)?, "ERROR_CODE_INVALID_ARGUMENT", "{query}");
    }
    let page = api.list(TEAM, "?limit=1").await?.expect(200)?;
    let last: u64 = page["messages"][0]["seq"].as_str().context("no seq")?.parse()?;
    for beyond in [last + 1, last + 1_000_000, u64::MAX] {
        let answer = api.events(TEAM, &format!("?after={beyond}")).await?;
        assert_eq!(answer.refused(400)?, "ERROR_CODE_INVALID_CURSOR", "after {beyond}");
    }
    for team in ["a.b", "a%2Eb", "%2A"] {
        assert_eq!(api.events(team, "").await?.refused(400)?, "ERROR_CODE_INVALID_ID", "{team}");
    }
    let nobody = api.call("GET", EVENTS, &format!("/v1/teams/{TEAM}/events"), None, None).await?;
    assert_eq!(nobody.refused(401)?, "ERROR_CODE_INVALID_TOKEN");
    let ahead = api.events(TEAM, &format!("?min_seq={}", last + 1_000_000)).await?;
    assert_eq!(ahead.refused(503)?, "ERROR_CODE_NOT_YET_STORED");

    let mut answers = Vec::new();
    for user in ["stranger", "passing"] {
        let mut stranger = Api::new(&access.http_url(0), &access.token(user)?);
        for team in [TEAM, "there-is-no-such-team"] {
            let answer = stranger.events(team, "?after=1").await?;
            assert_eq!(answer.refused(404)?, "ERROR_CODE_NOT_FOUND", "{user} in {team}");
            answers.push(answer.body);
        }
        api.take_exchanges(stranger);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the answers tell a team that exists from one that does not: {answers:?}");
    Ok(())
}
