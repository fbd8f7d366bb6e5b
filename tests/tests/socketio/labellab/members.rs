//! Who hears what: in LabelLab everybody heard everything, and some nothing.

use anyhow::Result;
use huddle_tests::Backend;
use serde_json::{Value, json};

use super::{ANNA, BERT, CARL, DORA, LabelLab, OTHER_TEAM, TEAM, token};

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
    let mut joins = super::App::web_opening(&token(ANNA)?);
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
