//! REST: every status that `docs/reference/openapi.yaml` promises occurs, every answer is as it says, and what is
//! accepted is there to be read.

mod api;
mod events;

use std::time::Duration;

use anyhow::{Context as _, Result};
use huddle_proto::directory::v1::ArchiveTeamRequest;
use huddle_tests::{Access, Backend, Cluster, Deployment, DeploymentOptions, SECRET, SERVICE_TOKEN, forged, until};
use serde_json::{Value, json};

use api::{Api, MESSAGES};

const TEAM: &str = "rest";
const ARCHIVED: &str = "rest-archived";
const OWNER: &str = "owner";
const MEMBER: &str = "member";
/// Messages that are paged through.
const MESSAGES_SENT: usize = 120;
const PAGE: usize = 50;
/// A gateway looks after its services every two seconds.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(15);

huddle_tests::on_both_backends! {
    every_promised_answer_occurs_and_is_as_described,
}

async fn every_promised_answer_occurs_and_is_as_described(backend: Backend) -> Result<()> {
    let options = DeploymentOptions { gateways: 1, ..DeploymentOptions::default() };
    let mut deployment = Box::pin(Deployment::start(backend, options)).await?;
    deployment.create_team(TEAM, &[OWNER, MEMBER]).await?;
    let mut api = Api::new(&deployment.http_url(0), &deployment.token(MEMBER)?);
    Box::pin(sends_are_answered(&mut api)).await?;
    Box::pin(tags_are_part_of_a_message(&mut api)).await?;
    Box::pin(pages_lead_through_all_messages(&mut api)).await?;
    Box::pin(callers_are_checked(&mut api, &deployment)).await?;
    Box::pin(bad_requests_are_refused(&mut api)).await?;
    Box::pin(an_archived_team_takes_nothing(&mut api, &deployment)).await?;
    Box::pin(events::pages_lead_through_all_events(&mut api, &deployment)).await?;
    Box::pin(events::a_page_of_large_events_ends_early(&mut api, &deployment)).await?;
    Box::pin(events::bad_requests_for_events_are_refused(&mut api, &deployment)).await?;
    let never = match &mut deployment {
        Deployment::Cluster(cluster) => {
            Box::pin(a_missing_part_is_named_as_such(&mut api, cluster)).await?;
            None
        }
        // No part of one process is missing while others are there. What refuses its sends is a full disk: disk_full.rs.
        Deployment::Embedded(_) => {
            Box::pin(a_read_of_what_is_not_there_yet_is_refused_in_time(&mut api)).await?;
            Some("POST 503")
        }
    };
    let description = api.call("GET", "/v1/openapi.yaml", "/v1/openapi.yaml", None, None).await?;
    assert_eq!(description.status, 200);
    api.check_against_description(never).await?;
    Box::pin(deployment.finish()).await
}

async fn sends_are_answered(api: &mut Api) -> Result<()> {
    let sent = api.post(TEAM, "?wait=stored", &json!({"body": "first", "client_id": "once"})).await?.expect(201)?;
    assert_eq!(
        (&sent["client_id"], &sent["duplicate"], &sent["stored"]),
        (&json!("once"), &json!(false), &json!(true))
    );
    let again = api.post(TEAM, "", &json!({"body": "first", "client_id": "once"})).await?.expect(201)?;
    assert_eq!((&again["seq"], &again["duplicate"]), (&sent["seq"], &json!(true)));
    let other = api.post(TEAM, "", &json!({"body": "second", "client_id": "once"})).await?.refused(409)?;
    assert_eq!(other, "ERROR_CODE_CONFLICT");
    for wait in ["", "?wait=accepted"] {
        let made = api.post(TEAM, wait, &json!({"body": "without an id"})).await?.expect(201)?;
        assert_eq!(made["client_id"].as_str().unwrap_or_default().len(), 32, "{made}");
        // What was accepted can be read by whoever says how far.
        let seq = made["seq"].as_str().context("no seq")?;
        let page = api.list(TEAM, &format!("?limit=1&min_seq={seq}")).await?.expect(200)?;
        assert_eq!(page["messages"][0]["seq"], seq, "{page}");
        assert_eq!(page["messages"][0]["body"], "without an id", "{page}");
    }
    Ok(())
}

/// Whom a message mentions and what it is about are part of it, for its readers and for its retries.
async fn tags_are_part_of_a_message(api: &mut Api) -> Result<()> {
    let tagged = json!({
        "body": "@member, see the issue", "client_id": "tagged", "mentions": [MEMBER, "somebody", MEMBER],
        "entity": {"kind": "issue", "id": "7"},
    });
    let seq = api.post(TEAM, "", &tagged).await?.expect(201)?["seq"].clone();
    let again = api.post(TEAM, "", &tagged).await?.expect(201)?;
    assert_eq!((&again["seq"], &again["duplicate"]), (&seq, &json!(true)));
    let changed = |field: &str, value: Value| {
        let mut changed = tagged.clone();
        changed[field] = value;
        changed
    };
    for other in [
        changed("mentions", json!([])),
        changed("mentions", json!(["somebody", MEMBER])),
        changed("entity", json!({"kind": "issue", "id": "8"})),
        changed("entity", Value::Null),
    ] {
        assert_eq!(api.post(TEAM, "", &other).await?.refused(409)?, "ERROR_CODE_CONFLICT", "{other}");
    }
    let crowd: Vec<String> = (0..51).map(|number| format!("u{number}")).collect();
    for none in [
        changed("mentions", json!(crowd)),
        changed("mentions", json!(["a.b"])),
        changed("mentions", json!("somebody")),
        changed("entity", json!({"kind": "issue"})),
        changed("entity", json!({"kind": "an issue", "id": "7"})),
        changed("entity", json!("a text")),
    ] {
        api.post(TEAM, "", &none).await?.refused(400)?;
    }
    let seq = seq.as_str().context("no seq")?;
    let page = api.list(TEAM, &format!("?limit=1&min_seq={seq}")).await?.expect(200)?;
    let read = &page["messages"][0];
    assert_eq!(read["mentions"], json!([MEMBER, "somebody"]));
    assert_eq!(read["entity"], tagged["entity"]);
    Ok(())
}

async fn pages_lead_through_all_messages(api: &mut Api) -> Result<()> {
    let mut sent = Vec::new();
    let all = api.list(TEAM, "?order=oldest_first").await?.expect(200)?;
    sent.extend(bodies_and_seqs(&all)?);
    while sent.len() < MESSAGES_SENT {
        let body = format!("message {}: <b>\"ü\"</b> 😀\n", sent.len());
        let reply = api.post(TEAM, "", &json!({"body": body, "client_id": format!("page-{}", sent.len())})).await?;
        let seq: u64 = reply.expect(201)?["seq"].as_str().context("no seq")?.parse()?;
        sent.push((seq, body));
    }
    let last = sent.last().context("nothing sent")?.0;

    let mut read = Vec::new();
    let mut query = format!("?limit={PAGE}&min_seq={last}");
    loop {
        let page = api.list(TEAM, &query).await?.expect(200)?;
        assert_eq!(page["has_newer"], !read.is_empty(), "{query}");
        let messages = bodies_and_seqs(&page)?;
        assert_eq!(messages.len(), PAGE.min(sent.len() - read.len()), "{query}");
        query = format!("?limit={PAGE}&before={}", messages.last().context("an empty page")?.0);
        read.extend(messages);
        if page["has_older"] == false {
            break;
        }
    }
    read.reverse();
    assert_eq!(read, sent, "what is read page by page with `before`");

    let mut read = Vec::new();
    let mut after = 0;
    while read.len() < sent.len() {
        let page = api.list(TEAM, &format!("?limit=37&order=oldest_first&after={after}")).await?.expect(200)?;
        read.extend(bodies_and_seqs(&page)?);
        after = read.last().context("an empty page")?.0;
        assert_eq!(page["has_newer"], read.len() < sent.len(), "after {after}");
    }
    assert_eq!(read, sent, "what is read page by page with `after`");

    let (middle, _) = sent[60];
    let page = api.list(TEAM, &format!("?limit=10&around={middle}&order=oldest_first")).await?.expect(200)?;
    let around = bodies_and_seqs(&page)?;
    assert!(around.len() == 10 && around.iter().any(|(seq, _)| *seq == middle), "{page}");
    assert!(sent.windows(10).any(|ten| ten == around), "{page}");
    for nothing in ["?before=1".to_owned(), format!("?after={last}"), format!("?after={}", i64::MAX)] {
        let page = api.list(TEAM, &nothing).await?.expect(200)?;
        assert_eq!(page["messages"], json!([]), "{nothing}");
    }
    Ok(())
}

fn bodies_and_seqs(page: &Value) -> Result<Vec<(u64, String)>> {
    let messages = page["messages"].as_array().context("no messages")?;
    let message = |message: &Value| {
        let text = |field: &str| message[field].as_str().with_context(|| format!("no {field}: {message}"));
        anyhow::Ok((text("seq")?.parse()?, text("body")?.to_owned()))
    };
    messages.iter().map(message).collect()
}

async fn callers_are_checked(api: &mut Api, access: &Access) -> Result<()> {
    let token = access.token(MEMBER)?;
    let expired = forged::token(&json!({"alg": "HS256"}), &json!({"sub": MEMBER, "exp": 1_000_000_000}), SECRET)?;
    let unsigned = forged::unsigned(&json!({"alg": "none"}), &json!({"sub": MEMBER, "exp": 4_000_000_000_u64}));
    for (authorization, code) in [
        (None, "INVALID_TOKEN"),
        (Some(token.clone()), "INVALID_TOKEN"),
        (Some(format!("Basic {token}")), "INVALID_TOKEN"),
        (Some("Bearer".to_owned()), "INVALID_TOKEN"),
        (Some(format!("Bearer {unsigned}.")), "INVALID_TOKEN"),
        (Some(format!("Bearer {token}x")), "INVALID_TOKEN"),
        (Some(format!("Bearer {expired}")), "TOKEN_EXPIRED"),
        (Some(format!("Bearer {SERVICE_TOKEN}")), "INVALID_TOKEN"),
    ] {
        let body = json!({"body": "not let in"}).to_string();
        for (method, body) in [("GET", None), ("POST", Some(body.as_bytes()))] {
            let answer = api.call(method, MESSAGES, &messages_of(TEAM), authorization.as_deref(), body).await?;
            assert_eq!(answer.refused(401)?, format!("ERROR_CODE_{code}"), "{method} {authorization:?}");
        }
    }
    // A token in the URL is none.
    let path = format!("{}?token={token}&access_token={token}", messages_of(TEAM));
    api.call("GET", MESSAGES, &path, None, None).await?.refused(401)?;

    let mut answers = Vec::new();
    let mut stranger = Api::new(&access.http_url(0), &access.token("stranger")?);
    for team in [TEAM, "there-is-no-such-team"] {
        let mut answer =
            [stranger.list(team, "").await?, stranger.post(team, "", &json!({"body": "let me in"})).await?];
        answer.sort_by_key(|answer| answer.body.clone());
        for answer in &answer {
            assert_eq!(answer.refused(404)?, "ERROR_CODE_NOT_FOUND");
        }
        answers.push(answer.map(|answer| answer.body));
    }
    assert_eq!(answers[0], answers[1], "the answers tell a team that exists from one that does not");
    api.take_exchanges(stranger);
    Ok(())
}

fn messages_of(team: &str) -> String {
    format!("/v1/teams/{team}/messages")
}

async fn bad_requests_are_refused(api: &mut Api) -> Result<()> {
    let before = api.list(TEAM, "?limit=500").await?.body;
    let long = "x".repeat(65);
    let longer = "x".repeat(300);
    for team in [
        "a.b",
        "a%2Eb",
        "%2A",
        "*",
        "%3E",
        "a%20b",
        "a%0D%0Ab",
        "a%00b",
        "%E2%80%A8",
        "%C3%A4",
        "%ff",
        "..%2F..%2Fx",
        "a%252Eb",
        &long,
        &longer,
    ] {
        for answer in [api.list(team, "").await?, api.post(team, "", &json!({"body": "x"})).await?] {
            assert_eq!(answer.refused(400)?, "ERROR_CODE_INVALID_ID", "{team}");
        }
    }
    for query in [
        "limit=501",
        "limit=-1",
        "limit=many",
        "limit=4294967296",
        "before=x",
        "before=-1",
        "before=18446744073709551616",
        "before=9223372036854775808",
        "min_seq=18446744073709551615",
        "before=1&after=1",
        "after=1&around=1",
        "order=sideways",
        "colour=red",
        "before=1&before=2",
        "before=",
    ] {
        let answer = api.list(TEAM, &format!("?{query}")).await?;
        assert_eq!(answer.refused(400)?, "ERROR_CODE_INVALID_ARGUMENT", "{query}");
    }
    for query in ["wait=forever", "wait=", "limit=1"] {
        let answer = api.post(TEAM, &format!("?{query}"), &json!({"body": "x"})).await?;
        assert_eq!(answer.refused(400)?, "ERROR_CODE_INVALID_ARGUMENT", "{query}");
    }

    let (malformed, body, id) = ("MALFORMED", "INVALID_BODY", "INVALID_ID");
    let too_long = json!({"body": "ä".repeat(4_001)}).to_string();
    let long_id = json!({"body": "x", "client_id": longer}).to_string();
    for (text, code) in [
        ("", malformed),
        ("{", malformed),
        ("[]", malformed),
        ("\"x\"", malformed),
        ("{}", malformed),
        ("{\"body\": 1}", malformed),
        ("{\"body\": null}", malformed),
        ("{\"body\": \"x\"} {}", malformed),
        ("{\"body\": \"x\", \"body\": \"y\"}", malformed),
        ("{\"body\": \"\\ud800\"}", malformed),
        ("{\"body\": \"x\", \"sender\": \"owner\"}", malformed),
        ("{\"body\": \"\"}", body),
        ("{\"body\": \"\\u0000\"}", body),
        (&too_long, body),
        ("{\"body\": \"x\", \"client_id\": \"a.b\"}", id),
        ("{\"body\": \"x\", \"client_id\": \"a\\r\\nb\"}", id),
        (&long_id, id),
    ] {
        let answer = api.post_bytes(TEAM, text.as_bytes()).await?;
        assert_eq!(answer.refused(400)?, format!("ERROR_CODE_{code}"), "{text:.60}");
    }
    let answer = api.post_bytes(TEAM, b"{\"body\": \"\xc3\x28\"}").await?;
    assert_eq!(answer.refused(400)?, "ERROR_CODE_MALFORMED");

    for bytes in [64 * 1024 + 1, 4 * 1024 * 1024] {
        let text = json!({"body": "x".repeat(bytes)}).to_string();
        assert_eq!(api.post_bytes(TEAM, text.as_bytes()).await?.refused(413)?, "ERROR_CODE_TOO_LARGE", "{bytes}");
    }
    let announced = api.post_announced(TEAM, u64::from(u32::MAX)).await?;
    assert_eq!(announced.refused(413)?, "ERROR_CODE_TOO_LARGE");
    assert_eq!(api.list(TEAM, "?limit=500").await?.body, before, "what was refused has changed nothing");
    Ok(())
}

async fn an_archived_team_takes_nothing(api: &mut Api, access: &Access) -> Result<()> {
    access.create_team(ARCHIVED, &[OWNER, MEMBER]).await?;
    let message = json!({"body": "in time", "client_id": "in-time"});
    let sent = api.post(ARCHIVED, "?wait=stored", &message).await?.expect(201)?;
    let archive = ArchiveTeamRequest { team: ARCHIVED.to_owned(), client_id: String::new() };
    access.directory_client(SERVICE_TOKEN)?.archive_team(archive).await?;
    // Nobody subscribes here: the gateway learns of it within the time for which it trusts what it knows.
    let refused = until("the archived team takes nothing", NOTICE_TIMEOUT, async || {
        let answer = api.post(ARCHIVED, "", &json!({"body": "too late"})).await?;
        Ok((answer.status != 201).then_some(answer))
    });
    assert_eq!(refused.await?.refused(409)?, "ERROR_CODE_TEAM_ARCHIVED");
    let again = api.post(ARCHIVED, "", &message).await?.expect(201)?;
    assert_eq!((&again["seq"], &again["duplicate"]), (&sent["seq"], &json!(true)));
    assert!(!api.list(ARCHIVED, "").await?.expect(200)?["messages"].as_array().context("no page")?.is_empty());
    Ok(())
}

async fn a_read_of_what_is_not_there_yet_is_refused_in_time(api: &mut Api) -> Result<()> {
    let page = api.list(TEAM, "?limit=1").await?.expect(200)?;
    let last: u64 = page["messages"][0]["seq"].as_str().context("no seq")?.parse()?;
    let listed = api.list(TEAM, &format!("?min_seq={}", last + 1_000_000)).await?;
    assert_eq!(listed.refused(503)?, "ERROR_CODE_NOT_YET_STORED");
    Ok(())
}

async fn a_missing_part_is_named_as_such(api: &mut Api, cluster: &mut Cluster) -> Result<()> {
    // Without history there is nothing to read; sends go on.
    cluster.history.kill9()?;
    let answer = api.list(TEAM, "").await?;
    assert_eq!(answer.refused(503)?, "ERROR_CODE_UNAVAILABLE");
    assert_eq!(answer.expect(503)?["error"]["retryable"], true);
    api.post(TEAM, "", &json!({"body": "without history", "client_id": "without-history"})).await?.expect(201)?;
    cluster.history.restart().await?;
    until(
        "history is read again",
        NOTICE_TIMEOUT,
        async || Ok((api.list(TEAM, "").await?.status == 200).then_some(())),
    )
    .await?;

    // Without NATS nothing can be sent; what is stored can be read. Both wait before they give up: at the same time.
    cluster.nats.kill9()?;
    let page = api.list(TEAM, "?limit=1").await?.expect(200)?;
    let last: u64 = page["messages"][0]["seq"].as_str().context("no seq")?.parse()?;
    let mut sender = Api::new(&cluster.http_url(0), &cluster.token(MEMBER)?);
    let message = json!({"body": "without NATS", "client_id": "without-nats"});
    let far = format!("?min_seq={}", last + 1_000_000);
    let (sent, listed) = tokio::join!(sender.post(TEAM, "", &message), api.list(TEAM, &far));
    assert_eq!(sent?.refused(503)?, "ERROR_CODE_UNAVAILABLE");
    assert_eq!(listed?.refused(503)?, "ERROR_CODE_NOT_YET_STORED");
    api.take_exchanges(sender);
    cluster.nats.restart().await?;
    cluster.wait_until_ready().await?;
    api.post(TEAM, "?wait=stored", &message).await?.expect(201)?;
    let page = api.list(TEAM, "?limit=10").await?.expect(200)?;
    let bodies: Vec<String> = bodies_and_seqs(&page)?.into_iter().map(|(_, body)| body).collect();
    for body in ["without history", "without NATS"] {
        assert_eq!(bodies.iter().filter(|other| *other == body).count(), 1, "{body}: {bodies:?}");
    }
    Ok(())
}
