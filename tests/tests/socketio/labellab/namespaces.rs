//! The same chat in several namespaces.

use anyhow::Result;
use huddle_tests::Backend;
use serde_json::{Value, json};

use super::{ANNA, App, BERT, DORA, Ids, LabelLab, TEAM, token};

const NAMESPACE: &str = "/chat";

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_is_the_same_in_every_namespace_that_is_served() -> Result<()> {
    let settings = [("gateway.socketio.namespaces", "[\"/chat\"]")];
    let mut labellab = LabelLab::start_with(Backend::Cluster, &settings).await?;
    let connected = async |namespace: &str, user: u64, is_mobile: bool| {
        let opening = if is_mobile { App::mobile_opening(&token(user)?) } else { App::web_opening(&token(user)?) };
        let ids = if is_mobile { Ids::Texts } else { Ids::Numbers };
        let mut socket = labellab.open_in(namespace, opening).await?;
        socket.connected().await?;
        anyhow::Ok(App { user, ids, socket })
    };
    let mut apps = [
        connected("/", ANNA, false).await?,
        connected("/", BERT, true).await?,
        connected(NAMESPACE, DORA, false).await?,
        connected(NAMESPACE, BERT, true).await?,
        connected(NAMESPACE, ANNA, false).await?,
    ];
    let mut sent = Vec::new();
    for sender in 0..apps.len() {
        let body = format!("from {sender}");
        apps[sender].send_tagging(TEAM, &body, &[DORA]).await?;
        for app in &mut apps {
            assert_eq!(app.hears_body().await?, body);
        }
        assert_eq!(apps[2].socket.next("notification").await?["user_id"], DORA);
        sent.push(body);
    }
    for app in &mut apps {
        assert_eq!(app.socket.left("receive_message"), Vec::<Value>::new());
        assert_eq!(app.socket.left("notification"), Vec::<Value>::new());
    }

    // Two of them over one session: what comes in the one does not come in the other.
    let both = |mut opening: huddle_tests::socketio::Opening| {
        opening.options["forceNew"] = json!(false);
        opening
    };
    let mut root = labellab.open_in("/", both(App::web_opening(&token(BERT)?))).await?;
    let mut chat = labellab.open_in(NAMESPACE, both(App::web_opening(&token(DORA)?))).await?;
    for socket in [&mut root, &mut chat] {
        socket.connected().await?;
    }
    apps[0].send_tagging(TEAM, "for Dora", &[DORA]).await?;
    sent.push("for Dora".to_owned());
    for socket in [&mut root, &mut chat] {
        assert_eq!(socket.next("receive_message").await?["body"], "for Dora");
    }
    assert_eq!(chat.next("notification").await?["user_id"], DORA);
    chat.close().await?;
    apps[0].send_tagging(TEAM, "for Bert", &[BERT]).await?;
    sent.push("for Bert".to_owned());
    assert_eq!(root.next("receive_message").await?["body"], "for Bert");
    assert_eq!(root.next("notification").await?["user_id"], BERT);
    for socket in [&mut root, &mut chat] {
        for event in ["receive_message", "notification"] {
            assert_eq!(socket.left(event), Vec::<Value>::new(), "{event}");
        }
    }
    assert_eq!(labellab.stored_bodies(TEAM).await?, sent);

    for opening in [App::web_opening, App::mobile_opening] {
        let mut socket = labellab.open_in("/other", opening(&token(ANNA)?)).await?;
        assert_eq!(socket.refused().await?["message"], "Invalid namespace");
        assert_eq!(socket.left("connect"), Vec::<Value>::new());
        socket.close().await?;
    }
    labellab.finish().await
}
