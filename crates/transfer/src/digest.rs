//! The digest of a team's events: the same on every backend and in every file.

use huddle_domain::Event;
use huddle_proto::event::v1 as wire;
use sha2::{Digest as _, Sha256};

/// SHA-256 over a team's events in order. Each counts as the line that an export has for it: the event as compact
/// ProtoJSON of `huddle.event.v1.Event`, `prev_seq` included, and a line feed.
#[derive(Debug, Clone, Default)]
pub struct Digest {
    hasher: Sha256,
    line: Vec<u8>,
}

impl Digest {
    /// The digest of no events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next event.
    pub fn update(&mut self, event: &Event) {
        self.line.clear();
        write_line(&mut self.line, event);
        self.hasher.update(&self.line);
    }

    /// Takes in the next event by its line, which [`write_line`] made.
    pub(crate) fn update_line(&mut self, line: &[u8]) {
        self.hasher.update(line);
    }

    /// The digest of all events taken in.
    pub fn finish(self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}

/// Appends the event's line to `line`: the canonical form.
pub(crate) fn write_line(line: &mut Vec<u8>, event: &Event) {
    // Writing into memory does not fail, and every role of the domain has a name on the wire.
    #[expect(clippy::expect_used, reason = "an event of the domain has a JSON form")]
    serde_json::to_writer(&mut *line, &wire::Event::from(event)).expect("an event of the domain has a JSON form");
    line.push(b'\n');
}
