//! Reads one team's events from its partition: one request, answered by whatever server has a copy.
//!
//! A copy may lag behind, and then it ends early; it has no holes, because streams never delete in the middle. What it
//! says counts when it reaches the position that was asked for, and when the log still began at or before the first
//! position afterwards, which is for the partition's leader to say. A server drops by its own clock what is too old,
//! so what is nearly too old does not count either.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_nats::{
    HeaderMap, Message, StatusCode, Subscriber,
    header::{HeaderName, NATS_LAST_SEQUENCE, NATS_SEQUENCE},
    jetstream::stream::LastRawMessageErrorKind,
};
use futures_util::StreamExt as _;
use huddle_domain::{Event, Partition, Seq, TeamId, UnixMillis};
use huddle_log::{LOG_PAGE_EVENTS_MAX, LogError};
use huddle_proto::decode_new_event;
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    connect::Link,
    live::{number, time, unix_millis},
    retry::{Cause, Limits, Miss, until_answered_for},
    stream as settings, subject,
};

/// How long it is tried in all. Whoever asks has another place to read from.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_millis(1_500);
/// Silence after which the rest of an answer is not waited for.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// Answers of copies that lag behind until it is left at that. Most have caught up after one pause.
const LAGGING_ANSWERS_MAX: u32 = 4;
/// What one answer may hold in bytes: twice what [`LOG_PAGE_EVENTS_MAX`] of the largest events need.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How old an event may be, in tenths of the time that events are kept: older ones some server may have dropped already.
const AGE_TENTHS_MAX: u32 = 9;
const CONTEXT: &str = "reading a team's events";

/// The server's name for the header that says how many messages follow an answer's last.
const NATS_NUM_PENDING: HeaderName = HeaderName::from_static("Nats-Num-Pending");

/// The end of an answer.
const END_OF_BATCH: u16 = 204;
/// Nothing of the team is there at or above the position.
const NOT_FOUND: u16 = 404;

/// Where a partition began when that was last looked up. It only moves on, so what lay before it need not be asked for:
/// whoever reads a long history would ask in vain for each page.
#[derive(Debug, Default)]
pub(crate) struct Beginning(AtomicU64);

impl Beginning {
    fn is_after(&self, seq: Seq) -> bool {
        self.0.load(Ordering::Relaxed) > seq.get()
    }

    fn note(&self, first_sequence: u64) {
        self.0.fetch_max(first_sequence, Ordering::Relaxed);
    }
}

/// Reads the events above `after` up to `through`; see [`huddle_log::Log::events_between`].
pub(crate) async fn events_between(
    link: &Link,
    beginning: &Beginning,
    partition: Partition,
    team: &TeamId,
    after: Seq,
    through: Seq,
) -> Result<Option<Vec<Arc<Event>>>, LogError> {
    if beginning.is_after(after.next()) {
        return Ok(None);
    }
    let lagging = AtomicU32::new(0);
    until_answered_for(CONTEXT, Limits { patience: PATIENCE, attempt: ATTEMPT }, || async {
        let page = match page(link, partition, team, after).await?.judge(after, through) {
            Judged::Page(page) => page,
            Judged::Behind if lagging.fetch_add(1, Ordering::Relaxed) + 1 < LAGGING_ANSWERS_MAX => {
                return Err(Miss::Retry(Cause::new("the copy that answers lags behind")));
            }
            Judged::Behind => return Ok(None),
        };
        // Asked last: what the log has forgotten before the page was read, it has forgotten now.
        Ok(reaches_back(link, beginning, partition, after).await?.then_some(page))
    })
    .await
}

/// What a copy has answered.
#[derive(Debug, Default)]
struct Answer {
    /// Ascending; without an event where the entry cannot be read as one.
    entries: Vec<(Seq, Option<Event>)>,
    /// Whether the copy has more.
    has_more: bool,
}

#[derive(Debug)]
enum Judged {
    Page(Vec<Arc<Event>>),
    /// The copy does not reach as far as was asked for.
    Behind,
}

impl Answer {
    /// What the answer is worth to who asked for everything above `after` up to `through`.
    fn judge(self, after: Seq, through: Seq) -> Judged {
        let reaches = self.entries.iter().any(|(seq, _)| *seq == through);
        let is_part = self.has_more && self.entries.last().is_some_and(|(seq, _)| *seq < through);
        if !reaches && !is_part {
            return Judged::Behind;
        }
        let mut prev_seq = after;
        let mut page = Vec::with_capacity(self.entries.len());
        for (_, event) in self.entries.into_iter().take_while(|(seq, _)| *seq <= through) {
            let Some(mut event) = event else { continue };
            event.prev_seq = prev_seq;
            prev_seq = event.seq;
            page.push(Arc::new(event));
        }
        // Nothing that can be read, and no end: who asks again from the last event would go round in circles.
        if is_part && page.is_empty() { Judged::Behind } else { Judged::Page(page) }
    }
}

#[derive(Serialize)]
struct Request<'a> {
    seq: u64,
    next_by_subj: &'a str,
    batch: usize,
    max_bytes: usize,
}

/// Asks for the entries of `team` above `after`, and gathers the answer.
async fn page(link: &Link, partition: Partition, team: &TeamId, after: Seq) -> Result<Answer, Miss> {
    let retry = |error: &(dyn std::error::Error + 'static)| Miss::Retry(Cause::of(error));
    let subject = subject::log(partition, team);
    let request = Request {
        seq: after.next().get(),
        next_by_subj: &subject,
        batch: LOG_PAGE_EVENTS_MAX,
        max_bytes: PAGE_BYTES_MAX,
    };
    let request = serde_json::to_vec(&request).map_err(|error| retry(&error))?;
    let inbox = link.client.new_inbox();
    let mut messages = link.client.subscribe(inbox.clone()).await.map_err(|error| retry(&error))?;
    link.client
        .publish_with_reply(subject::direct_get(partition), inbox, request.into())
        .await
        .map_err(|error| retry(&error))?;
    gather(link, partition, team, &mut messages).await
}

/// Gathers an answer to its end. The server numbers what it sends, so that nothing is lost on the way unnoticed.
async fn gather(link: &Link, partition: Partition, team: &TeamId, messages: &mut Subscriber) -> Result<Answer, Miss> {
    let mut answer = Answer::default();
    loop {
        let message = timeout(SILENCE_MAX, messages.next())
            .await
            .map_err(|_| Miss::Retry(Cause::new("the copy that answers is silent")))?
            .ok_or_else(|| Miss::Retry(Cause::new("the connection is closed")))?;
        match message.status {
            None | Some(StatusCode::OK) => {}
            Some(StatusCode::NO_RESPONDERS) => {
                return Err(match settings::find(link, partition).await? {
                    Some(_) => Miss::Retry(Cause::new("no server with a copy answers")),
                    None => Miss::Final(LogError::Missing { partition }),
                });
            }
            Some(status) if status.as_u16() == NOT_FOUND && answer.entries.is_empty() => return Ok(answer),
            Some(status) if status.as_u16() == END_OF_BATCH => {
                follows(&message, &answer)?;
                let pending = header(&message).and_then(|headers| number(headers, NATS_NUM_PENDING));
                answer.has_more = pending.is_some_and(|pending| pending > 0);
                return Ok(answer);
            }
            Some(status) => {
                let description = message.description.as_deref().unwrap_or_default();
                return Err(Miss::Retry(Cause::new(&format!("{status} {description}"))));
            }
        }
        follows(&message, &answer)?;
        let entry =
            entry(team, &message).ok_or_else(|| Miss::Retry(Cause::new("an entry without position or time")))?;
        answer.entries.push(entry);
        if answer.entries.len() > LOG_PAGE_EVENTS_MAX {
            return Err(Miss::Retry(Cause::new("more entries than were asked for")));
        }
    }
}

/// Whether nothing is missing between what has come and `message`.
fn follows(message: &Message, answer: &Answer) -> Result<(), Miss> {
    let last = answer.entries.last().map_or(0, |(seq, _)| seq.get());
    match header(message).and_then(|headers| number(headers, NATS_LAST_SEQUENCE)) {
        Some(before) if before == last => Ok(()),
        _ => Err(Miss::Retry(Cause::new("part of the answer was lost on its way"))),
    }
}

fn header(message: &Message) -> Option<&HeaderMap> {
    message.headers.as_ref()
}

fn entry(team: &TeamId, message: &Message) -> Option<(Seq, Option<Event>)> {
    let headers = header(message)?;
    let seq = Seq::new(number(headers, NATS_SEQUENCE)?);
    let time = time(headers)?;
    let event = decode_new_event(&message.payload).ok().filter(|event| event.team == *team);
    // What precedes it in the page is not known here.
    Some((seq, event.map(|event| event.at(seq, Seq::ZERO, time))))
}

/// Whether the log still has whatever stood right above `after`, and no server can have dropped it already.
async fn reaches_back(link: &Link, beginning: &Beginning, partition: Partition, after: Seq) -> Result<bool, Miss> {
    let stream = link
        .jetstream
        .get_stream_no_info(subject::stream(partition))
        .await
        .map_err(|error| Miss::Retry(Cause::of(&error)))?;
    let (info, oldest) = tokio::join!(settings::find(link, partition), stream.get_raw_message(after.next().get()));
    let info = info?.ok_or(Miss::Final(LogError::Missing { partition }))?;
    beginning.note(info.state.first_sequence);
    if beginning.is_after(after.next()) {
        return Ok(false);
    }
    match oldest {
        Ok(oldest) => Ok(is_young(info.config.max_age, unix_millis(oldest.time), SystemTime::now().into())),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(false),
        Err(error) => Err(Miss::Retry(Cause::of(&error))),
    }
}

/// Whether something of `time` is far from being too old where things are kept for `kept`; zero is for good.
fn is_young(kept: Duration, time: UnixMillis, now: UnixMillis) -> bool {
    let age = Duration::from_millis(u64::try_from(now.0.saturating_sub(time.0)).unwrap_or(0));
    kept.is_zero() || age < kept / 10 * AGE_TENTHS_MAX
}

#[cfg(test)]
mod tests {
    use huddle_domain::{ClientId, EventKind, NewEvent, UserId};

    use super::*;

    fn entry(seq: u64) -> (Seq, Option<Event>) {
        let event = NewEvent {
            team: TeamId::parse("a").unwrap(),
            sender: UserId::parse("ann").unwrap(),
            client_id: ClientId::parse(&seq.to_string()).unwrap(),
            kind: EventKind::TeamArchived,
        };
        (Seq::new(seq), Some(event.at(Seq::new(seq), Seq::ZERO, UnixMillis(0))))
    }

    /// The positions and predecessors of the page after 10 through 20, if there is one.
    fn judged(entries: Vec<(Seq, Option<Event>)>, has_more: bool) -> Option<Vec<(u64, u64)>> {
        match (Answer { entries, has_more }).judge(Seq::new(10), Seq::new(20)) {
            Judged::Page(page) => Some(page.iter().map(|event| (event.seq.get(), event.prev_seq.get())).collect()),
            Judged::Behind => None,
        }
    }

    #[test]
    fn an_answer_counts_only_when_it_reaches_the_position_or_there_is_more() {
        let unreadable = |seq| (Seq::new(seq), None);
        let cases = [
            (vec![], false, None),
            (vec![entry(12)], false, None),
            (vec![entry(12), entry(20)], false, Some(vec![(12, 10), (20, 12)])),
            (vec![entry(12), entry(20), entry(21)], true, Some(vec![(12, 10), (20, 12)])),
            (vec![entry(12), entry(15)], true, Some(vec![(12, 10), (15, 12)])),
            // The position is not there, and what lies above it is: it is no position of an event.
            (vec![entry(12), entry(21)], false, None),
            (vec![entry(12), entry(21)], true, None),
            (vec![unreadable(11), entry(12), unreadable(13), entry(20)], false, Some(vec![(12, 10), (20, 12)])),
            (vec![entry(12), unreadable(20)], false, Some(vec![(12, 10)])),
            (vec![unreadable(11), unreadable(12)], true, None),
        ];
        for (entries, has_more, expected) in cases {
            let case = format!("{entries:?}, {has_more}");
            assert_eq!(judged(entries, has_more), expected, "{case}");
        }
    }

    #[test]
    fn what_a_server_may_have_dropped_does_not_count() {
        let hour = Duration::from_hours(1);
        let minutes = |minutes: i64| UnixMillis(1_700_000_000_000 + minutes * 60_000);
        for (kept, age, young) in [
            (hour, 0, true),
            (hour, -30, true),
            (hour, 53, true),
            (hour, 54, false),
            (hour, 61, false),
            (Duration::ZERO, 1_000_000, true),
        ] {
            assert_eq!(is_young(kept, minutes(0), minutes(age)), young, "{kept:?}, {age} minutes");
        }
    }
}
