//! `list_events`: pages for a client that reads at its own pace.

use std::{rc::Rc, sync::Arc};

use huddle_domain::{Seq, UserId};
use huddle_proto::{
    Refusal,
    event::v1::Event,
    gateway::v1::{self as wire, ErrorCode, server_frame::Content},
};
use prost::Message as _;
use tokio::sync::Semaphore;

use super::Encoding;
use crate::{
    connection::{Connection, ReplyTo, parse_team},
    core::Core,
    event_pages::{self, PAGE_BYTES_MAX, Page, Wanted, json_bytes},
    worker::Worker,
};

/// Requests for pages of one connection that are under way: a client that reads at its own pace wants no more.
const PAGES_UNDER_WAY_MAX: usize = 1;
/// What a page takes in a frame besides its events, and each event besides itself, in bytes: at most.
const FRAME_BYTES: usize = 256;
const EVENT_BYTES: usize = 8;

/// Answers one connection's requests for pages.
#[derive(Debug)]
pub(super) struct Pager {
    encoding: Encoding,
    places: Arc<Semaphore>,
}

impl Pager {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, places: Arc::new(Semaphore::new(PAGES_UNDER_WAY_MAX)) }
    }

    /// Starts to read a page; the reply follows from a task of its own, once the client has room for it.
    pub(super) fn list_events(
        &self,
        worker: &Worker,
        connection: &Rc<Connection>,
        user: UserId,
        reply_to: ReplyTo,
        request: &wire::ListEvents,
    ) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let message = "the connection's last request for a page is still under way; retry after its reply";
            return connection.refuse(reply_to, Refusal::new(ErrorCode::Overloaded, message));
        };
        let wanted = match parse_team(&request.team) {
            Ok(team) => {
                let (after, min_seq) = (Seq::new(request.after), Seq::new(request.min_seq));
                Wanted { team, after, limit: request.limit, min_seq }
            }
            Err(refusal) => return connection.refuse(reply_to, refusal),
        };
        let (core, connection, encoding) = (Arc::clone(&worker.core), Rc::clone(connection), self.encoding);
        actix_web::rt::spawn(async move {
            let page = read(&core, encoding, &user, &wanted).await;
            // Half of the outbox is free then, and a page fits there: it closes no connection.
            connection.has_room().await;
            match page {
                Ok(Page { events, has_more }) => {
                    let page = wire::Events { team: wanted.team.to_string(), events, has_more };
                    connection.reply(reply_to, Content::Events(page));
                }
                Err(refusal) => connection.refuse(reply_to, refusal),
            }
            drop(place);
        });
    }
}

async fn read(core: &Core, encoding: Encoding, user: &UserId, wanted: &Wanted) -> Result<Page, Refusal> {
    let bytes_max = (core.config.outbox_max.as_usize() / 2).saturating_sub(FRAME_BYTES).min(PAGE_BYTES_MAX);
    let size = |event: &Event| {
        EVENT_BYTES
            + match encoding {
                Encoding::Json => json_bytes(event),
                Encoding::Proto => event.encoded_len(),
            }
    };
    event_pages::read(core, user, wanted, bytes_max, size).await
}
