//! Bounds of the domain that every layer shares. Bounds of queues and frames belong to the crates that own those.

/// Longest id of a team, a user or a client, in characters (all ASCII, so also bytes).
pub const ID_LENGTH_MAX: usize = 64;

/// Longest body of a message, in Unicode code points.
pub const BODY_CHARACTERS_MAX: usize = 4_000;

/// Most users that one message mentions.
pub const MENTIONS_MAX: usize = 50;

/// Longest name of a team or a user, in Unicode code points.
pub const NAME_CHARACTERS_MAX: usize = 200;

/// Most partitions that a log can be created with.
pub const PARTITIONS_MAX: u16 = 1_024;

/// How far above the highest stored seq a log that is created anew starts, so that a lost log never reuses a
/// position, not even one that was delivered and never stored.
pub const SEQ_GAP_OF_NEW_LOG: u64 = 1_000_000;
