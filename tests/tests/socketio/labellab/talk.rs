//! What LabelLab's clients did with LabelLab.

use anyhow::{Context as _, Result};
use huddle_tests::Backend;
use serde_json::{Value, json};

use super::{ANNA, BERT, DORA, LabelLab, TEAM, token};

/// What LabelLab sends of a message; Huddle's objects have more.
const FIELDS: [&str; 8] = ["id", "body", "team_id", "user_id", "username", "entity_type", "entity_id", "timestamp"];

huddle_tests::on_both_backends! {
    labellabs_clients_load_history_send_receive_and_are_notified,
    typing_is_told_to_the_other_members,
}

async fn labellabs_clients_load_history_send_receive_and_are_notified(backend: Backend) -> Result<()> {
    let mut labellab = LabelLab::start(backend).await?;
    let (mut anna, mut bert, mut dora) =
        (labellab.web(ANNA).await?, labellab.mobile(BERT).await?, labellab.web(DORA).await?);
    assert_eq!(labellab.history(ANNA, TEAM).await?, Vec::<Value>::new());
    let none = labellab.get("notifications", Some(&token(BERT)?)).await?;
    assert_eq!((none.status, &none.json()?["success"]), (404, &json!(false)));

    let mention = "<strong><i>@bert</i></strong> have a look";
    anna.send_tagging(TEAM, mention, &[BERT]).await?;
    let mut heard = vec![anna.hears().await?];
    assert_eq!([bert.hears().await?, dora.hears().await?], [heard[0].clone(), heard[0].clone()]);
    let notified = bert.socket.next("notification").await?;
    let expected = json!({
        "id": notified["id"], "message": "anna mentioned you in chat", "type": "mentioned", "user_id": BERT,
    });
    assert!(notified["id"].is_u64() && notified == expected, "{notified}");

    bert.send(TEAM, "moin").await?;
    heard.push(anna.hears().await?);
    assert_eq!([bert.hears().await?, dora.hears().await?], [heard[1].clone(), heard[1].clone()]);
    let mut about = dora.message(TEAM, "about an issue");
    (about["entity_type"], about["entity_id"]) = (json!("issue"), json!(42));
    dora.socket.emit("send_message", &about).await?;
    heard.push(anna.hears().await?);

    for (message, expected) in heard.iter().zip([
        json!({ "body": mention, "user_id": ANNA, "username": "anna", "entity_type": null, "entity_id": null }),
        json!({ "body": "moin", "user_id": BERT, "username": "bert", "entity_type": null, "entity_id": null }),
        json!({
            "body": "about an issue", "user_id": DORA, "username": "dora <3", "entity_type": "issue", "entity_id": 42,
        }),
    ]) {
        for (field, value) in expected.as_object().context("an object")? {
            assert_eq!(&message[field], value, "{field} of {message}");
        }
        assert_eq!(message["team_id"], TEAM);
        assert!(message["id"].is_u64(), "{message}");
        assert_is_timestamp(&message["timestamp"]);
    }

    let loaded = labellab.history(BERT, TEAM).await?;
    let labellabs = |messages: Vec<Value>| messages.iter().map(labellabs_part).collect::<Result<Vec<_>>>();
    let (loaded, mut heard) = (labellabs(loaded)?, labellabs(heard)?);
    heard.reverse();
    assert_eq!(loaded, heard, "newest first, as they were received");
    let listed = labellab.get("notifications", Some(&token(BERT)?)).await?.json()?;
    assert!(listed["success"] == true && listed["msg"].is_string(), "{listed}");
    assert_eq!(listed["body"], json!([notified]));
    for nobody_mentioned in [ANNA, DORA] {
        assert_eq!(labellab.get("notifications", Some(&token(nobody_mentioned)?)).await?.status, 404);
    }
    labellab.finish().await
}

/// LabelLab's clients expect all of its fields, also those that are `null`.
fn labellabs_part(message: &Value) -> Result<Value> {
    let field = |name: &str| {
        let value = message.get(name).with_context(|| format!("{name} is not in {message}"))?;
        Ok((name.to_owned(), value.clone()))
    };
    FIELDS.into_iter().map(field).collect()
}

/// As Python writes a UTC time without a zone: `2021-07-03 10:11:12.345678`.
fn assert_is_timestamp(timestamp: &Value) {
    let text = timestamp.as_str().unwrap_or_default();
    let digits: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(digits, "0000-00-00 00:00:00.000000", "{timestamp}");
}

async fn typing_is_told_to_the_other_members(backend: Backend) -> Result<()> {
    let labellab = LabelLab::start(backend).await?;
    let (mut anna, mut bert) = (labellab.web(ANNA).await?, labellab.mobile(BERT).await?);
    let mut carl = labellab.web(super::CARL).await?;
    // Live on both sides once a message has come.
    for app in [&anna, &bert] {
        app.send(TEAM, "here I am").await?;
    }
    for app in [&mut anna, &mut bert] {
        app.hears().await?;
        app.hears().await?;
    }
    assert_eq!(anna.socket.ask("typing", &json!({ "team_id": TEAM })).await?, json!({}));
    let told = bert.socket.next("typing").await?;
    assert_eq!(told, json!({ "team_id": TEAM, "user_id": ANNA, "username": "anna" }));
    bert.socket.emit("typing", &json!({ "team_id": TEAM.to_string() })).await?;
    assert_eq!(anna.socket.next("typing").await?["user_id"], BERT);

    anna.send(super::OTHER_TEAM, "to carl").await?;
    assert_eq!(carl.hears_body().await?, "to carl");
    assert_eq!(carl.socket.left("typing"), Vec::<Value>::new());
    labellab.finish().await
}
