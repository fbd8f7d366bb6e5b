//! Who hears what: in LabelLab everybody heard everything, and some nothing.

use std::time::Duration;

use anyhow::Result;
use huddle_tests::Backend;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{ANNA, App, BERT, CARL, DORA, LabelLab, OTHER_TEAM, TEAM, token};

const NOTHING: [Value; 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_members_alone_and_notifications_the_tagged_members_alone() -> Result<()> {
    let mut labellab = LabelLab::start(Backend::Cluster).await?;
    let (mut anna, mut bert) = (labellab.web(ANNA).await?, labellab.mobile(BERT).await?);
    let (mut carl, mut dora) = (labellab.web(CARL).await?, labellab.mobile(DORA).await?);

    anna.send_tagging(TEAM, "for Bert, and for Carl who is not here", &[BERT, CARL]).await?;
    assert_eq!(bert.socket.next("notification").await?["user_id"], BERT);
    for member in [&mut anna, &mut bert, &mut dora] {
        assert_eq!(member.hears_body().await?, "for Bert, and for Carl who is not here");
    }
    // What comes after it shows what has not come.
    anna.send_tagging(OTHER_TEAM, "for Carl", &[CARL]).await?;
    bert.send(TEAM, "the end").await?;
    assert_eq!(carl.hears_body().await?, "for Carl");
    assert_eq!(carl.socket.next("notification").await?["user_id"], CARL);
    for member in [&mut bert, &mut dora] {
        assert_eq!(member.hears_body().await?, "the end");
    }
    for app in [&mut anna, &mut bert, &mut carl, &mut dora] {
        assert_eq!(app.socket.left("notification"), NOTHING, "{}", app.user);
    }
    for app in [&mut bert, &mut carl, &mut dora] {
        assert_eq!(app.socket.left("receive_message"), NOTHING, "{}", app.user);
    }
    labellab.deployment.wait_until_stored().await?;
    for (user, notifications) in [(ANNA, 0), (BERT, 1), (CARL, 1), (DORA, 0)] {
        let answer = labellab.get("notifications", Some(&token(user)?)).await?;
        let listed = answer.json()?["body"].as_array().map_or(0, Vec::len);
        assert_eq!(listed, notifications, "{user}: {}", answer.body);
    }
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_the_mobile_client_which_tags_nobody_is_delivered() -> Result<()> {
    let labellab = LabelLab::start(Backend::Embedded).await?;
    let (mut anna, mut bert) = (labellab.web(ANNA).await?, labellab.mobile(BERT).await?);
    bert.socket.emit("send_message", &json!({ "body": "moin", "team_id": "3", "user_id": "8" })).await?;
    for app in [&mut anna, &mut bert] {
        let heard = app.hears().await?;
        assert_eq!((&heard["body"], &heard["user_id"], &heard["team_id"]), (&json!("moin"), &json!(8), &json!(3)));
    }
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_hears_the_teams_that_it_joined_and_has_not_left() -> Result<()> {
    let labellab = LabelLab::start(Backend::Embedded).await?;
    let mut talker = labellab.web(ANNA).await?;
    let mut joins = App::web_opening(&token(ANNA)?);
    joins.options["auth"]["join"] = json!([OTHER_TEAM.to_string()]);
    let mut anna = labellab.app(ANNA, joins).await?;

    // Of the two teams it has asked for one.
    for (team, body) in [(TEAM, "unheard"), (OTHER_TEAM, "heard")] {
        talker.send(team, body).await?;
        assert_eq!(talker.hears_body().await?, body);
    }
    assert_eq!(anna.hears_body().await?, "heard");
    let joined = anna.socket.ask("join", &json!({ "team_id": TEAM, "after": 0 })).await?;
    assert_eq!(joined["team_id"], TEAM, "{joined}");
    assert!(joined["last_seq"].is_u64(), "{joined}");
    assert_eq!(anna.hears_body().await?, "unheard");
    while anna.socket.next("caught_up").await?["team_id"] != TEAM {}
    assert_eq!(anna.socket.ask("leave", &json!(OTHER_TEAM)).await?, json!({ "team_id": OTHER_TEAM }));
    for (team, body) in [(OTHER_TEAM, "after it left"), (TEAM, "joined")] {
        talker.send(team, body).await?;
        assert_eq!(talker.hears_body().await?, body);
    }
    assert_eq!(anna.hears_body().await?, "joined");
    assert_eq!(anna.socket.left("receive_message"), NOTHING);

    // Nobody joins a team of others.
    for team in [json!({ "team_id": OTHER_TEAM }), json!(99)] {
        let mut bert = labellab.mobile(BERT).await?;
        let refused = bert.socket.ask("join", &team).await?;
        assert!(refused["error"]["code"].is_string() && refused["error"]["retryable"] == false, "{refused}");
    }
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_whose_first_word_is_a_join_hears_that_team_alone() -> Result<()> {
    let labellab = LabelLab::start(Backend::Embedded).await?;
    let (mut bert, carl) = (labellab.web(BERT).await?, labellab.web(CARL).await?);
    for opening in [App::web_opening, App::mobile_opening] {
        // What is said before it is connected goes out right after that: well within the second that it has.
        let mut socket = labellab.open(opening(&token(ANNA)?)).await?;
        let joined = socket.ask("join", &json!({ "team_id": OTHER_TEAM })).await?;
        assert_eq!(joined["team_id"], OTHER_TEAM, "{joined}");
        bert.send(TEAM, "unheard").await?;
        assert_eq!(bert.hears_body().await?, "unheard");
        carl.send(OTHER_TEAM, "heard").await?;
        assert_eq!(socket.next("receive_message").await?["body"], "heard");
        // Had it come, it would have come before this one.
        let joined = socket.ask("join", &json!(TEAM)).await?;
        assert_eq!(joined["team_id"], TEAM, "{joined}");
        bert.send(TEAM, "joined").await?;
        assert_eq!(bert.hears_body().await?, "joined");
        assert_eq!(socket.next("receive_message").await?["body"], "joined");
        assert_eq!(socket.left("receive_message"), NOTHING);
        socket.close().await?;
    }
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_is_removed_hears_nothing_until_joining_as_a_member_again() -> Result<()> {
    let labellab = LabelLab::start(Backend::Cluster).await?;
    let (mut anna, mut web, mut mobile) =
        (labellab.web(ANNA).await?, labellab.web(BERT).await?, labellab.mobile(BERT).await?);
    anna.send(TEAM, "all are here").await?;
    for app in [&mut anna, &mut web, &mut mobile] {
        assert_eq!(app.hears_body().await?, "all are here");
    }
    labellab.remove_member(TEAM, BERT).await?;
    for app in [&mut web, &mut mobile] {
        assert_not_found(&app.socket.next("subscription_ended").await?, TEAM);
        let refused = app.socket.ask("send_message", &app.message(TEAM, "still here")).await?;
        assert_eq!(refused["error"]["code"], "ERROR_CODE_NOT_FOUND", "{refused}");
        let refused = app.socket.ask("join", &json!(TEAM)).await?;
        assert_eq!(refused["error"]["code"], "ERROR_CODE_NOT_FOUND", "{refused}");
    }
    anna.send(TEAM, "without Bert").await?;
    assert_eq!(anna.hears_body().await?, "without Bert");

    labellab.add_member(TEAM, BERT).await?;
    for app in [&mut web, &mut mobile] {
        let joined = app.socket.ask("join", &json!({ "team_id": TEAM })).await?;
        assert!(joined["last_seq"].is_u64(), "{joined}");
    }
    anna.send(TEAM, "with Bert").await?;
    for app in [&mut web, &mut mobile] {
        assert_eq!(app.hears_body().await?, "with Bert");
        assert_eq!(app.socket.left("receive_message"), NOTHING);
        assert_eq!(app.socket.left("disconnect"), NOTHING);
    }
    labellab.finish().await
}

pub(super) fn assert_not_found(ended: &Value, team: u64) {
    let said = (&ended["team_id"], &ended["error"]["code"], &ended["error"]["retryable"]);
    assert_eq!(said, (&json!(team), &json!("ERROR_CODE_NOT_FOUND"), &json!(false)), "{ended}");
}

/// How long a socket may take to notice that its user has become a member, and what a busy machine adds to that.
const NOTICED_MAX: Duration = Duration::from_secs(60 + 5);
/// Between two messages of somebody who goes on talking.
const PACE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn who_becomes_a_member_while_connected_hears_the_team_within_a_minute() -> Result<()> {
    let mut labellab = LabelLab::start(Backend::Embedded).await?;
    // One who comes for the first time, and one who was removed meanwhile.
    let anna = labellab.web(ANNA).await?;
    let mut newcomers = [labellab.web(CARL).await?, labellab.mobile(BERT).await?];
    labellab.remove_member(TEAM, BERT).await?;
    assert_not_found(&newcomers[1].socket.next("subscription_ended").await?, TEAM);
    for user in [BERT, CARL] {
        labellab.add_member(TEAM, user).await?;
    }
    let added = Instant::now();
    let mut sent = Vec::new();
    while newcomers.iter_mut().any(|app| app.socket.left("receive_message").is_empty()) {
        assert!(added.elapsed() <= NOTICED_MAX, "they are not heard after {:?}", added.elapsed());
        let body = format!("message {}", sent.len());
        anna.send(TEAM, &body).await?;
        sent.push(body);
        sleep(PACE).await;
    }
    anna.send(TEAM, "the end").await?;
    sent.push("the end".to_owned());
    for app in &mut newcomers {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|body| body != "the end") {
            heard.push(app.hears_body().await?);
        }
        // From when it was noticed on, all.
        assert!(sent.ends_with(&heard), "{} heard {heard:?}", app.user);
    }
    assert_eq!(labellab.stored_bodies(TEAM).await?, sent);
    labellab.finish().await
}
