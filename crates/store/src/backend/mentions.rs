//! The rows of `mentions`: what makes them, and where a page of them begins.

use huddle_domain::{Event, EventKind, UserId};

use super::to_bigint;
use crate::MentionPosition;

/// A row of `mentions`: user, time in milliseconds since 1970, team and position.
pub type MentionRow<'a> = (&'a str, i64, &'a str, i64);

/// The rows that those of `events` make that are stored for the first time, which `is_new` tells. It is asked only about
/// messages that mention someone.
pub fn mention_rows<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    is_new: impl Fn(&Event) -> bool,
) -> Vec<MentionRow<'a>> {
    let mut rows = Vec::new();
    for event in events {
        let EventKind::Posted { tags, .. } = &event.kind else { continue };
        if !tags.mentions().is_empty() && is_new(event) {
            let row = |user: &'a UserId| (user.as_str(), event.time.0, event.team.as_str(), to_bigint(event.seq));
            rows.extend(tags.mentions().iter().map(row));
        }
    }
    rows
}

/// What all rows of a page lie below: time in milliseconds since 1970, team and position.
pub fn mention_bound(before: Option<&MentionPosition>) -> (i64, &str, i64) {
    match before {
        Some(before) => (before.time.0, before.team.as_str(), to_bigint(before.seq)),
        // Every id is below this text.
        None => (i64::MAX, "\u{7f}", i64::MAX),
    }
}
