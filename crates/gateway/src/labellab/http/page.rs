//! Pages, newest first: what a query asks for, how it is read from history, and where the next one is.

use std::{fmt, str::FromStr};

use actix_web::web;
use huddle_proto::{Refusal, gateway::v1::ErrorCode, history::v1::Message};
use serde::Deserialize;

/// Most messages in one answer, and how many there are when nobody says.
pub(super) const MESSAGES_MAX: usize = 1_000;
/// Bytes of text behind which an answer ends early: what is read at once from history (4 MiB at most) comes on top.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most messages that history gives at once.
const QUESTION_MESSAGES_MAX: usize = 500;

/// What a query asks for: messages before a place `P`, or the newest ones.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted<P> {
    pub(super) before: Option<P>,
    limit: usize,
}

/// What was read: messages, newest first, and where they go on, if they do.
#[derive(Debug)]
pub(super) struct Page<P> {
    pub(super) messages: Vec<Message>,
    pub(super) next: Option<P>,
}

#[derive(Deserialize)]
struct Query {
    before: Option<String>,
    limit: Option<usize>,
}

impl<P: FromStr + fmt::Display + Clone> Wanted<P> {
    /// Parameters of other names are ignored.
    pub(super) fn parse(query: &str) -> Result<Self, Refusal> {
        let invalid = |what: String| Refusal::new(ErrorCode::InvalidArgument, what);
        let query = web::Query::<Query>::from_query(query)
            .map_err(|_| invalid("The query is not valid: `before` and `limit` stand there once at most".to_owned()))?;
        let limit = query.limit.unwrap_or(MESSAGES_MAX);
        if !(1..=MESSAGES_MAX).contains(&limit) {
            return Err(invalid(format!("`limit` is a number from 1 to {MESSAGES_MAX}")));
        }
        let before = query.before.as_deref().map(str::parse).transpose();
        let before = before.map_err(|_| invalid("`before` is not a place that a `Link` names".to_owned()))?;
        Ok(Self { before, limit })
    }

    /// Reads what is wanted. `ask` gives the messages before a place and whether there are older ones; `place` is where a
    /// message stands.
    pub(super) async fn read(
        &self,
        mut ask: impl AsyncFnMut(Option<P>, u32) -> Result<(Vec<Message>, bool), Refusal>,
        place: impl Fn(&Message) -> P,
    ) -> Result<Page<P>, Refusal> {
        let (mut messages, mut text_bytes) = (Vec::new(), 0);
        let mut before = self.before.clone();
        loop {
            let count = (self.limit - messages.len()).min(QUESTION_MESSAGES_MAX);
            let (more, has_older) = ask(before, u32::try_from(count).unwrap_or_default()).await?;
            text_bytes += more.iter().map(|message| message.body.len()).sum::<usize>();
            let is_empty = more.is_empty();
            messages.extend(more);
            let next = if has_older && !is_empty { messages.last().map(&place) } else { None };
            if next.is_none() || messages.len() >= self.limit || text_bytes >= TEXT_BYTES_MAX {
                return Ok(Page { messages, next });
            }
            before = next;
        }
    }

    /// The value of a `Link` header that leads from a page of the resource at `path` to the one at `next`.
    pub(super) fn link(&self, path: fmt::Arguments<'_>, next: &P) -> String {
        format!("<{path}?before={next}&limit={}>; rel=\"next\"", self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_understood_or_refused() {
        let parse = Wanted::<u64>::parse;
        assert_eq!(parse("").unwrap(), Wanted { before: None, limit: MESSAGES_MAX });
        assert_eq!(parse("limit=3&before=17&_=1").unwrap(), Wanted { before: Some(17), limit: 3 });
        for query in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=x",
            "limit=",
            "before=",
            "before=x",
            "before=-1",
            "limit=1&limit=2",
        ] {
            let refusal = parse(query).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidArgument, "{query}: {refusal}");
        }
    }

    #[test]
    fn a_link_leads_to_the_next_page_of_the_same_size() {
        let wanted = Wanted::<u64>::parse("before=100&limit=20").unwrap();
        let link = wanted.link(format_args!("/api/v1/chatroom/7"), &80);
        assert_eq!(link, "</api/v1/chatroom/7?before=80&limit=20>; rel=\"next\"");
    }

    /// Reads from a team with messages at 1 to `last`, each with a text of `bytes`; says what was asked for as well.
    async fn read(query: &str, last: u64, bytes: usize) -> (Page<u64>, Vec<u32>) {
        let mut asked = Vec::new();
        let ask = async |before: Option<u64>, limit: u32| {
            asked.push(limit);
            let end = before.unwrap_or(last + 1).min(last + 1);
            let start = end.saturating_sub(u64::from(limit)).max(1);
            let message = |seq| Message { seq, body: "a".repeat(bytes), ..Message::default() };
            Ok(((start..end).rev().map(message).collect(), start > 1))
        };
        let page = Wanted::<u64>::parse(query).unwrap().read(ask, |message| message.seq).await.unwrap();
        (page, asked)
    }

    #[actix_web::test]
    async fn an_answer_is_read_in_parts_and_says_where_it_goes_on() {
        for (query, last, first, count, next, asked) in [
            ("", 0, None, 0, None, vec![500]),
            ("", 3, Some(3), 3, None, vec![500]),
            ("", 1_000, Some(1_000), 1_000, None, vec![500, 500]),
            ("", 1_001, Some(1_001), 1_000, Some(2), vec![500, 500]),
            ("limit=3", 3, Some(3), 3, None, vec![3]),
            ("limit=3", 4, Some(4), 3, Some(2), vec![3]),
            ("limit=501&before=700", 900, Some(699), 501, Some(199), vec![500, 1]),
            ("before=0", 9, None, 0, None, vec![500]),
        ] {
            let (page, asks) = read(query, last, 1).await;
            let seqs: Vec<u64> = page.messages.iter().map(|message| message.seq).collect();
            let seen = (seqs.first().copied(), seqs.len(), page.next, asks);
            assert_eq!(seen, (first, count, next, asked), "{query} of {last}");
            assert!(seqs.is_sorted_by(|newer, older| *newer == older + 1), "{query} of {last}");
        }
    }

    #[actix_web::test]
    async fn an_answer_that_grows_large_ends_early() {
        let (page, _) = read("", 1_000, TEXT_BYTES_MAX / 400).await;
        assert_eq!((page.messages.len(), page.next), (500, Some(501)));
    }
}
