//! Handshakes, polls and posts over plain HTTP.

use std::{rc::Rc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        ConnectionType,
        header::{self, HeaderValue},
    },
    web,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use huddle_websocket::Outbox;
use tokio::time::{Instant, timeout};

use super::Query;
use crate::{
    Worker,
    engine::{POST_PATIENCE, Payload, Polled, Posted, Refusal},
    metrics::{Forwarded, ForwardedLabel, Transport},
    worker::{Opening, Place},
};

/// How long a post's body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The content type of binary payloads.
const BINARY: &str = "application/octet-stream";

pub(super) async fn open(worker: &Rc<Worker>, query: Query) -> Result<HttpResponse, Refusal> {
    let (handshake, takes_binary) = query.into_handshake()?;
    if !worker.has_room() {
        return Err(Refusal::Unavailable);
    }
    let config = worker.server.config();
    let outbox = Rc::new(Outbox::new(config.outbox_max, config.outbox_frames_max));
    let session = worker.open(Opening { handshake, takes_binary, transport: Transport::Polling, outbox });
    // The open packet is there: nothing is waited for.
    respond(session.poll(rand::random(), None).await)
}

pub(super) async fn poll(worker: &Rc<Worker>, query: Query) -> Result<HttpResponse, Refusal> {
    let sid = query.sid.as_deref().unwrap_or_default();
    let generation = query.generation();
    let polled = match worker.find(sid, query.token)? {
        Place::Here(session) => session.poll(rand::random(), None).await,
        // The next poll finds another way to the session.
        Place::Elsewhere(remote) if worker.draining.has_begun() && remote.is_elsewhere() => Polled::Nothing,
        Place::Elsewhere(remote) => {
            worker.server.metrics().forwarded.get_or_create(&ForwardedLabel { kind: Forwarded::Poll }).inc();
            remote.poll(&worker.draining).await
        }
    };
    let polled = match polled {
        Polled::Nothing => Polled::Payload(Payload::nothing(generation)),
        polled => polled,
    };
    respond(polled).map(|response| last_here(worker, response))
}

/// On a worker thread that is on its way out, the client's next request is to land elsewhere.
fn last_here(worker: &Worker, mut response: HttpResponse) -> HttpResponse {
    if worker.draining.has_begun() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

fn respond(polled: Polled) -> Result<HttpResponse, Refusal> {
    match polled {
        Polled::Payload(Payload { body, is_binary }) => {
            let content_type = if is_binary { BINARY } else { "text/plain; charset=UTF-8" };
            Ok(HttpResponse::Ok()
                .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(content_type)))
                .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
                .body(body))
        }
        // Only hops are told so.
        Polled::Nothing => Err(Refusal::Unavailable),
        Polled::Refused(refusal) => Err(refusal),
    }
}

pub(super) async fn post(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    query: Query,
    body: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let sid = query.sid.as_deref().unwrap_or_default();
    let place = worker.find(sid, query.token)?;
    let is_binary = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == BINARY);
    let body = gather(request, body, worker.server.config().payload_max).await?;
    let payload = Payload { body, is_binary };
    match place {
        Place::Here(session) => {
            let (id, deadline) = (rand::random(), Instant::now() + POST_PATIENCE);
            loop {
                match session.post(id, &payload).await {
                    Posted::Taken => break,
                    Posted::Busy if Instant::now() < deadline => {}
                    Posted::Busy => return Err(Refusal::Unavailable),
                    Posted::Refused(refusal) => return Err(refusal),
                }
            }
        }
        Place::Elsewhere(remote) => {
            let _place = worker.forwarded_post_place().ok_or(Refusal::Unavailable)?;
            worker.server.metrics().forwarded.get_or_create(&ForwardedLabel { kind: Forwarded::Post }).inc();
            remote.post(payload).await?;
        }
    }
    let response =
        HttpResponse::Ok().insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/html"))).body("ok");
    Ok(last_here(worker, response))
}

/// Reads a body of at most `bytes_max` bytes, and not one byte of one that is announced to be longer.
async fn gather(request: &HttpRequest, mut body: web::Payload, bytes_max: usize) -> Result<Bytes, Refusal> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|announced: usize| announced > bytes_max) {
        return Err(Refusal::TooLarge);
    }
    let reading = async {
        let mut gathered = BytesMut::with_capacity(announced.unwrap_or_default());
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| Refusal::BadRequest)?;
            if gathered.len() + piece.len() > bytes_max {
                return Err(Refusal::TooLarge);
            }
            gathered.extend_from_slice(&piece);
        }
        Ok(gathered.freeze())
    };
    timeout(BODY_TIMEOUT, reading).await.unwrap_or(Err(Refusal::BadRequest))
}
