//! `GET /v1/demo`: tokens of the demo team's members, for the page on the machine that runs everything.
//!
//! Whoever gets an answer is a member. So it is given to this machine only: to a peer on the loopback interface, that
//! asked for a loopback name (a page of another host whose name was made to lead here asks for its own), and not on
//! behalf of a page of another origin or of somebody behind a proxy.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderMap},
    web,
};
use huddle_auth::{MintError, Minter};
use huddle_domain::{Name, TeamId, UserId};
use serde::Serialize;

use super::Page;

/// What a proxy says about whom it asks for.
const FORWARDING_HEADERS: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// A team to try things in. Only for a gateway on a developer's machine: whoever reaches it there acts as any of the
/// members.
#[derive(Debug)]
pub struct Demo {
    /// The team.
    pub team: TeamId,
    /// Its members, with their display names.
    pub members: Vec<(UserId, Name)>,
    /// Makes their tokens.
    pub minter: Minter,
    /// How long each token is valid.
    pub token_ttl: Duration,
}

#[derive(Serialize)]
struct Answer<'a> {
    team: &'a str,
    members: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    user: &'a str,
    name: &'a str,
    token: String,
}

pub(super) async fn serve(request: HttpRequest, page: web::Data<Page>) -> HttpResponse {
    let Some(demo) = &page.demo else { return HttpResponse::NotFound().finish() };
    if !is_local(request.peer_addr(), request.headers()) {
        return HttpResponse::NotFound().finish();
    }
    match demo.answer(SystemTime::now()) {
        Ok(answer) => HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .json(answer),
        Err(error) => {
            tracing::error!(%error, "no token for the demo team");
            HttpResponse::InternalServerError().finish()
        }
    }
}

impl Demo {
    fn answer(&self, now: SystemTime) -> Result<Answer<'_>, MintError> {
        let member =
            |(user, name): &'_ (UserId, Name)| self.minter.mint(user, Some(name.as_str()), self.token_ttl, now);
        let members = self
            .members
            .iter()
            .map(|each @ (user, name)| Ok(Member { user: user.as_str(), name: name.as_str(), token: member(each)? }));
        Ok(Answer { team: self.team.as_str(), members: members.collect::<Result<_, MintError>>()? })
    }
}

fn is_local(peer: Option<SocketAddr>, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("not text"));
    peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback())
        && text("host").is_some_and(is_loopback_name)
        // Browsers say on whose behalf they ask; other clients say nothing.
        && matches!(text("sec-fetch-site"), None | Some("same-origin" | "none"))
        && !FORWARDING_HEADERS.iter().any(|name| headers.contains_key(*name))
}

/// Whether a `Host` header, with or without a port, names this machine's loopback interface.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::{App, dev::ServiceResponse, http::StatusCode, test};
    use huddle_auth::{Verifier, VerifierOptions};

    use super::*;
    use crate::page::configure;

    const LOCAL: &str = "127.0.0.1:50000";

    type Headers = [(&'static str, &'static str)];

    fn options() -> VerifierOptions {
        VerifierOptions {
            secret: Some("a secret of the tests of the demo team".to_owned()),
            ..VerifierOptions::default()
        }
    }

    fn demo() -> Demo {
        let member = |user: &str, name: &str| (UserId::parse(user).unwrap(), Name::parse(name).unwrap());
        Demo {
            team: TeamId::parse("demo").unwrap(),
            members: vec![member("alice", "Alice"), member("bob", "Bob")],
            minter: Minter::new(options()).unwrap(),
            token_ttl: Duration::from_hours(1),
        }
    }

    async fn ask(demo: Option<Demo>, peer: &str, headers: &Headers) -> ServiceResponse {
        let page = Arc::new(Page::new(demo));
        let app = test::init_service(App::new().configure(|routes| configure(routes, page))).await;
        let request = test::TestRequest::get().uri("/v1/demo").peer_addr(peer.parse().unwrap());
        let request = headers.iter().fold(request, |request, header| request.insert_header(*header));
        test::call_service(&app, request.to_request()).await
    }

    #[actix_web::test]
    async fn this_machine_gets_a_token_of_each_member() {
        let response = ask(Some(demo()), LOCAL, &[("host", "localhost:8080"), ("sec-fetch-site", "same-origin")]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
        assert!(!response.headers().iter().any(|(name, _)| name.as_str().starts_with("access-control-")));
        let answer: serde_json::Value = test::read_body_json(response).await;
        assert_eq!(answer["team"], "demo");
        let verifier = Verifier::new(options()).unwrap();
        for (index, (user, name)) in [("alice", "Alice"), ("bob", "Bob")].into_iter().enumerate() {
            let member = &answer["members"][index];
            assert_eq!((&member["user"], &member["name"]), (&user.into(), &name.into()));
            let now = SystemTime::now();
            let token = verifier.verify_user(member["token"].as_str().unwrap(), now).unwrap();
            assert_eq!((token.user.as_str(), token.name.as_deref()), (user, Some(name)));
            assert!(token.expires_at <= now + Duration::from_hours(1));
        }
    }

    #[actix_web::test]
    async fn without_a_demo_team_there_is_nothing() {
        assert_eq!(ask(None, LOCAL, &[("host", "localhost")]).await.status(), StatusCode::NOT_FOUND);
    }

    #[actix_web::test]
    async fn only_this_machine_asking_for_itself_is_answered() {
        const HOST: (&str, &str) = ("host", "127.0.0.1:8080");
        let cases: &[(&str, &Headers, bool)] = &[
            (LOCAL, &[HOST], true),
            ("[::1]:50000", &[("host", "[::1]:8080")], true),
            ("[::ffff:127.0.0.1]:50000", &[("host", "LOCALHOST")], true),
            ("127.9.9.9:50000", &[HOST, ("sec-fetch-site", "none")], true),
            // Somebody else's machine.
            ("192.168.1.7:50000", &[HOST], false),
            ("[2001:db8::1]:50000", &[HOST], false),
            // A name that was made to lead here.
            (LOCAL, &[("host", "evil.example:8080")], false),
            (LOCAL, &[("host", "localhost.evil.example")], false),
            (LOCAL, &[("host", "127.0.0.1.evil.example")], false),
            (LOCAL, &[("host", "192.168.1.7:8080")], false),
            (LOCAL, &[("host", "0.0.0.0:8080")], false),
            (LOCAL, &[("host", "")], false),
            (LOCAL, &[], false),
            // A page of another origin.
            (LOCAL, &[HOST, ("sec-fetch-site", "cross-site")], false),
            (LOCAL, &[HOST, ("sec-fetch-site", "same-site")], false),
            // Somebody behind a proxy.
            (LOCAL, &[HOST, ("x-forwarded-for", "192.0.2.1")], false),
            (LOCAL, &[HOST, ("forwarded", "for=192.0.2.1")], false),
            (LOCAL, &[HOST, ("via", "1.1 proxy")], false),
        ];
        for (peer, headers, is_answered) in cases {
            let response = ask(Some(demo()), peer, headers).await;
            let expected = if *is_answered { StatusCode::OK } else { StatusCode::NOT_FOUND };
            assert_eq!(response.status(), expected, "{peer} {headers:?}");
            assert_eq!(test::read_body(response).await.is_empty(), !is_answered, "{peer} {headers:?}");
        }
    }
}
