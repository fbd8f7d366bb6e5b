//! Reads a partition from a position, without end.

use std::collections::VecDeque;

use futures_util::{StreamExt as _, stream};
use huddle_domain::{Event, NewEvent, Partition, Seq};
use huddle_log::{Entry, EntryContent, LogError, Reader};
use sqlx::SqlitePool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::{EventRow, to_bigint};

/// Entries that are read at once.
const PAGE_ENTRIES: u32 = 512;

/// Starts to read; see [`huddle_log::Log::read`]. `end` changes whenever the partition has grown. Ends with `closed`.
pub(crate) fn read(
    reads: SqlitePool,
    partition: Partition,
    after: Seq,
    end: watch::Receiver<Option<Seq>>,
    closed: CancellationToken,
) -> Reader {
    let state = State { reads, partition, position: after, end, page: VecDeque::new(), closed };
    stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        match state.next().await? {
            Ok(entry) => Some((Ok(entry), Some(state))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

struct State {
    reads: SqlitePool,
    partition: Partition,
    /// The position of the last entry that was read.
    position: Seq,
    end: watch::Receiver<Option<Seq>>,
    page: VecDeque<Entry>,
    closed: CancellationToken,
}

impl State {
    async fn next(&mut self) -> Option<Result<Entry, LogError>> {
        let closed = self.closed.clone();
        tokio::select! {
            biased;
            entry = self.next_entry() => entry.transpose(),
            () = closed.cancelled() => None,
        }
    }

    /// The next entry; `None` once there can be none any more.
    async fn next_entry(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                return Ok(Some(entry));
            }
            let position = self.position;
            let end = match self.end.wait_for(|end| end.is_some_and(|end| end > position)).await {
                Ok(end) => end.unwrap_or_default(),
                Err(_) => return Ok(None),
            };
            self.read_page().await?;
            if self.page.is_empty() {
                // The partition has grown by a hole. What came since then lies above the end that was seen before.
                self.position = self.position.max(end);
            }
        }
    }

    async fn read_page(&mut self) -> Result<(), LogError> {
        const PAGE: &str = "
            SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
                   entity_kind, entity_id
            FROM events
            WHERE partition = ? AND seq > ?
            ORDER BY seq
            LIMIT ?";
        let rows = sqlx::query_as::<_, EventRow>(PAGE)
            .bind(i64::from(self.partition.number()))
            .bind(to_bigint(self.position))
            .bind(PAGE_ENTRIES)
            .fetch_all(&self.reads)
            .await
            .map_err(|source| unavailable(source.into()))?;
        for row in rows {
            let event = row.into_event(Seq::ZERO).map_err(|source| unavailable(source.into()))?;
            let Event { team, seq, time, sender, client_id, kind, .. } = event;
            self.position = seq;
            let content = EntryContent::Event(NewEvent { team, sender, client_id, kind });
            self.page.push_back(Entry { seq, time, content });
        }
        Ok(())
    }
}

fn unavailable(source: Box<dyn std::error::Error + Send + Sync>) -> LogError {
    LogError::Unavailable { context: "reading a partition", source }
}
