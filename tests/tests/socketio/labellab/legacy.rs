//! Clients that cannot send a token, in teams that are open to them for the time of a migration.

use anyhow::Result;
use huddle_tests::{Backend, Transport, socketio::Opening};
use serde_json::{Value, json};

use super::{ANNA, App, BERT, CARL, Ids, LabelLab, OTHER_TEAM, TEAM, token};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_token_talks_in_open_teams_alone() -> Result<()> {
    let open = [("gateway.labellab.legacy_teams", "[\"3\"]")];
    let mut labellab = LabelLab::start_with(Backend::Embedded, &open).await?;
    let (mut anna, mut carl) = (labellab.web(ANNA).await?, labellab.web(CARL).await?);
    for (version, ids, transport) in [(4, Ids::Numbers, Transport::Polling), (2, Ids::Texts, Transport::WebSocket)] {
        let mut socket = labellab.open(Opening { version, transport, options: json!({}) }).await?;
        socket.connected().await?;
        let mut bert = App { user: BERT, ids, socket };
        bert.send(TEAM, "as I always did").await?;
        for app in [&mut anna, &mut bert] {
            let heard = app.hears().await?;
            assert_eq!((&heard["body"], &heard["user_id"]), (&json!("as I always did"), &json!(BERT)));
        }
        // Whoever says that it is Bert is not told what is for Bert.
        let mut named = labellab.web(BERT).await?;
        anna.send_tagging(TEAM, "for Bert", &[BERT]).await?;
        for app in [&mut anna, &mut bert, &mut named] {
            assert_eq!(app.hears_body().await?, "for Bert");
        }
        assert_eq!(named.socket.next("notification").await?["user_id"], BERT);
        named.socket.close().await?;
        // Neither another team, nor a user who is no member of the open one.
        bert.user = CARL;
        for team in [OTHER_TEAM, TEAM] {
            bert.send(team, "let me in").await?;
            assert!(bert.socket.next("message_error").await?.is_string());
        }
        carl.send(OTHER_TEAM, "among us").await?;
        assert_eq!(carl.hears_body().await?, "among us");
        anna.send(TEAM, "the end").await?;
        // Anna hears the other team as well.
        assert_eq!(anna.socket.next("receive_message").await?["team_id"], OTHER_TEAM);
        for app in [&mut anna, &mut bert] {
            assert_eq!(app.hears_body().await?, "the end");
            for event in ["receive_message", "notification"] {
                assert_eq!(app.socket.left(event), Vec::<Value>::new(), "{event}");
            }
        }
        bert.socket.close().await?;
    }
    let answer = labellab.get(&format!("chatroom/{TEAM}"), None).await?;
    assert_eq!(answer.status, 401, "history takes a token: {}", answer.body);
    let expected = ["as I always did", "for Bert", "the end"].repeat(2);
    assert_eq!(labellab.stored_bodies(TEAM).await?, expected);
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_needed_outside_the_trusted_networks_and_is_good_where_it_is_shown() -> Result<()> {
    let open = ("gateway.labellab.legacy_teams", "[\"3\"]");
    // The tests' own address is not among the second one's networks.
    for (networks, lets_in) in [("[\"127.0.0.0/8\"]", true), ("[\"10.0.0.0/8\"]", false)] {
        let labellab =
            LabelLab::start_with(Backend::Embedded, &[open, ("gateway.labellab.trusted_networks", networks)]).await?;
        let bad = format!("{}x", token(BERT)?);
        for good in [App::web_opening(&token(BERT)?), App::mobile_opening(&token(BERT)?)] {
            let (version, transport) = (good.version, good.transport);
            let mut socket = labellab.open(good).await?;
            socket.connected().await?;
            socket.close().await?;
            let mut socket = labellab.open(Opening { version, transport, options: json!({}) }).await?;
            if lets_in {
                socket.connected().await?;
            } else {
                assert!(socket.refused().await?["message"].is_string());
            }
            socket.close().await?;
            let options = json!({ "query": { "token": bad } });
            let mut socket = labellab.open(Opening { version, transport, options }).await?;
            assert!(socket.refused().await?["message"].is_string());
            assert_eq!(socket.left("connect"), Vec::<Value>::new(), "version {version}");
            socket.close().await?;
        }
        labellab.finish().await?;
    }
    Ok(())
}
