//! REST: a team's messages and events over plain HTTP, for back ends and scripts. Described in `docs/reference/openapi.yaml`.

mod events;
mod messages;

use std::rc::Rc;
use std::time::SystemTime;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use huddle_auth::{UserToken, bearer_token};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use serde::Serialize;

use crate::{connection::token_refusal, core::Core, worker::Worker};

const OPENAPI: &str = include_str!("../../../../docs/reference/openapi.yaml");

/// Adds the routes. `body_bytes_max` bounds request bodies.
pub(crate) fn configure(config: &mut web::ServiceConfig, body_bytes_max: usize) {
    config
        .app_data(web::PayloadConfig::new(body_bytes_max))
        .service(
            web::resource("/v1/teams/{team}/messages")
                .route(web::get().to(messages::list))
                .route(web::post().to(messages::send))
                .default_service(web::to(|| async { HttpResponse::MethodNotAllowed().finish() })),
        )
        .service(
            web::resource("/v1/teams/{team}/events")
                .route(web::get().to(events::list))
                .default_service(web::to(|| async { HttpResponse::MethodNotAllowed().finish() })),
        )
        .route(
            "/v1/openapi.yaml",
            web::get().to(|| async { HttpResponse::Ok().content_type("application/yaml").body(OPENAPI) }),
        );
}

/// What a handler answers: a response, or why there is none.
type Answer = Result<HttpResponse, Problem>;

/// A refusal on its way out.
#[derive(Debug)]
struct Problem(Refusal);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl actix_web::ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        #[derive(Serialize)]
        struct Body<'a> {
            error: Error<'a>,
        }
        #[derive(Serialize)]
        struct Error<'a> {
            code: &'static str,
            message: &'a str,
            retryable: bool,
        }
        let Refusal { code, message } = &self.0;
        let error = Error { code: code.as_str_name(), message, retryable: code.is_retryable() };
        HttpResponse::build(self.status_code()).json(Body { error })
    }
}

fn core(request: &HttpRequest) -> Result<&Core, Problem> {
    match request.app_data::<Rc<Worker>>() {
        Some(worker) => Ok(&worker.core),
        None => Err(Refusal::new(ErrorCode::Internal, "something went wrong inside; retry").into()),
    }
}

/// The caller, from the `Authorization` header; never from the URL.
fn caller<'a>(core: &Core, request: &'a HttpRequest) -> Result<(UserToken, &'a str), Problem> {
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer_token)
        .ok_or_else(|| {
            Refusal::new(ErrorCode::InvalidToken, "the header `Authorization: Bearer <token>` is missing")
        })?;
    let user = core.verifier.verify_user(token, SystemTime::now()).map_err(token_refusal)?;
    Ok((user, token))
}
