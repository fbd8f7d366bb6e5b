//! What this process appended lately, so that a repeat is answered without a word to the server, and one client that
//! repeats itself does not break up everybody's batches. A memory aid only: the server decides.

use std::collections::{HashMap, VecDeque};

use huddle_domain::{SendKey, Seq};
use tokio::time::Instant;

use super::slot::{Content, Outcome};
use crate::stream::DUPLICATE_WINDOW;

/// Events remembered, a few hundred bytes each.
const RECENT_EVENTS_MAX: usize = 32_768;

/// Key → where the event stands and what it says. Forgets the oldest, and everything older than the server's own window.
#[derive(Debug, Default)]
pub(super) struct Recent {
    events: HashMap<SendKey, (Seq, Content)>,
    /// The keys of `events`, oldest first.
    ages: VecDeque<(Instant, SendKey)>,
}

impl Recent {
    pub(super) fn get(&mut self, key: &SendKey, now: Instant) -> Option<Outcome> {
        while self.ages.front().is_some_and(|(since, _)| now.duration_since(*since) >= DUPLICATE_WINDOW) {
            self.forget_oldest();
        }
        self.events.get(key).map(|&(seq, content)| Outcome::Stored { seq, content, duplicate: true })
    }

    pub(super) fn insert(&mut self, key: SendKey, seq: Seq, content: Content, now: Instant) {
        if self.events.insert(key.clone(), (seq, content)).is_some() {
            return;
        }
        self.ages.push_back((now, key));
        if self.ages.len() > RECENT_EVENTS_MAX {
            self.forget_oldest();
        }
    }

    /// Forgets everything: the server may have lost what is remembered here.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.ages.clear();
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.ages.pop_front() {
            self.events.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use huddle_domain::{ClientId, TeamId, UserId};

    use super::*;

    fn key(number: usize) -> SendKey {
        SendKey {
            team: TeamId::parse("t").unwrap(),
            sender: UserId::parse("u").unwrap(),
            client_id: ClientId::parse(&number.to_string()).unwrap(),
        }
    }

    #[test]
    fn memory_is_bounded_in_number_and_age() {
        let content = Content::of(&RandomState::new(), b"x");
        let mut recent = Recent::default();
        let now = Instant::now();
        for number in 0..=RECENT_EVENTS_MAX {
            recent.insert(key(number), Seq::new(1), content, now);
        }
        assert_eq!(recent.events.len(), RECENT_EVENTS_MAX);
        assert!(recent.get(&key(0), now).is_none());
        assert!(recent.get(&key(1), now).is_some());
        assert!(recent.get(&key(1), now + DUPLICATE_WINDOW).is_none());
        assert!(recent.events.is_empty() && recent.ages.is_empty());
    }
}
