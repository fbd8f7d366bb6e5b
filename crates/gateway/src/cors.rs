//! Which pages of other origins may call the gateway, said to browsers as they ask.

use std::sync::Arc;

use actix_cors::Cors;
use actix_web::http::header;

use crate::core::Core;

/// How long browsers may keep an answer to a preflight, in seconds. They cap it themselves at two hours or less.
const PREFLIGHT_SECONDS: usize = 3_600;

/// The headers for pages of the origins that the settings allow. A token is what opens anything, never a cookie; yet
/// Socket.IO clients may ask with credentials, which a browser lets pass only where the origin is named.
pub(crate) fn headers(core: Arc<Core>) -> Cors {
    Cors::default()
        .allowed_origin_fn(move |origin, head| {
            let host = head.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            origin.to_str().is_ok_and(|origin| core.config.allows_origin(origin, host))
        })
        .allowed_methods(["GET", "POST"])
        // The last of them means nothing in a request, yet LabelLab's web client sends it with each.
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCESS_CONTROL_ALLOW_ORIGIN])
        .expose_headers([header::LINK, header::RETRY_AFTER])
        .supports_credentials()
        .max_age(PREFLIGHT_SECONDS)
}
