//! The two stages of a shutdown, as those see them who must obey.

use tokio_util::sync::CancellationToken;

/// The two stages of a shutdown, for those who must obey it. Cheap to clone; clones share the stages.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    /// A shutdown of its own, for tests and tools; services get theirs from [`Lifecycle::shutdown`](super::Lifecycle::shutdown).
    pub fn new() -> Self {
        Self::default()
    }

    /// First stage: take no new work, tell clients, finish what has begun.
    ///
    /// # Cancel safety
    /// `soft().cancelled()` may be polled in a `select!` and dropped at any time.
    pub const fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Second stage: drop everything and return. Comes when all spawned tasks have ended, or when the time to drain is over.
    ///
    /// # Cancel safety
    /// As with [`soft`](Self::soft).
    pub const fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Begins the first stage. Calling it again changes nothing.
    pub fn request(&self) {
        self.soft.cancel();
    }

    /// Whether the first stage has begun.
    pub fn is_requested(&self) -> bool {
        self.soft.is_cancelled()
    }
}
