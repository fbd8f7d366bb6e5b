//! WebSockets: sessions that begin on one, and upgrades.

use std::rc::Rc;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream};
use futures_util::StreamExt as _;
use huddle_websocket::{Accepted, Full, Outbox, accept, frame};

use super::Query;
use crate::{
    Worker,
    engine::{AttachRefused, Inner, Link, Message, Refusal, close_code},
    metrics::{Forwarded, ForwardedLabel, Transport},
    relay::{Remote, answer, call, relay},
    worker::{Opening, Place},
};

pub(super) async fn open(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    query: Query,
    payload: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let (handshake, takes_binary) = query.into_handshake()?;
    if !worker.has_room() {
        return Err(Refusal::Unavailable);
    }
    let outbox = Link::outbox(worker.server.config());
    let Accepted { response, messages } = shake_hands(worker, request, payload, &outbox).await?;
    let session = worker.open(Opening { handshake, takes_binary, transport: Transport::WebSocket, outbox });
    let link = session.begin_link();
    actix_web::rt::spawn(read(session, link, messages));
    Ok(response)
}

pub(super) async fn attach(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    query: Query,
    payload: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let sid = query.sid.as_deref().unwrap_or_default();
    match worker.find(sid, query.token)? {
        Place::Here(session) => {
            let outbox = Link::outbox(worker.server.config());
            let Accepted { response, messages } = shake_hands(worker, request, payload, &outbox).await?;
            match session.attach(Rc::clone(&outbox), false) {
                Ok(link) => drop(actix_web::rt::spawn(read(session, link, messages))),
                Err(AttachRefused::Taken) => outbox.close(frame::close(close_code::POLICY, "")),
                Err(AttachRefused::Over) => return Err(Refusal::UnknownSid),
            }
            Ok(response)
        }
        Place::Elsewhere(remote) => attach_remote(worker, request, remote, payload).await,
    }
}

async fn attach_remote(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    remote: Remote,
    payload: web::Payload,
) -> Result<HttpResponse, Refusal> {
    if worker.draining.has_begun() && remote.is_elsewhere() {
        // It would not last; the session goes on as it is.
        return Err(Refusal::Unavailable);
    }
    let place = worker.relay_place().ok_or(Refusal::Unavailable)?;
    worker.server.metrics().forwarded.get_or_create(&ForwardedLabel { kind: Forwarded::WebSocket }).inc();
    let outbox = Link::relay_outbox(worker.server.config());
    let Accepted { response, messages } = shake_hands(worker, request, payload, &outbox).await?;
    match remote.ask(call::Kind::Attach(true)).await {
        Ok(answer::Kind::Attached(link)) => {
            let draining = Rc::clone(&worker.draining);
            actix_web::rt::spawn(async move {
                relay(remote, link, messages, outbox, draining).await;
                drop(place);
            });
        }
        Ok(answer::Kind::Taken(_)) => outbox.close(frame::close(close_code::POLICY, "")),
        Ok(answer::Kind::Again(_)) => return Err(Refusal::Unavailable),
        Ok(_) | Err(_) => return Err(Refusal::UnknownSid),
    }
    Ok(response)
}

async fn shake_hands(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    payload: web::Payload,
    outbox: &Rc<Outbox>,
) -> Result<Accepted, Refusal> {
    let message_bytes_max = worker.server.config().payload_max;
    accept(request, payload, &[], message_bytes_max, Rc::clone(outbox)).await.map_err(|_| Refusal::BadRequest)
}

/// Reads a WebSocket until it or its session is over.
async fn read(session: Rc<Inner>, link: Rc<Link>, mut messages: AggregatedMessageStream) {
    while let Some(message) = messages.next().await {
        let taken = match message {
            Ok(AggregatedMessage::Text(text)) => session.link_message(&link, &Message::Text(text.into_bytes())).await,
            Ok(AggregatedMessage::Binary(bytes)) => session.link_message(&link, &Message::Binary(bytes)).await,
            Ok(AggregatedMessage::Ping(payload)) => {
                if link.outbox.push(frame::pong(&payload)) == Err(Full) {
                    break;
                }
                Ok(())
            }
            Ok(AggregatedMessage::Pong(_)) => Ok(()),
            Ok(AggregatedMessage::Close(_)) => {
                link.outbox.close(frame::close_reply());
                break;
            }
            Err(_) => {
                session.link_broken(&link);
                break;
            }
        };
        if taken.is_err() {
            break;
        }
    }
    session.link_closed(&link);
}
