//! Who is let in: origins, subprotocols, the first frame, tokens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use huddle_proto::{Refusal, directory::v1::GetTeamRequest, gateway::v1::ErrorCode, history::v1::ListMessagesRequest};
use huddle_tests::{
    SECRET, SERVICE_TOKEN, forged,
    raw_ws::{Opened, Opening, RawWs},
    until,
};
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::Status;

use crate::world::{
    ALLOWED_ORIGIN, MARK, MEMBER, OWNER, REVOKED, TEAM, World, assert_closed, assert_closes, assert_refused,
};

/// How soon every process has noticed that a token is revoked. They look every 2 s, on a busy machine a little later.
const REVOCATION_MAX: Duration = Duration::from_secs(20);

pub(crate) async fn hello_comes_first_and_in_time(world: &mut World) -> Result<()> {
    let mut silent = world.connect().await?;
    let mut socket = world.connect().await?;
    for (id, request) in [
        ("r1", json!({"ping": {}})),
        ("r2", json!({"subscribe": {"team": TEAM, "after": "0"}})),
        ("r3", json!({"unsubscribe": {"team": TEAM}})),
        ("r4", json!({"send": {"team": TEAM, "client_id": "early", "body": format!("{MARK} before hello")}})),
    ] {
        let reply = socket.request(request).await?;
        assert_refused("before hello", &reply, id, "HELLO_REQUIRED");
    }
    let token = world.token(MEMBER)?;
    socket.hello(&token).await?;
    world.say(&mut socket, "after hello").await?;
    world.retire(&socket);
    assert_closes("no hello", &mut silent, None, 4408).await
}

/// Tokens that are refused, each with the code of its refusal.
fn refused_tokens() -> Result<Vec<(&'static str, String, &'static str)>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let claims = json!({"sub": MEMBER, "iat": now, "exp": now + 3_600});
    let with_header = |change: Value| merged(&header, &change);
    let with_claims = |change: Value| merged(&claims, &change);
    let without = |claim: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().map(|claims| claims.remove(claim));
        claims
    };
    let good = forged::token(&header, &claims, SECRET)?;
    let other_claims = forged::unsigned(&header, &with_claims(json!({"sub": OWNER})));
    let signature = good.rsplit('.').next().unwrap_or_default();

    let mut tokens = vec![
        ("no token", String::new(), "INVALID_TOKEN"),
        ("a word", "let-me-in".to_owned(), "INVALID_TOKEN"),
        ("the service token", SERVICE_TOKEN.to_owned(), "INVALID_TOKEN"),
        ("8 KiB of letters", "x".repeat(8 * 1024), "INVALID_TOKEN"),
        ("no signature", forged::unsigned(&header, &claims), "INVALID_TOKEN"),
        ("an empty signature", format!("{}.", forged::unsigned(&header, &claims)), "INVALID_TOKEN"),
        ("another's signature", format!("{other_claims}.{signature}"), "INVALID_TOKEN"),
        ("a part too many", format!("{good}.e30"), "INVALID_TOKEN"),
        ("alg none", format!("{}.", forged::unsigned(&with_header(json!({"alg": "none"})), &claims)), "INVALID_TOKEN"),
    ];
    for (what, header) in [
        ("alg none with a signature", json!({"alg": "none"})),
        ("alg None", json!({"alg": "None"})),
        ("alg RS256 with a secret's signature", json!({"alg": "RS256"})),
        ("alg ES256", json!({"alg": "ES256"})),
        ("alg HS512", json!({"alg": "HS512"})),
        ("a key's address", json!({"jku": "https://keys.example/set"})),
        ("a key's certificate", json!({"x5u": "https://keys.example/cert"})),
        ("a key of its own", json!({"jwk": {"kty": "oct", "k": "c2VjcmV0"}})),
        ("an extension", json!({"crit": ["exp"]})),
        ("a path as a key's name", json!({"kid": "../../dev/null"})),
        ("SQL as a key's name", json!({"kid": "' OR 1=1 --"})),
    ] {
        tokens.push((what, forged::token(&with_header(header), &claims, SECRET)?, "INVALID_TOKEN"));
    }
    for (what, claims, code) in [
        ("expired", with_claims(json!({"exp": now - 3_600})), "TOKEN_EXPIRED"),
        ("without end", without("exp"), "INVALID_TOKEN"),
        ("an end that is no time", with_claims(json!({"exp": "tomorrow"})), "INVALID_TOKEN"),
        ("not valid yet", with_claims(json!({"nbf": now + 3_600})), "INVALID_TOKEN"),
        ("for somebody else", with_claims(json!({"aud": "another-service"})), "INVALID_TOKEN"),
        ("a refresh token", with_claims(json!({"type": "refresh"})), "INVALID_TOKEN"),
        ("nobody", without("sub"), "INVALID_TOKEN"),
        ("no text as user", with_claims(json!({"sub": [MEMBER]})), "INVALID_TOKEN"),
        ("a wildcard as user", with_claims(json!({"sub": "*"})), "INVALID_TOKEN"),
        ("a subject as user", with_claims(json!({"sub": "a.b"})), "INVALID_TOKEN"),
        ("two lines as user", with_claims(json!({"sub": "a\r\nb"})), "INVALID_TOKEN"),
        ("300 characters as user", with_claims(json!({"sub": "x".repeat(300)})), "INVALID_TOKEN"),
    ] {
        tokens.push((what, forged::token(&header, &claims, SECRET)?, code));
    }
    for (what, secret) in [
        ("a short secret", "secret"),
        ("the secret's beginning", &SECRET[..32]),
        ("an empty secret", ""),
        ("a foreign secret", "another secret that is long enough to be one"),
    ] {
        tokens.push((what, forged::token(&header, &claims, secret)?, "INVALID_TOKEN"));
    }
    Ok(tokens)
}

fn merged(base: &Value, change: &Value) -> Value {
    let mut merged = base.clone();
    for (key, value) in change.as_object().cloned().unwrap_or_default() {
        merged[key] = value;
    }
    merged
}

pub(crate) async fn only_good_tokens_are_let_in(world: &mut World) -> Result<()> {
    for (what, token, code) in refused_tokens()? {
        world.secret(&token);
        let mut socket = world.connect().await?;
        let reply = socket.request(json!({"hello": {"token": token}})).await?;
        assert_refused(what, &reply, "r1", code);
        assert!(!reply.to_string().contains("eyJ"), "{what}: {reply}");
        assert_closes(what, &mut socket, None, 4401).await?;
        world.retire(&socket);
    }
    // What the forged ones are measured by: the same with nothing wrong is good.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let good = forged::token(&json!({"alg": "HS256"}), &json!({"sub": MEMBER, "exp": now + 60}), SECRET)?;
    world.connect().await?.hello(&good).await
}

pub(crate) async fn revoked_tokens_are_let_in_nowhere(world: &mut World) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let with_id = |jti: Value| {
        let claims = json!({"sub": MEMBER, "iat": now, "exp": now + 3_600, "jti": jti});
        forged::token(&json!({"alg": "HS256"}), &claims, SECRET)
    };
    for (what, jti, code) in [
        ("revoked from the start", json!(REVOKED), "TOKEN_REVOKED"),
        ("an id that no list could hold", json!(7), "INVALID_TOKEN"),
        ("an empty id", json!(""), "INVALID_TOKEN"),
    ] {
        let token = with_id(jti)?;
        world.secret(&token);
        let mut socket = world.connect().await?;
        let reply = socket.request(json!({"hello": {"token": token}})).await?;
        assert_refused(what, &reply, "r1", code);
        assert_closes(what, &mut socket, None, 4401).await?;
        world.retire(&socket);
    }

    let token = with_id(json!("revoked-later"))?;
    world.secret(&token);
    let mut live = world.connect().await?;
    live.hello(&token).await?;
    assert_eq!(refusal_by_history(world, &token).await?, None);
    assert_eq!(refusal_by_directory(world, &token).await?, None);
    world.revoke("revoked-later")?;

    // Whoever is connected is sent away, without doing anything.
    let sent_away = timeout(REVOCATION_MAX, live.until_the_end()).await.context("it stays connected")??;
    assert_closed("revoked while it is connected", &sent_away, None, 4401);
    let refused = until("the gateway refuses the token", REVOCATION_MAX, async || {
        let mut socket = world.connect().await?;
        let reply = socket.request(json!({"hello": {"token": token}})).await?;
        Ok(reply.get("error").is_some().then_some((socket, reply)))
    });
    let (mut socket, reply) = refused.await?;
    assert_refused("revoked later", &reply, "r1", "TOKEN_REVOKED");
    assert_closes("revoked later", &mut socket, None, 4401).await?;
    world.retire(&socket);
    let by_history = async || refusal_by_history(world, &token).await;
    let code = until("history refuses the token", REVOCATION_MAX, by_history).await?;
    assert_eq!(code, ErrorCode::TokenRevoked, "history");
    let by_directory = async || refusal_by_directory(world, &token).await;
    let code = until("the directory refuses the token", REVOCATION_MAX, by_directory).await?;
    assert_eq!(code, ErrorCode::TokenRevoked, "directory");
    Ok(())
}

async fn refusal_by_history(world: &World, token: &str) -> Result<Option<ErrorCode>> {
    let request = ListMessagesRequest { team: TEAM.to_owned(), ..ListMessagesRequest::default() };
    Ok(refusal_code(world.deployment.history_client(token)?.list_messages(request).await.err()))
}

async fn refusal_by_directory(world: &World, token: &str) -> Result<Option<ErrorCode>> {
    let request = GetTeamRequest { team: TEAM.to_owned() };
    Ok(refusal_code(world.deployment.directory_client(token)?.get_team(request).await.err()))
}

fn refusal_code(status: Option<Status>) -> Option<ErrorCode> {
    status.map(|status| Refusal::from_status(&status).code)
}

pub(crate) async fn a_connection_keeps_its_user(world: &mut World) -> Result<()> {
    let (own, other) = (world.token(MEMBER)?, world.token(OWNER)?);
    let mut socket = world.connect_as(MEMBER).await?;
    socket.hello(&own).await?;
    world.say(&mut socket, "after a second hello").await?;
    let reply = socket.request(json!({"hello": {"token": other}})).await?;
    assert_eq!(reply["error"]["code"], "ERROR_CODE_INVALID_TOKEN", "{reply}");
    assert_closes("another user's hello", &mut socket, None, 4401).await?;
    world.retire(&socket);
    Ok(())
}

pub(crate) async fn only_allowed_origins_and_known_subprotocols_are_let_in(world: &mut World) -> Result<()> {
    let url = world.url();
    let own_origin = world.deployment.http_url(0);
    for (origin, status) in [
        (ALLOWED_ORIGIN, 101),
        (own_origin.as_str(), 101),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://chat.example", 403),
        ("https://chat.example:444", 403),
        ("https://chat.example.evil.example", 403),
        ("https://evil.example/https://chat.example", 403),
        ("https://chat.example@evil.example", 403),
        ("https://user@chat.example", 403),
        ("https://CHAT.example.", 403),
    ] {
        let opening = Opening { origin: Some(origin), ..Opening::default() };
        assert_eq!(status_of(&RawWs::try_open(&url, opening).await?), status, "origin {origin:?}");
    }
    for (protocol, status) in [
        ("huddle.v1.json", 101),
        ("huddle.v1.proto", 101),
        ("mqtt, huddle.v1.json", 101),
        ("mqtt", 400),
        ("huddle.v2.json", 400),
        ("HUDDLE.V1.JSON", 400),
        ("", 400),
    ] {
        let opening = Opening { protocol: Some(protocol), ..Opening::default() };
        assert_eq!(status_of(&RawWs::try_open(&url, opening).await?), status, "subprotocol {protocol:?}");
    }
    let plain = huddle_tests::http::get(&url.replace("ws://", "http://"), None).await?;
    assert_eq!(plain.status, 400, "no upgrade: {}", plain.body);
    Ok(())
}

fn status_of(opened: &Opened) -> u16 {
    match opened {
        Opened::WebSocket(_) => 101,
        Opened::Refused(answer) => answer.status,
    }
}
