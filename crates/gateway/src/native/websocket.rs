//! `GET /v1/ws`: the door of the native protocol. Decides who gets a WebSocket; what happens on it is the connection's.

use std::rc::Rc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use huddle_websocket::{Accepted, Outbox, accept};

use super::{Encoding, SUBPROTOCOL_JSON, SUBPROTOCOL_PROTO, serve::serve};
use crate::{
    connection::{Connection, Way},
    worker::Worker,
};

/// Upgrades a request to a WebSocket, or says why not.
pub(crate) async fn upgrade(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, actix_web::Error> {
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else {
        return Ok(HttpResponse::InternalServerError().finish());
    };
    let config = &worker.core.config;
    if worker.is_draining() || worker.connection_count() >= config.connections_per_worker_max {
        return Ok(HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, "1"))
            .body("this gateway takes no connections just now\n"));
    }
    let Some(encoding) = encoding(&request) else {
        let message = format!("the subprotocols here are {SUBPROTOCOL_JSON} and {SUBPROTOCOL_PROTO}\n");
        return Ok(HttpResponse::BadRequest().body(message));
    };
    let protocols = [SUBPROTOCOL_JSON, SUBPROTOCOL_PROTO];
    let outbox = Rc::new(Outbox::new(config.outbox_max.as_usize(), config.outbox_frames_max));
    let Accepted { response, messages } =
        accept(&request, payload, &protocols, config.frame_max.as_usize(), Rc::clone(&outbox)).await?;
    let way = Way::Native { encoding, outbox: Rc::clone(&outbox) };
    let connection = Rc::new(Connection::new(worker.core.clone(), way));
    actix_web::rt::spawn(serve(worker, connection, encoding, outbox, messages));
    Ok(response)
}

/// The encoding that the client asks for: JSON when it asks for nothing, `None` when only for what there is not.
fn encoding(request: &HttpRequest) -> Option<Encoding> {
    let mut asked = false;
    for value in request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        for protocol in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            asked = true;
            match protocol {
                SUBPROTOCOL_JSON => return Some(Encoding::Json),
                SUBPROTOCOL_PROTO => return Some(Encoding::Proto),
                _ => {}
            }
        }
    }
    if asked { None } else { Some(Encoding::Json) }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_subprotocol_decides_the_encoding() {
        let cases = [
            (None, Some(Encoding::Json)),
            (Some("huddle.v1.json"), Some(Encoding::Json)),
            (Some("other, huddle.v1.proto"), Some(Encoding::Proto)),
            (Some("other"), None),
        ];
        for (protocols, expected) in cases {
            let mut request = TestRequest::default();
            if let Some(protocols) = protocols {
                request = request.insert_header((header::SEC_WEBSOCKET_PROTOCOL, protocols));
            }
            assert_eq!(encoding(&request.to_http_request()), expected, "{protocols:?}");
        }
    }
}
