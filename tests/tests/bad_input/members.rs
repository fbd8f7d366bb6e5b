//! What members, former members and strangers may do, and subscriptions out of order.

use anyhow::{Context as _, Result};
use huddle_proto::directory::v1::{ArchiveTeamRequest, RemoveMemberRequest};
use huddle_tests::{
    SERVICE_TOKEN,
    raw_ws::{RawWs, Received},
};
use serde_json::{Value, json};

use crate::world::{MARK, MEMBER, OWNER, STRANGER, SUBSCRIPTIONS_MAX, TEAM, World, accepted_seq, assert_refused};

pub(crate) async fn strangers_learn_nothing(world: &mut World) -> Result<()> {
    let mut socket = world.connect_as(STRANGER).await?;
    let mut answers = Vec::new();
    for team in [TEAM, "there-is-no-such-team"] {
        for request in [
            json!({"subscribe": {"team": team}}),
            json!({"subscribe": {"team": team, "after": "0"}}),
            json!({"subscribe": {"team": team, "after": u64::MAX.to_string()}}),
            json!({"list_events": {"team": team}}),
            json!({"list_events": {"team": team, "after": u64::MAX.to_string()}}),
            json!({"send": {"team": team, "client_id": "stranger", "body": format!("{MARK} of a stranger")}}),
            json!({"send": {"team": team, "client_id": "say-1", "body": format!("{MARK} of a stranger")}}),
        ] {
            let reply = socket.request(request).await?;
            let id = reply["reply_to"].as_str().unwrap_or_default().to_owned();
            assert_refused(team, &reply, &id, "NOT_FOUND");
            answers.push(reply["error"].clone());
        }
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "the answers differ: {answers:?}");
    world.retire(&socket);
    Ok(())
}

pub(crate) async fn subscriptions_are_held_to_their_rules(world: &mut World) -> Result<()> {
    let mut socket = world.connect_as(MEMBER).await?;
    let subscribe = |team: &str| json!({"subscribe": {"team": team}});
    let unsubscribe = |team: &str| json!({"unsubscribe": {"team": team}});
    let teams: Vec<String> = (0..SUBSCRIPTIONS_MAX).map(|index| format!("one-of-many-{index}")).collect();
    for team in &teams {
        world.deployment.create_team(team, &[OWNER, MEMBER]).await?;
    }

    let reply = socket.request(unsubscribe(TEAM)).await?;
    assert_eq!(reply["error"]["code"], "ERROR_CODE_NOT_SUBSCRIBED", "{reply}");
    expect(&mut socket.request(subscribe(TEAM)).await?, "subscribed")?;
    let reply = socket.request(subscribe(TEAM)).await?;
    assert_eq!(reply["error"]["code"], "ERROR_CODE_ALREADY_SUBSCRIBED", "{reply}");
    for team in &teams[1..] {
        expect(&mut socket.request(subscribe(team)).await?, "subscribed")?;
    }
    let reply = socket.request(subscribe(&teams[0])).await?;
    assert_eq!(reply["error"]["code"], "ERROR_CODE_TOO_MANY_SUBSCRIPTIONS", "{reply}");
    // A refused subscription takes no place, and one that has ended gives its own back.
    expect(&mut socket.request(unsubscribe(TEAM)).await?, "unsubscribed")?;
    let reply = socket.request(subscribe("there-is-no-such-team")).await?;
    assert_eq!(reply["error"]["code"], "ERROR_CODE_NOT_FOUND", "{reply}");
    expect(&mut socket.request(subscribe(&teams[0])).await?, "subscribed")?;
    world.retire(&socket);
    Ok(())
}

pub(crate) async fn cursors_from_the_future_are_refused(world: &mut World) -> Result<()> {
    let mut socket = world.connect_as(MEMBER).await?;
    let (seq, _) = world.say(&mut socket, "before the future").await?;
    let subscribe = |after: u64| json!({"subscribe": {"team": TEAM, "after": after.to_string()}});
    for after in
        [seq + 1, seq + 1_000_000, i64::MAX.unsigned_abs(), i64::MAX.unsigned_abs() + 1, u64::MAX - 1, u64::MAX]
    {
        let reply = socket.request(subscribe(after)).await?;
        assert_eq!(reply["error"]["code"], "ERROR_CODE_INVALID_CURSOR", "after {after}: {reply}");
        let reply = socket.request(json!({"list_events": {"team": TEAM, "after": after.to_string()}})).await?;
        assert_eq!(reply["error"]["code"], "ERROR_CODE_INVALID_CURSOR", "a page after {after}: {reply}");
    }
    // The present is a good cursor for a page, stored or not.
    let reply = socket.request(json!({"list_events": {"team": TEAM, "after": seq.to_string()}})).await?;
    assert_eq!(reply["events"], json!({"team": TEAM}), "{reply}");
    // None of them left a subscription behind; the present is a good cursor.
    let reply = socket.request(subscribe(seq)).await?;
    assert_eq!(reply["subscribed"]["last_seq"], seq.to_string(), "{reply}");
    let (next, _) = world.say(&mut socket, "now").await?;
    assert_eq!(next_event(&mut socket).await?["seq"], next.to_string());
    world.retire(&socket);
    Ok(())
}

pub(crate) async fn a_removed_member_receives_and_sends_nothing(world: &mut World) -> Result<()> {
    const LEAVER: &str = "leaver";
    const TEAM_OF_LEAVER: &str = "somebody-leaves";
    world.deployment.create_team(TEAM_OF_LEAVER, &[OWNER, LEAVER]).await?;
    let send = |client_id: &str| json!({"send": {"team": TEAM_OF_LEAVER, "client_id": client_id, "body": format!("{MARK} {client_id}")}});
    let mut stayer = world.connect_as(OWNER).await?;
    let mut leaver = world.connect_as(LEAVER).await?;
    // One that is live, and one that only sends.
    let mut sender = world.connect_as(LEAVER).await?;
    expect(&mut leaver.request(json!({"subscribe": {"team": TEAM_OF_LEAVER, "after": "0"}})).await?, "subscribed")?;
    expect(&mut sender.request(send("while-a-member")).await?, "accepted")?;

    let mut directory = world.deployment.directory_client(SERVICE_TOKEN)?;
    let removal =
        RemoveMemberRequest { team: TEAM_OF_LEAVER.to_owned(), user: LEAVER.to_owned(), client_id: String::new() };
    let removed_at = directory.remove_member(removal).await?.into_inner().seq;
    let mut after_removal = Vec::new();
    for index in 0..20 {
        let reply = stayer.request(send(&format!("after-{index}"))).await?;
        after_removal.push(accepted_seq(&reply).with_context(|| format!("{reply}"))?);
    }

    let removal = event_at(&mut leaver, removed_at).await?;
    assert_eq!(removal["member_removed"]["user"], LEAVER, "{removal}");
    let ended = leaver.receive_frame().await?;
    assert_eq!(ended["subscription_ended"]["team"], TEAM_OF_LEAVER, "{ended}");
    assert_eq!(ended["subscription_ended"]["error"]["code"], "ERROR_CODE_NOT_FOUND", "{ended}");
    for socket in [&mut leaver, &mut sender] {
        for request in [
            send("while-a-member"),
            send("too-late"),
            json!({"subscribe": {"team": TEAM_OF_LEAVER, "after": "0"}}),
            json!({"list_events": {"team": TEAM_OF_LEAVER}}),
        ] {
            let reply = socket.request(request).await?;
            assert_eq!(reply["error"]["code"], "ERROR_CODE_NOT_FOUND", "{reply}");
        }
    }
    // The replies above came last: whatever the gateway had for the leaver came before them.
    let stray = leaver.take_received();
    assert!(stray.is_empty(), "after the removal: {stray:?}");
    for socket in [&stayer, &leaver, &sender] {
        world.retire(socket);
    }
    let stored = stored_up_to(world, TEAM_OF_LEAVER, *after_removal.last().context("nothing sent")?).await?;
    assert!(after_removal.iter().all(|seq| stored.contains(seq)), "{after_removal:?} of {stored:?}");
    Ok(())
}

async fn stored_up_to(world: &mut World, team: &str, seq: u64) -> Result<Vec<u64>> {
    world.deployment.wait_until_stored().await?;
    let stored: Vec<u64> = world.deployment.stored_events(team).await?.iter().map(|event| event.seq).collect();
    assert_eq!(stored.last(), Some(&seq), "{team}");
    Ok(stored)
}

pub(crate) async fn an_archived_team_answers_retries_only(world: &mut World) -> Result<()> {
    const ARCHIVED: &str = "to-be-archived";
    world.deployment.create_team(ARCHIVED, &[OWNER, MEMBER]).await?;
    let send = |client_id: &str, body: &str| json!({"send": {"team": ARCHIVED, "client_id": client_id, "body": format!("{MARK} {body}")}});
    let mut socket = world.connect_as(MEMBER).await?;
    expect(&mut socket.request(json!({"subscribe": {"team": ARCHIVED}})).await?, "subscribed")?;
    let reply = socket.request(send("once", "in time")).await?;
    let seq = accepted_seq(&reply).with_context(|| format!("{reply}"))?;
    stored_up_to(world, ARCHIVED, seq).await?;
    let mut directory = world.deployment.directory_client(SERVICE_TOKEN)?;
    let archive = ArchiveTeamRequest { team: ARCHIVED.to_owned(), client_id: String::new() };
    let archived_at = directory.archive_team(archive).await?.into_inner().seq;
    event_at(&mut socket, archived_at).await?;

    let reply = socket.request(send("late", "too late")).await?;
    assert_eq!(reply["error"]["code"], "ERROR_CODE_TEAM_ARCHIVED", "{reply}");
    let reply = socket.request(send("once", "in time")).await?;
    let again = json!({"team": ARCHIVED, "seq": seq.to_string(), "client_id": "once", "duplicate": true});
    assert_eq!(reply["accepted"], again, "{reply}");
    let reply = socket.request(send("once", "another text")).await?;
    assert_eq!(reply["error"]["code"], "ERROR_CODE_CONFLICT", "{reply}");
    // Members still read it.
    let mut reader = world.connect_as(OWNER).await?;
    expect(&mut reader.request(json!({"subscribe": {"team": ARCHIVED, "after": "0"}})).await?, "subscribed")?;
    event_at(&mut reader, archived_at).await?;
    world.retire(&socket);
    stored_up_to(world, ARCHIVED, archived_at).await.map(drop)
}

fn expect(reply: &mut Value, content: &str) -> Result<Value> {
    let found = reply[content].take();
    anyhow::ensure!(!found.is_null(), "no {content} but {reply}");
    Ok(found)
}

/// The event at `seq`; those before it are passed over.
async fn event_at(socket: &mut RawWs, seq: u64) -> Result<Value> {
    let seq = seq.to_string();
    loop {
        let event = next_event(socket).await?;
        if event["seq"] == seq {
            return Ok(event);
        }
    }
}

/// The next event on the connection; receipts and ends of catch-ups before it are passed over.
async fn next_event(socket: &mut RawWs) -> Result<Value> {
    loop {
        match socket.receive().await? {
            Received::Frame(mut frame) if frame.get("event").is_some() => return Ok(frame["event"].take()),
            Received::Frame(frame) if frame.get("stored").is_some() || frame.get("caught_up").is_some() => {}
            other => anyhow::bail!("{other:?} came instead of an event"),
        }
    }
}
