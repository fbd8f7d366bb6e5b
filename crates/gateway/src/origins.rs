//! Which pages of other origins may call the gateway: said to browsers as they ask, and held where they do not ask.

use std::{rc::Rc, sync::Arc};

use actix_cors::Cors;
use actix_web::{
    HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap},
    middleware::Next,
};

use crate::{Config, core::Core, worker::Worker};

/// How long browsers may keep an answer to a preflight, in seconds. They cap it themselves at two hours or less.
const PREFLIGHT_SECONDS: usize = 3_600;

/// The headers for pages of the origins that the settings allow. A token is what opens anything, never a cookie; yet
/// Socket.IO clients may ask with credentials, which a browser lets pass only where the origin is named.
pub(crate) fn headers(core: Arc<Core>) -> Cors {
    Cors::default()
        .allowed_origin_fn(move |origin, head| {
            origin.to_str().is_ok_and(|origin| core.config.allows_origin(origin, host(head.headers())))
        })
        .allowed_methods(["GET", "POST"])
        // The last of them means nothing in a request, yet LabelLab's web client sends it with each.
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCESS_CONTROL_ALLOW_ORIGIN])
        .expose_headers([header::LINK, header::RETRY_AFTER])
        .supports_credentials()
        .max_age(PREFLIGHT_SECONDS)
}

/// Refuses WebSockets and Socket.IO requests of pages of other origins: a browser sends them without asking first, and
/// needs no permission to go on with a WebSocket.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let is_allowed = request.app_data::<Rc<Worker>>().is_none_or(|worker| {
        let config = &worker.core.config;
        let opens_more = request.headers().contains_key(header::UPGRADE)
            || request.path().starts_with(config.socketio.path.trim_end_matches('/'));
        !opens_more || is_allowed(config, request.headers())
    });
    if is_allowed {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let refusal = HttpResponse::Forbidden().body("this origin is not allowed to connect\n");
    Ok(request.into_response(refusal))
}

/// Browsers name the page's origin; other clients name none.
fn is_allowed(config: &Config, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    origin.to_str().is_ok_and(|origin| config.allows_origin(origin, host(headers)))
}

fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_listed_origins_and_the_gateways_own_may_connect() {
        let config = Config { allowed_origins: vec!["https://chat.example".to_owned()], ..Config::default() };
        let cases = [
            (None, true),
            (Some("https://chat.example"), true),
            (Some("http://huddle.example:8080"), true),
            (Some("https://chat.example.evil.example"), false),
            (Some("https://chat.example@evil.example"), false),
            (Some("http://chat.example"), false),
            (Some("null"), false),
            (Some(""), false),
        ];
        for (origin, expected) in cases {
            let mut request = TestRequest::default().insert_header((header::HOST, "huddle.example:8080"));
            if let Some(origin) = origin {
                request = request.insert_header((header::ORIGIN, origin));
            }
            assert_eq!(is_allowed(&config, request.to_http_request().headers()), expected, "{origin:?}");
        }
    }
}
