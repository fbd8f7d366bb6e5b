//! The routes: which request is what.

mod polling;
mod query;
mod websocket;

use std::rc::Rc;

use actix_web::{HttpRequest, HttpResponse, http::Method, web};

pub(crate) use self::query::is_query;

use self::query::Query;
use crate::{Worker, engine::Refusal, metrics::Transport};

/// The routes under [`Config::path`](crate::Config::path).
///
/// A poll whose client goes away ends its session, which actix lets be noticed only with
/// [`HttpServer::h1_allow_half_closed`](actix_web::HttpServer::h1_allow_half_closed) set to false.
pub fn configure(config: &mut web::ServiceConfig, worker: Rc<Worker>) {
    let path = worker.server.config().path.clone();
    let paths = match path.trim_end_matches('/') {
        "" => vec![path],
        bare => vec![bare.to_owned(), path.clone()],
    };
    config.service(web::resource(paths).app_data(worker).default_service(web::to(route)));
}

async fn route(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else { return Refusal::BadRequest.response() };
    match dispatch(&worker, &request, payload).await {
        Ok(response) => response,
        Err(refusal) => refusal.response(),
    }
}

async fn dispatch(worker: &Rc<Worker>, request: &HttpRequest, payload: web::Payload) -> Result<HttpResponse, Refusal> {
    let query = Query::parse(request)?;
    match (query.transport, request.method(), &query.sid) {
        (Transport::Polling, &Method::GET, None) => polling::open(worker, query).await,
        (Transport::Polling, &Method::GET, Some(_)) => polling::poll(worker, query).await,
        (Transport::Polling, &Method::POST, Some(_)) => Box::pin(polling::post(worker, request, query, payload)).await,
        (Transport::WebSocket, &Method::GET, None) => websocket::open(worker, request, query, payload).await,
        (Transport::WebSocket, &Method::GET, Some(_)) => websocket::attach(worker, request, query, payload).await,
        (_, _, None) => Err(Refusal::BadHandshakeMethod),
        (_, _, Some(_)) => Err(Refusal::BadRequest),
    }
}
