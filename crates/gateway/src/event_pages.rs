//! Pages of a team's events, for callers that ask for them: native `list_events` and REST alike.

use std::io;

use huddle_domain::{Seq, TeamId, UserId};
use huddle_proto::{Refusal, event::v1::Event, gateway::v1::ErrorCode, history::v1::ListEventsRequest};

use crate::core::Core;

/// Events on a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 100;
/// Most events on a page.
const LIMIT_MAX: u32 = 200;
/// Most bytes that the events of a page take in the caller's encoding. Clients take frames of 1 MiB; an event takes at
/// most some 30 KB.
pub(crate) const PAGE_BYTES_MAX: usize = 256 * 1024;

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) team: TeamId,
    /// The cursor.
    pub(crate) after: Seq,
    /// Events at most; 0 = as many as usual.
    pub(crate) limit: u32,
    /// What the page reflects at least; zero = whatever is stored.
    pub(crate) min_seq: Seq,
}

/// A page, oldest first.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) events: Vec<Event>,
    /// Whether more events are stored after the last one here.
    pub(crate) has_more: bool,
}

/// Reads a page on behalf of `user`, who must be a member. `size` says how many bytes an event takes in the caller's
/// encoding; together they take at most `bytes_max`, unless the first one alone is larger.
pub(crate) async fn read(
    core: &Core,
    user: &UserId,
    wanted: &Wanted,
    bytes_max: usize,
    size: impl Fn(&Event) -> usize,
) -> Result<Page, Refusal> {
    let limit = limit(wanted.limit)?;
    // For a stranger nothing is read, not even inside.
    check_member(core, user, wanted).await?;
    if i64::try_from(wanted.after.get()).is_err() {
        // No position is above that, and history refuses to be asked about one.
        return Err(beyond_the_end());
    }
    let question = ListEventsRequest {
        team: wanted.team.to_string(),
        after: wanted.after.get(),
        limit,
        min_seq: wanted.min_seq.get(),
    };
    let page = core.history.page_of_events(question).await?;
    match page.events.last() {
        // As of the last event that is shown: a removal up to there has to be part of the answer.
        Some(last) => drop(core.memberships.check_as_of(&wanted.team, user, Seq::new(last.seq)).await?),
        None => check_cursor(core, wanted).await?,
    }
    Ok(cut(Page { events: page.events, has_more: page.has_more }, bytes_max, size))
}

/// Whoever became a member up to `min_seq` may not be one yet where the directory reads. Only for a position that there is:
/// nobody waits for what never comes.
async fn check_member(core: &Core, user: &UserId, wanted: &Wanted) -> Result<(), Refusal> {
    let Err(refusal) = core.memberships.check(&wanted.team, user).await else { return Ok(()) };
    if refusal.code != ErrorCode::NotFound || wanted.min_seq == Seq::ZERO {
        return Err(refusal);
    }
    match core.log.last_seq(&wanted.team).await {
        Ok(Some(last)) if wanted.min_seq <= last => {
            core.memberships.check_as_of(&wanted.team, user, wanted.min_seq).await.map(drop)
        }
        _ => Err(refusal),
    }
}

fn limit(asked: u32) -> Result<u32, Refusal> {
    match asked {
        0 => Ok(LIMIT_DEFAULT),
        1..=LIMIT_MAX => Ok(asked),
        _ => Err(Refusal::new(ErrorCode::InvalidArgument, format!("`limit` is at most {LIMIT_MAX}"))),
    }
}

/// Leaves out what is too much: it comes with the next page. One event is always there.
fn cut(mut page: Page, bytes_max: usize, size: impl Fn(&Event) -> usize) -> Page {
    let mut bytes = 0;
    let fitting = page.events.iter().take_while(|event| {
        bytes += size(event);
        bytes <= bytes_max
    });
    let fitting = fitting.count().max(1);
    if fitting < page.events.len() {
        page.events.truncate(fitting);
        page.has_more = true;
    }
    page
}

/// A cursor after which nothing is stored is one of this team if the log knows it, or else history.
async fn check_cursor(core: &Core, wanted: &Wanted) -> Result<(), Refusal> {
    let Wanted { team, after, .. } = wanted;
    if *after == Seq::ZERO {
        return Ok(());
    }
    let in_log = core.log.last_seq(team).await.map_err(|error| {
        tracing::warn!(%team, %error, "cannot tell whether a cursor is good");
        Refusal::new(ErrorCode::Unavailable, "it cannot be told just now whether the cursor is one of the team; retry")
    })?;
    if in_log.is_some_and(|last| *after <= last) {
        return Ok(());
    }
    // The log forgets old events; history does not.
    let question = ListEventsRequest { team: team.to_string(), after: after.get() - 1, limit: 1, min_seq: 0 };
    if core.history.page_of_events(question).await?.events.is_empty() {
        return Err(beyond_the_end());
    }
    Ok(())
}

fn beyond_the_end() -> Refusal {
    Refusal::new(ErrorCode::InvalidCursor, "the cursor lies beyond the team's last event; start without one")
}

/// How many bytes an event takes as JSON.
pub(crate) fn json_bytes(event: &Event) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Maps with text keys, texts and numbers always have a JSON form, and counting does not fail.
    let _ = serde_json::to_writer(&mut count, event);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(sizes: &[u64]) -> Page {
        let event = |size: &u64| Event { seq: *size, ..Event::default() };
        Page { events: sizes.iter().map(event).collect(), has_more: false }
    }

    #[test]
    fn a_page_that_is_too_large_ends_early_and_says_that_there_is_more() {
        let cases: [(&[u64], usize, bool); 6] = [
            (&[], 0, false),
            (&[10], 1, false),
            (&[11], 1, false),
            (&[4, 6], 2, false),
            (&[4, 6, 1], 2, true),
            (&[11, 1], 1, true),
        ];
        for (sizes, count, has_more) in cases {
            let cut = cut(page(sizes), 10, |event| usize::try_from(event.seq).unwrap());
            assert_eq!((cut.events.len(), cut.has_more), (count, has_more), "{sizes:?}");
        }
    }

    #[test]
    fn the_size_of_an_event_is_that_of_its_json() {
        let event = Event { team: "t".to_owned(), seq: 1_000_001, client_id: "\u{1}é".to_owned(), ..Event::default() };
        assert_eq!(json_bytes(&event), serde_json::to_string(&event).unwrap().len());
    }

    #[test]
    fn a_limit_is_bounded_and_need_not_be_given() {
        assert_eq!(limit(0), Ok(LIMIT_DEFAULT));
        assert_eq!(limit(LIMIT_MAX), Ok(LIMIT_MAX));
        assert_eq!(limit(LIMIT_MAX + 1).unwrap_err().code, ErrorCode::InvalidArgument);
    }
}
