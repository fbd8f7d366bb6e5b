//! Pages of which origins may call: LabelLab's page is not the gateway's.

use anyhow::Result;
use huddle_tests::{
    Backend,
    http::{self, Answer},
    raw_ws::{self, Opened, RawWs},
};
use serde_json::json;

use super::{ANNA, App, LabelLab, TEAM, token};

const PAGE: &str = "https://labels.example";
const FOREIGN: [&str; 5] =
    ["https://evil.example", "http://labels.example", "https://labels.example.evil.example", "null", ""];
const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_allowed_origins_may_call_and_others_may_not() -> Result<()> {
    let settings = [("gateway.allowed_origins", "[\"https://labels.example\"]")];
    let labellab = LabelLab::start_with(Backend::Embedded, &settings).await?;
    let gateway = labellab.deployment.http_url(0);
    let routes = [HANDSHAKE, "/api/v1/notifications", &format!("/api/v1/chatroom/{TEAM}")];

    // Browsers ask first, where a request has what a form cannot have.
    for route in routes {
        for (method, origin) in [("GET", PAGE), ("POST", PAGE)] {
            let answer = preflight(&gateway, route, method, origin).await?;
            assert_eq!(answer.status, 200, "{method} {route}: {answer:?}");
            assert_permits(&answer, origin);
            let allows = |field: &str, what: &str| {
                answer.header(field).is_some_and(|value| value.to_ascii_lowercase().contains(what))
            };
            assert!(allows("access-control-allow-methods", &method.to_ascii_lowercase()), "{answer:?}");
            for field in ["authorization", "content-type"] {
                assert!(allows("access-control-allow-headers", field), "{field}: {answer:?}");
            }
        }
        for origin in FOREIGN {
            let answer = preflight(&gateway, route, "POST", origin).await?;
            assert!(answer.header("access-control-allow-origin").is_none(), "{route}, {origin:?}: {answer:?}");
        }
    }

    // Where they do not ask, the request itself is refused, before there is a session.
    let ask = async |method: &str, path: &str, origin: &str, body: Option<&str>| {
        http::request_with(method, &format!("{gateway}{path}"), &[("Origin", origin)], body).await
    };
    let answer = ask("GET", HANDSHAKE, PAGE, None).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_permits(&answer, PAGE);
    let told: serde_json::Value = serde_json::from_str(answer.body.trim_start_matches('0'))?;
    let session = format!("{HANDSHAKE}&sid={}", told["sid"].as_str().unwrap_or_default());
    let own = ask("GET", HANDSHAKE, &gateway, None).await?;
    assert_eq!(own.status, 200, "the gateway's own page: {own:?}");
    for origin in FOREIGN {
        for (method, path, body) in
            [("GET", HANDSHAKE, None), ("GET", session.as_str(), None), ("POST", session.as_str(), Some("40"))]
        {
            let answer = ask(method, path, origin, body).await?;
            assert_eq!(answer.status, 403, "{method} {path}, {origin:?}: {answer:?}");
            assert!(answer.header("access-control-allow-origin").is_none(), "{origin:?}: {answer:?}");
        }
    }
    let websocket = format!("{}/socket.io/?EIO=4&transport=websocket", gateway.replacen("http://", "ws://", 1));
    for (origin, status) in
        [(PAGE, 101), (gateway.as_str(), 101)].into_iter().chain(FOREIGN.map(|origin| (origin, 403)))
    {
        let opening = raw_ws::Opening { origin: Some(origin), ..raw_ws::Opening::default() };
        let opened = match RawWs::try_open(&websocket, opening).await? {
            Opened::WebSocket(_) => 101,
            Opened::Refused(answer) => answer.status,
        };
        assert_eq!(opened, status, "{origin:?}");
    }

    // The foreign requests have not disturbed the session, and the libraries get through.
    let connect = format!("40{}", json!({ "token": token(ANNA)? }));
    let answer = ask("POST", &session, PAGE, Some(&connect)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = ask("GET", &session, PAGE, None).await?;
    assert!(answer.status == 200 && answer.body.starts_with("40{"), "{answer:?}");
    for mut opening in [App::web_opening(&token(ANNA)?), App::mobile_opening(&token(ANNA)?)] {
        opening.options["extraHeaders"] = json!({ "Origin": PAGE });
        let mut app = labellab.app(ANNA, opening).await?;
        app.send(TEAM, "from the page").await?;
        assert_eq!(app.hears_body().await?, "from the page");
        app.socket.close().await?;
    }
    labellab.finish().await
}

async fn preflight(gateway: &str, route: &str, method: &str, origin: &str) -> Result<Answer> {
    let fields = [
        ("Origin", origin),
        ("Access-Control-Request-Method", method),
        ("Access-Control-Request-Headers", "authorization,content-type"),
    ];
    http::request_with("OPTIONS", &format!("{gateway}{route}"), &fields, None).await
}

/// LabelLab's web client sends cookies along.
fn assert_permits(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "{answer:?}");
}
