//! LabelLab's routes: for members, page by page, with the answers that its clients know.

use anyhow::{Context as _, Result};
use huddle_tests::{Backend, SERVICE_TOKEN};
use serde_json::{Value, json};

use super::{ANNA, CARL, LabelLab, REVOKED, TEAM, token, token_with};

const MESSAGES: usize = 25;
const PAGE: usize = 10;

huddle_tests::on_both_backends! {
    history_is_for_members_and_leads_from_page_to_page,
}

async fn history_is_for_members_and_leads_from_page_to_page(backend: Backend) -> Result<()> {
    let mut labellab = LabelLab::start(backend).await?;
    let mut anna = labellab.web(ANNA).await?;
    let bodies: Vec<String> = (0..MESSAGES).rev().map(|number| format!("message {number}")).collect();
    for body in bodies.iter().rev() {
        let reply = anna.socket.ask("send_message", &anna.message(TEAM, body)).await?;
        assert!(reply["seq"].is_u64(), "{reply}");
    }
    let all = labellab.history(ANNA, TEAM).await?;
    assert_eq!(bodies_of(&all), bodies);

    let member = token(ANNA)?;
    let mut read: Vec<Value> = Vec::new();
    let mut next = Some(format!("chatroom/{TEAM}?limit={PAGE}"));
    while let Some(path) = next {
        let answer = labellab.get(&path, Some(&member)).await?;
        let page = answer.json()?;
        let messages = page["body"].as_array().with_context(|| format!("{path}: {page}"))?;
        assert_eq!(messages.len(), PAGE.min(MESSAGES - read.len()), "{path}");
        read.extend_from_slice(messages);
        next = answer.header("link").map(next_page).transpose()?;
    }
    assert_eq!(read, all);
    let middle = all[10]["seq"].as_u64().or(all[10]["id"].as_u64()).context("no position")?;
    let before = labellab.get(&format!("chatroom/{TEAM}?before={middle}&limit=3"), Some(&member)).await?.json()?;
    assert_eq!(before["body"].as_array().map(Vec::as_slice), Some(&all[11..14]));

    let unknown = json!({ "success": false, "msg": "Team does not exist" });
    for (team, user) in [("99", ANNA), ("3", CARL), ("no-such-team", ANNA)] {
        let answer = labellab.get(&format!("chatroom/{team}"), Some(&token(user)?)).await?;
        assert_eq!((answer.status, answer.json()?), (404, unknown.clone()), "team {team} for user {user}");
    }
    for path in [format!("chatroom/{TEAM}"), "notifications".to_owned()] {
        for (token, error) in [
            (None, "authorization_required"),
            (Some("x.y.z".to_owned()), "invalid_token"),
            (Some(format!("{member}x")), "invalid_token"),
            (Some(SERVICE_TOKEN.to_owned()), "invalid_token"),
            (Some(token_with(ANNA, "old", -600)?), "token_expired"),
            (Some(token_with(ANNA, REVOKED, 3_600)?), "token_revoked"),
        ] {
            let answer = labellab.get(&path, token.as_deref()).await?;
            let body = answer.json()?;
            assert_eq!((answer.status, &body["error"]), (401, &json!(error)), "{path}: {body}");
            assert!(body["message"].is_string() && body.as_object().is_some_and(|it| it.len() == 2), "{path}: {body}");
        }
    }
    labellab.finish().await
}

fn bodies_of(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["body"].as_str().unwrap_or_default()).collect()
}

/// The path below `/api/v1/` that a `Link` header leads on to.
fn next_page(link: &str) -> Result<String> {
    let (target, parameters) =
        link.strip_prefix('<').and_then(|link| link.split_once('>')).with_context(|| format!("no link: {link}"))?;
    anyhow::ensure!(parameters.contains("rel=\"next\""), "it leads elsewhere: {link}");
    let (_, path) = target.split_once("/api/v1/").with_context(|| format!("it leads elsewhere: {link}"))?;
    Ok(path.to_owned())
}
