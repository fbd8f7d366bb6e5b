//! Why the store refuses or fails.

use huddle_domain::Seq;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, is overloaded, or does not answer in time. A retry helps.
    #[error("the store cannot be reached: {context}")]
    Unavailable {
        /// What was being done: the name of the operation.
        context: &'static str,
        /// What went wrong.
        #[source]
        source: Source,
    },
    /// The store does not hold what the read must not miss ([`Fence`](crate::Fence)). A retry helps once it does.
    #[error("the store holds the partition up to {stored} only")]
    Behind {
        /// How far the partition is stored, as the read has seen it.
        stored: Seq,
    },
    /// The partition is no longer this writer's: another process may own it. Nothing was written. Claim it again.
    #[error("the partition is no longer owned by this writer")]
    NotOwner,
    /// The store is not fit for use (a schema that is missing or newer, for one). A retry does not help before an
    /// operator has done what the text says.
    #[error("the store is not fit for use: {problem}; {remedy}")]
    Unsuitable {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// The store broke a rule of its own, or holds something that cannot be read. A retry does not help.
    #[error("the store failed: {context}")]
    Broken {
        /// The operation, table and row, as far as they are known.
        context: String,
        /// What went wrong.
        #[source]
        source: Source,
    },
}

impl StoreError {
    /// Whether the same call can succeed later without an operator's help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Behind { .. } | Self::NotOwner)
    }
}
