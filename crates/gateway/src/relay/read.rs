//! A team's events between two positions: from memory, from the log, from history, in that order. Who needs the same at
//! the same moment shares one read.

use std::sync::Arc;

use futures_util::FutureExt as _;
use huddle_domain::{Event, Seq, TeamId};
use huddle_proto::Refusal;

use super::{
    Delivery, Relay,
    recent::{Page, Recent, SharedRead},
    unavailable,
};
use crate::metrics::ReadFrom;

impl Relay {
    /// The events of `team` after `after`: a page that begins there and goes up to `through` or, where that is too much for
    /// one page, at least beyond `after`. `through` is above `after`, and a position that the log or history has reached.
    ///
    /// # Cancel safety
    /// Safe: a read that is under way goes on, for the others who wait for it.
    pub(crate) async fn page(
        self: &Arc<Self>,
        team: &TeamId,
        recent: &Arc<Recent>,
        after: Seq,
        through: Seq,
    ) -> Result<Arc<Page>, Refusal> {
        if let Some(page) = recent.since(after).filter(|page| page.through >= through) {
            self.metrics.page_read(ReadFrom::Memory);
            return Ok(Arc::new(page));
        }
        recent.share(after, || self.start_read(team, recent, after, through)).await
    }

    /// What history has of `team` after `after`, for a team of which the log has nothing (any longer): a page that begins there;
    /// it goes no further than `after` when there is nothing more.
    ///
    /// # Cancel safety
    /// As [`Relay::page`].
    pub(crate) async fn stored_page(
        self: &Arc<Self>,
        team: &TeamId,
        recent: &Arc<Recent>,
        after: Seq,
    ) -> Result<Arc<Page>, Refusal> {
        recent.share(after, || self.start_read(team, recent, after, Seq::ZERO)).await
    }

    fn start_read(self: &Arc<Self>, team: &TeamId, recent: &Arc<Recent>, after: Seq, through: Seq) -> SharedRead {
        let (relay, team, recent) = (Arc::clone(self), team.clone(), Arc::clone(recent));
        // On its own, so that it ends also when nobody waits for it any more.
        let reading = self.runtime.spawn(async move {
            let _finished = Finished { recent: &recent, after };
            let page = relay.read(&team, after, through).await;
            if let Ok(page) = &page {
                recent.extend_back(after, page);
            }
            page.map(Arc::new)
        });
        async { reading.await.unwrap_or_else(|_| Err(unavailable())) }.boxed().shared()
    }

    async fn read(&self, team: &TeamId, after: Seq, through: Seq) -> Result<Page, Refusal> {
        let in_log = if through > after { self.log.events_between(team, after, through).await } else { Ok(None) };
        match in_log {
            Ok(Some(events)) => {
                if let Some(last) = events.last() {
                    self.metrics.page_read(ReadFrom::Log);
                    let covered = last.seq.min(through);
                    return Ok(Page { through: covered, deliveries: deliveries(events, after) });
                }
            }
            Ok(None) => tracing::debug!(%team, %after, %through, "not all of it is in the log; asking history"),
            Err(error) => tracing::debug!(%team, %error, "the log cannot be read; asking history"),
        }
        let (events, has_more) = self.history.list_events(team, after, through).await?;
        self.metrics.page_read(ReadFrom::History);
        let last = events.last().map_or(after, |event| event.seq);
        // Positions up to `through` that history does not show were not for showing.
        let covered = if has_more && last > after { last } else { last.max(through).max(after) };
        Ok(Page { through: covered, deliveries: deliveries(events, after) })
    }
}

/// Whoever asks after this is dropped begins a new read.
struct Finished<'a> {
    recent: &'a Recent,
    after: Seq,
}

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.recent.finish(self.after);
    }
}

/// Each event names the one before it that is shown; what is not for showing is no hole.
fn deliveries(events: Vec<Arc<Event>>, after: Seq) -> Vec<Arc<Delivery>> {
    let mut before = None;
    let chained = events.into_iter().map(|mut event| {
        let prev_seq = before.unwrap_or(event.prev_seq.min(after));
        if event.prev_seq != prev_seq {
            Arc::make_mut(&mut event).prev_seq = prev_seq;
        }
        before = Some(event.seq);
        Arc::new(Delivery::new(event, None))
    });
    chained.collect()
}
