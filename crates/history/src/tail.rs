//! One stream of a team's events: what is stored first, then what is live, without a gap or a repeat.
//!
//! A tail has one position: everything up to it has been handed out, nothing beyond. It moves by filling from the store up
//! to a fence, and by live events that follow without a hole; a hole, or a feed that was interrupted, makes it fill again.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use huddle_auth::{Identity, TokenError, UserToken, Verifier};
use huddle_domain::{Contiguity, Event, EventKind, Seq, Step, TeamId};
use huddle_grpc::{Call, CallError};
use huddle_log::{LiveFeed, LiveItem};
use huddle_proto::{
    Refusal,
    event::v1 as wire,
    gateway::v1::ErrorCode,
    history::v1::{CaughtUp, stream_events_response::Item},
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep, sleep_until},
};

use crate::{held::Held, reader::Reader, source::Source};

/// How often a stream that has nothing to hand out looks whether its token has been revoked.
const REVOCATION_LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What a tail begins with.
pub(crate) struct Start {
    pub(crate) call: Call,
    pub(crate) team: TeamId,
    /// The caller's cursor.
    pub(crate) after: Seq,
    /// How far the catch-up goes at least.
    pub(crate) fence: Seq,
    /// Live events; every event that `fence` does not cover.
    pub(crate) feed: LiveFeed,
    pub(crate) permit: OwnedSemaphorePermit,
}

pub(crate) struct Tail {
    source: Source,
    /// The caller's token; `None` for a service.
    token: Option<Arc<UserToken>>,
    /// When it ends.
    token_ends: Option<Instant>,
    /// The caller's own deadline.
    call_ends: Option<Instant>,
    position: Contiguity,
    phase: Phase,
    /// Stored events that are read and not yet handed out, ascending.
    page: VecDeque<Event>,
    live: Held,
    /// Whether `CaughtUp` has been handed out.
    caught_up: bool,
    /// The event before this was the caller's removal.
    removed: Option<Removal>,
    // Both end with the stream.
    _permit: OwnedSemaphorePermit,
    _open: OpenStream,
}

enum Phase {
    /// Everything up to `fence` comes from the store. `then` is the live event that showed the hole.
    Fill { fence: Seq, then: Option<Arc<Event>>, is_last_page: bool },
    /// The feed may have missed something: the log is asked how far to fill.
    Fence,
    /// Events come from the feed.
    Live,
}

/// Where the event that removed the caller came from.
#[derive(Clone, Copy)]
enum Removal {
    /// From the store: it may be an old one, and the user a member again.
    Stored,
    /// From the feed: it holds now.
    Live,
}

/// Counts an open stream.
struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Tail {
    pub(crate) fn new(reader: Arc<Reader>, start: Start) -> Self {
        let Start { call, team, after, fence, feed, permit } = start;
        let (token, token_ends) = match call.identity {
            Identity::Service => (None, None),
            Identity::User(token) => {
                let left = token.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
                // An end beyond what a clock can tell is none that a stream will see.
                (Some(Arc::new(token)), Instant::now().checked_add(left))
            }
        };
        let user = token.as_ref().map(|token| token.user.clone());
        let open = OpenStream(reader.metrics.streams.clone());
        open.0.inc();
        Self {
            source: Source { reader, team, user },
            token,
            token_ends,
            call_ends: call.deadline.asked(),
            position: Contiguity::after(after),
            phase: Phase::Fill { fence, then: None, is_last_page: false },
            page: VecDeque::new(),
            live: Held::new(feed),
            caught_up: false,
            removed: None,
            _permit: permit,
            _open: open,
        }
    }

    /// The next item. An error is the stream's end.
    pub(crate) async fn next(&mut self) -> Result<Item, CallError> {
        let shutdown = self.source.reader.shutdown.clone();
        let (token, verifier) = (self.token.clone(), Arc::clone(&self.source.reader.verifier));
        let (token_ends, call_ends) = (self.token_ends, self.call_ends);
        tokio::select! {
            biased;
            () = shutdown.soft().cancelled() => {
                Err(Refusal::new(ErrorCode::Unavailable, "this server is shutting down; go on at another").into())
            }
            () = at(token_ends) => {
                Err(Refusal::new(ErrorCode::TokenExpired, "the token is expired").into())
            }
            () = revoked(token, &verifier) => {
                Err(Refusal::new(ErrorCode::TokenRevoked, TokenError::Revoked.to_string()).into())
            }
            () = at(call_ends) => {
                Err(Refusal::new(ErrorCode::Unavailable, "the call's deadline is over; go on from the last event").into())
            }
            item = self.advance() => item,
        }
    }

    async fn advance(&mut self) -> Result<Item, CallError> {
        if let Some(removal) = self.removed.take() {
            self.end_if_removed(removal).await?;
        }
        loop {
            if let Some(event) = self.page.pop_front() {
                self.note_removal(&event, Removal::Stored);
                return Ok(self.hand_out(&event));
            }
            match &self.phase {
                Phase::Fill { fence, is_last_page: false, .. } => {
                    let fence = *fence;
                    self.read_page(fence).await?;
                }
                Phase::Fill { .. } => {
                    if let Some(item) = self.finish_fill().await? {
                        return Ok(item);
                    }
                }
                Phase::Fence => self.phase = fill(self.source.fence().await?, None),
                Phase::Live => {
                    if let Some(item) = self.next_live().await? {
                        return Ok(item);
                    }
                }
            }
        }
    }

    /// Reads the next stored events, or waits until there are more or the fence is stored.
    async fn read_page(&mut self, fence: Seq) -> Result<(), CallError> {
        let stored = self.source.known_stored();
        // The read itself makes sure of what is known: a page that has no more then holds all up to the fence.
        let covered = if stored >= fence { fence } else { Seq::ZERO };
        let Some(page) = self.source.page(self.position.last(), covered).await? else { return Ok(()) };
        let is_complete = !page.has_more && stored >= fence;
        if page.items.is_empty() && !is_complete {
            return self.source.stored(fence.min(stored.next())).await;
        }
        self.page = page.items.into();
        if let Phase::Fill { is_last_page, .. } = &mut self.phase {
            *is_last_page = is_complete;
        }
        Ok(())
    }

    /// Everything up to the fence has been handed out: goes live, with the event that showed the hole first.
    async fn finish_fill(&mut self) -> Result<Option<Item>, CallError> {
        let Phase::Fill { fence, then, .. } = std::mem::replace(&mut self.phase, Phase::Live) else {
            return Ok(None);
        };
        self.position.advance(fence);
        if !self.caught_up {
            self.caught_up = true;
            // A user who was removed at or before the cursor meets no event that says so.
            self.end_if_removed(Removal::Stored).await?;
            return Ok(Some(Item::CaughtUp(CaughtUp { seq: self.position.last().get() })));
        }
        Ok(then.filter(|event| event.seq > self.position.last()).map(|event| self.hand_out_live(&event)))
    }

    async fn next_live(&mut self) -> Result<Option<Item>, CallError> {
        match self.live.next().await {
            Some(LiveItem::Event(event)) => match self.position.judge(&event) {
                Step::Next => return Ok(Some(self.hand_out_live(&event))),
                Step::Seen => {}
                Step::Gap { .. } => {
                    self.source.reader.metrics.stream_refills.inc();
                    // An event that does not know its predecessor may follow anything before it.
                    let before = Seq::new(event.seq.get().saturating_sub(1));
                    let fence = if event.prev_seq.is_zero() { before } else { event.prev_seq };
                    self.phase = fill(fence, Some(event));
                }
            },
            Some(LiveItem::Interrupted) => {
                self.source.reader.metrics.stream_refills.inc();
                self.phase = Phase::Fence;
            }
            None => return Err(Refusal::new(ErrorCode::Unavailable, "the live feed has ended; retry").into()),
        }
        Ok(None)
    }

    fn hand_out_live(&mut self, event: &Event) -> Item {
        self.note_removal(event, Removal::Live);
        self.hand_out(event)
    }

    fn hand_out(&mut self, event: &Event) -> Item {
        self.position.advance(event.seq);
        Item::Event(wire::Event::from(event))
    }

    fn note_removal(&mut self, event: &Event, removal: Removal) {
        if let EventKind::MemberRemoved { user } = &event.kind
            && self.source.user.as_ref() == Some(user)
        {
            self.removed = Some(removal);
        }
    }

    async fn end_if_removed(&self, removal: Removal) -> Result<(), CallError> {
        let is_member = match removal {
            Removal::Live => false,
            Removal::Stored => self.source.may_still_read(self.position.last()).await?,
        };
        if is_member {
            Ok(())
        } else {
            Err(Refusal::new(ErrorCode::Forbidden, "the user is no longer a member of the team").into())
        }
    }
}

const fn fill(fence: Seq, then: Option<Arc<Event>>) -> Phase {
    Phase::Fill { fence, then, is_last_page: false }
}

/// Waits until `token` is revoked. A stream with much to hand out asks for each item.
async fn revoked(token: Option<Arc<UserToken>>, verifier: &Verifier) {
    let Some(token) = token else { return std::future::pending().await };
    while !verifier.is_revoked(&token) {
        sleep(REVOCATION_LOOK_INTERVAL).await;
    }
}

/// Waits until `end`; for good when there is none.
async fn at(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
