//! Reading a team's events page by page, as they are taken.

use std::collections::VecDeque;

use huddle_domain::{Seq, TeamId};
use huddle_proto::gateway::v1::ErrorCode;

use super::Link;
use crate::{Incoming, ListedEvent, RequestError, client::PendingPage};

/// Events that are asked for at once, and that wait to be taken at most.
const PAGE_EVENTS: u32 = 100;

/// A connection over which pages are read.
#[derive(Debug)]
pub(super) struct Paging {
    pub(super) link: Link,
    /// Of the last page, what has not been taken.
    events: VecDeque<ListedEvent>,
    /// The page that is under way.
    asked: Option<PendingPage>,
    has_more: bool,
}

/// What happens next.
pub(super) enum Paged {
    Event(ListedEvent),
    /// Something that came besides the pages.
    Frame(Option<Incoming>),
    Failed(RequestError),
    /// There are no more pages.
    End,
}

impl Paging {
    pub(super) fn new(link: Link) -> Self {
        Self { link, events: VecDeque::new(), asked: None, has_more: true }
    }

    /// The next event; when all have been taken, that of the next page, which begins after `after`.
    ///
    /// # Cancel safety
    /// Safe: a page that has been asked for is still awaited.
    pub(super) async fn next(&mut self, team: &TeamId, after: Seq) -> Paged {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Paged::Event(event);
            }
            if !self.has_more {
                return Paged::End;
            }
            let asked = match self.asked.take() {
                Some(asked) => asked,
                None => match self.link.client.start_page(team, after, PAGE_EVENTS, Seq::ZERO).await {
                    Ok(asked) => asked,
                    Err(error) => return Paged::Failed(error),
                },
            };
            let page = {
                let asked = self.asked.insert(asked);
                tokio::select! {
                    // The end of the connection says more than that there is no page.
                    biased;
                    frame = self.link.frames.next() => return Paged::Frame(frame),
                    page = asked.page() => page,
                }
            };
            self.asked = None;
            match page {
                Ok(page) => {
                    self.has_more = page.has_more && !page.events.is_empty();
                    self.events = page.events.into();
                }
                // A gateway of an older version: then the subscription brings everything.
                Err(RequestError::Refused(refusal)) if refusal.code == ErrorCode::UnknownRequest => {
                    self.has_more = false;
                }
                Err(error) => return Paged::Failed(error),
            }
        }
    }
}
