//! LabelLab's routes under `/api/v1/`: a team's messages and a user's notifications. Described in
//! `docs/reference/labellab.md`.

mod chatroom;
mod notifications;
mod page;
mod problem;

use std::{collections::HashMap, rc::Rc, time::SystemTime};

use actix_web::{
    HttpRequest, HttpResponse, Resource,
    http::{Method, header},
    web,
};
use huddle_auth::{UserToken, bearer_token};
use huddle_domain::{Name, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode, history::v1::Message};

use crate::{connection::token_refusal, core::Core, worker::Worker};

use problem::{Failure, Problem};

/// Adds the routes. Each is served with and without a slash at its end, for GET and HEAD; bodies are not read.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let paths = ["/api/v1/chatroom/{team_id}", "/api/v1/chatroom/{team_id}/"];
    config.service(
        only_reading(web::resource(paths)).route(web::get().to(chatroom::serve)).route(web::head().to(chatroom::serve)),
    );
    let paths = ["/api/v1/notifications", "/api/v1/notifications/"];
    config.service(
        only_reading(web::resource(paths))
            .route(web::get().to(notifications::serve))
            .route(web::head().to(notifications::serve)),
    );
}

fn only_reading(resource: Resource) -> Resource {
    resource.default_service(web::to(|| async {
        HttpResponse::MethodNotAllowed()
            .insert_header(header::Allow(vec![Method::GET, Method::HEAD]))
            .json(Failure::new("The method is not allowed here; use GET"))
    }))
}

/// What a handler answers: a response, or why there is none.
type Answer = Result<HttpResponse, Problem>;

fn core(request: &HttpRequest) -> Result<&Core, Problem> {
    match request.app_data::<Rc<Worker>>() {
        Some(worker) => Ok(&worker.core),
        None => Err(Refusal::new(ErrorCode::Internal, "something went wrong inside; retry").into()),
    }
}

/// The caller, from the `Authorization` header; never from the URL.
fn caller<'a>(core: &Core, request: &'a HttpRequest) -> Result<(UserToken, &'a str), Problem> {
    let token = shown_token(request)?;
    let user = core.verifier.verify_user(token, SystemTime::now()).map_err(token_refusal)?;
    Ok((user, token))
}

fn shown_token(request: &HttpRequest) -> Result<&str, Problem> {
    match request.headers().get(header::AUTHORIZATION) {
        Some(value) if !value.is_empty() => value
            .to_str()
            .ok()
            .and_then(bearer_token)
            .ok_or_else(|| Refusal::new(ErrorCode::InvalidToken, "the header is not `Bearer <token>`").into()),
        _ => Err(Problem::NoToken),
    }
}

/// How people call the senders of `messages`, as far as that is known.
async fn names_of_senders(core: &Core, messages: &[Message]) -> HashMap<UserId, Name> {
    let senders: Vec<UserId> = messages.iter().filter_map(|message| UserId::parse(&message.sender).ok()).collect();
    core.names.of(&senders).await
}

/// The display name of `user`, or the id where none is known.
fn shown_name<'a>(names: &'a HashMap<UserId, Name>, user: &'a str) -> &'a str {
    names.get(user).map_or(user, Name::as_str)
}

#[cfg(test)]
mod tests {
    use actix_web::{App, http::StatusCode, test as actix_test};

    use super::*;

    async fn answer(method: Method, path: &str) -> (StatusCode, Option<String>) {
        let app = actix_test::init_service(App::new().configure(configure)).await;
        let request = actix_test::TestRequest::default().method(method).uri(path).set_payload("ignored").to_request();
        let response = actix_test::call_service(&app, request).await;
        let allow = response.headers().get(header::ALLOW).map(|value| value.to_str().unwrap().to_owned());
        (response.status(), allow)
    }

    #[actix_web::test]
    async fn the_routes_are_read_only_with_and_without_a_slash_at_the_end() {
        for path in ["/api/v1/chatroom/7", "/api/v1/chatroom/7/", "/api/v1/notifications", "/api/v1/notifications/"] {
            for method in [Method::GET, Method::HEAD] {
                // There is no gateway behind them here.
                assert_eq!(answer(method, path).await, (StatusCode::INTERNAL_SERVER_ERROR, None), "{path}");
            }
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
                let expected = (StatusCode::METHOD_NOT_ALLOWED, Some("GET, HEAD".to_owned()));
                assert_eq!(answer(method, path).await, expected, "{path}");
            }
        }
        for path in ["/api/v1/chatroom/", "/api/v1/chatroom/7/messages"] {
            assert_eq!(answer(Method::GET, path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn a_token_is_taken_from_the_header_alone() {
        let shown = |value: Option<&str>| {
            let request = actix_test::TestRequest::with_uri("/api/v1/notifications?token=of.the.url");
            let request = value.into_iter().fold(request, |it, value| it.insert_header((header::AUTHORIZATION, value)));
            shown_token(&request.to_http_request()).map(ToOwned::to_owned)
        };
        assert_eq!(shown(Some("Bearer a.b.c")).unwrap(), "a.b.c");
        for value in [None, Some("")] {
            assert!(matches!(shown(value), Err(Problem::NoToken)), "{value:?}");
        }
        for value in ["Basic a.b.c", "a.b.c", "Bearer"] {
            let problem = shown(Some(value)).unwrap_err();
            assert!(!matches!(problem, Problem::NoToken) && problem.code() == ErrorCode::InvalidToken, "{value}");
        }
    }
}
