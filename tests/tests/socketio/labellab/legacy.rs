//! Clients that cannot send a token, in teams that are open to them for the time of a migration.

use anyhow::Result;
use huddle_tests::{Backend, Transport, socketio::Opening};
use serde_json::{Value, json};

use super::{ANNA, App, BERT, CARL, Ids, LabelLab, OTHER_TEAM, TEAM};

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
            assert_eq!(app.socket.left("receive_message"), Vec::<Value>::new());
        }
        bert.socket.close().await?;
    }
    let answer = labellab.get(&format!("chatroom/{TEAM}"), None).await?;
    assert_eq!(answer.status, 401, "history takes a token: {}", answer.body);
    let expected = ["as I always did", "the end", "as I always did", "the end"];
    assert_eq!(labellab.stored_bodies(TEAM).await?, expected);
    labellab.finish().await
}
