//! Owns the standing still of one connection at a chosen place of its stream.

use std::sync::Arc;

use tokio::sync::watch;

/// The longest pattern.
pub(super) const PATTERN_BYTES_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The pattern has not been seen.
    Armed,
    /// One connection has seen it and stands still.
    Reached,
    /// That connection goes on, or is gone; or it was never reached, and never will be.
    Over,
}

/// What a hold and the connections that look out for its pattern share.
#[derive(Debug)]
pub(super) struct Hold {
    pattern: Vec<u8>,
    stage: watch::Sender<Stage>,
}

impl Hold {
    /// # Panics
    /// When the pattern is empty or longer than 256 bytes.
    pub(super) fn new(pattern: &[u8]) -> Arc<Self> {
        assert!((1..=PATTERN_BYTES_MAX).contains(&pattern.len()), "a pattern of {} bytes", pattern.len());
        Arc::new(Self { pattern: pattern.to_owned(), stage: watch::Sender::new(Stage::Armed) })
    }

    /// Whether this connection is the one that stands still, now that `chunk` follows on `before`: the pattern ends in
    /// the chunk, and no other connection was first.
    fn stops(&self, before: &[u8], chunk: &[u8]) -> bool {
        if *self.stage.borrow() != Stage::Armed {
            return false;
        }
        let kept = before.len().min(self.pattern.len() - 1);
        let around = [&before[before.len() - kept..], chunk].concat();
        let is_there = around.windows(self.pattern.len()).any(|window| window == self.pattern);
        is_there
            && self.stage.send_if_modified(|stage| {
                let is_first = *stage == Stage::Armed;
                if is_first {
                    *stage = Stage::Reached;
                }
                is_first
            })
    }

    pub(super) fn end(&self) {
        self.stage.send_replace(Stage::Over);
    }

    pub(super) fn is_over(&self) -> bool {
        *self.stage.borrow() == Stage::Over
    }

    /// Waits until the connection may go on.
    pub(super) async fn over(&self) {
        // The sender is in `self`.
        let _ = self.stage.subscribe().wait_for(|stage| *stage == Stage::Over).await;
    }
}

/// One connection that stands still when it comes to a pattern. Dropping it lets the connection go on.
#[derive(Debug)]
#[must_use = "the connection goes on when this is dropped"]
pub struct Held {
    hold: Arc<Hold>,
}

impl Held {
    pub(super) fn of(hold: Arc<Hold>) -> Self {
        Self { hold }
    }

    /// Waits until a connection stands still: the pattern was sent, and its last byte was not forwarded. Returns at once
    /// when that is already over.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn reached(&self) {
        // The sender is in the hold.
        let _ = self.hold.stage.subscribe().wait_for(|stage| *stage != Stage::Armed).await;
    }

    /// Whether a connection stands still now.
    pub fn is_held(&self) -> bool {
        *self.hold.stage.borrow() == Stage::Reached
    }

    /// Forwards what was held. A connection that has died in the meantime stays dead, and the held bytes are gone.
    pub fn release(&self) {
        self.hold.end();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

/// Looks out for patterns in one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    /// The last bytes that have gone by.
    before: Vec<u8>,
}

impl Lookout {
    /// The hold of `holds` that stops this connection at `chunk`, if one does.
    pub(super) fn stopped_by(&mut self, holds: &[Arc<Hold>], chunk: &[u8]) -> Option<Arc<Hold>> {
        let stopping = holds.iter().find(|hold| hold.stops(&self.before, chunk)).cloned();
        self.before.extend_from_slice(chunk);
        let excess = self.before.len().saturating_sub(PATTERN_BYTES_MAX);
        self.before.drain(..excess);
        stopping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_however_it_is_cut_and_once_only() {
        let stream = b"...COMMIT\0...COMMIT\0";
        for piece in 1..=stream.len() {
            let (hold, mut lookout) = (Hold::new(b"COMMIT\0"), Lookout::default());
            let stops: Vec<_> = stream
                .chunks(piece)
                .enumerate()
                .filter(|(_, chunk)| lookout.stopped_by(std::slice::from_ref(&hold), chunk).is_some())
                .map(|(index, _)| index)
                .collect();
            assert_eq!(stops, [9 / piece], "pieces of {piece}");
        }
    }
}
