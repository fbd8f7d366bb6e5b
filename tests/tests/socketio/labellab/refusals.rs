//! Who is not let in, and what is not taken: LabelLab believed everybody.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use huddle_tests::{
    Backend, SERVICE_TOKEN, Transport,
    socketio::{Opening, Socket},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{ANNA, App, BERT, CARL, LabelLab, OTHER_TEAM, REVOKED, TEAM, token, token_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_without_a_valid_token_is_refused() -> Result<()> {
    let labellab = LabelLab::start(Backend::Embedded).await?;
    let valid = token(ANNA)?;
    let tokens = [
        (None, "INVALID_TOKEN"),
        (Some(format!("{valid}x")), "INVALID_TOKEN"),
        (Some(SERVICE_TOKEN.to_owned()), "INVALID_TOKEN"),
        (Some(token_with(ANNA, "another", -600)?), "TOKEN_EXPIRED"),
        (Some(token_with(ANNA, REVOKED, 3_600)?), "TOKEN_REVOKED"),
    ];
    for version in [2, 3, 4] {
        for transport in [Transport::Polling, Transport::WebSocket] {
            for (token, code) in &tokens {
                for place in ["auth", "query", "header"] {
                    let Some(opening) = opening(version, transport, place, token.as_deref()) else { continue };
                    let mut socket = labellab.open(opening).await?;
                    let refused = socket.refused().await?;
                    let case = format!("version {version}, {transport:?}, {place}, {code}: {refused}");
                    assert!(refused["message"].is_string(), "{case}");
                    if version > 2 {
                        let (is, retryable) = (&refused["data"]["code"], &refused["data"]["retryable"]);
                        assert_eq!((is, retryable), (&json!(format!("ERROR_CODE_{code}")), &json!(false)), "{case}");
                    }
                    socket.close().await?;
                }
            }
            for place in ["auth", "query", "header"] {
                let Some(opening) = opening(version, transport, place, Some(&valid)) else { continue };
                let mut socket = labellab.open(opening).await?;
                socket.connected().await?;
                socket.close().await?;
            }
        }
    }
    labellab.finish().await
}

/// `None` where the library cannot put a token in that place.
fn opening(version: u8, transport: Transport, place: &str, token: Option<&str>) -> Option<Opening> {
    let options = match (place, token) {
        ("auth", _) if version == 2 => return None,
        ("auth", None) => json!({}),
        (_, None) => return None,
        ("auth", Some(token)) => json!({ "auth": { "token": token } }),
        ("query", Some(token)) => json!({ "query": { "token": token } }),
        (_, Some(token)) => json!({ "extraHeaders": { "Authorization": format!("Bearer {token}") } }),
    };
    Some(Opening { version, transport, options })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_taken_is_answered_with_an_error_and_changes_nothing() -> Result<()> {
    let mut labellab = LabelLab::start(Backend::Embedded).await?;
    let (mut anna, mut bert) = (labellab.web(ANNA).await?, labellab.mobile(BERT).await?);
    let with = |field: &str, value: Value| {
        let mut message = json!({ "body": "not taken", "team_id": TEAM, "user_id": ANNA, "entity_type": "" });
        message[field] = value;
        message
    };
    let mut refused = Vec::new();
    for message in [
        // In the name of somebody else.
        with("user_id", json!(BERT)),
        with("user_id", json!(BERT.to_string())),
        with("user_id", json!("")),
        with("user_id", json!({})),
        // Where the sender is no member, or nobody is.
        with("team_id", json!(99)),
        with("team_id", json!("no.team")),
        with("team_id", json!(3.5)),
        with("team_id", json!(null)),
        with("body", json!("")),
        with("body", json!("a".repeat(4_001))),
        with("body", json!("ä".repeat(4_001))),
        with("body", json!(7)),
        with("body", json!(null)),
        with("entity_type", json!("pizza")),
        with("tagged_users", json!("everybody")),
        with("tagged_users", json!((1..=51).collect::<Vec<_>>())),
        with("client_id", json!("a b")),
        json!({}),
        json!([]),
        json!("hello"),
        json!(null),
    ] {
        anna.socket.emit("send_message", &message).await?;
        let error = anna.socket.next("message_error").await?;
        assert!(error.is_string(), "{error}, for {message:.100}");
        let reply = anna.socket.ask("send_message", &message).await?;
        let error = &reply["error"];
        let is_error = error["code"].as_str().is_some_and(|code| code.starts_with("ERROR_CODE_"));
        assert!(is_error && error["message"].is_string(), "{reply}, for {message:.100}");
        assert_eq!(error["retryable"], false, "{reply}, for {message:.100}");
        refused.push(reply);
    }
    let mut carl = labellab.web(CARL).await?;
    carl.send(TEAM, "let me in").await?;
    assert!(carl.socket.next("message_error").await?.is_string());

    anna.send(TEAM, "taken").await?;
    for app in [&mut anna, &mut bert] {
        assert_eq!(app.hears_body().await?, "taken");
        assert_eq!(app.socket.left("receive_message"), Vec::<Value>::new());
    }
    assert_eq!(anna.socket.left("message_error"), Vec::<Value>::new(), "where there is an answer that is enough");
    assert_eq!(labellab.stored_bodies(TEAM).await?, ["taken"]);
    assert_eq!(labellab.stored_bodies(OTHER_TEAM).await?, Vec::<String>::new());
    labellab.finish().await
}

/// Long enough to connect with on a busy machine.
const SHORT_LIFE_SECONDS: i64 = 8;
/// Between two messages of somebody who goes on talking.
const PACE: Duration = Duration::from_millis(50);
/// How a session ends after which the library comes back by itself.
const CLOSED: &str = "transport close";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_takes_its_sockets_with_it_and_lets_nobody_in_again() -> Result<()> {
    let labellab = LabelLab::start(Backend::Embedded).await?;
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let token = token_with(ANNA, "short", SHORT_LIFE_SECONDS)?;
    let mut sockets = Vec::new();
    for opening in [App::web_opening, App::mobile_opening] {
        let mut socket = labellab.open(opening(&token)).await?;
        socket.connected().await?;
        // A minute before the end, or at once where there is less left.
        let expiring = socket.next("token_expiring").await?;
        let left_ms = expiring["time_ms"].as_i64().unwrap_or_default() - now_ms;
        assert!((0..=SHORT_LIFE_SECONDS * 1_000).contains(&left_ms), "{expiring}");
        sockets.push(socket);
    }
    for (socket, version) in sockets.iter_mut().zip([4, 2]) {
        assert_sent_away(socket, version, "TOKEN_EXPIRED").await?;
    }
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_renews_its_token_goes_on_and_misses_nothing() -> Result<()> {
    let mut labellab = LabelLab::start(Backend::Embedded).await?;
    let anna = labellab.web(ANNA).await?;
    let with_token = |token: String| json!({ "token": token, "resume": { TEAM.to_string(): 0 } });
    let mut opening = App::web_opening("");
    opening.options["auth"] = with_token(token_with(BERT, "short", SHORT_LIFE_SECONDS)?);
    let mut bert = labellab.app(BERT, opening).await?;
    bert.socket.next("token_expiring").await?;
    bert.socket.set_auth(&with_token(token(BERT)?)).await?;

    let deadline = Instant::now() + Duration::from_secs(30);
    let mut sent = Vec::new();
    // Until it is connected for the second time.
    while bert.socket.left("connect").is_empty() {
        let body = format!("message {}", sent.len());
        anna.send(TEAM, &body).await?;
        sent.push(body);
        assert!(Instant::now() < deadline, "it does not come back");
        sleep(PACE).await;
    }
    anna.send(TEAM, "the end").await?;
    sent.push("the end".to_owned());
    for body in &sent {
        assert_eq!(&bert.hears_body().await?, body);
    }
    assert_eq!(bert.socket.left("receive_message"), Vec::<Value>::new());
    assert_eq!(bert.socket.left("disconnect"), [json!([CLOSED])]);
    assert_eq!(bert.socket.left("refused"), Vec::<Value>::new());
    assert_eq!(labellab.stored_bodies(TEAM).await?, sent);
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_takes_its_sockets_with_it_and_no_others() -> Result<()> {
    let labellab = LabelLab::start(Backend::Cluster).await?;
    let revoked = token_with(ANNA, "signed-out", 3_600)?;
    let (mut other, bert) = (labellab.web(ANNA).await?, labellab.mobile(BERT).await?);
    let mut web = labellab.app(ANNA, App::web_opening(&revoked)).await?;
    let mut mobile = labellab.app(ANNA, App::mobile_opening(&revoked)).await?;
    bert.send(TEAM, "to all").await?;
    for app in [&mut other, &mut web, &mut mobile] {
        assert_eq!(app.hears_body().await?, "to all");
    }
    labellab.revoke("signed-out")?;
    assert_sent_away(&mut web.socket, 4, "TOKEN_REVOKED").await?;
    assert_sent_away(&mut mobile.socket, 2, "TOKEN_REVOKED").await?;

    bert.send(TEAM, "to those who are left").await?;
    assert_eq!(other.hears_body().await?, "to those who are left");
    assert_eq!(other.socket.left("disconnect"), Vec::<Value>::new());
    for app in [&mut web, &mut mobile] {
        assert_eq!(app.socket.left("receive_message"), Vec::<Value>::new());
    }
    labellab.finish().await
}

/// Asserts that the session ends so that the library comes back by itself, and that it is refused then.
async fn assert_sent_away(socket: &mut Socket, version: u8, code: &str) -> Result<()> {
    assert_eq!(socket.next("disconnect").await?, CLOSED, "version {version}");
    let refused = socket.refused().await?;
    assert!(refused["message"].is_string(), "version {version}: {refused}");
    // Version 2 is told no code.
    if version > 2 {
        assert_eq!(refused["data"]["code"], format!("ERROR_CODE_{code}"), "version {version}: {refused}");
    }
    Ok(())
}
