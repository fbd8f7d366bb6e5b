//! Why the log refuses or fails.

use huddle_domain::{Partition, Seq};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the log other than of a publish.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log cannot be reached or does not answer in time. A retry helps.
    #[error("the log cannot be reached: {context}")]
    Unavailable {
        /// What was being done.
        context: &'static str,
        /// What went wrong.
        #[source]
        source: Source,
    },
    /// The partition does not exist. A retry helps once it has been prepared.
    #[error("partition {partition} of the log does not exist yet: start `huddle persistence` or run `huddle migrate`")]
    Missing {
        /// The partition.
        partition: Partition,
    },
    /// The log is not fit for use. A retry does not help before an operator has done what the text says.
    #[error("the log is not fit for use: {problem}; {remedy}")]
    Unsuitable {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
}

impl LogError {
    /// Whether the same call can succeed later without an operator's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Missing { .. } => true,
            Self::Unsuitable { .. } => false,
        }
    }
}

/// Why an event was not (or may not have been) appended.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The key was used for an event with other content. A retry does not help.
    #[error("the client_id was used for something else, at position {seq}")]
    Conflict {
        /// The position of the event that has the key.
        seq: Seq,
    },
    /// [`crate::Condition::FirstOfTeam`] was asked for and the team has events. A retry does not help.
    #[error("the team has events already")]
    NotFirst,
    /// The log is full and refuses rather than forget; nothing was appended. A retry helps once there is room.
    #[error("the log is full")]
    Full,
    /// The log refuses this event, whatever its key (too large, for one). A retry does not help.
    #[error("the log refuses the event: {reason}")]
    Refused {
        /// Why; safe to show.
        reason: String,
    },
    /// The log did not answer in time, or cannot be reached: the outcome is unknown. A retry under the same key helps
    /// and settles it.
    #[error("the log cannot be reached: the outcome is unknown")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Source,
    },
}
